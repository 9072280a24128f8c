//! Replicas of models over the fleet: how many there are and how many are down. Pure.
//!
//! A replica is a model and version on one server of one node, as the node's snapshot lists it. What
//! somebody unloaded is no replica, unless it is missed. One is down while its own node says so, or
//! does not answer.

use std::collections::{BTreeSet, HashMap};

use gpuwarden_proto::event::Subject;
use gpuwarden_proto::inventory::Server;
use gpuwarden_proto::vocab::{Availability, ModelName, ModelVersion, NodeId, ServerName};

/// All replicas of the fleet.
#[derive(Debug, Default)]
pub struct Replicas {
    nodes: HashMap<NodeId, Vec<Replica>>,
    holders: HashMap<ModelName, BTreeSet<NodeId>>,
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
    /// How it stands.
    pub standing: Standing,
    /// It has been seen to have traffic.
    pub busy: bool,
}

/// How one replica stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Nothing speaks against it.
    Serves,
    /// Requests wait, are slow or fail.
    Degraded,
    /// It does not serve.
    Down,
}

/// How the replicas of one model stand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// All of them.
    pub total: u32,
    /// Those that do not serve.
    pub down: u32,
    /// Those whose requests wait, are slow or fail.
    pub degraded: u32,
    /// Those that have been seen to have traffic.
    pub busy: u32,
}

impl Tally {
    /// None of them serves.
    #[must_use]
    pub fn all_down(self) -> bool {
        self.total > 0 && self.down == self.total
    }

    /// Half of them or more do not serve, or no more than one is left.
    #[must_use]
    pub fn mostly_down(self) -> bool {
        self.down > 0 && (self.down * 2 >= self.total || self.down + 1 >= self.total)
    }

    /// The share of them that is in trouble, were it so many `more`, 0 to 1; 1 when it is not known
    /// how many there are.
    #[must_use]
    pub fn troubled_share(self, more: u32) -> f64 {
        match self.total {
            0 => 1.0,
            total => f64::from((self.down + self.degraded + more).min(total)) / f64::from(total),
        }
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

    /// The nodes that have a replica of a model.
    pub fn holders(&self, model: &ModelName) -> impl Iterator<Item = &NodeId> + use<'_> {
        self.holders.get(model).into_iter().flatten()
    }

    /// The nodes on which a replica of a model does not serve.
    pub fn lost<'a>(&'a self, model: &'a ModelName) -> impl Iterator<Item = &'a NodeId> {
        let holders = self.holders.get(model).into_iter().flatten();
        let down = move |node: &&NodeId| {
            let mut own = self.on(node).iter().filter(|replica| replica.model == *model);
            own.any(|replica| replica.standing == Standing::Down)
        };
        holders.filter(down)
    }

    /// Takes a node's servers from its snapshot. Traffic once seen is remembered. Says whether its
    /// replicas are others than before.
    pub fn place(
        &mut self,
        node: &NodeId,
        servers: &[Server],
        standing: impl Fn(&Replica) -> Standing,
    ) -> bool {
        let before = self.nodes.remove(node).unwrap_or_default();
        for replica in &before {
            self.count(replica, false);
            if let Some(holders) = self.holders.get_mut(&replica.model) {
                holders.remove(node);
                if holders.is_empty() {
                    self.holders.remove(&replica.model);
                }
            }
        }
        let mut now = Vec::new();
        for server in servers {
            for model in &server.models {
                let (server, name, version) = (&server.name, &model.name, &model.version);
                let known = before.iter().find(|r| r.is(server, name, version));
                let busy = known.is_some_and(|replica| replica.busy)
                    || model.requests_per_s.is_some_and(|rate| rate > 0.0);
                let mut replica = Replica {
                    server: server.clone(),
                    model: name.clone(),
                    version: version.clone(),
                    standing: Standing::Serves,
                    busy,
                };
                replica.standing = standing(&replica);
                let unloaded = model.availability == Availability::Unloaded;
                if unloaded && replica.standing != Standing::Down {
                    continue;
                }
                self.count(&replica, true);
                self.holders.entry(replica.model.clone()).or_default().insert(node.clone());
                now.push(replica);
            }
        }
        let others = before != now;
        self.nodes.insert(node.clone(), now);
        others
    }

    /// These models of a node have been seen to have traffic.
    pub fn recall_traffic(&mut self, node: &NodeId, busy: &[(ServerName, ModelName)]) {
        for replica in self.nodes.get_mut(node).into_iter().flatten().filter(|each| !each.busy) {
            let mut busy = busy.iter();
            if busy.any(|(server, model)| *server == replica.server && *model == replica.model) {
                replica.busy = true;
                self.models.entry(replica.model.clone()).or_default().busy += 1;
            }
        }
    }

