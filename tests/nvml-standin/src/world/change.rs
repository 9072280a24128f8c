//! How a command changes the world.

use super::events::{DOUBLE_BIT_ECC, SINGLE_BIT_ECC, XID};
use super::process::Account;
use super::{Event, Gpu, Process, World};
use crate::command::{
    AddProcess, Command, EccKind, SetClocks, SetNvlink, SetPcie, SetProcess, SetRemappedRows,
};
use crate::scenario::MigInstance;

/// The first of the process ids that churn makes up, above any a test would choose.
const CHURN_PIDS: u32 = 0x7000_0000;

impl World {
    /// Carries out a command that was given at `now_us`.
    pub(crate) fn apply(&mut self, command: &Command, now_us: u64) -> Result<(), String> {
        match command {
            Command::Reset => self.reset(),
            Command::Fault(fault) => self.set_fault(fault),
            Command::ClearFault { call, gpu } => {
                self.clear_faults(call.as_deref(), *gpu);
                Ok(())
            }
            Command::SetDriver { version } => {
                self.driver_version.clone_from(version);
                Ok(())
            }
            Command::Xid { gpu, code, gpu_instance, compute_instance } => {
                let event = Event::of(*gpu, XID, *code);
                self.raise(event.on(*gpu_instance, *compute_instance))
            }
            Command::Event { gpu, event_type, data } => {
                self.raise(Event::of(*gpu, *event_type, *data))
            }
            Command::AddEccErrors { gpu, kind, location, count } => {
                self.gpu_mut(*gpu)?.ecc.add(*kind, *location, *count);
                let uncorrected = *kind == EccKind::Uncorrected;
                let bit = if uncorrected { DOUBLE_BIT_ECC } else { SINGLE_BIT_ECC };
                self.raise(Event::of(*gpu, bit, *count))
            }
            other => self.apply_load(other, now_us),
        }
    }

    /// Commands about what runs on a GPU.
    fn apply_load(&mut self, command: &Command, now_us: u64) -> Result<(), String> {
        match command {
            Command::SetMemory { gpu, used } => self.gpu_mut(*gpu)?.set_memory(*used, now_us),
            Command::RampMemory { gpu, bytes_per_second, limit, pid } => {
                let gpu = self.gpu_mut(*gpu)?;
                match pid {
                    Some(pid) => gpu.ramp_process(*pid, *bytes_per_second, *limit, now_us),
                    None => gpu.ramp_unattributed(*bytes_per_second, *limit, now_us),
                }
            }
            Command::SetUtilization { gpu, gpu_percent, memory_percent } => {
                let gpu = self.gpu_mut(*gpu)?;
                (gpu.gpu_percent, gpu.memory_percent) = (*gpu_percent, *memory_percent);
                gpu.changed_us = now_us;
                Ok(())
            }
            Command::AddProcess(process) => self.gpu_mut(process.gpu)?.add_process(process, now_us),
            Command::SetProcess(change) => self.gpu_mut(change.gpu)?.set_process(change, now_us),
            Command::RemoveProcess { gpu, pid } => self.gpu_mut(*gpu)?.end_process(*pid, now_us),
            Command::SetMig { gpu, mig } => self.gpu_mut(*gpu)?.cut(mig),
            Command::ChurnProcesses { gpu, extra } => {
                self.gpu_mut(*gpu)?.churn = *extra;
                Ok(())
            }
            other => self.apply_health(other, now_us),
        }
    }

    /// Commands about the state of a GPU itself.
    fn apply_health(&mut self, command: &Command, now_us: u64) -> Result<(), String> {
        match command {
            Command::SetThrottle { gpu, reasons } => {
                let bits = reasons.iter().fold(0, |bits, reason| bits | *reason as u64);
                self.gpu_mut(*gpu)?.set_throttle(bits, now_us);
            }
            Command::SetTemperature { gpu, gpu_celsius, memory_celsius } => {
                let gpu = self.gpu_mut(*gpu)?;
                keep(&mut gpu.gpu_celsius, *gpu_celsius);
                keep(&mut gpu.memory_celsius, *memory_celsius);
            }
            Command::SetPower { gpu, milliwatts, limit_milliwatts } => {
                let gpu = self.gpu_mut(*gpu)?;
                keep(&mut gpu.limit_milliwatts, *limit_milliwatts);
                gpu.set_power(milliwatts.unwrap_or(gpu.milliwatts), now_us);
            }
            Command::SetRetiredPages { gpu, single_bit, double_bit, pending } => {
                self.gpu_mut(*gpu)?.retired = (*single_bit, *double_bit, *pending);
            }
            Command::SetRecoveryAction { gpu, action } => {
                self.gpu_mut(*gpu)?.recovery_action = *action;
            }
            Command::SetField { gpu, field, value } => {
                self.gpu_mut(*gpu)?.fields.insert(*field, *value);
            }
            Command::LoseGpu { gpu, code } => self.gpu_mut(*gpu)?.lost = Some(*code),
            Command::RestoreGpu { gpu } => self.gpu_mut(*gpu)?.lost = None,
            Command::SetClocks(clocks) => self.gpu_mut(clocks.gpu)?.set_clocks(clocks),
            Command::SetRemappedRows(rows) => self.gpu_mut(rows.gpu)?.set_remapped(rows),
            Command::SetPcie(pcie) => self.gpu_mut(pcie.gpu)?.set_pcie(pcie),
            Command::SetNvlink(nvlink) => self.gpu_mut(nvlink.gpu)?.set_nvlink(nvlink),
            _ => return Err("a command that nothing carries out".into()),
        }
        Ok(())
    }
}

