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

/// Upper bounds of what [`Served::latency`] counts, in microseconds, from the lowest; what took longer
/// than the last is counted behind it. They are a part of the contract: an objective for latency must
/// be one of them, since nothing between two of them is known.
pub const LATENCY_BOUNDS_US: [u64; 21] = [
    1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 150_000, 200_000, 250_000, 300_000,
    400_000, 500_000, 750_000, 1_000_000, 1_500_000, 2_000_000, 3_000_000, 5_000_000, 10_000_000,
    30_000_000,
];
/// The bounds, and one for what is beyond them.
pub const LATENCY_COUNTS: usize = LATENCY_BOUNDS_US.len() + 1;

/// What a model has served since the agent first saw it: counters that only grow. A server's own
/// counters begin anew when it does; these go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Served {
    /// Since when, by the node's wall clock. Another instant means that counting began anew.
    pub since: Timestamp,
    /// Requests that were answered or failed. Those that their client gave up are not counted.
    pub requests: u64,
    /// Those of them that failed.
    pub failures: u64,
    /// Answered requests by how long they took from receipt to answer: as many counts as
    /// [`LATENCY_COUNTS`], each of what took no longer than its bound and longer than the one below.
    ///
    /// It is a mean at each reading of the server's counters and not the time of each request: all
    /// requests that ended between two readings (half a second by default, 5 s where the page is a
    /// burden to its server) are counted at the bound of their mean. A few slow ones among many quick
    /// ones are not told apart from them. Requests whose time could not be read are in none; empty
    /// where nothing is known of times.
    #[serde(default)]
    pub latency: Vec<u64>,
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
    /// What it has served; `None` when its counters were never read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub served: Option<Served>,
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
