//! Runbooks as text.

use gpuwarden_proto::runbook::{Page, Step, Summary, written_reads};
use gpuwarden_proto::vocab::Severity;

use crate::page;
use crate::text::WIDTH;

/// All runbooks, a block each.
pub fn list(runbooks: &[Summary]) -> String {
    let mut page = page::Page::new(WIDTH);
    for runbook in runbooks {
        let Summary { kind, title, checks, remedies, persons, .. } = runbook;
        let rules: Vec<&str> = runbook.rules.iter().map(|rule| rule.as_str()).collect();
        let steps = checks + remedies + persons;
        let kinds = format!("check {checks}, remedy {remedies}, person {persons}");
        page.wrapped(19, &format!("{:<19}", kind.as_str()), title);
        page.wrapped(14, "    steps     ", &format!("{steps}: {kinds}"));
        page.wrapped(14, "    rules     ", &rules.join(", "));
    }
    page.line("gpuwarden runbook show TYPE shows one");
    page.text()
}

/// One runbook from top to bottom.
pub fn page(runbook: &Page) -> String {
    let mut page = page::Page::new(WIDTH);
    page.line(&format!("{}  {}", runbook.kind, runbook.title));
    page.line("");
    for (label, text) in facts(runbook) {
        page.labelled(label, &text);
    }
    section(&mut page, "What it means", &runbook.means);
    section(&mut page, "What people see", &runbook.sees);
    section(&mut page, "Steps", &runbook.before);
    for each in &runbook.steps {
        step(&mut page, each, runbook);
    }
    section(&mut page, "Escalate if", "");
    for item in &runbook.escalate_if {
        page.wrapped(6, "    - ", item);
    }
    section(&mut page, "Done when", &runbook.done_when);
    page.text()
}

fn facts(runbook: &Page) -> Vec<(&'static str, String)> {
    let rules: Vec<&str> = runbook.rules.iter().map(|rule| rule.as_str()).collect();
    let actions: Vec<String> =
        runbook.safe_actions.iter().map(|safe| format!("{} {}", safe.action, safe.risk)).collect();
    let after = &runbook.escalate_after;
    let [p1, p2, p3, p4] = [Severity::P1, Severity::P2, Severity::P3, Severity::P4];
    let after =
        format!("{p1} {}, {p2} {}, {p3} {}, {p4} {}", after.p1, after.p2, after.p3, after.p4);
    let mut facts = vec![
        ("rules", rules.join(", ")),
        ("first", runbook.first_responder.clone()),
        ("escalate", after),
        ("actions", actions.join(", ")),
    ];
    facts.extend(runbook.rollback.map(|number| ("undo", format!("step {number}"))));
    facts
}

fn section(page: &mut page::Page, title: &str, body: &str) {
    page.heading(title);
    for line in body.lines() {
        page.paragraph(line);
    }
}

fn step(page: &mut page::Page, step: &Step, runbook: &Page) {
    page.line("");
    page.wrapped(6, &format!("  {}. ", step.number), &format!("{}: {}", step.kind, step.title));
    if !step.reads.is_empty() {
        page.wrapped(12, "    reads   ", &written_reads(&step.reads));
    }
    if let Some(action) = &step.action {
        let safe = runbook.safe_actions.iter().find(|safe| safe.action == *action);
        let risk = safe.map_or(String::new(), |safe| format!(" {}", safe.risk));
        page.wrapped(12, "    action  ", &format!("{action}{risk}"));
    }
    for block in &step.commands {
        page.line("");
        // As they stand, and from the first column on: they are to be copied.
        block.lines().for_each(|command| page.line(command));
        page.line("");
    }
    for line in step.text.lines() {
        page.paragraph(line);
    }
    for branch in &step.branches {
        page.wrapped(6, "    - ", &format!("{}: {}", branch.when, branch.text));
    }
}

#[cfg(test)]
mod tests {
    use gpuwarden_proto::vocab::IncidentType;
    use gpuwarden_respond::runbook::shelf;

