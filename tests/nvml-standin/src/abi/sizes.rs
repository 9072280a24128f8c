//! The structures have the sizes that a C compiler gives those of `nvml.h`, version 13.

use std::mem::size_of;

use nvml_wrapper_sys::bindings as c;

const _: () = {
    assert!(size_of::<c::nvmlMemory_v2_t>() == 40);
    assert!(size_of::<c::nvmlMemory_t>() == 24);
    assert!(size_of::<c::nvmlProcessInfo_v1_t>() == 16);
    assert!(size_of::<c::nvmlProcessInfo_t>() == 24);
    assert!(size_of::<c::nvmlProcessUtilizationSample_t>() == 32);
    assert!(size_of::<c::nvmlProcessUtilizationInfo_v1_t>() == 40);
    assert!(size_of::<c::nvmlProcessesUtilizationInfo_v1_t>() == 24);
    assert!(size_of::<c::nvmlEventData_t>() == 32);
    assert!(size_of::<c::nvmlFieldValue_t>() == 40);
    assert!(size_of::<c::nvmlPciInfo_t>() == 68);
    assert!(size_of::<c::nvmlUtilization_t>() == 8);
    assert!(size_of::<c::nvmlAccountingStats_t>() == 56);
    assert!(size_of::<c::nvmlViolationTime_t>() == 16);
    assert!(size_of::<c::nvmlBAR1Memory_t>() == 24);
    assert!(size_of::<c::nvmlEccSramErrorStatus_v1_t>() == 104);
    assert!(size_of::<c::nvmlSample_t>() == 16);
    assert!(size_of::<c::nvmlEccErrorCounts_t>() == 32);
};

/// NVML's version word of a structure: the version above, the size below.
pub(super) const fn version_word<T>(version: u32) -> u32 {
    version << 24 | size_of::<T>() as u32
}
