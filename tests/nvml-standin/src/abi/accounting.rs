//! The driver's accounts of processes, which outlast them.

use nvml_wrapper_sys::bindings::nvmlAccountingStats_t;

use super::out::{Out, list};
use super::{Seen, device_calls};
use crate::status::Status;
use crate::world::Account;

device_calls! { on_gpu:
    /// Whether accounts are kept.
    fn nvmlDeviceGetAccountingMode(to: Out<u32>) |seen| to.put(seen.gpu.accounting.into());

    /// The processes there are accounts of.
    fn nvmlDeviceGetAccountingPids(count: Out<u32>, to: Out<u32>) |seen| {
        let pids: Vec<u32> = accounts(seen)?.iter().map(|account| account.pid).collect();
        list(count, to, &pids)
    };

    /// The account of a process: of the latest, where there were several of its number.
    fn nvmlDeviceGetAccountingStats(pid: u32, to: Out<nvmlAccountingStats_t>) |seen| {
        let accounts = accounts(seen)?;
        let of_pid = accounts.iter().filter(|account| account.pid == pid);
        let latest = of_pid.max_by_key(|account| account.started_us).ok_or(Status::NOT_FOUND)?;
        to.put(stats(latest))
    };
}

fn accounts(seen: &Seen) -> Result<Vec<Account>, Status> {
    if !seen.gpu.accounting {
        return Err(Status::NOT_SUPPORTED);
    }
    Ok(seen.gpu.accounts(seen.now_us))
}

fn stats(account: &Account) -> nvmlAccountingStats_t {
    let lasted_us = account.ended_us.map(|ended| ended.saturating_sub(account.started_us));
    nvmlAccountingStats_t {
        gpuUtilization: account.sm_percent,
        memoryUtilization: account.memory_percent,
        maxMemoryUsage: account.memory,
        // NVML gives a running process no time yet.
        time: lasted_us.unwrap_or(0) / 1000,
        startTime: account.started_us,
        isRunning: account.ended_us.is_none().into(),
        reserved: [0; 5],
    }
}
