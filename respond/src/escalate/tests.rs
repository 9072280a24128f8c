use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use expect_test::{Expect, expect};
use gpuwarden_proto::vocab::ScheduleName;
use proptest::prelude::*;

use super::*;
use crate::oncall::{Layer, Rotation, Schedule};
use crate::timer::TimerWord;
use crate::timer::audit::{Logged, audit};
use crate::zone::Zone;

/// Monday, 2026-11-23 10:00 UTC: minute 0 of each story, within working hours.
const START: u64 = 1_795_428_000;

fn minute(minute: u64) -> Timestamp {
    Timestamp::from_unix_s(START + minute * 60)
}

/// A roster such as `l1=ann+abe l2=- l3=cem`: schedules of one person each; `-` has nobody.
fn roster(text: &str) -> Roster {
    let mut roster = Roster::default();
    for part in text.split(' ') {
        let (level, people) = part.split_once('=').unwrap();
        let level = Level::ALL.into_iter().find(|known| known.as_str() == level).unwrap();
        for (nth, person) in people.split('+').enumerate() {
            let name = ScheduleName::new(&format!("{}-{nth}", level.as_str())).unwrap();
            let starts = "2026-01-05T09:00:00".parse().unwrap();
            let layers = (person != "-").then(|| Layer {
                name: "weeks".to_owned(),
                people: vec![PersonName::new(person).unwrap()],
                rotation: Rotation::new(starts, 168).unwrap(),
                only: Vec::new(),
            });
            let layers = layers.into_iter().collect();
            let schedule = Schedule { name: name.clone(), zone: Zone::default(), layers };
            roster.schedules.insert(name.clone(), schedule);
            roster.reach.entry(level).or_default().push(name);
        }
    }
    roster
}

const ALL: &str = "l1=ann l2=ben l3=cem management=dora";

struct Story {
    state: Escalation,
    told: Vec<(u64, Step)>,
    log: Vec<Logged>,
}

impl Story {
    fn tell(&mut self, now: Timestamp, steps: Vec<Step>) {
        let at = now.since(minute(0)).as_secs() / 60;
        for step in steps {
            match step {
                Step::Timer(word) => self.log.push(Logged { at: now, word }),
                step => self.told.push((at, step)),
            }
        }
    }

    fn pages(&self) -> impl Iterator<Item = (u64, &Page)> {
        self.told.iter().filter_map(|(at, step)| match step {
            Step::Page(page) => Some((*at, page)),
            _ => None,
        })
    }
}

/// Runs lines such as `5 ack ann`, each at a minute; timers fire at theirs.
fn story(roster_text: &str, text: &str) -> Story {
    let (policy, roster, calendar) = (Policy::default(), roster(roster_text), Calendar::default());
    let desk = Desk { policy: &policy, roster: &roster, overrides: &[], calendar: &calendar };
    let state = Escalation::new(IncidentId(1), None);
    let mut story = Story { state, told: Vec::new(), log: Vec::new() };
    for line in text.split(';').map(str::trim) {
        let (at, words) = line.split_once(' ').unwrap();
        let at: u64 = at.parse().unwrap();
        while let Some(due) = story.state.timers().next().filter(|due| *due < minute(at)) {
            let steps = story.state.apply(Input::Tick, desk, due);
            story.tell(due, steps);
        }
        let input = input(words, &story.state);
        let over = story.state.phase == Phase::Over && !matches!(input, Input::Reopened { .. });
        let (state, steps) = next(&story.state, input, desk, minute(at));
        assert!(!over || !steps.iter().any(|step| matches!(step, Step::Page(_))), "{text}");
        story.state = state;
        story.tell(minute(at), steps);
    }
    story
}

