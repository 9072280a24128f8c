//! When a destination may be sent the next request. Pure.

use std::time::Duration;

use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::Severity;

use super::policy::Rate;

/// The gate of one destination: a bucket of tokens, a wait that it asked for, and the time in which
/// messages wait for each other.
#[derive(Debug, Clone, Default)]
pub(super) struct Gate {
    /// When the bucket is full again.
    full_at: Timestamp,
    /// It asked for silence until then.
    blocked_until: Timestamp,
    /// Messages wait for each other until then.
    bundle_until: Timestamp,
    /// The most urgent that was told since messages wait.
    worst: Option<Severity>,
}

impl Gate {
    /// When the next request may go.
    pub(super) fn opens_at(&self, rate: Rate) -> Timestamp {
        let spare = rate.every.saturating_mul(rate.burst.max(1) - 1);
        self.full_at.before(spare).max(self.blocked_until)
    }

    /// A request goes.
    pub(super) fn pass(&mut self, rate: Rate, now: Timestamp) {
        self.full_at = self.full_at.max(now).after(rate.every);
    }

    /// The destination asks for silence.
    pub(super) fn block(&mut self, until: Timestamp) {
        self.blocked_until = self.blocked_until.max(until);
    }

    /// Until when a message of this severity waits for others.
    pub(super) fn waits_until(&self, severity: Severity, now: Timestamp) -> Timestamp {
        let more_urgent = self.worst.is_none_or(|worst| severity < worst);
        if self.bundle_until <= now || more_urgent { now } else { self.bundle_until }
    }

    /// Whether messages wait for each other now.
    pub(super) fn is_bundling(&self, now: Timestamp) -> bool {
        self.bundle_until > now
    }

    /// A message was told: others now wait for each other.
    pub(super) fn bundle(&mut self, severity: Severity, within: Duration, now: Timestamp) {
        if self.is_bundling(now) {
            self.worst = self.worst.min(Some(severity));
        } else {
            (self.bundle_until, self.worst) = (now.after(within), Some(severity));
        }
    }
}
