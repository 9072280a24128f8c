//! NVML's return codes.

use std::ffi::CStr;

/// A return code of NVML other than success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Status(pub(crate) u32);

/// What the body of an NVML call comes to.
pub(crate) type Reply = Result<(), Status>;

impl Status {
    pub(crate) const UNINITIALIZED: Self = Self(1);
    pub(crate) const INVALID_ARGUMENT: Self = Self(2);
    pub(crate) const NOT_SUPPORTED: Self = Self(3);
    pub(crate) const NOT_FOUND: Self = Self(6);
    pub(crate) const INSUFFICIENT_SIZE: Self = Self(7);
    pub(crate) const TIMEOUT: Self = Self(10);
    pub(crate) const ARGUMENT_VERSION_MISMATCH: Self = Self(25);
    pub(crate) const UNKNOWN: Self = Self(999);
}

/// The code a C caller receives.
pub(crate) fn code(reply: Reply) -> u32 {
    reply.map_or_else(|status| status.0, |()| 0)
}

/// The texts of codes 0 to 30, as NVML words them.
const TEXTS: [&CStr; 31] = [
    c"The operation was successful",
    c"Uninitialized",
    c"Invalid Argument",
    c"Not Supported",
    c"Insufficient Permissions",
    c"Already Initialized",
    c"Not Found",
    c"Insufficient Size",
    c"Insufficient External Power",
    c"Driver Not Loaded",
    c"Timeout",
    c"Interrupt Request Issue",
    c"NVML Shared Library Not Found",
    c"Function Not Found",
    c"Corrupted infoROM",
    c"GPU is lost",
    c"GPU requires reset",
    c"GPU access blocked by the operating system",
    c"Driver/library version mismatch",
    c"In use by another client",
    c"Insufficient Memory",
    c"No data",
    c"The requested vgpu operation is not available on target device, becasue ECC is enabled",
    c"Insufficient resources",
    c"Frequency not supported",
    c"Argument version mismatch",
    c"The requested functionality has been deprecated",
    c"System not ready",
    c"No GPUs found",
    c"Invalid State",
    c"Reset type not supported",
];

/// The text NVML has for a return code.
pub(crate) fn text(code: u32) -> &'static CStr {
    TEXTS.get(code as usize).copied().unwrap_or(c"Unknown Error")
}
