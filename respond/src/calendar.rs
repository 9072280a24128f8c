//! Working hours: on which days and between which times people are at work, in one time zone.

use std::collections::BTreeSet;
use std::time::Duration;

use gpuwarden_proto::time::Timestamp;
use jiff::civil::Date;
use thiserror::Error;

use crate::zone::{TimeOfDay, Zone};

/// Holidays that a calendar may have.
pub const HOLIDAYS_MAX: usize = 2_000;

/// From when until when on one day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hours {
    /// When work begins.
    pub opens: TimeOfDay,
    /// When it ends, on the same day.
    pub closes: TimeOfDay,
}

/// A stretch of time; its end is not part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// When it begins.
    pub from: Timestamp,
    /// When it is over.
    pub to: Timestamp,
}

impl Span {
    /// Whether the instant is in it.
    #[must_use]
    pub fn holds(&self, at: Timestamp) -> bool {
        self.from <= at && at < self.to
    }
}

/// When people are at work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Calendar {
    zone: Zone,
    week: [Option<Hours>; 7],
    holidays: BTreeSet<Date>,
}

/// Why something is no calendar.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NoCalendar {
    /// There would be no next business day.
    #[error("no day of the week has working hours; give one at least, as monday = \"09:00-17:00\"")]
    NeverOpen,
    /// Too much of it.
    #[error("{0} holidays are given, at most {HOLIDAYS_MAX} are kept")]
    TooManyHolidays(usize),
}

impl Calendar {
    /// Working hours for each weekday from Monday on, but for holidays.
    ///
    /// # Errors
    ///
    /// When there would be no working hours at all, or too many holidays.
    pub fn new(
        zone: Zone,
        week: [Option<Hours>; 7],
        holidays: BTreeSet<Date>,
    ) -> Result<Self, NoCalendar> {
        match (week.iter().flatten().count(), holidays.len()) {
            (0, _) => Err(NoCalendar::NeverOpen),
            (_, days) if days > HOLIDAYS_MAX => Err(NoCalendar::TooManyHolidays(days)),
            _ => Ok(Self { zone, week, holidays }),
        }
    }

    /// The zone that its hours are meant in.
    #[must_use]
    pub fn zone(&self) -> &Zone {
        &self.zone
    }

    /// Whether people are at work.
    #[must_use]
    pub fn is_open(&self, at: Timestamp) -> bool {
        self.spans(at).next().is_some_and(|span| span.holds(at))
    }

    /// The first instant from `at` on at which people are at work.
    #[must_use]
    pub fn opens(&self, at: Timestamp) -> Timestamp {
        self.spans(at).next().map_or(at, |span| span.from.max(at))
    }

    /// The first working day after the day of `at`, whether or not that is one itself: from when
    /// until when it lasts.
    #[must_use]
    pub fn next_business_day(&self, at: Timestamp) -> Span {
        let today = self.zone.local(at).date();
        let day = days_from(today).skip(1).find_map(|date| self.day(date));
        day.unwrap_or(Span { from: at, to: at })
    }

    /// The instant at which people have been at work for `working` since `at`. With no time to
    /// wait it is the first instant at which they are at work.
    #[must_use]
    pub fn add(&self, at: Timestamp, working: Duration) -> Timestamp {
        let mut left = working;
        for span in self.spans(at) {
            let from = span.from.max(at);
            let length = span.to.since(from);
            // At the very end of a day's work the next day's beginning is as good, and awake.
            if left < length {
                return from.after(left);
            }
            left -= length;
            if left.is_zero() && !working.is_zero() {
                return span.to;
            }
        }
        Timestamp::from_unix_ns(u64::MAX)
    }

    /// For how long people are at work between two instants.
    #[must_use]
    pub fn between(&self, from: Timestamp, to: Timestamp) -> Duration {
        let spans = self.spans(from).take_while(|span| span.from < to);
        spans.map(|span| span.to.min(to).since(span.from.max(from))).sum()
    }

    /// The stretches of work that are not over at `at`, in order.
    fn spans(&self, at: Timestamp) -> impl Iterator<Item = Span> {
        let today = self.zone.local(at).date();
        let days = days_from(today.yesterday().unwrap_or(today));
        days.filter_map(|date| self.day(date)).filter(move |span| span.to > at)
    }

    /// The hours of work of one day. None where the change of clocks leaves nothing of them.
    fn day(&self, date: Date) -> Option<Span> {
        let weekday = usize::try_from(date.weekday().to_monday_zero_offset()).ok()?;
        let hours = self.week[weekday].filter(|_| !self.holidays.contains(&date))?;
        let span =
            Span { from: self.zone.at(date, hours.opens), to: self.zone.at(date, hours.closes) };
        (span.from < span.to).then_some(span)
    }
}

impl Default for Calendar {
    /// Monday to Friday from 09:00 to 17:00 UTC.
    fn default() -> Self {
        let time = |hours: &str| hours.parse().unwrap_or_default();
        let hours = Some(Hours { opens: time("09:00"), closes: time("17:00") });
        let week = [hours, hours, hours, hours, hours, None, None];
        Self { zone: Zone::default(), week, holidays: BTreeSet::new() }
    }
}

fn days_from(date: Date) -> impl Iterator<Item = Date> {
    std::iter::successors(Some(date), |date| date.tomorrow().ok())
}

#[cfg(test)]
mod tests;
