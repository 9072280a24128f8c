//! The MIG instances of one GPU: which there are, how full they are, who is on them.
//!
//! Which there are is asked when the GPU is found and then rarely, since to make others a person has
//! to end what runs on them. Their memory is read like that of a GPU. Their processes come out of the
//! one list of the whole GPU, because a list for each would cost as much as the first.

use nvml_wrapper::Device;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::struct_wrappers::device::ProcessInfo;

use gpuwarden_proto::vocab::GpuUuid;

use super::gpu::{Asking, add_processes};
use super::handle::{InstanceIds, instance_ids};
use super::process::Processes;
use super::schedule::{Schedule, Tier};
use crate::sample::{GpuMemory, GpuProcess, GpuSample, Moment};

/// How often instances are looked for again.
const LOOK: std::time::Duration = std::time::Duration::from_secs(30);
/// Instances of one GPU: more than any has.
const INSTANCES_MAX: u32 = 32;
/// What stands before the profile in the driver's name of an instance.
const BEFORE_PROFILE: &str = " MIG ";

/// The instances of one GPU, and none of a GPU that is not cut.
#[derive(Debug)]
pub(super) struct Instances {
    /// When they are looked for again.
    look: Moment,
    /// The schedule that a new instance begins with.
    fresh: Schedule,
    found: Vec<Instance>,
}

/// One instance.
#[derive(Debug)]
struct Instance {
    /// Its identity; nothing in it has been read.
    identity: GpuSample,
    device: Device<'static>,
    /// By which the list of processes names it; `None` where the driver does not tell.
    ids: Option<InstanceIds>,
    schedule: Schedule,
    /// Who is on it, by the list of the GPU that was just taken.
    processes: Option<Vec<GpuProcess>>,
}

impl Instances {
    /// None yet; each that is found is read as `fresh` says.
    pub(super) fn new(fresh: Schedule) -> Self {
        Self { look: Moment::default(), fresh, found: Vec::new() }
    }

    /// Has them looked for at the next reading.
    pub(super) fn look_soon(&mut self) {
        self.look = Moment::default();
    }

    /// Whether there are any.
    pub(super) fn any(&self) -> bool {
        !self.found.is_empty()
    }

    /// When the memory of one is due next.
    pub(super) fn next(&self) -> Option<Moment> {
        self.found.iter().map(|instance| instance.schedule.next()).min()
    }

    /// Looks for them, when it is time. What cannot be learnt now leaves what is known.
    pub(super) fn look(&mut self, asking: &mut Asking<'_>, now: Moment) {
        if now < self.look || asking.sample.lost {
            return;
        }
        self.look = now.after(LOOK);
        let Some(mode) = asking.ask("nvmlDeviceGetMigMode", Device::mig_mode) else { return };
        let cut = mode.current != 0;
        if !cut && !self.any() {
            return;
        }
        let max = asking.ask("nvmlDeviceGetMaxMigDeviceCount", Device::mig_device_count);
        let Some(max) = max.map(|max| if cut { max.min(INSTANCES_MAX) } else { 0 }) else { return };
        let slots = (0..max).map(|slot| self.at(asking, slot));
        let Some(found) = slots.collect::<Option<Vec<_>>>() else { return };
        let found: Vec<Instance> = found.into_iter().flatten().collect();
        if found.is_empty() == self.any() {
            // A GPU that is cut does not have all that a whole one has.
            asking.unsupported.clear();
        }
        self.found = found;
    }

    /// The instance at a slot: `Some(None)` where there is none, `None` when that cannot be told.
    fn at(&self, asking: &mut Asking<'_>, slot: u32) -> Option<Option<Instance>> {
        let handle = "nvmlDeviceGetMigDeviceHandleByIndex";
        let device = asking.ask(handle, |gpu| match gpu.mig_device_by_index(slot) {
            Err(NvmlError::NotFound | NvmlError::InvalidArg) => Ok(None),
            result => result.map(Some),
        })?;
        let Some(device) = device else { return Some(None) };
        let uuid = asking.ask("nvmlDeviceGetUUID", |_| device.uuid())?;
        let uuid = GpuUuid::new(&uuid).ok()?;
        let known = self.found.iter().find(|known| known.identity.uuid == uuid);
        let (identity, schedule) = match known {
            Some(known) => (known.identity.clone(), known.schedule.clone()),
            None => {
                let name = asking.ask("nvmlDeviceGetName", |_| device.name()).unwrap_or_default();
                let profile = name.split_once(BEFORE_PROFILE).map_or("", |(_, profile)| profile);
                (GpuSample::instance(uuid, asking.sample, &name, profile), self.fresh.clone())
            }
        };
        let ids = instance_ids(&device);
        Some(Some(Instance { identity, device, ids, schedule, processes: None }))
    }

    /// Takes those that are on an instance out of the list of processes of the whole GPU, and gives
    /// back the rest.
    pub(super) fn take_processes(
        &mut self,
        listed: Vec<ProcessInfo>,
        processes: &Processes,
    ) -> Vec<ProcessInfo> {
        let mut rest = listed;
        for instance in self.found.iter_mut().filter(|instance| instance.ids.is_some()) {
            let here = |info: &ProcessInfo| InstanceIds::of(info) == instance.ids;
            let (own, others) = rest.into_iter().partition(here);
            rest = others;
            add_processes(instance.processes.get_or_insert_default(), own, processes);
        }
        rest
    }

    /// What is due of each. A fault of one is told as a fault of the GPU, and has them looked for
    /// again: it may be gone.
    pub(super) fn read(&mut self, asking: &mut Asking<'_>, now: Moment) -> Vec<GpuSample> {
        let mut samples = Vec::with_capacity(self.found.len());
        for instance in &mut self.found {
            let mut sample = instance.identity.clone();
            sample.processes = instance.processes.take();
            if instance.schedule.take(Tier::Memory, now) {
                let faults = asking.sample.faults.len();
                let device = &instance.device;
                let read = asking.ask("nvmlDeviceGetMemoryInfo_v2", |_| device.memory_info());
                sample.memory = read.map(|info| GpuMemory {
                    total_bytes: info.total,
                    used_bytes: info.used,
                    free_bytes: info.free,
                });
                if let Some(memory) = sample.memory {
                    instance.schedule.hasten(memory, now);
                }
                if asking.sample.faults.len() > faults {
                    self.look = Moment::default();
                }
            }
            samples.push(sample);
        }
        samples
    }
}
