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

#[cfg(test)]
mod tests {
    use super::Ramp;

    const SECOND: u64 = 1_000_000;

    #[test]
    fn rises_at_its_rate_until_its_limit() {
        let ramp = Ramp::steady(100).moving(5 * SECOND, 10, 125);
        let seen = [5, 6, 7, 8, 9].map(|second| ramp.at(second * SECOND));
        assert_eq!(seen, [100, 110, 120, 125, 125]);
    }

    #[test]
    fn falls_at_its_rate_until_its_limit() {
        let ramp = Ramp::steady(100).moving(0, -40, 30);
        assert_eq!([0, 1, 2, 3].map(|second| ramp.at(second * SECOND)), [100, 60, 30, 30]);
    }

    #[test]
    fn goes_on_from_where_it_was() {
        let ramp = Ramp::steady(0).moving(0, 10, 1000).moving(2 * SECOND, -10, 0);
        assert_eq!([2, 3, 4, 5].map(|second| ramp.at(second * SECOND)), [20, 10, 0, 0]);
    }

    #[test]
    fn a_limit_behind_it_holds_it_still() {
        assert_eq!(Ramp::steady(50).moving(0, 10, 20).at(SECOND), 50);
        assert_eq!(Ramp::steady(50).moving(0, -10, 80).at(SECOND), 50);
    }

    #[test]
    fn never_overflows() {
        assert_eq!(Ramp::steady(1).moving(0, i64::MAX, u64::MAX).at(u64::MAX), u64::MAX);
        assert_eq!(Ramp::steady(1).moving(0, i64::MIN, 0).at(u64::MAX), 0);
    }
}
