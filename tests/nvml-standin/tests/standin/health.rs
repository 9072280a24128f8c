//! Heat, power, ECC, rows, links and fields.

use nvidia_ml::{
    Command, EccKind, EccLocation, Model, Scenario, SetNvlink, SetPcie, SetRemappedRows,
    ThrottleReason,
};
use nvml_wrapper::Device;
use nvml_wrapper::bitmasks::device::ThrottleReasons;
use nvml_wrapper::enum_wrappers::device::{
    EccCounter, MemoryError, MemoryLocation, PerformancePolicy, RetirementCause, TemperatureSensor,
};
use nvml_wrapper::enum_wrappers::nv_link::ErrorCounter;
use nvml_wrapper::enums::device::SampleValue;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::structs::device::FieldId;
use nvml_wrapper_sys::bindings::nvmlFieldValue_t;

use super::Node;

fn field(device: &Device, id: u32) -> Result<SampleValue, NvmlError> {
    device.field_values_for(&[FieldId(id)]).unwrap().remove(0)?.value
}

fn number(device: &Device, id: u32) -> u64 {
    match field(device, id).unwrap() {
        SampleValue::U32(value) => value.into(),
        SampleValue::U64(value) => value,
        other => panic!("field {id}: {other:?}"),
    }
}

#[test]
fn heat_and_power_are_what_they_are_set_to() {
    let node = Node::of(&[Model::H100]);
    let device = node.nvml.device_by_index(0).unwrap();
    let (gpu_celsius, memory_celsius) = (Some(88), Some(97));
    node.send(&Command::SetTemperature { gpu: 0, gpu_celsius, memory_celsius });
    let (milliwatts, limit_milliwatts) = (Some(650_000), None);
    node.send(&Command::SetPower { gpu: 0, milliwatts, limit_milliwatts });
    assert_eq!(device.temperature(TemperatureSensor::Gpu).unwrap(), 88);
    assert_eq!(number(&device, 82), 97);
    assert_eq!(device.power_usage().unwrap(), 650_000);
    assert_eq!(device.enforced_power_limit().unwrap(), 700_000);
}

#[test]
fn throttling_counts_its_time() {
    let node = Node::of(&[Model::H100]);
    let device = node.nvml.device_by_index(0).unwrap();
    let violated = || device.violation_status(PerformancePolicy::Thermal).unwrap().violation_time;
    assert_eq!(violated(), 0);
    let reasons = vec![ThrottleReason::HwSlowdown, ThrottleReason::HwThermal];
    node.send(&Command::SetThrottle { gpu: 0, reasons });
    let expected = ThrottleReasons::HW_SLOWDOWN | ThrottleReasons::HW_THERMAL_SLOWDOWN;
    assert_eq!(device.current_throttle_reasons().unwrap(), expected);
    while violated() == 0 {
        std::hint::spin_loop();
    }
    node.send(&Command::SetThrottle { gpu: 0, reasons: vec![] });
    assert!(violated() > 0);
    assert_eq!(violated(), violated());
}

#[test]
fn ecc_errors_are_counted_where_they_were() {
    let node = Node::of(&[Model::A100]);
    let device = node.nvml.device_by_index(0).unwrap();
    let (kind, location) = (EccKind::Uncorrected, EccLocation::Sram);
    node.send(&Command::AddEccErrors { gpu: 0, kind, location, count: 3 });
    let (error, counter) = (MemoryError::Uncorrected, EccCounter::Volatile);
    let at = |place| device.memory_error_counter(error, counter, place).unwrap();
    assert_eq!(at(MemoryLocation::SRAM), 3);
    assert_eq!(at(MemoryLocation::Device), 0);
    let aggregate = device.total_ecc_errors(MemoryError::Uncorrected, EccCounter::Aggregate);
    assert_eq!(aggregate.unwrap(), 3);
    assert_eq!(number(&device, 4), 3);
    assert!(device.is_ecc_enabled().unwrap().currently_enabled);
}

