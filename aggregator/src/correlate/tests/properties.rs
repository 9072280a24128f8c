//! What holds for any story of several nodes.

use std::collections::{BTreeMap, BTreeSet};

use gpuwarden_proto::vocab::IncidentState;
use proptest::prelude::*;

use super::*;
use crate::incident::legal;
use crate::testing::Stage;

const RULES: &[&str] = &[
    "gpu-memory-exhausted gpu0",
    "gpu-memory-exhausted gpu0 down",
    "xid gpu0 down",
    "error-rate-high bert 0.3",
    "queue-backup bert",
    "latency-high resnet by=7",
    "model-unavailable bert down",
    "server-unavailable server down",
    "thermal-throttle gpu1 warning",
    "telemetry-blind nvml",
];
const SNAPSHOTS: &[&str] = &[
    "snapshot models=bert:9,resnet:1 sources=nvml,triton/default labels=rack:r1,zone:a",
    "snapshot models=bert:0 sources=!nvml,triton/default labels=rack:r2,zone:a",
    "snapshot models=bert:9 sources=nvml labels=rack:r1,zone:a driver=570 active=queue-backup/bert",
];
const OTHER: &[&str] =
    &["lost", "back", "change model-deployed bert", "change driver-changed node to=571"];

/// Lines of a story in the order of time.
fn story() -> impl Strategy<Value = Vec<String>> {
    let finding =
        (prop_oneof![4 => Just("raise"), 1 => Just("update"), 3 => Just("clear")], 0..RULES.len())
            .prop_map(|(verb, what)| format!("{verb} {}", RULES[what]));
    let snapshot = (0..SNAPSHOTS.len()).prop_map(|what| SNAPSHOTS[what].to_owned());
    let other = (0..OTHER.len()).prop_map(|what| OTHER[what].to_owned());
    let said = prop_oneof![8 => finding, 2 => snapshot, 1 => other];
    let of_node = (0..4_usize, said).prop_map(|(node, said)| format!("node-{node} {said}"));
    let command = (1..6_usize, any::<bool>())
        .prop_map(|(id, force)| format!("resolve {id}{}", if force { " force" } else { "" }));
    let line = prop_oneof![12 => of_node, 1 => command, 2 => Just("tick".to_owned())];
    let gap = prop_oneof![4 => 0..4_u64, 2 => 4..40_u64, 1 => 60..130_u64];
    proptest::collection::vec((gap, line), 1..80).prop_map(|lines| {
        let mut second = 0;
        let told = lines.into_iter().map(|(gap, line)| {
            second += gap;
            format!("{second} {line}")
        });
        told.collect()
    })
}

/// The active members of incidents that are not over, by finding.
fn active(stage: &Stage) -> BTreeMap<(Option<NodeId>, Key), Vec<IncidentId>> {
    let mut found: BTreeMap<(Option<NodeId>, Key), Vec<IncidentId>> = BTreeMap::new();
    for incident in stage.state.incidents() {
        for member in incident.members.iter().filter(|member| member.cleared_at.is_none()) {
            let key = (member.rule, member.subject.identity());
            found.entry((member.node.clone(), key)).or_default().push(incident.id);
        }
    }
    found
}

proptest! {
    #[test]
    fn an_active_finding_is_in_one_incident_and_none_is_lost(story in story()) {
        let mut stage = Stage::new(Policy::default());
        for line in &story {
            stage.play(line);
            let active = active(&stage);
            for (finding, ids) in &active {
                prop_assert_eq!(ids.len(), 1, "{:?} after {}", finding, line);
            }
            for (id, node) in &stage.state.nodes {
                for (key, place) in node.findings.iter().filter(|(_, p)| p.active && !p.settled) {
                    let known = active.get(&(Some(id.clone()), key.clone()));
                    let home = stage.state.at_home(*place).incident;
                    prop_assert_eq!(known, Some(&vec![home]), "{:?} after {}", key, line);
                }
            }
            let placed: usize = stage.state.nodes.values()
                .map(|node| node.findings.values().filter(|p| p.active && !p.settled).count())
                .sum();
            prop_assert_eq!(placed, active.len(), "after {}", line);
            for case in stage.state.cases.values() {
                let members = &case.incident().members;
                let active = members.iter().filter(|member| member.cleared_at.is_none()).count();
                prop_assert_eq!(case.active(), active);
            }
        }
    }

    #[test]
    fn no_incident_is_lost_or_over_twice_and_its_state_takes_only_legal_ways(story in story()) {
        let mut stage = Stage::new(Policy::default());
        let mut states: BTreeMap<IncidentId, IncidentState> = BTreeMap::new();
        let mut over: BTreeSet<IncidentId> = BTreeSet::new();
        for line in &story {
            stage.play(line);
            for incident in stage.over.drain(..) {
                // Once more only where the same had come again meanwhile, and history says so.
                let again = incident.timeline.iter().any(|entry| entry.kind == "reopened");
                let first = over.insert(incident.id);
                prop_assert!(first || again, "{} is over twice", incident.id);
                prop_assert_eq!(incident.state, IncidentState::Resolved);
                prop_assert!(incident.resolved_at.is_some());
                prop_assert!(stage.state.incident(incident.id).is_none());
                let before = states.get(&incident.id).copied().unwrap_or(IncidentState::Open);
                prop_assert!(legal(before, IncidentState::Resolved));
                states.remove(&incident.id);
            }
            for incident in stage.state.incidents() {
                let before = states.insert(incident.id, incident.state);
                let before = before.unwrap_or(IncidentState::Open);
                let before = if over.contains(&incident.id) { IncidentState::Resolved } else { before };
                // Within one line an incident may become quiet and go on.
                let may = before == incident.state || legal(before, incident.state);
                prop_assert!(may, "{}: {before} to {} by {line}", incident.id, incident.state);
                // It is back only because the same came again, and says so.
                if over.remove(&incident.id) {
                    let told = incident.timeline.iter().filter(|entry| entry.kind == "reopened");
                    prop_assert!(told.count() > 0, "{} is back", incident.id);
                }
            }
            let given = stage.state.next_id() - 1;
            let known = over.len() as u64 + stage.state.open() as u64;
            prop_assert_eq!(known, given, "an incident is lost by {}", line);
        }
    }

    #[test]
    fn what_is_told_twice_changes_nothing(story in story()) {
        let mut once = Stage::new(Policy::default());
        let mut twice = Stage::new(Policy::default());
        for line in &story {
            once.play(line);
            twice.play(line);
            // A second resolve is refused, which is told.
            twice.play(line);
        }
        prop_assert_eq!(once.shown(), twice.shown());
    }
}
