//! `[oncall]`: people, and schedules of them.

use std::time::Duration;

use gpuwarden_proto::settings::{Section, parse_duration};
use gpuwarden_proto::vocab::{BadName, DestinationName, PersonName, ScheduleName};
use jiff::civil::DateTime;

use super::zone;
use crate::oncall::{Layer, Person, Roster, Rotation, Schedule, Weekly};
use crate::zone::Zone;

/// People and schedules that a file may have, each.
const ENTRIES_MAX: usize = 10_000;
/// Layers of one schedule, and parts of the week of one layer.
const PARTS_MAX: usize = 32;
/// The longest name of a layer, in bytes.
const LAYER_MAX_BYTES: usize = 64;

pub(super) fn read(section: &mut Section<'_>, usual: &Zone) -> Roster {
    let mut roster = Roster::default();
    for mut section in limited(section, "person", ENTRIES_MAX) {
        person(&mut section, &mut roster);
    }
    for mut section in limited(section, "schedule", ENTRIES_MAX) {
        schedule(&mut section, usual, &mut roster);
    }
    roster
}

fn limited<'t>(section: &mut Section<'t>, key: &str, most: usize) -> Vec<Section<'t>> {
    let sections = section.sections(key);
    if sections.len() > most {
        section.problem(key, &format!("at most {most} can be given"));
    }
    sections
}

fn person(section: &mut Section<'_>, roster: &mut Roster) {
    let name = section.required("name", |text| named(PersonName::new(text)));
    let contacts = section.list("contacts", |text| named(DestinationName::new(text)));
    let Some(name) = name else { return };
    if contacts.is_empty() {
        let fault = "is missing: name a destination at least, or nobody can be told";
        section.problem("contacts", fault);
    }
    if roster.people.insert(name.clone(), Person { name: name.clone(), contacts }).is_some() {
        section.problem("name", &format!("\"{name}\" is given to two people"));
    }
}

fn schedule(section: &mut Section<'_>, usual: &Zone, roster: &mut Roster) {
    let name = section.required("name", |text| named(ScheduleName::new(text)));
    let zone = section.parsed("zone", zone).unwrap_or_else(|| usual.clone());
    let layers = limited(section, "layer", PARTS_MAX);
    let layers: Vec<Layer> =
        layers.into_iter().filter_map(|mut each| layer(&mut each, roster)).collect();
    let Some(name) = name else { return };
    let before =
        roster.schedules.insert(name.clone(), Schedule { name: name.clone(), zone, layers });
    if before.is_some() {
        section.problem("name", &format!("\"{name}\" is given to two schedules"));
    }
}

fn layer(section: &mut Section<'_>, roster: &Roster) -> Option<Layer> {
    let name = section.required("name", |text| match text.len() {
        1..=LAYER_MAX_BYTES if !text.chars().any(char::is_control) => Ok(text.to_owned()),
        _ => Err(format!("should be a name of 1 to {LAYER_MAX_BYTES} bytes")),
    });
    let unsaid = !section.keys().iter().any(|key| key == "people");
    let people = section.list("people", |text| known(text, roster));
    if unsaid {
        section.problem("people", "is missing: name one person at least, in the order of turns");
    }
    let starts = section.required("starts", |text| {
        text.parse::<DateTime>()
            .map_err(|_| "should be a local time like \"2026-01-05T09:00\"".to_owned())
    });
    let hours = section.parsed("turn", turn).unwrap_or(7 * 24);
    let only = section.list("only", str::parse::<Weekly>);
    if only.len() > PARTS_MAX {
        section.problem("only", &format!("at most {PARTS_MAX} parts of a week can be given"));
    }
    let rotation = Rotation::new(starts?, hours).map_err(|fault| section.problem("turn", &fault));
    Some(Layer { name: name?, people, rotation: rotation.ok()?, only })
}

fn known(text: &str, roster: &Roster) -> Result<PersonName, String> {
    let name = named(PersonName::new(text))?;
    match roster.people.contains_key(&name) {
        true => Ok(name),
        false => Err("is nobody of [[oncall.person]]".to_owned()),
    }
}

fn turn(text: &str) -> Result<u32, String> {
    let fault =
        || "should be \"daily\", \"weekly\", or whole hours or days like \"12h\"".to_owned();
    let time = match text {
        "daily" => Duration::from_secs(86_400),
        "weekly" => Duration::from_secs(7 * 86_400),
        text => parse_duration(text).map_err(|_| fault())?,
    };
    match time.as_secs() {
        seconds if seconds % 3600 == 0 => u32::try_from(seconds / 3600).map_err(|_| fault()),
        _ => Err(fault()),
    }
}

pub(super) fn named<T>(name: Result<T, BadName>) -> Result<T, String> {
    name.map_err(|error| error.fault.to_owned())
}
