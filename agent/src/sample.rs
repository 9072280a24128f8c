//! What the sources read at one instant. Plain data; what could not be read is `None`, never zero.

use std::time::Duration;

use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::{GpuUuid, ModelName, ModelVersion, ServerName, SourceName};
use serde::{Deserialize, Serialize};

/// An instant of the node's monotonic clock, counted from the start of the agent.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct Moment(pub Duration);

impl Moment {
    /// Milliseconds after the start; for tests and traces.
    pub const fn ms(ms: u64) -> Self {
        Self(Duration::from_millis(ms))
    }

    /// Time from `earlier` to here; zero when `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// This instant, later by `duration`.
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0 + duration)
    }
}

/// The one reading of the clocks that belongs to an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// For intervals; never jumps.
    pub moment: Moment,
    /// For people and for other machines.
    pub wall: Timestamp,
}

/// Device memory of a GPU, in bytes. `used` includes what the driver reserves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct GpuMemory {
    /// All there is.
    pub total_bytes: u64,
    /// Taken, the driver's own reserve included.
    pub used_bytes: u64,
    /// Left.
    pub free_bytes: u64,
}

/// A process that holds memory of a GPU.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GpuProcess {
    /// Host PID.
    pub pid: u32,
    /// Field 22 of `/proc/PID/stat`; 0 when it could not be read.
    pub start_ticks: u64,
    /// Its name; empty when it could not be read.
    pub name: String,
    /// Its container, pod or unit by `/proc/PID/cgroup`; empty when it could not be read.
    pub owner: String,
    /// Device memory it holds; `None` under MIG or without the right to know.
    pub used_bytes: Option<u64>,
}

impl GpuProcess {
    /// Whether it is a Triton server or a part of one, by its name.
    pub fn is_server(&self) -> bool {
        self.name.contains("triton")
    }
}

/// How much of a GPU a process used lately.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ProcessUse {
    /// Host PID.
    pub pid: u32,
    /// Share of time its kernels ran, 0 to 1.
    pub sm_ratio: f64,
    /// Share of time it used the memory bus, 0 to 1.
    pub memory_ratio: f64,
}

/// A GPU or a MIG instance, as much of it as was read this time: slow readings are taken more rarely.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GpuSample {
    /// NVIDIA's UUID.
    pub uuid: GpuUuid,
    /// The driver's index.
    pub index: u32,
    /// E.g. `NVIDIA H100 80GB HBM3`.
    pub name: String,
    /// E.g. `00000000:1B:00.0`.
    pub pci_bus_id: String,
    /// The driver answers that it has lost this GPU.
    pub lost: bool,
    /// Device memory.
    pub memory: Option<GpuMemory>,
    /// Share of time at least one kernel ran, 0 to 1.
    pub utilization_ratio: Option<f64>,
    /// Degrees Celsius.
    pub temperature_c: Option<u32>,
    /// Watts.
    pub power_w: Option<f64>,
    /// NVML's bit set of reasons why clocks are held down.
    pub throttle_bits: Option<u64>,
    /// Uncorrected memory errors since the driver was loaded.
    pub ecc_uncorrected: Option<u64>,
    /// Processes on it; `None` when they were not listed this time.
    pub processes: Option<Vec<GpuProcess>>,
    /// Use by process; `None` when it was not read this time, empty when nobody used it.
    pub process_use: Option<Vec<ProcessUse>>,
    /// Calls that failed this time, in the driver's words.
    pub faults: Vec<String>,
    /// Of a MIG instance: the GPU that it is a part of, and whose index it has.
    #[serde(default)]
    pub parent: Option<GpuUuid>,
    /// Of a MIG instance: e.g. `3g.40gb`; empty when the driver does not tell.
    #[serde(default)]
    pub profile: String,
}

impl GpuSample {
    /// A GPU of which nothing has been read but its identity.
    pub fn unread(uuid: GpuUuid, index: u32, name: &str, pci_bus_id: &str) -> Self {
        Self {
            uuid,
            index,
            name: name.to_owned(),
            pci_bus_id: pci_bus_id.to_owned(),
            lost: false,
            memory: None,
            utilization_ratio: None,
            temperature_c: None,
            power_w: None,
            throttle_bits: None,
            ecc_uncorrected: None,
            processes: None,
            process_use: None,
            faults: Vec::new(),
            parent: None,
            profile: String::new(),
        }
    }

