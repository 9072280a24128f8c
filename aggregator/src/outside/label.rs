//! What of the fleet an alert names, by its labels. Pure.

use core::net::IpAddr;

use gpuwarden_proto::entity::{Entity, EntityKind};
use gpuwarden_proto::vocab::{GpuUuid, ModelName, NodeId, ServiceName};

use super::Labels;

/// Which label names what; of each kind the first that is there counts. `instance` comes last, since
/// it names whoever was scraped, which may be somebody who tells of others.
pub const NAMES: &[(EntityKind, &[&str])] = &[
    (
        EntityKind::Node,
        &["node", "kubernetes_node", "Hostname", "hostname", "host", "nodename", "instance"],
    ),
    (EntityKind::Gpu, &["UUID", "gpu_uuid"]),
    (EntityKind::Model, &["model", "model_name"]),
    (EntityKind::Service, &["service", "app"]),
    (EntityKind::Rack, &["rack"]),
    (EntityKind::Zone, &["zone", "topology_kubernetes_io_zone"]),
];

/// The longest name of a rack or a zone, in bytes.
const PLACE_MAX_BYTES: usize = 128;

/// The things that labels name. What cannot be a name is passed over.
#[must_use]
pub fn entities(labels: &Labels) -> Vec<Entity> {
    let first = |names: &[&str]| names.iter().find_map(|name| labels.get(*name));
    NAMES.iter().filter_map(|(kind, names)| entity(*kind, first(names)?)).collect()
}

/// One thing by its name, if that can be one.
#[must_use]
pub fn entity(kind: EntityKind, name: &str) -> Option<Entity> {
    match kind {
        EntityKind::Node => NodeId::new(host(name)).ok().map(|node| Entity::node(&node)),
        EntityKind::Gpu => {
            let uuid = GpuUuid::new(name).ok()?;
            let real = name.starts_with("GPU-") || name.starts_with("MIG-");
            real.then(|| Entity::fleet(kind, uuid.as_str()))
        }
        EntityKind::Model => {
            ModelName::new(name).ok().map(|name| Entity::fleet(kind, name.as_str()))
        }
        EntityKind::Service => {
            ServiceName::new(name).ok().map(|name| Entity::fleet(kind, name.as_str()))
        }
        _ => {
            let good = name.len() <= PLACE_MAX_BYTES && !name.chars().any(char::is_control);
            (good && !name.is_empty()).then(|| Entity::fleet(kind, name))
        }
    }
}

/// A host without its port and without the brackets of IPv6.
fn host(name: &str) -> &str {
    if let Some(inner) = name.strip_prefix('[') {
        return inner.split(']').next().unwrap_or(inner);
    }
    match name.rsplit_once(':') {
        // More than one colon is an IPv6 address without a port.
        Some((host, port)) if !host.contains(':') && port.bytes().all(|b| b.is_ascii_digit()) => {
            host
        }
        Some(_) | None => name,
    }
}

/// The same names with nodes as the fleet knows them. A full name stands for the node of its first
/// part. A node that nobody knows is left out where something else is named: it may be an address,
/// or who tells of others, and would speak against what is named beside it.
#[must_use]
pub fn settled(about: Vec<Entity>, known: impl Fn(&NodeId) -> bool) -> Vec<Entity> {
    let others = about.iter().any(|entity| entity.kind != EntityKind::Node);
    let of_fleet = |entity: Entity| {
        let Some(node) = entity.node.as_ref().filter(|_| entity.kind == EntityKind::Node) else {
            return Some(entity);
        };
        let short = node.as_str().split('.').next().and_then(|name| NodeId::new(name).ok());
        let address = node.as_str().parse::<IpAddr>().is_ok();
        if known(node) {
            return Some(entity);
        }
        match short.filter(|short| !address && known(short)) {
            Some(short) => Some(Entity::node(&short)),
            None => (!others).then_some(entity),
        }
    };
    about.into_iter().filter_map(of_fleet).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(pairs: &[(&str, &str)]) -> Vec<String> {
        let labels = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        entities(&labels.collect()).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn labels_name_things_of_the_fleet() {
        let all = [
            ("instance", "gpu-7:9400"),
            ("UUID", "GPU-1"),
            ("model_name", "bert"),
            ("app", "chat"),
            ("rack", "r1"),
            ("zone", "a"),
            ("severity", "critical"),
        ];
        assert_eq!(
            named(&all),
            ["node gpu-7", "gpu GPU-1", "model bert", "service chat", "rack r1", "zone a"]
        );
        assert_eq!(named(&[("instance", "exporter:80"), ("Hostname", "gpu-7")]), ["node gpu-7"]);
        assert_eq!(named(&[("UUID", "0"), ("model", "")]), [""; 0]);
    }

    #[test]
    fn a_host_goes_without_its_port() {
        assert_eq!(
            ["a:80", "a", "10.0.0.1:80", "[::1]:80", "fe80::1", "a:b"].map(host),
            ["a", "a", "10.0.0.1", "::1", "fe80::1", "a:b"]
        );
    }

    #[test]
    fn a_node_that_nobody_knows_does_not_speak_against_what_else_is_named() {
        let known = |node: &NodeId| node.as_str() == "gpu-7";
        let settle = |pairs: &[(&str, &str)]| -> Vec<String> {
            let labels =
                pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            settled(entities(&labels.collect()), known).iter().map(ToString::to_string).collect()
        };
        assert_eq!(settle(&[("instance", "10.0.0.1:8002"), ("model", "bert")]), ["model bert"]);
        assert_eq!(
            settle(&[("node", "gpu-7.example.org"), ("model", "bert")]),
            ["node gpu-7", "model bert"]
        );
        assert_eq!(settle(&[("instance", "gateway:80")]), ["node gateway"]);
    }
}
