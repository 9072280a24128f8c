//! What outlives a restart: buckets of counts, and alarms.
//!
//! Nodes' counters are not among it: the last snapshot of each node is kept anyway, and is what its
//! next one is held against.

use std::sync::Arc;

use gpuwarden_proto::time::Timestamp;

use super::ring::Count;

/// Which objective of which service, and by which measure: see [`super::objective::Measure::key`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// The service.
    pub service: Arc<str>,
    /// The measure.
    pub measure: String,
}

/// Requests of one bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    /// Of what.
    pub key: Key,
    /// Its length, in seconds.
    pub step_s: u64,
    /// When it begins, in seconds since 1970.
    pub start_s: u64,
    /// What is in it; it replaces what was known of it.
    pub count: Count,
}

/// What alarms, or no longer does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alarm {
    /// Of what.
    pub key: Key,
    /// A bit for each of [`super::burn::PAIRS`], from the lowest; 0 when none alarms.
    pub pairs: u8,
    /// When the first of them began to.
    pub raised_at: Timestamp,
}

/// What is to be made durable, and at the start what was.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kept {
    /// Buckets.
    pub buckets: Vec<Bucket>,
    /// Alarms.
    pub alarms: Vec<Alarm>,
    /// Buckets of such a length, in seconds, that begin before such an instant, in seconds since 1970,
    /// are no longer needed.
    pub forget: Vec<(u64, u64)>,
}

impl Kept {
    /// There is nothing to be written. What could be forgotten waits till there is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.buckets.is_empty() && self.alarms.is_empty()
    }

    /// These, and then those.
    pub fn append(&mut self, mut later: Self) {
        self.buckets.append(&mut later.buckets);
        self.alarms.append(&mut later.alarms);
        if !later.forget.is_empty() {
            self.forget = later.forget;
        }
    }
}
