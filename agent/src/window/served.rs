//! What a model has served since it was first read: counters of our own, which do not go back when
//! the server's do.

use gpuwarden_proto::inventory::{LATENCY_BOUNDS_US, LATENCY_COUNTS, Served};
use gpuwarden_proto::time::Timestamp;

use super::Totals;

/// The counters of one model.
#[derive(Debug)]
pub(super) struct Tally {
    since: Timestamp,
    answered: u64,
    failed: u64,
    latency: [u64; LATENCY_COUNTS],
    /// Answered requests whose time was not read yet: with the next time that is read they are in
    /// its mean.
    untimed: f64,
}

impl Tally {
    /// Nothing served yet.
    pub(super) fn since(since: Timestamp) -> Self {
        Self { since, answered: 0, failed: 0, latency: [0; LATENCY_COUNTS], untimed: 0.0 }
    }

    /// The server's counters began at zero: what it owed is never told.
    pub(super) fn begin_anew(&mut self) {
        self.untimed = 0.0;
    }

    /// Adds what happened between two readings.
    pub(super) fn add(&mut self, totals: &Totals) {
        self.answered += totals.success as u64;
        self.failed += totals.failed as u64;
        self.untimed += totals.success;
        if totals.request_s > 0.0 && self.untimed >= 1.0 {
            let mean_us = totals.request_s * 1e6 / self.untimed;
            self.latency[place(mean_us)] += self.untimed as u64;
            self.untimed = 0.0;
        }
    }

    /// As it is told.
    pub(super) fn served(&self) -> Served {
        Served {
            since: self.since,
            requests: self.answered + self.failed,
            failures: self.failed,
            latency: self.latency.to_vec(),
        }
    }
}

/// The count that a time belongs to.
fn place(us: f64) -> usize {
    // A sum of whole microseconds divided by their number may miss its bound by a last digit.
    LATENCY_BOUNDS_US.partition_point(|bound| (*bound as f64) * (1.0 + 1e-12) < us)
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_unix_s(1_800_000_000);

    fn totals(success: f64, failed: f64, request_ms: f64) -> Totals {
        Totals { success, failed, request_s: request_ms / 1e3, ..Totals::default() }
    }

    fn counted(tally: &Tally) -> Vec<(u64, u64)> {
        let bounds = LATENCY_BOUNDS_US.iter().map(|us| us / 1_000).chain([u64::MAX]);
        bounds.zip(tally.latency).filter(|(_, count)| *count > 0).collect()
    }

    #[test]
    fn all_requests_between_two_readings_are_counted_at_the_bound_of_their_mean() {
        let mut tally = Tally::since(START);
        tally.add(&totals(10.0, 2.0, 10.0 * 20.0));
        tally.add(&totals(3.0, 0.0, 3.0 * 20.1));
        tally.add(&totals(1.0, 0.0, 31_000.0));
        let served = tally.served();
        assert_eq!((served.requests, served.failures), (16, 2));
        assert_eq!(counted(&tally), [(20, 10), (50, 3), (u64::MAX, 1)]);
    }

    #[test]
    fn requests_whose_time_comes_later_are_in_the_mean_that_they_are_part_of() {
        let mut tally = Tally::since(START);
        tally.add(&totals(4.0, 0.0, 0.0));
        assert_eq!(counted(&tally), []);
        tally.add(&totals(4.0, 0.0, 8.0 * 5.0));
        assert_eq!(counted(&tally), [(5, 8)]);
    }

    #[test]
    fn requests_whose_time_is_never_read_are_counted_without_one() {
        let mut tally = Tally::since(START);
        tally.add(&totals(4.0, 1.0, 0.0));
        tally.begin_anew();
        tally.add(&totals(1.0, 0.0, 5.0));
        assert_eq!((tally.served().requests, counted(&tally)), (6, vec![(5, 1)]));
    }
}
