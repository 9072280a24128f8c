mod product;

use std::time::Duration;

use gpuwarden_proto::vocab::Phase;

use super::*;
use crate::testing::{at, finding, node};

fn cause() -> Member {
    let finding = finding(Phase::Raised, &["queue-backup", "bert"], at(0));
    member(Some(node("node-a")), finding, crate::incident::Belongs::first())
}

fn because<T>(what: T) -> Because<T> {
    Because { what, reason: "a test".to_owned() }
}

fn case() -> Case {
    let (kind, severity) = (because(IncidentType::HighLatency), because(Severity::P3));
    let limits = Limits { members: 3, timeline: 10 };
    Case::open(IncidentId(1), cause(), kind, severity, limits, at(0))
}

fn told(case: &Case) -> Vec<&str> {
    case.incident().timeline.iter().map(|entry| entry.kind.as_str()).collect()
}

fn by(who: &str) -> String {
    who.to_owned()
}

fn resolve(reason: &str, force: bool) -> Command {
    Command::Resolve { by: by("ann"), reason: reason.to_owned(), force }
}

#[test]
fn only_the_drawn_changes_of_state_are_legal() {
    let all = IncidentState::ALL;
    let drawn: Vec<String> = all
        .iter()
        .flat_map(|from| all.iter().map(move |to| (*from, *to)))
        .filter(|(from, to)| legal(*from, *to))
        .map(|(from, to)| format!("{from}>{to}"))
        .collect();
    insta::assert_snapshot!(drawn.join(" "), @"open>acknowledged open>quiet open>resolved acknowledged>quiet acknowledged>resolved quiet>open quiet>acknowledged quiet>resolved resolved>open");
}

#[test]
fn an_illegal_change_of_state_has_no_effect() {
    for from in IncidentState::ALL {
        for to in IncidentState::ALL {
            let mut case = case();
            case.incident.state = *from;
            assert_eq!(case.enter(*to), legal(*from, *to));
            assert_eq!(case.incident.state, if legal(*from, *to) { *to } else { *from });
        }
    }
}

#[test]
fn it_tells_how_it_began_with_reasons() {
    let case = case();
    assert_eq!(case.incident().title, "node-a model bert: queue-backup seen");
    let lines: Vec<&str> = case.incident().timeline.iter().map(|e| e.text.as_str()).collect();
    insta::assert_snapshot!(lines.join("\n"), @r"
    node-a model bert: queue-backup seen
    high-latency: a test
    P3: a test
    ");
}

#[test]
fn it_resolves_after_the_quiet_period_and_not_before() {
    let (mut case, quiet) = (case(), Duration::from_secs(60));
    case.clear(Some(0), at(10), "", at(10));
    assert_eq!(case.incident().state, IncidentState::Quiet);
    assert!(!case.settle(quiet, at(69)));
    assert!(case.settle(quiet, at(70)));
    assert_eq!(case.incident().resolved_at, Some(at(70)));
    assert!(!case.settle(quiet, at(200)), "once is enough");
}

#[test]
fn a_member_that_fires_again_reopens_it_and_quiet_begins_anew() {
    let (mut case, quiet) = (case(), Duration::from_secs(60));
    case.clear(Some(0), at(10), "", at(10));
    let again = finding(Phase::Raised, &["queue-backup", "bert"], at(50));
    case.again(Some(0), again, at(50));
    assert_eq!(case.incident().state, IncidentState::Open);
    assert!(!case.settle(quiet, at(500)), "a member is active");
    case.clear(Some(0), at(510), "", at(510));
    assert!(!case.settle(quiet, at(560)));
    assert!(case.settle(quiet, at(570)));
    assert!(told(&case).contains(&"reopened"));
}

#[test]
fn what_was_taken_stays_taken_when_it_reopens() {
    let mut case = case();
    case.command(Command::Acknowledge { by: by("ann") }, at(1)).unwrap();
    assert_eq!(case.incident().state, IncidentState::Acknowledged);
    case.clear(Some(0), at(10), "", at(10));
    case.again(Some(0), finding(Phase::Raised, &["queue-backup", "bert"], at(20)), at(20));
    assert_eq!(case.incident().state, IncidentState::Acknowledged);
    assert_eq!(case.incident().acknowledged_by.as_deref(), Some("ann"));
}

#[test]
fn a_plain_resolve_is_refused_while_a_member_is_active() {
    let mut case = case();
    let refusal = case.command(resolve("", false), at(5)).unwrap_err();
    insta::assert_snapshot!(refusal, @"#1 has 1 active members (node-a model bert queue-backup); wait until they clear, or resolve with force and a reason");
    assert_eq!(
        case.command(resolve("", true), at(5)).unwrap_err(),
        Refusal::Missing("the reason for resolving with force")
    );
    case.command(resolve("a false alarm", true), at(6)).unwrap();
    let last = case.incident().timeline.last().unwrap();
    assert_eq!(last.text, "with force, 1 members still active: a false alarm");
    assert_eq!(last.actor, "ann");
    let late = case.command(Command::Acknowledge { by: by("bob") }, at(7)).unwrap_err();
    assert!(matches!(late, Refusal::Over { .. }), "{late}");
}

#[test]
fn who_does_it_must_be_said() {
    let refusal = case().command(Command::Acknowledge { by: String::new() }, at(1)).unwrap_err();
    assert_eq!(refusal.to_string(), "the name of who does it (`by`) is missing");
    let text = "x".repeat(5000);
    let refusal = case().command(Command::Note { by: by("ann"), text }, at(1)).unwrap_err();
    assert_eq!(refusal.to_string(), "the text has 5000 bytes, at most 4096 are kept");
}

#[test]
fn severity_rises_with_its_reason_and_never_falls() {
    let mut case = case();
    case.raise(Severity::P4, || unreachable!(), at(1));
    case.raise(Severity::P2, || "it got worse".to_owned(), at(2));
    case.raise(Severity::P3, || unreachable!(), at(3));
    assert_eq!(case.incident().severity, Severity::P2);
    assert_eq!(case.incident().timeline.last().unwrap().text, "P2 (was P3): it got worse");
}

#[test]
fn members_that_do_not_fit_are_counted_and_keep_it_awake() {
    let mut case = case();
    for second in 1..6 {
        case.join(cause(), at(second));
    }
    assert_eq!(case.incident().members.len(), 3);
    assert_eq!(case.incident().members_dropped, 3);
    for slot in 0..3 {
        case.clear(Some(slot), at(9), "", at(9));
    }
    assert_eq!(case.incident().state, IncidentState::Open, "three of them are still active");
    for _ in 0..3 {
        case.clear(None, at(10), "", at(10));
    }
    assert_eq!(case.incident().state, IncidentState::Quiet);
}

#[test]
fn the_history_keeps_its_beginning_and_its_end() {
    let mut case = case();
    for second in 1..30 {
        case.command(Command::Note { by: by("ann"), text: format!("{second}") }, at(second))
            .unwrap();
    }
    let timeline = &case.incident().timeline;
    assert_eq!((timeline.len(), case.incident().timeline_dropped), (10, 22));
    assert_eq!((timeline[0].kind.as_str(), timeline[9].text.as_str()), ("detected", "29"));
}

#[test]
fn each_change_gives_a_new_version() {
    let mut case = case();
    let before = case.incident().version;
    case.clear(Some(0), at(1), "", at(1));
    assert!(case.incident().version > before);
}
