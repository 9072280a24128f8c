//! One GPU.

use super::Fields;
use super::ecc::Ecc;
use super::process::{Account, Process};
use super::ramp::Ramp;
use crate::command::{SetNvlink, SetPcie, SetRemappedRows};
use crate::model::Traits;
use crate::scenario::{GpuSpec, MigInstance};

const MIB: u64 = 1 << 20;

/// The sets of throttle reasons whose time the driver counts: one for each policy NVML knows (power
/// cap, any heat, sync boost, power brake), then heat apart by who slows the clocks down.
const TIMED: [u64; 6] = [0x4, 0x8 | 0x20 | 0x40, 0x10, 0x80, 0x20, 0x40];

/// Memory of a GPU or of a MIG device, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Memory {
    pub(crate) total: u64,
    pub(crate) reserved: u64,
    pub(crate) used: u64,
}

/// One GPU, and all it can be asked.
#[derive(Clone, Debug)]
pub(crate) struct Gpu {
    pub(crate) index: usize,
    pub(crate) traits: &'static Traits,
    pub(crate) name: String,
    pub(crate) uuid: String,
    pub(crate) pci_bus: u32,
    pub(crate) ecc_enabled: bool,
    pub(crate) persistence: bool,
    pub(crate) accounting: bool,
    pub(crate) mig: Vec<MigInstance>,
    pub(crate) processes: Vec<Process>,
    pub(crate) churn: u32,
    pub(crate) gpu_percent: u32,
    pub(crate) memory_percent: u32,
    pub(crate) gpu_celsius: u32,
    pub(crate) memory_celsius: u32,
    pub(crate) milliwatts: u32,
    pub(crate) limit_milliwatts: u32,
    pub(crate) sm_mhz: u32,
    pub(crate) memory_mhz: u32,
    pub(crate) throttle: u64,
    pub(crate) ecc: Ecc,
    pub(crate) remapped: SetRemappedRows,
    pub(crate) retired: (u32, u32, bool),
    pub(crate) recovery_action: u32,
    pub(crate) pcie: SetPcie,
    pub(crate) nvlink: SetNvlink,
    pub(crate) fields: Fields,
    pub(crate) lost: Option<u32>,
    pub(super) changed_us: u64,
    pub(super) ended: Vec<Account>,
    total: u64,
    reserved: u64,
    unattributed: Ramp,
    energy_mj: Ramp,
    held_down_ns: [Ramp; TIMED.len()],
}

impl Gpu {
    /// The GPU a scenario begins with.
    pub(super) fn begin(index: usize, spec: &GpuSpec, born_us: u64) -> Result<Self, String> {
        let mut gpu = Self::idle(index, spec, born_us);
        for process in &spec.processes {
            gpu.add_process(process, born_us)?;
        }
        if let Some(used) = spec.memory_used {
            gpu.set_memory(used, born_us)?;
        }
        Ok(gpu)
    }

    fn idle(index: usize, spec: &GpuSpec, born_us: u64) -> Self {
        let traits = spec.model.traits();
        let reserved = spec.memory_reserved.unwrap_or(traits.reserved_mib * MIB);
        Self {
            index,
            traits,
            name: spec.name.clone().unwrap_or_else(|| traits.name.into()),
            uuid: spec.uuid.clone().unwrap_or_else(|| default_uuid(index)),
            pci_bus: spec.pci_bus.unwrap_or_else(|| default_pci_bus(index)),
            ecc_enabled: spec.ecc,
            persistence: spec.persistence,
            accounting: spec.accounting,
            mig: spec.mig.clone(),
            processes: Vec::new(),
            churn: 0,
            gpu_percent: 0,
            memory_percent: 0,
            gpu_celsius: 35,
            memory_celsius: 40,
            milliwatts: traits.idle_mw,
            limit_milliwatts: traits.power_limit_mw,
            sm_mhz: traits.max_sm_mhz,
            memory_mhz: traits.max_memory_mhz,
            throttle: 0,
            ecc: Ecc::default(),
            remapped: SetRemappedRows::default(),
            retired: (0, 0, false),
            recovery_action: 0,
            pcie: SetPcie {
                gpu: index,
                generation: Some(traits.pcie_generation),
                width: Some(16),
                replays: Some(0),
            },
            nvlink: SetNvlink { active: Some(traits.nvlinks), ..SetNvlink::default() },
            fields: Fields::new(),
            lost: None,
            changed_us: born_us,
            ended: Vec::new(),
            total: spec.memory_total.unwrap_or(traits.total_mib * MIB),
            reserved,
            unattributed: Ramp::steady(reserved),
            energy_mj: Ramp::steady(0).moving(born_us, traits.idle_mw.into(), u64::MAX),
            held_down_ns: [Ramp::steady(0); TIMED.len()],
        }
    }

