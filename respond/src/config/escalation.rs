//! `[escalation]`: the matrix, and which schedules answer at its levels.

use std::time::Duration;

use gpuwarden_proto::settings::{Section, parse_duration};
use gpuwarden_proto::vocab::{ScheduleName, ServiceName};

use super::oncall::named;
use super::{DAY, MINUTE};
use crate::escalate::{Ladder, Pages, Policy, Rung};
use crate::oncall::{Level, Reach, Roster};

pub(super) fn read(section: &mut Section<'_>, roster: &mut Roster) -> Policy {
    let mut policy = Policy::default();
    roster.reach = reach(section, roster);
    for mut each in section.sections("service") {
        let name = each.required("name", |text| named(ServiceName::new(text)));
        let reach = reach(&mut each, roster);
        let Some(name) = name else { continue };
        if roster.services.insert(name.clone(), reach).is_some() {
            each.problem("name", &format!("\"{name}\" is given twice"));
        }
    }
    let longest = policy.acknowledged_for_max;
    policy.acknowledged_for_max =
        section.duration("acknowledged_for_max", longest, MINUTE..=DAY * 30);
    let after = policy.management_after;
    policy.management_after = section.duration("management_after", after, MINUTE..=DAY * 7);
    for (key, ladder) in [
        ("p1", &mut policy.ladders.p1),
        ("p2", &mut policy.ladders.p2),
        ("p3", &mut policy.ladders.p3),
        ("p4", &mut policy.ladders.p4),
    ] {
        read_ladder(&mut section.section(key), ladder, longest_of(policy.acknowledged_for_max));
    }
    policy
}

fn longest_of(most: Duration) -> std::ops::RangeInclusive<Duration> {
    MINUTE..=most.max(MINUTE)
}

/// The schedules of the levels that are named there.
fn reach(section: &mut Section<'_>, roster: &Roster) -> Reach {
    let known = |text: &str| {
        let name = named(ScheduleName::new(text))?;
        match roster.schedules.contains_key(&name) {
            true => Ok(name),
            false => Err("is no schedule of [[oncall.schedule]]".to_owned()),
        }
    };
    let mut reach = Reach::new();
    for level in Level::ALL {
        let schedules = section.list(level.as_str(), known);
        if !schedules.is_empty() {
            reach.insert(level, schedules);
        }
    }
    reach
}

fn read_ladder(
    section: &mut Section<'_>,
    ladder: &mut Ladder,
    lasts: std::ops::RangeInclusive<Duration>,
) {
    let rungs = section.list("ladder", rung);
    let rising = rungs
        .windows(2)
        .all(|pair| pair[0].level < pair[1].level && pair[0].after <= pair[1].after);
    match rungs.first() {
        None => {}
        Some(first) if first.after.is_zero() && rising => ladder.rungs = rungs,
        Some(_) => section.problem(
            "ladder",
            "should begin with a level without a wait and rise, as [\"l1\", \"l2 after 5m\"]",
        ),
    }
    ladder.again_after = section.duration("again_after", ladder.again_after, MINUTE..=DAY * 7);
    let rounds = section.number("rounds", u64::from(ladder.rounds), 1..=1000);
    ladder.rounds = u32::try_from(rounds).unwrap_or(ladder.rounds);
    ladder.acknowledged_for = section.duration("acknowledged_for", ladder.acknowledged_for, lasts);
    let pages = |text: &str| match text {
        "any-time" => Ok(Pages::AnyTime),
        "working-hours" => Ok(Pages::WorkingHours),
        _ => Err("should be \"any-time\" or \"working-hours\"".to_owned()),
    };
    ladder.pages = section.parsed("pages", pages).unwrap_or(ladder.pages);
}

/// Reads `l1` or `l2 after 5m`.
fn rung(text: &str) -> Result<Rung, String> {
    let fault = || "should be a level and its wait, like \"l2 after 5m\"".to_owned();
    let (level, after) = text.split_once(" after ").unwrap_or((text, "0s"));
    let level = Level::ALL.into_iter().find(|known| known.as_str() == level).ok_or_else(fault)?;
    let after = parse_duration(after).map_err(|_| fault())?;
    if after > DAY * 7 { Err(fault()) } else { Ok(Rung { level, after }) }
}
