//! What stands where and what serves what: zone, rack, node, driver, model, service. Pure.
//!
//! It is fed by a [`Topology`] file, by the labels `rack` and `zone` of the nodes, and by what nodes
//! say of themselves. The file wins over labels. What none of them tells stays unknown: a node
//! without a rack shares its rack with nobody.

mod topology;
mod upstream;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use gpuwarden_proto::entity::{Entity, EntityKind};
use gpuwarden_proto::inventory::Snapshot;
use gpuwarden_proto::vocab::{ModelName, NodeId};

pub use topology::{Service, Topology};

use self::upstream::Upstream;

/// Services that are followed upstream; a chain may be a circle by mistake.
const UPSTREAM_MAX: usize = 64;

/// The fleet as far as it is known.
#[derive(Debug, Default)]
pub struct Graph {
    topology: Topology,
    sites: HashMap<NodeId, Site>,
    /// Nodes of each rack.
    racks: HashMap<Arc<str>, BTreeSet<NodeId>>,
    /// Racks of each zone.
    zones: HashMap<Arc<str>, BTreeSet<Arc<str>>>,
    /// Nodes of each driver version.
    drivers: HashMap<Arc<str>, BTreeSet<NodeId>>,
    /// Services of each model.
    services: HashMap<ModelName, Vec<Arc<str>>>,
    /// Services that ask each service.
    askers: HashMap<Arc<str>, Vec<Arc<str>>>,
    upstream: Upstream,
}

