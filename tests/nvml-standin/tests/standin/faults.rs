//! Calls that are slow, fail or never return, and GPUs that are lost.

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use nvidia_ml::{Command, Fault, Model, Scenario, SetPcie};
use nvml_wrapper::error::NvmlError;

use super::{Node, load};

const UTILISATION: &str = "nvmlDeviceGetUtilizationRates";

fn fault(call: &str) -> Fault {
    Fault { call: call.into(), ..Fault::default() }
}

#[test]
fn a_lost_gpu_fails_and_the_others_do_not() {
    let node = Node::of(&[Model::H100, Model::H100]);
    let lost = node.nvml.device_by_index(0).unwrap();
    node.send(&Command::LoseGpu { gpu: 0, code: 15 });
    assert!(matches!(lost.memory_info(), Err(NvmlError::GpuLost)));
    assert!(matches!(lost.uuid(), Err(NvmlError::GpuLost)));
    assert!(matches!(node.nvml.device_by_index(0), Err(NvmlError::GpuLost)));
    assert_eq!(node.nvml.device_count().unwrap(), 2);
    assert!(node.nvml.device_by_index(1).unwrap().memory_info().is_ok());

    node.send(&Command::LoseGpu { gpu: 0, code: 16 });
    assert!(matches!(lost.memory_info(), Err(NvmlError::ResetRequired)));
    node.send(&Command::RestoreGpu { gpu: 0 });
    assert!(lost.memory_info().is_ok());
}

#[test]
fn a_blocked_call_returns_when_it_is_let_go() {
    let node = Node::of(&[Model::H100, Model::H100]);
    let [sick, well] = [0, 1].map(|gpu| node.nvml.device_by_index(gpu).unwrap());
    node.send(&Command::Fault(Fault { gpu: Some(0), block: true, ..fault(UTILISATION) }));
    let (done, outcome) = mpsc::channel();
    thread::scope(|scope| {
        scope.spawn(move || done.send(sick.utilization_rates().map(drop)).unwrap());
        assert!(well.utilization_rates().is_ok());
        assert!(outcome.recv_timeout(Duration::from_millis(100)).is_err());
        node.send(&Command::ClearFault { call: Some(UTILISATION.into()), gpu: Some(0) });
        assert!(outcome.recv().unwrap().is_ok());
    });
}

#[test]
fn a_failing_call_fails_with_the_code_it_is_given() {
    let node = Node::of(&[Model::H100]);
    let device = node.nvml.device_by_index(0).unwrap();
    let with = |code| Command::Fault(Fault { error: Some(code), ..fault(UTILISATION) });
    node.send(&with(999));
    assert!(matches!(device.utilization_rates(), Err(NvmlError::Unknown)));
    node.send(&with(27));
    assert!(matches!(device.utilization_rates(), Err(NvmlError::UnexpectedVariant(27))));
    node.send(&Command::ClearFault { call: None, gpu: None });
    assert!(device.utilization_rates().is_ok());
}

#[test]
fn a_slow_call_takes_its_time() {
    let node = Node::of(&[Model::H100]);
    let device = node.nvml.device_by_index(0).unwrap();
    node.send(&Command::Fault(Fault { latency_ms: Some(80), ..fault("*") }));
    let before = Instant::now();
    device.temperature(nvml_wrapper::enum_wrappers::device::TemperatureSensor::Gpu).unwrap();
    assert!(before.elapsed() >= Duration::from_millis(80));
}

#[test]
fn a_scenario_can_begin_with_a_fault() {
    let driver_gone = Fault { error: Some(9), ..fault("nvmlInit_v2") };
    let directory = tempfile::tempdir().unwrap();
    let scenario = Scenario::default().with_command(Command::Fault(driver_gone));
    let library = nvidia_ml::built_library().unwrap();
    let installation = nvidia_ml::Installation::new(directory.path(), &library, &scenario).unwrap();
    assert!(matches!(load(&installation), Err(NvmlError::DriverNotLoaded)));
    installation.control().send(&Command::ClearFault { call: None, gpu: None }).unwrap();
    assert!(load(&installation).is_ok());
}

#[test]
fn a_reset_lets_blocked_calls_go() {
    let node = Node::of(&[Model::H100]);
    let device = node.nvml.device_by_index(0).unwrap();
    node.send(&Command::SetPcie(SetPcie { width: Some(4), ..SetPcie::default() }));
    let call = "nvmlDeviceGetCurrPcieLinkWidth";
    node.send(&Command::Fault(Fault { block: true, ..fault(call) }));
    thread::scope(|scope| {
        let blocked = scope.spawn(|| device.current_pcie_link_width());
        node.send(&Command::Reset);
        assert_eq!(blocked.join().unwrap().unwrap(), 16);
    });
}
