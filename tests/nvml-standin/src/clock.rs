//! The one clock of the stand-in.

use std::time::{SystemTime, UNIX_EPOCH};

/// Microseconds since the epoch: the unit of NVML's own time stamps, and the same in every process.
pub(crate) fn now_us() -> u64 {
    micros(SystemTime::now())
}

/// `time` in microseconds since the epoch, zero for what lies before it.
pub(crate) fn micros(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .map_or(0, |since| u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}
