//! The only reader of the clock. Everything else is given `now`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use gpuwarden_proto::time::Timestamp;

/// Where `now` comes from.
#[derive(Debug, Clone)]
pub enum Clock {
    /// The machine's wall clock.
    System,
    /// A clock that moves only when it is told to.
    Simulated(Simulated),
}

/// The handle that moves a simulated clock. Clones show the same time.
#[derive(Debug, Clone)]
pub struct Simulated(Arc<AtomicU64>);

impl Clock {
    /// A clock that stands at `start`, and the handle that moves it.
    #[must_use]
    pub fn simulated(start: Timestamp) -> (Self, Simulated) {
        let handle = Simulated(Arc::new(AtomicU64::new(start.unix_ns())));
        (Self::Simulated(handle.clone()), handle)
    }

    /// What time it is.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the only reader of the clock")]
    pub fn now(&self) -> Timestamp {
        match self {
            Self::System => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                Timestamp::default().after(since)
            }
            Self::Simulated(Simulated(ns)) => Timestamp::from_unix_ns(ns.load(Ordering::Acquire)),
        }
    }
}

impl Simulated {
    /// Moves the clock on.
    pub fn advance(&self, by: Duration) {
        self.0.fetch_add(by.as_nanos().try_into().unwrap_or(u64::MAX), Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_simulated_clock_moves_only_when_told() {
        let (clock, hand) = Clock::simulated(Timestamp::from_unix_s(100));
        assert_eq!(clock.now(), Timestamp::from_unix_s(100));
        hand.advance(Duration::from_secs(5));
        assert_eq!(clock.now(), Timestamp::from_unix_s(105));
    }
}
