//! The host, as far as it matters for serving: CPU, memory, pressure, and what a CPU limit costs.
//!
//! What does not change is asked rarely and through `sysinfo`; the rest is a handful of small files
//! each second.

mod parse;
mod throttling;

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gpuwarden_proto::vocab::SourceName;
use sysinfo::{MemoryRefreshKind, RefreshKind, System};
use tokio::sync::mpsc::Sender;
use tokio::sync::watch::Receiver;
use tokio::time::{self, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::sample::{HostReading, Input, SourceReport};
use parse::CpuTime;
use throttling::Throttling;

/// How often it is read.
const INTERVAL: Duration = Duration::from_secs(1);
/// Readings between two looks at what hardly changes.
const INVENTORY: u32 = 60;

/// Where the host is seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roots {
    /// `/proc`, or where the host's is mounted.
    pub proc_root: PathBuf,
    /// `/sys`, or where the host's is mounted.
    pub sys_root: PathBuf,
}

impl Default for Roots {
    fn default() -> Self {
        Self { proc_root: PathBuf::from("/proc"), sys_root: PathBuf::from("/sys") }
    }
}

/// Reads the host each second until `shutdown`. `servers` are the PIDs of the servers, as far as
/// they are known.
pub async fn watch(
    roots: Roots,
    servers: Receiver<Vec<u32>>,
    out: Sender<Input>,
    shutdown: CancellationToken,
) {
    tokio::select! {
        () = shutdown.cancelled() => {}
        _ = read_each_second(Host::new(roots), servers, &out) => {}
    }
}

/// Reads until nobody takes it.
async fn read_each_second(
    mut host: Host,
    servers: Receiver<Vec<u32>>,
    out: &Sender<Input>,
) -> Option<Infallible> {
    let mut ticks = time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut said = None;
    loop {
        ticks.tick().await;
        let pids = servers.borrow().clone();
        let reading = host.read(&pids);
        let report = report(&reading);
        if said.as_ref() != Some(&report) {
            out.send(Input::Source(name(), report.clone())).await.ok()?;
            said = Some(report);
        }
        out.send(Input::Host(reading)).await.ok()?;
    }
}

/// Name of this source.
pub fn name() -> SourceName {
    SourceName::new("host").expect("a short word is a name")
}

fn report(reading: &HostReading) -> SourceReport {
    match reading.memory_available_bytes {
        Some(_) => SourceReport::Seeing,
        None => SourceReport::Failing("the host's /proc cannot be read".to_owned()),
    }
}

/// Reads the host, and remembers what the next reading is compared with.
#[derive(Debug)]
pub struct Host {
    roots: Roots,
    hostname: String,
    memory_total_bytes: Option<u64>,
    /// Readings until these two are asked again.
    inventory_in: u32,
    cpu: Option<CpuTime>,
    throttling: Throttling,
}

impl Host {
    /// Nothing has been read.
    pub fn new(roots: Roots) -> Self {
        Self {
            roots,
            hostname: String::new(),
            memory_total_bytes: None,
            inventory_in: 0,
            cpu: None,
            throttling: Throttling::default(),
        }
    }

    /// Reads once. What is a rate is over the time since the last reading.
    pub fn read(&mut self, servers: &[u32]) -> HostReading {
        self.take_inventory();
        let proc_root = &self.roots.proc_root;
        let text = |path: &str| std::fs::read_to_string(proc_root.join(path)).ok();
        let cpu = text("stat").as_deref().and_then(parse::cpu_time);
        let before = std::mem::replace(&mut self.cpu, cpu);
        let cgroups = self.roots.sys_root.join("fs/cgroup");
        HostReading {
            hostname: self.hostname.clone(),
            cpu_ratio: cpu.zip(before).and_then(|(now, before)| now.busy_since(before)),
            memory_total_bytes: self.memory_total_bytes,
            memory_available_bytes: text("meminfo").as_deref().and_then(parse::available_bytes),
            cpu_pressure_ratio: pressure(proc_root, "pressure/cpu", "some"),
            memory_pressure_ratio: pressure(proc_root, "pressure/memory", "full"),
            server_throttled_ratio: self.throttling.read(proc_root, &cgroups, servers),
        }
    }

    fn take_inventory(&mut self) {
        if self.inventory_in > 0 {
            self.inventory_in -= 1;
            return;
        }
        self.inventory_in = INVENTORY - 1;
        self.hostname = System::host_name().unwrap_or_default();
        let memory = RefreshKind::nothing().with_memory(MemoryRefreshKind::nothing().with_ram());
        self.memory_total_bytes =
            System::new_with_specifics(memory).ok().map(|system| system.total_memory());
    }
}

fn pressure(proc_root: &Path, file: &str, who: &str) -> Option<f64> {
    parse::pressure(&std::fs::read_to_string(proc_root.join(file)).ok()?, who)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::{mpsc, watch as values};

    fn roots(folder: &Path) -> Roots {
        Roots { proc_root: folder.join("proc"), sys_root: folder.join("sys") }
    }

    #[test]
    fn what_is_not_there_is_missing_and_not_zero() {
        let folder = tempfile::tempdir().unwrap();
        let mut host = Host::new(roots(folder.path()));
        let reading = host.read(&[1]);
        let unread = HostReading {
            hostname: reading.hostname.clone(),
            memory_total_bytes: reading.memory_total_bytes,
            ..HostReading::default()
        };
        assert_eq!(reading, unread);
        assert!(matches!(report(&reading), SourceReport::Failing(_)));
    }

    #[test]
    fn what_is_there_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let proc_root = folder.path().join("proc");
        std::fs::create_dir_all(proc_root.join("pressure")).unwrap();
        let write = |file: &str, text: &str| std::fs::write(proc_root.join(file), text).unwrap();
        write("meminfo", "MemAvailable:   1024 kB\n");
        write("pressure/cpu", "some avg10=50.00 avg60=0.00 avg300=0.00 total=0\n");
        write("pressure/memory", "some avg10=9.00\nfull avg10=25.00\n");
        write("stat", "cpu  0 0 0 100 0 0 0 0 0 0\n");
        let mut host = Host::new(roots(folder.path()));
        assert_eq!(host.read(&[]).cpu_ratio, None, "there is nothing to compare with");
        write("stat", "cpu  25 0 0 175 0 0 0 0 0 0\n");
        let reading = host.read(&[]);
        assert_eq!(reading.cpu_ratio, Some(0.25));
        assert_eq!(reading.memory_available_bytes, Some(1024 * 1024));
        assert_eq!(reading.cpu_pressure_ratio, Some(0.5));
        assert_eq!(reading.memory_pressure_ratio, Some(0.25));
        assert_eq!(reading.server_throttled_ratio, None);
    }

    #[tokio::test(start_paused = true)]
    async fn is_read_each_second_and_says_once_that_it_sees() {
        let (out, mut inputs) = mpsc::channel(8);
        let (_pids, servers) = values::channel(Vec::new());
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(watch(Roots::default(), servers, out, shutdown.clone()));
        assert_eq!(inputs.recv().await, Some(Input::Source(name(), SourceReport::Seeing)));
        for _ in 0..3 {
            assert!(matches!(inputs.recv().await, Some(Input::Host(_))));
        }
        shutdown.cancel();
        task.await.unwrap();
    }
}