#[test]
fn rows_are_remapped_since_ampere_and_pages_retired_before() {
    let node = Node::of(&[Model::A100, Model::T4]);
    let [ampere, turing] = [0, 1].map(|gpu| node.nvml.device_by_index(gpu).unwrap());
    let (uncorrectable, pending) = (Some(2), Some(true));
    let rows = SetRemappedRows { uncorrectable, pending, ..SetRemappedRows::default() };
    node.send(&Command::SetRemappedRows(rows));
    assert_eq!([142, 143, 144, 145].map(|id| number(&ampere, id)), [0, 2, 1, 0]);
    assert!(matches!(field(&turing, 144), Err(NvmlError::NotSupported)));

    let (single_bit, double_bit, pending) = (1, 2, true);
    node.send(&Command::SetRetiredPages { gpu: 1, single_bit, double_bit, pending });
    let pages = turing.retired_pages(RetirementCause::DoubleBitEccError).unwrap();
    assert_eq!(pages.len(), 2);
    assert!(turing.are_pages_pending_retired().unwrap());
    assert!(matches!(ampere.are_pages_pending_retired(), Err(NvmlError::NotSupported)));
}

#[test]
fn links_are_what_they_are_set_to() {
    let node = Node::of(&[Model::H100]);
    let device = node.nvml.device_by_index(0).unwrap();
    let (generation, width, replays) = (Some(1), Some(8), Some(12));
    node.send(&Command::SetPcie(SetPcie { gpu: 0, generation, width, replays }));
    assert_eq!(device.current_pcie_link_gen().unwrap(), 1);
    assert_eq!(device.max_pcie_link_gen().unwrap(), 5);
    assert_eq!(device.current_pcie_link_width().unwrap(), 8);
    assert_eq!(device.pcie_replay_counter().unwrap(), 12);

    let (active, crc_flit) = (Some(17), Some(40));
    node.send(&Command::SetNvlink(SetNvlink { active, crc_flit, ..SetNvlink::default() }));
    assert!(device.link_wrapper_for(16).is_active().unwrap());
    assert!(!device.link_wrapper_for(17).is_active().unwrap());
    assert_eq!(device.link_wrapper_for(0).error_counter(ErrorCounter::DlCrcFlit).unwrap(), 40);
    assert_eq!(number(&device, 38), 40);
}

#[test]
fn each_field_has_a_return_code_of_its_own() {
    let node = Node::of(&[Model::H100]);
    let device = node.nvml.device_by_index(0).unwrap();
    node.send(&Command::SetRecoveryAction { gpu: 0, action: 2 });
    node.send(&Command::SetField { gpu: 0, field: 240, value: Some(77) });
    node.send(&Command::SetField { gpu: 0, field: 82, value: None });
    assert_eq!(number(&device, 230), 2);
    assert_eq!(number(&device, 240), 77);
    assert!(matches!(field(&device, 82), Err(NvmlError::NotSupported)));
    assert!(matches!(field(&device, 900), Err(NvmlError::InvalidArg)));
}

/// What a raw field id returns: its code, and the value if there is one.
fn raw(node: &Node, device: &Device, id: u32) -> (u32, u64) {
    // SAFETY: all-zero bytes are a valid value of plain numbers.
    let mut value: nvmlFieldValue_t = unsafe { std::mem::zeroed() };
    value.fieldId = id;
    // SAFETY: the handle is the library's own and the structure outlives the call.
    let code = unsafe { node.nvml.lib().nvmlDeviceGetFieldValues(device.handle(), 1, &mut value) };
    assert_eq!(code, 0);
    // SAFETY: the stand-in writes all of the union.
    (value.nvmlReturn, unsafe { value.value.ullVal })
}

#[test]
fn fields_are_numbered_as_the_driver_numbers_them() {
    let node = Node::with(&Scenario::of(&[Model::H100]).with_driver("570.86.16"));
    let device = node.nvml.device_by_index(0).unwrap();
    node.send(&Command::SetField { gpu: 0, field: 252, value: Some(5) });
    node.send(&Command::SetField { gpu: 0, field: 256, value: Some(6) });
    assert_eq!([raw(&node, &device, 252), raw(&node, &device, 256)], [(0, 5), (0, 6)]);
    node.send(&Command::SetDriver { version: "580.95.05".into() });
    assert_eq!([raw(&node, &device, 270), raw(&node, &device, 251)], [(0, 5), (0, 6)]);
}

#[test]
fn the_wrapper_s_numbers_are_right_under_either_driver() {
    for driver in ["570.86.16", "580.65.06", "580.82.07", "580.95.05"] {
        let node = Node::with(&Scenario::of(&[Model::H100]).with_driver(driver));
        let device = node.nvml.device_by_index(0).unwrap();
        node.send(&Command::SetField { gpu: 0, field: 253, value: Some(9) });
        assert_eq!(number(&device, 253), 9, "{driver}");
    }
}
