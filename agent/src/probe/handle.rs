//! The one place with `unsafe` code: the wrapper hands out a device's handle only as a raw pointer.
#![allow(unsafe_code, reason = "a handle is compared, and never used")]

use nvml_wrapper::Device;

/// Whether two handles are of the same device, without asking the driver, which does not answer for
/// a device that is lost.
pub(super) fn same_device(one: &Device<'_>, other: &Device<'_>) -> bool {
    // SAFETY: `handle` only copies the pointer. What must not be done with it is to make another
    // `Device` of it that outlives its library; here it is compared and dropped.
    unsafe { one.handle() == other.handle() }
}
