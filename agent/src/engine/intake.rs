//! What the sources read goes into the windows.

use std::collections::BTreeSet;
use std::time::Duration;

use gpuwarden_proto::vocab::{GpuUuid, ModelVersion, ServerName, SourceName};

use super::changes::change;
use super::{Effect, Engine, Touched};
use crate::sample::{
    GpuReading, GpuSample, Input, KernelRecord, ModelShape, Now, Outage, PageReading,
    RepositoryEntry, RepositoryReading, RepositoryState, SourceReport, XidReading,
};
use crate::window::{GpuWindow, ModelKey, ServerWindow, SourceWindow, Turn};

/// The driver and the kernel log tell of one XID within this time.
const XID_TOGETHER: Duration = Duration::from_secs(60);
/// So long a MIG instance that is no more is remembered: longer than any finding of it takes to end.
const INSTANCE_KEPT: Duration = Duration::from_secs(60);
/// GPUs that are remembered: more than a machine can hold.
const GPUS_MAX: usize = 256;

impl Engine {
    pub(super) fn take_in(&mut self, now: Now, input: Input, effects: &mut Vec<Effect>) -> Touched {
        match input {
            Input::Gpus(reading) => self.take_gpus(now, reading, effects),
            Input::Xid(reading) => self.take_xid(now, &reading),
            Input::Page(reading) => self.take_page(now, reading, effects),
            Input::Repository(reading) => self.take_repository(now, reading, effects),
            Input::Shape(shape) => self.take_shape(now, &shape, effects),
            Input::Kernel(records) => self.take_kernel(now, records),
            Input::Host(reading) => {
                reading.hostname.clone_into(&mut self.hostname);
                self.window.host = Some((now.moment, reading));
                self.report(now, "host", SourceReport::Seeing);
                Touched::Nothing
            }
            Input::Source(source, report) => {
                self.report(now, source.as_str(), report);
                Touched::Sources
            }
            Input::Tick => {
                self.tick(now, effects);
                Touched::Everything
            }
        }
    }

    /// Grace periods end by themselves.
    fn tick(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let grace = self.thresholds.unload_grace;
        for server in self.window.servers.values_mut().filter(|server| server.failing.is_none()) {
            for model in server.models.values_mut() {
                if let Some(turn) = model.availability.tick(now.moment, grace) {
                    effects.push(change::model(now, model, &turn));
                }
            }
        }
    }

    fn report(&mut self, now: Now, source: &str, report: SourceReport) {
        let Ok(name) = SourceName::new(source) else { return };
        let made = || SourceWindow::new(name.clone(), now.moment);
        self.window.sources.entry(name.clone()).or_insert_with(made).push(now.moment, report);
    }

    fn take_gpus(&mut self, now: Now, reading: GpuReading, effects: &mut Vec<Effect>) -> Touched {
        let known = &self.window.driver_version;
        if !known.is_empty() && *known != reading.driver_version {
            effects.push(change::driver(now, known, &reading.driver_version));
        }
        self.window.driver_version = reading.driver_version;
        let seen: BTreeSet<GpuUuid> = reading.gpus.iter().map(|gpu| gpu.uuid.clone()).collect();
        let cut: BTreeSet<GpuUuid> =
            reading.gpus.iter().filter_map(|gpu| gpu.parent.clone()).collect();
        for sample in reading.gpus {
            self.gpu(now, &sample).push(now.moment, sample);
        }
        self.sort_instances(now, &seen, &cut);
        self.report(now, "nvml", SourceReport::Seeing);
        Touched::Gpus
    }

