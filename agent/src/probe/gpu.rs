//! One GPU, and what the driver says of it.

use nvml_wrapper::enum_wrappers::device::{EccCounter, MemoryError, TemperatureSensor};
use nvml_wrapper::enums::device::UsedGpuMemory;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::struct_wrappers::device::{ProcessInfo, ProcessUtilizationSample};
use nvml_wrapper::{Device, Nvml};

use gpuwarden_proto::vocab::GpuUuid;

use super::in_flight::InFlight;
use super::mig::Instances;
use super::process::Processes;
use super::schedule::{Schedule, Tier};
use crate::sample::{GpuMemory, GpuProcess, GpuSample, Moment, ProcessUse};

/// The first 15 letters of the server of MPS, whose clients the driver lists apart.
const MPS_SERVER: &str = "nvidia-cuda-mps";

/// What a reading needs besides the GPU.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    /// Where calls are seen while they last.
    pub in_flight: &'a InFlight,
    /// Who the processes are.
    pub processes: &'a Processes,
}

/// A GPU that was seen since the probe began.
#[derive(Debug)]
pub(super) struct Gpu {
    /// Its identity; nothing in it has been read.
    identity: GpuSample,
    /// `None`, with the driver's reason, when it gives no handle.
    device: Result<Device<'static>, Refusal>,
    schedule: Schedule,
    instances: Instances,
    /// Calls that this GPU does not have; not made again.
    unsupported: Vec<&'static str>,
    memory: Option<GpuMemory>,
    /// Time stamp of the newest use by process that was seen; the driver tells what is newer.
    use_seen: Option<u64>,
    /// By its last reading.
    lost: bool,
    /// Whether its last reading had no fault.
    healthy: bool,
}

/// Why there is no handle.
#[derive(Debug, Clone)]
struct Refusal {
    lost: bool,
    fault: String,
}

impl Refusal {
    fn new(call: &str, error: &NvmlError) -> Self {
        Self { lost: matches!(error, NvmlError::GpuLost), fault: format!("{call}: {error}") }
    }
}

/// Who a GPU is, and its handle.
#[derive(Debug)]
pub(super) struct Found {
    identity: GpuSample,
    device: Device<'static>,
}

impl Found {
    /// Asks the driver for the GPU at an index, and who it is.
    pub(super) fn at(
        nvml: &'static Nvml,
        index: u32,
        in_flight: &InFlight,
    ) -> Result<Self, (&'static str, NvmlError)> {
        let handle = "nvmlDeviceGetHandleByIndex_v2";
        let of = Some(index);
        let device = in_flight
            .call(handle, of, || nvml.device_by_index(index))
            .map_err(|error| (handle, error))?;
        let call = "nvmlDeviceGetUUID";
        let uuid = in_flight.call(call, of, || device.uuid()).map_err(|error| (call, error))?;
        let uuid = GpuUuid::new(&uuid).map_err(|_| (call, NvmlError::InvalidArg))?;
        let name = in_flight.call("nvmlDeviceGetName", of, || device.name()).unwrap_or_default();
        let pci = in_flight.call("nvmlDeviceGetPciInfo_v3", of, || device.pci_info());
        let pci = pci.map(|pci| pci.bus_id).unwrap_or_default();
        Ok(Self { identity: GpuSample::unread(uuid, index, &name, &pci), device })
    }

    /// The driver's index.
    pub(super) fn index(&self) -> u32 {
        self.identity.index
    }
}

impl Gpu {
    /// A GPU that was found.
    pub(super) fn new(found: Found, schedule: Schedule) -> Self {
        Self::with(found.identity, Ok(found.device), schedule)
    }

    /// A GPU that the driver counts, and of which it has never told more.
    pub(super) fn nameless(
        index: u32,
        call: &str,
        error: &NvmlError,
        schedule: Schedule,
    ) -> Option<Self> {
        let uuid = GpuUuid::new(&format!("unknown-{index}")).ok()?;
        let identity = GpuSample::unread(uuid, index, "", "");
        Some(Self::with(identity, Err(Refusal::new(call, error)), schedule))
    }

