//! Event sets.

use std::thread;
use std::time::Duration;

use nvidia_ml::{Command, EccKind, EccLocation, Model};
use nvml_wrapper::bitmasks::event::EventTypes;
use nvml_wrapper::enums::event::XidError;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::{EventSet, Nvml};
use rustix::time::{ClockId, clock_gettime};

use super::Node;

fn xid(gpu: usize, code: u64) -> Command {
    Command::Xid { gpu, code, gpu_instance: None, compute_instance: None }
}

/// A set that listens to XIDs of a GPU.
fn listen(nvml: &Nvml, gpu: u32) -> EventSet<'_> {
    let set = nvml.create_event_set().unwrap();
    let device = nvml.device_by_index(gpu).unwrap();
    device.register_events(EventTypes::CRITICAL_XID_ERROR, set).unwrap()
}

fn next_xid(set: &EventSet) -> (u32, u64) {
    let event = set.wait(60_000).unwrap();
    let Some(XidError::Value(code)) = event.event_data else { panic!("no XID: {event:?}") };
    (event.device.index().unwrap(), code)
}

#[test]
fn an_xid_reaches_one_who_waits() {
    let node = Node::of(&[Model::H100, Model::H100]);
    let set = listen(&node.nvml, 1);
    thread::scope(|scope| {
        let waiting = scope.spawn(move || next_xid(&set));
        node.send(&xid(0, 31));
        node.send(&xid(1, 79));
        assert_eq!(waiting.join().unwrap(), (1, 79));
    });
}

#[test]
fn every_set_gets_every_event_in_order() {
    let node = Node::of(&[Model::H100]);
    let sets = [listen(&node.nvml, 0), listen(&node.nvml, 0)];
    for code in [63, 64, 94] {
        node.send(&xid(0, code));
    }
    for set in &sets {
        assert_eq!([next_xid(set), next_xid(set), next_xid(set)], [(0, 63), (0, 64), (0, 94)]);
    }
}

#[test]
fn what_was_before_registration_is_not_delivered() {
    let node = Node::of(&[Model::H100]);
    node.send(&xid(0, 79));
    let set = listen(&node.nvml, 0);
    assert!(matches!(set.wait(0), Err(NvmlError::Timeout)));
}

#[test]
fn other_types_are_not_delivered() {
    let node = Node::of(&[Model::H100]);
    let set = listen(&node.nvml, 0);
    let (kind, location) = (EccKind::Uncorrected, EccLocation::Dram);
    node.send(&Command::AddEccErrors { gpu: 0, kind, location, count: 1 });
    assert!(matches!(set.wait(0), Err(NvmlError::Timeout)));

    let both = EventTypes::DOUBLE_BIT_ECC_ERROR | EventTypes::CRITICAL_XID_ERROR;
    let device = node.nvml.device_by_index(0).unwrap();
    let set = device.register_events(both, node.nvml.create_event_set().unwrap()).unwrap();
    node.send(&Command::AddEccErrors { gpu: 0, kind, location, count: 1 });
    assert_eq!(set.wait(60_000).unwrap().event_type, EventTypes::DOUBLE_BIT_ECC_ERROR);
}

#[test]
fn a_type_the_gpu_does_not_tell_of_is_refused() {
    let node = Node::of(&[Model::T4]);
    let device = node.nvml.device_by_index(0).unwrap();
    assert!(!device.supported_event_types().unwrap().contains(EventTypes::MIG_CONFIG_CHANGE));
    let set = node.nvml.create_event_set().unwrap();
    let refused = device.register_events(EventTypes::MIG_CONFIG_CHANGE, set);
    assert!(matches!(refused.unwrap_err().error, NvmlError::NotSupported));
}

#[test]
fn waiting_takes_the_time_but_not_the_processor() {
    let node = Node::of(&[Model::H100]);
    let set = listen(&node.nvml, 0);
    let processor = || Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap();
    let before = processor();
    assert!(matches!(set.wait(400), Err(NvmlError::Timeout)));
    assert!(processor() - before < Duration::from_millis(100));
}

#[test]
fn a_wait_ends_when_its_call_begins_to_fail() {
    let node = Node::of(&[Model::H100]);
    let set = listen(&node.nvml, 0);
    thread::scope(|scope| {
        let waiting = scope.spawn(move || set.wait(60_000).map(drop));
        let call = "nvmlEventSetWait_v2".into();
        let fault = nvidia_ml::Fault { call, error: Some(999), ..Default::default() };
        node.send(&Command::Fault(fault));
        assert!(matches!(waiting.join().unwrap(), Err(NvmlError::Unknown)));
    });
}
