use gpuwarden_proto::inventory::LATENCY_COUNTS;

use super::*;
use crate::testing::{at, node, snapshot};

/// A snapshot said at that second: `bert=LIFE:REQUESTS:FAILURES`, where a life is the second in which
/// the agent began. All requests that were answered took 1 ms at the most.
fn said(second: u64, models: &str) -> Snapshot {
    let list: Vec<&str> = models.split_whitespace().collect();
    let names: Vec<&str> = list.iter().filter_map(|each| each.split('=').next()).collect();
    let mut snapshot = snapshot(&[&format!("models={}", names.join(","))], at(second));
    for (model, words) in snapshot.servers[0].models.iter_mut().zip(list) {
        let Some((_, numbers)) = words.split_once('=') else { continue };
        let numbers: Vec<u64> = numbers.split(':').map(|number| number.parse().unwrap()).collect();
        let mut latency = vec![0; LATENCY_COUNTS];
        latency[0] = numbers[1] - numbers[2];
        let (requests, failures) = (numbers[1], numbers[2]);
        model.served = Some(Served { since: at(numbers[0]), requests, failures, latency });
    }
    snapshot
}

/// Hears snapshots, each `HEARD SAID MODELS`, and tells what was new in each: `from..heard
/// requests/failures`.
fn heard(script: &str) -> String {
    let mut heard = Heard::default();
    let mut told = String::new();
    for line in script.lines().map(str::trim) {
        let mut words = line.splitn(3, ' ');
        let mut second = || words.next().unwrap().parse::<u64>().unwrap();
        let (now, said_at) = (second(), second());
        let snapshot = said(said_at, words.next().unwrap_or_default());
        let news = heard.take(at(now), &node("n1"), &snapshot, |model| model.as_str() != "other");
        for News { model, from, delta } in news {
            let from = from.since(at(0)).as_secs();
            let Delta { requests, failures, latency } = delta;
            let timed: u64 = latency.iter().sum();
            assert_eq!(timed, requests - failures, "{line}");
            told += &format!("{model} {from}..{now} {requests}/{failures}\n");
        }
    }
    told
}

#[test]
fn what_counters_grew_by_is_new_and_what_they_were_at_first_is_not() {
    let told = heard("10 10 bert=0:100:7\n20 20 bert=0:130:9\n30 30 bert=0:130:9");
    insta::assert_snapshot!(told, @r#"
    bert 10..20 30/2
    bert 20..30 0/0
    "#);
}

#[test]
fn a_snapshot_that_comes_twice_or_late_counts_nothing() {
    let told = heard(
        "10 10 bert=0:100:0\n20 20 bert=0:130:0\n21 20 bert=0:130:0\n22 15 bert=0:115:0\n\
         30 30 bert=0:140:0",
    );
    insta::assert_snapshot!(told, @r#"
    bert 10..20 30/0
    bert 20..30 10/0
    "#);
}

#[test]
fn an_agent_that_began_anew_has_counted_only_what_is_new() {
    let told =
        heard("10 10 bert=0:100:5\n30 30 bert=25:8:1\n31 20 bert=0:110:5\n40 40 bert=25:9:1");
    insta::assert_snapshot!(told, @r#"
    bert 10..30 8/1
    bert 30..40 1/0
    "#);
}

#[test]
fn counters_that_went_back_in_one_life_count_nothing_and_go_on_from_there() {
    let told = heard("10 10 bert=0:100:5\n20 20 bert=0:40:2\n30 30 bert=0:45:2");
    insta::assert_snapshot!(told, @"bert 20..30 5/0");
}

#[test]
fn a_model_that_came_since_is_counted_from_its_first_request() {
    let told =
        heard("10 10 bert=0:100:0\n20 20 bert=0:100:0 rank=12:7:2\n30 30 bert=0:100:0 old=3:99:0");
    insta::assert_snapshot!(told, @r#"
    bert 10..20 0/0
    rank 10..20 7/2
    bert 20..30 0/0
    "#);
}

#[test]
fn what_a_node_served_while_it_was_not_heard_of_is_counted_when_it_is_back() {
    let told = heard("10 10 bert=0:100:0\n3610 3610 bert=0:900:40");
    insta::assert_snapshot!(told, @"bert 10..3610 800/40");
}

#[test]
fn a_clock_that_was_set_back_hides_nothing_that_was_served() {
    let told = heard("1000 1000 bert=0:100:0\n1010 400 bert=0:110:0\n1020 410 bert=0:120:0");
    insta::assert_snapshot!(told, @r#"
    bert 1000..1010 10/0
    bert 1010..1020 10/0
    "#);
}

#[test]
fn models_of_no_objective_are_not_remembered() {
    assert_eq!(heard("10 10 other=0:1:0\n20 20 other=0:9:0"), "");
}

#[test]
fn a_node_that_does_not_tell_is_said_to_be_silent_and_is_not_waited_for_for_ever() {
    let mut heard = Heard::default();
    for name in ["n1", "n2"] {
        heard.take(at(0), &node(name), &said(0, "bert=0:1:0"), |_| true);
    }
    heard.take(at(50), &node("n2"), &said(50, "bert=0:2:0"), |_| true);
    let silent = |second| -> Vec<bool> {
        let mut all: Vec<bool> = heard.nodes(at(second)).map(|(_, is_silent)| is_silent).collect();
        all.sort_unstable();
        all
    };
    assert_eq!(silent(59), [false, false]);
    assert_eq!(silent(60), [false, true]);
    assert_eq!(silent(24 * 3600), [true]);
}
