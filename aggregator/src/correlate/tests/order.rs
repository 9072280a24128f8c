//! Findings of different nodes may come in another order than they began. Within [`DELAY_S`] that
//! makes no difference to which findings are one incident, where one reason ties them all: the same
//! model on several nodes, or the nodes of a rack that is lost.

use std::collections::BTreeSet;

use gpuwarden_proto::vocab::Phase;
use proptest::prelude::*;

use super::*;
use crate::node::lost_finding;
use crate::testing::{at, finding, node, snapshot};

/// So much later than another an event may come, although it was observed earlier, in seconds.
const DELAY_S: u64 = 10;

/// A finding of a node that began at a second and is told some seconds later.
#[derive(Debug, Clone)]
struct Told {
    node: usize,
    second: u64,
    delay: u64,
    words: &'static str,
}

/// Which findings are one incident, in the order in which they come.
fn parts(told: &[Told], labels: &[&str]) -> BTreeSet<BTreeSet<String>> {
    let mut state = State::restore(Policy::default(), HashMap::new(), Vec::new(), 1, at(0));
    let mut touched = Touched::default();
    for (nth, label) in labels.iter().enumerate() {
        let id = node(&format!("node-{nth}"));
        state.nodes.insert(id.clone(), Node::new(at(0)));
        let words = [format!("labels={label}"), "models=bert:9,resnet:1".to_owned()];
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        apply(&mut state, at(0), &id, Signal::Snapshot(snapshot(&words, at(0))), &mut touched);
    }
    let mut told: Vec<&Told> = told.iter().collect();
    told.sort_by_key(|each| each.second + each.delay);
    for each in told {
        let (id, now) = (node(&format!("node-{}", each.node)), at(each.second + each.delay));
        let observed_at = at(each.second);
        let signal = if each.words == "lost" {
            Signal::Lost(lost_finding(&id, observed_at, now))
        } else {
            let words: Vec<&str> = each.words.split_whitespace().collect();
            let finding = finding(Phase::Raised, &words, observed_at);
            Signal::Finding { observed_at, backlog: false, finding }
        };
        apply(&mut state, now, &id, signal, &mut touched);
    }
    let member = |m: &Member| format!("{:?} {} {:?}", m.node, m.rule, m.subject);
    state
        .incidents()
        .map(|incident| incident.members.iter().map(|each| member(each)).collect())
        .collect()
}

fn delayed(words: &'static str, nodes: usize) -> impl Strategy<Value = Vec<Told>> {
    proptest::collection::vec((0..20_u64, 0..=DELAY_S), nodes).prop_map(move |times| {
        let told = |(node, (second, delay))| Told { node, second, delay, words };
        times.into_iter().enumerate().map(told).collect()
    })
}

fn in_order(told: &[Told]) -> Vec<Told> {
    told.iter().map(|each| Told { delay: 0, ..each.clone() }).collect()
}

proptest! {
    #[test]
    fn trouble_of_one_model_on_several_nodes_is_one_incident_in_any_order(
        told in delayed("queue-backup bert", 4),
    ) {
        let labels = ["rack:r1", "rack:r2", "rack:r3", "rack:r4"];
        prop_assert_eq!(parts(&told, &labels), parts(&in_order(&told), &labels));
    }

    #[test]
    fn the_nodes_of_a_lost_rack_are_one_incident_in_any_order(told in delayed("lost", 5)) {
        let parts = parts(&told, &["rack:r1"; 5]);
        prop_assert_eq!(parts.len(), 1);
    }

    #[test]
    fn troubles_that_nothing_ties_stay_apart_in_any_order(
        times in proptest::collection::vec((0..20_u64, 0..=DELAY_S), 3),
    ) {
        let words = ["xid gpu0 down", "queue-backup bert", "telemetry-blind nvml"];
        let told = |(node, ((second, delay), words)): (usize, ((u64, u64), &'static str))| {
            Told { node, second, delay, words }
        };
        let told: Vec<Told> = times.into_iter().zip(words).enumerate().map(told).collect();
        prop_assert_eq!(parts(&told, &["rack:r1", "rack:r2", "rack:r3"]).len(), 3);
    }

    #[test]
    fn two_findings_of_any_kind_are_the_same_incidents_in_any_order(told in scene()) {
        let labels = ["rack:r1", "rack:r2"];
        prop_assert_eq!(parts(&told, &labels), parts(&in_order(&told), &labels));
    }
}

/// Two findings of two nodes, each of its own.
fn scene() -> impl Strategy<Value = Vec<Told>> {
    let words = prop::sample::select(vec![
        "lost",
        "queue-backup bert",
        "latency-high bert",
        "error-rate-high bert 0.2",
        "model-unavailable bert down",
        "server-unavailable server down",
        "gpu-memory-exhausted gpu0",
        "xid gpu0 down",
        "thermal-throttle gpu0",
        "error-rate-high resnet 0.2",
    ]);
    let told = (0..2_usize, 0..60_u64, 0..=DELAY_S, words)
        .prop_map(|(node, second, delay, words)| Told { node, second, delay, words });
    proptest::collection::vec(told, 2).prop_filter("each finding once", |told| {
        let all: BTreeSet<_> = told.iter().map(|each| (each.node, each.words)).collect();
        all.len() == told.len()
    })
}