    /// Which GPUs are cut, and which instances are no more: those of a GPU that was read without
    /// them. They are remembered until what was found on them has ended.
    fn sort_instances(&mut self, now: Now, seen: &BTreeSet<GpuUuid>, cut: &BTreeSet<GpuUuid>) {
        for gpu in self.window.gpus.values_mut() {
            gpu.cut = cut.contains(&gpu.uuid);
            let read_without = gpu.parent.as_ref().is_some_and(|parent| seen.contains(parent));
            gpu.gone = read_without && !seen.contains(&gpu.uuid);
        }
        let stays = |gpu: &GpuWindow| !gpu.gone || now.moment.since(gpu.read_at) < INSTANCE_KEPT;
        self.window.gpus.retain(|_, gpu| stays(gpu));
    }

    /// The window of a GPU. One that the kernel log told of before the driver did is the same GPU.
    fn gpu(&mut self, now: Now, sample: &GpuSample) -> &mut GpuWindow {
        if !self.window.gpus.contains_key(&sample.uuid) {
            let mut made = GpuWindow::new(sample, now.moment);
            let told = self.window.gpu_at(&sample.pci_bus_id).map(|gpu| gpu.uuid.clone());
            if let Some(told) = told.and_then(|uuid| self.window.gpus.remove(&uuid)) {
                made.xids = told.xids;
            }
            if self.window.gpus.len() >= GPUS_MAX {
                self.window.gpus.pop_first();
            }
            self.window.gpus.insert(sample.uuid.clone(), made);
        }
        self.window.gpus.get_mut(&sample.uuid).expect("it was inserted just above")
    }

    fn take_xid(&mut self, now: Now, reading: &XidReading) -> Touched {
        let Some(uuid) = self.gpu_of(now, reading.uuid.clone(), &reading.pci_bus_id) else {
            return Touched::Nothing;
        };
        if let Some(gpu) = self.window.gpus.get_mut(&uuid) {
            gpu.push_xid(now.moment, reading.xid, &reading.text, XID_TOGETHER);
        }
        Touched::Gpu(uuid)
    }

    /// Which GPU is meant. One that only the kernel log knows gets a window under its PCI address,
    /// since a sick GPU without a driver is the more worth telling.
    fn gpu_of(&mut self, now: Now, uuid: Option<GpuUuid>, pci_bus_id: &str) -> Option<GpuUuid> {
        if uuid.as_ref().is_some_and(|uuid| self.window.gpus.contains_key(uuid)) {
            return uuid;
        }
        if let Some(gpu) = self.window.gpu_at(pci_bus_id) {
            return Some(gpu.uuid.clone());
        }
        let uuid = uuid.or_else(|| GpuUuid::new(&format!("PCI-{pci_bus_id}")).ok())?;
        let sample = GpuSample::unread(uuid.clone(), 0, "GPU", pci_bus_id);
        self.gpu(now, &sample).index = None;
        Some(uuid)
    }

    fn take_kernel(&mut self, now: Now, records: Vec<KernelRecord>) -> Touched {
        self.report(now, "kmsg", SourceReport::Seeing);
        for record in records {
            match record {
                KernelRecord::Xid(reading) => {
                    self.take_xid(now, &reading);
                }
                KernelRecord::FallenOffBus { pci_bus_id } => {
                    let uuid = self.gpu_of(now, None, &pci_bus_id);
                    if let Some(gpu) = uuid.and_then(|uuid| self.window.gpus.get_mut(&uuid)) {
                        gpu.lost_since.get_or_insert(now.moment);
                    }
                }
                // A rule for the host's memory reads these later.
                KernelRecord::OomKill { .. } => {}
                KernelRecord::Lost { count } => self.counters.kernel_records_lost += count,
            }
        }
        Touched::Gpus
    }

    fn server(&mut self, name: &ServerName) -> &mut ServerWindow {
        let made = || ServerWindow::new(name.clone());
        self.window.servers.entry(name.clone()).or_insert_with(made)
    }

