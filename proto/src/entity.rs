//! Things of the fleet that can fail or be the cause of failures, by name.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use crate::event::Subject;
pub use crate::vocab::EntityKind;
use crate::vocab::{GpuUuid, NodeId};

/// A thing of the fleet. Two that are equal are the same thing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Entity {
    /// What it is.
    pub kind: EntityKind,
    /// Its name among those of its kind: a rack's name, the UUID of a GPU or of a MIG instance,
    /// `MODEL:VERSION`, `SERVER/MODEL:VERSION` for a replica, `PID@START_TICKS` for a process.
    pub name: Arc<str>,
    /// The node it is on; `None` for what is on no node or on many. A node's is itself.
    pub node: Option<NodeId>,
}

impl Entity {
    /// What is on no node or on many: a rack, a model, a service.
    #[must_use]
    pub fn fleet(kind: EntityKind, name: &str) -> Self {
        Self { kind, name: name.into(), node: None }
    }

    /// A node.
    #[must_use]
    pub fn node(node: &NodeId) -> Self {
        Self { kind: EntityKind::Node, name: node.as_str().into(), node: Some(node.clone()) }
    }

    /// A GPU of a node, or a MIG instance of one.
    #[must_use]
    pub fn gpu(node: &NodeId, uuid: &GpuUuid) -> Self {
        let kind = if uuid.is_mig() { EntityKind::MigInstance } else { EntityKind::Gpu };
        Self { kind, name: uuid.as_str().into(), node: Some(node.clone()) }
    }

    /// What a finding or a change on `node` is about.
    #[must_use]
    pub fn of(node: &NodeId, subject: &Subject) -> Self {
        let on = |kind, name: &str| Self { kind, name: name.into(), node: Some(node.clone()) };
        match subject {
            Subject::Node => Self::node(node),
            Subject::Gpu { uuid, .. } => Self::gpu(node, uuid),
            Subject::Process { pid, start_ticks, .. } => {
                on(EntityKind::Process, &format!("{pid}@{start_ticks}"))
            }
            Subject::Server { server } => on(EntityKind::Server, server.as_str()),
            Subject::Model { server, model, version } => {
                on(EntityKind::Replica, &format!("{server}/{model}:{version}"))
            }
            Subject::Source { source } => on(EntityKind::Source, source.as_str()),
        }
    }
}

impl fmt::Display for Entity {
    /// As people say it, e.g. `rack r7`, `gpu GPU-1 of node-a`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.node {
            Some(node) if self.kind != EntityKind::Node => {
                write!(f, "{} {} of {node}", self.kind, self.name)
            }
            Some(_) | None => write!(f, "{} {}", self.kind, self.name),
        }
    }
}
