//! The step of a runbook that takes a change back. Pure: the runbooks are part of the program.

use gpuwarden_proto::change::RecordedChange;
use gpuwarden_proto::event::Subject;
use gpuwarden_proto::incident::Member;
use gpuwarden_proto::vocab::IncidentType;

/// The text of the runbook of a type.
const fn text(kind: IncidentType) -> &'static str {
    match kind {
        IncidentType::ModelUnavailable => include_str!("../../runbooks/model-unavailable.md"),
        IncidentType::HighLatency => include_str!("../../runbooks/high-latency.md"),
        IncidentType::HighErrorRate => include_str!("../../runbooks/high-error-rate.md"),
        IncidentType::GpuOom => include_str!("../../runbooks/gpu-oom.md"),
        IncidentType::NoisyNeighbour => include_str!("../../runbooks/noisy-neighbour.md"),
        IncidentType::GpuHardware => include_str!("../../runbooks/gpu-hardware.md"),
        IncidentType::NodeUnreachable => include_str!("../../runbooks/node-unreachable.md"),
        IncidentType::TelemetryBlind => include_str!("../../runbooks/telemetry-blind.md"),
        IncidentType::External => include_str!("../../runbooks/external.md"),
    }
}

/// One step of a runbook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Step<'a> {
    number: &'a str,
    /// Without its number and kind.
    title: &'a str,
    body: &'a str,
}

/// The step that takes a change back in incidents of this type: its title in the first line, its
/// commands in the others. Empty where the runbook has none.
#[must_use]
pub fn rollback(kind: IncidentType, change: &RecordedChange, first: &Member) -> String {
    let Some(step) = rollback_step(text(kind)) else { return String::new() };
    let mut lines = vec![format!("runbook {kind}, step {}: {}", step.number, step.title)];
    lines.extend(commands(step.body).map(|line| filled(line, change, first)));
    lines.join("\n")
}

fn rollback_step(text: &str) -> Option<Step<'_>> {
    let front = text.strip_prefix("---\n")?.split("\n---\n").next()?;
    let wanted = front.lines().find_map(|line| line.strip_prefix("rollback: "))?.trim();
    let mut steps = text.split("\n### ").skip(1);
    steps.find_map(|step| {
        let (head, body) = step.split_once('\n')?;
        let (number, rest) = head.split_once(". ")?;
        let (_, title) = rest.split_once(": ")?;
        (number == wanted).then_some(Step { number, title, body })
    })
}

/// The lines of the blocks of commands, up to the next heading.
fn commands(body: &str) -> impl Iterator<Item = &str> {
    let own = body.split("\n## ").next().unwrap_or(body);
    let blocks = own.split("```sh\n").skip(1);
    blocks.flat_map(|block| block.split("```").next().unwrap_or("").lines())
}

/// With the names that are known; other names stay in braces.
fn filled(line: &str, change: &RecordedChange, first: &Member) -> String {
    let mut line = line.to_owned();
    if let Some(node) = &first.node {
        line = line.replace("{node}", node.as_str());
    }
    if let Subject::Model { model, .. } = &first.subject {
        line = line.replace("{model}", model.as_str());
    }
    if !change.before.is_empty() {
        line = line.replace("{version}", &change.before);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::incident::member;
    use crate::testing::{at, finding, node, recorded};
    use gpuwarden_proto::vocab::Phase;

    fn step(kind: IncidentType) -> String {
        let cause = finding(Phase::Raised, &["error-rate-high", "bert"], at(0));
        let first = member(Some(node("node-a")), cause, crate::incident::Belongs::first());
        rollback(kind, &recorded(0, "rollout key=a"), &first)
    }

    #[test]
    fn a_step_has_its_title_and_its_commands_with_the_names_that_are_known() {
        insta::assert_snapshot!(step(IncidentType::HighErrorRate), @r"
        runbook high-error-rate, step 4: roll back the model version if it was recently updated
        kubectl rollout undo deployment/{deployment} -n {namespace}
        kubectl rollout status deployment/{deployment} -n {namespace} --timeout=10m
        curl -s localhost:8000/v2/models/bert/config
        ");
    }

    #[test]
    fn each_type_has_a_step_with_commands_that_takes_a_change_back() {
        for kind in IncidentType::ALL {
            assert!(step(*kind).lines().count() > 1, "{kind}: {}", step(*kind));
        }
    }

    #[test]
    fn a_driver_is_taken_back_to_the_version_that_ran_before() {
        let cause = finding(Phase::Raised, &["xid", "gpu0"], at(0));
        let first = member(Some(node("node-a")), cause, crate::incident::Belongs::first());
        let mut change = recorded(0, "rollout key=a").as_ref().clone();
        change.before = "570.133.20".to_owned();
        let told = rollback(IncidentType::GpuHardware, &change, &first);
        assert!(told.contains(r#""driver":{"version":"570.133.20"}"#), "{told}");
    }
}
