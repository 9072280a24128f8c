//! The step of a runbook that takes a change back. Pure: the runbooks are part of the program.

use gpuwarden_proto::change::RecordedChange;
use gpuwarden_proto::event::Subject;
use gpuwarden_proto::incident::Member;
use gpuwarden_proto::vocab::IncidentType;
use gpuwarden_respond::runbook::names::Names;
use gpuwarden_respond::runbook::shelf;

/// The step that takes a change back in incidents of this type: its title in the first line, its
/// commands in the others, with the names that are known. Empty where the runbook has none.
#[must_use]
pub fn rollback(kind: IncidentType, change: &RecordedChange, first: &Member) -> String {
    let page = shelf::page(kind);
    let Some(step) = page.rollback.and_then(|number| page.step(number)) else {
        return String::new();
    };
    let names = names(change, first);
    let mut lines = vec![format!("runbook {kind}, step {}: {}", step.number, step.title)];
    let commands = step.commands.iter().flat_map(|block| block.lines());
    lines.extend(commands.map(|line| names.fill(line)));
    lines.join("\n")
}

fn names(change: &RecordedChange, first: &Member) -> Names {
    let mut names = Names::default();
    if let Some(node) = &first.node {
        names.set("node", node.as_str());
    }
    if let Subject::Model { model, .. } = &first.subject {
        names.set("model", model.as_str());
    }
    names.set("version", &change.before);
    names
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
