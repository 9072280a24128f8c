//! What holds for any lines of two nodes, told once or twice.

use proptest::prelude::*;

use super::*;

/// Lines for one of two nodes, without their second.
fn lines() -> impl Strategy<Value = Vec<String>> {
    let verb = prop::sample::select(vec!["raise", "update", "clear"]);
    let what = prop::sample::select(vec![
        "queue-backup bert",
        "queue-backup resnet",
        "latency-high bert",
        "error-rate-high bert 0.1",
        "error-rate-high bert 0.6",
        "model-unavailable bert down",
        "server-unavailable server down",
        "gpu-memory-exhausted gpu0",
        "noisy-neighbour bert",
        "xid gpu1 warning",
        "xid gpu0",
        "power-brake gpu0",
        "latency-high vit degraded on=0",
        "latency-high vit degraded on=0,1 by=7",
        "queue-stall bert down on=1",
        "telemetry-blind nvml warning",
        "telemetry-blind triton/default warning",
    ]);
    prop::collection::vec((verb, what).prop_map(|(verb, what)| format!("{verb} {what}")), 1..40)
}

fn script(node: &str, lines: &[String]) -> Vec<String> {
    lines.iter().enumerate().map(|(second, line)| format!("{} {node} {line}", second * 7)).collect()
}

proptest! {
    #[test]
    fn the_same_input_gives_the_same_incidents(lines in lines()) {
        let script = script("node-a", &lines).join("\n");
        prop_assert_eq!(play(&script), play(&script));
    }

    #[test]
    fn saying_all_twice_changes_nothing(lines in lines()) {
        let script = script("node-a", &lines);
        let twice: Vec<String> = script.iter().flat_map(|line| [line.clone(), line.clone()]).collect();
        prop_assert_eq!(play(&script.join("\n")), play(&twice.join("\n")));
    }

    #[test]
    fn severity_never_falls_by_itself(lines in lines()) {
        let mut stage = Stage::new(Policy::default());
        let mut worst: HashMap<IncidentId, Severity> = HashMap::new();
        for line in script("node-a", &lines) {
            stage.play(&line);
            for incident in stage.state.incidents().chain(&stage.over) {
                let known = worst.entry(incident.id).or_insert(incident.severity);
                prop_assert!(incident.severity <= *known, "{} fell", incident.id);
                *known = incident.severity;
            }
        }
    }

    #[test]
    fn every_finding_is_in_one_incident_that_knows_it(lines in lines()) {
        let mut stage = Stage::new(Policy::default());
        stage.play(&script("node-a", &lines).join("\n"));
        for (key, place) in &stage.state.nodes[&crate::testing::node("node-a")].findings {
            let member = &stage.state.incident(place.incident).unwrap().members[place.slot.unwrap()];
            prop_assert_eq!(&(member.rule, member.subject.identity()), key);
            prop_assert_eq!(member.cleared_at.is_none(), place.active);
        }
        for case in stage.state.cases.values() {
            let active = case.incident().members.iter().filter(|m| m.cleared_at.is_none()).count();
            prop_assert_eq!(case.active(), active);
        }
    }

    #[test]
    fn the_order_of_unrelated_nodes_does_not_matter(
        ours in lines(),
        theirs in prop::collection::vec(0..2usize, 1..20),
    ) {
        let ours = script("node-a", &ours);
        let kinds = ["raise thermal-throttle gpu5 warning", "clear thermal-throttle gpu5"];
        let theirs: Vec<String> = theirs
            .iter()
            .enumerate()
            .map(|(second, kind)| format!("{} node-z {}", second * 7, kinds[*kind]))
            .collect();
        let types = |stage: &Stage| {
            let mut all: Vec<String> = stage
                .state
                .incidents()
                .map(|incident| {
                    let members = incident.members.iter().map(|m| format!("{}{:?}", m.rule, m.cleared_at));
                    format!("{}{}{:?}", incident.kind, incident.severity, members.collect::<Vec<_>>())
                })
                .collect();
            all.sort();
            all
        };
        let (mut one, mut other) = (Stage::new(Policy::default()), Stage::new(Policy::default()));
        one.play(&ours.join("\n")).play(&theirs.join("\n"));
        other.play(&theirs.join("\n")).play(&ours.join("\n"));
        prop_assert_eq!(types(&one), types(&other));
    }
}