/// Where a node stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Site {
    /// Its rack.
    pub rack: Option<Arc<str>>,
    /// Its zone.
    pub zone: Option<Arc<str>>,
    /// The version of its GPU driver.
    pub driver: Option<Arc<str>>,
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
        let label = |key: &str| snapshot.labels.get(key).map(|value| Arc::from(value.as_str()));
        let driver = snapshot.driver_version.as_str();
        let driver = (!driver.is_empty()).then(|| Arc::from(driver));
        self.stand(node, Site { rack: label("rack"), zone: label("zone"), driver });
    }

    /// Takes note that a node has another driver.
    pub fn drive(&mut self, node: &NodeId, version: &str) {
        let site = self.sites.get(node).cloned().unwrap_or_default();
        self.stand(node, Site { driver: Some(Arc::from(version)), ..site });
    }

    fn stand(&mut self, node: &NodeId, told: Site) {
        let rack = self.topology.nodes.get(node).cloned().or(told.rack);
        let of_rack = rack.as_ref().and_then(|rack| self.topology.racks.get(rack)).cloned();
        let site = Site { rack, zone: of_rack.or(told.zone), driver: told.driver };
        if self.sites.get(node) == Some(&site) {
            return;
        }
        if let Some(before) = self.sites.insert(node.clone(), site.clone()) {
            drop_from(&mut self.racks, before.rack.as_ref(), node);
            drop_from(&mut self.drivers, before.driver.as_ref(), node);
        }
        if let Some(rack) = &site.rack {
            self.racks.entry(Arc::clone(rack)).or_default().insert(node.clone());
            if let Some(zone) = &site.zone {
                self.zones.entry(Arc::clone(zone)).or_default().insert(Arc::clone(rack));
            }
        }
        if let Some(driver) = &site.driver {
            self.drivers.entry(Arc::clone(driver)).or_default().insert(node.clone());
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

    /// Whether a node belongs to a rack, a zone or a driver version.
    #[must_use]
    pub fn holds(&self, group: &Entity, node: &NodeId) -> bool {
        let Some(site) = self.sites.get(node) else { return false };
        let told = match group.kind {
            EntityKind::Rack => &site.rack,
            EntityKind::Zone => &site.zone,
            EntityKind::Driver => &site.driver,
            _ => return group.node.as_ref() == Some(node),
        };
        told.as_ref() == Some(&group.name)
    }

    /// Nodes of a rack or of a driver version, racks of a zone; 0 where none is known.
    #[must_use]
    pub fn size(&self, group: &Entity) -> usize {
        match group.kind {
            EntityKind::Rack => self.racks.get(&group.name).map_or(0, BTreeSet::len),
            EntityKind::Driver => self.drivers.get(&group.name).map_or(0, BTreeSet::len),
            EntityKind::Zone => self.zones.get(&group.name).map_or(0, BTreeSet::len),
            _ => 0,
        }
    }

    /// The zone that a rack is in.
    #[must_use]
    pub fn zone_of_rack(&self, rack: &Entity) -> Option<&Arc<str>> {
        let node = self.racks.get(&rack.name).filter(|_| rack.kind == EntityKind::Rack)?.first()?;
        self.zone(node)
    }

    /// The cluster's name; empty when it has none.
    #[must_use]
    pub fn cluster(&self) -> &str {
        &self.topology.cluster
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

fn drop_from(
    sets: &mut HashMap<Arc<str>, BTreeSet<NodeId>>,
    key: Option<&Arc<str>>,
    node: &NodeId,
) {
    if let Some(set) = key.and_then(|key| sets.get_mut(key)) {
        set.remove(node);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{at, node};
    use gpuwarden_proto::time::Timestamp;

    fn graph(text: &str) -> Graph {
        Graph::new(Topology::parse("t.toml", text).unwrap())
    }

    fn labelled(pairs: &[(&str, &str)]) -> Snapshot {
        let mut snapshot = Snapshot::empty(at(0));
        let own = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        snapshot.labels = pairs.iter().map(own).collect();
        snapshot
    }

    fn model(name: &str) -> ModelName {
        ModelName::new(name).unwrap()
    }

    #[test]
    fn the_file_wins_over_labels_and_silence_stays_unknown() {
        let text = "[[rack]]\nname = \"r1\"\nzone = \"a\"\nnodes = [\"n1\"]";
        let mut graph = graph(text);
        graph.place(&node("n1"), &labelled(&[("rack", "r9"), ("zone", "b")]));
        graph.place(&node("n2"), &labelled(&[("rack", "r1")]));
        graph.place(&node("n3"), &Snapshot::empty(Timestamp::default()));
        assert_eq!(graph.rack(&node("n1")).unwrap().as_ref(), "r1");
        assert_eq!(graph.zone(&node("n1")).unwrap().as_ref(), "a");
        assert_eq!(graph.zone(&node("n2")).unwrap().as_ref(), "a", "its rack is known");
        assert_eq!(graph.rack(&node("n3")), None);
        assert_eq!(graph.size(&Entity::fleet(EntityKind::Rack, "r1")), 2);
    }

    #[test]
    fn a_node_that_moves_is_counted_once() {
        let mut graph = Graph::default();
        graph.place(&node("n1"), &labelled(&[("rack", "r1")]));
        graph.place(&node("n1"), &labelled(&[("rack", "r2")]));
        let size = |name| graph.size(&Entity::fleet(EntityKind::Rack, name));
        assert_eq!((size("r1"), size("r2")), (0, 1));
    }

    #[test]
    fn what_is_upstream_is_found_over_several_steps_and_circles_end() {
        let graph = graph(
            "[[service]]\nname = \"web\"\nmodels = [\"m1\"]\ndepends_on = [\"rank\"]\n\
             [[service]]\nname = \"rank\"\nmodels = [\"m2\"]\ndepends_on = [\"embed\"]\n\
             [[service]]\nname = \"embed\"\nmodels = [\"m3\"]\ndepends_on = [\"web\"]",
        );
        assert_eq!(graph.hops(&model("m3"), &model("m1")), Some(2));
        assert_eq!(graph.hops(&model("m2"), &model("m1")), Some(1));
        assert_eq!(graph.hops(&model("m1"), &model("m1")), Some(0));
        assert_eq!(graph.hops(&model("m9"), &model("m1")), None);
        assert_eq!(graph.neighbourhood(&model("m1")).len(), 3);
    }
}
