//! Wall-clock instants as they travel. Reading the clock is not done here.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

/// Nanoseconds since the Unix epoch, UTC. Displays as RFC 3339 with milliseconds; serializes with as
/// many more digits as it takes to lose nothing.
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

/// What is not an instant that we can hold.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is not an instant from 1970 to 2554 in RFC 3339, like 2026-11-23T08:50:22.851Z")]
pub struct NotAnInstant(String);

impl FromStr for Timestamp {
    type Err = NotAnInstant;

    fn from_str(text: &str) -> Result<Self, NotAnInstant> {
        let read: Option<jiff::Timestamp> = text.parse().ok();
        let ns = read.and_then(|instant| u64::try_from(instant.as_nanosecond()).ok());
        let shown = || NotAnInstant(text.chars().filter(|c| !c.is_control()).take(60).collect());
        ns.map(Self).ok_or_else(shown)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let needed = |digits: &usize| self.0.is_multiple_of(10_u64.pow(9 - *digits as u32));
        let digits = (3..9).find(needed).unwrap_or(9);
        match jiff::Timestamp::from_nanosecond(i128::from(self.0)) {
            Ok(instant) => serializer.collect_str(&format_args!("{instant:.digits$}")),
            Err(_) => serializer.collect_str(self),
        }
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Instant;

        impl Visitor<'_> for Instant {
            type Value = Timestamp;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an instant in RFC 3339")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Timestamp, E> {
                text.parse().map_err(E::custom)
            }
        }

        deserializer.deserialize_str(Instant)
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
    fn json_keeps_every_nanosecond_and_three_digits_at_least() {
        let json = |ns| serde_json::to_string(&Timestamp::from_unix_ns(ns)).unwrap();
        assert_eq!(json(0), r#""1970-01-01T00:00:00.000Z""#);
        assert_eq!(json(1_500_000), r#""1970-01-01T00:00:00.0015Z""#);
        for ns in [0, 1, 999_999_999, 1_795_423_822_851_000_000, u64::MAX] {
            let read: Timestamp = serde_json::from_str(&json(ns)).unwrap();
            assert_eq!(read.unix_ns(), ns);
        }
    }

    #[test]
    fn an_instant_is_read_in_any_form_of_rfc_3339() {
        let read = |text: &str| text.parse::<Timestamp>().map(Timestamp::unix_ns);
        assert_eq!(read("1970-01-01T01:00:01+01:00"), Ok(1_000_000_000));
        assert_eq!(read("1970-01-01t00:00:00.000000001z"), Ok(1));
        for wrong in ["", "yesterday", "1970-01-01", "1970-01-01T00:00:00", "1969-12-31T23:59:59Z"]
        {
            assert!(read(wrong).is_err(), "{wrong}");
        }
        let told = read("noon").unwrap_err().to_string();
        assert!(told.starts_with("`noon` is not an instant"), "{told}");
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
