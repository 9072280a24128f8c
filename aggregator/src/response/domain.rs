//! What fails by itself: the services, racks and zones that an incident is about. Pure.

use std::collections::BTreeSet;

use gpuwarden_proto::event::Subject;
use gpuwarden_proto::incident::{Incident, Member};
use gpuwarden_proto::vocab::{ModelName, ServiceName};

use crate::graph::Graph;

/// Failure domains that are told apart in one incident; more are one.
const DOMAINS_MAX: usize = 64;

/// The failure domains of what is active: what has failed as a whole, else the rack of each node, or
/// the node itself where no rack is known; and the services of the models.
pub(super) fn of(incident: &Incident, graph: &Graph) -> BTreeSet<String> {
    let mut domains = BTreeSet::new();
    for member in incident.members.iter().filter(|member| member.cleared_at.is_none()) {
        if domains.len() >= DOMAINS_MAX {
            break;
        }
        domains.extend(place(member, incident, graph));
        let services = model(&member.subject).map_or(&[][..], |model| graph.services(model));
        domains.extend(services.iter().map(|service| format!("service {service}")));
    }
    domains
}

fn place(member: &Member, incident: &Incident, graph: &Graph) -> Option<String> {
    let node = member.node.as_ref()?;
    let whole = incident.scope.as_ref().filter(|scope| graph.holds(scope, node));
    Some(match (whole, graph.rack(node)) {
        (Some(scope), _) => format!("{} {}", scope.kind, scope.name),
        (None, Some(rack)) => format!("rack {rack}"),
        (None, None) => format!("node {node}"),
    })
}

/// The service that an incident is routed by: that of the first member that has one.
pub(super) fn service(incident: &Incident, graph: &Graph) -> Option<ServiceName> {
    services(incident, graph).first().and_then(|service| ServiceName::new(service).ok())
}

/// The services of its members, each once, in the order of the members; at most four.
pub(super) fn services(incident: &Incident, graph: &Graph) -> Vec<String> {
    let mut services: Vec<String> = Vec::new();
    for member in &incident.members {
        let own = match &member.subject {
            Subject::Service { service } => vec![service.as_str().to_owned()],
            subject => {
                let services = model(subject).map_or(&[][..], |model| graph.services(model));
                services.iter().map(ToString::to_string).collect()
            }
        };
        for service in own {
            if services.len() < 4 && !services.contains(&service) {
                services.push(service);
            }
        }
    }
    services
}

fn model(subject: &Subject) -> Option<&ModelName> {
    match subject {
        Subject::Model { model, .. } => Some(model),
        _ => None,
    }
}
