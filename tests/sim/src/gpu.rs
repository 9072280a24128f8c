//! A simulated GPU: its memory, who shares it, and what that does to those who serve on it.

use gpuwarden_agent::sample::{GpuMemory, Moment};
use gpuwarden_proto::vocab::GpuUuid;

use crate::fault::Pattern;
use crate::process::{Load, Process};

const MIB: u64 = 1024 * 1024;
/// What the driver keeps for itself.
const RESERVED_BYTES: u64 = 600 * MIB;
/// A request that needs fresh memory fails when less than this is free.
const WORKSPACE_BYTES: u64 = 256 * MIB;
/// Share of requests that need fresh memory; the others live on what the server has cached.
const FRESH_MEMORY_SHARE: f64 = 0.4;
/// What a neighbour takes when it comes.
const NEIGHBOUR_BYTES: u64 = 6 * 1024 * MIB;
/// PIDs of neighbours count up from here.
const NEIGHBOUR_PID: u32 = 8_811;

/// What is built into the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GpuKind {
    /// 80 GiB.
    H100,
    /// 80 GiB.
    A100,
    /// 24 GiB.
    L4,
}

impl GpuKind {
    /// As the driver names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::H100 => "NVIDIA H100 80GB HBM3",
            Self::A100 => "NVIDIA A100-SXM4-80GB",
            Self::L4 => "NVIDIA L4",
        }
    }

    /// All the memory there is.
    pub fn memory_bytes(self) -> u64 {
        match self {
            Self::H100 => 81_559 * MIB,
            Self::A100 => 81_920 * MIB,
            Self::L4 => 23_034 * MIB,
        }
    }

    /// Watts when idle and when busy.
    pub fn power_w(self) -> (f64, f64) {
        match self {
            Self::H100 => (70.0, 700.0),
            Self::A100 => (55.0, 400.0),
            Self::L4 => (16.0, 72.0),
        }
    }
}

/// A GPU and who shares it.
#[derive(Debug, Clone, PartialEq)]
pub struct Gpu {
    /// NVIDIA's UUID.
    pub uuid: GpuUuid,
    /// The driver's index.
    pub index: u32,
    /// What it is.
    pub kind: GpuKind,
    /// The driver cannot reach it.
    pub lost: bool,
    /// Who is on it, the server among them.
    pub processes: Vec<Process>,
}

/// What a GPU does to the requests that run on it at one instant.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Surroundings {
    /// How many times as long an execution takes.
    pub slowdown: f64,
    /// Share of requests that fail.
    pub failing: f64,
}

impl Gpu {
    /// An empty GPU.
    pub fn new(uuid: GpuUuid, index: u32, kind: GpuKind) -> Self {
        Self { uuid, index, kind, lost: false, processes: Vec::new() }
    }

    /// The PCI address, which follows from the index.
    pub fn pci_bus_id(&self) -> String {
        format!("00000000:{:02X}:00.0", 0x1b + self.index * 0x20)
    }

    /// What each process holds, in their order. Leaks get what the others leave.
    pub fn holdings(&self, now: Moment) -> Vec<u64> {
        let mut free = self.kind.memory_bytes() - RESERVED_BYTES;
        let mut take = |wanted: u64| {
            let taken = wanted.min(free);
            free -= taken;
            taken
        };
        let mut held: Vec<u64> = self.processes.iter().map(|p| take(p.base_bytes)).collect();
        for (held, process) in held.iter_mut().zip(&self.processes) {
            *held += take(process.leaked_bytes(now));
        }
        held
    }

    /// Its memory.
    pub fn memory(&self, now: Moment) -> GpuMemory {
        let total_bytes = self.kind.memory_bytes();
        let used_bytes = RESERVED_BYTES + self.holdings(now).iter().sum::<u64>();
        GpuMemory { total_bytes, used_bytes, free_bytes: total_bytes - used_bytes }
    }

