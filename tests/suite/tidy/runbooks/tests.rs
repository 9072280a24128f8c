//! The format on a made-up runbook, sound at first and then broken in each way.

use super::{IncidentType, RuleId, Runbook, check, check_all};

const SOUND: &str = "---
type: external
title: Trouble
rules: []
first_responder: L1 platform engineer
escalate_after: [P1 5m, P2 20m, P3 2h, P4 next-business-day]
safe_actions: [R0 collect-evidence, R3 restart-server]
---
## What it means
## What people see
## Steps
### 1. check: a
reads: xid, nodes
- found: step 3.
### 2. check: b
```sh
curl -w '%{http_code}' {endpoint}
```
- 404: use the runbook model-unavailable.
### 3. remedy: c
action: restart-server
### 4. remedy: d
```sh
kubectl delete pod {pod}
```
### 5. person: e
Call the owner.
## Escalate if
## Done when
";

fn runbook(name: &str, text: &str) -> Runbook {
    Runbook { name: name.to_owned(), text: format!("{text}{}", "More.\n".repeat(30)) }
}

/// Checks that the sound runbook, changed in one place, is found fault with once.
fn finds(old: &str, new: &str, expected: &str) {
    assert_eq!(SOUND.matches(old).count(), 1, "{old}");
    let faults: Vec<_> = check(&runbook("external", &SOUND.replace(old, new)))
        .into_iter()
        .map(|offence| offence.advice)
        .collect();
    assert!(faults.iter().any(|fault| fault.contains(expected)), "{expected} in {faults:?}");
}

#[test]
fn a_sound_runbook_passes() {
    assert_eq!(check(&runbook("external", SOUND)), []);
}

#[test]
fn what_has_no_runbook_and_what_is_for_nothing_is_found() {
    let offences = check_all(&[runbook("external", SOUND), runbook("flood", SOUND)]);
    let count = |part: &str| offences.iter().filter(|it| it.advice.contains(part)).count();
    assert_eq!(count("missing"), IncidentType::ALL.len() - 1);
    assert_eq!(count("for no incident type"), 1);
    assert_eq!(count("of 0 runbooks"), RuleId::ALL.len());
}

#[test]
fn a_rule_that_two_runbooks_claim_is_found() {
    let claiming = SOUND.replace("rules: []", "rules: [xid]");
    let offences = check_all(&[runbook("external", &claiming), runbook("gpu-oom", &claiming)]);
    assert!(offences.iter().any(|it| it.advice.starts_with("`xid` stands in `rules` of 2")));
}

#[test]
fn broken_front_matter_is_found() {
    finds("title: Trouble\n", "", "must have the keys");
    finds("title: Trouble", "title:", "empty value");
    finds("type: external", "type: internal", "name of the file");
    finds("rules: []", "rules: [stars]", "`rules` names `stars`");
    finds("P2 20m, ", "", "`escalate_after`");
    finds("R3 restart-server", "R4 reboot", "class from R0 to R3");
    finds("R0 collect-evidence, R3 restart-server", "", "class from R0 to R3");
}

#[test]
fn a_runbook_that_is_too_short_too_long_or_out_of_order_is_found() {
    finds("## Escalate if\n", "", "sections must be");
    finds("## Done when\n", &format!("## Done when\n{}", "a\n".repeat(119)), "read at night");
    let short = Runbook { name: "external".to_owned(), text: SOUND.to_owned() };
    assert!(check(&short).iter().any(|offence| offence.advice.contains("read at night")));
    finds("### 5. person: e\n", "", "at least 5 wanted");
    finds("### 5.", "### 6.", "without holes");
}

#[test]
fn a_step_of_the_wrong_shape_is_found() {
    finds("### 3. remedy", "### 3. maybe", "must be a check");
    finds("reads: xid, nodes\n", "", "must be a check");
    finds("action: restart-server", "Restart it.", "must be a check");
    finds("Call the owner.", "action: restart-server", "must be a check");
    finds("reads: xid", "reads: stars", "reads `stars`");
    finds("action: restart-server", "action: reboot", "not among");
    finds("step 3", "step 7", "which does not exist");
}

#[test]
fn the_way_back_must_be_a_remedy_with_commands() {
    let marked = |step: &str| {
        let text = SOUND.replace("restart-server]", &format!("restart-server]\nrollback: {step}"));
        check(&runbook("external", &text)).into_iter().map(|it| it.advice).collect::<Vec<_>>()
    };
    assert_eq!(marked("4"), Vec::<String>::new());
    for wrong in ["2", "3", "9", "none"] {
        assert_eq!(marked(wrong), ["`rollback` must be the number of a remedy with commands"]);
    }
}

#[test]
fn a_check_that_changes_something_is_found() {
    finds("curl -w '%{http_code}' {endpoint}", "kubectl drain {node}", "a check changes nothing");
    finds("curl -w '%{http_code}' {endpoint}", "curl -X POST a/load", "a check changes nothing");
}

#[test]
fn names_that_nobody_knows_are_found() {
    finds("{pod}", "{pot}", "nobody fills in `{pot}`");
    finds("runbook model-unavailable", "runbook model-missing", "no runbook `model-missing`");
}
