//! Processes, and what each of them uses.

use nvidia_ml::{AddProcess, Command, GpuSpec, Model, ProcessKind, Scenario, SetProcess};
use nvml_wrapper::Device;
use nvml_wrapper::enums::device::UsedGpuMemory;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper_sys::bindings::{nvmlProcessInfo_t, nvmlProcessUtilizationInfo_v1_t};
use nvml_wrapper_sys::bindings::{nvmlProcessesUtilizationInfo_v1_t, nvmlReturn_t};

use super::Node;

/// A process of so many bytes.
fn process(pid: u32, memory: u64) -> AddProcess {
    AddProcess { pid, memory: Some(memory), ..AddProcess::default() }
}

fn pids(device: &Device) -> Vec<u32> {
    device.running_compute_processes().unwrap().iter().map(|process| process.pid).collect()
}

#[test]
fn processes_come_and_go_with_their_memory() {
    let node = Node::of(&[Model::A100]);
    let device = node.nvml.device_by_index(0).unwrap();
    let idle = node.used(0);
    assert!(pids(&device).is_empty());

    node.send(&Command::AddProcess(process(100, 1 << 30)));
    node.send(&Command::AddProcess(process(200, 2 << 30)));
    assert_eq!(pids(&device), [100, 200]);
    assert_eq!(node.used(0), idle + (3 << 30));

    node.send(&Command::RemoveProcess { gpu: 0, pid: 100 });
    assert_eq!(pids(&device), [200]);
    assert_eq!(node.used(0), idle + (2 << 30));
}

#[test]
fn a_ramp_can_be_a_process_s() {
    let node = Node::of(&[Model::A100]);
    let device = node.nvml.device_by_index(0).unwrap();
    let idle = node.used(0);
    node.send(&Command::AddProcess(process(100, 1 << 30)));
    let limit = 8 << 30;
    node.send(&Command::RampMemory { gpu: 0, bytes_per_second: i64::MAX, limit, pid: Some(100) });
    let processes = device.running_compute_processes().unwrap();
    assert_eq!(processes[0].used_gpu_memory, UsedGpuMemory::Used(limit));
    assert_eq!(node.used(0), idle + limit);
}

#[test]
fn memory_the_driver_does_not_tell_is_unavailable() {
    let untold = AddProcess { pid: 7, memory: None, ..AddProcess::default() };
    let spec = GpuSpec { processes: vec![untold], ..GpuSpec::of(Model::A100) };
    let node = Node::with(&Scenario { gpus: vec![spec], ..Scenario::default() });
    let device = node.nvml.device_by_index(0).unwrap();
    let processes = device.running_compute_processes().unwrap();
    assert_eq!(processes[0].used_gpu_memory, UsedGpuMemory::Unavailable);
}

#[test]
fn each_kind_of_process_has_its_list() {
    let node = Node::of(&[Model::A100]);
    let device = node.nvml.device_by_index(0).unwrap();
    let mps = AddProcess { kind: ProcessKind::Mps, ..process(1, 0) };
    let graphics = AddProcess { kind: ProcessKind::Graphics, ..process(2, 0) };
    node.send(&Command::AddProcess(mps));
    node.send(&Command::AddProcess(graphics));
    assert_eq!(device.mps_running_compute_processes().unwrap()[0].pid, 1);
    assert_eq!(device.running_graphics_processes().unwrap()[0].pid, 2);
    assert!(pids(&device).is_empty());
}

#[test]
fn counting_says_how_much_room_is_needed() {
    let node = Node::of(&[Model::A100]);
    let device = node.nvml.device_by_index(0).unwrap();
    let count = || -> (nvmlReturn_t, u32) {
        let (lib, mut count, none) =
            (node.nvml.lib(), 0, std::ptr::null_mut::<nvmlProcessInfo_t>());
        // SAFETY: the handle is the library's own and the count outlives the call.
        let code = unsafe {
            lib.nvmlDeviceGetComputeRunningProcesses_v3(device.handle(), &mut count, none)
        };
        (code, count)
    };
    assert_eq!(count(), (0, 0));
    node.send(&Command::AddProcess(process(1, 0)));
    assert_eq!(count(), (7, 1));
}

