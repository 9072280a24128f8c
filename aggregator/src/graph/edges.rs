//! Typed and directed edges between the things of the fleet. Pure.

use gpuwarden_proto::entity::{Entity, EntityKind};
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::topology::Edge;
use gpuwarden_proto::vocab::{EdgeKind, GpuUuid, ModelName, NodeId};

use super::group;
use super::view::{View, version};
use crate::replica::Replica;

/// After all changes.
const EVER: Timestamp = Timestamp::from_unix_ns(u64::MAX);

impl View<'_> {
    /// All edges that begin or end at a thing: by kind, then by what is at their ends. An edge is told
    /// alike at both its ends.
    #[must_use]
    pub fn edges(&self, entity: &Entity) -> Vec<Edge> {
        let mut edges = Edges { of: entity, found: Vec::new() };
        for part in self.holds(entity) {
            edges.begin(EdgeKind::Contains, part);
        }
        for whole in self.within(entity) {
            edges.end(whole, EdgeKind::Contains);
        }
        match (entity.kind, &entity.node) {
            (EntityKind::Replica, Some(node)) => self.of_replica(node, &mut edges),
            (EntityKind::Gpu | EntityKind::MigInstance, Some(node)) => {
                self.of_gpu(node, &mut edges);
            }
            (EntityKind::Node, Some(node)) => self.of_node(node, &mut edges),
            (EntityKind::Version, None) => self.of_version(&mut edges),
            (EntityKind::Model, None) => self.of_model(&mut edges),
            (EntityKind::Service, None) => self.of_service(&mut edges),
            (EntityKind::Driver, None) => self.of_driver(&mut edges),
            _ => {}
        }
        edges.found.sort_by(|a, b| (a.kind, &a.from, &a.to).cmp(&(b.kind, &b.from, &b.to)));
        edges.found.dedup();
        edges.found
    }

    fn of_replica(&self, node: &NodeId, edges: &mut Edges<'_>) {
        let own = edges.of;
        let Some((_, replica)) = self.replicas_on(node).find(|(each, _)| each == own) else {
            return;
        };
        edges.begin(EdgeKind::Serves, version(replica));
        if let Some((to, at)) = self.changed(node, replica) {
            edges.begin_since(EdgeKind::ChangedBy, to, at);
        }
        let gpus = self.gpus(node, replica);
        for gpu in gpus {
            edges.begin(EdgeKind::DependsOn, Entity::gpu(node, gpu));
        }
        for (other, each) in self.replicas_on(node).filter(|(each, _)| each != own) {
            if self.gpus(node, each).iter().any(|gpu| gpus.contains(gpu)) {
                edges.begin(EdgeKind::CoLocated, other.clone());
                edges.end(other, EdgeKind::CoLocated);
            }
        }
    }

    fn of_gpu(&self, node: &NodeId, edges: &mut Edges<'_>) {
        let name = edges.of.name.clone();
        for (replica, each) in self.replicas_on(node) {
            if self.gpus(node, each).iter().any(|gpu| gpu.as_str() == &*name) {
                edges.end(replica, EdgeKind::DependsOn);
            }
        }
    }

    fn of_node(&self, node: &NodeId, edges: &mut Edges<'_>) {
        let Some(driver) = self.graph.group_of(node, EntityKind::Driver) else { return };
        if let Some(recent) = self.changes.of_driver(node, EVER) {
            edges.begin_since(EdgeKind::ChangedBy, driver.clone(), recent.at);
        }
        edges.begin(EdgeKind::DependsOn, driver);
    }

    fn of_driver(&self, edges: &mut Edges<'_>) {
        for node in self.graph.nodes(edges.of) {
            edges.end(Entity::node(node), EdgeKind::DependsOn);
            if let Some(recent) = self.changes.of_driver(node, EVER) {
                edges.end_since(Entity::node(node), EdgeKind::ChangedBy, recent.at);
            }
        }
    }

    fn of_version(&self, edges: &mut Edges<'_>) {
        let own = edges.of;
        let Some((model, _)) = own.name.rsplit_once(':') else { return };
        for (node, entity, replica) in self.copies(model) {
            if let Some((_, at)) = self.changed(node, replica).filter(|(to, _)| to == own) {
                edges.end_since(entity.clone(), EdgeKind::ChangedBy, at);
            }
            if version(replica) == *own {
                edges.end(entity, EdgeKind::Serves);
            }
        }
    }

    fn of_model(&self, edges: &mut Edges<'_>) {
        let Ok(model) = ModelName::new(&edges.of.name) else { return };
        for service in self.graph.services(&model) {
            edges.begin(EdgeKind::Serves, group(EntityKind::Service, service));
        }
    }

    fn of_service(&self, edges: &mut Edges<'_>) {
        let name = edges.of.name.clone();
        for asker in self.graph.askers(&name) {
            edges.end(group(EntityKind::Service, asker), EdgeKind::DependsOn);
        }
        let Some(service) = self.graph.service(&name) else { return };
        for model in &service.models {
            edges.end(Entity::fleet(EntityKind::Model, model.as_str()), EdgeKind::Serves);
        }
        for asked in &service.depends_on {
            edges.begin(EdgeKind::DependsOn, group(EntityKind::Service, asked));
        }
    }

    /// To which version a replica was changed last, and when.
    pub(super) fn changed(&self, node: &NodeId, replica: &Replica) -> Option<(Entity, Timestamp)> {
        let recent = self.changes.of_model(node, &replica.model, EVER)?;
        let to = recent.version.as_ref()?;
        let name = format!("{}:{to}", replica.model);
        Some((Entity::fleet(EntityKind::Version, &name), recent.at))
    }

    /// The GPUs that a replica runs on, as far as its node knows.
    pub(super) fn gpus(&self, node: &NodeId, replica: &Replica) -> &[GpuUuid] {
        let servers = self.snapshot(node).into_iter().flat_map(|snapshot| &snapshot.servers);
        let models = servers.filter(|each| each.name == replica.server).flat_map(|s| &s.models);
        let mut own =
            models.filter(|each| each.name == replica.model && each.version == replica.version);
        own.next().map_or(&[], |model| model.gpus.as_slice())
    }
}

/// The edges of one thing, while they are gathered.
struct Edges<'a> {
    of: &'a Entity,
    found: Vec<Edge>,
}

impl Edges<'_> {
    fn begin(&mut self, kind: EdgeKind, to: Entity) {
        self.found.push(Edge { from: self.of.clone(), kind, to, at: None });
    }

    fn begin_since(&mut self, kind: EdgeKind, to: Entity, at: Timestamp) {
        self.found.push(Edge { from: self.of.clone(), kind, to, at: Some(at) });
    }

    fn end(&mut self, from: Entity, kind: EdgeKind) {
        self.found.push(Edge { from, kind, to: self.of.clone(), at: None });
    }

    fn end_since(&mut self, from: Entity, kind: EdgeKind, at: Timestamp) {
        self.found.push(Edge { from, kind, to: self.of.clone(), at: Some(at) });
    }
}
