//! A node says what is true now. What it does not list is over only where it could have seen it.

use std::collections::HashSet;
use std::sync::Arc;

use gpuwarden_proto::event::Finding;
use gpuwarden_proto::inventory::Snapshot;
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::{NodeId, Phase, RuleId};

use super::{State, Touched, sight};
use crate::node::Key;

impl State {
    pub(super) fn snapshot(
        &mut self,
        now: Timestamp,
        node: &NodeId,
        snapshot: Snapshot,
        touched: &mut Touched,
    ) {
        let snapshot = Arc::new(snapshot);
        let Some(known) = self.nodes.get_mut(node) else { return };
        known.snapshot = Some(Arc::clone(&snapshot));
        known.snapshot_at = Some(snapshot.observed_at);
        self.stand(node);
        self.place_replicas(node);
        let mut listed: HashSet<Key> = HashSet::new();
        let own =
            |finding: &&Finding| !finding.rule.is_central() && !finding.subject.is_of_no_node();
        for finding in snapshot.active.iter().filter(own) {
            listed.insert((finding.rule, finding.subject.identity()));
            let mut finding = finding.clone();
            finding.phase = Phase::Updated;
            self.finding(now, Some(node), finding, snapshot.observed_at, false, touched);
        }
        for key in self.over_by(node, &snapshot, &listed) {
            let why = "the node no longer lists it, and can see it";
            self.clear(now, Some(node), &key, snapshot.observed_at, why, touched);
        }
        self.grade_node(now, node, touched);
    }

    /// Active findings that began before the snapshot, are not in it, and would be if they were
    /// still so.
    fn over_by(&self, node: &NodeId, snapshot: &Snapshot, listed: &HashSet<Key>) -> Vec<Key> {
        let Some(known) = self.nodes.get(node) else { return Vec::new() };
        let mut over: Vec<Key> = known
            .findings
            .iter()
            .filter(|(key, place)| {
                let (rule, subject) = key;
                place.active
                    && *rule != RuleId::NodeLost
                    && place.raised_at < snapshot.observed_at
                    && !listed.contains(*key)
                    && sight::sees(&snapshot.sources, *rule, subject)
            })
            .map(|(key, _)| key.clone())
            .collect();
        over.sort();
        over
    }
}
