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
fn a_gpu_that_cannot_be_cut_says_so() {
    let node = Node::of(&[Model::L4]);
    let device = node.nvml.device_by_index(0).unwrap();
    assert!(matches!(device.mig_mode(), Err(NvmlError::NotSupported)));
    assert_eq!(device.mig_device_count().unwrap(), 0);
}
