//! Wall-clock instants as they travel. Reading the clock is not done here.

use std::fmt;
use std::time::Duration;

use serde::{Serialize, Serializer};

/// Nanoseconds since the Unix epoch, UTC. Displays and serializes as RFC 3339 with milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(u64);

impl Timestamp {
    /// From nanoseconds since the Unix epoch.
    pub const fn from_unix_ns(ns: u64) -> Self {
        Self(ns)
    }

    /// From whole seconds since the Unix epoch.
    pub const fn from_unix_s(s: u64) -> Self {
        Self(s * 1_000_000_000)
    }

    /// Nanoseconds since the Unix epoch.
    pub const fn unix_ns(self) -> u64 {
        self.0
    }

    /// Time from `earlier` to here; zero when `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// This instant, later by `duration`; stops at the end of time.
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration.as_nanos().try_into().unwrap_or(u64::MAX)))
    }

    /// This instant, earlier by `duration`; stops at the epoch.
    pub fn before(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(duration.as_nanos().try_into().unwrap_or(u64::MAX)))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_nanosecond(i128::from(self.0)) {
            Ok(instant) => write!(f, "{instant:.3}"),
            Err(_) => write!(f, "{} ns after 1970", self.0),
        }
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A duration as people say it: the two largest units at most, e.g. `41 s`, `12 min`, `3 h 5 min`.
pub fn spoken(duration: Duration) -> String {
    let s = duration.as_secs();
    match s {
        0 => format!("{} ms", duration.as_millis()),
        1..60 => format!("{s} s"),
        60..3_600 => format!("{} min", s / 60),
        3_600..86_400 => format!("{} h {} min", s / 3_600, s % 3_600 / 60),
        _ => format!("{} d {} h", s / 86_400, s % 86_400 / 3_600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_reads_as_rfc_3339_with_milliseconds() {
        let at = Timestamp::from_unix_ns(1_795_423_822_851_000_000);
        assert_eq!(at.to_string(), "2026-11-23T08:50:22.851Z");
    }

    #[test]
    fn an_instant_beyond_the_calendar_still_reads() {
        assert_eq!(Timestamp::from_unix_ns(u64::MAX).to_string(), "2554-07-21T23:34:33.709Z");
    }

    #[test]
    fn time_never_runs_backwards() {
        let (early, late) = (Timestamp::from_unix_s(1), Timestamp::from_unix_s(3));
        assert_eq!(late.since(early), Duration::from_secs(2));
        assert_eq!(early.since(late), Duration::ZERO);
    }

    #[test]
    fn durations_are_spoken_in_the_two_largest_units() {
        let spoken_s = |s| spoken(Duration::from_secs(s));
        assert_eq!(
            [spoken_s(41), spoken_s(750), spoken_s(11_100), spoken_s(190_000)],
            ["41 s", "12 min", "3 h 5 min", "2 d 4 h"]
        );
    }
}
