//! A node says what is true now. What it does not list is over only where it could have seen it.

use std::collections::HashSet;
use std::sync::Arc;

use gpuwarden_proto::event::Finding;
use gpuwarden_proto::inventory::{Gpu, Model, Server, Snapshot, Source};
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
        let site = self.graph.site(node).cloned();
        let Some(known) = self.nodes.get_mut(node) else { return };
        let findings = known.findings.len();
        let before = known.snapshot.replace(Arc::clone(&snapshot));
        let first = known.snapshot_at.is_none();
        known.snapshot_at.get_or_insert(snapshot.observed_at);
        self.stand(node);
        let moved = self.place_replicas(node) || self.graph.site(node) != site.as_ref();
        let alike = before.is_some_and(|before| stands_alike(&before, &snapshot));
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
        let settled = self.nodes.get(node).is_some_and(|known| known.findings.len() != findings);
        touched.news |= first || moved || !alike || settled;
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

/// Whether two snapshots of a node say the same, but for findings and for numbers that are only for
/// people.
fn stands_alike(a: &Snapshot, b: &Snapshot) -> bool {
    let gpu = |a: &Gpu, b: &Gpu| a.uuid == b.uuid && a.index == b.index && a.lost == b.lost;
    let source = |a: &Source, b: &Source| a.name == b.name && a.state == b.state;
    let model = |a: &Model, b: &Model| {
        let same = a.name == b.name && a.version == b.version && a.gpus == b.gpus;
        same && a.availability == b.availability
    };
    let server = |a: &Server, b: &Server| {
        let same = a.name == b.name && a.availability == b.availability;
        same && all_alike(&a.models, &b.models, model)
    };
    a.driver_version == b.driver_version
        && a.labels == b.labels
        && all_alike(&a.gpus, &b.gpus, gpu)
        && all_alike(&a.sources, &b.sources, source)
        && all_alike(&a.servers, &b.servers, server)
}

fn all_alike<T>(a: &[T], b: &[T], alike: impl Fn(&T, &T) -> bool) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| alike(a, b))
}
