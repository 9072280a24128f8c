//! Processes on a GPU.

use super::ramp::Ramp;
use crate::command::{AddProcess, ProcessKind, SetProcess};

/// A process in the driver's accounts, which outlast it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Account {
    pub(crate) pid: u32,
    pub(crate) sm_percent: u32,
    pub(crate) memory_percent: u32,
    pub(crate) memory: u64,
    pub(crate) started_us: u64,
    pub(crate) ended_us: Option<u64>,
}

/// A client of a GPU.
#[derive(Clone, Debug)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    pub(crate) kind: ProcessKind,
    pub(crate) mig: Option<usize>,
    pub(crate) sm_percent: u32,
    pub(crate) memory_percent: u32,
    pub(crate) started_us: u64,
    pub(super) memory: Ramp,
    memory_hidden: bool,
    changed_us: u64,
}

impl Process {
    /// A process that starts now.
    pub(super) fn start(spec: &AddProcess, now_us: u64) -> Self {
        Self {
            pid: spec.pid,
            kind: spec.kind,
            mig: spec.mig,
            sm_percent: spec.sm_percent,
            memory_percent: spec.memory_percent,
            started_us: now_us,
            memory: Ramp::steady(spec.memory.unwrap_or(0)),
            memory_hidden: spec.memory.is_none(),
            changed_us: now_us,
        }
    }

    /// A process nobody knows anything of but that it is there.
    pub(super) fn stranger(pid: u32) -> Self {
        Self::start(&AddProcess { pid, memory: Some(0), ..AddProcess::default() }, 0)
    }

    /// Changes what the command names.
    pub(super) fn change(&mut self, command: &SetProcess, now_us: u64) {
        if let Some(memory) = command.memory {
            self.memory = Ramp::steady(memory);
            self.memory_hidden = false;
        }
        self.sm_percent = command.sm_percent.unwrap_or(self.sm_percent);
        self.memory_percent = command.memory_percent.unwrap_or(self.memory_percent);
        self.changed_us = now_us;
    }

    /// Bytes it holds, where the driver says so.
    pub(crate) fn reported_memory(&self, now_us: u64) -> Option<u64> {
        (!self.memory_hidden).then(|| self.memory.at(now_us))
    }

    /// When the driver last took a sample of it; an idle process leaves none. A change is sampled
    /// at once, so that a test which has made one need not wait for the period to pass.
    pub(crate) fn sampled_us(&self, last_tick_us: u64) -> Option<u64> {
        let busy = self.sm_percent > 0 || self.memory_percent > 0;
        busy.then(|| last_tick_us.max(self.changed_us))
    }

    /// What the driver's accounts say of it.
    pub(super) fn account(&self, now_us: u64, ended_us: Option<u64>) -> Account {
        Account {
            pid: self.pid,
            sm_percent: self.sm_percent,
            memory_percent: self.memory_percent,
            memory: self.memory.at(now_us),
            started_us: self.started_us,
            ended_us,
        }
    }
}
