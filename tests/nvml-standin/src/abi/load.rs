//! How much of a GPU is in use.

use nvml_wrapper_sys::bindings::{
    nvmlBAR1Memory_t, nvmlMemory_t, nvmlMemory_v2_t, nvmlSample_t, nvmlUtilization_t, nvmlValue_t,
};

use super::out::Out;
use super::sizes::version_word;
use super::{Seen, device_calls};
use crate::status::Status;
use crate::world::Memory;

/// NVML's value type of a sample: unsigned int.
const UNSIGNED_INT: u32 = 1;

device_calls! { on_any_device:
    /// Memory, with what the driver reserves told apart.
    fn nvmlDeviceGetMemoryInfo_v2(to: Out<nvmlMemory_v2_t>) |seen| {
        let version = to.get()?.version;
        if version != version_word::<nvmlMemory_v2_t>(2) {
            return Err(Status::ARGUMENT_VERSION_MISMATCH);
        }
        let Memory { total, reserved, used } = memory(seen)?;
        to.put(nvmlMemory_v2_t { version, total, reserved, free: total - used, used })
    };

    /// Memory, as first defined.
    fn nvmlDeviceGetMemoryInfo(to: Out<nvmlMemory_t>) |seen| {
        let Memory { total, used, .. } = memory(seen)?;
        to.put(nvmlMemory_t { total, free: total - used, used })
    };
}

device_calls! { on_gpu:
    /// The window through which the processor reaches the GPU's memory.
    fn nvmlDeviceGetBAR1MemoryInfo(to: Out<nvmlBAR1Memory_t>) |seen| {
        let window = seen.gpu.memory(seen.now_us).total.next_power_of_two();
        to.put(nvmlBAR1Memory_t { bar1Total: window, bar1Free: window, bar1Used: 0 })
    };

    /// Utilisation, which there is none of while MIG is on.
    fn nvmlDeviceGetUtilizationRates(to: Out<nvmlUtilization_t>) |seen| {
        if !seen.gpu.mig.is_empty() {
            return Err(Status::NOT_SUPPORTED);
        }
        to.put(nvmlUtilization_t { gpu: seen.gpu.gpu_percent, memory: seen.gpu.memory_percent })
    };

    /// Samples since an instant. Only the latest is kept: the real ring is longer.
    fn nvmlDeviceGetSamples(
        sampling: u32,
        last_seen_us: u64,
        value_type: Out<u32>,
        count: Out<u32>,
        samples: Out<nvmlSample_t>
    ) |seen| {
        let value = sampled(seen, sampling)?;
        let at_us = seen.gpu.sampled_us(seen.world.last_tick_us(seen.now_us));
        if at_us <= last_seen_us {
            return Err(Status::NOT_FOUND);
        }
        value_type.put(UNSIGNED_INT)?;
        if samples.is_null() {
            return count.put(1);
        }
        if count.get()? == 0 {
            return Err(Status::INVALID_ARGUMENT);
        }
        count.put(1)?;
        let sample_value = nvmlValue_t { ullVal: value.into() };
        samples.put(nvmlSample_t { timeStamp: at_us, sampleValue: sample_value })
    };
}

fn memory(seen: &Seen) -> Result<Memory, Status> {
    match seen.mig {
        None => Ok(seen.gpu.memory(seen.now_us)),
        Some((slot, _)) => seen.gpu.mig_memory(slot, seen.now_us).ok_or(Status::INVALID_ARGUMENT),
    }
}

/// What a kind of sample, by NVML's number, is taken of.
fn sampled(seen: &Seen, sampling: u32) -> Result<u32, Status> {
    match sampling {
        0 => Ok(seen.gpu.milliwatts),
        1 => Ok(seen.gpu.gpu_percent),
        2 => Ok(seen.gpu.memory_percent),
        5 => Ok(seen.gpu.sm_mhz),
        6 => Ok(seen.gpu.memory_mhz),
        _ => Err(Status::NOT_SUPPORTED),
    }
}
