//! Takes up the work where it was left. Pure.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use gpuwarden_proto::incident::Incident;
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::NodeId;

use super::burden::Burdens;
use super::change::Changes;
use super::index::Index;
use super::merged::Merged;
use super::resting::Resting;
use super::{Policy, State};
use crate::graph::Graph;
use crate::incident::Case;
use crate::node::{Findings, Node, Place};
use crate::replica::Replicas;

impl State {
    /// Takes up the work where it was left.
    #[must_use]
    pub fn restore(
        policy: Policy,
        nodes: HashMap<NodeId, Node>,
        incidents: Vec<Incident>,
        next_id: u64,
        now: Timestamp,
    ) -> Self {
        let policy_topology = policy.topology.clone();
        let mut state = Self {
            policy,
            nodes,
            outside: Findings::new(),
            cases: BTreeMap::new(),
            resting: Resting::default(),
            flapping: BTreeSet::new(),
            replicas: Replicas::default(),
            graph: Graph::new(policy_topology),
            changes: Changes::default(),
            index: Index::default(),
            merged: Merged::default(),
            unranked: BTreeSet::new(),
            shown: BTreeSet::new(),
            burdens: Burdens::default(),
            quiet: BTreeSet::new(),
            next_id: next_id.max(1),
            dropped: 0,
        };
        let nodes: Vec<NodeId> = state.nodes.keys().cloned().collect();
        nodes.iter().for_each(|node| state.stand(node));
        // What is open first, then what is over, the oldest end first.
        let mut incidents = incidents;
        incidents.sort_by_key(|incident| (incident.resolved_at, incident.id));
        for incident in incidents {
            state.take_up(incident, now);
        }
        for node in &nodes {
            state.place_replicas(node);
        }
        state
    }

    fn take_up(&mut self, incident: Incident, now: Timestamp) {
        let (id, settled) = (incident.id, incident.resolved_at.is_some());
        for (slot, member) in incident.members.iter().enumerate() {
            let active = member.cleared_at.is_none();
            if settled && !active {
                continue;
            }
            let place = Place {
                incident: id,
                slot: Some(slot),
                active,
                raised_at: member.raised_at,
                settled,
            };
            let findings = match &member.node {
                Some(node) => {
                    let node = self.nodes.entry(node.clone()).or_insert_with(|| Node::new(now));
                    &mut node.findings
                }
                None => &mut self.outside,
            };
            let key = (member.rule, member.subject.identity());
            // What was over or settled may have begun anew since, in another incident.
            let anew = |known: &Place| match (known.settled, settled) {
                (true, _) => known.raised_at <= place.raised_at,
                (false, true) => false,
                (false, false) => !known.active && known.raised_at < place.raised_at,
            };
            if findings.get(&key).is_none_or(anew) {
                findings.insert(key, place);
            }
        }
        let forced = incident.members.iter().any(|member| member.cleared_at.is_none());
        let case = Case::restore(incident, self.policy.limits, now);
        if settled && !forced && case.incident().merged_into.is_none() {
            self.resting.keep(case);
        } else if !settled {
            if case.active() == 0 {
                self.quiet.insert(id);
            }
            if case.is_flapping() {
                self.flapping.insert(id);
            }
            self.cases.insert(id, case);
            self.find_anew(id);
            self.shown.insert(id);
            self.burdens.review(id);
        }
    }
}
