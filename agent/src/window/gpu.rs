//! What is remembered of one GPU.

use std::collections::BTreeMap;

use gpuwarden_proto::event::Subject;
use gpuwarden_proto::vocab::GpuUuid;

use super::Ring;
use crate::sample::{GpuMemory, GpuProcess, GpuSample, Moment, ProcessUse};

/// Readings of memory that are kept: two minutes at half a second.
const MEMORY_READINGS: usize = 240;
/// Seconds of use by process that are kept.
pub(super) const USE_SECONDS: usize = 180;
/// Processes of which use is remembered; a GPU with more is told by its busiest.
const PROCESSES_MAX: usize = 64;
/// XIDs that are kept.
const XIDS_MAX: usize = 32;

/// An XID as it was told, from whichever source told it first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct XidRecord {
    /// When it was first told.
    pub first_at: Moment,
    /// When it was last told.
    pub last_at: Moment,
    /// NVIDIA's number.
    pub xid: u32,
    /// How often.
    pub count: u64,
    /// What the kernel log said of it; empty when only the driver told.
    pub text: String,
}

/// The history of a GPU.
#[derive(Debug)]
pub struct GpuWindow {
    /// NVIDIA's UUID.
    pub uuid: GpuUuid,
    /// The driver's index; `None` when only the kernel log knows this GPU.
    pub index: Option<u32>,
    /// Its model.
    pub name: String,
    /// Its PCI address.
    pub pci_bus_id: String,
    /// Since when the driver or the kernel calls it lost.
    pub lost_since: Option<Moment>,
    /// When it was last read.
    pub read_at: Moment,
    /// Memory, oldest first.
    pub memory: Ring<(Moment, GpuMemory)>,
    /// Newest share of time a kernel ran.
    pub utilization_ratio: Option<f64>,
    /// Newest reasons for slower clocks.
    pub throttle_bits: Option<u64>,
    /// Processes at the last listing.
    pub processes: Vec<GpuProcess>,
    /// When each process was first listed.
    pub first_listed: BTreeMap<u32, Moment>,
    /// Use of the GPU by process and second.
    pub use_by_process: BTreeMap<u32, Ring<(u64, f64)>>,
    /// XIDs, oldest first.
    pub xids: Vec<XidRecord>,
    /// Of a MIG instance: the GPU that it is a part of.
    pub parent: Option<GpuUuid>,
    /// Of a MIG instance: its profile; empty when unknown.
    pub profile: String,
    /// It is cut into MIG instances, which have its memory: they speak of it, each of its own.
    pub cut: bool,
    /// A MIG instance that is no more.
    pub gone: bool,
}

impl GpuWindow {
    /// A GPU of which nothing is known but its identity.
    pub fn new(sample: &GpuSample, now: Moment) -> Self {
        Self {
            uuid: sample.uuid.clone(),
            index: Some(sample.index),
            name: sample.name.clone(),
            pci_bus_id: sample.pci_bus_id.clone(),
            lost_since: None,
            read_at: now,
            memory: Ring::new(MEMORY_READINGS),
            utilization_ratio: None,
            throttle_bits: None,
            processes: Vec::new(),
            first_listed: BTreeMap::new(),
            use_by_process: BTreeMap::new(),
            xids: Vec::new(),
            parent: sample.parent.clone(),
            profile: sample.profile.clone(),
            cut: false,
            gone: false,
        }
    }

    /// What a finding about it is about.
    pub fn subject(&self) -> Subject {
        Subject::Gpu { uuid: self.uuid.clone(), index: self.index }
    }

    /// Whether its memory is there and its own, so that a rule can judge it.
    pub fn has_own_memory(&self) -> bool {
        !self.cut && !self.gone
    }

    /// Its memory, as people say it.
    pub fn memory_words(&self) -> String {
        match (&self.parent, self.profile.as_str()) {
            (None, _) => "memory".to_owned(),
            (Some(_), "") => "memory of a MIG instance".to_owned(),
            (Some(_), profile) => format!("memory of a {profile} instance"),
        }
    }

    /// Whether what says to run on `gpus` runs here. A page may name the whole GPU where the server
    /// has one instance of it: then it is where a server holds memory.
    pub fn is_among(&self, gpus: &[GpuUuid]) -> bool {
        let whole = self.parent.as_ref().is_some_and(|parent| gpus.contains(parent));
        gpus.contains(&self.uuid) || whole && self.processes.iter().any(GpuProcess::is_server)
    }

