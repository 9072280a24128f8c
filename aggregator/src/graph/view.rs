//! The fleet as people see it: what is in what. Pure; nothing is kept here.
//!
//! It joins what the [`Graph`] knows of the fleet with what nodes say of themselves. A thing is in one
//! place: a node in its rack, else in its zone, else in its cluster; a MIG instance in its GPU. Beside
//! that a node or a service may belong to a tenant. Processes are known from findings alone, so their
//! node has them without listing them.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use gpuwarden_proto::entity::{Entity, EntityKind};
use gpuwarden_proto::inventory::{Gpu, Snapshot};
use gpuwarden_proto::vocab::{GpuUuid, ModelName, NodeId};

use super::{Graph, group};
use crate::correlate::change::Changes;
use crate::node::Node;
use crate::replica::{Replica, Replicas};

/// What is known of the fleet, to be looked at.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// What stands where and serves what.
    pub graph: &'a Graph,
    /// The nodes.
    pub nodes: &'a HashMap<NodeId, Node>,
    /// The replicas of models.
    pub replicas: &'a Replicas,
    /// What was changed of late.
    pub changes: &'a Changes,
}

impl<'a> View<'a> {
    /// What a thing is in, from the nearest outward; what it belongs to comes after what it stands in.
    #[must_use]
    pub fn ancestors(&self, entity: &Entity) -> Vec<Entity> {
        let mut found: Vec<Entity> = Vec::new();
        let mut level = self.within(entity);
        while !level.is_empty() {
            let fresh: Vec<Entity> =
                level.into_iter().filter(|each| !found.contains(each)).collect();
            found.extend(fresh.iter().cloned());
            level = fresh.iter().flat_map(|each| self.within(each)).collect();
        }
        found
    }

    /// What a thing is directly in.
    #[must_use]
    pub fn within(&self, entity: &Entity) -> Vec<Entity> {
        let Some(node) = &entity.node else { return self.within_fleet(entity) };
        match entity.kind {
            EntityKind::Node => {
                let told = |kind| self.graph.group_of(node, kind);
                let place = told(EntityKind::Rack)
                    .or_else(|| told(EntityKind::Zone))
                    .or_else(|| told(EntityKind::Cluster));
                place.into_iter().chain(told(EntityKind::Tenant)).collect()
            }
            EntityKind::MigInstance => {
                let here = self.snapshot(node).map_or(&[][..], |snapshot| &snapshot.gpus);
                let own = here.iter().find(|gpu| gpu.uuid.as_str() == &*entity.name);
                let whole = own.and_then(|gpu| whole_of(gpu, here));
                vec![whole.map_or_else(|| Entity::node(node), |uuid| Entity::gpu(node, uuid))]
            }
            EntityKind::Replica => {
                let mut here = self.replicas_on(node);
                let found = here.find(|(own, _)| own == entity);
                vec![found.map_or_else(|| Entity::node(node), |(_, of)| server(node, of))]
            }
            _ => vec![Entity::node(node)],
        }
    }

    fn within_fleet(&self, entity: &Entity) -> Vec<Entity> {
        match entity.kind {
            EntityKind::Rack | EntityKind::Zone => self.graph.larger(entity).into_iter().collect(),
            EntityKind::Version => {
                let model = entity.name.rsplit_once(':').map(|(model, _)| model);
                model.map(|model| Entity::fleet(EntityKind::Model, model)).into_iter().collect()
            }
            EntityKind::Service => {
                let tenant = self.graph.service(&entity.name).and_then(|of| of.tenant.as_ref());
                tenant.map(|tenant| group(EntityKind::Tenant, tenant)).into_iter().collect()
            }
            _ => Vec::new(),
        }
    }

    /// What is directly in a thing, in order.
    #[must_use]
    pub fn holds(&self, entity: &Entity) -> Vec<Entity> {
        match (entity.kind, &entity.node) {
            (EntityKind::Node, Some(node)) => self.on(node),
            (EntityKind::Gpu, Some(node)) => self.instances(node, entity),
            (EntityKind::Server, Some(node)) => {
                let here = self.replicas_on(node).filter(|(_, of)| server(node, of) == *entity);
                here.map(|(own, _)| own).collect()
            }
            (_, Some(_)) => Vec::new(),
            (EntityKind::Cluster | EntityKind::Zone | EntityKind::Rack, None) => self.parts(entity),
            (EntityKind::Tenant, None) => self.property(entity),
            (EntityKind::Model, None) => self.versions(&entity.name).into_iter().collect(),
            (_, None) => Vec::new(),
        }
    }

