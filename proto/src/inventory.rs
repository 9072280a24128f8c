//! What a node says of itself: its GPUs, servers, models and sources.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::event::Finding;
use crate::time::Timestamp;
use crate::vocab::{
    Availability, GpuUuid, ModelName, ModelVersion, ServerName, SourceName, SourceState,
};

/// A GPU of a node, or a MIG instance of one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Gpu {
    /// NVIDIA's UUID.
    pub uuid: GpuUuid,
    /// The driver's index; may change with a reboot. A MIG instance has that of its GPU.
    pub index: u32,
    /// E.g. `NVIDIA H100 80GB HBM3`.
    #[serde(default)]
    pub name: String,
    /// E.g. `00000000:1B:00.0`.
    #[serde(default)]
    pub pci_bus_id: String,
    /// 0 when it could not be read.
    #[serde(default)]
    pub memory_total_bytes: u64,
    /// `None` when it could not be read.
    pub memory_used_bytes: Option<u64>,
    /// Share of time a kernel ran, 0 to 1; `None` when it could not be read.
    pub utilization_ratio: Option<f64>,
    /// The driver cannot reach it.
    #[serde(default)]
    pub lost: bool,
    /// Of a MIG instance: the GPU that it is a part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<GpuUuid>,
    /// Of a MIG instance: e.g. `3g.40gb`; empty when unknown.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub profile: String,
}

/// A model of a server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// Its name.
    pub name: ModelName,
    /// Its version.
    pub version: ModelVersion,
    /// Whether it serves.
    pub availability: Availability,
    /// The server's words where it does not.
    #[serde(default)]
    pub reason: String,
    /// Requests finished per second; `None` when unknown.
    pub requests_per_s: Option<f64>,
    /// Requests waiting; `None` when unknown.
    pub pending: Option<f64>,
    /// The GPUs it runs on, as far as they are known.
    #[serde(default)]
    pub gpus: Vec<GpuUuid>,
}

/// A Triton server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Server {
    /// Its name in the agent's config.
    pub name: ServerName,
    /// Its version; empty when unknown.
    #[serde(default)]
    pub version: String,
    /// Whether it serves.
    pub availability: Availability,
    /// Its models, by name and version.
    #[serde(default)]
    pub models: Vec<Model>,
}

/// One of the agent's sources.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// E.g. `nvml`.
    pub name: SourceName,
    /// Whether it sees.
    pub state: SourceState,
    /// Why not; empty when it sees.
    #[serde(default)]
    pub reason: String,
}

/// What is true now on a node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// When, by the node's wall clock; 1970 where that was not told.
    #[serde(default)]
    pub observed_at: Timestamp,
    /// Its name to the operating system.
    #[serde(default)]
    pub hostname: String,
    /// The GPU driver's version; empty when unknown.
    #[serde(default)]
    pub driver_version: String,
    /// Findings that are active.
    #[serde(default)]
    pub active: Vec<Finding>,
    /// Its GPUs, by index; the MIG instances of each after it.
    #[serde(default)]
    pub gpus: Vec<Gpu>,
    /// Its servers, in config order.
    #[serde(default)]
    pub servers: Vec<Server>,
    /// The agent's sources.
    #[serde(default)]
    pub sources: Vec<Source>,
    /// Where the node stands and what it is for, as its config says; e.g. `rack`, `zone`.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

impl Snapshot {
    /// The GPU that a MIG instance is a part of; `None` for a GPU, and where it is not known.
    #[must_use]
    pub fn parent_of(&self, uuid: &GpuUuid) -> Option<&GpuUuid> {
        self.gpus.iter().find(|gpu| gpu.uuid == *uuid)?.parent.as_ref()
    }

    /// A node of which nothing is known yet.
    pub fn empty(observed_at: Timestamp) -> Self {
        Self {
            observed_at,
            hostname: String::new(),
            driver_version: String::new(),
            active: Vec::new(),
            gpus: Vec::new(),
            servers: Vec::new(),
            sources: Vec::new(),
            labels: BTreeMap::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_survives_json_and_needs_to_say_only_what_there_is() {
        let said = r#"{"observed_at":"2026-11-23T08:00:00Z",
            "gpus":[{"uuid":"GPU-1","index":0}],"labels":{"rack":"r1"},
            "servers":[{"name":"default","availability":"ready",
                "models":[{"name":"bert","version":"1","availability":"failed"}]}],
            "sources":[{"name":"nvml","state":"seeing"}]}"#;
        let snapshot: Snapshot = serde_json::from_str(said).unwrap();
        assert_eq!(snapshot.servers[0].models[0].availability, Availability::Failed);
        let json = serde_json::to_string(&snapshot).unwrap();
        assert_eq!(serde_json::from_str::<Snapshot>(&json).unwrap(), snapshot);
    }

    #[test]
    fn an_instance_names_its_gpu_and_nothing_is_guessed() {
        let said = r#"{"gpus":[{"uuid":"GPU-1","index":0},
            {"uuid":"MIG-1","index":0,"parent":"GPU-1","profile":"3g.40gb"},
            {"uuid":"MIG-2","index":0}]}"#;
        let snapshot: Snapshot = serde_json::from_str(said).unwrap();
        let parent = |uuid| snapshot.parent_of(&GpuUuid::new(uuid).unwrap()).map(GpuUuid::as_str);
        assert_eq!(parent("MIG-1"), Some("GPU-1"));
        assert_eq!([parent("GPU-1"), parent("MIG-2"), parent("MIG-3")], [None; 3]);
    }
}
