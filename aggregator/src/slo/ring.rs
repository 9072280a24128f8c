//! How many requests were good and bad, by buckets of time.

use std::collections::VecDeque;
use std::ops::{Add, Sub};

use gpuwarden_proto::time::Timestamp;

const NS_PER_S: u64 = 1_000_000_000;

/// Requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Count {
    /// As promised.
    pub good: u64,
    /// The rest.
    pub bad: u64,
}

impl Count {
    /// All of them.
    #[must_use]
    pub const fn total(self) -> u64 {
        self.good.saturating_add(self.bad)
    }

    /// This many of `of` parts of it, rounded down.
    fn part(self, parts: u64, of: u64) -> Self {
        let part = |count: u64| (u128::from(count) * u128::from(parts) / u128::from(of)) as u64;
        Self { good: part(self.good), bad: part(self.bad) }
    }
}

impl Add for Count {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { good: self.good.saturating_add(other.good), bad: self.bad.saturating_add(other.bad) }
    }
}

impl Sub for Count {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self { good: self.good.saturating_sub(other.good), bad: self.bad.saturating_sub(other.bad) }
    }
}

/// The newest buckets of equal length. Each holds the sum up to its end, so that a window is one
/// subtraction however long it is.
#[derive(Debug)]
pub(super) struct Ring {
    step_s: u64,
    capacity: usize,
    /// The number of the newest bucket, counted from 1970.
    newest: u64,
    /// From the oldest to the newest.
    sums: VecDeque<Count>,
    /// The sum before the oldest.
    before: Count,
    /// The oldest bucket that differs from what is kept elsewhere.
    changed_from: Option<u64>,
}

impl Ring {
    /// An empty ring of so many buckets at most. Memory is taken as it is needed.
    #[must_use]
    pub(super) const fn new(step_s: u64, capacity: usize) -> Self {
        Self {
            step_s,
            capacity,
            newest: 0,
            sums: VecDeque::new(),
            before: Count { good: 0, bad: 0 },
            changed_from: None,
        }
    }

    /// Length of a bucket, in seconds.
    #[must_use]
    pub(super) const fn step_s(&self) -> u64 {
        self.step_s
    }

    /// Requests that ended some time from `from` to `to`: they are spread evenly over it. What lies
    /// before the oldest bucket is let go.
    pub(super) fn spread(&mut self, from: Timestamp, to: Timestamp, count: Count) {
        if count == Count::default() {
            return;
        }
        let (from, to) = (from.unix_ns().min(to.unix_ns()), to.unix_ns());
        // What ends on a border belongs to the bucket before it, unless it took no time at all.
        let last = if from < to { to - 1 } else { to } / self.step_ns();
        self.reach(last);
        let first = (from / self.step_ns()).max(self.oldest_possible());
        if first > last {
            return;
        }
        self.reach_back(first);
        let up_to = |bucket: u64| {
            let end = bucket.saturating_add(1).saturating_mul(self.step_ns());
            match end {
                end if end <= from => Count::default(),
                end if end >= to => count,
                end => count.part(end - from, to - from),
            }
        };
        let let_go = first.checked_sub(1).map_or(Count::default(), up_to);
        let skip = (first - self.oldest()) as usize;
        let added: Vec<Count> = (first..=self.newest).map(|each| up_to(each) - let_go).collect();
        for (sum, added) in self.sums.iter_mut().skip(skip).zip(added) {
            *sum = *sum + added;
        }
        self.changed_from = Some(self.changed_from.map_or(first, |known| known.min(first)));
    }

    /// Requests of the bucket that begins then, from where they are kept.
    pub(super) fn recall(&mut self, start_s: u64, count: Count) {
        let changed_from = self.changed_from;
        let at = Timestamp::from_unix_s(start_s);
        self.spread(at, at, count);
        self.changed_from = changed_from;
    }

    /// Requests of the last `window_s` before `now`. Buckets are whole: the one that `now` is in
    /// counts, so a window is up to one bucket shorter than it is called.
    #[must_use]
    pub(super) fn window(&self, now: Timestamp, window_s: u64) -> Count {
        let last = now.unix_ns() / self.step_ns();
        let before = last.checked_sub(window_s / self.step_s);
        self.sum_to(last) - before.map_or(self.before, |bucket| self.sum_to(bucket))
    }

    /// The buckets that changed since this was last asked: when each began, in seconds since 1970, and
    /// what is in it.
    pub(super) fn take_changed(&mut self) -> Vec<(u64, Count)> {
        let Some(from) = self.changed_from.take() else { return Vec::new() };
        let from = from.max(self.oldest());
        let of = |bucket: u64| {
            let before = bucket.checked_sub(1).map_or(self.before, |each| self.sum_to(each));
            (bucket * self.step_s, self.sum_to(bucket) - before)
        };
        (from..=self.newest).map(of).filter(|(_, count)| *count != Count::default()).collect()
    }

