//! Things of the fleet that can fail or be the cause of failures, by name.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::event::Subject;
pub use crate::vocab::EntityKind;
use crate::vocab::{GpuUuid, ModelName, ModelVersion, NodeId, ServerName};

/// A thing of the fleet. Two that are equal are the same thing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Entity {
    /// What it is.
    pub kind: EntityKind,
    /// Its name among those of its kind: a rack's name, the UUID of a GPU or of a MIG instance,
    /// `MODEL:VERSION`, `SERVER/MODEL:VERSION` for a replica, `PID@START_TICKS` for a process,
    /// `SENDER/KEY` for an alert.
    pub name: Arc<str>,
    /// The node it is on; `None` for what is on no node or on many. A node's is itself.
    #[serde(default)]
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
        Self { kind: gpu_kind(uuid), name: uuid.as_str().into(), node: Some(node.clone()) }
    }

    /// What a finding or a change is about, on `node` or on none.
    #[must_use]
    pub fn of(node: Option<&NodeId>, subject: &Subject) -> Self {
        let on = |kind, name: &str| Self { kind, name: name.into(), node: node.cloned() };
        match subject {
            Subject::Node => on(EntityKind::Node, node.map_or("", NodeId::as_str)),
            Subject::Gpu { uuid, .. } => on(gpu_kind(uuid), uuid.as_str()),
            Subject::Process { pid, start_ticks, .. } => {
                on(EntityKind::Process, &format!("{pid}@{start_ticks}"))
            }
            Subject::Server { server } => on(EntityKind::Server, server.as_str()),
            Subject::Model { server, model, version } => {
                on(EntityKind::Replica, &format!("{server}/{model}:{version}"))
            }
            Subject::Source { source } => on(EntityKind::Source, source.as_str()),
            Subject::Service { service } => Self::fleet(EntityKind::Service, service.as_str()),
            Subject::Alert { sender, key, .. } => {
                Self::fleet(EntityKind::Alert, &format!("{sender}/{key}"))
            }
        }
    }

    /// The server, model and version of a replica. Models are folders, so that none has a `/`.
    #[must_use]
    pub fn replica(&self) -> Option<(ServerName, ModelName, ModelVersion)> {
        let (server, rest) =
            self.name.rsplit_once('/').filter(|_| self.kind == EntityKind::Replica)?;
        let (model, version) = rest.rsplit_once(':')?;
        let server = ServerName::new(server).ok()?;
        Some((server, ModelName::new(model).ok()?, ModelVersion::new(version).ok()?))
    }

    /// The model of a model or of one of its versions, and the version where it is one.
    #[must_use]
    pub fn model(&self) -> Option<(ModelName, Option<ModelVersion>)> {
        let (model, version) = match self.kind {
            EntityKind::Model => (&*self.name, None),
            EntityKind::Version => {
                let (model, version) = self.name.rsplit_once(':')?;
                (model, Some(ModelVersion::new(version).ok()?))
            }
            _ => return None,
        };
        Some((ModelName::new(model).ok()?, version))
    }
}

fn gpu_kind(uuid: &GpuUuid) -> EntityKind {
    if uuid.is_mig() { EntityKind::MigInstance } else { EntityKind::Gpu }
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
