use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::*;

fn at(minute: u64) -> Timestamp {
    Timestamp::from_unix_s(1_795_428_000 + minute * 60)
}

fn text() -> String {
    "because".to_owned()
}

/// Each command once, in the order of the life of an incident.
fn commands() -> Vec<Command> {
    vec![
        Command::Classify { severity: Severity::P2, reason: text() },
        Command::Regrade { to: Severity::P1, reason: text() },
        Command::Notify { who: "ann".to_owned() },
        Command::Acknowledge,
        Command::StartRunbook { runbook: "gpu-oom".to_owned() },
        Command::Mitigate { how: text() },
        Command::Resolve { reason: text(), force: false },
        Command::Reopen { reason: text() },
        Command::OpenReview,
        Command::ScheduleReview { at: at(2000) },
        Command::SubmitReview,
        Command::ReturnReview { reason: text() },
        Command::ApproveReview,
        Command::Improve,
        Command::Close,
        Command::Merge { into: IncidentId(9), reason: text() },
        Command::Cancel { why: NotOne::Test, reason: text() },
        Command::SetRootCause { text: text() },
        Command::AddAction { kind: ActionKind::Prevent, text: text() },
        Command::AssignAction { number: 1, owner: "ben".to_owned(), due: at(9000) },
        Command::FinishAction { number: 1 },
        Command::Check { item: Item::StakeholdersInformed, note: text() },
    ]
}

fn order(by: &str, command: Command) -> Order {
    Order { by: Actor::Person(by.to_owned()), expected: None, command }
}

fn take(state: &mut Lifecycle, by: &str, command: Command) -> Result<Vec<Event>, Refusal> {
    state.take(order(by, command), &Facts::default(), &Terms::default(), at(10))
}

/// The shortest way to a stage, for an incident of this severity.
fn way(stage: Stage, severity: Severity) -> Vec<Command> {
    let classify = Command::Classify { severity, reason: text() };
    let resolve = Command::Resolve { reason: String::new(), force: false };
    let cause = Command::SetRootCause { text: text() };
    let reviewed =
        [Command::OpenReview, cause.clone(), Command::SubmitReview, Command::ApproveReview];
    let mut way = vec![classify];
    match stage {
        Stage::Detected => way.clear(),
        Stage::Classified => {}
        Stage::Triaged => way.push(Command::Notify { who: "ann".to_owned() }),
        Stage::Responding => way.push(Command::Acknowledge),
        Stage::Mitigated => way.extend([Command::Acknowledge, Command::Mitigate { how: text() }]),
        Stage::Resolved => way.push(resolve),
        Stage::Drafting => way.extend([resolve, Command::OpenReview]),
        Stage::InReview => way.extend([resolve, Command::OpenReview, cause, Command::SubmitReview]),
        Stage::Reviewed => way.extend([vec![resolve], reviewed.to_vec()].concat()),
        Stage::Improving => {
            way.extend([vec![resolve], reviewed.to_vec(), vec![Command::Improve]].concat());
        }
        Stage::Closed => {
            way.extend(
                [
                    vec![resolve, cause],
                    Item::ALL.map(|item| Command::Check { item, note: text() }).to_vec(),
                ]
                .concat(),
            );
            if severity <= Severity::P2 {
                way.extend(reviewed);
            }
            way.push(Command::Close);
        }
        Stage::Merged => way.push(Command::Merge { into: IncidentId(9), reason: text() }),
        Stage::Cancelled => way.push(Command::Cancel { why: NotOne::Test, reason: text() }),
    }
    way
}

fn at_stage(stage: Stage, severity: Severity) -> Lifecycle {
    let mut state = Lifecycle::detected(IncidentId(1), at(0));
    for (nth, command) in way(stage, severity).into_iter().enumerate() {
        let by = if command == Command::ApproveReview { "lea" } else { "ann" };
        take(&mut state, by, command).unwrap_or_else(|refusal| panic!("{stage} {nth}: {refusal}"));
    }
    assert_eq!(state.stage(), stage);
    state
}

