//! The only reader of clocks.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use gpuwarden_proto::time::Timestamp;

use crate::sample::{Moment, Now};

/// Reads both clocks, counting moments from when it was made.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// A clock whose moment zero is now.
    pub fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// The time on both clocks.
    pub fn now(&self) -> Now {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let ns = since_epoch.as_nanos().try_into().unwrap_or(u64::MAX);
        Now { moment: Moment(self.start.elapsed()), wall: Timestamp::from_unix_ns(ns) }
    }
}
