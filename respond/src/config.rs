//! What an operator may say about people and times: `[calendar]`, `[response]`, `[oncall]` and
//! `[escalation]`. All mistakes are told at once; everything has a default but the people.

mod escalation;
mod oncall;

use std::collections::BTreeSet;
use std::time::Duration;

use gpuwarden_proto::settings::{Document, Problem, Section, parse_duration};
use jiff::civil::Date;

use crate::calendar::{Calendar, Hours};
use crate::escalate::Policy;
use crate::lifecycle::Terms;
use crate::oncall::Roster;
use crate::target::{Target, Targets};
use crate::zone::Zone;

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);
const WEEKDAYS: [&str; 7] =
    ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
const NEXT_BUSINESS_DAY: &str = "next-business-day";

/// All of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settings {
    /// When people are at work.
    pub calendar: Calendar,
    /// How long they have to answer.
    pub targets: Targets,
    /// How long they have for the review, and to open again what was over.
    pub terms: Terms,
    /// Who is paged after how long.
    pub policy: Policy,
    /// Who there is, and who is on call.
    pub roster: Roster,
}

impl Settings {
    /// Reads `text`, which came from `file`.
    ///
    /// # Errors
    ///
    /// All mistakes, in the order of the file.
    pub fn parse(file: &str, text: &str) -> Result<Self, Vec<Problem>> {
        let mut document = Document::parse(file, text);
        let settings = Self::read(&mut document.root());
        document.finish().map(|()| settings)
    }

    /// Reads its sections of a file that has others, too.
    pub fn read(root: &mut Section<'_>) -> Self {
        let calendar = calendar(&mut root.section("calendar"));
        let (targets, terms) = response(&mut root.section("response"));
        let mut roster = oncall::read(&mut root.section("oncall"), calendar.zone());
        let policy = escalation::read(&mut root.section("escalation"), &mut roster);
        Self { calendar, targets, terms, policy, roster }
    }
}

fn calendar(section: &mut Section<'_>) -> Calendar {
    let zone = section.parsed("zone", zone).unwrap_or_default();
    let week = WEEKDAYS.map(|day| {
        let usual = if day.starts_with('s') { "closed" } else { "09:00-17:00" };
        section.parsed(day, hours).unwrap_or_else(|| hours(usual).ok().flatten())
    });
    let date = |text: &str| {
        text.parse::<Date>().map_err(|_| "should be a date like 2026-12-25".to_owned())
    };
    let holidays: BTreeSet<Date> = section.list("holidays", date).into_iter().collect();
    Calendar::new(zone, week, holidays).unwrap_or_else(|error| {
        section.problem(WEEKDAYS[0], &error.to_string());
        Calendar::default()
    })
}

fn zone(text: &str) -> Result<Zone, String> {
    Zone::named(text).map_err(|error| error.to_string())
}

fn hours(text: &str) -> Result<Option<Hours>, String> {
    if text == "closed" {
        return Ok(None);
    }
    let fault = || "should be hours like \"09:00-17:00\", or \"closed\"".to_owned();
    let (opens, closes) = text.split_once('-').ok_or_else(fault)?;
    let hours = Hours { opens: opens.parse()?, closes: closes.parse()? };
    if hours.opens < hours.closes { Ok(Some(hours)) } else { Err(fault()) }
}

fn response(section: &mut Section<'_>) -> (Targets, Terms) {
    let (mut targets, mut terms) = (Targets::default(), Terms::default());
    for (key, target) in [
        ("p1", &mut targets.p1),
        ("p2", &mut targets.p2),
        ("p3", &mut targets.p3),
        ("p4", &mut targets.p4),
    ] {
        *target = section.parsed(key, self::target).unwrap_or(*target);
    }
    let reopen = section.duration("reopen_within", terms.reopen_within, Duration::ZERO..=DAY);
    terms.reopen_within = reopen;
    terms.review_within =
        section.duration("review_within", terms.review_within, DAY / 24..=DAY * 30);
    (targets, terms)
}

fn target(text: &str) -> Result<Target, String> {
    let fault = |_| {
        format!(
            "should be a time from 1m to 30d like \"15m\", working time like \"8h working\", or \
             \"{NEXT_BUSINESS_DAY}\""
        )
    };
    let time = |text: &str| {
        let time = parse_duration(text).map_err(fault)?;
        if (MINUTE..=DAY * 30).contains(&time) { Ok(time) } else { Err(fault(String::new())) }
    };
    match text.strip_suffix(" working") {
        _ if text == NEXT_BUSINESS_DAY => Ok(Target::NextBusinessDay),
        Some(text) => time(text).map(Target::Working),
        None => time(text).map(Target::Within),
    }
}

#[cfg(test)]
mod tests;
