//! How fast a budget is used up, and when that is too fast.
//!
//! Each [`Pair`] holds a long window, over which enough was lost to matter, and a short one, in which
//! it is still being lost. It alarms when both burn faster than its threshold.
//!
//! Of few requests one that fails is a large share. So a pair stays silent until [`FAILURES_MIN`]
//! requests of its long window were bad, however large a share that is: a service that is down all the
//! same has them soon, and one request that failed at night wakes nobody. Where not even as many
//! failures would be needed to burn that fast, there are too few requests to tell.
//!
//! What alarms goes on until it burns slower than three quarters of the threshold, so that what is
//! near to it does not come and go. The short window decides where at least one bad request would be
//! expected in it if it still burned so fast; where there are fewer requests, the long one does. With
//! no requests at all nothing is over: no data is not good data.

use super::objective::Target;
use super::ring::Count;

/// Bad requests of a long window without which nothing alarms.
pub const FAILURES_MIN: u64 = 10;
/// The share of the threshold below which an alarm is over.
const CALM: (u128, u128) = (3, 4);

const MINUTE_S: u64 = 60;
const HOUR_S: u64 = 3600;
const DAY_S: u64 = 24 * HOUR_S;

/// The windows over which burns are shown, from the shortest to the longest: those of all pairs.
pub const WINDOWS_S: [u64; 7] =
    [5 * MINUTE_S, 30 * MINUTE_S, HOUR_S, 2 * HOUR_S, 6 * HOUR_S, DAY_S, 3 * DAY_S];
/// Over how long a budget is given.
pub const BUDGET_S: u64 = 30 * DAY_S;

/// Two windows and how fast both must burn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pair {
    /// In tenths, so that it can be held against whole requests: 144 is 14.4.
    tenths: u32,
    /// The long window, in seconds.
    pub long_s: u64,
    /// The short window, in seconds.
    pub short_s: u64,
}

/// The pairs, from the most urgent: 2 % of the budget in an hour, 5 % in six, 10 % in one day or in
/// three.
pub const PAIRS: [Pair; 4] = [
    Pair { tenths: 144, long_s: HOUR_S, short_s: 5 * MINUTE_S },
    Pair { tenths: 60, long_s: 6 * HOUR_S, short_s: 30 * MINUTE_S },
    Pair { tenths: 30, long_s: DAY_S, short_s: 2 * HOUR_S },
    Pair { tenths: 10, long_s: 3 * DAY_S, short_s: 6 * HOUR_S },
];

/// How a pair stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It burns too fast.
    Burning,
    /// It does not.
    Slow,
    /// There are too few requests to tell.
    TooFew,
}

/// A window as people say it, e.g. `5 min`, `6 h`, `3 d`.
#[must_use]
pub fn called(window_s: u64) -> String {
    match window_s {
        s if s > 0 && s.is_multiple_of(DAY_S) => format!("{} d", s / DAY_S),
        s if s > 0 && s.is_multiple_of(HOUR_S) => format!("{} h", s / HOUR_S),
        s => format!("{} min", s / MINUTE_S),
    }
}

/// How fast requests like these use up the budget: 1 uses it up in just [`BUDGET_S`]. `None` when there
/// are none.
#[must_use]
pub fn rate(count: Count, target: Target) -> Option<f64> {
    let total = count.total();
    let budget = f64::from(target.bad_in_a_million()) / 1e6;
    (total > 0).then(|| count.bad as f64 / total as f64 / budget)
}

impl Pair {
    /// How fast both windows must burn.
    #[must_use]
    pub fn threshold(self) -> f64 {
        f64::from(self.tenths) / 10.0
    }

    /// How it stands with these requests in its windows, after it was `burning` or not.
    #[must_use]
    pub fn judge(self, long: Count, short: Count, target: Target, burning: bool) -> Verdict {
        let enough = long.bad >= FAILURES_MIN;
        let fast = |count| self.held_against(count, target) == std::cmp::Ordering::Greater;
        if burning {
            let over = if self.tells(short, target) { short } else { long };
            return if self.is_calm(over, target) { Verdict::Slow } else { Verdict::Burning };
        }
        if enough && fast(long) && fast(short) {
            Verdict::Burning
        } else if !enough && self.needed(long, target) < u128::from(FAILURES_MIN) {
            Verdict::TooFew
        } else {
            Verdict::Slow
        }
    }