    /// A MIG instance of `gpu` of which nothing has been read but its identity.
    pub fn instance(uuid: GpuUuid, gpu: &Self, name: &str, profile: &str) -> Self {
        let (parent, profile) = (Some(gpu.uuid.clone()), profile.to_owned());
        Self { parent, profile, ..Self::unread(uuid, gpu.index, name, "") }
    }
}

/// All GPUs of the node, the instances of each after it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GpuReading {
    /// E.g. `580.95.05`.
    pub driver_version: String,
    /// By index.
    pub gpus: Vec<GpuSample>,
}

/// An XID error, from the driver's event or from the kernel log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct XidReading {
    /// `None` when only the PCI address is known.
    pub uuid: Option<GpuUuid>,
    /// PCI address as the teller wrote it; empty when only the UUID is known.
    pub pci_bus_id: String,
    /// NVIDIA's number.
    pub xid: u32,
    /// What the kernel log said; empty when the event told it.
    pub text: String,
}

/// Counters of a model, summed over its instances. Each is cumulative since the model was loaded.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct ModelCounters {
    /// Requests answered.
    pub success: Option<f64>,
    /// Requests failed while they ran (`reason="BACKEND"`), or without a reason on old servers.
    pub failed_backend: Option<f64>,
    /// Requests that waited too long (`reason="REJECTED"`).
    pub failed_rejected: Option<f64>,
    /// Requests that their client gave up (`reason="CANCELED"`).
    pub failed_canceled: Option<f64>,
    /// The rest (`reason="OTHER"`).
    pub failed_other: Option<f64>,
    /// Inferences; a batch of n counts n.
    pub inferences: Option<f64>,
    /// Executions; a batch of n counts 1.
    pub executions: Option<f64>,
    /// Microseconds from receipt to answer, over answered requests.
    pub request_us: Option<f64>,
    /// Microseconds waiting, over answered requests.
    pub queue_us: Option<f64>,
    /// Microseconds computing, per request and not per batch.
    pub compute_infer_us: Option<f64>,
}

impl ModelCounters {
    /// Counters of a model that was just loaded.
    pub const fn zero() -> Self {
        const ZERO: Option<f64> = Some(0.0);
        Self {
            success: ZERO,
            failed_backend: ZERO,
            failed_rejected: ZERO,
            failed_canceled: ZERO,
            failed_other: ZERO,
            inferences: ZERO,
            executions: ZERO,
            request_us: ZERO,
            queue_us: ZERO,
            compute_infer_us: ZERO,
        }
    }

    /// These, and where one is missing the other's.
    #[must_use]
    pub fn or(&self, other: &Self) -> Self {
        Self {
            success: self.success.or(other.success),
            failed_backend: self.failed_backend.or(other.failed_backend),
            failed_rejected: self.failed_rejected.or(other.failed_rejected),
            failed_canceled: self.failed_canceled.or(other.failed_canceled),
            failed_other: self.failed_other.or(other.failed_other),
            inferences: self.inferences.or(other.inferences),
            executions: self.executions.or(other.executions),
            request_us: self.request_us.or(other.request_us),
            queue_us: self.queue_us.or(other.queue_us),
            compute_infer_us: self.compute_infer_us.or(other.compute_infer_us),
        }
    }
}

/// A model on a metrics page. A model is only on it while it is there: rows of failures alone, which
/// outlive it, do not count.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelSample {
    /// Its name.
    pub model: ModelName,
    /// Its version.
    pub version: ModelVersion,
    /// GPUs that its instances are labelled with; empty when the page names none.
    pub gpus: Vec<GpuUuid>,
    /// Its counters.
    pub counters: ModelCounters,
    /// Requests waiting, not counting those in execution.
    pub pending: Option<f64>,
}

