//! What was over before it was told, and what comes again soon after it was over. Pure.
//!
//! A node that was cut off tells what is true first and then what happened meanwhile. What it cannot
//! mean any more joins the incident of its own time, or is noted as one that is over: nobody is to be
//! woken by it.

use std::collections::BTreeSet;

use gpuwarden_proto::entity::Entity;
use gpuwarden_proto::event::Finding;
use gpuwarden_proto::incident::Member;
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::{IncidentId, NodeId, RuleId};

use super::candidate::{ANCHORS, Candidate};
use super::cause::Clue;
use super::evidence::ATTACH;
use super::relation::kin;
use super::{State, Touched, sight};
use crate::classify::{of_cause, type_of};
use crate::incident::{Because, Belongs, Case, member};
use crate::node::{Key, Place};

impl State {
    /// When a finding that is told only now was over at the latest; `None` where it may go on: its node
    /// has not said what is true, or could not see it.
    pub(super) fn over_before_told(&self, node: &NodeId, finding: &Finding) -> Option<Timestamp> {
        let snapshot = self.nodes.get(node)?.snapshot.as_ref()?;
        let unseen = !sight::sees(&snapshot.sources, finding.rule, &finding.subject);
        let after = finding.raised_at >= snapshot.observed_at;
        (!unseen && !after && finding.rule != RuleId::NodeLost).then_some(snapshot.observed_at)
    }

    /// Takes up a finding that is over since `over_at` at the latest.
    pub(super) fn late(
        &mut self,
        now: Timestamp,
        node: &NodeId,
        finding: Finding,
        over_at: Timestamp,
        touched: &mut Touched,
    ) {
        let mut candidates = self.candidates(Some(node), &finding);
        candidates.extend(self.candidates_over(node, &finding));
        let best = candidates.into_iter().max_by_key(Candidate::rank);
        let best = best.filter(|best| best.reasons.score() >= ATTACH);
        let belongs = best.as_ref().map_or_else(Belongs::first, |best| (&best.reasons).into());
        let key: Key = (finding.rule, finding.subject.identity());
        let mut late = member(Some(node.clone()), finding, belongs);
        late.cleared_at = Some(over_at);
        match best.map(|best| best.incident) {
            Some(id) if self.cases.contains_key(&id) => {
                self.add_late(now, node, key, id, late, touched);
            }
            Some(id) => self.add_to_over(now, id, late, touched),
            None => self.open_late(now, late, touched),
        }
    }

    /// Incidents that were not over yet when a finding began, and that speak for it.
    fn candidates_over(&self, node: &NodeId, finding: &Finding) -> Vec<Candidate> {
        let model = super::candidate::model_of(&finding.subject);
        let by_model = model
            .map(|model| Entity::fleet(gpuwarden_proto::entity::EntityKind::Model, model.as_str()));
        let names = by_model.into_iter().chain([Entity::node(node)]);
        let ids: BTreeSet<IncidentId> =
            names.flat_map(|name| self.resting.index.of(&name)).collect();
        let new = Clue::of(Some(node), finding);
        let mut found = Vec::new();
        for id in ids {
            let Some(incident) = self.resting.get(id).map(Case::incident) else { continue };
            if incident.resolved_at.is_none_or(|end| end < finding.raised_at) {
                continue;
            }
            let mut candidate = Candidate::new(id);
            for (slot, anchor) in incident.members.iter().enumerate() {
                if anchor.is_on(node) {
                    self.tie(new, anchor, slot == 0, incident.opened_at, &mut candidate);
                }
                if slot >= ANCHORS {
                    break;
                }
            }
            for (theirs, troubles) in self.resting.index.troubles(id) {
                if Some(theirs) == model {
                    let all = troubles.iter();
                    all.for_each(|each| kin(node, finding, theirs, each, incident, &mut candidate));
                }
            }
            if candidate.reasons.strongest().is_some() {
                found.push(candidate);
            }
        }
        found
    }