    /// When the oldest bucket that may be kept `now` begins, in seconds since 1970.
    #[must_use]
    pub(super) fn forgotten_before(&self, now: Timestamp) -> u64 {
        let last = now.unix_ns() / self.step_ns();
        last.saturating_sub(self.capacity as u64 - 1) * self.step_s
    }

    const fn step_ns(&self) -> u64 {
        self.step_s * NS_PER_S
    }

    fn oldest(&self) -> u64 {
        (self.newest + 1).saturating_sub(self.sums.len() as u64)
    }

    fn oldest_possible(&self) -> u64 {
        (self.newest + 1).saturating_sub(self.capacity as u64)
    }

    fn sum_to(&self, bucket: u64) -> Count {
        let Some(newest) = self.sums.back() else { return self.before };
        if bucket >= self.newest {
            return *newest;
        }
        let place = bucket.checked_sub(self.oldest());
        place.and_then(|at| self.sums.get(at as usize)).copied().unwrap_or(self.before)
    }

    /// Makes room for a bucket and all before it that there are.
    fn reach(&mut self, bucket: u64) {
        let Some(sum) = self.sums.back().copied() else {
            self.newest = bucket;
            self.sums.push_back(self.before);
            return;
        };
        let missing = bucket.saturating_sub(self.newest);
        self.newest = self.newest.max(bucket);
        if missing >= self.capacity as u64 {
            self.before = sum;
            self.sums.clear();
            self.sums.push_back(sum);
            return;
        }
        for _ in 0..missing {
            self.sums.push_back(sum);
        }
        while self.sums.len() > self.capacity {
            self.before = self.sums.pop_front().unwrap_or(self.before);
        }
    }

    /// Makes room for a bucket before the oldest.
    fn reach_back(&mut self, bucket: u64) {
        for _ in bucket..self.oldest() {
            self.sums.push_front(self.before);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(second: u64) -> Timestamp {
        Timestamp::from_unix_s(second)
    }

    const fn bad(bad: u64) -> Count {
        Count { good: 0, bad }
    }

    fn minutes(capacity: usize) -> Ring {
        Ring::new(60, capacity)
    }

    #[test]
    fn a_window_holds_the_bucket_of_now_and_whole_ones_before_it() {
        let mut ring = minutes(10);
        for minute in 0..6 {
            ring.spread(at(minute * 60), at(minute * 60 + 60), bad(1 << minute));
        }
        let window = |now, window_s| ring.window(at(now), window_s).bad;
        assert_eq!((window(359, 60), window(359, 300), window(359, 600)), (32, 62, 63));
        assert_eq!((window(360, 60), window(360, 120)), (0, 32), "a new minute has begun");
        assert_eq!(window(60, 60), 2, "as it was seen then");
    }

    #[test]
    fn what_took_long_is_spread_over_it_and_nothing_gets_lost_by_rounding() {
        let mut ring = minutes(10);
        ring.spread(at(30), at(180), Count { good: 10, bad: 4 });
        let each = ring.take_changed();
        let of = |good, bad| Count { good, bad };
        assert_eq!(each, [(0, of(2, 0)), (60, of(4, 2)), (120, of(4, 2))]);
        ring.spread(at(240), at(240), bad(1));
        assert_eq!(ring.take_changed(), [(240, bad(1))], "no time at all belongs to its instant");
    }

    #[test]
    fn what_is_older_than_the_ring_is_let_go() {
        let mut ring = minutes(2);
        ring.spread(at(0), at(240), bad(400));
        assert_eq!(ring.window(at(239), 600), bad(200));
        ring.spread(at(0), at(60), bad(1));
        assert_eq!(ring.window(at(239), 600), bad(200));
        ring.spread(at(6_000), at(6_001), bad(7));
        assert_eq!(ring.window(at(6_001), 600), bad(7), "all else was a ring ago");
        assert_eq!(ring.sums.len(), 1);
    }

    #[test]
    fn late_counts_land_where_they_belong() {
        let mut ring = minutes(10);
        ring.spread(at(300), at(301), bad(1));
        ring.spread(at(120), at(121), bad(5));
        assert_eq!((ring.window(at(301), 60), ring.window(at(301), 300)), (bad(1), bad(6)));
        assert_eq!(ring.take_changed(), [(120, bad(5)), (300, bad(1))]);
        assert_eq!(ring.take_changed(), []);
    }

    #[test]
    fn a_ring_that_was_kept_is_the_same_again() {
        let mut ring = minutes(10);
        ring.spread(at(100), at(500), Count { good: 1_000, bad: 10 });
        let mut again = minutes(10);
        for (start_s, count) in ring.take_changed() {
            again.recall(start_s, count);
        }
        for window_s in (60..=600).step_by(60) {
            assert_eq!(again.window(at(520), window_s), ring.window(at(520), window_s));
        }
        assert_eq!(again.take_changed(), [], "it is kept already");
    }
}
