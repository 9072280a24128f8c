//! How fast incidents are found, taken and ended, and what that costs people's nights.
//!
//! A mean hides the bad night and a median the many good ones, so both are told, with how many they
//! are of. What did not happen counts in no duration.

use std::collections::BTreeMap;
use std::time::Duration;

use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::{PersonName, RuleId, ServiceName, Severity};
use jiff::civil::Date;
use serde::Serialize;

use crate::calendar::{Calendar, Span};
use crate::review::Course;

/// An incident as far as reports count it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// The service it was about, where it was about one.
    pub service: Option<ServiceName>,
    /// The most urgent it was.
    pub worst: Severity,
    /// When what happened.
    pub course: Course,
    /// The rule whose finding opened it.
    pub rule: RuleId,
    /// What it was found to come from, in the same words each time; empty where nobody said.
    pub cause: String,
    /// Whether anybody had to do anything.
    pub needed_action: bool,
}

/// A page as far as reports count it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// When.
    pub at: Timestamp,
    /// Whom.
    pub person: PersonName,
}

/// Durations of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Durations {
    /// How many.
    pub count: usize,
    /// Their mean.
    pub mean: Duration,
    /// Half of them are at most this.
    pub median: Duration,
}

impl Durations {
    /// Of these.
    #[must_use]
    pub fn of(mut all: Vec<Duration>) -> Self {
        all.sort_unstable();
        let count = all.len();
        let Some(&median) = all.get(count.saturating_sub(1) / 2) else { return Self::default() };
        let mean_ns = all.iter().map(Duration::as_nanos).sum::<u128>() / count as u128;
        let mean = Duration::from_nanos(u64::try_from(mean_ns).unwrap_or(u64::MAX));
        Self { count, mean, median }
    }
}

/// One week of one service.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Week {
    /// Incidents that were detected in it.
    pub incidents: usize,
    /// Of these, somebody had to do something.
    pub needed_action: usize,
    /// To detect (MTTD).
    pub to_detect: Durations,
    /// To acknowledge (MTTA).
    pub to_acknowledge: Durations,
    /// To mitigate (MTTM).
    pub to_mitigate: Durations,
    /// To resolve (MTTR).
    pub to_resolve: Durations,
}

/// Weeks by their Monday in the calendar's zone and by service; `None` is what is of no service.
#[must_use]
pub fn weeks(cases: &[Case], calendar: &Calendar) -> BTreeMap<(Date, Option<ServiceName>), Week> {
    let mut groups: BTreeMap<_, Vec<&Case>> = BTreeMap::new();
    for case in cases {
        let monday = monday(calendar.zone().local(case.course.detected_at).date());
        groups.entry((monday, case.service.clone())).or_default().push(case);
    }
    groups.into_iter().map(|(key, cases)| (key, week(&cases))).collect()
}

fn week(cases: &[&Case]) -> Week {
    let of = |duration: fn(Course) -> Option<Duration>| {
        Durations::of(cases.iter().filter_map(|case| duration(case.course)).collect())
    };
    Week {
        incidents: cases.len(),
        needed_action: cases.iter().filter(|case| case.needed_action).count(),
        to_detect: of(|course| Some(course.to_detect())),
        to_acknowledge: of(Course::to_acknowledge),
        to_mitigate: of(Course::to_mitigate),
        to_resolve: of(Course::to_resolve),
    }
}

fn monday(date: Date) -> Date {
    let back = i64::from(date.weekday().to_monday_zero_offset());
    date.checked_sub(jiff::SignedDuration::from_hours(24 * back)).unwrap_or(date)
}

/// Pages of each person in each night: outside of working hours, by the day on which the last work
/// before it ended. Nights without a page are not listed.
#[must_use]
pub fn nights(pages: &[Sent], calendar: &Calendar) -> BTreeMap<(PersonName, Date), usize> {
    let mut nights = BTreeMap::new();
    for Sent { at, person } in pages.iter().filter(|page| !calendar.is_open(page.at)) {
        // A night is one until noon of the next day.
        let date = calendar.zone().local(at.before(Duration::from_secs(12 * 3600))).date();
        *nights.entry((person.clone(), date)).or_default() += 1;
    }
    nights
}

/// Causes that came back within a stretch of time, how often, the most frequent first.
#[must_use]
pub fn repeated(cases: &[Case], span: Span) -> Vec<(String, usize)> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for case in within(cases, span).filter(|case| !case.cause.is_empty()) {
        *counts.entry(&case.cause).or_default() += 1;
    }
    let mut list: Vec<(String, usize)> = counts
        .into_iter()
        .filter(|(_, count)| *count > 1)
        .map(|(cause, count)| (cause.to_owned(), count))
        .collect();
    list.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    list
}

/// A rule, and what came of the incidents that it opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Noise {
    /// Which.
    pub rule: RuleId,
    /// Incidents that it opened.
    pub incidents: usize,
    /// Of these, nobody had to do anything.
    pub for_nothing: usize,
}

/// Rules that opened incidents for nothing, those that did so most often first.
#[must_use]
pub fn noisy(cases: &[Case], span: Span) -> Vec<Noise> {
    let mut rules: BTreeMap<RuleId, Noise> = BTreeMap::new();
    for case in within(cases, span) {
        let fresh = Noise { rule: case.rule, incidents: 0, for_nothing: 0 };
        let noise = rules.entry(case.rule).or_insert(fresh);
        noise.incidents += 1;
        noise.for_nothing += usize::from(!case.needed_action);
    }
    let mut list: Vec<Noise> = rules.into_values().filter(|each| each.for_nothing > 0).collect();
    list.sort_by(|a, b| b.for_nothing.cmp(&a.for_nothing).then_with(|| a.rule.cmp(&b.rule)));
    list
}

fn within(cases: &[Case], span: Span) -> impl Iterator<Item = &Case> {
    cases.iter().filter(move |case| span.holds(case.course.detected_at))
}

#[cfg(test)]
mod tests;
