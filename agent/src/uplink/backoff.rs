//! How long to wait before connecting again. Pure: full jitter from a seed, so that a fleet that
//! lost its aggregator at one instant does not come back at one instant.

use std::time::Duration;

/// The longest wait after failures.
const CAP: Duration = Duration::from_secs(60);
/// Until the first connection ever, tries come about a quarter of a step apart: an aggregator that
/// starts beside its agents is found quickly.
const EARLY_TRIES: u32 = 20;
/// The longest spread that an aggregator may ask for.
const SPREAD_MAX: Duration = Duration::from_secs(600);

/// Remembers how often it failed.
#[derive(Debug, Clone)]
pub struct Backoff {
    rng: fastrand::Rng,
    step: Duration,
    failures: u32,
    ever_connected: bool,
}

impl Backoff {
    /// The usual bound of the first wait after a failure; it doubles with each.
    pub const STEP: Duration = Duration::from_secs(1);

    /// One that has not failed yet.
    pub fn new(seed: u64, step: Duration) -> Self {
        Self { rng: fastrand::Rng::with_seed(seed), step, failures: 0, ever_connected: false }
    }

    /// A stream came up; whether one had before.
    pub fn came_up(&mut self) -> bool {
        std::mem::replace(&mut self.ever_connected, true)
    }

    /// The stream has been up for a minute: past failures no longer count.
    pub fn healthy(&mut self) {
        self.failures = 0;
    }

    /// A stream that was up is lost; `spread` is what the aggregator asked for. A stream that never
    /// got healthy counts as a failure too, or one that closes at once would be called at once.
    pub fn lost(&mut self, spread: Duration, was_healthy: bool) -> Duration {
        let spread = spread.min(SPREAD_MAX);
        let bound = if was_healthy { spread } else { spread.max(self.step()) };
        self.up_to(bound)
    }

    /// No stream came up.
    pub fn failed(&mut self) -> Duration {
        if !self.ever_connected && self.failures < EARLY_TRIES {
            self.failures += 1;
            return self.step / 8 + self.up_to(self.step / 4);
        }
        let step = self.step();
        self.up_to(step)
    }

    /// The bound of the next wait.
    fn step(&mut self) -> Duration {
        let early = if self.ever_connected { 0 } else { EARLY_TRIES };
        let doublings = self.failures.saturating_sub(early).min(16);
        self.failures = self.failures.saturating_add(1);
        (self.step * 2_u32.pow(doublings)).min(CAP)
    }

    fn up_to(&mut self, bound: Duration) -> Duration {
        bound.mul_f64(self.rng.f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: Duration = Backoff::STEP;
    const SPREAD: Duration = Duration::from_secs(5);

    fn backoff(seed: u64) -> Backoff {
        Backoff::new(seed, STEP)
    }

    #[test]
    fn the_first_tries_come_quickly() {
        let mut backoff = backoff(1);
        for _ in 0..EARLY_TRIES {
            let wait = backoff.failed();
            assert!(wait >= STEP / 8 && wait < STEP / 2, "{wait:?}");
        }
        assert!(backoff.failed() <= STEP);
    }

    #[test]
    fn waits_double_up_to_the_cap() {
        for seed in 0..50 {
            let mut backoff = backoff(seed);
            assert!(!backoff.came_up());
            assert!(backoff.lost(SPREAD, true) <= SPREAD);
            for doublings in 0..40 {
                let bound = (STEP * 2_u32.pow(doublings.min(6))).min(CAP);
                assert!(backoff.failed() <= bound);
            }
        }
    }

    #[test]
    fn waits_fill_the_whole_spread() {
        let waits: Vec<_> = (0..1_000).map(|seed| backoff(seed).lost(SPREAD, true)).collect();
        for slot in 0..10 {
            let slot = (SPREAD / 10 * slot)..(SPREAD / 10 * (slot + 1));
            let hits = waits.iter().filter(|wait| slot.contains(wait)).count();
            assert!((50..200).contains(&hits), "{hits} of 1000 in {slot:?}");
        }
    }

    #[test]
    fn a_stream_that_closes_at_once_is_not_called_at_once() {
        let mut backoff = backoff(3);
        backoff.came_up();
        let waits: Vec<_> = (0..12).map(|_| backoff.lost(Duration::ZERO, false)).collect();
        assert!(waits.iter().sum::<Duration>() > CAP, "{waits:?}");
    }

    #[test]
    fn a_healthy_minute_forgives() {
        let mut backoff = backoff(7);
        backoff.came_up();
        for _ in 0..30 {
            backoff.lost(SPREAD, false);
        }
        backoff.healthy();
        assert!(backoff.failed() <= STEP);
    }

    #[test]
    fn the_same_seed_waits_the_same() {
        let waits = |seed| {
            let mut backoff = backoff(seed);
            (0..30).map(|_| backoff.failed()).collect::<Vec<_>>()
        };
        assert_eq!(waits(9), waits(9));
        assert_ne!(waits(9), waits(10));
    }

    #[test]
    fn an_aggregator_cannot_send_nodes_away_for_ever() {
        let wait = backoff(1).lost(Duration::from_secs(1 << 40), true);
        assert!(wait <= SPREAD_MAX);
    }
}
