//! What stands where and what serves what: cluster, zone, rack, node, driver, model, service, tenant.
//! Pure.
//!
//! It is fed by a [`Topology`] file, by the labels `rack`, `zone`, `cluster` and `tenant` of the nodes,
//! and by what nodes say of themselves. The file wins over labels. What none of them tells stays
//! unknown: a node without a rack shares its rack with nobody.
//!
//! What correlation asks all the time is kept here. [`View`] shows all of it with what is on the nodes
//! as typed edges, for people.

mod edges;
mod find;
#[cfg(test)]
mod tests;
mod topology;
mod tree;
mod unknown;
mod upstream;
mod view;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use gpuwarden_proto::entity::{Entity, EntityKind};
use gpuwarden_proto::inventory::Snapshot;
use gpuwarden_proto::vocab::{ModelName, NodeId};

pub use find::NotFound;
pub use topology::{Service, Topology};
pub use tree::LEVELS;
pub use view::View;

use self::upstream::Upstream;

/// Services that are followed upstream; a chain may be a circle by mistake.
const UPSTREAM_MAX: usize = 64;

/// The fleet as far as it is known.
#[derive(Debug, Default)]
pub struct Graph {
    topology: Topology,
    sites: HashMap<NodeId, Site>,
    /// Nodes of each cluster, zone, rack, driver version and tenant.
    groups: HashMap<Entity, BTreeSet<NodeId>>,
    /// Services of each model.
    services: HashMap<ModelName, Vec<Arc<str>>>,
    /// Services that ask each service.
    askers: HashMap<Arc<str>, Vec<Arc<str>>>,
    upstream: Upstream,
}

/// Where a node stands and whose it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Site {
    /// Its cluster.
    pub cluster: Option<Arc<str>>,
    /// Its zone.
    pub zone: Option<Arc<str>>,
    /// Its rack.
    pub rack: Option<Arc<str>>,
    /// The version of its GPU driver.
    pub driver: Option<Arc<str>>,
    /// Whose it is, where it is somebody's own.
    pub tenant: Option<Arc<str>>,
}

impl Site {
    /// What it tells of one kind of group.
    fn told(&self, kind: EntityKind) -> Option<&Arc<str>> {
        match kind {
            EntityKind::Cluster => self.cluster.as_ref(),
            EntityKind::Zone => self.zone.as_ref(),
            EntityKind::Rack => self.rack.as_ref(),
            EntityKind::Driver => self.driver.as_ref(),
            EntityKind::Tenant => self.tenant.as_ref(),
            _ => None,
        }
    }

    /// All groups that the node is part of.
    fn groups(&self) -> impl Iterator<Item = Entity> {
        GROUPS.into_iter().filter_map(|kind| Some(group(kind, self.told(kind)?)))
    }
}

/// Kinds of things that are known by their nodes.
const GROUPS: [EntityKind; 5] = [
    EntityKind::Cluster,
    EntityKind::Zone,
    EntityKind::Rack,
    EntityKind::Driver,
    EntityKind::Tenant,
];

/// A thing of the fleet by a name that is kept already.
fn group(kind: EntityKind, name: &Arc<str>) -> Entity {
    Entity { kind, name: Arc::clone(name), node: None }
}

impl Graph {
    /// What a file tells, before any node has spoken.
    #[must_use]
    pub fn new(topology: Topology) -> Self {
        let upstream = Upstream::new(&topology);
        let mut graph = Self { topology, upstream, ..Self::default() };
        for (name, service) in &graph.topology.services {
            for model in &service.models {
                graph.services.entry(model.clone()).or_default().push(Arc::clone(name));
            }
            for upstream in &service.depends_on {
                graph.askers.entry(Arc::clone(upstream)).or_default().push(Arc::clone(name));
            }
        }
        let placed: Vec<NodeId> = graph.topology.nodes.keys().cloned().collect();
        placed.iter().for_each(|node| graph.stand(node, Site::default()));
        graph
    }

    /// Takes a node's own word for where it stands, as far as the file is silent.
    pub fn place(&mut self, node: &NodeId, snapshot: &Snapshot) {
        let known = |text: &str| (!text.is_empty()).then(|| Arc::from(text));
        let label = |key: &str| snapshot.labels.get(key).and_then(|value| known(value));
        let site = Site {
            cluster: label("cluster"),
            zone: label("zone"),
            rack: label("rack"),
            driver: known(&snapshot.driver_version),
            tenant: label("tenant"),
        };
        self.stand(node, site);
    }

    /// Takes note that a node has another driver.
    pub fn drive(&mut self, node: &NodeId, version: &str) {
        let site = self.sites.get(node).cloned().unwrap_or_default();
        self.stand(node, Site { driver: Some(Arc::from(version)), ..site });
    }

    fn stand(&mut self, node: &NodeId, told: Site) {
        let site = self.complete(node, told);
        if self.sites.get(node) == Some(&site) {
            return;
        }
        if let Some(before) = self.sites.insert(node.clone(), site.clone()) {
            before.groups().for_each(|group| self.leave(&group, node));
        }
        for group in site.groups() {
            self.groups.entry(group).or_default().insert(node.clone());
        }
    }

