use expect_test::expect;
use gpuwarden_proto::vocab::ServiceName;

use super::*;
use crate::oncall::Level;

const SAMPLE: &str = include_str!("../../../packaging/oncall.toml");

#[test]
fn an_empty_file_gives_the_defaults() {
    assert_eq!(Settings::parse("oncall.toml", ""), Ok(Settings::default()));
}

#[test]
fn the_sample_says_what_is_the_default_anyway() {
    assert_eq!(Settings::parse("oncall.toml", SAMPLE), Ok(Settings::default()));
}

/// The sample with its examples: lines that are settings behind a `#`.
fn examples() -> String {
    let line = |line: &'static str| match line.strip_prefix("# ") {
        Some(rest) if rest.starts_with('[') || rest.contains(" = ") => rest,
        _ => line,
    };
    SAMPLE.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_examples_of_the_sample_are_right() {
    let settings = Settings::parse("oncall.toml", &examples()).unwrap();
    let on = |at: &str| {
        let at = at.parse().unwrap();
        let search = ServiceName::new("search").unwrap();
        let on = settings.roster.on(Level::L1, Some(&search), &[], at);
        on.into_iter().map(|(who, ..)| who.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(on("2026-01-07T12:00:00Z"), ["ann"]);
    assert_eq!(on("2026-01-07T23:00:00Z"), ["ben"]);
    assert_eq!(settings.policy, Policy::default());
}

#[test]
fn all_mistakes_are_told_at_once_with_what_would_do() {
    let text = r#"
[calendar]
zone = "Mars/Olympus"
monday = "17:00-09:00"
holidays = ["christmas"]
[response]
p1 = "soon"
p4 = "9h walking"
[[oncall.person]]
name = "ann"
[[oncall.person]]
name = "ann"
contacts = ["a"]
[[oncall.schedule]]
name = "platform"
[[oncall.schedule.layer]]
name = "weeks"
people = ["zoe"]
turn = "90m"
only = ["someday"]
[escalation]
l1 = ["nowhere"]
l5 = ["platform"]
[escalation.p1]
ladder = ["l2", "l1 after 5m"]
rounds = 0
pages = "never"
"#;
    let problems = Settings::parse("oncall.toml", text).unwrap_err();
    let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
    expect![[r#"
        oncall.toml:3: calendar.zone = "Mars/Olympus": `Mars/Olympus` is no time zone (try "Europe/Berlin", "America/New_York" or "UTC")
        oncall.toml:4: calendar.monday = "17:00-09:00": should be hours like "09:00-17:00", or "closed"
        oncall.toml:5: calendar.holidays = "christmas": should be a date like 2026-12-25
        oncall.toml:7: response.p1 = "soon": should be a time from 1m to 30d like "15m", working time like "8h working", or "next-business-day"
        oncall.toml:8: response.p4 = "9h walking": should be a time from 1m to 30d like "15m", working time like "8h working", or "next-business-day"
        oncall.toml:9: oncall.person[0].contacts: is missing: name a destination at least, or nobody can be told
        oncall.toml:11: oncall.person[1].name: "ann" is given to two people
        oncall.toml:16: oncall.schedule[0].layer[0].starts: is missing
        oncall.toml:18: oncall.schedule[0].layer[0].people = "zoe": is nobody of [[oncall.person]]
        oncall.toml:19: oncall.schedule[0].layer[0].turn = "90m": should be "daily", "weekly", or whole hours or days like "12h"
        oncall.toml:20: oncall.schedule[0].layer[0].only = "someday": `someday` is no part of a week (try "mon-fri 09:00-17:00")
        oncall.toml:22: escalation.l1 = "nowhere": is no schedule of [[oncall.schedule]]
        oncall.toml:23: escalation.l5: is not a key of this section
        oncall.toml:24: escalation.p1.ladder: should begin with a level without a wait and rise, as ["l1", "l2 after 5m"]
        oncall.toml:26: escalation.p1.rounds = 0: should be a number from 1 to 1000
        oncall.toml:27: escalation.p1.pages = "never": should be "any-time" or "working-hours""#]].assert_eq(&told.join("\n"));
}

#[test]
fn a_week_without_hours_is_told() {
    let closed: String = WEEKDAYS.iter().map(|day| format!("{day} = \"closed\"\n")).collect();
    let problems = Settings::parse("oncall.toml", &format!("[calendar]\n{closed}")).unwrap_err();
    expect![[r#"oncall.toml:1: calendar.monday: no day of the week has working hours; give one at least, as monday = "09:00-17:00""#]].assert_eq(&problems[0].to_string());
}
