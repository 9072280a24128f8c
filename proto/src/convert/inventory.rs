//! What a node says of itself.

use std::collections::{BTreeMap, HashMap};

use super::event::{gpus_from_wire, gpus_to_wire, unknown_number};
use super::{Refused, each};
use crate::inventory::{Gpu, LATENCY_COUNTS, Model, Served, Server, Snapshot, Source};
use crate::pb;
use crate::time::Timestamp;
use crate::vocab::{
    Availability, BadName, GpuUuid, ModelName, ModelVersion, ServerName, SourceName, SourceState,
};

/// Labels that one node may have.
pub const LABELS_MAX: usize = 32;
/// Bytes that a label's key or value may have.
pub const LABEL_MAX_BYTES: usize = 256;

fn labels(wire: HashMap<String, String>) -> Result<BTreeMap<String, String>, Refused> {
    let long = |text: &String| text.len() > LABEL_MAX_BYTES;
    if wire.len() > LABELS_MAX || wire.iter().any(|(key, value)| long(key) || long(value)) {
        let fault =
            format!("has more than {LABELS_MAX} labels, or one over {LABEL_MAX_BYTES} bytes");
        return Err(Refused { field: "labels", fault });
    }
    Ok(wire.into_iter().collect())
}

fn named(error: BadName) -> Refused {
    Refused::because("snapshot")(error.to_string())
}

impl From<Snapshot> for pb::Snapshot {
    fn from(snapshot: Snapshot) -> Self {
        Self {
            observed_unix_ns: snapshot.observed_at.unix_ns(),
            active: snapshot.active.into_iter().map(Into::into).collect(),
            gpus: snapshot.gpus.into_iter().map(Into::into).collect(),
            servers: snapshot.servers.into_iter().map(Into::into).collect(),
            sources: snapshot.sources.into_iter().map(Into::into).collect(),
            hostname: snapshot.hostname,
            driver_version: snapshot.driver_version,
            labels: snapshot.labels.into_iter().collect(),
        }
    }
}

impl TryFrom<pb::Snapshot> for Snapshot {
    type Error = Refused;

    fn try_from(wire: pb::Snapshot) -> Result<Self, Refused> {
        Ok(Self {
            observed_at: Timestamp::from_unix_ns(wire.observed_unix_ns),
            active: each(wire.active, TryInto::try_into)?,
            gpus: each(wire.gpus, TryInto::try_into)?,
            servers: each(wire.servers, TryInto::try_into)?,
            sources: each(wire.sources, TryInto::try_into)?,
            hostname: wire.hostname,
            driver_version: wire.driver_version,
            labels: labels(wire.labels)?,
        })
    }
}

impl From<Gpu> for pb::Gpu {
    fn from(gpu: Gpu) -> Self {
        Self {
            uuid: gpu.uuid.as_str().to_owned(),
            index: gpu.index,
            name: gpu.name,
            pci_bus_id: gpu.pci_bus_id,
            memory_total_bytes: gpu.memory_total_bytes,
            memory_used_bytes: gpu.memory_used_bytes,
            utilization_ratio: gpu.utilization_ratio,
            lost: gpu.lost,
            parent_uuid: gpu.parent.map(|parent| parent.as_str().to_owned()),
            profile: gpu.profile,
        }
    }
}

impl TryFrom<pb::Gpu> for Gpu {
    type Error = Refused;

    fn try_from(wire: pb::Gpu) -> Result<Self, Refused> {
        Ok(Self {
            uuid: GpuUuid::new(&wire.uuid).map_err(named)?,
            index: wire.index,
            name: wire.name,
            pci_bus_id: wire.pci_bus_id,
            memory_total_bytes: wire.memory_total_bytes,
            memory_used_bytes: wire.memory_used_bytes,
            utilization_ratio: wire.utilization_ratio,
            lost: wire.lost,
            parent: wire.parent_uuid.as_deref().map(GpuUuid::new).transpose().map_err(named)?,
            profile: wire.profile,
        })
    }
}

