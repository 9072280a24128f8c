use std::time::Duration;

use gpuwarden_agent::engine::{Effect, Engine};
use gpuwarden_agent::rule::Thresholds;
use gpuwarden_agent::sample::{Input, Moment, Now};
use gpuwarden_proto::event::{Body, Finding};
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::Phase;

use super::*;
use crate::model::Life;

/// Lets a node live for so long under the agent's engine, and gives what was raised and cleared.
fn findings(mut node: SimNode, s: u64) -> Vec<String> {
    let mut engine = Engine::new(Thresholds::default(), std::slice::from_ref(&node.server));
    let mut told = Vec::new();
    for ms in (0..=s * 1_000).step_by(500) {
        let moment = Moment::ms(ms);
        let wall = Timestamp::from_unix_s(1_800_000_000).after(Duration::from_millis(ms));
        let now = Now { moment, wall };
        for input in node.inputs(moment).into_iter().chain([Input::Tick]) {
            for effect in engine.apply(now, input) {
                if let Effect::Emit(event) = effect
                    && let Body::Finding(finding) = event.body
                    && finding.phase != Phase::Updated
                {
                    told.push(line(ms, &node, &finding));
                }
            }
        }
    }
    told
}

fn line(ms: u64, node: &SimNode, finding: &Finding) -> String {
    format!("{:>4.1} s {} {} {}", ms as f64 / 1_000.0, node.id, finding.rule, finding.phase)
}

#[test]
fn a_healthy_fleet_gives_no_finding() {
    let told: Vec<String> = healthy(3).into_iter().flat_map(|node| findings(node, 120)).collect();
    assert_eq!(told, Vec::<String>::new());
}

#[test]
fn the_agents_engine_finds_each_trouble_of_the_demo() {
    let told: Vec<String> = demo(7).into_iter().flat_map(|node| findings(node, 90)).collect();
    insta::assert_snapshot!(told.join("\n"), @r#"
    18.5 s node-a gpu-memory-exhausting raised
    33.0 s node-a gpu-memory-exhausted raised
    34.0 s node-a error-rate-high raised
    46.5 s node-a gpu-memory-exhausting cleared
    49.0 s node-a gpu-memory-exhausted cleared
    59.0 s node-a error-rate-high cleared
    40.0 s node-b noisy-neighbour raised
    29.0 s node-c queue-backup raised
    41.5 s node-c queue-backup cleared
    41.5 s node-c model-unavailable raised
    61.0 s node-c model-unavailable cleared
    54.0 s node-d xid raised
    55.0 s node-d gpu-lost raised
    55.5 s node-d error-rate-high raised
    "#);
}

#[test]
fn the_demo_script_names_only_what_is_there() {
    let script = Script::parse(DEMO_SCRIPT).expect("a good script");
    assert_eq!(script.check(&healthy(1)), []);
    let last = script.steps.iter().map(|step| step.at).max();
    assert!(last <= Some(Duration::from_secs(80)));
}

#[test]
fn a_healthy_fleet_answers_everybody_and_nobody_waits_long() {
    for mut node in healthy(1) {
        node.advance(Moment::ms(60_000));
        for model in node.models() {
            let (name, counted) = (&model.spec.name, &model.counters);
            assert_eq!(counted.failed_backend, 0, "{name}");
            let wait_ms = counted.queue_us / counted.success.max(1) / 1_000;
            assert!(wait_ms < 20, "{name} waits {wait_ms} ms on average");
        }
    }
}

#[test]
fn each_trouble_of_the_demo_shows_in_the_numbers_at_its_time() {
    let mut nodes = demo(1);
    let failed = |nodes: &[SimNode], node: usize, model: usize| {
        nodes[node].models[model].counters.failed_backend
    };
    let to = |nodes: &mut Vec<SimNode>, s: u64| {
        nodes.iter_mut().for_each(|node| node.advance(Moment::ms(s * 1_000)));
    };
    to(&mut nodes, 32);
    assert!(nodes[2].models[1].pending() > 200, "the queue of whisper-small backs up");
    assert_eq!(failed(&nodes, 0, 2), 0);
    to(&mut nodes, 45);
    assert!(failed(&nodes, 0, 2) > 100, "bert-large fails for want of memory");
    assert!(matches!(nodes[2].models[2].life, Life::Failed { .. }), "reranker is not there");
    to(&mut nodes, 56);
    assert!(nodes[3].gpus[1].lost, "a GPU of node-d is lost");
    assert_eq!(nodes[3].take_xids().len(), 1);
    to(&mut nodes, 80);
    assert!(nodes[2].models[1].pending() < 20, "the queue is worked off");
    assert_eq!(nodes[2].models[2].life, Life::Ready, "reranker is back");
}