#[test]
fn processes_may_come_between_counting_and_listing() {
    let node = Node::of(&[Model::A100]);
    let device = node.nvml.device_by_index(0).unwrap();
    node.send(&Command::AddProcess(process(1, 0)));
    node.send(&Command::ChurnProcesses { gpu: 0, extra: 5 });
    assert_eq!(pids(&device).len(), 6);
    node.send(&Command::ChurnProcesses { gpu: 0, extra: 6 });
    let listed = device.running_compute_processes();
    assert!(matches!(listed, Err(NvmlError::InsufficientSize(_))), "{listed:?}");
}

#[test]
fn no_new_sample_of_a_process_is_not_found() {
    // No period ever passes, so samples come only of changes.
    let node = Node::with(&Scenario::of(&[Model::A100]).with_sample_period_ms(u64::MAX));
    let device = node.nvml.device_by_index(0).unwrap();
    let since = |instant: u64| device.process_utilization_stats(instant);
    node.send(&Command::AddProcess(process(1, 0)));
    assert!(matches!(since(0), Err(NvmlError::NotFound)));

    let busy = SetProcess { pid: 1, sm_percent: Some(80), ..SetProcess::default() };
    node.send(&Command::SetProcess(busy.clone()));
    let samples = since(0).unwrap();
    assert_eq!((samples[0].pid, samples[0].sm_util, samples[0].mem_util), (1, 80, 0));
    assert!(matches!(since(samples[0].timestamp), Err(NvmlError::NotFound)));

    node.send(&Command::SetProcess(SetProcess { sm_percent: Some(20), ..busy }));
    assert_eq!(since(samples[0].timestamp).unwrap()[0].sm_util, 20);
}

#[test]
fn the_later_structure_of_process_use_is_served_too() {
    let node = Node::of(&[Model::H100]);
    let device = node.nvml.device_by_index(0).unwrap();
    let busy = AddProcess { sm_percent: 55, memory_percent: 21, ..process(9, 0) };
    node.send(&Command::AddProcess(busy));
    let ask = |version, room, array: *mut nvmlProcessUtilizationInfo_v1_t| {
        let mut asked = nvmlProcessesUtilizationInfo_v1_t {
            version,
            processSamplesCount: room,
            lastSeenTimeStamp: 0,
            procUtilArray: array,
        };
        let lib = node.nvml.lib();
        // SAFETY: the structures outlive the call, and there is the room it is told of.
        let code =
            unsafe { lib.nvmlDeviceGetProcessesUtilizationInfo(device.handle(), &mut asked) };
        (code, asked.processSamplesCount)
    };
    // SAFETY: all-zero bytes are a valid value of plain numbers.
    let mut info: nvmlProcessUtilizationInfo_v1_t = unsafe { std::mem::zeroed() };
    assert_eq!(ask(0x0200_0018, 0, std::ptr::null_mut()).0, 25);
    assert_eq!(ask(0x0100_0018, 0, std::ptr::null_mut()), (7, 1));
    assert_eq!(ask(0x0100_0018, 1, &mut info), (0, 1));
    assert_eq!((info.pid, info.smUtil, info.memUtil), (9, 55, 21));
}

#[test]
fn accounts_outlast_a_process() {
    let spec = GpuSpec { accounting: true, ..GpuSpec::of(Model::A100) };
    let node = Node::with(&Scenario { gpus: vec![spec], ..Scenario::default() });
    let device = node.nvml.device_by_index(0).unwrap();
    node.send(&Command::AddProcess(process(5, 1 << 30)));
    assert!(device.accounting_stats_for(5).unwrap().is_running);
    node.send(&Command::RemoveProcess { gpu: 0, pid: 5 });
    assert_eq!(device.accounting_pids().unwrap(), [5]);
    let stats = device.accounting_stats_for(5).unwrap();
    assert_eq!((stats.is_running, stats.max_memory_usage), (false, Some(1 << 30)));
}
