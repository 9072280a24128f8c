//! Takes up the work where it was left, live after a restart and in a replay of one alike. Pure.

use std::collections::HashMap;

use gpuwarden_proto::change::RecordedChange;
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::{NodeId, NodeState};

use crate::correlate::{Policy, State};
use crate::node::{Link, Node};
use crate::store::Loaded;

/// What is known `now` of what was on disk: all streams are gone, and quiet periods begin anew. With
/// it the newest changes, oldest first.
#[must_use]
pub fn resume(policy: Policy, loaded: Loaded, now: Timestamp) -> (State, Vec<RecordedChange>) {
    let mut nodes: HashMap<NodeId, Node> = HashMap::new();
    let mut busy = Vec::new();
    for row in loaded.nodes {
        let mut node = Node::new(row.last_seen_at);
        node.link = match row.state {
            NodeState::Connected | NodeState::Disconnected => Link::Disconnected,
            NodeState::Lost => Link::Lost,
            NodeState::Stopped => Link::Stopped,
        };
        node.agent_version = row.agent_version;
        node.snapshot = row.snapshot;
        busy.push((row.id.clone(), row.busy));
        nodes.insert(row.id, node);
    }
    for (node, epoch, seq) in loaded.marks {
        let node = nodes.entry(node).or_insert_with(|| Node::new(now));
        node.taken.advance(epoch, seq);
        node.stored.advance(epoch, seq);
    }
    let mut state = State::restore(policy, nodes, loaded.incidents, loaded.next_incident, now);
    busy.iter().for_each(|(node, models)| state.recall_traffic(node, models));
    loaded.changes.iter().for_each(|change| state.recall(change.clone()));
    (state, loaded.changes)
}
