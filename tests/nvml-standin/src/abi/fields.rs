//! Field values: NVML's way to ask for many things at once.

use std::ffi::c_int;

use nvml_wrapper_sys::bindings::field_id as f;
use nvml_wrapper_sys::bindings::{nvmlFieldValue_t, nvmlValue_t};

use super::{Seen, device_calls};
use crate::command::EccKind::{Corrected, Uncorrected};
use crate::command::{EccKind, EccLocation};
use crate::status::Status;
use crate::world::{Counter, World};

use super::out::Out;

/// The first driver that numbers fields 251 to 273 anew.
const RENUMBERED_SINCE: (u32, u32) = (580, 82);

/// A value of a field, in NVML's type of it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Value {
    Int(i32),
    Uint(u32),
    Ulong(u64),
}

device_calls! { on_gpu:
    /// Reads fields. Each has a return code of its own; the call fails only as a whole.
    fn nvmlDeviceGetFieldValues(count: c_int, to: Out<nvmlFieldValue_t>) |seen| {
        let count = usize::try_from(count).map_err(|_| Status::INVALID_ARGUMENT)?;
        if count == 0 {
            return Err(Status::INVALID_ARGUMENT);
        }
        to.values(count)?.iter_mut().for_each(|field| fill(seen, field));
        Ok(())
    };
}

fn fill(seen: &Seen, field: &mut nvmlFieldValue_t) {
    field.timestamp = i64::try_from(seen.now_us).unwrap_or(i64::MAX);
    field.latencyUsec = 1;
    match read(seen, canonical(seen.world, field.fieldId)) {
        Ok(value) => {
            (field.valueType, field.value) = typed(value);
            field.nvmlReturn = 0;
        }
        Err(status) => field.nvmlReturn = status.0,
    }
}

/// A value with NVML's number of its type; what is narrower leaves the rest of the union zero.
fn typed(value: Value) -> (u32, nvmlValue_t) {
    match value {
        Value::Int(value) => (5, nvmlValue_t { sllVal: i64::from(value as u32) }),
        Value::Uint(value) => (1, nvmlValue_t { ullVal: value.into() }),
        Value::Ulong(value) => (3, nvmlValue_t { ullVal: value }),
    }
}

/// The id a field has had before driver 580.82, by its id under this world's driver.
fn canonical(world: &World, id: u32) -> u32 {
    let mut parts = world.driver_version.split('.').map(|part| part.parse().unwrap_or(0));
    let version = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    match id {
        _ if version < RENUMBERED_SINCE => id,
        251..=268 => id + 5,
        269..=273 => id - 18,
        _ => id,
    }
}

fn read(seen: &Seen, id: u32) -> Result<Value, Status> {
    if let Some(told) = seen.gpu.fields.get(&id) {
        return told.map(Value::Ulong).ok_or(Status::NOT_SUPPORTED);
    }
    if id == 0 || id >= f::NVML_FI_MAX {
        return Err(Status::INVALID_ARGUMENT);
    }
    let readers = [ecc, rows_and_pages, links, heat_and_power, violations];
    let read = readers.iter().find_map(|read| read(seen, id).transpose());
    read.unwrap_or(Err(Status::NOT_SUPPORTED))
}

/// What a group of fields reads: nothing where the id is none of its own.
type Found = Result<Option<Value>, Status>;

fn ecc(seen: &Seen, id: u32) -> Found {
    use Counter::{Aggregate, Volatile};
    if id <= 2 {
        return Ok(Some(Value::Uint(seen.gpu.ecc_enabled.into())));
    }
    if (3..=28).contains(&id) && !seen.gpu.ecc_enabled {
        return Err(Status::NOT_SUPPORTED);
    }
    let total = |counter, kind| Ok(Some(Value::Ulong(seen.gpu.ecc.total(counter, kind))));
    match id {
        f::NVML_FI_DEV_ECC_SBE_VOL_TOTAL => total(Volatile, Corrected),
        f::NVML_FI_DEV_ECC_DBE_VOL_TOTAL => total(Volatile, Uncorrected),
        f::NVML_FI_DEV_ECC_SBE_AGG_TOTAL => total(Aggregate, Corrected),
        f::NVML_FI_DEV_ECC_DBE_AGG_TOTAL => total(Aggregate, Uncorrected),
        7..=17 => Ok(Some(ecc_at(seen, Volatile, id - 7))),
        18..=28 => Ok(Some(ecc_at(seen, Aggregate, id - 18))),
        _ => Ok(None),
    }
}

/// ECC errors by location: pairs of corrected and uncorrected, then the CBU's uncorrected alone.
fn ecc_at(seen: &Seen, counter: Counter, nth: u32) -> Value {
    let kind: EccKind = if nth % 2 == 1 || nth == 10 { Uncorrected } else { Corrected };
    let location = match nth / 2 {
        0 => EccLocation::L1Cache,
        1 => EccLocation::L2Cache,
        2 => EccLocation::Dram,
        3 => EccLocation::RegisterFile,
        4 => EccLocation::TextureMemory,
        _ => EccLocation::Cbu,
    };
    Value::Ulong(seen.gpu.ecc.at(counter, kind, location as usize).unwrap_or(0))
}

