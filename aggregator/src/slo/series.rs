//! The counts of one objective, as long and as fine as its windows need them.

use gpuwarden_proto::time::Timestamp;

use super::burn::{BUDGET_S, WINDOWS_S};
use super::kept::{Bucket, Key};
use super::ring::{Count, Ring};

const MINUTE_S: u64 = 60;
const TEN_MINUTES_S: u64 = 600;
const HOUR_S: u64 = 3600;
/// The longest window that is counted by the minute.
const BY_MINUTE_MAX_S: u64 = 6 * HOUR_S;
/// The longest window of all.
const WINDOW_MAX_S: u64 = WINDOWS_S[WINDOWS_S.len() - 1];

/// Counts by the minute for six hours, by ten minutes for three days and by the hour for thirty.
/// 24 KiB when all of it is filled.
#[derive(Debug)]
pub(super) struct Series {
    rings: [Ring; 3],
}

impl Default for Series {
    fn default() -> Self {
        // One more than a window has, so that it is whole at any instant.
        let ring = |step_s: u64, span_s: u64| Ring::new(step_s, (span_s / step_s) as usize + 1);
        let rings = [
            ring(MINUTE_S, BY_MINUTE_MAX_S),
            ring(TEN_MINUTES_S, WINDOW_MAX_S),
            ring(HOUR_S, BUDGET_S),
        ];
        Self { rings }
    }
}

impl Series {
    /// Requests that ended some time from `from` to `to`.
    pub(super) fn spread(&mut self, from: Timestamp, to: Timestamp, count: Count) {
        self.rings.iter_mut().for_each(|ring| ring.spread(from, to, count));
    }

    /// Requests of the last `window_s` before `now`, to one minute up to six hours, to ten minutes up
    /// to three days, and else to an hour.
    pub(super) fn window(&self, now: Timestamp, window_s: u64) -> Count {
        let place = match window_s {
            ..=BY_MINUTE_MAX_S => 0,
            ..=WINDOW_MAX_S => 1,
            _ => 2,
        };
        self.rings[place].window(now, window_s)
    }

    /// Takes up a bucket that was kept. One of a length that is not known is passed over.
    pub(super) fn recall(&mut self, bucket: &Bucket) {
        let ring = self.rings.iter_mut().find(|ring| ring.step_s() == bucket.step_s);
        ring.into_iter().for_each(|ring| ring.recall(bucket.start_s, bucket.count));
    }

    /// The buckets that changed since this was last asked.
    pub(super) fn take_changed(&mut self, key: &Key) -> Vec<Bucket> {
        let of = |ring: &mut Ring| {
            let step_s = ring.step_s();
            let bucket =
                move |(start_s, count)| Bucket { key: key.clone(), step_s, start_s, count };
            ring.take_changed().into_iter().map(bucket)
        };
        self.rings.iter_mut().flat_map(of).collect()
    }

    /// For each length of bucket, what begins before when is no longer needed.
    pub(super) fn forgotten(now: Timestamp) -> Vec<(u64, u64)> {
        let rings = Self::default().rings;
        rings.iter().map(|ring| (ring.step_s(), ring.forgotten_before(now))).collect()
    }
}
