//! Processes on a device.

use nvml_wrapper_sys::bindings::{
    nvmlProcessInfo_t, nvmlProcessInfo_v1_t, nvmlProcessUtilizationInfo_v1_t,
    nvmlProcessUtilizationSample_t, nvmlProcessesUtilizationInfo_v1_t,
};

use super::out::{Out, list};
use super::sizes::version_word;
use super::{Seen, device_calls};
use crate::command::ProcessKind;
use crate::status::Status;
use crate::world::Process;

/// NVML's value for memory the driver does not tell.
const NOT_AVAILABLE: u64 = u64::MAX;

/// NVML's value for "no instance".
const NO_INSTANCE: u32 = u32::MAX;

device_calls! { on_any_device:
    /// Processes with a compute context.
    fn nvmlDeviceGetComputeRunningProcesses_v3(count: Out<u32>, to: Out<nvmlProcessInfo_t>) |seen| {
        list(count, to, &running(seen, ProcessKind::Compute, to.is_null()))
    };

    /// Processes with a compute context, in the structure that has stayed since.
    fn nvmlDeviceGetComputeRunningProcesses_v2(count: Out<u32>, to: Out<nvmlProcessInfo_t>) |seen| {
        list(count, to, &running(seen, ProcessKind::Compute, to.is_null()))
    };

    /// Processes with a compute context, as first defined: without instances.
    fn nvmlDeviceGetComputeRunningProcesses(count: Out<u32>, to: Out<nvmlProcessInfo_v1_t>) |seen| {
        let there = running(seen, ProcessKind::Compute, to.is_null());
        let first: Vec<_> = there
            .iter()
            .map(|info| nvmlProcessInfo_v1_t { pid: info.pid, usedGpuMemory: info.usedGpuMemory })
            .collect();
        list(count, to, &first)
    };

    /// Processes with a graphics context.
    fn nvmlDeviceGetGraphicsRunningProcesses_v3(count: Out<u32>, to: Out<nvmlProcessInfo_t>) |seen| {
        list(count, to, &running(seen, ProcessKind::Graphics, true))
    };

    /// Clients of MPS.
    fn nvmlDeviceGetMPSComputeRunningProcesses_v3(
        count: Out<u32>,
        to: Out<nvmlProcessInfo_t>
    ) |seen| list(count, to, &running(seen, ProcessKind::Mps, true));
}

device_calls! { on_gpu:
    /// Samples of each process's use since an instant; none is not found.
    fn nvmlDeviceGetProcessUtilization(
        to: Out<nvmlProcessUtilizationSample_t>,
        count: Out<u32>,
        last_seen_us: u64
    ) |seen| {
        let samples: Vec<_> = sampled_since(seen, last_seen_us)?.into_iter().map(sample).collect();
        list(count, to, &samples)
    };

    /// Samples of each process's use since an instant, in the later structure.
    fn nvmlDeviceGetProcessesUtilizationInfo(to: Out<nvmlProcessesUtilizationInfo_v1_t>) |seen| {
        let mut asked = to.get()?;
        if asked.version != version_word::<nvmlProcessesUtilizationInfo_v1_t>(1) {
            return Err(Status::ARGUMENT_VERSION_MISMATCH);
        }
        let samples = sampled_since(seen, asked.lastSeenTimeStamp)?;
        let room = asked.processSamplesCount as usize;
        asked.processSamplesCount = samples.len() as u32;
        to.put(asked)?;
        if asked.procUtilArray.is_null() || room < samples.len() {
            return Err(Status::INSUFFICIENT_SIZE);
        }
        let infos: Vec<_> = samples.into_iter().map(info).collect();
        Out::at(asked.procUtilArray).fill(&infos)
    };
}

/// Processes of a kind on the device; a caller who has counted may find more than were counted.
fn running(seen: &Seen, kind: ProcessKind, counting: bool) -> Vec<nvmlProcessInfo_t> {
    let newcomers = if counting { Vec::new() } else { seen.gpu.newcomers() };
    let there = seen.gpu.processes.iter().filter(|process| process.kind == kind).chain(&newcomers);
    let slot = seen.mig.map(|(slot, _)| slot);
    let on_device = there.filter(|process| slot.is_none() || process.mig == slot);
    on_device.map(|process| process_info(seen, process)).collect()
}

fn process_info(seen: &Seen, process: &Process) -> nvmlProcessInfo_t {
    let instance = process.mig.and_then(|slot| seen.gpu.mig.get(slot));
    nvmlProcessInfo_t {
        pid: process.pid,
        usedGpuMemory: process.reported_memory(seen.now_us).unwrap_or(NOT_AVAILABLE),
        gpuInstanceId: instance.map_or(NO_INSTANCE, |mig| mig.gpu_instance),
        computeInstanceId: instance.map_or(NO_INSTANCE, |mig| mig.compute_instance),
    }
}

/// The processes sampled after an instant, each with the instant of its latest sample.
fn sampled_since<'a>(
    seen: &Seen<'a>,
    last_seen_us: u64,
) -> Result<Vec<(u64, &'a Process)>, Status> {
    if !seen.gpu.mig.is_empty() {
        return Err(Status::NOT_SUPPORTED);
    }
    let tick_us = seen.world.last_tick_us(seen.now_us);
    let processes = seen.gpu.processes.iter();
    let sampled = processes.filter_map(|process| Some((process.sampled_us(tick_us)?, process)));
    let fresh: Vec<_> = sampled.filter(|(at_us, _)| *at_us > last_seen_us).collect();
    if fresh.is_empty() { Err(Status::NOT_FOUND) } else { Ok(fresh) }
}

fn sample((at_us, process): (u64, &Process)) -> nvmlProcessUtilizationSample_t {
    nvmlProcessUtilizationSample_t {
        pid: process.pid,
        timeStamp: at_us,
        smUtil: process.sm_percent,
        memUtil: process.memory_percent,
        encUtil: 0,
        decUtil: 0,
    }
}

fn info((at_us, process): (u64, &Process)) -> nvmlProcessUtilizationInfo_v1_t {
    nvmlProcessUtilizationInfo_v1_t {
        timeStamp: at_us,
        pid: process.pid,
        smUtil: process.sm_percent,
        memUtil: process.memory_percent,
        encUtil: 0,
        decUtil: 0,
        jpgUtil: 0,
        ofaUtil: 0,
    }
}
