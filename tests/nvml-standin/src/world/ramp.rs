//! A quantity that moves with time.

/// A value that moves at a constant rate until it reaches its limit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ramp {
    from: u64,
    since_us: u64,
    per_second: i64,
    limit: u64,
}

impl Ramp {
    /// A value that stays.
    pub(crate) fn steady(value: u64) -> Self {
        Self { from: value, since_us: 0, per_second: 0, limit: value }
    }

    /// The value, moved from what it is now until `limit`.
    pub(crate) fn moving(self, now_us: u64, per_second: i64, limit: u64) -> Self {
        Self { from: self.at(now_us), since_us: now_us, per_second, limit }
    }

    /// The value at an instant. A limit on the wrong side of the start holds the value still.
    pub(crate) fn at(self, now_us: u64) -> u64 {
        let elapsed = i128::from(now_us.saturating_sub(self.since_us));
        let moved = i128::from(self.from) + i128::from(self.per_second) * elapsed / 1_000_000;
        let value = u64::try_from(moved.max(0)).unwrap_or(u64::MAX);
        match self.per_second {
            0 => self.from,
            1.. => value.min(self.limit.max(self.from)),
            _ => value.max(self.limit.min(self.from)),
        }
    }
}
