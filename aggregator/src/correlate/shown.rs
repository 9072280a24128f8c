//! The fleet as it is shown: what stands where, and what is open on it. Pure.

use std::collections::BTreeSet;

use gpuwarden_proto::entity::{Entity, EntityKind};
use gpuwarden_proto::event::Subject;
use gpuwarden_proto::incident::{Incident, Member};
use gpuwarden_proto::topology::{Branch, OpenIncident, Portrait};
use gpuwarden_proto::vocab::{GpuUuid, IncidentId, NodeId};

use super::State;
use super::candidate::model_of;
use crate::graph::{NotFound, View};

/// Edges of one thing that are shown.
const EDGES_MAX: usize = 1_000;
/// Incidents of one thing that are shown.
const OPEN_MAX: usize = 100;

impl State {
    /// What is known of the fleet, to be looked at.
    #[must_use]
    pub fn view(&self) -> View<'_> {
        let Self { graph, nodes, replicas, changes, .. } = self;
        View { graph, nodes, replicas, changes }
    }

    /// The fleet as a tree, down to `deepest`.
    #[must_use]
    pub fn tree(&self, deepest: EntityKind) -> Vec<Branch> {
        self.view().tree(deepest, |node| self.open_of(node))
    }

    /// All that is known of the thing of a name.
    ///
    /// # Errors
    ///
    /// There is none of that name, or there are several.
    pub fn portrait(&self, name: &str) -> Result<Portrait, NotFound> {
        let view = self.view();
        let entity = view.find(name)?;
        let mut edges = view.edges(&entity);
        let edges_total = edges.len() as u64;
        edges.truncate(EDGES_MAX);
        let on = |incident: &&Incident| incident.members.iter().any(|m| self.is_on(&entity, m));
        let mut open: Vec<OpenIncident> = self.incidents().filter(on).map(brief).collect();
        let open_total = open.len() as u64;
        open.sort_by_key(|incident| (incident.severity, incident.id));
        open.truncate(OPEN_MAX);
        let nodes = view.nodes_of(&entity);
        Ok(Portrait {
            ancestors: view.ancestors(&entity),
            unknown: view.unknown(&entity),
            totals: nodes.map(|nodes| view.totals(nodes.iter(), |node| self.open_of(node))),
            edges,
            edges_total,
            open,
            open_total,
            entity,
        })
    }

    fn open_of(&self, node: &NodeId) -> BTreeSet<IncidentId> {
        let places = self.nodes.get(node).into_iter().flat_map(|node| node.findings.values());
        places.filter(|place| !place.settled).map(|place| place.incident).collect()
    }

    /// Whether a member is about a thing, or about something in it.
    fn is_on(&self, entity: &Entity, member: &Member) -> bool {
        let named = |about: &Entity| about.kind == entity.kind && about.name == entity.name;
        let here = |about: &Entity| about.node.is_none() || about.node == entity.node;
        if member.about.iter().any(|about| named(about) && here(about)) {
            return true;
        }
        if let Subject::Service { service } = &member.subject {
            return match entity.kind {
                EntityKind::Service => service.as_str() == &*entity.name,
                EntityKind::Tenant => self.is_of(service.as_str(), entity),
                _ => false,
            };
        }
        if let Some(node) = &entity.node {
            return member.is_on(node) && is_about(entity, member);
        }
        let held = || member.node.as_ref().is_some_and(|node| self.graph.holds(entity, node));
        let Some(model) = model_of(&member.subject) else { return held() };
        let services = self.graph.services(model);
        match entity.kind {
            EntityKind::Model => model.as_str() == &*entity.name,
            EntityKind::Version => version_of(&member.subject).as_deref() == Some(&entity.name),
            EntityKind::Service => services.contains(&entity.name),
            EntityKind::Tenant => held() || services.iter().any(|name| self.is_of(name, entity)),
            _ => held(),
        }
    }

    fn is_of(&self, service: &str, tenant: &Entity) -> bool {
        let of = self.graph.service(service).and_then(|service| service.tenant.as_ref());
        of == Some(&tenant.name)
    }
}

/// Whether a member of the same node is about a thing on it, or about what is on that.
fn is_about(entity: &Entity, member: &Member) -> bool {
    let named = |uuid: &GpuUuid| uuid.as_str() == &*entity.name;
    match (entity.kind, &member.subject) {
        (EntityKind::Node, _) => true,
        (EntityKind::Gpu | EntityKind::MigInstance, subject) => {
            let own = match subject {
                Subject::Gpu { uuid, .. } | Subject::Process { gpu: uuid, .. } => named(uuid),
                _ => false,
            };
            own || member.gpus.iter().any(named)
        }
        (EntityKind::Server, Subject::Server { server } | Subject::Model { server, .. }) => {
            server.as_str() == &*entity.name
        }
        (_, subject) => Entity::of(member.node.as_ref(), subject) == *entity,
    }
}

fn version_of(subject: &Subject) -> Option<String> {
    match subject {
        Subject::Model { model, version, .. } => Some(format!("{model}:{version}")),
        _ => None,
    }
}

fn brief(incident: &Incident) -> OpenIncident {
    let Incident { id, severity, kind, title, .. } = incident;
    OpenIncident { id: *id, severity: *severity, kind: *kind, title: title.clone() }
}
