//! What can be matched of a finding: itself, its incident, and what is known of its node.

use std::collections::HashMap;

use gpuwarden_proto::entity::{Entity, EntityKind};
use gpuwarden_proto::event::Subject;
use gpuwarden_proto::incident::{Incident, Member};
use gpuwarden_proto::silence::MatchKey;
use gpuwarden_proto::vocab::{ModelName, NodeId};

use crate::correlate::State;
use crate::graph::Graph;
use crate::node::Node;

/// What is known beside the incidents.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fleet<'a> {
    graph: &'a Graph,
    nodes: &'a HashMap<NodeId, Node>,
}

impl<'a> Fleet<'a> {
    /// What a state knows.
    pub(super) fn of(state: &'a State) -> Self {
        Self { graph: state.graph(), nodes: &state.nodes }
    }

    /// What can be matched of a finding of an incident.
    pub(super) fn facts(self, incident: &'a Incident, member: &'a Member) -> Facts<'a> {
        Facts { fleet: self, incident, member }
    }
}

/// What can be matched of one finding.
#[derive(Debug, Clone, Copy)]
pub(super) struct Facts<'a> {
    fleet: Fleet<'a>,
    incident: &'a Incident,
    member: &'a Member,
}

impl<'a> Facts<'a> {
    /// Tells each value that it has for a key; none where it has none. What a finding of no node
    /// names counts like what a node's finding is on.
    pub(super) fn each(self, key: &MatchKey, told: &mut dyn FnMut(&str)) {
        let graph = self.fleet.graph;
        match key {
            MatchKey::Node => self.nodes().for_each(|node| told(node.as_str())),
            MatchKey::Gpu => self.gpus(told),
            MatchKey::Model => self.models().for_each(told),
            MatchKey::Server => self.servers().for_each(told),
            MatchKey::Service => self.services(told),
            MatchKey::Tenant => self.services(&mut |name| {
                let service = graph.service(name);
                if let Some(tenant) = service.and_then(|service| service.tenant.as_ref()) {
                    told(tenant);
                }
            }),
            MatchKey::Rack => {
                self.nodes().filter_map(|node| graph.rack(node)).for_each(|rack| told(rack));
                self.named(EntityKind::Rack).for_each(told);
            }
            MatchKey::Zone => {
                self.nodes().filter_map(|node| graph.zone(node)).for_each(|zone| told(zone));
                self.named(EntityKind::Zone).for_each(told);
            }
            MatchKey::Cluster => {
                let sites = self.nodes().filter_map(|node| graph.site(node));
                sites.filter_map(|site| site.cluster.as_ref()).for_each(|cluster| told(cluster));
                self.named(EntityKind::Cluster).for_each(told);
            }
            MatchKey::Rule => told(self.member.rule.as_str()),
            MatchKey::Type => told(self.incident.kind.as_str()),
            MatchKey::Severity => told(self.incident.severity.as_str()),
            MatchKey::Label(key) => {
                let known = self.nodes().filter_map(|node| self.fleet.nodes.get(node));
                let snapshots = known.filter_map(|node| node.snapshot.as_ref());
                let labels = snapshots.filter_map(|snapshot| snapshot.labels.get(key.as_str()));
                labels.for_each(|label| told(label));
            }
        }
    }

    /// Whether the finding is on a thing of the fleet, or on a part of it.
    pub(super) fn on(self, entity: &Entity) -> bool {
        if entity.node.as_ref().is_some_and(|node| self.nodes().all(|own| own != node)) {
            return false;
        }
        let name = entity.name.as_ref();
        let has = |key: &MatchKey| {
            let mut found = false;
            self.each(key, &mut |value| found |= value == name);
            found
        };
        let named = |own: &Entity| own.kind == entity.kind && own.name == entity.name;
        let told = self.member.about.iter().any(named);
        match entity.kind {
            EntityKind::Node => has(&MatchKey::Node),
            EntityKind::Rack => has(&MatchKey::Rack),
            EntityKind::Zone => has(&MatchKey::Zone),
            EntityKind::Driver => {
                told || self.nodes().any(|node| self.fleet.graph.holds(entity, node))
            }
            EntityKind::Gpu => has(&MatchKey::Gpu),
            EntityKind::Server => has(&MatchKey::Server),
            EntityKind::Model => has(&MatchKey::Model),
            EntityKind::Version => told || self.version().is_some_and(|version| version == name),
            EntityKind::Service => has(&MatchKey::Service),
            EntityKind::Cluster => has(&MatchKey::Cluster),
            EntityKind::Tenant => has(&MatchKey::Tenant),
            EntityKind::MigInstance => has(&MatchKey::Gpu),
            EntityKind::Process
            | EntityKind::Replica
            | EntityKind::Source
            | EntityKind::Alert
            | EntityKind::Change => {
                told || named(&Entity::of(self.member.node.as_ref(), &self.member.subject))
            }
        }
    }

    /// The node that it is on, or those that it names.
    fn nodes(self) -> impl Iterator<Item = &'a NodeId> {
        let named = self.member.about.iter().filter_map(|entity| entity.node.as_ref());
        self.member.node.iter().chain(named)
    }

    /// What it names of a kind.
    fn named(self, kind: EntityKind) -> impl Iterator<Item = &'a str> {
        let about = self.member.about.iter().filter(move |entity| entity.kind == kind);
        about.map(|entity| entity.name.as_ref())
    }

    /// UUIDs of the GPUs that it is on, and the index of the one that it is about.
    fn gpus(self, told: &mut dyn FnMut(&str)) {
        match &self.member.subject {
            Subject::Gpu { uuid, index } => {
                told(uuid.as_str());
                index.iter().for_each(|index| told(&index.to_string()));
            }
            Subject::Process { gpu, .. } => told(gpu.as_str()),
            _ => {}
        }
        self.member.gpus.iter().for_each(|gpu| told(gpu.as_str()));
        self.named(EntityKind::Gpu).for_each(told);
    }

    fn models(self) -> impl Iterator<Item = &'a str> {
        let own = match &self.member.subject {
            Subject::Model { model, .. } => Some(model.as_str()),
            _ => None,
        };
        own.into_iter().chain(self.named(EntityKind::Model))
    }

    fn version(self) -> Option<String> {
        match &self.member.subject {
            Subject::Model { model, version, .. } => Some(format!("{model}:{version}")),
            _ => None,
        }
    }

    fn servers(self) -> impl Iterator<Item = &'a str> {
        let own = match &self.member.subject {
            Subject::Server { server } | Subject::Model { server, .. } => Some(server.as_str()),
            _ => None,
        };
        own.into_iter().chain(self.named(EntityKind::Server))
    }

    /// The services that it is of: its own, those that it names, and those of its models.
    fn services(self, told: &mut dyn FnMut(&str)) {
        if let Subject::Service { service } = &self.member.subject {
            told(service.as_str());
        }
        self.named(EntityKind::Service).for_each(&mut *told);
        let mut of = |model: &ModelName| {
            self.fleet.graph.services(model).iter().for_each(|service| told(service));
        };
        if let Subject::Model { model, .. } = &self.member.subject {
            of(model);
        }
        let named = self.named(EntityKind::Model).filter_map(|model| ModelName::new(model).ok());
        named.for_each(|model| of(&model));
    }
}
