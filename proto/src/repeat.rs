//! How planned work comes again: on some days of the week, at a time of day, in a time zone.

use std::fmt;
use std::str::FromStr;

use jiff::civil::{Date, Time};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The longest name of a time zone, in bytes.
const ZONE_MAX_BYTES: usize = 64;
const WEEK: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
/// Names of several days.
const GROUPS: [(&str, u8); 3] =
    [("day", 0b111_1111), ("weekday", 0b001_1111), ("weekend", 0b110_0000)];

/// Planned work that comes again. It lasts as long each time, by a clock that is never changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repeat {
    /// On which days.
    pub every: Days,
    /// When it begins, on the wall's clock. A time that is skipped is when clocks jump over it, one
    /// that comes twice is its first coming.
    pub at: At,
    /// Where the wall is.
    pub zone: ZoneName,
    /// The last day on which it may begin.
    pub last: Day,
}

impl fmt::Display for Repeat {
    /// As people say it, e.g. `every mon,thu at 02:00 in Europe/Berlin, last on 2026-12-31`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { every, at, zone, last } = self;
        write!(f, "every {every} at {at} in {zone}, last on {last}")
    }
}

/// What says nothing of when something comes again, and what would.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct NoRepeat(String);

/// Days of the week, one at least: `day`, `weekday`, `weekend`, or some like `mon,thu`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Days(u8);

impl Days {
    /// Whether this is one of them.
    #[must_use]
    pub fn has(self, date: Date) -> bool {
        self.0 & (1 << date.weekday().to_monday_zero_offset()) != 0
    }

    /// The least number of days from one to the next.
    #[must_use]
    pub fn apart(self) -> u32 {
        // The week after says how far it is from the last one to the first.
        let twice = u16::from(self.0) | (u16::from(self.0) << 7);
        (1..=7).find(|days| (twice >> days) & u16::from(self.0) != 0).unwrap_or(7)
    }
}

impl FromStr for Days {
    type Err = NoRepeat;

    fn from_str(text: &str) -> Result<Self, NoRepeat> {
        let one = |word: &str| {
            let word = word.trim().to_ascii_lowercase();
            let group = GROUPS.iter().find(|(name, _)| *name == word).map(|(_, days)| *days);
            let day = || WEEK.iter().position(|day| *day == word).map(|nth| 1_u8 << nth);
            group.or_else(day).ok_or_else(|| {
                let (known, days) = (GROUPS.map(|(name, _)| name).join(", "), WEEK.join(", "));
                NoRepeat(format!("`{word}` is no day (one of: {known}, or some of: {days})"))
            })
        };
        let days: Result<Vec<u8>, NoRepeat> = text.split(',').map(one).collect();
        Ok(Self(days?.into_iter().fold(0, |all, day| all | day)))
    }
}

impl fmt::Display for Days {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((name, _)) = GROUPS.iter().find(|(_, days)| *days == self.0) {
            return f.write_str(name);
        }
        let days = WEEK.iter().enumerate().filter(|(nth, _)| self.0 & (1 << nth) != 0);
        f.write_str(&days.map(|(_, day)| *day).collect::<Vec<_>>().join(","))
    }
}

/// A time of day to the minute, written `02:00`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct At(Time);

impl At {
    /// It as a time on the wall's clock.
    #[must_use]
    pub fn time(self) -> Time {
        self.0
    }
}

impl FromStr for At {
    type Err = NoRepeat;

    fn from_str(text: &str) -> Result<Self, NoRepeat> {
        let number = |text: &str| match text.len() {
            2 if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse::<i8>().ok(),
            _ => None,
        };
        let (hour, minute) = text.split_once(':').unwrap_or_default();
        let time = number(hour).zip(number(minute));
        let time = time.and_then(|(hour, minute)| Time::new(hour, minute, 0, 0).ok());
        time.map(Self)
            .ok_or_else(|| NoRepeat(format!("`{text}` is no time from 00:00 to 23:59, like 02:00")))
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.0.hour(), self.0.minute())
    }
}

/// The name of a time zone, such as `Europe/Berlin`. Whether there is one is known to who has the
/// database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ZoneName(String);

impl ZoneName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ZoneName {
    type Err = NoRepeat;

    fn from_str(text: &str) -> Result<Self, NoRepeat> {
        let sign = |byte: u8| byte.is_ascii_alphanumeric() || b"/_+-".contains(&byte);
        match text.len() {
            1..=ZONE_MAX_BYTES if text.bytes().all(sign) => Ok(Self(text.to_owned())),
            _ => Err(NoRepeat("not the name of a time zone, like Europe/Berlin or UTC".to_owned())),
        }
    }
}

impl fmt::Display for ZoneName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A day, written `2026-12-31`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Day(Date);

impl Day {
    /// It as a date.
    #[must_use]
    pub fn date(self) -> Date {
        self.0
    }
}

impl FromStr for Day {
    type Err = NoRepeat;

    fn from_str(text: &str) -> Result<Self, NoRepeat> {
        let refused = || NoRepeat(format!("`{text}` is no day, like 2026-12-31"));
        let date: Option<Date> = (text.len() == 10).then(|| text.parse().ok()).flatten();
        date.map(Self).ok_or_else(refused)
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

macro_rules! as_text {
    ($($name:ident)*) => {$(
        impl TryFrom<String> for $name {
            type Error = NoRepeat;

            fn try_from(text: String) -> Result<Self, NoRepeat> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.to_string()
            }
        }
    )*};
}

as_text! { Days At ZoneName Day }

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_again_is_read_as_it_is_written() {
        for text in ["day", "weekday", "weekend", "mon", "mon,thu", "tue,wed,sun"] {
            assert_eq!(text.parse::<Days>().unwrap().to_string(), text);
        }
        assert_eq!("Sun, sat".parse::<Days>().unwrap().to_string(), "weekend");
        assert_eq!("02:05".parse::<At>().unwrap().to_string(), "02:05");
        assert_eq!("2026-12-31".parse::<Day>().unwrap().to_string(), "2026-12-31");
        assert_eq!("Etc/GMT+3".parse::<ZoneName>().unwrap().as_str(), "Etc/GMT+3");
    }

    #[test]
    fn what_is_wrong_is_told_with_what_would_do() {
        let told = [
            "mon,someday".parse::<Days>().unwrap_err(),
            "".parse::<Days>().unwrap_err(),
            "2:00".parse::<At>().unwrap_err(),
            "24:00".parse::<At>().unwrap_err(),
            "31.12.2026".parse::<Day>().unwrap_err(),
            "2026-02-30".parse::<Day>().unwrap_err(),
            "our zone".parse::<ZoneName>().unwrap_err(),
        ];
        insta::assert_snapshot!(told.map(|fault| fault.to_string()).join("\n"), @r"
        `someday` is no day (one of: day, weekday, weekend, or some of: mon, tue, wed, thu, fri, sat, sun)
        `` is no day (one of: day, weekday, weekend, or some of: mon, tue, wed, thu, fri, sat, sun)
        `2:00` is no time from 00:00 to 23:59, like 02:00
        `24:00` is no time from 00:00 to 23:59, like 02:00
        `31.12.2026` is no day, like 2026-12-31
        `2026-02-30` is no day, like 2026-12-31
        not the name of a time zone, like Europe/Berlin or UTC
        ");
    }

    #[test]
    fn days_know_how_near_they_are_to_each_other() {
        let apart = |text: &str| text.parse::<Days>().unwrap().apart();
        assert_eq!(["day", "mon", "mon,thu", "sun,mon", "tue,fri"].map(apart), [1, 7, 3, 1, 3]);
    }
}
