use expect_test::{Expect, expect};
use gpuwarden_proto::vocab::IncidentId;
use proptest::prelude::*;

use super::*;
use crate::timer::TimerWord;
use crate::timer::audit::{Logged, audit};

/// Monday, 2026-11-23 10:00 UTC: the second 0 of each story.
const START: u64 = 1_795_428_000;

fn minute(minute: u64) -> Timestamp {
    Timestamp::from_unix_s(START + minute * 60)
}

/// Runs a story such as `P1; 5 ack`: severity at detection, then a minute and what happens.
fn story(text: &str) -> (Clock, Vec<String>, Vec<Logged>) {
    let (targets, calendar) = (Targets::default(), Calendar::default());
    let terms = Terms { targets: &targets, calendar: &calendar };
    let mut lines = text.split(';').map(str::trim);
    let severity = lines.next().unwrap().parse().unwrap();
    let (mut clock, effects) = Clock::start(IncidentId(1), severity, minute(0), terms, minute(0));
    let (mut told, mut log) = (Vec::new(), Vec::new());
    let mut tell = |now: Timestamp, effects: Vec<Effect>| {
        let at = now.since(minute(0)).as_secs() / 60;
        for effect in effects {
            match effect {
                Effect::Timer(word) => log.push(Logged { at: now, word }),
                Effect::Stands(standing) => told.push(format!("{at}: {standing:?}")),
                Effect::Answered(answer) => {
                    let kept = if answer.is_kept() { "kept" } else { "late" };
                    told.push(format!("{at}: {} {:?} {kept}", answer.severity, answer.how));
                }
            }
        }
    };
    tell(minute(0), effects);
    for line in lines {
        let (at, word) = line.split_once(' ').unwrap();
        let at: u64 = at.parse().unwrap();
        while let Some(due) = clock.timers().next().filter(|due| *due <= minute(at)) {
            tell(due, clock.apply(Input::Tick, terms, due));
        }
        let input = match word {
            "ack" => Input::Acknowledged,
            "held" => Input::HeldBack,
            "shown" => Input::ShownAgain,
            "resolved" => Input::Resolved,
            "withdrawn" => Input::Withdrawn,
            "reopened" => Input::Reopened,
            "tick" => Input::Tick,
            severity => Input::Severity(severity.parse().unwrap()),
        };
        tell(minute(at), clock.apply(input, terms, minute(at)));
    }
    (clock, told, log)
}

fn check(text: &str, expected: &Expect) {
    expected.assert_eq(&story(text).1.join("\n"));
}

