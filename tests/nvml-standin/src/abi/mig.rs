//! MIG: GPUs that are cut into devices.

use super::out::Out;
use super::{Handle, Seen, device_calls};
use crate::scenario::MigInstance;
use crate::status::Status;

device_calls! { on_gpu:
    /// Whether MIG is on, and will be after a reset.
    fn nvmlDeviceGetMigMode(now: Out<u32>, pending: Out<u32>) |seen| {
        if seen.gpu.traits.max_mig_devices == 0 {
            return Err(Status::NOT_SUPPORTED);
        }
        let on = u32::from(!seen.gpu.mig.is_empty());
        now.put(on)?;
        pending.put(on)
    };

    /// How many MIG devices there can be; none where there can be none.
    fn nvmlDeviceGetMaxMigDeviceCount(to: Out<u32>) |seen| {
        to.put(seen.gpu.traits.max_mig_devices)
    };

    /// The handle of a MIG device by its index.
    fn nvmlDeviceGetMigDeviceHandleByIndex(index: u32, to: Out<Handle>) |seen| {
        let slot = index as usize;
        match seen.gpu.mig.get(slot) {
            Some(_) => to.put(Handle::of(seen.gpu.index, Some(slot))),
            None => Err(Status::NOT_FOUND),
        }
    };
}

device_calls! { on_any_device:
    /// Whether a handle is that of a MIG device.
    fn nvmlDeviceIsMigDeviceHandle(to: Out<u32>) |seen| to.put(seen.mig.is_some().into());

    /// The handle of the GPU a MIG device is part of.
    fn nvmlDeviceGetDeviceHandleFromMigDeviceHandle(to: Out<Handle>) |seen| {
        instance(seen)?;
        to.put(Handle::of(seen.gpu.index, None))
    };

    /// The id of a MIG device's GPU instance.
    fn nvmlDeviceGetGpuInstanceId(to: Out<u32>) |seen| to.put(instance(seen)?.gpu_instance);

    /// The id of a MIG device's compute instance.
    fn nvmlDeviceGetComputeInstanceId(to: Out<u32>) |seen| to.put(instance(seen)?.compute_instance);
}

fn instance<'a>(seen: &Seen<'a>) -> Result<&'a MigInstance, Status> {
    seen.mig.map(|(_, instance)| instance).ok_or(Status::INVALID_ARGUMENT)
}
