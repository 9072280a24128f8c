//! Fixed-size history of what the sources read: per GPU, server, model and source. Pure: it is told
//! what time it is, and it forgets by itself.

mod availability;
mod gpu;
mod model;
mod ring;
mod served;
mod server;
mod source;

use std::collections::BTreeMap;

pub use availability::{Availability, Presence, Turn};
pub use gpu::{GpuWindow, XidRecord};
use gpuwarden_proto::event::Subject;
use gpuwarden_proto::vocab::{GpuUuid, ServerName, SourceName};
pub use model::{ModelKey, ModelWindow, Step, Totals};
pub use ring::Ring;
pub use server::{Failing, MODELS_MAX, ServerWindow};
pub use source::SourceWindow;

use crate::sample::{HostReading, Moment};

/// Everything remembered of the node.
#[derive(Debug, Default)]
pub struct Window {
    /// By UUID.
    pub gpus: BTreeMap<GpuUuid, GpuWindow>,
    /// By name.
    pub servers: BTreeMap<ServerName, ServerWindow>,
    /// By name.
    pub sources: BTreeMap<SourceName, SourceWindow>,
    /// The newest reading of the host and when it was taken.
    pub host: Option<(Moment, HostReading)>,
    /// E.g. `580.95.05`; empty before the driver was seen.
    pub driver_version: String,
}

impl Window {
    /// The GPU at a PCI address, however its domain is written (`0000:1b:00.0`, `00000000:1B:00.0`,
    /// `PCI:0000:1b:00`).
    pub fn gpu_at(&self, pci_bus_id: &str) -> Option<&GpuWindow> {
        let wanted = gpu::pci_key(pci_bus_id)?;
        self.gpus.values().find(|gpu| gpu::pci_key(&gpu.pci_bus_id) == Some(wanted))
    }

    /// The GPUs that a model or a server runs on, as far as its metrics tell; none for all else.
    pub fn gpus_of(&self, subject: &Subject) -> Vec<GpuUuid> {
        let (Subject::Model { server, .. } | Subject::Server { server }) = subject else {
            return Vec::new();
        };
        let models = self.servers.get(server).into_iter().flat_map(|one| one.models.values());
        let of_subject = models.filter(|model| match subject {
            Subject::Model { model: name, version, .. } => {
                model.key.model == *name && model.key.version == *version
            }
            _ => true,
        });
        let mut gpus: Vec<GpuUuid> = of_subject.flat_map(|model| model.gpus.clone()).collect();
        gpus.sort_unstable();
        gpus.dedup();
        gpus
    }
}