    fn add_late(
        &mut self,
        now: Timestamp,
        node: &NodeId,
        key: Key,
        id: IncidentId,
        late: Member,
        touched: &mut Touched,
    ) {
        let Some(case) = self.cases.get_mut(&id) else { return };
        let raised_at = late.raised_at;
        let slot = case.join_late(late, now);
        let place = Place { incident: id, slot, active: false, raised_at, settled: false };
        self.keep(Some(node), key, place);
        if let Some(slot) = slot {
            self.note_member(id, slot);
        }
        self.unranked.insert(id);
        touched.change(id);
    }

    fn add_to_over(&mut self, now: Timestamp, id: IncidentId, late: Member, touched: &mut Touched) {
        let Some(mut case) = self.resting.take(id) else { return };
        let _ = case.join_late(late, now);
        touched.is_over(&case);
        self.resting.keep(case);
    }

    /// Notes an incident that was over before anybody was told of it.
    fn open_late(&mut self, now: Timestamp, late: Member, touched: &mut Touched) {
        let id = IncidentId(self.next_id);
        self.next_id += 1;
        let (severity, ground) = self.assess(&late);
        let severity = Because { what: severity, reason: ground.to_string() };
        let kind = of_cause(&late);
        let case = Case::open_over(id, late, kind, severity, self.policy.limits, now);
        touched.is_over(&case);
        self.resting.keep(case);
    }

    /// A node tells when a finding was over of which it had told too late.
    pub(super) fn ended_before(
        &mut self,
        now: Timestamp,
        node: Option<&NodeId>,
        key: &Key,
        at: Timestamp,
        touched: &mut Touched,
    ) {
        let place = self.ledger(node).and_then(|findings| findings.get(key)).copied();
        let place = place.filter(|place| !place.active && !place.settled);
        let live = place.and_then(|place| {
            let case = self.cases.get_mut(&place.incident)?;
            case.ended_before(place.slot?, at, now).then_some(place.incident)
        });
        if let Some(id) = live {
            return touched.change(id);
        }
        let Some(id) = self.resting.holder(node, key).map(|case| case.incident().id) else {
            return;
        };
        let Some(case) = self.resting.get_mut(id) else { return };
        let own = |member: &Member| {
            member.node.as_ref() == node && (member.rule, member.subject.identity()) == *key
        };
        let slot = case.incident().members.iter().position(|member| own(member));
        if slot.is_some_and(|slot| case.ended_before(slot, at, now)) {
            touched.is_over(case);
        }
    }

    /// The incident that held a finding, where it was over only lately and the finding is of its own
    /// type: the same again is no new incident.
    pub(super) fn reopenable(
        &self,
        now: Timestamp,
        node: Option<&NodeId>,
        key: &Key,
    ) -> Option<IncidentId> {
        let incident = self.resting.holder(node, key)?.incident();
        let lately = now.since(incident.resolved_at?) <= self.policy.reopen_within;
        (lately && type_of(key.0) == incident.kind).then_some(incident.id)
    }

    /// Goes on with an incident that was over.
    pub(super) fn reopen(
        &mut self,
        now: Timestamp,
        node: Option<&NodeId>,
        key: &Key,
        finding: Finding,
        id: IncidentId,
        touched: &mut Touched,
    ) -> Option<IncidentId> {
        let mut case = self.resting.take(id)?;
        case.reopen(now);
        let mut own = None;
        for (slot, member) in case.incident().members.iter().enumerate() {
            let each: Key = (member.rule, member.subject.identity());
            if member.node.as_ref() == node && each == *key {
                own = Some(slot);
            }
            let raised_at = member.raised_at;
            let slot = Some(slot);
            let place = Place { incident: id, slot, active: false, raised_at, settled: false };
            if let Some(findings) = self.ledger_mut(member.node.as_ref()) {
                // What has begun anew since is at home elsewhere.
                findings.entry(each).or_insert(place);
            }
        }
        self.cases.insert(id, case);
        self.find_anew(id);
        touched.reopened(id);
        let raised_at = finding.raised_at;
        let place = Place { incident: id, slot: own, active: false, raised_at, settled: false };
        self.again(now, node, key, place, finding, touched);
        Some(id)
    }
}