    /// Takes in a reading. What was not read leaves what is remembered as it is.
    pub fn push(&mut self, now: Moment, sample: GpuSample) {
        self.index = Some(sample.index);
        self.read_at = now;
        self.gone = false;
        self.lost_since = match (sample.lost, self.lost_since) {
            (true, since) => since.or(Some(now)),
            (false, _) => None,
        };
        if let Some(memory) = sample.memory {
            self.memory.push((now, memory));
        }
        if sample.utilization_ratio.is_some() {
            self.utilization_ratio = sample.utilization_ratio;
        }
        if sample.throttle_bits.is_some() {
            self.throttle_bits = sample.throttle_bits;
        }
        if let Some(processes) = sample.processes {
            self.list(now, processes);
        }
        if let Some(used) = sample.process_use {
            self.push_use(now, &used);
        }
    }

    fn list(&mut self, now: Moment, processes: Vec<GpuProcess>) {
        self.first_listed.retain(|pid, _| processes.iter().any(|process| process.pid == *pid));
        for process in &processes {
            self.first_listed.entry(process.pid).or_insert(now);
        }
        self.processes = processes;
    }

    /// A process that is not in `used` did not use the GPU: that is a zero, not a missing value.
    fn push_use(&mut self, now: Moment, used: &[ProcessUse]) {
        for each in used {
            if self.use_by_process.len() < PROCESSES_MAX {
                self.use_by_process.entry(each.pid).or_insert_with(|| Ring::new(USE_SECONDS));
            }
        }
        let second = now.0.as_secs();
        for (pid, ring) in &mut self.use_by_process {
            let ratio = used.iter().find(|each| each.pid == *pid).map_or(0.0, |each| each.sm_ratio);
            match ring.newest_mut() {
                Some((newest, value)) if *newest == second => *value = value.max(ratio),
                _ => ring.push((second, ratio)),
            }
        }
        self.use_by_process.retain(|_, ring| ring.newest_first().any(|(_, ratio)| *ratio > 0.0));
    }

    /// Takes in an XID. The driver and the kernel log tell of the same one: within `together` they
    /// are one.
    pub fn push_xid(&mut self, now: Moment, xid: u32, text: &str, together: std::time::Duration) {
        let known = self.xids.iter_mut().find(|known| known.xid == xid);
        if let Some(known) = known {
            let same =
                now.since(known.last_at) <= together && known.text.is_empty() != text.is_empty();
            known.count += u64::from(!same);
            known.last_at = now;
            if known.text.is_empty() {
                text.clone_into(&mut known.text);
            }
            return;
        }
        if self.xids.len() == XIDS_MAX {
            self.xids.remove(0);
        }
        let text = text.to_owned();
        self.xids.push(XidRecord { first_at: now, last_at: now, xid, count: 1, text });
    }

    /// Newest reading of memory.
    pub fn memory_now(&self) -> Option<GpuMemory> {
        self.memory.newest().map(|(_, memory)| *memory)
    }

    /// Readings of memory since `from`, oldest first.
    pub fn memory_since(&self, from: Moment) -> impl Iterator<Item = (Moment, GpuMemory)> {
        self.memory.oldest_first().copied().filter(move |(at, _)| *at >= from)
    }
}

/// Bus and device of a PCI address, by which the kernel, NVML and an XID line can be compared.
pub(super) fn pci_key(text: &str) -> Option<(u32, u32, u32)> {
    let text = text.trim_start_matches("PCI:");
    let mut parts = text.rsplitn(3, ':');
    let device = parts.next()?.split('.').next()?;
    let bus = parts.next()?;
    let domain = parts.next().unwrap_or("0");
    let hex = |text: &str| u32::from_str_radix(text, 16).ok();
    Some((hex(domain)?, hex(bus)?, hex(device)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_pci_address_is_known_in_all_its_spellings() {
        for text in ["0000:1b:00.0", "00000000:1B:00.0", "PCI:0000:1b:00", "PCI:0000:1b:00.0"] {
            assert_eq!(pci_key(text), Some((0, 0x1b, 0)), "{text}");
        }
        assert_eq!(pci_key("nonsense"), None);
    }
}