impl Gpu {
    /// Starts a process.
    pub(super) fn add_process(&mut self, spec: &AddProcess, now_us: u64) -> Result<(), String> {
        if self.processes.iter().any(|process| process.pid == spec.pid) {
            return Err(format!("process {} is there already", spec.pid));
        }
        if spec.mig.is_some_and(|slot| slot >= self.mig.len()) {
            return Err(format!("GPU {} has {} MIG devices", self.index, self.mig.len()));
        }
        self.processes.push(Process::start(spec, now_us));
        Ok(())
    }

    /// Cuts it anew. What runs on a MIG device must have ended before.
    fn cut(&mut self, mig: &[MigInstance]) -> Result<(), String> {
        let kept = |slot: usize| mig.get(slot) == self.mig.get(slot);
        let there = |process: &&Process| process.mig.is_some_and(|slot| !kept(slot));
        match self.processes.iter().find(there) {
            Some(process) => {
                Err(format!("process {} runs on a MIG device that would go", process.pid))
            }
            None => {
                self.mig = mig.to_vec();
                Ok(())
            }
        }
    }

    fn process_mut(&mut self, pid: u32) -> Result<&mut Process, String> {
        let found = self.processes.iter_mut().find(|process| process.pid == pid);
        found.ok_or_else(|| format!("no process {pid}"))
    }

    fn set_process(&mut self, change: &SetProcess, now_us: u64) -> Result<(), String> {
        self.process_mut(change.pid)?.change(change, now_us);
        Ok(())
    }

    fn ramp_process(&mut self, pid: u32, rate: i64, limit: u64, now: u64) -> Result<(), String> {
        let process = self.process_mut(pid)?;
        process.memory = process.memory.moving(now, rate, limit);
        Ok(())
    }

    fn end_process(&mut self, pid: u32, now_us: u64) -> Result<(), String> {
        let account = self.process_mut(pid)?.account(now_us, Some(now_us));
        self.ended.push(account);
        self.processes.retain(|process| process.pid != pid);
        Ok(())
    }

    fn set_clocks(&mut self, clocks: &SetClocks) {
        keep(&mut self.sm_mhz, clocks.sm_mhz);
        keep(&mut self.memory_mhz, clocks.memory_mhz);
    }

    fn set_remapped(&mut self, rows: &SetRemappedRows) {
        let now = &mut self.remapped;
        now.correctable = rows.correctable.or(now.correctable);
        now.uncorrectable = rows.uncorrectable.or(now.uncorrectable);
        now.pending = rows.pending.or(now.pending);
        now.failure = rows.failure.or(now.failure);
    }

    fn set_pcie(&mut self, link: &SetPcie) {
        let now = &mut self.pcie;
        now.generation = link.generation.or(now.generation);
        now.width = link.width.or(now.width);
        now.replays = link.replays.or(now.replays);
    }

    fn set_nvlink(&mut self, link: &SetNvlink) {
        let now = &mut self.nvlink;
        now.active = link.active.or(now.active);
        now.replays = link.replays.or(now.replays);
        now.recoveries = link.recoveries.or(now.recoveries);
        now.crc_flit = link.crc_flit.or(now.crc_flit);
        now.crc_data = link.crc_data.or(now.crc_data);
        now.ecc_data = link.ecc_data.or(now.ecc_data);
    }

    /// The processes that have come between a call that counts them and a call that lists them.
    pub(crate) fn newcomers(&self) -> Vec<Process> {
        (0..self.churn).map(|nth| Process::stranger(CHURN_PIDS + nth)).collect()
    }

    /// The driver's accounts of processes that run and that have ended.
    pub(crate) fn accounts(&self, now_us: u64) -> Vec<Account> {
        let running = self.processes.iter();
        let running = running.map(|process| process.account(now_us, None));
        running.chain(self.ended.iter().copied()).collect()
    }
}

fn keep<T>(slot: &mut T, change: Option<T>) {
    if let Some(value) = change {
        *slot = value;
    }
}
