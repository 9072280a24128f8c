//! Clocks, heat and power, and what holds them down.

use std::ffi::c_int;

use nvml_wrapper_sys::bindings::{nvmlTemperature_v1_t, nvmlViolationTime_t};

use super::out::Out;
use super::sizes::version_word;
use super::{Seen, device_calls};
use crate::command::ThrottleReason;
use crate::status::Status;
use crate::world::Gpu;

/// NVML's performance state of a GPU that runs at full clocks.
const P0: u32 = 0;

/// NVML's number of the one sensor it reads directly.
const GPU_SENSOR: u32 = 0;

/// The policies whose violation is timed are numbers 0 to 3.
const POLICIES: u32 = 4;

device_calls! { on_gpu:
    /// Why clocks are held down, under the older name.
    fn nvmlDeviceGetCurrentClocksThrottleReasons(to: Out<u64>) |seen| to.put(seen.gpu.throttle);

    /// Why clocks are held down.
    fn nvmlDeviceGetCurrentClocksEventReasons(to: Out<u64>) |seen| to.put(seen.gpu.throttle);

    /// The reasons a GPU can give, under the older name.
    fn nvmlDeviceGetSupportedClocksThrottleReasons(to: Out<u64>) |_| to.put(all_reasons());

    /// The reasons a GPU can give.
    fn nvmlDeviceGetSupportedClocksEventReasons(to: Out<u64>) |_| to.put(all_reasons());

    /// A clock, by NVML's number, as it runs now.
    fn nvmlDeviceGetClockInfo(clock: u32, to: Out<u32>) |seen| to.put(running(seen, clock)?);

    /// A clock, by NVML's number; whichever of its values is asked for, as it runs now.
    fn nvmlDeviceGetClock(clock: u32, _id: u32, to: Out<u32>) |seen| to.put(running(seen, clock)?);

    /// How fast a clock can run.
    fn nvmlDeviceGetMaxClockInfo(clock: u32, to: Out<u32>) |seen| match clock {
        0 | 1 | 3 => to.put(seen.gpu.traits.max_sm_mhz),
        2 => to.put(seen.gpu.traits.max_memory_mhz),
        _ => Err(Status::INVALID_ARGUMENT),
    };

    /// The performance state.
    fn nvmlDeviceGetPerformanceState(to: Out<u32>) |_| to.put(P0);

    /// The chip's temperature.
    fn nvmlDeviceGetTemperature(sensor: u32, to: Out<u32>) |seen| {
        if sensor != GPU_SENSOR {
            return Err(Status::INVALID_ARGUMENT);
        }
        to.put(seen.gpu.gpu_celsius)
    };

    /// The chip's temperature, in the later structure.
    fn nvmlDeviceGetTemperatureV(to: Out<nvmlTemperature_v1_t>) |seen| {
        let asked = to.get()?;
        if asked.version != version_word::<nvmlTemperature_v1_t>(1) {
            return Err(Status::ARGUMENT_VERSION_MISMATCH);
        }
        if asked.sensorType != GPU_SENSOR {
            return Err(Status::INVALID_ARGUMENT);
        }
        to.put(nvmlTemperature_v1_t { temperature: seen.gpu.gpu_celsius as c_int, ..asked })
    };

    /// The temperature at which something happens, by NVML's number of what.
    fn nvmlDeviceGetTemperatureThreshold(threshold: u32, to: Out<u32>) |seen| {
        to.put(threshold_celsius(seen.gpu, threshold)?)
    };

    /// Power drawn, in milliwatts.
    fn nvmlDeviceGetPowerUsage(to: Out<u32>) |seen| to.put(seen.gpu.milliwatts);

    /// The limit in force, in milliwatts.
    fn nvmlDeviceGetEnforcedPowerLimit(to: Out<u32>) |seen| to.put(seen.gpu.limit_milliwatts);

    /// The limit that was asked for, in milliwatts.
    fn nvmlDeviceGetPowerManagementLimit(to: Out<u32>) |seen| to.put(seen.gpu.limit_milliwatts);

    /// Energy used, in millijoules.
    fn nvmlDeviceGetTotalEnergyConsumption(to: Out<u64>) |seen| {
        to.put(seen.gpu.energy_mj(seen.now_us))
    };

    /// How long a policy has held clocks down.
    fn nvmlDeviceGetViolationStatus(policy: u32, to: Out<nvmlViolationTime_t>) |seen| {
        let known = (policy < POLICIES).then(|| seen.gpu.held_down_ns(policy, seen.now_us));
        let time = known.flatten().ok_or(Status::NOT_SUPPORTED)?;
        to.put(nvmlViolationTime_t { referenceTime: seen.now_us, violationTime: time })
    };
}

/// Every reason there is: the bits up to the last.
fn all_reasons() -> u64 {
    (ThrottleReason::DisplayClocks as u64) * 2 - 1
}

fn running(seen: &Seen, clock: u32) -> Result<u32, Status> {
    match clock {
        0 | 1 | 3 => Ok(seen.gpu.sm_mhz),
        2 => Ok(seen.gpu.memory_mhz),
        _ => Err(Status::INVALID_ARGUMENT),
    }
}

fn threshold_celsius(gpu: &Gpu, threshold: u32) -> Result<u32, Status> {
    match threshold {
        0 => Ok(gpu.traits.shutdown_celsius),
        1 => Ok(gpu.traits.slowdown_celsius),
        // The memory of NVIDIA's data-centre parts is rated up to 95 degrees.
        2 => Ok(95),
        3 => Ok(gpu.traits.slowdown_celsius - 2),
        4..=7 => Err(Status::NOT_SUPPORTED),
        _ => Err(Status::INVALID_ARGUMENT),
    }
}