    /// A version that was not listed yet runs, or should: it takes the place of the one that was.
    pub fn adopt(&mut self, node: &NodeId, subject: &Subject) {
        let Subject::Model { server, model, version } = subject else { return };
        let Some(replicas) = self.nodes.get_mut(node) else { return };
        let mut same = replicas
            .iter_mut()
            .filter(|replica| replica.server == *server && replica.model == *model);
        if let (Some(replica), None) = (same.next(), same.next()) {
            replica.version = version.clone();
        }
    }

    /// Looks again at how the replicas of a node stand that `subject` is about.
    pub fn review(
        &mut self,
        node: &NodeId,
        subject: &Subject,
        standing: impl Fn(&Replica) -> Standing,
    ) {
        let Some(replicas) = self.nodes.get_mut(node) else { return };
        for replica in replicas.iter_mut().filter(|replica| replica.concerns(subject)) {
            let is = standing(replica);
            if is != replica.standing {
                let tally = self.models.entry(replica.model.clone()).or_default();
                tally.step(replica.standing, false);
                tally.step(is, true);
                replica.standing = is;
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
        step(&mut tally.busy, replica.busy);
        tally.step(replica.standing, there);
        if tally.total == 0 {
            self.models.remove(&replica.model);
        }
    }
}

impl Tally {
    fn step(&mut self, standing: Standing, there: bool) {
        let number = match standing {
            Standing::Serves => return,
            Standing::Degraded => &mut self.degraded,
            Standing::Down => &mut self.down,
        };
        *number = if there { *number + 1 } else { number.saturating_sub(1) };
    }
}

impl Replica {
    fn concerns(&self, subject: &Subject) -> bool {
        match subject {
            Subject::Model { server, model, version } => self.is(server, model, version),
            Subject::Server { server } => self.server == *server,
            _ => true,
        }
    }

    fn is(&self, server: &ServerName, model: &ModelName, version: &ModelVersion) -> bool {
        self.server == *server && self.model == *model && self.version == *version
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{at, node, snapshot, subject};

    fn servers(models: &str) -> Vec<Server> {
        snapshot(&[&format!("models={models}")], at(0)).servers
    }

    fn tally(replicas: &Replicas, model: &str) -> (u32, u32, u32) {
        let Tally { total, down, busy, .. } = replicas.of(&ModelName::new(model).unwrap());
        (total, down, busy)
    }

    #[test]
    fn replicas_are_counted_over_nodes_and_a_new_snapshot_replaces_the_old() {
        let mut replicas = Replicas::default();
        replicas.place(&node("node-a"), &servers("bert:9,resnet"), |_| Standing::Serves);
        replicas.place(&node("node-b"), &servers("bert"), |_| Standing::Down);
        assert_eq!(tally(&replicas, "bert"), (2, 1, 1));
        replicas.place(&node("node-a"), &servers("resnet"), |_| Standing::Serves);
        assert_eq!(tally(&replicas, "bert"), (1, 1, 0));
        replicas.place(&node("node-b"), &[], |_| Standing::Serves);
        assert_eq!(tally(&replicas, "bert"), (0, 0, 0));
        assert!(!replicas.of(&ModelName::new("bert").unwrap()).all_down(), "none is not all");
    }

    #[test]
    fn traffic_once_seen_is_remembered_when_the_model_is_down() {
        let mut replicas = Replicas::default();
        replicas.place(&node("node-a"), &servers("bert:9"), |_| Standing::Serves);
        replicas.place(&node("node-a"), &servers("bert:0"), |_| Standing::Down);
        assert_eq!(tally(&replicas, "bert"), (1, 1, 1));
    }

    #[test]
    fn what_somebody_unloaded_is_no_replica() {
        let mut unloaded = servers("bert");
        unloaded[0].models[0].availability = Availability::Unloaded;
        let mut replicas = Replicas::default();
        replicas.place(&node("node-a"), &unloaded, |_| Standing::Serves);
        assert_eq!(tally(&replicas, "bert"), (0, 0, 0));
    }

    #[test]
    fn a_review_counts_each_replica_once() {
        let mut replicas = Replicas::default();
        replicas.place(&node("node-a"), &servers("bert,resnet"), |_| Standing::Serves);
        let bert = |_: &Replica| Standing::Down;
        (0..2).for_each(|_| replicas.review(&node("node-a"), &subject("bert"), bert));
        assert_eq!((tally(&replicas, "bert"), tally(&replicas, "resnet")), ((1, 1, 0), (1, 0, 0)));
        replicas.review(&node("node-a"), &Subject::Node, |_| Standing::Serves);
        assert_eq!(tally(&replicas, "bert"), (1, 0, 0));
    }
}
