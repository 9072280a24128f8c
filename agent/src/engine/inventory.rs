//! What is true now, as the aggregator and `gpuwarden-agent status` are shown it.

use gpuwarden_proto::inventory::{Gpu, Model, Server, Snapshot, Source};
use gpuwarden_proto::vocab::Availability;

use super::Engine;
use crate::sample::{Moment, Now};
use crate::window::{GpuWindow, ModelWindow, Presence, ServerWindow, Window};

/// Rates are taken over this long.
const RATE_WINDOW: std::time::Duration = std::time::Duration::from_secs(10);

impl Engine {
    /// Processes of Triton servers, as far as they hold memory of a GPU.
    pub fn server_pids(&self) -> Vec<u32> {
        let processes = self.window.gpus.values().flat_map(|gpu| &gpu.processes);
        let servers = processes.filter(|process| process.is_server());
        let mut pids: Vec<u32> = servers.map(|process| process.pid).collect();
        pids.sort_unstable();
        pids.dedup();
        pids
    }

    /// What is true now.
    pub fn snapshot(&self, now: Now) -> Snapshot {
        let windows = self.window.gpus.values().filter(|gpu| !gpu.gone);
        let mut gpus: Vec<Gpu> = windows.map(|one| gpu(one, &self.window)).collect();
        gpus.sort_by_key(|gpu| (gpu.index, gpu.parent.is_some()));
        let source = |source: &crate::window::SourceWindow| Source {
            name: source.name.clone(),
            state: source.state(),
            reason: source.reason.clone(),
        };
        Snapshot {
            observed_at: now.wall,
            hostname: self.hostname.clone(),
            driver_version: self.window.driver_version.clone(),
            active: self.active().cloned().collect(),
            gpus,
            servers: self.window.servers.values().map(|one| server(one, now.moment)).collect(),
            sources: self.window.sources.values().map(source).collect(),
            labels: self.labels.clone(),
        }
    }
}

fn gpu(gpu: &GpuWindow, window: &Window) -> Gpu {
    let memory = gpu.memory_now();
    // An instance goes with its GPU.
    let whole = gpu.parent.as_ref().and_then(|parent| window.gpus.get(parent)).unwrap_or(gpu);
    Gpu {
        uuid: gpu.uuid.clone(),
        index: gpu.index.unwrap_or(u32::MAX),
        name: gpu.name.clone(),
        pci_bus_id: gpu.pci_bus_id.clone(),
        memory_total_bytes: memory.map_or(0, |memory| memory.total_bytes),
        memory_used_bytes: memory.map(|memory| memory.used_bytes),
        utilization_ratio: gpu.utilization_ratio,
        lost: whole.lost_since.is_some(),
        parent: gpu.parent.clone(),
        profile: gpu.profile.clone(),
    }
}

fn server(server: &ServerWindow, now: Moment) -> Server {
    let availability = match &server.failing {
        None if server.ever_answered => Availability::Ready,
        None => Availability::Unknown,
        Some(failing) if failing.refused_since.is_some() => Availability::Unreachable,
        Some(_) => Availability::Unknown,
    };
    let known = |model: &&ModelWindow| {
        model.availability.ever_ready
            || model.availability.presence != Presence::Unknown
            || model.paged_at.is_some()
    };
    Server {
        name: server.name.clone(),
        version: server.version.clone(),
        availability,
        models: server
            .models
            .values()
            .filter(known)
            .map(|one| model(one, availability, now))
            .collect(),
    }
}

fn model(model: &ModelWindow, server: Availability, now: Moment) -> Model {
    let availability = match (&model.availability.presence, server) {
        (_, Availability::Unreachable) => Availability::Unreachable,
        (Presence::Ready, _) => Availability::Ready,
        (Presence::Loading, _) => Availability::Loading,
        (Presence::Away, _) => Availability::Unloaded,
        (Presence::Failed(_), _) => Availability::Failed,
        // On the page it has rows, so it is there, even where the index may not be asked.
        (Presence::Unknown, _) if model.paged_at.is_some() => Availability::Ready,
        (Presence::Unknown, _) => Availability::Unknown,
    };
    let reason = match &model.availability.presence {
        Presence::Failed(reason) => reason.clone(),
        Presence::Unknown | Presence::Ready | Presence::Loading | Presence::Away => String::new(),
    };
    let totals = model.totals(now, RATE_WINDOW);
    Model {
        name: model.key.model.clone(),
        version: model.key.version.clone(),
        availability,
        reason,
        requests_per_s: (totals.covered_s > 0.0).then(|| totals.finished() / totals.covered_s),
        pending: model.pending(),
        gpus: model.gpus.clone(),
        served: model.served(),
    }
}