impl From<Server> for pb::Server {
    fn from(server: Server) -> Self {
        Self {
            name: server.name.as_str().to_owned(),
            version: server.version,
            availability: availability_to_wire(server.availability).into(),
            models: server.models.into_iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<pb::Server> for Server {
    type Error = Refused;

    fn try_from(wire: pb::Server) -> Result<Self, Refused> {
        Ok(Self {
            name: ServerName::new(&wire.name).map_err(named)?,
            version: wire.version,
            availability: availability_from_wire(wire.availability)?,
            models: each(wire.models, TryInto::try_into)?,
        })
    }
}

impl From<Model> for pb::Model {
    fn from(model: Model) -> Self {
        Self {
            name: model.name.as_str().to_owned(),
            version: model.version.as_str().to_owned(),
            availability: availability_to_wire(model.availability).into(),
            reason: model.reason,
            requests_per_s: model.requests_per_s,
            pending: model.pending,
            gpu_uuids: gpus_to_wire(&model.gpus),
            served: model.served.map(Into::into),
        }
    }
}

impl TryFrom<pb::Model> for Model {
    type Error = Refused;

    fn try_from(wire: pb::Model) -> Result<Self, Refused> {
        Ok(Self {
            name: ModelName::new(&wire.name).map_err(named)?,
            version: ModelVersion::new(&wire.version).map_err(named)?,
            availability: availability_from_wire(wire.availability)?,
            reason: wire.reason,
            requests_per_s: wire.requests_per_s,
            pending: wire.pending,
            gpus: gpus_from_wire(&wire.gpu_uuids)?,
            served: wire.served.map(Into::into),
        })
    }
}

impl From<Served> for pb::Served {
    fn from(served: Served) -> Self {
        Self {
            since_unix_ns: served.since.unix_ns(),
            requests: served.requests,
            failures: served.failures,
            latency: served.latency,
        }
    }
}

impl From<pb::Served> for Served {
    /// Counts by bounds that this version does not know are left out: they would be read wrongly.
    fn from(wire: pb::Served) -> Self {
        let known = wire.latency.len() == LATENCY_COUNTS;
        Self {
            since: Timestamp::from_unix_ns(wire.since_unix_ns),
            requests: wire.requests,
            failures: wire.failures,
            latency: if known { wire.latency } else { Vec::new() },
        }
    }
}

fn availability_to_wire(availability: Availability) -> pb::Availability {
    match availability {
        Availability::Unknown => pb::Availability::Unknown,
        Availability::Ready => pb::Availability::Ready,
        Availability::Loading => pb::Availability::Loading,
        Availability::Unloaded => pb::Availability::Unloaded,
        Availability::Failed => pb::Availability::Failed,
        Availability::Unreachable => pb::Availability::Unreachable,
    }
}

fn availability_from_wire(number: i32) -> Result<Availability, Refused> {
    Ok(match pb::Availability::try_from(number) {
        Ok(pb::Availability::Unknown) => Availability::Unknown,
        Ok(pb::Availability::Ready) => Availability::Ready,
        Ok(pb::Availability::Loading) => Availability::Loading,
        Ok(pb::Availability::Unloaded) => Availability::Unloaded,
        Ok(pb::Availability::Failed) => Availability::Failed,
        Ok(pb::Availability::Unreachable) => Availability::Unreachable,
        Ok(pb::Availability::Unspecified) | Err(_) => {
            return Err(unknown_number("availability", number));
        }
    })
}

impl From<Source> for pb::Source {
    fn from(source: Source) -> Self {
        let state = match source.state {
            SourceState::Absent => pb::SourceState::Absent,
            SourceState::Seeing => pb::SourceState::Seeing,
            SourceState::Blind => pb::SourceState::Blind,
        };
        Self { name: source.name.as_str().to_owned(), state: state.into(), reason: source.reason }
    }
}

impl TryFrom<pb::Source> for Source {
    type Error = Refused;

    fn try_from(wire: pb::Source) -> Result<Self, Refused> {
        let state = match pb::SourceState::try_from(wire.state) {
            Ok(pb::SourceState::Absent) => SourceState::Absent,
            Ok(pb::SourceState::Seeing) => SourceState::Seeing,
            Ok(pb::SourceState::Blind) => SourceState::Blind,
            Ok(pb::SourceState::Unspecified) | Err(_) => {
                return Err(unknown_number("source.state", wire.state));
            }
        };
        Ok(Self { name: SourceName::new(&wire.name).map_err(named)?, state, reason: wire.reason })
    }
}
