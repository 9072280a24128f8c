//! A rack or a zone that is lost leaves the other replicas of its models more to do. Pure.
//!
//! Of one model this shows only where much of it is lost ([`overload`](super::overload)). But when
//! half of all models that lost replicas together begin to wait elsewhere, that is no chance, however
//! many replicas each has left: nothing else is common to just these models.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use gpuwarden_proto::entity::{Entity, EntityKind};
use gpuwarden_proto::incident::Member;
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::{IncidentId, IncidentType, ModelName, NodeId, RuleId};

use super::candidate::{ANCHORS, model_of};
use super::overload::{follows_loss, waits};
use super::trouble::Trouble;
use super::{State, Touched};
use crate::incident::Scope;

/// Fewer models than this that wait say nothing of a cause that they share.
const MODELS_MIN: usize = 2;

/// What rests on the other replicas of models that lost some together.
#[derive(Debug, Default)]
pub(super) struct Burdens {
    /// The models that wait, by the incident of the whole that is lost.
    waiting: BTreeMap<IncidentId, BTreeSet<ModelName>>,
    /// Incidents of what is lost as a whole.
    wholes: BTreeSet<IncidentId>,
    /// Incidents to be looked at on the next tick.
    due: BTreeSet<IncidentId>,
}

impl Burdens {
    /// Something is new that may show what a lost rack or zone brought about.
    pub(super) fn review(&mut self, id: IncidentId) {
        self.due.insert(id);
    }

    /// Nothing waits for the next tick.
    pub(super) fn rests(&self) -> bool {
        self.due.is_empty()
    }

    /// An incident is over, or goes on as another.
    pub(super) fn drop(&mut self, id: IncidentId) {
        self.waiting.remove(&id);
        self.wholes.remove(&id);
        self.due.remove(&id);
    }

    /// Whether there is anything that a model waits because of.
    pub(super) fn any(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Whether a model waits because of what an incident took away.
    pub(super) fn has(&self, id: IncidentId, model: &ModelName) -> bool {
        self.waiting.get(&id).is_some_and(|models| models.contains(model))
    }
}

impl State {
    /// Takes note of the incidents of lost racks and zones that a finding may have to do with.
    pub(super) fn note_burden(
        &mut self,
        id: Option<IncidentId>,
        rule: RuleId,
        model: Option<&ModelName>,
    ) {
        if rule == RuleId::NodeLost {
            id.into_iter().for_each(|id| self.burdens.review(id));
        }
        let any = !self.burdens.wholes.is_empty();
        let Some(model) = model.filter(|_| any && waits(rule)) else { return };
        let lost = self.replicas.lost(model).take(ANCHORS);
        let ids: BTreeSet<IncidentId> = lost.filter_map(|node| self.lost_with(node)).collect();
        ids.into_iter().for_each(|id| self.burdens.review(id));
    }

    /// The incident of the whole with which a node was lost.
    fn lost_with(&self, node: &NodeId) -> Option<IncidentId> {
        let key = (RuleId::NodeLost, gpuwarden_proto::event::Subject::Node);
        let id = self.incident_of(Some(node), &key)?;
        self.cases.get(&id)?.scope().map(|_| id)
    }

    /// Looks at what was lost as a whole: what its models have elsewhere is part of it, where that is
    /// no chance.
    pub(super) fn bear_burdens(&mut self, now: Timestamp, touched: &mut Touched) {
        for id in std::mem::take(&mut self.burdens.due) {
            self.bear_burden(now, id, touched);
        }
    }

    fn bear_burden(&mut self, now: Timestamp, id: IncidentId, touched: &mut Touched) {
        let Some(case) = self.cases.get(&id) else { return };
        let Some(scope) = case.scope().filter(|scope| scope.rule == RuleId::NodeLost).cloned()
        else {
            return;
        };
        self.burdens.wholes.insert(id);
        let members = &case.incident().members;
        let models = self.models_lost(&scope.entity, members);
        let own = members.iter().filter(|m| waits(m.rule) && !self.is_part(&scope.entity, m));
        let mut waiting: BTreeSet<ModelName> = own
            .filter_map(|m| model_of(&m.subject))
            .filter(|m| models.contains(m))
            .cloned()
            .collect();
        let others = self.waiting_elsewhere(id, &scope, &models);
        others.values().for_each(|models| waiting.extend(models.iter().cloned()));
        if waiting.len() < MODELS_MIN || waiting.len() * 2 < models.len() {
            return;
        }
        let reason = format!(
            "{} of {} models that lost replicas with {} have to do more elsewhere",
            waiting.len(),
            models.len(),
            scope.entity
        );
        self.burdens.waiting.insert(id, waiting);
        for other in others.into_keys() {
            self.merge(now, other, id, &reason, touched);
        }
    }

    /// The models of the nodes that are lost of a thing, and that have replicas outside of it.
    fn models_lost(&self, whole: &Entity, members: &[Arc<Member>]) -> BTreeSet<ModelName> {
        let lost = members.iter().filter(|m| {
            m.rule == RuleId::NodeLost && m.cleared_at.is_none() && self.is_part(whole, m)
        });
        let replicas = lost.filter_map(|m| m.node.as_ref()).flat_map(|n| self.replicas.on(n));
        let models: BTreeSet<&ModelName> = replicas.map(|replica| &replica.model).collect();
        let outside = |node: &NodeId| !self.graph.holds(whole, node);
        let elsewhere = |model: &&ModelName| self.replicas.holders(model).any(outside);
        models.into_iter().filter(elsewhere).cloned().collect()
    }

    /// The incidents that began with the waiting of one of these models outside of the thing, soon
    /// after it was lost, and all of the models that wait in each.
    fn waiting_elsewhere(
        &self,
        id: IncidentId,
        scope: &Scope,
        models: &BTreeSet<ModelName>,
    ) -> BTreeMap<IncidentId, BTreeSet<ModelName>> {
        let named = models.iter().map(|model| Entity::fleet(EntityKind::Model, model.as_str()));
        let ids: BTreeSet<IncidentId> =
            named.flat_map(|entity| self.index.of(&entity).collect::<Vec<_>>()).collect();
        let began = |other: &IncidentId| {
            let case = self.cases.get(other).filter(|case| case.scope().is_none());
            let first = case.map(|case| &case.incident().members[0]);
            *other != id
                && self.may_unite(*other, id)
                && first.is_some_and(|first| {
                    let own = model_of(&first.subject).is_some_and(|m| models.contains(m));
                    let outside = !self.is_part(&scope.entity, first);
                    own && outside && waits(first.rule) && follows_loss(scope.at, first.raised_at)
                })
        };
        let waiting = |other: IncidentId| {
            let soon = |each: &Trouble| {
                each.kind() == IncidentType::HighLatency && follows_loss(scope.at, each.first_at)
            };
            let troubles = self.index.troubles(other).filter(|(_, all)| all.iter().any(soon));
            let own = troubles.map(|(model, _)| model).filter(|model| models.contains(*model));
            (other, own.cloned().collect())
        };
        ids.into_iter().filter(began).map(waiting).collect()
    }
}