#[test]
fn half_and_four_fifths_are_told_and_then_the_end() {
    check(
        "P1; 100 tick",
        &expect![[r#"
            7: AtRiskHalf
            12: AtRiskFourFifths
            15: Breached"#]],
    );
}

#[test]
fn an_answer_in_time_is_kept_and_nothing_more_is_told() {
    check("P1; 5 ack; 100 tick", &expect!["5: P1 Acknowledged kept"]);
    check(
        "P2; 60 ack",
        &expect![[r#"
        30: AtRiskHalf
        48: AtRiskFourFifths
        60: Breached
        60: P2 Acknowledged late"#]],
    );
}

#[test]
fn an_answer_too_late_is_late() {
    check(
        "P1; 20 ack",
        &expect![[r#"
        7: AtRiskHalf
        12: AtRiskFourFifths
        15: Breached
        20: P1 Acknowledged late"#]],
    );
}

#[test]
fn a_rise_takes_the_shorter_target_counted_from_detection() {
    check(
        "P3; 5 P1; 16 tick",
        &expect![[r#"
        7: AtRiskHalf
        12: AtRiskFourFifths
        15: Breached"#]],
    );
}

#[test]
fn a_rise_after_that_time_is_late_at_once() {
    check(
        "P3; 90 P1; 91 ack",
        &expect![[r#"
        90: Breached
        91: P1 Acknowledged late"#]],
    );
}

#[test]
fn a_rise_after_an_answer_asks_anew_from_the_rise() {
    check(
        "P3; 90 ack; 100 P1; 114 ack",
        &expect![[r#"
        90: P3 Acknowledged kept
        107: AtRiskHalf
        112: AtRiskFourFifths
        114: P1 Acknowledged kept"#]],
    );
}

#[test]
fn a_fall_gives_the_longer_target_but_what_is_late_stays_late() {
    check(
        "P1; 5 P3; 200 ack",
        &expect![[r#"
        120: AtRiskHalf
        192: AtRiskFourFifths
        200: P3 Acknowledged kept"#]],
    );
    check(
        "P1; 16 P3; 20 ack",
        &expect![[r#"
        7: AtRiskHalf
        12: AtRiskFourFifths
        15: Breached
        20: P3 Acknowledged late"#]],
    );
}

#[test]
fn what_is_held_back_is_not_counted() {
    check(
        "P1; 5 held; 100 tick; 105 shown; 116 tick",
        &expect![[r#"
        107: AtRiskHalf
        112: AtRiskFourFifths
        115: Breached"#]],
    );
    check(
        "P1; 20 held; 100 shown; 101 held; 110 shown; 111 ack",
        &expect![[r#"
        7: AtRiskHalf
        12: AtRiskFourFifths
        15: Breached
        111: P1 Acknowledged late"#]],
    );
    check(
        "P1; 17 P2; 18 held; 19 shown; 90 ack",
        &expect![[r#"
        7: AtRiskHalf
        12: AtRiskFourFifths
        15: Breached
        90: P2 Acknowledged late"#]],
    );
}

#[test]
fn what_is_over_is_settled_and_begins_anew_when_it_is_reopened() {
    check(
        "P1; 5 resolved; 30 reopened; 40 ack",
        &expect![[r#"
        5: P1 Resolved kept
        37: AtRiskHalf
        40: P1 Acknowledged kept"#]],
    );
    check("P1; 5 withdrawn; 90 tick", &expect!["5: P1 Withdrawn kept"]);
}

#[test]
fn a_p4_is_due_at_the_end_of_the_next_business_day_and_at_risk_within_working_hours() {
    let (clock, told, _) = story("P4; 2000 tick");
    assert_eq!(clock.due().to_string(), "2026-11-24T17:00:00.000Z");
    // Fifteen hours of work: seven on Monday, eight on Tuesday; half of them at 09:30.
    expect![[r#"
        1410: AtRiskHalf
        1680: AtRiskFourFifths
        1860: Breached"#]]
    .assert_eq(&told.join("\n"));
}

#[test]
fn a_target_of_working_time_waits_for_the_morning() {
    let target = Target::Working(Duration::from_secs(4 * 3600));
    let friday = "2026-11-20T15:00:00Z".parse().unwrap();
    let due = target.due(friday, &Calendar::default());
    assert_eq!(due.to_string(), "2026-11-23T11:00:00.000Z");
}

#[test]
fn a_clock_that_is_stored_goes_on_as_it_was() {
    let (clock, ..) = story("P3; 5 held; 6 shown; 20 ack; 30 P1");
    let json = serde_json::to_string(&clock).unwrap();
    assert_eq!(serde_json::from_str::<Clock>(&json).unwrap(), clock);
}

fn any_story() -> impl Strategy<Value = String> {
    let words =
        ["ack", "held", "shown", "resolved", "withdrawn", "reopened", "tick", "P1", "P2", "P3"];
    let line = (1_u64..90, prop::sample::select(words.to_vec()));
    prop::collection::vec(line, 0..20).prop_map(|lines| {
        let mut at = 0;
        let lines = lines.into_iter().map(|(minutes, word)| {
            at += minutes;
            format!("; {at} {word}")
        });
        format!("P3{}", lines.collect::<String>())
    })
}

proptest! {
    #[test]
    fn timers_of_any_story_fire_once_and_in_time_or_are_cancelled(text in any_story()) {
        let (clock, _, log) = story(&text);
        let now = log.last().map_or(minute(0), |line| line.at);
        prop_assert_eq!(audit(&log, Duration::ZERO, now), []);
        let set = log.iter().filter(|line| matches!(line.word, TimerWord::Set(_))).count();
        prop_assert_eq!(log.len() - set + clock.timers().armed().len(), set);
        let waits = clock.phase() == Phase::Running && clock.standing() != Standing::Breached;
        prop_assert_eq!(clock.timers().next().is_some(), waits);
    }

    #[test]
    fn a_rise_never_gives_more_time(text in any_story()) {
        let (before, ..) = story(&text);
        prop_assume!(before.phase() == Phase::Running);
        let last = text.rsplit("; ").next().unwrap().split(' ').next().unwrap();
        let last: u64 = last.parse().unwrap_or(0);
        let (after, ..) = story(&format!("{text}; {last} P1"));
        prop_assert!(after.due() <= before.due(), "{}", after.due());
    }
}