fn rows_and_pages(seen: &Seen, id: u32) -> Found {
    let rows = &seen.gpu.remapped;
    let (single_bit, double_bit, pending) = seen.gpu.retired;
    let (row_field, value) = match id {
        f::NVML_FI_DEV_REMAPPED_COR => (true, rows.correctable.unwrap_or(0)),
        f::NVML_FI_DEV_REMAPPED_UNC => (true, rows.uncorrectable.unwrap_or(0)),
        f::NVML_FI_DEV_REMAPPED_PENDING => (true, rows.pending.unwrap_or(false).into()),
        f::NVML_FI_DEV_REMAPPED_FAILURE => (true, rows.failure.unwrap_or(false).into()),
        f::NVML_FI_DEV_RETIRED_SBE => (false, single_bit),
        f::NVML_FI_DEV_RETIRED_DBE => (false, double_bit),
        f::NVML_FI_DEV_RETIRED_PENDING => (false, pending.into()),
        f::NVML_FI_DEV_GET_GPU_RECOVERY_ACTION => {
            return Ok(Some(Value::Uint(seen.gpu.recovery_action)));
        }
        _ => return Ok(None),
    };
    if row_field != seen.gpu.traits.remaps_rows() || row_field && !seen.gpu.mig.is_empty() {
        return Err(Status::NOT_SUPPORTED);
    }
    Ok(Some(Value::Uint(value)))
}

fn links(seen: &Seen, id: u32) -> Found {
    let nvlink = &seen.gpu.nvlink;
    let errors = match id {
        f::NVML_FI_DEV_NVLINK_CRC_FLIT_ERROR_COUNT_TOTAL => nvlink.crc_flit,
        f::NVML_FI_DEV_NVLINK_CRC_DATA_ERROR_COUNT_TOTAL => nvlink.crc_data,
        f::NVML_FI_DEV_NVLINK_REPLAY_ERROR_COUNT_TOTAL => nvlink.replays,
        f::NVML_FI_DEV_NVLINK_RECOVERY_ERROR_COUNT_TOTAL => nvlink.recoveries,
        f::NVML_FI_DEV_NVLINK_ECC_DATA_ERROR_COUNT_TOTAL => nvlink.ecc_data,
        _ => return pcie(seen, id),
    };
    if seen.gpu.traits.nvlinks == 0 {
        return Err(Status::NOT_SUPPORTED);
    }
    Ok(Some(Value::Ulong(errors.unwrap_or(0))))
}

fn pcie(seen: &Seen, id: u32) -> Found {
    Ok(match id {
        f::NVML_FI_DEV_PCIE_REPLAY_COUNTER => Some(Value::Uint(seen.gpu.pcie.replays.unwrap_or(0))),
        f::NVML_FI_DEV_PCIE_REPLAY_ROLLOVER_COUNTER
        | f::NVML_FI_DEV_PCIE_L0_TO_RECOVERY_COUNTER
        | f::NVML_FI_DEV_PCIE_COUNT_CORRECTABLE_ERRORS..=f::NVML_FI_DEV_PCIE_COUNT_LANE_ERROR => {
            Some(Value::Uint(0))
        }
        f::NVML_FI_DEV_NVLINK_LINK_COUNT => Some(Value::Uint(seen.gpu.traits.nvlinks)),
        _ => None,
    })
}

fn heat_and_power(seen: &Seen, id: u32) -> Found {
    let gpu = seen.gpu;
    let max_celsius = gpu.traits.slowdown_celsius - 2;
    let below_max = |limit: u32| Value::Int(max_celsius.cast_signed() - limit.cast_signed());
    Ok(Some(match id {
        f::NVML_FI_DEV_MEMORY_TEMP => Value::Uint(gpu.memory_celsius),
        f::NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION => Value::Ulong(gpu.energy_mj(seen.now_us)),
        f::NVML_FI_DEV_POWER_AVERAGE | f::NVML_FI_DEV_POWER_INSTANT => Value::Uint(gpu.milliwatts),
        f::NVML_FI_DEV_POWER_MAX_LIMIT | f::NVML_FI_DEV_POWER_DEFAULT_LIMIT => {
            Value::Uint(gpu.traits.power_limit_mw)
        }
        f::NVML_FI_DEV_POWER_CURRENT_LIMIT | f::NVML_FI_DEV_POWER_REQUESTED_LIMIT => {
            Value::Uint(gpu.limit_milliwatts)
        }
        193..=196 if gpu.traits.compute_capability.0 < 9 => return Err(Status::NOT_SUPPORTED),
        // These are limits of the margin below the highest allowed temperature, and not margins.
        f::NVML_FI_DEV_TEMPERATURE_SHUTDOWN_TLIMIT => below_max(gpu.traits.shutdown_celsius),
        f::NVML_FI_DEV_TEMPERATURE_SLOWDOWN_TLIMIT => below_max(gpu.traits.slowdown_celsius),
        f::NVML_FI_DEV_TEMPERATURE_MEM_MAX_TLIMIT | f::NVML_FI_DEV_TEMPERATURE_GPU_MAX_TLIMIT => {
            Value::Int(0)
        }
        _ => return Ok(None),
    }))
}

/// Times for which clocks were held down, in nanoseconds.
fn violations(seen: &Seen, id: u32) -> Found {
    let place = match id {
        f::NVML_FI_DEV_PERF_POLICY_POWER..=f::NVML_FI_DEV_PERF_POLICY_BOARD_LIMIT => {
            id - f::NVML_FI_DEV_PERF_POLICY_POWER
        }
        f::NVML_FI_DEV_CLOCKS_EVENT_REASON_SW_THERM_SLOWDOWN => 4,
        f::NVML_FI_DEV_CLOCKS_EVENT_REASON_HW_THERM_SLOWDOWN => 5,
        f::NVML_FI_DEV_CLOCKS_EVENT_REASON_HW_POWER_BRAKE_SLOWDOWN => 3,
        _ => return Ok(None),
    };
    Ok(seen.gpu.held_down_ns(place, seen.now_us).map(Value::Ulong))
}