    /// The burn of these requests beside the threshold, in whole numbers.
    fn held_against(self, count: Count, target: Target) -> std::cmp::Ordering {
        let bad = u128::from(count.bad) * 10_000_000;
        bad.cmp(&self.allowed(count, target))
    }

    fn is_calm(self, count: Count, target: Target) -> bool {
        let bad = u128::from(count.bad) * 10_000_000;
        count.total() > 0 && bad * CALM.1 < self.allowed(count, target) * CALM.0
    }

    /// Whether a bad request would be expected among these if they burned as fast as the threshold.
    fn tells(self, count: Count, target: Target) -> bool {
        self.needed(count, target) >= 1
    }

    /// So many of these would have to be bad to burn as fast as the threshold, rounded down.
    fn needed(self, count: Count, target: Target) -> u128 {
        self.allowed(count, target) / 10_000_000
    }

    /// Bad requests at the threshold, in ten-millionths.
    fn allowed(self, count: Count, target: Target) -> u128 {
        let budget = u128::from(target.bad_in_a_million());
        u128::from(self.tenths) * u128::from(count.total()) * budget
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAST: Pair = PAIRS[0];

    fn of(bad: u64, total: u64) -> Count {
        Count { good: total - bad, bad }
    }

    fn three_nines() -> Target {
        Target::new(0.999)
    }

    fn judge(long: Count, short: Count, burning: bool) -> Verdict {
        FAST.judge(long, short, three_nines(), burning)
    }

    #[test]
    fn exactly_at_its_threshold_a_pair_is_silent_and_one_request_more_makes_it_speak() {
        for (pair, bad) in PAIRS.into_iter().zip([1_440, 600, 300, 100]) {
            let (at, over) = (of(bad, 100_000), of(bad + 1, 100_000));
            let judge = |long, short| pair.judge(long, short, three_nines(), false);
            assert_eq!(judge(at, at), Verdict::Slow, "{pair:?}");
            assert_eq!(judge(over, over), Verdict::Burning, "{pair:?}");
            assert_eq!(judge(over, at), Verdict::Slow, "{pair:?}: it is no longer so");
            assert_eq!(judge(at, over), Verdict::Slow, "{pair:?}: it has not lasted");
            assert!(
                rate(at, three_nines()).is_some_and(|rate| (rate - pair.threshold()).abs() < 1e-9)
            );
        }
    }

    #[test]
    fn few_requests_alarm_nobody_until_enough_of_them_were_bad() {
        assert_eq!(judge(of(2, 60), of(2, 5), false), Verdict::TooFew);
        assert_eq!(judge(of(9, 60), of(5, 5), false), Verdict::TooFew);
        assert_eq!(judge(of(10, 60), of(5, 5), false), Verdict::Burning);
        assert_eq!(judge(of(0, 0), of(0, 0), false), Verdict::TooFew);
        assert_eq!(judge(of(0, 694), of(0, 60), false), Verdict::TooFew, "9.99 would burn so fast");
        assert_eq!(judge(of(0, 695), of(0, 60), false), Verdict::Slow);
    }

    #[test]
    fn an_alarm_is_over_only_well_below_its_threshold() {
        let long = of(5_000, 100_000);
        assert_eq!(
            judge(long, of(1_080, 100_000), true),
            Verdict::Burning,
            "10.8 is three quarters"
        );
        assert_eq!(judge(long, of(1_079, 100_000), true), Verdict::Slow);
        assert_eq!(judge(of(1_000, 100_000), of(1_200, 100_000), true), Verdict::Burning);
    }

    #[test]
    fn a_window_of_few_requests_does_not_end_an_alarm_and_one_of_none_never_does() {
        let long = of(500, 1_000);
        assert_eq!(judge(long, of(0, 69), true), Verdict::Burning, "one bad of 70 is expected");
        assert_eq!(judge(long, of(0, 70), true), Verdict::Slow);
        assert_eq!(judge(of(0, 0), of(0, 0), true), Verdict::Burning);
        assert_eq!(judge(of(0, 3), of(0, 0), true), Verdict::Slow, "all that is known is good");
    }

    #[test]
    fn a_service_that_promises_little_cannot_burn_fast() {
        let nine_in_ten = Target::new(0.9);
        let down = of(1_000, 1_000);
        assert_eq!(rate(down, nine_in_ten).map(f64::round), Some(10.0));
        assert_eq!(FAST.judge(down, down, nine_in_ten, false), Verdict::Slow);
        assert_eq!(PAIRS[1].judge(down, down, nine_in_ten, false), Verdict::Burning);
    }
}