    /// The file's word before the node's own.
    fn complete(&self, node: &NodeId, told: Site) -> Site {
        let file = &self.topology;
        let placed = file.nodes.get(node);
        let rack = placed.cloned().or(told.rack);
        let zone = rack.as_ref().and_then(|rack| file.racks.get(rack)).cloned().or(told.zone);
        let of_zone = zone.as_ref().and_then(|zone| file.zones.get(zone)).cloned();
        let of_file = || file.cluster.clone();
        let by_file = of_zone.or_else(|| placed.and_then(|_| of_file()));
        let cluster = by_file.or(told.cluster).or_else(of_file);
        Site { cluster, zone, rack, ..told }
    }

    fn leave(&mut self, group: &Entity, node: &NodeId) {
        let Some(nodes) = self.groups.get_mut(group) else { return };
        nodes.remove(node);
        if nodes.is_empty() {
            self.groups.remove(group);
        }
    }

    /// Where a node stands; nothing where nobody told.
    #[must_use]
    pub fn site(&self, node: &NodeId) -> Option<&Site> {
        self.sites.get(node)
    }

    /// The rack of a node.
    #[must_use]
    pub fn rack(&self, node: &NodeId) -> Option<&Arc<str>> {
        self.sites.get(node)?.rack.as_ref()
    }

    /// The zone of a node.
    #[must_use]
    pub fn zone(&self, node: &NodeId) -> Option<&Arc<str>> {
        self.sites.get(node)?.zone.as_ref()
    }

    /// What a node is part of, of one kind: its rack, zone, cluster, driver version or tenant.
    #[must_use]
    pub fn group_of(&self, node: &NodeId, kind: EntityKind) -> Option<Entity> {
        Some(group(kind, self.sites.get(node)?.told(kind)?))
    }

    /// Whether a node belongs to a cluster, a zone, a rack, a driver version or a tenant.
    #[must_use]
    pub fn holds(&self, group: &Entity, node: &NodeId) -> bool {
        if !GROUPS.contains(&group.kind) {
            return group.node.as_ref() == Some(node);
        }
        self.sites.get(node).and_then(|site| site.told(group.kind)) == Some(&group.name)
    }

    /// Nodes of a cluster, a zone, a rack, a driver version or a tenant; 0 where none is known.
    #[must_use]
    pub fn size(&self, group: &Entity) -> usize {
        self.groups.get(group).map_or(0, BTreeSet::len)
    }

    /// The nodes of such a group, in the order of their names.
    fn nodes(&self, group: &Entity) -> impl Iterator<Item = &NodeId> {
        self.groups.get(group).into_iter().flatten()
    }

    /// What a rack or a zone is in: the zone of a rack, else the cluster. A group is in one thing
    /// only; where the labels of its nodes contradict each other, the first node is believed.
    #[must_use]
    pub fn larger(&self, part: &Entity) -> Option<Entity> {
        let told = |kind| self.nodes(part).find_map(|node| self.group_of(node, kind));
        match part.kind {
            EntityKind::Rack => {
                let by_file = self.topology.racks.get(&part.name);
                let zone = by_file.map(|zone| group(EntityKind::Zone, zone));
                zone.or_else(|| told(EntityKind::Zone)).or_else(|| told(EntityKind::Cluster))
            }
            EntityKind::Zone => {
                let by_file = self.topology.zones.get(&part.name);
                let cluster = by_file.map(|cluster| group(EntityKind::Cluster, cluster));
                cluster.or_else(|| told(EntityKind::Cluster))
            }
            _ => None,
        }
    }

    /// The services that a model is part of, in the order of their names.
    #[must_use]
    pub fn services(&self, model: &ModelName) -> &[Arc<str>] {
        self.services.get(model).map_or(&[], Vec::as_slice)
    }

    /// The services that ask a service.
    #[must_use]
    pub fn askers(&self, service: &str) -> &[Arc<str>] {
        self.askers.get(service).map_or(&[], Vec::as_slice)
    }

    /// A service of the file.
    #[must_use]
    pub fn service(&self, name: &str) -> Option<&Service> {
        self.topology.services.get(name)
    }

    /// How many steps upstream of a service of `effect` a service of `cause` is: 0 when a service has
    /// both, 1 when one depends on the other. `None` when it is not upstream.
    #[must_use]
    pub fn hops(&self, cause: &ModelName, effect: &ModelName) -> Option<usize> {
        self.upstream.hops(cause, effect)
    }

    /// The services of a model and all that they ask, over any number of steps.
    #[must_use]
    pub fn neighbourhood(&self, model: &ModelName) -> BTreeSet<Arc<str>> {
        let mut found: BTreeSet<Arc<str>> = self.services(model).iter().cloned().collect();
        let mut level: Vec<Arc<str>> = found.iter().cloned().collect();
        while let Some(name) = level.pop() {
            let above = self.topology.services.get(&name).into_iter().flat_map(|s| &s.depends_on);
            for upstream in above {
                if found.len() < UPSTREAM_MAX && found.insert(Arc::clone(upstream)) {
                    level.push(Arc::clone(upstream));
                }
            }
        }
        found
    }
}
