//! How the replicas of a node stand by its findings. Pure.

use gpuwarden_proto::event::Subject;
use gpuwarden_proto::vocab::{ModelName, NodeId, RuleId, ServerName};

use super::State;
use crate::node::Node;
use crate::replica::{Replica, Standing};

/// Trouble of a replica that still serves.
const DEGRADING: &[RuleId] = &[
    RuleId::QueueBackup,
    RuleId::QueueRejecting,
    RuleId::LatencyHigh,
    RuleId::KvCacheSaturated,
    RuleId::ErrorRateHigh,
];

impl State {
    /// Takes the replicas of a node from its snapshot. Says whether they are others than before.
    pub(super) fn place_replicas(&mut self, node: &NodeId) -> bool {
        let Some(known) = self.nodes.get(node) else { return false };
        let Some(snapshot) = &known.snapshot else { return false };
        self.replicas.place(node, &snapshot.servers, |replica| standing(known, replica))
    }

    /// The models of a node that have been seen to have traffic.
    #[must_use]
    pub fn busy_on(&self, node: &NodeId) -> Vec<(ServerName, ModelName)> {
        let busy = self.replicas.on(node).iter().filter(|replica| replica.busy);
        busy.map(|replica| (replica.server.clone(), replica.model.clone())).collect()
    }

    /// These models of a node had traffic before a restart.
    pub fn recall_traffic(&mut self, node: &NodeId, busy: &[(ServerName, ModelName)]) {
        self.replicas.recall_traffic(node, busy);
    }

    /// Looks again at the replicas that a finding is about.
    pub(super) fn review_replicas(
        &mut self,
        node: Option<&NodeId>,
        rule: RuleId,
        subject: &Subject,
    ) {
        let Some((node, known)) = node.and_then(|node| self.nodes.get_key_value(node)) else {
            return;
        };
        if bears_on_replicas(rule) {
            // What is over may be of the version before.
            let key = (rule, subject.identity());
            if known.findings.get(&key).is_some_and(|place| place.active) {
                self.replicas.adopt(node, subject);
            }
            self.replicas.review(node, subject, |replica| standing(known, replica));
        }
    }
}

fn bears_on_replicas(rule: RuleId) -> bool {
    matches!(
        rule,
        RuleId::ModelUnavailable
            | RuleId::QueueStall
            | RuleId::ServerUnavailable
            | RuleId::NodeLost
    ) || DEGRADING.contains(&rule)
}

/// How a replica stands by the findings of its node.
fn standing(node: &Node, replica: &Replica) -> Standing {
    let active = |rule, subject: &Subject| {
        node.findings.get(&(rule, subject.clone())).is_some_and(|place| place.active)
    };
    let Replica { server, model, version, .. } = replica;
    let (own_server, own) = (
        Subject::Server { server: server.clone() },
        Subject::Model { server: server.clone(), model: model.clone(), version: version.clone() },
    );
    if active(RuleId::NodeLost, &Subject::Node)
        || active(RuleId::ServerUnavailable, &own_server)
        || active(RuleId::ModelUnavailable, &own)
        || active(RuleId::QueueStall, &own)
    {
        return Standing::Down;
    }
    if DEGRADING.iter().any(|rule| active(*rule, &own)) {
        return Standing::Degraded;
    }
    Standing::Serves
}
