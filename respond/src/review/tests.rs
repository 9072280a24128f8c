use expect_test::expect;

use super::*;
use crate::lifecycle::ActionKind;
use crate::target::How;

fn at(minute: u64) -> Timestamp {
    Timestamp::from_unix_s(1_795_428_000 + minute * 60)
}

fn facts() -> Facts {
    let answer = |due, minute| Answer {
        severity: Severity::P1,
        from: at(0),
        due: at(due),
        at: at(minute),
        how: How::Acknowledged,
    };
    let line = |minute, actor: &str, text: &str| Line {
        at: at(minute),
        actor: actor.to_owned(),
        text: text.to_owned(),
    };
    Facts {
        incident: IncidentId(7),
        title: "bert-large on node-a is gone".to_owned(),
        kind: IncidentType::ModelUnavailable,
        worst: Severity::P1,
        course: Course {
            began_at: at(0),
            detected_at: at(0),
            acknowledged_at: Some(at(20)),
            mitigated_at: Some(at(30)),
            resolved_at: Some(at(50)),
        },
        answers: vec![answer(15, 20)],
        responders: vec!["ann".to_owned()],
        timeline: vec![
            line(0, "gpuwarden", "node-a GPU 2: fell off the bus"),
            line(20, "ann", "taken | <b>now</b>\nby me"),
        ],
        factors: vec!["gpu 2 of node-a, 0.93: the first to fail".to_owned()],
        impact: Impact {
            requests_failed: 412,
            requests_slow: 30,
            requests_total: 10_000,
            budget_spent: Some(0.031),
            users: None,
        },
        worth: None,
        pages: (3, 1),
        words: Words::default(),
        actions: vec![ActionItem {
            number: 1,
            kind: ActionKind::Prevent,
            text: "a second replica".to_owned(),
            owner: Some("ben".to_owned()),
            due: None,
            done_at: None,
        }],
        review_at: Some(at(24 * 60)),
    }
}

#[test]
fn a_draft_says_what_is_known_and_marks_what_people_must_write() {
    expect![[r#"
        # Review of #7: bert-large on node-a is gone

        | | |
        | --- | --- |
        | Type | model-unavailable |
        | Severity at its worst | P1 |
        | Began | 2026-11-23 10:00 UTC |
        | Detected after | 0 ms |
        | Acknowledged after | 20 min |
        | Mitigated after | 30 min |
        | Resolved after | 50 min |
        | Worked on by | ann |
        | Review | 2026-11-24 10:00 UTC |

        ## Timeline

        - 2026-11-23 10:00 UTC gpuwarden: node-a GPU 2: fell off the bus
        - 2026-11-23 10:20 UTC ann: taken \| \<b\>now\</b\> by me

        ## Root cause

        _to be written_

        ## Contributing factors

        - gpu 2 of node-a, 0.93: the first to fail

        ## Impact

        - 412 of 10000 requests failed
        - 30 of 10000 requests were slower than promised
        - users who met it: _to be written_
        - 3.1 % of the month's error budget
        - revenue: _to be written_

        ## What went well

        - it was detected 0 ms after it began

        ## What went wrong

        - P1 was answered 5 min after its target
        - 1 of 3 pages were not delivered

        ## Where we had luck

        _to be written_

        ## Action items

        | # | type | what | owner | due | done |
        | --- | --- | --- | --- | --- | --- |
        | 1 | prevent | a second replica | ben | _to be written_ |  |
    "#]]
    .assert_eq(&markdown(&facts()));
}

#[test]
fn revenue_is_the_operators_formula_with_its_sum() {
    let worth = Worth {
        currency: "EUR".to_owned(),
        per_failed_request: 0.5,
        per_slow_request: 0.1,
        per_minute: 2.0,
    };
    let (cost, sum) = worth.of(&facts().impact, Duration::from_secs(1800));
    assert!((cost - 269.0).abs() < 1e-9, "{cost}");
    assert_eq!(sum, "412 failed × 0.5 + 30 slow × 0.1 + 30 min × 2");
}

#[test]
fn what_never_happened_has_no_duration() {
    let mut facts = facts();
    facts.course.acknowledged_at = None;
    facts.course.mitigated_at = None;
    assert_eq!(facts.course.to_acknowledge(), None);
    assert_eq!(facts.course.to_mitigate(), facts.course.to_resolve());
    assert!(facts.went_wrong().contains(&"nobody acknowledged it".to_owned()));
}