    fn with(
        identity: GpuSample,
        device: Result<Device<'static>, Refusal>,
        schedule: Schedule,
    ) -> Self {
        Self {
            identity,
            device,
            instances: Instances::new(schedule.clone()),
            schedule,
            unsupported: Vec::new(),
            memory: None,
            use_seen: None,
            lost: false,
            healthy: true,
        }
    }

    /// The driver's index, when it was last asked.
    pub(super) fn index(&self) -> u32 {
        self.identity.index
    }

    /// Whether this is that GPU.
    pub(super) fn is(&self, found: &Found) -> bool {
        self.identity.uuid == found.identity.uuid
    }

    /// Whether the driver has never told who it is.
    pub(super) fn is_nameless(&self) -> bool {
        self.identity.name.is_empty() && self.identity.pci_bus_id.is_empty()
    }

    /// Takes a new handle. A GPU that is back may have come back with other abilities.
    pub(super) fn renew(&mut self, found: Found) {
        self.identity = found.identity;
        self.device = Ok(found.device);
        self.instances.look_soon();
        self.unsupported.clear();
    }

    /// Gives its handle up: the driver gives none any more.
    pub(super) fn refuse(&mut self, call: &str, error: &NvmlError) {
        self.device = Err(Refusal::new(call, error));
    }

    /// Gives its handle up: the driver no longer counts it.
    pub(super) fn vanish(&mut self) {
        let fault = "the driver no longer lists this GPU".to_owned();
        self.device = Err(Refusal { lost: true, fault });
    }

    /// Whether the last reading was without a fault.
    pub(super) fn healthy(&self) -> bool {
        self.healthy
    }

    /// When it is to be read next.
    pub(super) fn next(&self) -> Moment {
        let own = self.schedule.next();
        self.instances.next().map_or(own, |next| next.min(own))
    }

    /// Reads what is due, of the GPU and then of its instances.
    pub(super) fn read(&mut self, reader: &Reader<'_>, now: Moment, to: &mut Vec<GpuSample>) {
        let mut sample = self.identity.clone();
        let asked = self.schedule.is_due(now);
        // Between readings a lost GPU stays lost; only an answer shows that it is back.
        sample.lost = self.lost && !asked;
        let mut parts = Vec::new();
        match &self.device {
            Ok(device) => {
                let mut asking = Asking {
                    device,
                    index: self.identity.index,
                    in_flight: reader.in_flight,
                    unsupported: &mut self.unsupported,
                    cut: self.instances.any(),
                    sample: &mut sample,
                };
                self.instances.look(&mut asking, now);
                asking.cut = self.instances.any();
                read_levels(&mut asking, &mut self.schedule, &mut self.memory, now);
                if self.schedule.take_processes(self.memory, now) {
                    read_processes(&mut asking, &mut self.instances, reader);
                }
                read_use(&mut asking, &mut self.schedule, &mut self.use_seen, now);
                read_condition(&mut asking, &mut self.schedule, now);
                parts = self.instances.read(&mut asking, now);
            }
            Err(refusal) => {
                sample.lost = refusal.lost;
                sample.faults.push(refusal.fault.clone());
                // The schedule goes on, or the next reading would be due at once.
                self.schedule.take(Tier::Memory, now);
                self.schedule.take(Tier::Utilization, now);
            }
        }
        self.lost = sample.lost;
        let healthy = !sample.lost && sample.faults.is_empty();
        self.healthy = healthy && (asked || self.healthy);
        to.push(sample);
        to.append(&mut parts);
    }
}

/// One round of questions to one GPU.
pub(super) struct Asking<'a> {
    device: &'a Device<'static>,
    index: u32,
    in_flight: &'a InFlight,
    /// Calls that this GPU does not have.
    pub unsupported: &'a mut Vec<&'static str>,
    /// It has MIG instances.
    cut: bool,
    /// What is read of it.
    pub sample: &'a mut GpuSample,
}