    /// What stands in a cluster, a zone or a rack.
    fn parts(&self, whole: &Entity) -> Vec<Entity> {
        let kinds: &[EntityKind] = match whole.kind {
            EntityKind::Cluster => &[EntityKind::Zone, EntityKind::Rack],
            EntityKind::Zone => &[EntityKind::Rack],
            _ => &[],
        };
        let mut parts: BTreeSet<Entity> = BTreeSet::new();
        for node in self.graph.nodes(whole) {
            let groups = kinds.iter().filter_map(|kind| self.graph.group_of(node, *kind));
            let groups = groups.filter(|part| !parts.contains(part));
            let fresh: Vec<Entity> = groups.collect();
            parts.extend(fresh.into_iter().filter(|part| self.is_in(part, whole)));
            let own = Entity::node(node);
            if self.is_in(&own, whole) {
                parts.insert(own);
            }
        }
        parts.into_iter().collect()
    }

    fn is_in(&self, part: &Entity, whole: &Entity) -> bool {
        self.within(part).contains(whole)
    }

    /// The versions of a model that run somewhere, or were given to what runs.
    pub(super) fn versions(&self, model: &str) -> BTreeSet<Entity> {
        let copies = self.copies(model);
        let told = |(node, _, replica): (&NodeId, Entity, &Replica)| {
            let changed = self.changed(node, replica).map(|(to, _)| to);
            std::iter::once(version(replica)).chain(changed)
        };
        copies.flat_map(told).collect()
    }

    /// What belongs to a tenant.
    fn property(&self, tenant: &Entity) -> Vec<Entity> {
        let services = self.graph.topology.services.iter();
        let own = services.filter(|(_, service)| service.tenant.as_ref() == Some(&tenant.name));
        let own = own.map(|(name, _)| group(EntityKind::Service, name));
        self.graph.nodes(tenant).map(Entity::node).chain(own).collect()
    }

    /// What is directly on a node: GPUs, servers, sources.
    fn on(&self, node: &NodeId) -> Vec<Entity> {
        let Some(snapshot) = self.snapshot(node) else { return Vec::new() };
        let on = |kind, name: &str| Entity { kind, name: name.into(), node: Some(node.clone()) };
        let gpus = snapshot.gpus.iter().filter(|gpu| whole_of(gpu, &snapshot.gpus).is_none());
        let gpus = gpus.map(|gpu| Entity::gpu(node, &gpu.uuid));
        let servers = snapshot.servers.iter().map(|of| on(EntityKind::Server, of.name.as_str()));
        let sources = snapshot.sources.iter().map(|of| on(EntityKind::Source, of.name.as_str()));
        gpus.chain(servers).chain(sources).collect()
    }

    fn instances(&self, node: &NodeId, gpu: &Entity) -> Vec<Entity> {
        let here = self.snapshot(node).map_or(&[][..], |snapshot| &snapshot.gpus);
        let of = |uuid: &GpuUuid| uuid.as_str() == &*gpu.name;
        let parts = here.iter().filter(|each| whole_of(each, here).is_some_and(of));
        parts.map(|each| Entity::gpu(node, &each.uuid)).collect()
    }

    /// What a node last said of itself.
    pub(super) fn snapshot(&self, node: &NodeId) -> Option<&'a Snapshot> {
        self.nodes.get(node)?.snapshot.as_deref()
    }

    /// The replicas on a node.
    pub(super) fn replicas_on<'b>(
        &self,
        node: &'b NodeId,
    ) -> impl Iterator<Item = (Entity, &'a Replica)> + use<'a, 'b> {
        let replicas = self.replicas.on(node);
        replicas.iter().map(move |replica| (entity(node, replica), replica))
    }

    /// The replicas of a model, over all nodes.
    pub(super) fn copies(
        &self,
        model: &str,
    ) -> impl Iterator<Item = (&'a NodeId, Entity, &'a Replica)> + use<'a> {
        let replicas = self.replicas;
        let model = ModelName::new(model).ok();
        let holders = model.as_ref().map(|model| replicas.holders(model));
        holders.into_iter().flatten().flat_map(move |node| {
            let model = model.clone();
            let own = replicas.on(node).iter();
            own.filter(move |replica| Some(&replica.model) == model.as_ref())
                .map(move |replica| (node, entity(node, replica), replica))
        })
    }
}

/// The GPU that a MIG instance is a part of, where it is on the node's own list.
fn whole_of<'g>(instance: &'g Gpu, here: &[Gpu]) -> Option<&'g GpuUuid> {
    let parent = instance.parent.as_ref().filter(|_| instance.uuid.is_mig())?;
    let listed = here.iter().any(|gpu| gpu.uuid == *parent && !parent.is_mig());
    listed.then_some(parent)
}

fn entity(node: &NodeId, replica: &Replica) -> Entity {
    let Replica { server, model, version, .. } = replica;
    let name: Arc<str> = format!("{server}/{model}:{version}").into();
    Entity { kind: EntityKind::Replica, name, node: Some(node.clone()) }
}

fn server(node: &NodeId, replica: &Replica) -> Entity {
    let name = replica.server.as_str().into();
    Entity { kind: EntityKind::Server, name, node: Some(node.clone()) }
}

/// The version of a model that a replica serves.
pub(super) fn version(replica: &Replica) -> Entity {
    Entity::fleet(EntityKind::Version, &format!("{}:{}", replica.model, replica.version))
}