fn input(words: &str, state: &Escalation) -> Input {
    let (word, rest) = words.split_once(' ').unwrap_or((words, ""));
    let level = || Level::ALL.into_iter().find(|level| level.as_str() == rest).unwrap();
    match word {
        "opened" => Input::Opened { severity: rest.parse().unwrap(), held_by: None },
        "hidden" => {
            let held_by = Some("maintenance S7".to_owned());
            Input::Opened { severity: rest.parse().unwrap(), held_by }
        }
        "reopened" => Input::Reopened { severity: rest.parse().unwrap(), held_by: None },
        "severity" => Input::Severity(rest.parse().unwrap()),
        "ack" => Input::Acknowledged { by: rest.to_owned(), version: state.version, until: None },
        "oldack" => {
            let version = state.version.saturating_sub(1);
            Input::Acknowledged { by: rest.to_owned(), version, until: None }
        }
        "domain" => Input::DomainJoined(rest.to_owned()),
        "jump" => Input::Jump { to: level(), by: "lea".to_owned() },
        "failed" => {
            let last = state.paged.last().map(|paged| (paged.person.clone(), paged.level));
            let (person, level) = last.unwrap_or((PersonName::new("x").unwrap(), Level::L1));
            Input::DeliveryFailed(PageId {
                incident: IncidentId(1),
                round: state.round,
                level,
                person,
            })
        }
        "held" => Input::HeldBack { by: "maintenance S7".to_owned() },
        "shown" => Input::ShownAgain,
        "mitigated" => Input::Mitigated,
        "resolved" => Input::Resolved,
        _ => Input::Tick,
    }
}

fn check(roster: &str, text: &str, expected: &Expect) {
    let Story { told, .. } = story(roster, text);
    let lines = told.iter().map(|(at, step)| format!("{at}: {step}"));
    expected.assert_eq(&lines.collect::<Vec<_>>().join("\n"));
}

