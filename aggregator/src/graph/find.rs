//! Things of the fleet by the names that people give them. Pure.

use gpuwarden_proto::entity::{Entity, EntityKind};
use gpuwarden_proto::vocab::{ModelName, NodeId};
use thiserror::Error;

use super::{GROUPS, View};

/// Things of one name that are told of.
const TOLD_MAX: usize = 6;

/// Why a name leads to nothing.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NotFound {
    /// Nobody told of such a thing.
    #[error(
        "nothing that is known is called `{0}`; `gpuwarden topology --depth node` lists the nodes, \
         and what is on a node is called NODE/NAME, e.g. node-a/default or node-a/default/bert:1"
    )]
    Unknown(String),
    /// It may be one of several.
    #[error(
        "`{name}` may be {these}; say which, with its kind (KIND:NAME) or its node (NODE/NAME)"
    )]
    Several {
        /// The name.
        name: String,
        /// Some of them.
        these: String,
    },
}

impl View<'_> {
    /// The thing of a name: `NAME`, `KIND:NAME`, and for what is on one node also `NODE/NAME`.
    ///
    /// # Errors
    ///
    /// There is none, or there are several.
    pub fn find(&self, name: &str) -> Result<Entity, NotFound> {
        let kind = name.split_once(':').and_then(|(kind, rest)| Some((kind.parse().ok()?, rest)));
        let (kind, rest): (Option<EntityKind>, &str) = match kind {
            Some((kind, rest)) => (Some(kind), rest),
            None => (None, name),
        };
        let mut found = self.called(rest);
        found.retain(|entity| kind.is_none_or(|kind| entity.kind == kind));
        found.sort();
        found.dedup();
        match (found.pop(), found.is_empty()) {
            (None, _) => Err(NotFound::Unknown(name.to_owned())),
            (Some(only), true) => Ok(only),
            (Some(last), false) => {
                found.push(last);
                let more = found.len().saturating_sub(TOLD_MAX);
                let mut these: Vec<String> =
                    found.iter().take(TOLD_MAX).map(ToString::to_string).collect();
                if more > 0 {
                    these.push(format!("{more} others"));
                }
                Err(NotFound::Several { name: name.to_owned(), these: these.join(", ") })
            }
        }
    }

    fn called(&self, name: &str) -> Vec<Entity> {
        let mut found: Vec<Entity> = Vec::new();
        let groups = GROUPS.into_iter().map(|kind| Entity::fleet(kind, name));
        found.extend(groups.filter(|group| self.graph.groups.contains_key(group)));
        let services = &self.graph.topology.services;
        if services.contains_key(name) || !self.graph.askers(name).is_empty() {
            found.push(Entity::fleet(EntityKind::Service, name));
        }
        if services.values().any(|service| service.tenant.as_deref() == Some(name)) {
            found.push(Entity::fleet(EntityKind::Tenant, name));
        }
        let model = ModelName::new(name).ok();
        let served = |model: &ModelName| {
            self.replicas.holders(model).next().is_some() || !self.graph.services(model).is_empty()
        };
        if model.as_ref().is_some_and(served) {
            found.push(Entity::fleet(EntityKind::Model, name));
        }
        if let Some((model, _)) = name.rsplit_once(':') {
            let version = Entity::fleet(EntityKind::Version, name);
            found.extend(self.versions(model).into_iter().filter(|each| *each == version));
        }
        if let Ok(node) = NodeId::new(name)
            && self.is_known(&node)
        {
            found.push(Entity::node(&node));
        }
        match name.split_once('/').and_then(|(on, rest)| Some((NodeId::new(on).ok()?, rest))) {
            Some((node, rest)) if self.is_known(&node) => {
                let here = self.everything_on(&node).into_iter();
                found.extend(here.filter(|entity| &*entity.name == rest));
            }
            Some(_) | None => found.extend(self.anywhere(name)),
        }
        found
    }

    /// GPUs, MIG instances, servers and replicas of a name, over all nodes.
    fn anywhere(&self, name: &str) -> Vec<Entity> {
        let mut found = Vec::new();
        for node in self.nodes.keys() {
            let Some(snapshot) = self.snapshot(node) else { continue };
            let gpus = snapshot.gpus.iter().filter(|gpu| gpu.uuid.as_str() == name);
            found.extend(gpus.map(|gpu| Entity::gpu(node, &gpu.uuid)));
            for rest in snapshot.servers.iter().filter_map(|s| name.strip_prefix(s.name.as_str())) {
                if rest.is_empty() {
                    let node = Some(node.clone());
                    found.push(Entity { kind: EntityKind::Server, name: name.into(), node });
                } else if rest.starts_with('/') {
                    let here = self.replicas_on(node).map(|(replica, _)| replica);
                    found.extend(here.filter(|replica| &*replica.name == name));
                }
            }
        }
        found
    }

    /// All that is listed on a node.
    pub(super) fn everything_on(&self, node: &NodeId) -> Vec<Entity> {
        let mut found = self.holds(&Entity::node(node));
        let mut next = 0;
        while let Some(entity) = found.get(next) {
            let parts = self.holds(entity);
            found.extend(parts);
            next += 1;
        }
        found
    }

    /// Whether a node has been heard of, or the topology file names it.
    fn is_known(&self, node: &NodeId) -> bool {
        self.nodes.contains_key(node) || self.graph.sites.contains_key(node)
    }
}