/// Why a server told nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outage {
    /// Nobody listens there.
    Refused(String),
    /// No answer in time.
    TimedOut(String),
    /// Something answered, but not what a Triton would.
    Garbled(String),
}

/// A metrics page, or why there is none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PageReading {
    /// Which server.
    pub server: ServerName,
    /// Its models.
    pub models: Result<Vec<ModelSample>, Outage>,
    /// Lines that could not be read; the rest was used.
    pub problems: u64,
    /// At most one page's worth of proof for `problems`: the first of them, in words.
    pub first_problem: Option<String>,
}

/// The state that a repository index gives a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RepositoryState {
    /// It serves.
    Ready,
    /// It does not, and the reason says why.
    Unavailable,
    /// On its way in.
    Loading,
    /// On its way out.
    Unloading,
    /// In the repository, never asked for.
    Untouched,
}

/// A model in a repository index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepositoryEntry {
    /// Its name.
    pub model: ModelName,
    /// Its version; `None` for one that was never asked for.
    pub version: Option<ModelVersion>,
    /// Its state.
    pub state: RepositoryState,
    /// The server's words, e.g. `unloaded`.
    pub reason: String,
}

/// A server's repository index, or readiness asked model by model where the index is not allowed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepositoryReading {
    /// Which server.
    pub server: ServerName,
    /// The server's version; empty when unknown.
    pub server_version: String,
    /// Its models. Where the index is not allowed, only those that are on the metrics page.
    pub entries: Vec<RepositoryEntry>,
}

/// How much a model can do at once, by its config.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelShape {
    /// Which server.
    pub server: ServerName,
    /// Which model.
    pub model: ModelName,
    /// Instances over all groups.
    pub instances: u32,
    /// Largest batch; 1 for a model that does not batch.
    pub max_batch: u32,
    /// Longest queue; `None` when it has no limit.
    pub max_queue: Option<u32>,
    /// A number for the whole config: while the agent runs, another config has another. 0 is unknown.
    #[serde(default)]
    pub config: u64,
}

/// A line of the kernel log that means something here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum KernelRecord {
    /// `NVRM: Xid`.
    Xid(XidReading),
    /// A GPU has fallen off the bus.
    FallenOffBus {
        /// PCI address as the kernel wrote it.
        pci_bus_id: String,
    },
    /// The kernel killed a process for want of memory.
    OomKill {
        /// Host PID.
        pid: u32,
        /// Its name.
        name: String,
        /// The cgroup whose limit it was; empty for the whole machine.
        cgroup: String,
    },
    /// Records were overwritten before they could be read.
    Lost {
        /// How many.
        count: u64,
    },
}

/// The host, as far as it matters for serving.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct HostReading {
    /// Its name.
    pub hostname: String,
    /// Share of CPU time in use over the last interval, 0 to 1.
    pub cpu_ratio: Option<f64>,
    /// Bytes of memory.
    pub memory_total_bytes: Option<u64>,
    /// Bytes that could be had without swapping.
    pub memory_available_bytes: Option<u64>,
    /// PSI `some avg10` of CPU, 0 to 1.
    pub cpu_pressure_ratio: Option<f64>,
    /// PSI `full avg10` of memory, 0 to 1.
    pub memory_pressure_ratio: Option<f64>,
    /// Share of periods in which the watched servers' cgroup was throttled, 0 to 1.
    pub server_throttled_ratio: Option<f64>,
}

/// What a source says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum SourceReport {
    /// It read something.
    Seeing,
    /// There is nothing of its kind here, in plain words.
    Absent(String),
    /// It could not read, in plain words.
    Failing(String),
}

/// What the world tells the engine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Input {
    /// GPUs were read.
    Gpus(GpuReading),
    /// The driver told of an XID.
    Xid(XidReading),
    /// A metrics page was read, or not.
    Page(PageReading),
    /// A repository index was read.
    Repository(RepositoryReading),
    /// A model's config was read.
    Shape(ModelShape),
    /// The kernel log had something.
    Kernel(Vec<KernelRecord>),
    /// The host was read.
    Host(HostReading),
    /// A source speaks of itself.
    Source(SourceName, SourceReport),
    /// Time has passed.
    Tick,
}