#[test]
fn a_p1_that_nobody_answers_goes_up_to_the_lead_and_then_around_again() {
    check(
        ALL,
        "0 opened P1; 21 tick",
        &expect![[r#"
            0: ann paged as L1 (l1-0, layer weeks): the incident was opened
            5: ben paged as L2 (l2-0, layer weeks): L1 did not answer within 5 min
            10: cem paged as L3 (l3-0, layer weeks): L2 did not answer within 5 min
            20: ann paged as L1 (l1-0, layer weeks): nobody answered; this is round 2"#]],
    );
}

#[test]
fn p2_ends_at_l2_and_p3_and_p4_at_l1() {
    check(
        ALL,
        "0 opened P2; 39 tick",
        &expect![[r#"
            0: ann paged as L1 (l1-0, layer weeks): the incident was opened
            20: ben paged as L2 (l2-0, layer weeks): L1 did not answer within 20 min"#]],
    );
    check(
        ALL,
        "0 opened P3; 119 tick",
        &expect!["0: ann paged as L1 (l1-0, layer weeks): the incident was opened"],
    );
    check(
        ALL,
        "0 opened P4; 119 tick",
        &expect!["0: ann paged as L1 (l1-0, layer weeks): the incident was opened"],
    );
}

#[test]
fn a_p1_that_lasts_for_hours_goes_to_management_whoever_has_taken_it() {
    check(
        ALL,
        "0 opened P1; 1 ack ann; 29 ack ann; 58 ack ann; 87 ack ann; 116 ack ann; 121 tick",
        &expect![[r#"
        0: ann paged as L1 (l1-0, layer weeks): the incident was opened
        1: taken by ann until 2026-11-23 10:31 UTC
        29: taken by ann until 2026-11-23 10:59 UTC
        58: taken by ann until 2026-11-23 11:28 UTC
        87: taken by ann until 2026-11-23 11:57 UTC
        116: taken by ann until 2026-11-23 12:26 UTC
        120: dora paged as management (management-0, layer weeks): it has been critical for 2 h 0 min"#]],
    );
}

#[test]
fn when_all_rounds_are_over_nobody_is_left_and_that_is_said() {
    check(
        "l1=ann",
        "0 opened P3; 1000 tick",
        &expect![[r#"
            0: ann paged as L1 (l1-0, layer weeks): the incident was opened
            120: ann paged as L1 (l1-0, layer weeks): nobody answered; this is round 2
            240: ann paged as L1 (l1-0, layer weeks): nobody answered; this is round 3
            360: nobody is left to page after round 3"#]],
    );
}

#[test]
fn an_acknowledgement_ends_and_people_are_paged_again() {
    check(
        ALL,
        "0 opened P1; 2 ack ann; 33 tick",
        &expect![[r#"
        0: ann paged as L1 (l1-0, layer weeks): the incident was opened
        2: taken by ann until 2026-11-23 10:32 UTC
        32: ann paged as L1 (l1-0, layer weeks): ann's acknowledgement ended"#]],
    );
}

#[test]
fn worse_or_wider_than_what_was_taken_clears_the_acknowledgement() {
    check(
        ALL,
        "0 opened P3; 2 ack ann; 10 severity P2; 11 ack ann; 12 domain rack r7",
        &expect![[r#"
        0: ann paged as L1 (l1-0, layer weeks): the incident was opened
        2: taken by ann until 2026-11-23 18:02 UTC
        10: ann paged as L1 (l1-0, layer weeks): it rose from P3 to P2
        11: taken by ann until 2026-11-23 12:11 UTC
        12: ann paged as L1 (l1-0, layer weeks): rack r7 joined, which fails by itself"#]],
    );
}

#[test]
fn a_late_acknowledgement_stops_no_newer_page() {
    check(
        ALL,
        "0 opened P2; 2 ack ann; 10 severity P1; 11 oldack ann; 16 tick",
        &expect![[r#"
            0: ann paged as L1 (l1-0, layer weeks): the incident was opened
            2: taken by ann until 2026-11-23 12:02 UTC
            10: ann paged as L1 (l1-0, layer weeks): it rose from P2 to P1
            11: ann answered version 1 too late: nothing stops for it
            15: ben paged as L2 (l2-0, layer weeks): L1 did not answer within 5 min"#]],
    );
}

#[test]
fn what_gets_worse_while_people_are_called_is_told_to_all_who_were_called() {
    check(
        ALL,
        "0 opened P2; 21 severity P1; 32 tick",
        &expect![[r#"
            0: ann paged as L1 (l1-0, layer weeks): the incident was opened
            20: ben paged as L2 (l2-0, layer weeks): L1 did not answer within 20 min
            21: ann paged as L1 (l1-0, layer weeks): it rose from P2 to P1
            21: ben paged as L2 (l2-0, layer weeks): it rose from P2 to P1
            31: cem paged as L3 (l3-0, layer weeks): L2 did not answer within 10 min"#]],
    );
}

#[test]
fn more_of_the_same_does_not_begin_the_way_up_anew() {
    check(
        ALL,
        "0 opened P1; 4 domain node-b; 6 tick",
        &expect![[r#"
            0: ann paged as L1 (l1-0, layer weeks): the incident was opened
            4: nobody paged: people are being paged already
            5: ben paged as L2 (l2-0, layer weeks): L1 did not answer within 5 min"#]],
    );
}

#[test]
fn a_level_with_nobody_is_passed_over_at_once_and_that_is_said() {
    check(
        "l1=- l3=cem",
        "0 opened P1; 1 tick",
        &expect![[r#"
        0: L1 not paged: nobody is on call in l1-0
        0: L2 not paged: no schedule answers there
        0: cem paged as L3 (l3-0, layer weeks): nobody is on call at L2"#]],
    );
    check(
        "l1=- l2=ben",
        "0 opened P3; 1 tick",
        &expect![[r#"
        0: L1 not paged: nobody is on call in l1-0
        0: ben paged as L2 (l2-0, layer weeks): nobody is on call at L1"#]],
    );
}

#[test]
fn with_nobody_at_all_that_is_said_at_once_and_tried_again() {
    check(
        "l1=-",
        "0 opened P2; 21 tick",
        &expect![[r#"
            0: L1 not paged: nobody is on call in l1-0
            0: L2 not paged: no schedule answers there
            0: L3 not paged: no schedule answers there
            0: management not paged: no schedule answers there
            0: nobody is left to page after round 1
            20: L1 not paged: nobody is on call in l1-0
            20: L2 not paged: no schedule answers there
            20: L3 not paged: no schedule answers there
            20: management not paged: no schedule answers there
            20: nobody is left to page after round 2"#]],
    );
}

#[test]
fn a_page_that_is_not_delivered_goes_to_the_next_level_unless_somebody_else_has_it() {
    check(
        ALL,
        "0 opened P1; 1 failed; 6 tick",
        &expect![[r#"
        0: ann paged as L1 (l1-0, layer weeks): the incident was opened
        1: page #1/1/l1/ann was not delivered
        1: ben paged as L2 (l2-0, layer weeks): the page to ann was not delivered"#]],
    );
    check(
        "l1=ann+abe l2=ben",
        "0 opened P1; 1 failed; 4 tick",
        &expect![[r#"
        0: ann paged as L1 (l1-0, layer weeks): the incident was opened
        0: abe paged as L1 (l1-1, layer weeks): the incident was opened
        1: page #1/1/l1/abe was not delivered"#]],
    );
}

#[test]
fn a_p4_waits_for_working_hours() {
    check(
        ALL,
        "480 opened P4; 500 domain node-b; 1400 tick",
        &expect![[r#"
        480: nobody paged: it waits for working hours, which begin 2026-11-24 09:00 UTC
        500: nobody paged: it waits for working hours, which begin 2026-11-24 09:00 UTC
        1380: ann paged as L1 (l1-0, layer weeks): working hours began"#]],
    );
}

#[test]
fn what_is_held_back_pages_nobody_until_it_is_shown_again() {
    check(
        ALL,
        "0 opened P1; 2 held; 60 severity P2; 70 shown; 71 tick",
        &expect![[r#"
        0: ann paged as L1 (l1-0, layer weeks): the incident was opened
        2: nobody paged: it is held back by maintenance S7
        70: ann paged as L1 (l1-0, layer weeks): it is not held back any more"#]],
    );
    check(
        ALL,
        "0 opened P1; 2 ack ann; 5 held; 10 shown; 40 tick",
        &expect![[r#"
            0: ann paged as L1 (l1-0, layer weeks): the incident was opened
            2: taken by ann until 2026-11-23 10:32 UTC
            5: nobody paged: it is held back by maintenance S7
            32: ann paged as L1 (l1-0, layer weeks): ann's acknowledgement ended
            37: ben paged as L2 (l2-0, layer weeks): L1 did not answer within 5 min"#]],
    );
    check(
        ALL,
        "0 hidden P1; 60 tick; 70 shown",
        &expect![[r#"
        0: nobody paged: it is held back by maintenance S7
        70: ann paged as L1 (l1-0, layer weeks): it is not held back any more"#]],
    );
}

#[test]
fn a_person_may_ask_for_any_level_and_the_way_up_goes_on_from_there() {
    check(
        ALL,
        "0 opened P1; 2 jump l2; 8 tick",
        &expect![[r#"
            0: ann paged as L1 (l1-0, layer weeks): the incident was opened
            2: ben paged as L2 (l2-0, layer weeks): lea asked for this level
            7: cem paged as L3 (l3-0, layer weeks): L2 did not answer within 5 min"#]],
    );
    check(
        ALL,
        "0 opened P3; 2 ack ann; 3 jump l3; 20 tick",
        &expect![[r#"
        0: ann paged as L1 (l1-0, layer weeks): the incident was opened
        2: taken by ann until 2026-11-23 18:02 UTC
        3: cem paged as L3 (l3-0, layer weeks): lea asked for this level"#]],
    );
}

#[test]
fn nothing_is_paged_for_what_is_mitigated_or_over_until_it_is_back() {
    check(
        ALL,
        "0 opened P1; 2 mitigated; 60 domain rack r1; 61 resolved; 90 severity P1; 91 ack ann; 100 reopened P2",
        &expect![[r#"
            0: ann paged as L1 (l1-0, layer weeks): the incident was opened
            60: ann paged as L1 (l1-0, layer weeks): rack r1 joined, which fails by itself
            91: ann answered version 2 too late: nothing stops for it
            100: ann paged as L1 (l1-0, layer weeks): the incident was opened again"#]],
    );
}

#[test]
fn each_page_says_why_it_was_sent_and_to_just_whom() {
    let story = story(ALL, "0 opened P2; 21 tick");
    let ben = PersonName::new("ben").unwrap();
    let told: Vec<String> = story.state.why_paged(&ben).map(ToString::to_string).collect();
    expect![
        "2026-11-23 10:20 UTC ben paged as L2 (l2-0, layer weeks): L1 did not answer within 20 min"
    ]
    .assert_eq(&told.join("\n"));
    assert_eq!(story.state.why_not_paged().count(), 0);
}

fn any_line(words: &'static [&'static str]) -> impl Strategy<Value = (u64, &'static str)> {
    (0_u64..40, prop::sample::select(words))
}

fn lines(first: &str, lines: Vec<(u64, &str)>) -> (String, u64) {
    let (mut text, mut at) = (format!("0 opened {first}"), 0);
    for (minutes, words) in lines {
        at += minutes;
        text = format!("{text}; {at} {words}");
    }
    (text, at)
}

const ANYTHING: &[&str] = &[
    "severity P1",
    "severity P2",
    "severity P3",
    "severity P4",
    "ack ann",
    "oldack ben",
    "domain rack r1",
    "jump l1",
    "jump l2",
    "jump l3",
    "jump management",
    "failed",
    "held",
    "shown",
    "mitigated",
    "resolved",
    "reopened P2",
    "tick",
];
/// What neither answers nor ends nor lowers anything.
const UNANSWERED: &[&str] =
    &["domain rack r1", "failed", "oldack ann", "severity P1", "tick", "jump l2"];
const ROSTERS: &[&str] =
    &[ALL, "l1=- l3=cem", "l1=ann+abe l2=- l3=cem", "l2=ben l3=cem+ann", "l1=-"];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_p1_that_nobody_answers_always_reaches_the_lead(
        story_lines in prop::collection::vec(any_line(UNANSWERED), 0..15), roster in 0_usize..4,
    ) {
        let (text, at) = lines("P1", story_lines);
        let story = story(ROSTERS[roster], &format!("{text}; {} tick", at.max(10) + 1));
        let first = story.pages().find(|(_, page)| page.id.level == Level::L3).map(|(at, _)| at);
        prop_assert!(first.is_some_and(|at| at <= 10), "{text}: {first:?}");
    }

    #[test]
    fn no_page_is_sent_twice_and_none_when_it_is_over_held_or_taken(
        story_lines in prop::collection::vec(any_line(ANYTHING), 0..30), roster in 0_usize..5,
    ) {
        let (text, _) = lines("P3", story_lines);
        let story = story(ROSTERS[roster], &text);
        let ids: BTreeSet<PageId> = story.pages().map(|(_, page)| page.id.clone()).collect();
        prop_assert_eq!(ids.len(), story.pages().count(), "{}", text);
        let versions: Vec<u32> = story.pages().map(|(_, page)| page.version).collect();
        prop_assert!(versions.is_sorted());
        let quiet = matches!(story.state.phase(), Phase::Over | Phase::Mitigated | Phase::Held { .. });
        prop_assert!(!quiet || story.state.timers().next().is_none());
    }

    #[test]
    fn timers_fire_once_and_in_time_or_are_cancelled(
        story_lines in prop::collection::vec(any_line(ANYTHING), 0..30),
    ) {
        let (text, at) = lines("P2", story_lines);
        let story = story(ALL, &text);
        prop_assert_eq!(audit(&story.log, Duration::ZERO, minute(at)), []);
        let mut open: BTreeMap<_, u32> = BTreeMap::new();
        for line in &story.log {
            match line.word {
                TimerWord::Set(timer) => *open.entry(timer.id).or_default() += 1,
                TimerWord::Cancelled(id) | TimerWord::Fired(id) => {
                    prop_assert_eq!(open.remove(&id), Some(1), "{}", text);
                }
            }
        }
        let armed: BTreeSet<_> = story.state.timers().armed().iter().map(|timer| timer.id).collect();
        prop_assert_eq!(open.into_keys().collect::<BTreeSet<_>>(), armed);
    }

    #[test]
    fn a_tick_at_the_same_instant_changes_nothing_more_and_what_is_stored_is_all_there_is(
        story_lines in prop::collection::vec(any_line(ANYTHING), 0..20),
    ) {
        let (text, at) = lines("P1", story_lines);
        let mut story = story(ALL, &format!("{text}; {at} tick"));
        let json = serde_json::to_string(&story.state).unwrap();
        prop_assert_eq!(&serde_json::from_str::<Escalation>(&json).unwrap(), &story.state);
        let (policy, roster, calendar) = (Policy::default(), roster(ALL), Calendar::default());
        let desk = Desk { policy: &policy, roster: &roster, overrides: &[], calendar: &calendar };
        prop_assert_eq!(story.state.apply(Input::Tick, desk, minute(at)), []);
    }
}
