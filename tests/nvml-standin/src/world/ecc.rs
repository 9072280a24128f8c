//! ECC counters.

use crate::command::{EccKind, EccLocation};

/// Which of NVML's two counters is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counter {
    /// Since the driver was loaded.
    Volatile,
    /// Since the GPU was made.
    Aggregate,
}

/// Errors of one kind, by location.
type ByLocation = [u64; 8];

/// The ECC counters of a GPU.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ecc {
    volatile: [ByLocation; 2],
    aggregate: [ByLocation; 2],
}

impl Ecc {
    /// Counts errors in both counters.
    pub(super) fn add(&mut self, kind: EccKind, location: EccLocation, count: u64) {
        for counter in [&mut self.volatile, &mut self.aggregate] {
            let slot = &mut counter[kind as usize][location as usize];
            *slot = slot.saturating_add(count);
        }
    }

    /// Errors at one location, by NVML's number of it.
    pub(crate) fn at(&self, counter: Counter, kind: EccKind, location: usize) -> Option<u64> {
        self.of(counter)[kind as usize].get(location).copied()
    }

    /// Errors everywhere.
    pub(crate) fn total(&self, counter: Counter, kind: EccKind) -> u64 {
        self.of(counter)[kind as usize].iter().sum()
    }

    fn of(&self, counter: Counter) -> &[ByLocation; 2] {
        match counter {
            Counter::Volatile => &self.volatile,
            Counter::Aggregate => &self.aggregate,
        }
    }
}
