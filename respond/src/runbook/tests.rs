use super::page::parse;

/// A page with one of everything.
pub(crate) const SOUND: &str = "---
type: high-latency
title: Slow
rules: [queue-backup, latency-high]
first_responder: L1
escalate_after: [P1 5m, P2 20m, P3 2h, P4 next-business-day]
safe_actions: [R0 collect-evidence, R2 raise-instances]
rollback: 5
---

# Slow

## What it means
It takes
too long.

## What people see
Timeouts.

## Steps
Forward the ports first.

### 1. check: the queue
reads: queue-backup, queue-depth
- found: next step.
- clear: step 4.
- unknown: look
  by hand; step 2.

### 2. check: the log
```sh
# on {node}
kubectl logs {pod}
```
- `a: b`: use the runbook gpu-oom.

### 3. remedy: one more
action: raise-instances
- worked: stop here.
- refused: step 4.

### 4. person: shed load
Ask the owner of {model}.

Then tell users.

### 5. remedy: undo
```sh
kubectl rollout undo
```
- worked: stop here.

## Escalate if
- it stays;
- or comes
  again.

## Done when
It is quick.
";

/// All that is wrong with the page once it is changed in one place.
fn told(old: &str, new: &str) -> String {
    assert_eq!(SOUND.matches(old).count(), 1, "{old}");
    match parse("page.md", &SOUND.replace(old, new)) {
        Ok(_) => "nothing\n".to_owned(),
        Err(fault) => format!("{fault}\n"),
    }
}

#[test]
fn a_page_is_read_whole() {
    let page = parse("page.md", SOUND).unwrap();
    expect_test::expect![[r#"
        {
          "number": 1,
          "kind": "check",
          "title": "the queue",
          "reads": [
            "queue-backup",
            "queue-depth"
          ],
          "action": null,
          "commands": [],
          "text": "",
          "branches": [
            {
              "when": "found",
              "text": "next step.",
              "to": "next"
            },
            {
              "when": "clear",
              "text": "step 4.",
              "to": "step 4"
            },
            {
              "when": "unknown",
              "text": "look by hand; step 2.",
              "to": "step 2"
            }
          ]
        }"#]]
    .assert_eq(&serde_json::to_string_pretty(&page.steps[0]).unwrap());
    assert_eq!(page.means, "It takes too long.");
    assert_eq!(page.before, "Forward the ports first.");
    assert_eq!(page.steps[1].commands, ["# on {node}\nkubectl logs {pod}\n"]);
    assert_eq!(page.steps[1].branches[0].when.to_string(), "`a: b`");
    assert_eq!(page.steps[3].text, "Ask the owner of {model}.\nThen tell users.");
    assert_eq!(page.escalate_if, ["it stays", "or comes again"]);
    assert_eq!((page.rollback, page.done_when.as_str()), (Some(5), "It is quick."));
}

#[test]
fn what_is_wrong_is_told_with_its_line_and_what_would_do() {
    let faults = [
        told("---\ntype", "type"),
        told("type: high-latency", "type: slow"),
        told("first_responder: L1\n", ""),
        told("P2 20m, ", ""),
        told("P3 2h", "P3 soon"),
        told("[R0 collect-evidence", "[R9 collect-evidence"),
        told("rollback: 5", "rollback: 4"),
        told("title: Slow", "title: Slow\ncolour: red"),
        told("reads: queue-backup, queue-depth", "reads: stars, moons"),
        told("### 3. remedy", "### 4. remedy"),
        told("### 3. remedy", "### 3. maybe"),
        told("### 3. remedy: one more", "### three"),
        told("- clear: step 4.", "- clear: step 9."),
        told("- clear: step 4.", "- clear: step 1."),
        told("- clear: step 4.", "- clear: step 0."),
        told("kubectl logs {pod}", &format!("kubectl logs {{pod}} {}", "x".repeat(90))),
        told("- clear: step 4.", "- clear: step 2 or step 4."),
        told("- clear: step 4.", "- clear, mostly"),
        told("- clear: step 4.", "- worked: step 4."),
        told("- clear: step 4.", "- found: step 4."),
        told("action: raise-instances", "action: reboot"),
        told("action: raise-instances\n", ""),
        told("```\n- `a", "- `a"),
        told("## Escalate if\n- it stays;\n- or comes\n  again.\n", ""),
    ];
    expect_test::expect![[r#"
        page.md:1: must begin with a block of `key: value` lines between two lines `---`
        page.md:2: `slow` is not a incident type (one of: model-unavailable, high-latency, high-error-rate, gpu-oom, noisy-neighbour, gpu-hardware, node-unreachable, telemetry-blind, external)
        page.md:1: `first_responder` is missing from the front matter
        page.md:6: `escalate_after` has no time for P2
        page.md:6: `soon` is no time to wait (try 20m, 2h or next-business-day)
        page.md:7: `R9` is not a risk class (one of: R0, R1, R2, R3)
        page.md:1: `rollback: 4` must be the number of a remedy with commands
        page.md:4: `colour` is no key of the front matter, or stands twice
        page.md:24: `moons` is no rule and nothing that Gpuwarden sees (one of: gpu-state, gpu-memory, utilisation, queue-depth, models, failures, neighbours, sources, nodes, changes, changes 2h)
        page.md:24: `stars` is no rule and nothing that Gpuwarden sees (one of: gpu-state, gpu-memory, utilisation, queue-depth, models, failures, neighbours, sources, nodes, changes, changes 2h)
        page.md:37: must be step 3: number the steps from 1 without holes
        page.md:37: `maybe` is not a kind of step (one of: check, remedy, person)
        page.md:37: `three` is no `N. KIND: title`
        page.md:26: leads to step 9, which does not exist
        page.md:26: leads back to step 1: who follows it must come to an end
        page.md:26: leads to step 0, which does not exist
        page.md:33: wider than 100 columns: go on in the next line after ` \`
        page.md:26: `clear` leads to step 2 and step 4: it must be one of them
        page.md:26: `clear, mostly` is no branch: write `- word: what to do`
        page.md:26: `worked` cannot come of a check
        page.md:23: has two branches `found`
        page.md:37: action `reboot` is not among `safe_actions`
        page.md:37: a remedy has an `action:` or commands, and no `reads:`
        page.md:1: `## Escalate if` lists nothing: say when more people must be told
        page.md:1: `rollback: 5` must be the number of a remedy with commands
        page.md:1: there is no section `## Done when`
        page.md:1: there is no section `## Escalate if`
        page.md:26: leads to step 4, which does not exist
        page.md:49: a block of commands that does not end
        page.md:1: `## Escalate if` lists nothing: say when more people must be told
        page.md:1: there is no section `## Escalate if`
    "#]].assert_eq(&faults.concat());
}

#[test]
fn several_mistakes_are_told_at_once() {
    let broken = SOUND.replace("queue-depth", "stars").replace("step 4", "step 8");
    let fault = parse("page.md", &broken).unwrap_err();
    let lines: Vec<usize> = fault.0.iter().map(|problem| problem.line).collect();
    assert_eq!(lines, [24, 26, 40]);
}