impl Asking<'_> {
    /// Makes a call, unless this GPU is lost or does not have it. What fails is told in the sample.
    pub(super) fn ask<T>(
        &mut self,
        name: &'static str,
        call: impl FnOnce(&Device<'static>) -> Result<T, NvmlError>,
    ) -> Option<T> {
        if self.sample.lost || self.unsupported.contains(&name) {
            return None;
        }
        match self.in_flight.call(name, Some(self.index), || call(self.device)) {
            Ok(value) => return Some(value),
            Err(NvmlError::NotSupported | NvmlError::FailedToLoadSymbol(_)) => {
                self.unsupported.push(name);
            }
            // Of a GPU that is cut some things are told to root alone; its instances tell them.
            Err(NvmlError::NoPermission) if self.cut => self.unsupported.push(name),
            // A list outgrew its room again and again; it is simply not known this time.
            Err(NvmlError::InsufficientSize(_)) => {}
            Err(error) => {
                self.sample.lost = matches!(error, NvmlError::GpuLost);
                self.sample.faults.push(format!("{name}: {error}"));
            }
        }
        None
    }
}

/// Memory and utilisation.
fn read_levels(
    asking: &mut Asking<'_>,
    schedule: &mut Schedule,
    last: &mut Option<GpuMemory>,
    now: Moment,
) {
    if schedule.take(Tier::Memory, now) {
        asking.sample.memory =
            asking.ask("nvmlDeviceGetMemoryInfo_v2", Device::memory_info).map(|info| GpuMemory {
                total_bytes: info.total,
                used_bytes: info.used,
                free_bytes: info.free,
            });
        *last = asking.sample.memory;
        if let Some(memory) = *last {
            schedule.hasten(memory, now);
        }
    }
    if schedule.take(Tier::Utilization, now) {
        asking.sample.utilization_ratio = asking
            .ask("nvmlDeviceGetUtilizationRates", Device::utilization_rates)
            .map(|rates| ratio(rates.gpu));
    }
}

/// Who is on it, and on which of its instances.
fn read_processes(asking: &mut Asking<'_>, instances: &mut Instances, reader: &Reader<'_>) {
    let compute = "nvmlDeviceGetComputeRunningProcesses_v3";
    let Some(listed) = asking.ask(compute, |d| retry(|| d.running_compute_processes())) else {
        return;
    };
    let listed = instances.take_processes(listed, reader.processes);
    let mut processes = Vec::with_capacity(listed.len());
    add_processes(&mut processes, listed, reader.processes);
    if processes.iter().any(|process| process.name == MPS_SERVER) {
        let mps = "nvmlDeviceGetMPSComputeRunningProcesses_v3";
        let clients = asking.ask(mps, |d| retry(|| d.mps_running_compute_processes()));
        add_processes(&mut processes, clients.unwrap_or_default(), reader.processes);
    }
    asking.sample.processes = Some(processes);
}

/// Adds what the driver listed; a process that it lists twice (once for each MIG instance that is not
/// known) once, with its memory summed.
pub(super) fn add_processes(
    to: &mut Vec<GpuProcess>,
    listed: Vec<ProcessInfo>,
    processes: &Processes,
) {
    for info in listed {
        let used_bytes = match info.used_gpu_memory {
            UsedGpuMemory::Used(bytes) => Some(bytes),
            UsedGpuMemory::Unavailable => None,
        };
        match to.iter_mut().find(|known| known.pid == info.pid) {
            Some(known) => {
                known.used_bytes =
                    known.used_bytes.zip(used_bytes).map(|(a, b)| a.saturating_add(b));
            }
            None => to.push(processes.look_up(info.pid, used_bytes)),
        }
    }
}

/// Who used it since the last time.
fn read_use(asking: &mut Asking<'_>, schedule: &mut Schedule, seen: &mut Option<u64>, now: Moment) {
    if !schedule.take(Tier::ProcessUse, now) {
        return;
    }
    let since = *seen;
    let samples = asking.ask("nvmlDeviceGetProcessUtilization", |device| {
        match retry(|| device.process_utilization_stats(since)) {
            // The driver's way to say that nobody has used it since.
            Err(NvmlError::NotFound) => Ok(Vec::new()),
            result => result,
        }
    });
    let Some(samples) = samples else { return };
    let newest = samples.iter().map(|sample| sample.timestamp).max();
    *seen = newest.max(since);
    // Without a time stamp the driver averages over all it remembers, the dead included.
    if since.is_some() {
        asking.sample.process_use = Some(process_use(&samples));
    }
}

