//! Named time zones and the time of day, as people write both. The database of zones is built in.

use std::fmt;
use std::str::FromStr;

use gpuwarden_proto::time::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase};
use thiserror::Error;

const DAY_MIN: u16 = 24 * 60;

/// A time zone by its name in the IANA database, such as `Europe/Berlin`.
#[derive(Clone, PartialEq, Eq)]
pub struct Zone(TimeZone);

/// A name that no time zone has.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is no time zone (try \"Europe/Berlin\", \"America/New_York\" or \"UTC\")")]
pub struct UnknownZone(String);

impl Zone {
    /// The zone of this name.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub fn named(name: &str) -> Result<Self, UnknownZone> {
        let unknown = |_| UnknownZone(name.chars().filter(|c| !c.is_control()).take(60).collect());
        TimeZoneDatabase::bundled().get(name).map(Self).map_err(unknown)
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.iana_name().unwrap_or("UTC")
    }

    /// What clocks on the wall show at an instant.
    #[must_use]
    pub fn local(&self, at: Timestamp) -> DateTime {
        let ns = i128::from(at.unix_ns());
        let at = jiff::Timestamp::from_nanosecond(ns).unwrap_or(jiff::Timestamp::MAX);
        self.0.to_datetime(at)
    }

    /// The first instant at which clocks on the wall show `local` or later.
    ///
    /// So a time that is skipped in spring is when clocks jump over it, and a time that comes twice
    /// in autumn is its first coming. Later local times never give earlier instants.
    #[must_use]
    pub fn instant(&self, local: DateTime) -> Timestamp {
        let ambiguous = self.0.to_ambiguous_timestamp(local);
        let at = match ambiguous.offset() {
            AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(local),
            AmbiguousOffset::Fold { before, .. } => before.to_timestamp(local),
            AmbiguousOffset::Gap { after, .. } => after.to_timestamp(local).map(|just_before| {
                let jump = self.0.following(just_before).next();
                jump.map_or(just_before, |jump| jump.timestamp())
            }),
        };
        let ns = at.map_or(u64::MAX, |at| u64::try_from(at.as_nanosecond()).unwrap_or(0));
        Timestamp::from_unix_ns(ns)
    }

    /// The first instant of `date` at which it is `time` or later.
    #[must_use]
    pub fn at(&self, date: Date, time: TimeOfDay) -> Timestamp {
        self.instant(time.on(date))
    }

    /// An instant to the minute, as people there read it: `Mon 2026-11-23 09:00`.
    #[must_use]
    pub fn shown(&self, at: Timestamp) -> String {
        self.local(at).strftime("%a %Y-%m-%d %H:%M").to_string()
    }
}

impl Default for Zone {
    fn default() -> Self {
        Self(TimeZone::UTC)
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Minutes since midnight on the wall's clock, up to and with 24:00.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TimeOfDay(u16);

impl TimeOfDay {
    /// 24:00, the end of a day.
    pub const END: Self = Self(DAY_MIN);

    /// This time on a date; 24:00 is the next midnight.
    #[must_use]
    pub fn on(self, date: Date) -> DateTime {
        let (date, minute) = match self.0 {
            DAY_MIN => (date.tomorrow().unwrap_or(Date::MAX), 0),
            minute => (date, minute),
        };
        let narrow = |value: u16| i8::try_from(value).unwrap_or(0);
        date.at(narrow(minute / 60), narrow(minute % 60), 0, 0)
    }
}

impl FromStr for TimeOfDay {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fault = || format!("`{text}` is no time of day (try \"09:00\")");
        let (hour, minute) = text.split_once(':').ok_or_else(fault)?;
        let digits = |text: &str| match text.len() {
            2 if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse::<u16>().ok(),
            _ => None,
        };
        let (hour, minute) = digits(hour).zip(digits(minute)).ok_or_else(fault)?;
        match hour * 60 + minute {
            total if minute < 60 && total <= DAY_MIN => Ok(Self(total)),
            _ => Err(fault()),
        }
    }
}

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.0 / 60, self.0 % 60)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn instant(zone: &str, local: &str) -> String {
        Zone::named(zone).unwrap().instant(local.parse().unwrap()).to_string()
    }

    #[test]
    fn a_time_that_is_skipped_is_when_clocks_jump_over_it() {
        assert_eq!(instant("Europe/Berlin", "2026-03-29T02:30:00"), "2026-03-29T01:00:00.000Z");
        assert_eq!(instant("Europe/Berlin", "2026-03-29T03:00:00"), "2026-03-29T01:00:00.000Z");
        assert_eq!(
            instant("Australia/Lord_Howe", "2026-10-04T02:15:00"),
            "2026-10-03T15:30:00.000Z"
        );
    }

    #[test]
    fn a_time_that_comes_twice_is_its_first_coming() {
        assert_eq!(instant("Europe/Berlin", "2026-10-25T02:30:00"), "2026-10-25T00:30:00.000Z");
    }

    #[test]
    fn a_day_that_never_was_begins_with_the_next() {
        assert_eq!(instant("Pacific/Apia", "2011-12-30T12:00:00"), "2011-12-30T10:00:00.000Z");
    }

    #[test]
    fn an_unknown_zone_is_told_what_would_do() {
        let error = Zone::named("Mars/Olympus").unwrap_err().to_string();
        assert!(error.starts_with("`Mars/Olympus` is no time zone (try"), "{error}");
    }

    #[test]
    fn times_of_day_are_read_as_they_are_written() {
        for text in ["00:00", "09:05", "23:59", "24:00"] {
            assert_eq!(text.parse::<TimeOfDay>().unwrap().to_string(), text);
        }
        for wrong in ["", "9:00", "24:01", "12:60", "aa:bb", "12", "-1:00", "+1:00", "99:99"] {
            assert!(wrong.parse::<TimeOfDay>().is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn later_local_times_never_give_earlier_instants(
            zone in prop::sample::select(vec!["Europe/Berlin", "America/New_York", "Pacific/Apia",
                "Australia/Lord_Howe", "Antarctica/Troll", "UTC"]),
            start in 1_262_304_000_i64..1_900_000_000, minutes in 0_i64..10_000,
        ) {
            let zone = Zone::named(zone).unwrap();
            let early = zone.local(Timestamp::from_unix_s(start.unsigned_abs()));
            let late = early.checked_add(jiff::SignedDuration::from_mins(minutes)).unwrap();
            prop_assert!(zone.instant(early) <= zone.instant(late));
            prop_assert!(zone.instant(early) <= Timestamp::from_unix_s(start.unsigned_abs()));
        }
    }
}