    fn take_page(&mut self, now: Now, reading: PageReading, effects: &mut Vec<Effect>) -> Touched {
        let source = format!("triton/{}", reading.server);
        let models = match reading.models {
            Ok(models) => models,
            Err(outage) => {
                self.report(now, &source, failing(&outage));
                self.server(&reading.server).fail(now.moment, outage);
                return Touched::Server(reading.server);
            }
        };
        self.report(now, &source, SourceReport::Seeing);
        let server = self.server(&reading.server);
        let restarted = server.answer(now.moment);
        if restarted {
            effects.push(change::server(now, server.subject()));
        }
        let mut reset = Vec::new();
        for sample in models {
            let key = ModelKey { model: sample.model.clone(), version: sample.version.clone() };
            let Some(model) = server.model(&key, now.moment) else { continue };
            if !sample.gpus.is_empty() && model.gpus != sample.gpus {
                model.gpus.clone_from(&sample.gpus);
            }
            let reloaded = model.push(now.moment, &sample);
            model.count(now.moment, now.wall);
            if reloaded && !restarted && model.was_reloaded_unseen(now.moment) {
                model.deploy_told_at = Some(now.moment);
                reset.push(change::reloaded(now, model));
            }
        }
        effects.extend(reset);
        Touched::Server(reading.server)
    }

    fn take_repository(
        &mut self,
        now: Now,
        reading: RepositoryReading,
        effects: &mut Vec<Effect>,
    ) -> Touched {
        let grace = self.thresholds.unload_grace;
        let server = self.server(&reading.server);
        if !reading.server_version.is_empty() {
            server.version.clone_from(&reading.server_version);
        }
        let mut turns = Vec::new();
        for entry in &reading.entries {
            for key in keys(server, entry) {
                let Some(model) = server.model(&key, now.moment) else { continue };
                let turn = model.availability.push(now.moment, entry.state, &entry.reason, grace);
                turns.extend(turn.and_then(|turn| told(now, model, &turn)));
            }
        }
        for model in server.models.values_mut().filter(|model| model.availability.ever_ready) {
            if !reading.entries.iter().any(|entry| entry.model == model.key.model) {
                model.availability.push(now.moment, RepositoryState::Untouched, "", grace);
            }
        }
        effects.extend(turns);
        self.tick(now, effects);
        Touched::Server(reading.server)
    }

    fn take_shape(&mut self, now: Now, shape: &ModelShape, effects: &mut Vec<Effect>) -> Touched {
        let server = self.server(&shape.server);
        // A config is of all versions of its model: it is told once.
        let mut told = None;
        for (_, model) in server.models.iter_mut().filter(|(key, _)| key.model == shape.model) {
            let before = model.shape.replace(shape.clone());
            let other = |before: &ModelShape| before.config != shape.config;
            let known = before.filter(|before| before.config != 0 && shape.config != 0);
            if let Some(before) = known.filter(other) {
                told.get_or_insert_with(|| change::config(now, model, &before, shape));
            }
        }
        effects.extend(told);
        Touched::Nothing
    }
}

/// A change of a model's presence, unless its page already told of it.
fn told(now: Now, model: &mut crate::window::ModelWindow, turn: &Turn) -> Option<Effect> {
    if matches!(turn, Turn::Deployed(_) | Turn::Loaded) {
        model.deploy_told_at = Some(now.moment);
    }
    Some(change::model(now, model, turn))
}

/// The models that an entry of the index speaks of: one without a version speaks of all that are
/// known, and of none that is not.
fn keys(server: &ServerWindow, entry: &RepositoryEntry) -> Vec<ModelKey> {
    let key =
        |version: &ModelVersion| ModelKey { model: entry.model.clone(), version: version.clone() };
    match &entry.version {
        Some(version) => vec![key(version)],
        None => {
            let known = server.models.keys().filter(|known| known.model == entry.model);
            known.map(|known| key(&known.version)).collect()
        }
    }
}

fn failing(outage: &Outage) -> SourceReport {
    match outage {
        Outage::Refused(reason) => SourceReport::Absent(reason.clone()),
        Outage::TimedOut(reason) | Outage::Garbled(reason) => SourceReport::Failing(reason.clone()),
    }
}
