//! MIG devices.

use nvidia_ml::{AddProcess, Command, GpuSpec, MigInstance, Model, Scenario};
use nvml_wrapper::error::NvmlError;

use super::Node;

fn instance(gpu_instance: u32) -> MigInstance {
    MigInstance {
        profile: "3g.40gb".into(),
        uuid: None,
        gpu_instance,
        compute_instance: 0,
        memory_total: 40 << 30,
    }
}

fn cut_in_two() -> Node {
    let spec = GpuSpec { mig: vec![instance(1), instance(2)], ..GpuSpec::of(Model::H100) };
    Node::with(&Scenario { gpus: vec![spec], ..Scenario::default() })
}

#[test]
fn a_gpu_has_its_mig_devices() {
    let node = cut_in_two();
    let parent = node.nvml.device_by_index(0).unwrap();
    assert_eq!(parent.mig_mode().unwrap().current, 1);
    assert_eq!(parent.mig_device_count().unwrap(), 7);
    let second = parent.mig_device_by_index(1).unwrap();
    assert!(second.mig_is_mig_device_handle().unwrap());
    assert!(second.uuid().unwrap().starts_with("MIG-"));
    assert_eq!(second.name().unwrap(), "NVIDIA H100 80GB HBM3 MIG 3g.40gb");
    assert_eq!(second.mig_parent_device().unwrap().uuid().unwrap(), parent.uuid().unwrap());
    assert!(matches!(parent.mig_device_by_index(2), Err(NvmlError::NotFound)));
    let found = node.nvml.device_by_uuid(second.uuid().unwrap()).unwrap();
    assert_eq!(found.index().unwrap(), 1);
}

#[test]
fn a_process_belongs_to_its_mig_device() {
    let node = cut_in_two();
    let parent = node.nvml.device_by_index(0).unwrap();
    let (memory, mig) = (Some(5 << 30), Some(1));
    let process = AddProcess { pid: 44, memory, mig, ..AddProcess::default() };
    node.send(&Command::AddProcess(process));
    let [first, second] = [0, 1].map(|slot| parent.mig_device_by_index(slot).unwrap());
    assert_eq!(first.memory_info().unwrap().used, 0);
    assert_eq!(second.memory_info().unwrap().used, 5 << 30);
    assert_eq!(first.running_compute_processes().unwrap(), []);
    let there = parent.running_compute_processes().unwrap();
    assert_eq!((there[0].pid, there[0].gpu_instance_id), (44, Some(2)));
}

#[test]
fn what_mig_takes_away_is_not_supported() {
    let node = cut_in_two();
    let parent = node.nvml.device_by_index(0).unwrap();
    assert!(matches!(parent.utilization_rates(), Err(NvmlError::NotSupported)));
    assert!(matches!(parent.process_utilization_stats(None), Err(NvmlError::NotSupported)));
    let part = parent.mig_device_by_index(0).unwrap();
    assert!(matches!(part.power_usage(), Err(NvmlError::NotSupported)));
}

#[test]
fn an_instance_tells_the_ids_that_processes_are_listed_with() {
    let node = cut_in_two();
    let parent = node.nvml.device_by_index(0).unwrap();
    let second = parent.mig_device_by_index(1).unwrap();
    let lib = node.nvml.lib();
    let (mut gpu, mut compute) = (9, 9);
    // SAFETY: the handle is valid while `second` is, and each call writes one number.
    let codes = unsafe {
        [
            lib.nvmlDeviceGetGpuInstanceId(second.handle(), &raw mut gpu),
            lib.nvmlDeviceGetComputeInstanceId(second.handle(), &raw mut compute),
        ]
    };
    assert_eq!((codes, gpu, compute), ([0, 0], 2, 0));
}

#[test]
fn a_gpu_is_cut_anew_only_where_nothing_runs() {
    let node = cut_in_two();
    let parent = node.nvml.device_by_index(0).unwrap();
    let process = AddProcess { pid: 44, mig: Some(1), ..AddProcess::default() };
    node.send(&Command::AddProcess(process));
    let first = Command::SetMig { gpu: 0, mig: vec![instance(1)] };
    let refused = node.installation.control().send(&first).unwrap_err().to_string();
    assert!(refused.contains("process 44 runs on a MIG device that would go"), "{refused}");
    node.send(&Command::RemoveProcess { gpu: 0, pid: 44 });
    node.send(&first);
    assert!(parent.mig_device_by_index(0).is_ok());
    assert!(matches!(parent.mig_device_by_index(1), Err(NvmlError::NotFound)));
    node.send(&Command::SetMig { gpu: 0, mig: Vec::new() });
    assert_eq!(parent.mig_mode().unwrap().current, 0);
}

#[test]
fn a_gpu_that_cannot_be_cut_says_so() {
    let node = Node::of(&[Model::L4]);
    let device = node.nvml.device_by_index(0).unwrap();
    assert!(matches!(device.mig_mode(), Err(NvmlError::NotSupported)));
    assert_eq!(device.mig_device_count().unwrap(), 0);
}
