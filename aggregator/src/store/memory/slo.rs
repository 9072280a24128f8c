//! Counts and alarms of objectives.

use std::collections::BTreeMap;

use crate::slo::Count;
use crate::slo::kept::{Alarm, Bucket, Kept, Key};

/// As a table would hold them.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// By length and beginning.
    buckets: BTreeMap<(u64, u64, Key), Count>,
    alarms: BTreeMap<Key, Alarm>,
}

impl Table {
    /// Newer counts take the place of older ones; what is no longer needed and what no longer alarms
    /// is forgotten.
    pub(super) fn write(&mut self, kept: &Kept) {
        for Bucket { key, step_s, start_s, count } in &kept.buckets {
            self.buckets.insert((*step_s, *start_s, key.clone()), *count);
        }
        for (step_s, before_s) in &kept.forget {
            self.buckets.retain(|(step, start_s, _), _| step != step_s || start_s >= before_s);
        }
        for alarm in &kept.alarms {
            self.alarms.insert(alarm.key.clone(), alarm.clone());
        }
        self.alarms.retain(|_, alarm| alarm.pairs != 0);
    }

    /// All of it.
    pub(super) fn load(&self) -> Kept {
        let bucket = |((step_s, start_s, key), count): (&(u64, u64, Key), &Count)| Bucket {
            key: key.clone(),
            step_s: *step_s,
            start_s: *start_s,
            count: *count,
        };
        Kept {
            buckets: self.buckets.iter().map(bucket).collect(),
            alarms: self.alarms.values().cloned().collect(),
            forget: Vec::new(),
        }
    }
}
