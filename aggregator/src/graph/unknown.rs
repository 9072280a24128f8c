//! What is not known of a thing, and why, in words. Pure.

use gpuwarden_proto::entity::{Entity, EntityKind};
use gpuwarden_proto::vocab::NodeId;

use super::View;

impl View<'_> {
    /// What is not known of a thing, a sentence each.
    #[must_use]
    pub fn unknown(&self, entity: &Entity) -> Vec<String> {
        let name = &entity.name;
        match (entity.kind, &entity.node) {
            (EntityKind::Node, Some(node)) => self.unknown_of_node(node),
            (EntityKind::Rack, None) => {
                let missing = self.missing(entity, EntityKind::Zone);
                let sentence = || {
                    let file = self.file("does not say in which zone it is");
                    format!("zone unknown: {file}, and none of its nodes has a label `zone`")
                };
                missing.then(sentence).into_iter().collect()
            }
            (EntityKind::Zone, None) => {
                let missing = self.missing(entity, EntityKind::Cluster);
                let sentence = || {
                    let file = self.file("names no cluster");
                    format!("cluster unknown: {file}, and none of its nodes has a label `cluster`")
                };
                missing.then(sentence).into_iter().collect()
            }
            (EntityKind::MigInstance, Some(_)) => {
                let missing = self.missing(entity, EntityKind::Gpu);
                let sentence =
                    || "GPU unknown: the agent does not tell of which it is a part".into();
                missing.then(sentence).into_iter().collect()
            }
            (EntityKind::Replica, Some(node)) => {
                let own = self.replicas_on(node).find(|(each, _)| each == entity);
                let placed = own.is_some_and(|(_, replica)| !self.gpus(node, replica).is_empty());
                let sentence = || "GPU unknown: its server does not tell on which it runs".into();
                (!placed).then(sentence).into_iter().collect()
            }
            (EntityKind::Service, None) => {
                let missing = self.missing(entity, EntityKind::Tenant);
                let sentence = || format!("tenant unknown: the topology file gives {name} none");
                missing.then(sentence).into_iter().collect()
            }
            (EntityKind::Model, None) => {
                let model = gpuwarden_proto::vocab::ModelName::new(name).ok();
                let served = model.is_some_and(|model| !self.graph.services(&model).is_empty());
                let sentence = || {
                    format!(
                        "service unknown: {}",
                        self.file(&format!("has no service with {name}"))
                    )
                };
                (!served).then(sentence).into_iter().collect()
            }
            _ => Vec::new(),
        }
    }

    fn unknown_of_node(&self, node: &NodeId) -> Vec<String> {
        let silent = self.snapshot(node).is_none();
        let mut sentences = Vec::new();
        if silent {
            let sentence = "what is on it is unknown: it has never been heard of";
            sentences.push(sentence.to_owned());
        }
        for kind in [EntityKind::Rack, EntityKind::Zone, EntityKind::Cluster] {
            if self.missing(&Entity::node(node), kind) {
                let file = self.file(&format!("names no {kind} of {node}"));
                sentences.push(format!("{kind} unknown: {file}, and it has no label `{kind}`"));
            }
        }
        if !silent && self.graph.group_of(node, EntityKind::Driver).is_none() {
            sentences.push("driver unknown: its agent does not tell a version".to_owned());
        }
        sentences
    }

    /// Whether a thing is in nothing of a kind.
    fn missing(&self, entity: &Entity, kind: EntityKind) -> bool {
        self.ancestors(entity).iter().all(|each| each.kind != kind)
    }

    /// What the topology file lacks; or that there is none.
    fn file(&self, lacks: &str) -> String {
        if self.graph.topology == super::Topology::default() {
            "there is no topology file".to_owned()
        } else {
            format!("the topology file {lacks}")
        }
    }
}
