//! Incidents that are over, for as long as what comes again or comes late may belong to them. Pure.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use gpuwarden_proto::entity::{Entity, EntityKind};
use gpuwarden_proto::incident::Member;
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::{IncidentId, NodeId};

use super::candidate::model_of;
use super::index::Index;
use crate::incident::Case;
use crate::node::Key;

/// So long after the newest end an older one is remembered.
const KEPT: Duration = Duration::from_secs(24 * 3600);
/// Incidents that are remembered; the store loads as many.
pub const RESTING_MAX: usize = 1000;
/// Their members.
const MEMBERS_MAX: usize = 20_000;

/// Incidents that are over.
#[derive(Debug, Default)]
pub(super) struct Resting {
    cases: BTreeMap<IncidentId, Case>,
    ends: BTreeSet<(Timestamp, IncidentId)>,
    /// The newest incident that held a finding.
    held: HashMap<(Option<NodeId>, Key), IncidentId>,
    members: usize,
    /// Where to look for them.
    pub index: Index,
}

impl Resting {
    /// An incident is over. Those that are too old or too many are forgotten.
    pub(super) fn keep(&mut self, case: Case) {
        let incident = case.incident();
        let (id, Some(end)) = (incident.id, incident.resolved_at) else { return };
        for member in &incident.members {
            self.held.insert(held_by(member), id);
            self.index.trouble(id, member);
            if let Some(model) = model_of(&member.subject) {
                self.index.note(id, Entity::fleet(EntityKind::Model, model.as_str()));
            }
            if let Some(node) = &member.node {
                self.index.note(id, Entity::node(node));
            }
        }
        self.members += incident.members.len();
        self.ends.insert((end, id));
        self.cases.insert(id, case);
        self.forget();
    }

    fn forget(&mut self) {
        let Some(newest) = self.ends.last().map(|(end, _)| *end) else { return };
        while let Some((end, id)) = self.ends.first().copied() {
            let crowded = self.cases.len() > RESTING_MAX || self.members > MEMBERS_MAX;
            if !crowded && newest.since(end) <= KEPT {
                break;
            }
            drop(self.take(id));
        }
    }

    /// Takes an incident out, to go on with it.
    pub(super) fn take(&mut self, id: IncidentId) -> Option<Case> {
        let case = self.cases.remove(&id)?;
        let incident = case.incident();
        if let Some(end) = incident.resolved_at {
            self.ends.remove(&(end, id));
        }
        self.members = self.members.saturating_sub(incident.members.len());
        for member in &incident.members {
            let key = held_by(member);
            if self.held.get(&key) == Some(&id) {
                self.held.remove(&key);
            }
        }
        self.index.drop(id);
        Some(case)
    }

    /// The newest incident that held a finding.
    pub(super) fn holder(&self, node: Option<&NodeId>, key: &Key) -> Option<&Case> {
        let id = self.held.get(&(node.cloned(), key.clone()))?;
        self.cases.get(id)
    }

    /// One of them.
    pub(super) fn get(&self, id: IncidentId) -> Option<&Case> {
        self.cases.get(&id)
    }

    /// Says something more of one of them.
    pub(super) fn get_mut(&mut self, id: IncidentId) -> Option<&mut Case> {
        self.cases.get_mut(&id)
    }
}

fn held_by(member: &Member) -> (Option<NodeId>, Key) {
    (member.node.clone(), (member.rule, member.subject.identity()))
}
