//! What a GPU is, and how much of it is in use.

use nvidia_ml::{Command, ControlError, GpuSpec, Model, Scenario};
use nvml_wrapper::enum_wrappers::device::Sampling;
use nvml_wrapper::enums::device::SampleValue;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper_sys::bindings::{nvmlMemory_v2_t, nvmlReturn_t};

use super::{Node, load};

const MIB: u64 = 1 << 20;

#[test]
fn gpus_are_what_the_scenario_says() {
    let node = Node::of(&[Model::A100, Model::H100, Model::H200, Model::L4, Model::T4]);
    let names: Vec<String> =
        (0..5).map(|gpu| node.nvml.device_by_index(gpu).unwrap().name().unwrap()).collect();
    let expected =
        ["NVIDIA A100-SXM4-80GB", "NVIDIA H100 80GB HBM3", "NVIDIA H200", "NVIDIA L4", "Tesla T4"];
    assert_eq!(names, expected);
    assert_eq!(node.nvml.device_count().unwrap(), 5);
    assert!(matches!(node.nvml.device_by_index(5), Err(NvmlError::InvalidArg)));
}

#[test]
fn a_device_is_found_by_all_its_names() {
    let node = Node::of(&[Model::H100, Model::T4]);
    let device = node.nvml.device_by_index(1).unwrap();
    let by_uuid = node.nvml.device_by_uuid(device.uuid().unwrap()).unwrap();
    let by_address = node.nvml.device_by_pci_bus_id(device.pci_info().unwrap().bus_id).unwrap();
    assert_eq!(by_uuid.index().unwrap(), 1);
    assert_eq!(by_address.minor_number().unwrap(), 1);
    assert!(matches!(node.nvml.device_by_uuid("GPU-none"), Err(NvmlError::NotFound)));
}

#[test]
fn a_second_initialisation_leaves_the_first_in_force() {
    let node = Node::of(&[Model::L4]);
    load(&node.installation).unwrap().shutdown().unwrap();
    assert_eq!(node.nvml.sys_driver_version().unwrap(), "580.95.05");
    assert_eq!(node.nvml.sys_cuda_driver_version().unwrap(), 13_000);
}

#[test]
fn nothing_works_uninitialised() {
    let node = Node::of(&[Model::L4]);
    let mut count = 0;
    // SAFETY: the calls take nothing but a valid pointer.
    let codes = unsafe {
        let lib = node.nvml.lib();
        [lib.nvmlShutdown(), lib.nvmlDeviceGetCount_v2(&mut count), lib.nvmlInit_v2()]
    };
    assert_eq!(codes, [0, 1, 0]);
}

#[test]
fn memory_in_use_is_what_is_reserved_and_what_is_set() {
    let node = Node::of(&[Model::A100]);
    let before = node.nvml.device_by_index(0).unwrap().memory_info().unwrap();
    assert_eq!(before.total, 81_920 * MIB);
    assert_eq!(before.used, before.reserved);

    node.send(&Command::SetMemory { gpu: 0, used: 40_000 * MIB });
    let after = node.nvml.device_by_index(0).unwrap().memory_info().unwrap();
    assert_eq!((after.used, after.free), (40_000 * MIB, 41_920 * MIB));
}

#[test]
fn memory_of_another_version_is_refused() {
    let node = Node::of(&[Model::A100]);
    let device = node.nvml.device_by_index(0).unwrap();
    let asked = |version| -> nvmlReturn_t {
        let mut memory = nvmlMemory_v2_t { version, total: 0, reserved: 0, free: 0, used: 0 };
        // SAFETY: the handle is the library's own and the structure outlives the call.
        unsafe { node.nvml.lib().nvmlDeviceGetMemoryInfo_v2(device.handle(), &mut memory) }
    };
    assert_eq!(asked(0x0200_0028), 0);
    assert_eq!(asked(0x0100_0028), 25);
    assert_eq!(asked(0), 25);
}

#[test]
fn a_ramp_ends_at_its_limit() {
    let node = Node::of(&[Model::L4]);
    let limit = 20_000 * MIB;
    node.send(&Command::RampMemory { gpu: 0, bytes_per_second: i64::MAX, limit, pid: None });
    assert_eq!(node.used(0), limit);
    node.send(&Command::RampMemory { gpu: 0, bytes_per_second: i64::MIN, limit: 0, pid: None });
    assert_eq!(node.used(0), 0);
}

#[test]
fn a_ramp_rises_while_nobody_commands() {
    let node = Node::of(&[Model::L4]);
    let start = node.used(0);
    let limit = u64::MAX;
    node.send(&Command::RampMemory { gpu: 0, bytes_per_second: 1 << 30, limit, pid: None });
    let first = node.used(0);
    while node.used(0) == first {
        std::hint::spin_loop();
    }
    assert!(node.used(0) > start);
}

#[test]
fn utilisation_is_read_and_sampled() {
    let node = Node::with(&Scenario::of(&[Model::L4]).with_sample_period_ms(u64::MAX));
    let device = node.nvml.device_by_index(0).unwrap();
    node.send(&Command::SetUtilization { gpu: 0, gpu_percent: 91, memory_percent: 37 });
    let rates = device.utilization_rates().unwrap();
    assert_eq!((rates.gpu, rates.memory), (91, 37));

    let samples = device.samples(Sampling::GpuUtilization, None).unwrap();
    assert_eq!(samples.len(), 1);
    assert!(matches!(samples[0].value, SampleValue::U32(91)));
    let since = device.samples(Sampling::GpuUtilization, samples[0].timestamp);
    assert!(matches!(since, Err(NvmlError::NotFound)));
}

#[test]
fn what_cannot_be_done_is_refused_and_forgotten() {
    let node = Node::of(&[Model::L4]);
    let control = node.installation.control();
    let refused = control.send(&Command::SetMemory { gpu: 3, used: 0 });
    assert!(matches!(refused, Err(ControlError::Refused(reason)) if reason.contains("no GPU 3")));
    node.send(&Command::SetMemory { gpu: 0, used: 1 << 30 });
    assert_eq!(node.used(0), 1 << 30);
}

#[test]
fn a_reset_is_back_to_the_scenario() {
    let spec = GpuSpec { memory_used: Some(5 << 30), ..GpuSpec::of(Model::L4) };
    let node = Node::with(&Scenario { gpus: vec![spec], ..Scenario::default() });
    node.send(&Command::SetMemory { gpu: 0, used: 1 << 30 });
    node.send(&Command::SetDriver { version: "570.86.16".into() });
    assert_eq!(node.nvml.sys_driver_version().unwrap(), "570.86.16");
    node.send(&Command::Reset);
    assert_eq!(node.used(0), 5 << 30);
    assert_eq!(node.nvml.sys_driver_version().unwrap(), "580.95.05");
}