/// The newest sample of each process. After a process has died the driver can tell nonsense above
/// 100 %, which is left out.
fn process_use(samples: &[ProcessUtilizationSample]) -> Vec<ProcessUse> {
    let mut newest: Vec<&ProcessUtilizationSample> = Vec::with_capacity(samples.len());
    for sample in samples.iter().filter(|s| s.pid != 0 && s.sm_util <= 100 && s.mem_util <= 100) {
        match newest.iter_mut().find(|known| known.pid == sample.pid) {
            Some(known) if known.timestamp < sample.timestamp => *known = sample,
            Some(_) => {}
            None => newest.push(sample),
        }
    }
    let of = |sample: &ProcessUtilizationSample| ProcessUse {
        pid: sample.pid,
        sm_ratio: ratio(sample.sm_util),
        memory_ratio: ratio(sample.mem_util),
    };
    newest.into_iter().map(of).collect()
}

/// How it is: clocks, heat, power, errors.
fn read_condition(asking: &mut Asking<'_>, schedule: &mut Schedule, now: Moment) {
    if schedule.take(Tier::Condition, now) {
        asking.sample.throttle_bits = asking
            .ask("nvmlDeviceGetCurrentClocksThrottleReasons", Device::current_throttle_reasons)
            .map(|reasons| reasons.bits());
        asking.sample.temperature_c =
            asking.ask("nvmlDeviceGetTemperature", |d| d.temperature(TemperatureSensor::Gpu));
        asking.sample.power_w = asking
            .ask("nvmlDeviceGetPowerUsage", Device::power_usage)
            .map(|milliwatts| f64::from(milliwatts) / 1_000.0);
    }
    if schedule.take(Tier::Ecc, now) {
        asking.sample.ecc_uncorrected = asking.ask("nvmlDeviceGetTotalEccErrors", |device| {
            device.total_ecc_errors(MemoryError::Uncorrected, EccCounter::Volatile)
        });
    }
}

/// Once or twice more when the list has grown between the call that sizes it and the one that fills
/// it.
fn retry<T>(mut call: impl FnMut() -> Result<T, NvmlError>) -> Result<T, NvmlError> {
    for _ in 0..2 {
        match call() {
            Err(NvmlError::InsufficientSize(_)) => {}
            result => return result,
        }
    }
    call()
}

fn ratio(percent: u32) -> f64 {
    f64::from(percent.min(100)) / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(pid: u32, timestamp: u64, sm_util: u32) -> ProcessUtilizationSample {
        ProcessUtilizationSample { pid, timestamp, sm_util, mem_util: 5, enc_util: 0, dec_util: 0 }
    }

    #[test]
    fn the_newest_use_of_each_process_counts_and_nonsense_does_not() {
        let samples =
            [sample(7, 10, 20), sample(7, 30, 40), sample(7, 20, 60), sample(8, 30, 4_000)];
        let used = process_use(&samples);
        assert_eq!(used, [ProcessUse { pid: 7, sm_ratio: 0.4, memory_ratio: 0.05 }]);
    }

    #[test]
    fn a_process_on_two_instances_is_one_process() {
        let info = |pid, used_gpu_memory| ProcessInfo {
            pid,
            used_gpu_memory,
            gpu_instance_id: None,
            compute_instance_id: None,
        };
        let root = tempfile::tempdir().unwrap();
        let mut to = Vec::new();
        let listed = vec![
            info(7, UsedGpuMemory::Used(3)),
            info(8, UsedGpuMemory::Unavailable),
            info(7, UsedGpuMemory::Used(4)),
        ];
        add_processes(&mut to, listed, &Processes::new(root.path()));
        let seen: Vec<_> = to.iter().map(|p| (p.pid, p.used_bytes)).collect();
        assert_eq!(seen, [(7, Some(7)), (8, None)]);
    }

    #[test]
    fn a_list_that_grew_is_asked_for_again() {
        let mut calls = 0;
        let result = retry(|| {
            calls += 1;
            if calls == 1 { Err(NvmlError::InsufficientSize(None)) } else { Ok(calls) }
        });
        assert_eq!(result.unwrap(), 2);
    }
}
