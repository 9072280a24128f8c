//! The only reader of clocks.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

use std::time::{SystemTime, UNIX_EPOCH};

use gpuwarden_proto::time::Timestamp;

/// The wall time.
pub fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_unix_ns(since_epoch.as_nanos().try_into().unwrap_or(u64::MAX))
}
