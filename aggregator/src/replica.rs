//! Replicas of models over the fleet: how many there are and how many are down. Pure.
//!
//! A replica is a model and version on one server of one node, as the node's snapshot lists it. What
//! somebody unloaded is no replica. One is down while its own node says so, or does not answer.

use std::collections::HashMap;

use gpuwarden_proto::inventory::Server;
use gpuwarden_proto::vocab::{Availability, ModelName, ModelVersion, NodeId, ServerName};

/// All replicas of the fleet.
#[derive(Debug, Default)]
pub struct Replicas {
    nodes: HashMap<NodeId, Vec<Replica>>,
    models: HashMap<ModelName, Tally>,
}

/// One model on one server of one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replica {
    /// The server.
    pub server: ServerName,
    /// The model.
    pub model: ModelName,
    /// Its version.
    pub version: ModelVersion,
    /// It does not serve.
    pub down: bool,
    /// It has been seen to have traffic.
    pub busy: bool,
}

/// How the replicas of one model stand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// All of them.
    pub total: u32,
    /// Those that do not serve.
    pub down: u32,
    /// Those that have been seen to have traffic.
    pub busy: u32,
}

impl Tally {
    /// None of them serves.
    #[must_use]
    pub fn all_down(self) -> bool {
        self.total > 0 && self.down == self.total
    }

    /// More than half of them do not serve.
    #[must_use]
    pub fn mostly_down(self) -> bool {
        self.down * 2 > self.total
    }
}

impl Replicas {
    /// What is known of a model; all zero when nothing is.
    #[must_use]
    pub fn of(&self, model: &ModelName) -> Tally {
        self.models.get(model).copied().unwrap_or_default()
    }

    /// The replicas on a node.
    #[must_use]
    pub fn on(&self, node: &NodeId) -> &[Replica] {
        self.nodes.get(node).map_or(&[], Vec::as_slice)
    }

    /// Takes a node's servers from its snapshot. Traffic once seen is remembered.
    pub fn place(&mut self, node: &NodeId, servers: &[Server], down: impl Fn(&Replica) -> bool) {
        let before = self.nodes.remove(node).unwrap_or_default();
        before.iter().for_each(|replica| self.count(replica, false));
        let mut now = Vec::new();
        for server in servers {
            for model in server.models.iter().filter(|m| m.availability != Availability::Unloaded) {
                let (server, name, version) = (&server.name, &model.name, &model.version);
                let known = before.iter().find(|r| r.is(server, name, version));
                let busy = known.is_some_and(|replica| replica.busy)
                    || model.requests_per_s.is_some_and(|rate| rate > 0.0);
                let mut replica = Replica {
                    server: server.clone(),
                    model: name.clone(),
                    version: version.clone(),
                    down: false,
                    busy,
                };
                replica.down = down(&replica);
                self.count(&replica, true);
                now.push(replica);
            }
        }
        self.nodes.insert(node.clone(), now);
    }

    /// Looks again at which replicas of a node are down.
    pub fn review(&mut self, node: &NodeId, down: impl Fn(&Replica) -> bool) {
        let Some(replicas) = self.nodes.get_mut(node) else { return };
        for replica in replicas {
            let is = down(replica);
            if is != replica.down {
                replica.down = is;
                let tally = self.models.entry(replica.model.clone()).or_default();
                if is { tally.down += 1 } else { tally.down = tally.down.saturating_sub(1) }
            }
        }
    }

    fn count(&mut self, replica: &Replica, there: bool) {
        let tally = self.models.entry(replica.model.clone()).or_default();
        let step = |number: &mut u32, yes: bool| match (yes, there) {
            (false, _) => {}
            (true, true) => *number += 1,
            (true, false) => *number = number.saturating_sub(1),
        };
        step(&mut tally.total, true);
        step(&mut tally.down, replica.down);
        step(&mut tally.busy, replica.busy);
        if tally.total == 0 {
            self.models.remove(&replica.model);
        }
    }
}

impl Replica {
    fn is(&self, server: &ServerName, model: &ModelName, version: &ModelVersion) -> bool {
        self.server == *server && self.model == *model && self.version == *version
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{at, node, snapshot};

    fn servers(models: &str) -> Vec<Server> {
        snapshot(&[&format!("models={models}")], at(0)).servers
    }

    fn tally(replicas: &Replicas, model: &str) -> (u32, u32, u32) {
        let Tally { total, down, busy } = replicas.of(&ModelName::new(model).unwrap());
        (total, down, busy)
    }

    #[test]
    fn replicas_are_counted_over_nodes_and_a_new_snapshot_replaces_the_old() {
        let mut replicas = Replicas::default();
        replicas.place(&node("node-a"), &servers("bert:9,resnet"), |_| false);
        replicas.place(&node("node-b"), &servers("bert"), |_| true);
        assert_eq!(tally(&replicas, "bert"), (2, 1, 1));
        replicas.place(&node("node-a"), &servers("resnet"), |_| false);
        assert_eq!(tally(&replicas, "bert"), (1, 1, 0));
        replicas.place(&node("node-b"), &[], |_| false);
        assert_eq!(tally(&replicas, "bert"), (0, 0, 0));
        assert!(!replicas.of(&ModelName::new("bert").unwrap()).all_down(), "none is not all");
    }

    #[test]
    fn traffic_once_seen_is_remembered_when_the_model_is_down() {
        let mut replicas = Replicas::default();
        replicas.place(&node("node-a"), &servers("bert:9"), |_| false);
        replicas.place(&node("node-a"), &servers("bert:0"), |_| true);
        assert_eq!(tally(&replicas, "bert"), (1, 1, 1));
    }

    #[test]
    fn what_somebody_unloaded_is_no_replica() {
        let mut unloaded = servers("bert");
        unloaded[0].models[0].availability = Availability::Unloaded;
        let mut replicas = Replicas::default();
        replicas.place(&node("node-a"), &unloaded, |_| false);
        assert_eq!(tally(&replicas, "bert"), (0, 0, 0));
    }

    #[test]
    fn a_review_counts_each_replica_once() {
        let mut replicas = Replicas::default();
        replicas.place(&node("node-a"), &servers("bert,resnet"), |_| false);
        (0..2).for_each(|_| replicas.review(&node("node-a"), |r| r.model.as_str() == "bert"));
        assert_eq!((tally(&replicas, "bert"), tally(&replicas, "resnet")), ((1, 1, 0), (1, 0, 0)));
        replicas.review(&node("node-a"), |_| false);
        assert_eq!(tally(&replicas, "bert"), (1, 0, 0));
    }
}