/// What comes of each command at each stage: the next stage, `=` where it stays, `-` where it is
/// refused, `?` where something is missing.
fn table(severity: Severity) -> String {
    let mut lines = Vec::new();
    for command in commands() {
        let cell = |stage: Stage| {
            let mut state = at_stage(stage, severity);
            match take(&mut state, "eve", command.clone()) {
                Ok(_) if state.stage() == stage => "=".to_owned(),
                Ok(_) => state.stage().as_str()[..4].to_owned(),
                Err(Refusal::Incomplete { .. } | Refusal::NoAction { .. }) => "?".to_owned(),
                Err(_) => "-".to_owned(),
            }
        };
        let cells: Vec<String> = Stage::ALL.map(|stage| format!("{:5}", cell(stage))).to_vec();
        lines.push(format!("{command:15} {}", cells.concat()).trim_end().to_owned());
    }
    let head: Vec<String> = Stage::ALL.map(|stage| format!("{:5}", &stage.as_str()[..4])).to_vec();
    format!("{:15} {}\n{}", "", head.concat().trim_end(), lines.join("\n"))
}

#[test]
fn each_command_at_each_stage_of_a_p2() {
    expect![[r#"
                        dete clas tria resp miti reso draf in-r revi impr clos merg canc
        classify        clas -    -    -    -    -    -    -    -    -    -    -    -
        regrade         -    =    =    =    =    -    -    -    -    -    -    -    -
        notify          -    tria =    =    =    -    -    -    -    -    -    -    -
        acknowledge     -    resp resp =    =    =    =    =    =    =    =    -    -
        start-runbook   -    -    resp =    =    -    -    -    -    -    -    -    -
        mitigate        -    -    -    miti -    -    -    -    -    -    -    -    -
        resolve         reso reso reso reso reso -    -    -    -    -    -    -    -
        reopen          -    -    -    -    -    resp resp resp resp resp -    -    -
        open-review     -    -    -    -    -    draf -    -    -    -    -    -    -
        schedule-review -    -    -    -    -    =    =    =    -    -    -    -    -
        submit-review   -    -    -    -    -    -    ?    -    -    -    -    -    -
        return-review   -    -    -    -    -    -    -    draf -    -    -    -    -
        approve-review  -    -    -    -    -    -    -    revi -    -    -    -    -
        improve         -    -    -    -    -    -    -    -    impr -    -    -    -
        close           -    -    -    -    -    -    -    -    ?    ?    -    -    -
        merge           merg merg merg merg merg -    -    -    -    -    -    -    -
        cancel          canc canc canc canc canc -    -    -    -    -    -    -    -
        set-root-cause  =    =    =    =    =    =    =    =    =    =    -    -    -
        add-action      =    =    =    =    =    =    =    =    =    =    -    -    -
        assign-action   ?    ?    ?    ?    ?    ?    ?    ?    ?    ?    -    -    -
        finish-action   ?    ?    ?    ?    ?    ?    ?    ?    ?    ?    ?    ?    ?
        check           =    =    =    =    =    =    =    =    =    =    -    -    -"#]]
    .assert_eq(&table(Severity::P2));
}

#[test]
fn each_command_at_each_stage_of_a_p4() {
    expect![[r#"
                        dete clas tria resp miti reso draf in-r revi impr clos merg canc
        classify        clas -    -    -    -    -    -    -    -    -    -    -    -
        regrade         -    =    =    =    =    -    -    -    -    -    -    -    -
        notify          -    tria =    =    =    -    -    -    -    -    -    -    -
        acknowledge     -    resp resp =    =    =    =    =    =    =    =    -    -
        start-runbook   -    -    resp =    =    -    -    -    -    -    -    -    -
        mitigate        -    -    -    miti -    -    -    -    -    -    -    -    -
        resolve         reso reso reso reso reso -    -    -    -    -    -    -    -
        reopen          -    -    -    -    -    resp resp resp resp resp -    -    -
        open-review     -    -    -    -    -    draf -    -    -    -    -    -    -
        schedule-review -    -    -    -    -    =    =    =    -    -    -    -    -
        submit-review   -    -    -    -    -    -    ?    -    -    -    -    -    -
        return-review   -    -    -    -    -    -    -    draf -    -    -    -    -
        approve-review  -    -    -    -    -    -    -    revi -    -    -    -    -
        improve         -    -    -    -    -    impr -    -    impr -    -    -    -
        close           -    -    -    -    -    ?    -    -    ?    ?    -    -    -
        merge           merg merg merg merg merg -    -    -    -    -    -    -    -
        cancel          canc canc canc canc canc -    -    -    -    -    -    -    -
        set-root-cause  =    =    =    =    =    =    =    =    =    =    -    -    -
        add-action      =    =    =    =    =    =    =    =    =    =    -    -    -
        assign-action   ?    ?    ?    ?    ?    ?    ?    ?    ?    ?    -    -    -
        finish-action   ?    ?    ?    ?    ?    ?    ?    ?    ?    ?    ?    ?    ?
        check           =    =    =    =    =    =    =    =    =    =    -    -    -"#]]
    .assert_eq(&table(Severity::P4));
}

fn check(state: &mut Lifecycle, by: &str, command: Command, expected: &Expect) {
    expected.assert_eq(&take(state, by, command).unwrap_err().to_string());
}

#[test]
fn nothing_is_resolved_while_members_fire_but_by_a_person_with_a_reason() {
    let facts = Facts { active: 2, first: "node-a gpu-lost".to_owned() };
    let mut state = at_stage(Stage::Responding, Severity::P1);
    let mut resolve = |by: Actor, reason: &str, force| {
        let command = Command::Resolve { reason: reason.to_owned(), force };
        state.take(Order { by, expected: None, command }, &facts, &Terms::default(), at(10))
    };
    let ann = || Actor::Person("ann".to_owned());
    expect!["#1 has 2 active members (node-a gpu-lost); wait until they clear, or resolve with force and a reason"]
        .assert_eq(&resolve(ann(), "", false).unwrap_err().to_string());
    expect!["only a person may resolve what is still active"]
        .assert_eq(&resolve(Actor::Gpuwarden, "", true).unwrap_err().to_string());
    expect!["the reason for resolving with force is missing"]
        .assert_eq(&resolve(ann(), "", true).unwrap_err().to_string());
    assert!(resolve(ann(), "the rack is gone for good", true).is_ok());
}

#[test]
fn closing_says_all_that_is_missing_and_what_to_do() {
    let mut state = at_stage(Stage::Resolved, Severity::P3);
    take(&mut state, "ann", Command::AddAction { kind: ActionKind::Detect, text: text() }).unwrap();
    check(
        &mut state,
        "ann",
        Command::Close,
        &expect![
            "#1 cannot close yet: the root cause is not said (set-root-cause); on-call-notified is not ticked (check on-call-notified); runbook-executed is not ticked (check runbook-executed); action 1 has no owner and date (assign-action 1)"
        ],
    );
}

#[test]
fn p1_and_p2_pass_a_review_also_when_they_were_lowered_since() {
    let mut state = at_stage(Stage::Responding, Severity::P1);
    take(&mut state, "ann", Command::Regrade { to: Severity::P4, reason: text() }).unwrap();
    take(&mut state, "ann", Command::Resolve { reason: text(), force: false }).unwrap();
    check(
        &mut state,
        "ann",
        Command::Close,
        &expect!["#1 was P1, which is not done without a review: open-review first"],
    );
    check(
        &mut state,
        "ann",
        Command::Improve,
        &expect!["#1 was P1, which is not done without a review: open-review first"],
    );
}

#[test]
fn nobody_approves_their_own_review() {
    let mut state = at_stage(Stage::InReview, Severity::P2);
    check(
        &mut state,
        "ann",
        Command::ApproveReview,
        &expect!["ann wrote the review: somebody else approves it"],
    );
    assert!(take(&mut state, "lea", Command::ApproveReview).is_ok());
}

#[test]
fn a_review_is_held_within_48_hours_of_the_end() {
    let mut state = at_stage(Stage::Resolved, Severity::P2);
    check(
        &mut state,
        "ann",
        Command::ScheduleReview { at: at(10 + 48 * 60 + 1) },
        &expect![
            "the review is to be held between 2026-11-23T10:10:00.000Z and 2026-11-25T10:10:00.000Z"
        ],
    );
    assert!(take(&mut state, "ann", Command::ScheduleReview { at: at(10 + 48 * 60) }).is_ok());
}

#[test]
fn a_severity_falls_by_a_persons_word_only() {
    let mut state = at_stage(Stage::Responding, Severity::P2);
    let mut regrade = |to| {
        let command = Command::Regrade { to, reason: text() };
        let order = Order { by: Actor::Gpuwarden, expected: None, command };
        state.take(order, &Facts::default(), &Terms::default(), at(10))
    };
    assert!(regrade(Severity::P1).is_ok());
    assert_eq!(regrade(Severity::P3), Err(Refusal::PersonsOnly("lower a severity")));
}

#[test]
fn an_order_on_what_has_changed_since_is_refused() {
    let mut state = at_stage(Stage::Triaged, Severity::P2);
    let seen = Some(state.version());
    take(&mut state, "ann", Command::Acknowledge).unwrap();
    let order = Order { expected: seen, ..order("ben", Command::Mitigate { how: text() }) };
    let refused = state.take(order, &Facts::default(), &Terms::default(), at(10)).unwrap_err();
    expect!["#1 is at version 3 (responding) and you saw 2; look again, and ask again if you still want it"].assert_eq(&refused.to_string());
}

#[test]
fn an_acknowledgement_that_comes_after_the_end_is_a_remark() {
    let mut state = at_stage(Stage::Resolved, Severity::P2);
    let events = take(&mut state, "ben", Command::Acknowledge).unwrap();
    assert_eq!(state.stage(), Stage::Resolved);
    assert!(matches!(&events[..], [Event { what: What::Noted { .. }, .. }]));
}

#[test]
fn what_is_over_is_opened_again_within_the_window_and_not_after_it() {
    let mut state = at_stage(Stage::Drafting, Severity::P2);
    let reopen = || order("ann", Command::Reopen { reason: text() });
    let mut later = state.clone();
    assert!(state.take(reopen(), &Facts::default(), &Terms::default(), at(40)).is_ok());
    assert_eq!(
        (state.stage(), state.reopened(), state.resolved_at()),
        (Stage::Responding, 1, None)
    );
    let refused = later.take(reopen(), &Facts::default(), &Terms::default(), at(41)).unwrap_err();
    expect!["#1 has been over since 2026-11-23T10:10:00.000Z, too long to reopen it; open a new incident and note #1 there"].assert_eq(&refused.to_string());
}

#[test]
fn a_new_action_opens_its_box_until_it_has_owner_and_date() {
    let mut state = at_stage(Stage::Drafting, Severity::P2);
    take(&mut state, "ann", Command::Check { item: Item::ActionsTracked, note: "none".into() })
        .unwrap();
    take(&mut state, "ann", Command::AddAction { kind: ActionKind::Process, text: text() })
        .unwrap();
    assert!(state.checklist().get(Item::ActionsTracked).is_none());
    let assign = Command::AssignAction { number: 1, owner: "ben".to_owned(), due: at(9000) };
    take(&mut state, "ann", assign).unwrap();
    assert!(state.checklist().get(Item::ActionsTracked).is_some());
}

proptest! {
    /// Any orders give the state that their events give, stored or not; and what was P1 or P2 is not
    /// closed without a review.
    #[test]
    fn events_are_all_there_is(orders in prop::collection::vec((0..22_usize, 0..4_usize), 0..60)) {
        let mut state = Lifecycle::detected(IncidentId(1), at(0));
        let mut events = Vec::new();
        for (nth, by) in orders {
            let command = commands().swap_remove(nth);
            let before = state.clone();
            match take(&mut state, ["ann", "ben", "eve", "lea"][by], command) {
                Ok(happened) => events.extend(happened),
                Err(_) => prop_assert_eq!(&before, &state),
            }
        }
        let json = serde_json::to_string(&events).unwrap();
        let events: Vec<Event> = serde_json::from_str(&json).unwrap();
        let mut again = Lifecycle::detected(IncidentId(1), at(0));
        for event in &events {
            again.evolve(event);
        }
        prop_assert_eq!(&again, &state);
        let json = serde_json::to_string(&state).unwrap();
        prop_assert_eq!(serde_json::from_str::<Lifecycle>(&json).unwrap(), state.clone());
        let approved = events.iter().any(|event| event.what == What::ReviewApproved);
        prop_assert!(state.stage() != Stage::Closed || approved || !state.needs_review());
    }
}