    /// What it does to a request at `now`. `contention` is how much of a neighbour's use a model
    /// feels.
    pub fn surroundings(&self, now: Moment, contention: f64) -> Surroundings {
        let others: f64 = self.processes.iter().map(|p| p.sm_ratio(now)).sum();
        let full = self.memory(now).free_bytes < WORKSPACE_BYTES;
        let failing = match (self.lost, full) {
            (true, _) => 1.0,
            (false, true) => FRESH_MEMORY_SHARE,
            (false, false) => 0.0,
        };
        Surroundings { slowdown: 1.0 + contention * others.min(1.0), failing }
    }

    /// A process begins to leak; one that is not there yet is started.
    pub fn leak(&mut self, pid: u32, bytes_per_s: f64, now: Moment) {
        if !self.processes.iter().any(|p| p.pid == pid) {
            self.processes.push(Process::holding(pid, "worker", "", 512 * MIB));
        }
        for process in self.processes.iter_mut().filter(|p| p.pid == pid) {
            process.leak = Some((now, bytes_per_s));
        }
    }

    /// Somebody else starts to use it.
    pub fn neighbour(&mut self, name: &str, share: f64, pattern: Pattern, now: Moment) {
        let pid = NEIGHBOUR_PID + self.processes.len() as u32;
        let mut process = Process::holding(pid, name, &format!("{name}.slice"), NEIGHBOUR_BYTES);
        process.load = Some(Load { since: now, share, pattern });
        self.processes.push(process);
    }

    /// Leaking processes are restarted, neighbours leave, the driver can reach it.
    pub fn heal(&mut self, now: Moment) {
        self.lost = false;
        self.processes.retain(|process| process.load.is_none());
        for process in self.processes.iter_mut().filter(|p| p.leak.is_some()) {
            process.restart(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gpu() -> Gpu {
        let uuid = GpuUuid::new("GPU-1").expect("a good uuid");
        let mut gpu = Gpu::new(uuid, 0, GpuKind::L4);
        gpu.processes.push(Process::holding(1, "tritonserver", "", 10_000 * MIB));
        gpu
    }

    #[test]
    fn a_leak_fills_the_gpu_and_stops_there() {
        let mut gpu = gpu();
        gpu.leak(2, 1_000.0 * MIB as f64, Moment::ms(0));
        let used = |s: u64| gpu.memory(Moment::ms(s * 1_000)).used_bytes / MIB;
        assert_eq!([used(0), used(5), used(60)], [11_112, 16_112, 23_034]);
        assert_eq!(gpu.memory(Moment::ms(60_000)).free_bytes, 0);
    }

    #[test]
    fn requests_fail_only_when_no_memory_is_left() {
        let mut gpu = gpu();
        gpu.leak(2, 1_000.0 * MIB as f64, Moment::ms(0));
        assert!(gpu.surroundings(Moment::ms(5_000), 1.0).failing.abs() < 1e-9);
        assert!((gpu.surroundings(Moment::ms(60_000), 1.0).failing - 0.4).abs() < 1e-9);
    }

    #[test]
    fn a_neighbour_slows_others_only_while_it_is_on() {
        let mut gpu = gpu();
        let s = std::time::Duration::from_secs;
        gpu.neighbour("train", 0.9, Pattern::Bursts { on: s(4), off: s(4) }, Moment::ms(0));
        assert!((gpu.surroundings(Moment::ms(1_000), 1.0).slowdown - 1.9).abs() < 1e-9);
        assert!((gpu.surroundings(Moment::ms(5_000), 1.0).slowdown - 1.0).abs() < 1e-9);
    }

    #[test]
    fn healing_sends_neighbours_away_and_restarts_who_leaked() {
        let mut gpu = gpu();
        gpu.leak(2, 1e12, Moment::ms(0));
        gpu.neighbour("train", 0.9, Pattern::Steady, Moment::ms(0));
        gpu.lost = true;
        gpu.heal(Moment::ms(9_000));
        let names: Vec<&str> = gpu.processes.iter().map(|p| p.name.as_str()).collect();
        assert_eq!(names, ["tritonserver", "worker"]);
        assert!(!gpu.lost);
        assert_eq!(gpu.memory(Moment::ms(9_000)).used_bytes / MIB, 11_112);
    }
}
