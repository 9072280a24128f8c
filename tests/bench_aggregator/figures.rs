//! What was measured, and how it is told.

use std::time::Duration;

use crate::{NODES, NODES_QUICK};

/// How much of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scale {
    /// What figures are published of.
    Full,
    /// Enough to see that it works.
    Quick,
}

impl Scale {
    /// One of two.
    pub(crate) fn pick<T>(self, full: T, quick: T) -> T {
        match self {
            Self::Full => full,
            Self::Quick => quick,
        }
    }

    /// Nodes of the fleet.
    pub(crate) fn nodes(self) -> usize {
        self.pick(NODES, NODES_QUICK)
    }
}

/// One part of the bench.
#[derive(Debug, Default)]
pub(crate) struct Course {
    pub(crate) events: usize,
    pub(crate) lasted: Duration,
    /// From sending a batch to its acknowledgement.
    pub(crate) acks: Vec<Duration>,
}

impl Course {
    pub(crate) fn events_per_s(&self) -> f64 {
        self.events as f64 / self.lasted.as_secs_f64()
    }

    pub(crate) fn ack_ms(&self, share: f64) -> f64 {
        quantile_ms(&self.acks, share)
    }
}

/// A quantile by nearest rank, in milliseconds; not a number where nothing was measured.
pub(crate) fn quantile_ms(times: &[Duration], share: f64) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    let rank = ((sorted.len() as f64 * share).ceil() as usize).clamp(1, sorted.len().max(1));
    sorted.get(rank - 1).map_or(f64::NAN, |time| ms(*time))
}

/// Milliseconds.
pub(crate) fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Two digits after the point are enough.
pub(crate) fn round(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}