    use super::*;

    #[test]
    fn each_type_is_listed_with_its_steps_and_the_rules_that_lead_to_it() {
        let summaries: Vec<Summary> = shelf::pages().iter().map(Page::summary).collect();
        let text = list(&summaries);
        insta::assert_snapshot!(text, @r"
        model-unavailable  Triton model unavailable
            steps     9: check 5, remedy 3, person 1
            rules     model-unavailable, server-unavailable
        high-latency       High latency or timeouts
            steps     11: check 5, remedy 5, person 1
            rules     queue-backup, queue-stall, queue-rejecting, latency-high, kv-cache-saturated,
                      latency-burn
        high-error-rate    High error rate
            steps     8: check 5, remedy 2, person 1
            rules     error-rate-high, availability-burn
        gpu-oom            GPU out of memory
            steps     10: check 3, remedy 5, person 2
            rules     gpu-memory-exhausted, gpu-memory-exhausting, host-memory-oom
        noisy-neighbour    Noisy neighbour on a GPU or node
            steps     10: check 5, remedy 3, person 2
            rules     noisy-neighbour, rogue-process, cpu-throttled
        gpu-hardware       GPU hardware fault
            steps     10: check 4, remedy 3, person 3
            rules     xid, gpu-lost, gpu-recovery-required, ecc-uncorrected, row-remap, thermal-throttle,
                      power-brake, pcie-degraded, nvlink-errors
        node-unreachable   Node unreachable
            steps     10: check 7, remedy 1, person 2
            rules     node-lost
        telemetry-blind    Telemetry blind
            steps     9: check 6, remedy 2, person 1
            rules     telemetry-blind
        external           Trouble reported from outside
            steps     10: check 6, remedy 1, person 3
            rules     external-alert, user-report
        gpuwarden runbook show TYPE shows one
        ");
    }

    #[test]
    fn a_runbook_reads_from_top_to_bottom() {
        insta::assert_snapshot!(page(shelf::page(IncidentType::ModelUnavailable)), @r#"
        model-unavailable  Triton model unavailable

          rules     model-unavailable, server-unavailable
          first     L1 platform engineer
          escalate  P1 5m, P2 20m, P3 2h, P4 next-business-day
          actions   collect-evidence R0, load-model R1, load-previous-version R2, restart-server R3
          undo      step 8

          What it means
            A model is not `READY` in Triton's repository index, or the whole server is not live or not
            ready. With `--strict-readiness` (the default) one bad model makes the whole server not ready,
            so healthy models on the same pod lose their traffic too.

          What people see
            HTTP 400 from `/v2/models/{model}/ready`, 404 or 503 on inference (400 from old releases), pods
            that are `0/1` ready.

          Steps
            `curl` lines need `kubectl port-forward -n {namespace} pod/{pod} 8000 8002` in a second
            terminal.

          1. check: the pods run and are ready
            reads   server-unavailable, models

        kubectl get pods -l app=triton -n {namespace} -o wide
        kubectl describe pod {pod} -n {namespace} | tail -n 30

            - found: read the logs of that pod.
            - Pending: no GPU or node is free (`Insufficient nvidia.com/gpu`); step 9.
            - clear: all pods are ready, only the model is missing; step 3.

          2. check: what Triton logged

        kubectl logs {pod} -n {namespace} -c triton --tail=300
        kubectl logs {pod} -n {namespace} -c triton --previous --tail=300
        kubectl get pod {pod} -n {namespace} \
          -o jsonpath='{.status.containerStatuses[?(@.name=="triton")].lastState.terminated}'

            - exit 137: killed for host memory (`OOMKilled`) or by a failed liveness probe; step 7.
            - exit 1: a model failed at start, the log names it; step 3.
            - exit 139: Triton or a Python stub crashed; keep the log; step 7.
            - `CUDA error`, `illegal memory access`: the CUDA context is dead, a reload does not heal it;
              step 7.

          3. check: the model's state and the reason for it
            reads   model-unavailable, models

        curl -s -X POST localhost:8000/v2/repository/index

            - reason `unloaded`: somebody unloaded it; ask before you load it.
            - reason `out of memory` or `memory limit set for`: use the runbook gpu-oom.
            - reason `Invalid argument` or `failed to load`: broken config or files, loading again cannot
              help; step 4.
            - state `LOADING`: wait for twice its usual load time (`nv_model_load_duration_secs`).
            - state missing: the load was never tried; step 4.

          4. check: the model repository is mounted and readable

        kubectl get pod {pod} -n {namespace} -o jsonpath='{.spec.containers[?(@.name=="triton")].args}'
        kubectl exec {pod} -n {namespace} -c triton -- ls -lR /models/{model}
        kubectl exec {pod} -n {namespace} -c triton -- cat /models/{model}/config.pbtxt

            Use the path behind `--model-repository` if it is not `/models`. Each version is a numbered
            folder.
            - not mounted or empty: mend the volume or its claim, then step 6.
            - object store (`s3://`, `gs://`): look for 403 or a timeout in the log; mend credentials or
              network.

          5. check: the GPU is there
            reads   gpu-lost, gpu-recovery-required, xid, gpu-state, gpu-memory

        kubectl exec {pod} -n {namespace} -c triton -- timeout 10 nvidia-smi

            - found: use the runbook gpu-hardware.
            - clear: the table shows the GPU with memory free for the model; next step.
            - `Failed to initialize NVML`: the container lost its device, or the driver changed; step 7.

          6. remedy: load the model once
            action  load-model R1

        curl -s -X POST -w '%{http_code}\n' localhost:8000/v2/repository/models/{model}/load
        curl -s -o /dev/null -w '%{http_code}\n' localhost:8000/v2/models/{model}/ready

            Needs `--model-control-mode=explicit`; otherwise Triton answers 503. Two tries at most: every
            failed load can leak GPU memory. A load may take minutes; do not cancel it.
            - worked: ready answers 200; send one real request; stop here.
            - refused: restart instead; step 7.
            - failed: the new version is the suspect; step 8.

          7. remedy: restart the deployment if it ran out of memory or loops in crashes
            action  restart-server R3

        kubectl rollout restart deployment/{deployment} -n {namespace}
        kubectl rollout status deployment/{deployment} -n {namespace} --timeout=10m

            Save the `--previous` log first. For `OOMKilled` raise the memory limit too, or it comes back.
            - worked: all pods are ready; stop here.
            - failed: next step.

          8. remedy: go back to the version that worked
            action  load-previous-version R2

        kubectl rollout history deployment/{deployment} -n {namespace}
        kubectl rollout undo deployment/{deployment} -n {namespace}

            If only the repository changed, restore the old version folder or `version_policy` there and
            load.
            - worked: ready answers 200; stop here.
            - failed: next step.

          9. person: escalate if the load failure persists
            Give L2 the index reason, the log and `gpuwarden incidents show {incident}`. Move traffic to
            other replicas.

          Escalate if
            - no replica of the model is ready (P1), or the load failed twice with the same reason
            - the reason is out of memory and nothing on the GPU may be unloaded

          Done when
            `/v2/models/{model}/ready` answers 200, a real request succeeds, and the finding stays clear for
            5 minutes.
        "#);
    }

    #[test]
    fn every_runbook_fits_the_terminal_and_its_commands_stand_as_they_are_written() {
        for kind in IncidentType::ALL {
            let runbook = shelf::page(*kind);
            let text = page(runbook);
            for line in text.lines() {
                assert!(line.chars().count() <= WIDTH, "{kind}: {line}");
            }
            for command in runbook.steps.iter().flat_map(|step| &step.commands) {
                assert!(text.contains(command.as_str()), "{kind}: {command}");
            }
        }
    }
}
