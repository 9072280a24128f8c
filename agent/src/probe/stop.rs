//! How the threads of the probe end, and how they wait until then.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Set once, seen by all threads. The only lock is for waiting on it.
#[derive(Debug, Default)]
pub(super) struct Stop {
    set: Mutex<bool>,
    changed: Condvar,
}

impl Stop {
    /// Asks all threads to end.
    pub(super) fn set(&self) {
        *self.set.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }

    /// Waits that long; true when the threads are to end.
    pub(super) fn wait(&self, duration: Duration) -> bool {
        let set = self.set.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(set, duration, |set| !*set);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_seen_by_who_waits_and_by_who_comes_later() {
        let stop = Stop::default();
        assert!(!stop.wait(Duration::ZERO));
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| stop.wait(Duration::from_secs(60)));
            stop.set();
            assert!(waiting.join().unwrap());
        });
        assert!(stop.wait(Duration::ZERO));
    }
}
