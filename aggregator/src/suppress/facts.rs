//! What can be matched of a finding: itself, its incident, and what is known of its node.

use std::collections::HashMap;

use gpuwarden_proto::entity::{Entity, EntityKind};
use gpuwarden_proto::event::Subject;
use gpuwarden_proto::incident::{Incident, Member};
use gpuwarden_proto::silence::MatchKey;
use gpuwarden_proto::vocab::{ModelName, NodeId, ServerName};

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
    /// Tells each value that it has for a key; none where it has none.
    pub(super) fn each(self, key: &MatchKey, told: &mut dyn FnMut(&str)) {
        let graph = self.fleet.graph;
        match key {
            MatchKey::Node => told(self.member.node.as_str()),
            MatchKey::Gpu => self.gpus(told),
            MatchKey::Model => self.model().map(ModelName::as_str).into_iter().for_each(told),
            MatchKey::Server => self.server().map(ServerName::as_str).into_iter().for_each(told),
            MatchKey::Service => self.services().for_each(told),
            MatchKey::Tenant => {
                let services = self.services().filter_map(|name| graph.service(name));
                let tenants = services.map(|service| service.tenant.as_str());
                tenants.filter(|tenant| !tenant.is_empty()).for_each(told);
            }
            MatchKey::Rack => graph.rack(&self.member.node).into_iter().for_each(|rack| told(rack)),
            MatchKey::Zone => graph.zone(&self.member.node).into_iter().for_each(|zone| told(zone)),
            MatchKey::Cluster => {
                Some(graph.cluster()).filter(|c| !c.is_empty()).into_iter().for_each(told)
            }
            MatchKey::Rule => told(self.member.rule.as_str()),
            MatchKey::Type => told(self.incident.kind.as_str()),
            MatchKey::Severity => told(self.incident.severity.as_str()),
            MatchKey::Label(key) => {
                let node = self.fleet.nodes.get(&self.member.node);
                let snapshot = node.and_then(|node| node.snapshot.as_ref());
                let label = snapshot.and_then(|snapshot| snapshot.labels.get(key.as_str()));
                label.into_iter().for_each(|label| told(label));
            }
        }
    }

    /// Whether the finding is on a thing of the fleet, or on a part of it.
    pub(super) fn on(self, entity: &Entity) -> bool {
        let (member, graph) = (self.member, self.fleet.graph);
        if entity.node.as_ref().is_some_and(|node| *node != member.node) {
            return false;
        }
        let name = entity.name.as_ref();
        let named = |own: &Entity| own.kind == entity.kind && own.name == entity.name;
        match entity.kind {
            EntityKind::Node => member.node.as_str() == name,
            EntityKind::Rack | EntityKind::Zone | EntityKind::Driver => {
                graph.holds(entity, &member.node)
            }
            EntityKind::Gpu => {
                let mut found = false;
                self.gpus(&mut |gpu| found |= gpu == name);
                found
            }
            EntityKind::Server => self.server().is_some_and(|server| server.as_str() == name),
            EntityKind::Model => self.model().is_some_and(|model| model.as_str() == name),
            EntityKind::Version => self.version().is_some_and(|version| version == name),
            EntityKind::Service => self.services().any(|service| service == name),
            EntityKind::Process | EntityKind::Replica | EntityKind::Source => {
                named(&Entity::of(&member.node, &member.subject))
            }
        }
    }

    /// UUIDs of the GPUs that it is on, and the index of the one that it is about.
    fn gpus(self, told: &mut dyn FnMut(&str)) {
        match &self.member.subject {
            Subject::Gpu { uuid, index } => {
                told(uuid.as_str());
                index.iter().for_each(|index| told(&index.to_string()));
            }
            Subject::Process { gpu, .. } => told(gpu.as_str()),
            Subject::Node
            | Subject::Server { .. }
            | Subject::Model { .. }
            | Subject::Source { .. } => {}
        }
        self.member.gpus.iter().for_each(|gpu| told(gpu.as_str()));
    }

    fn model(self) -> Option<&'a ModelName> {
        match &self.member.subject {
            Subject::Model { model, .. } => Some(model),
            _ => None,
        }
    }

    fn version(self) -> Option<String> {
        match &self.member.subject {
            Subject::Model { model, version, .. } => Some(format!("{model}:{version}")),
            _ => None,
        }
    }

    fn server(self) -> Option<&'a ServerName> {
        match &self.member.subject {
            Subject::Server { server } | Subject::Model { server, .. } => Some(server),
            _ => None,
        }
    }

    fn services(self) -> impl Iterator<Item = &'a str> {
        let model = self.model().into_iter();
        model.flat_map(move |model| self.fleet.graph.services(model)).map(AsRef::as_ref)
    }
}