    /// Memory of the whole GPU; no more is ever in use than there is.
    pub(crate) fn memory(&self, now_us: u64) -> Memory {
        let used = self.unattributed.at(now_us).saturating_add(self.held(now_us, None));
        Memory { total: self.total, reserved: self.reserved, used: used.min(self.total) }
    }

    /// Memory of one MIG device.
    pub(crate) fn mig_memory(&self, slot: usize, now_us: u64) -> Option<Memory> {
        let total = self.mig.get(slot)?.memory_total;
        Some(Memory { total, reserved: 0, used: self.held(now_us, Some(slot)).min(total) })
    }

    /// Bytes that processes hold, on all of the GPU or on one MIG device.
    pub(super) fn held(&self, now_us: u64, mig: Option<usize>) -> u64 {
        let there = self.processes.iter().filter(|process| mig.is_none() || process.mig == mig);
        there.map(|process| process.memory.at(now_us)).fold(0, u64::saturating_add)
    }

    /// Sets the memory in use, which cannot be less than processes hold.
    pub(super) fn set_memory(&mut self, used: u64, now_us: u64) -> Result<(), String> {
        self.unattributed = Ramp::steady(self.share_of(used, now_us)?);
        Ok(())
    }

    /// Moves the memory that belongs to no process until the GPU's memory in use is `limit`.
    pub(super) fn ramp_unattributed(
        &mut self,
        per_second: i64,
        limit: u64,
        now_us: u64,
    ) -> Result<(), String> {
        let limit = self.share_of(limit, now_us)?;
        self.unattributed = self.unattributed.moving(now_us, per_second, limit);
        Ok(())
    }

    fn share_of(&self, used: u64, now_us: u64) -> Result<u64, String> {
        let held = self.held(now_us, None);
        used.checked_sub(held).ok_or_else(|| format!("processes hold {held} bytes already"))
    }

    /// Sets the power drawn, from which energy follows.
    pub(super) fn set_power(&mut self, milliwatts: u32, now_us: u64) {
        self.milliwatts = milliwatts;
        self.energy_mj = self.energy_mj.moving(now_us, milliwatts.into(), u64::MAX);
    }

    /// Energy since the scenario began, in millijoules.
    pub(crate) fn energy_mj(&self, now_us: u64) -> u64 {
        self.energy_mj.at(now_us)
    }

    /// Sets the reasons for throttling; the time of each set of reasons runs while one of it holds.
    pub(super) fn set_throttle(&mut self, reasons: u64, now_us: u64) {
        self.throttle = reasons;
        for (time, timed) in self.held_down_ns.iter_mut().zip(TIMED) {
            let per_second = if reasons & timed == 0 { 0 } else { 1_000_000_000 };
            *time = time.moving(now_us, per_second, u64::MAX);
        }
    }

    /// Nanoseconds for which clocks were held down, by the place of the reasons among those timed;
    /// the first four places are NVML's numbers of policies.
    pub(crate) fn held_down_ns(&self, place: u32, now_us: u64) -> Option<u64> {
        self.held_down_ns.get(place as usize).map(|time| time.at(now_us))
    }

    /// When the driver last took a sample of the whole GPU; a change is sampled at once.
    pub(crate) fn sampled_us(&self, last_tick_us: u64) -> u64 {
        last_tick_us.max(self.changed_us)
    }

    /// The PCI address as NVML writes it, with so many digits of domain.
    pub(crate) fn pci_address(&self, domain_digits: usize) -> String {
        format!("{:0domain_digits$X}:{:02X}:00.0", 0, self.pci_bus)
    }

    /// The UUID of a MIG device.
    pub(crate) fn mig_uuid(&self, slot: usize) -> Option<String> {
        let instance = self.mig.get(slot)?;
        let tail = self.uuid.trim_start_matches("GPU-");
        let follows = || format!("MIG-{slot:08x}{}", tail.get(8..).unwrap_or_default());
        Some(instance.uuid.clone().unwrap_or_else(follows))
    }
}

fn default_uuid(index: usize) -> String {
    format!("GPU-5ca1ab1e-0000-4000-8000-{index:012x}")
}

fn default_pci_bus(index: usize) -> u32 {
    0x10 + u32::try_from(index).unwrap_or(0)
}
