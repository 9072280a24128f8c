//! The one place with `unsafe` code: the wrapper hands out a device's handle only as a raw pointer,
//! and knows no call for the ids of a MIG instance.
#![allow(unsafe_code, reason = "handles are raw pointers, and two calls are not wrapped")]

use nvml_wrapper::Device;
use nvml_wrapper::struct_wrappers::device::ProcessInfo;

/// Whether two handles are of the same device, without asking the driver, which does not answer for
/// a device that is lost.
pub(super) fn same_device(one: &Device<'_>, other: &Device<'_>) -> bool {
    // SAFETY: `handle` only copies the pointer. What must not be done with it is to make another
    // `Device` of it that outlives its library; here it is compared and dropped.
    unsafe { one.handle() == other.handle() }
}

/// What the driver calls a MIG instance in a list of processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct InstanceIds {
    gpu: u32,
    compute: u32,
}

impl InstanceIds {
    /// The instance that a process is on; `None` where the driver does not tell.
    pub(super) fn of(process: &ProcessInfo) -> Option<Self> {
        let (gpu, compute) = process.gpu_instance_id.zip(process.compute_instance_id)?;
        Some(Self { gpu, compute })
    }
}

/// The ids of the instance behind the handle of a MIG device; `None` where the driver does not tell.
pub(super) fn instance_ids(device: &Device<'_>) -> Option<InstanceIds> {
    let lib = device.nvml().lib();
    let gpu_call = lib.nvmlDeviceGetGpuInstanceId.as_ref().ok()?;
    let compute_call = lib.nvmlDeviceGetComputeInstanceId.as_ref().ok()?;
    let (mut gpu, mut compute) = (0, 0);
    // SAFETY: the handle is valid while `device` is borrowed, and so is the library it came from;
    // both calls write one number to where they are told to.
    let codes = unsafe {
        let handle = device.handle();
        [gpu_call(handle, &raw mut gpu), compute_call(handle, &raw mut compute)]
    };
    (codes == [0, 0]).then_some(InstanceIds { gpu, compute })
}
