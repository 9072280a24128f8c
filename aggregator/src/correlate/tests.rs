mod again;
mod order;
mod properties;

use std::collections::HashMap;

use gpuwarden_proto::entity::Entity;
use gpuwarden_proto::vocab::{IncidentId, ModelName, Severity};
use proptest::prelude::*;

use super::*;
use crate::testing::{Stage, at};

mod wholes;

fn play(script: &str) -> String {
    Stage::new(Policy::default()).play(script).shown()
}

#[test]
fn the_same_finding_again_is_an_update() {
    let mut stage = Stage::new(Policy::default());
    stage.play("0 node-a raise queue-backup bert\n5 node-a update queue-backup bert");
    insta::assert_snapshot!(stage.shown(), @r"
    #1 P3 high-latency open: queue-backup: service is degraded
      node-a model bert queue-backup: first seen
    ");
    assert_eq!(stage.log, ["#1 opened"], "newer numbers are no change by themselves");
}

#[test]
fn the_same_subject_and_type_is_one_incident() {
    insta::assert_snapshot!(play("
        0 node-a raise queue-backup bert
        500 node-a raise latency-high bert
    "), @r"
    #1 P3 high-latency open: queue-backup: service is degraded
      node-a model bert queue-backup: first seen
      node-a model bert latency-high: same subject and type as queue-backup
    ");
}

#[test]
fn unrelated_subjects_on_one_node_stay_apart() {
    insta::assert_snapshot!(play("
        0 node-a raise queue-backup bert
        1 node-a raise queue-backup resnet
        2 node-a raise telemetry-blind nvml warning
    "), @r"
    #1 P3 high-latency open: queue-backup: service is degraded
      node-a model bert queue-backup: first seen
    #2 P3 high-latency open: queue-backup: service is degraded
      node-a model resnet queue-backup: first seen
    #3 P4 telemetry-blind open: what cannot be seen is not known to be in trouble
      node-a source nvml telemetry-blind: first seen
    ");
}

#[test]
fn memory_that_runs_out_explains_errors_on_the_same_node() {
    insta::assert_snapshot!(play("
        0 node-a raise gpu-memory-exhausting gpu0 warning
        41 node-a raise gpu-memory-exhausted gpu0 degraded
        43 node-a raise error-rate-high bert 0.38
        44 node-b raise error-rate-high resnet 0.02
    "), @r"
    #1 P2 gpu-oom open: model bert fails 38 % of requests
      node-a GPU 0 gpu-memory-exhausting: first seen
      node-a GPU 0 gpu-memory-exhausted: same subject and type as gpu-memory-exhausting
      node-a model bert error-rate-high: memory ran out: gpu-memory-exhausted 2 s earlier, same node
    #2 P3 high-error-rate open: model resnet fails 2 % of requests
      node-b model resnet error-rate-high: first seen
    ");
}

#[test]
fn what_is_too_late_or_on_another_gpu_is_no_effect() {
    insta::assert_snapshot!(play("
        0 node-a raise xid gpu0
        61 node-a raise latency-high bert
        62 node-a raise gpu-lost gpu1
    "), @r"
    #1 P3 gpu-hardware open: xid: service is degraded
      node-a GPU 0 xid: first seen
    #2 P3 gpu-hardware open: latency-high: service is degraded
      node-a GPU 1 gpu-lost: explains latency-high, same node: a GPU of the node is sick
      node-a model bert latency-high: first seen
    ");
}

#[test]
fn a_late_cause_becomes_the_cause_and_takes_in_what_it_explains() {
    let mut stage = Stage::new(Policy::default());
    stage.play(
        "
        0 node-a raise latency-high bert
        2 node-a raise error-rate-high resnet 0.5
        4 node-a raise gpu-lost gpu0 down
    ",
    );
    insta::assert_snapshot!(stage.shown(), @r"
    #1 P3 high-latency resolved: latency-high: service is degraded
      node-a model bert latency-high: first seen
    #2 P2 gpu-hardware open: model resnet fails 50 % of requests
      node-a GPU 0 gpu-lost: explains error-rate-high, same node: a GPU of the node is sick
      node-a model resnet error-rate-high: first seen
      node-a model bert latency-high: first seen (from #1)
    ");
    let timeline = &stage.state.incident(IncidentId(2)).unwrap().timeline;
    let retyped =
        timeline.iter().any(|line| line.text.contains("gpu-hardware (was high-error-rate)"));
    assert!(retyped, "the type changed in silence: {timeline:?}");
    stage.play("20 node-a update latency-high bert\n21 node-a clear latency-high bert");
    assert_eq!(stage.state.open(), 1, "what was taken in is known under its new number");
}

#[test]
fn a_server_that_is_down_explains_its_models_for_as_long_as_it_is_down() {
    insta::assert_snapshot!(play("
        0 node-a raise server-unavailable server down
        1 node-a raise model-unavailable bert down
        300 node-a raise telemetry-blind triton/default warning
        301 node-a raise model-unavailable resnet@other down
    "), @r"
    #1 P2 model-unavailable open: bert is down, and no snapshot tells how many replicas it has
      node-a Triton default server-unavailable: first seen
      node-a model bert model-unavailable: its server is down: server-unavailable 1 s earlier, same server
      node-a source triton/default telemetry-blind: its server is down: server-unavailable 5 min earlier, same server
    #2 P2 model-unavailable open: resnet is down, and no snapshot tells how many replicas it has
      node-a model resnet model-unavailable: first seen
    ");
}

#[test]
fn one_model_with_the_same_trouble_on_several_nodes_is_one_incident() {
    insta::assert_snapshot!(play("
        0 node-a raise error-rate-high bert 0.1
        300 node-b raise error-rate-high bert 0.1
        301 node-b raise error-rate-high resnet 0.1
        302 node-b raise noisy-neighbour bert
        303 node-a raise noisy-neighbour bert
    "), @r"
    #1 P3 high-error-rate open: model bert fails 10 % of requests
      node-a model bert error-rate-high: first seen
      node-b model bert error-rate-high: bert has the same trouble on node-a
    #2 P3 high-error-rate open: model resnet fails 10 % of requests
      node-b model resnet error-rate-high: first seen
    #3 P3 noisy-neighbour open: noisy-neighbour: service is degraded
      node-b model bert noisy-neighbour: first seen
    #4 P3 noisy-neighbour open: noisy-neighbour: service is degraded
      node-a model bert noisy-neighbour: first seen
    ");
}

#[test]
fn what_one_node_has_is_not_the_cause_of_what_all_have() {
    insta::assert_snapshot!(play("
        0 node-a raise error-rate-high bert 0.1
        1 node-b raise error-rate-high bert 0.1
        5 node-a raise gpu-memory-exhausted gpu0
    "), @r"
    #1 P3 high-error-rate open: model bert fails 10 % of requests
      node-a model bert error-rate-high: first seen
      node-b model bert error-rate-high: bert has the same trouble on node-a
    #2 P3 gpu-oom open: gpu-memory-exhausted: service is degraded
      node-a GPU 0 gpu-memory-exhausted: first seen
    ");
}

#[test]
fn a_lost_node_takes_in_what_had_just_begun_and_nothing_recovers_by_silence() {
    let mut stage = Stage::new(Policy::default());
    stage.play(
        "
        0 node-a raise thermal-throttle gpu0 warning
        3600 node-a raise latency-high bert
        3615 node-a lost
        9000 tick
    ",
    );
    insta::assert_snapshot!(stage.shown(), @r"
    #1 P4 gpu-hardware open: thermal-throttle may become trouble
      node-a GPU 0 thermal-throttle: first seen
    #2 P2 node-unreachable open: node-a does not answer
      node-a node-lost: explains latency-high, same node: the node does not answer
      node-a model bert latency-high: first seen
    ");
    let said = &stage.state.incident(IncidentId(1)).unwrap().timeline.last().unwrap().text;
    assert!(said.starts_with("node-a does not answer; what it had found stays active"), "{said}");
    stage.play("9100 node-a back");
    assert_eq!(stage.state.incident(IncidentId(2)).unwrap().members[0].cleared_at, Some(at(9100)));
    assert_eq!(stage.state.incident(IncidentId(2)).unwrap().members[1].cleared_at, None);
}

#[test]
fn the_only_replica_with_traffic_down_is_p1_half_of_them_p2_and_one_of_three_p3() {
    insta::assert_snapshot!(play("
        0 node-a snapshot models=bert:9,resnet:5,vit:1 sources=triton/default
        0 node-b snapshot models=resnet:5,idle,vit:1 sources=triton/default
        0 node-c snapshot models=vit:1 sources=triton/default
        4 node-c raise model-unavailable vit down
        5 node-a raise model-unavailable bert down
        6 node-a raise model-unavailable resnet down
        7 node-b raise model-unavailable idle down
    "), @r"
    #1 P3 model-unavailable open: 1 of 3 replicas of vit down
      node-c model vit model-unavailable: first seen
    #2 P1 model-unavailable open: 1 of 1 replica of bert down, and it had traffic
      node-a model bert model-unavailable: first seen
    #3 P2 model-unavailable open: 1 of 2 replicas of resnet down
      node-a model resnet model-unavailable: first seen
    #4 P2 model-unavailable open: 1 of 1 replica of idle down, but no traffic has been seen on it
      node-b model idle model-unavailable: first seen
    ");
}

#[test]
fn a_critical_model_is_p1_without_traffic_and_a_lost_node_takes_its_replicas_down() {
    let critical = BTreeSet::from([ModelName::new("bert").unwrap()]);
    let mut stage = Stage::new(Policy { critical, ..Policy::default() });
    stage.play(
        "
        0 node-a snapshot models=bert sources=triton/default
        60 node-a lost
    ",
    );
    insta::assert_snapshot!(stage.shown(), @r"
    #1 P1 node-unreachable open: 1 of 1 replica of bert down, and the model is critical
      node-a node-lost: first seen
    ");
}

#[test]
fn a_snapshot_clears_only_what_it_could_have_seen() {
    insta::assert_snapshot!(play("
        0 node-a raise queue-backup bert
        1 node-a raise row-remap gpu0 warning
        9 node-a snapshot models=bert sources=!nvml,triton/default active=
    "), @r"
    #1 P3 high-latency quiet: queue-backup: service is degraded
      node-a model bert queue-backup (over): first seen
    #2 P4 gpu-hardware open: row-remap may become trouble
      node-a GPU 0 row-remap: first seen
    ");
}

#[test]
fn a_snapshot_raises_what_is_not_known_and_keeps_what_is() {
    insta::assert_snapshot!(play("
        0 node-a raise queue-backup bert
        4 node-a snapshot models=bert sources=nvml,triton/default active=queue-backup/bert,xid/gpu3
    "), @r"
    #1 P3 gpu-hardware open: queue-backup: service is degraded
      node-a GPU 3 xid: explains queue-backup, same node: a GPU of the node is sick
      node-a model bert queue-backup: first seen
    ");
}

#[test]
fn a_quiet_incident_resolves_and_the_next_finding_opens_another() {
    let mut stage = Stage::new(Policy::default());
    stage.play(
        "
        0 node-a raise queue-backup bert
        10 node-a clear queue-backup bert
        30 node-a raise queue-backup bert
        40 node-a clear queue-backup bert
        99 tick
    ",
    );
    assert_eq!(stage.state.open(), 1, "it was active again after 10 s");
    stage.play("100 tick\n101 node-a raise queue-backup bert");
    insta::assert_snapshot!(stage.shown(), @r"
    #1 P3 high-latency open: queue-backup: service is degraded
      node-a model bert queue-backup: first seen
    ");
}

#[test]
fn what_was_resolved_with_force_is_silent_until_it_is_raised_anew() {
    let mut stage = Stage::new(Policy::default());
    stage.play(
        "
        0 node-a raise queue-backup bert
        5 resolve 1
        6 resolve 1 force
    ",
    );
    assert!(stage.log[1].starts_with("refused: #1 has 1 active members"), "{:?}", stage.log);
    // An update still tells of the beginning that was judged.
    let key = (RuleId::QueueBackup, crate::testing::subject("bert"));
    assert!(stage.state.nodes[&crate::testing::node("node-a")].findings[&key].settled);
    stage.play("9 node-a clear queue-backup bert");
    assert_eq!(stage.state.open(), 0);
    stage.play("20 node-a raise queue-backup bert");
    assert_eq!(stage.state.open(), 1);
}

#[test]
fn findings_over_the_limit_are_counted() {
    let mut stage = Stage::new(Policy { findings_max: 1, ..Policy::default() });
    stage.play("0 node-a raise queue-backup bert\n1 node-a raise queue-backup resnet");
    assert_eq!((stage.state.open(), stage.state.dropped), (1, 1));
    let mut stage = Stage::new(Policy { open_max: 1, ..Policy::default() });
    stage.play("0 node-a raise queue-backup bert\n1 node-a raise queue-backup resnet");
    assert_eq!((stage.state.open(), stage.state.dropped), (1, 1));
}

#[test]
fn what_is_restored_goes_on_as_if_nothing_had_been() {
    let mut stage = Stage::new(Policy::default());
    stage.play(
        "
        0 node-a raise gpu-memory-exhausted gpu0
        1 node-a raise error-rate-high bert 0.1
        2 node-b raise queue-backup bert
        3 node-b clear queue-backup bert
    ",
    );
    let incidents: Vec<Incident> = stage.state.incidents().cloned().collect();
    let next = stage.state.next_id();
    let state = State::restore(Policy::default(), HashMap::new(), incidents.clone(), next, at(4));
    let mut restored = Stage { state, over: Vec::new(), log: Vec::new() };
    assert_eq!(restored.state.incidents().cloned().collect::<Vec<_>>(), incidents);
    let more = "5 node-a clear error-rate-high bert\n6 node-a raise latency-high bert\n80 tick";
    assert_eq!(restored.play(more).shown(), stage.play(more).shown());
}

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

fn topology(text: &str) -> Policy {
    let topology = Topology::parse("topology.toml", text).unwrap();
    Policy { topology, ..Policy::default() }
}

#[test]
fn what_is_on_another_gpu_is_no_effect_however_close_in_time() {
    insta::assert_snapshot!(play("
        0 node-a raise gpu-lost gpu0 down
        1 node-a raise error-rate-high bert 0.5 on=1
        2 node-a raise error-rate-high resnet 0.5 on=0,1
        400 node-a raise latency-high vit degraded on=0
    "), @r"
    #1 P2 gpu-hardware open: model resnet fails 50 % of requests
      node-a GPU 0 gpu-lost: first seen
      node-a model resnet error-rate-high: a GPU of the node is sick: gpu-lost 2 s earlier, same GPU
      node-a model vit latency-high: a GPU of the node is sick: gpu-lost 6 min earlier, same GPU
    #2 P2 high-error-rate open: model bert fails 50 % of requests
      node-a model bert error-rate-high: first seen
    ");
}

#[test]
fn a_rack_whose_nodes_go_together_is_one_incident_and_so_is_a_zone() {
    let mut stage = Stage::new(topology(
        "[[rack]]\nname = \"r1\"\nzone = \"a\"\nnodes = [\"n1\", \"n2\", \"n3\", \"n4\"]\n\
         [[rack]]\nname = \"r2\"\nzone = \"a\"\nnodes = [\"m1\", \"m2\", \"m3\"]",
    ));
    stage.play("0 n1 lost\n1 n2 lost\n2 n3 lost\n30 n4 lost\n31 other lost");
    insta::assert_snapshot!(stage.shown(), @r"
    #2 P2 node-unreachable resolved: n2 does not answer
      n2 node-lost: first seen
    #3 P2 node-unreachable resolved: n3 does not answer
      n3 node-lost: first seen
    #1 P2 node-unreachable open: n1 does not answer
      n1 node-lost: first seen
      n2 node-lost: first seen (from #2)
      n3 node-lost: first seen (from #3)
      n4 node-lost: n4 is part of rack r1, which has failed as a whole
    #4 P2 node-unreachable open: other does not answer
      other node-lost: first seen
    ");
    let incident = stage.state.incident(IncidentId(1)).unwrap();
    insta::assert_snapshot!(incident.title, @"rack r1: 4 nodes, n1 has not been heard of for 10 s");
    insta::assert_snapshot!(incident.roots[0].entity, @"rack r1");
    stage.play("40 m1 lost\n41 m2 lost\n42 m3 lost");
    insta::assert_snapshot!(stage.state.incident(IncidentId(1)).unwrap().roots[0].entity, @"zone a");
    assert_eq!(stage.state.open(), 2);
}

#[test]
fn nodes_of_one_rack_that_go_one_by_one_stay_apart() {
    let mut stage =
        Stage::new(topology("[[rack]]\nname = \"r1\"\nnodes = [\"n1\", \"n2\", \"n3\", \"n4\"]"));
    stage.play("0 n1 lost\n100 n2 lost\n200 n3 lost");
    assert_eq!(stage.state.open(), 3);
}

#[test]
fn what_follows_one_deploy_on_several_nodes_has_one_cause() {
    let mut stage = Stage::new(Policy::default());
    stage.play(
        "
        0 node-a change model-deployed bert
        30 node-a raise error-rate-high bert 0.2
        400 node-b change model-deployed bert
        600 node-b raise latency-high bert
        610 node-c raise latency-high bert
    ",
    );
    insta::assert_snapshot!(stage.shown(), @r"
    #1 P3 high-error-rate open: model bert fails 20 % of requests
      node-a model bert error-rate-high: first seen
      node-b model bert latency-high: bert was changed here 3 min before, as on node-a, which has error-rate-high
    #2 P3 high-latency open: latency-high: service is degraded
      node-c model bert latency-high: first seen
    ");
    let roots = &stage.state.incident(IncidentId(1)).unwrap().roots;
    let shown: Vec<String> = roots
        .iter()
        .map(|root| format!("{} {:.2}: {}", root.entity, root.score, root.reason))
        .collect();
    insta::assert_snapshot!(shown.join("\n"), @r"
    version bert:1 0.98: explains 2 of 2 members, began first, model-deployed 30 s before
    model bert 0.80: explains 2 of 2 members, began first, several nodes have it
    replica default/bert:1 of node-a 0.54: explains 1 of 2 members, began first
    replica default/bert:1 of node-b 0.44: explains 1 of 2 members
    ");
}

#[test]
fn nodes_that_fail_after_a_new_driver_are_one_incident() {
    let mut stage = Stage::new(Policy::default());
    for node in ["a", "b", "c"] {
        stage.play(&format!("0 {node} snapshot driver=570.1\n1 {node} change driver-changed node"));
    }
    stage.play("60 a raise xid gpu0\n300 b raise xid gpu1\n700 c raise gpu-lost gpu2 down");
    insta::assert_snapshot!(stage.shown(), @r"
    #2 P3 gpu-hardware resolved: xid: service is degraded
      b GPU 1 xid: first seen
    #3 P3 gpu-hardware resolved: gpu-lost: partial failure
      c GPU 2 gpu-lost: first seen
    #1 P3 gpu-hardware open: xid: service is degraded
      a GPU 0 xid: first seen
      b GPU 1 xid: first seen (from #2)
      c GPU 2 gpu-lost: first seen (from #3)
    ");
}

#[test]
fn a_service_that_is_asked_is_the_cause_of_trouble_of_those_that_ask_it() {
    let mut stage = Stage::new(topology(
        "[[service]]\nname = \"web\"\nmodels = [\"rank\"]\ndepends_on = [\"features\"]\n\
         [[service]]\nname = \"features\"\nmodels = [\"embed\"]",
    ));
    stage.play(
        "
        0 node-a snapshot models=embed:5 sources=triton/default
        0 node-b snapshot models=rank:5 sources=triton/default
        10 node-b raise latency-high rank
        12 node-a raise queue-backup embed
        40 node-c raise latency-high rank
    ",
    );
    insta::assert_snapshot!(stage.shown(), @r"
    #1 P3 high-latency open: latency-high: service is degraded
      node-a model embed queue-backup: rank on node-b asks it, and has latency-high
      node-b model rank latency-high: first seen
      node-c model rank latency-high: rank has the same trouble on node-b; it asks embed, which has queue-backup on node-a
    ");
    insta::assert_snapshot!(stage.state.incident(IncidentId(1)).unwrap().roots[0].entity, @"replica default/embed:1 of node-a");
}

#[test]
fn one_of_many_replicas_that_is_slow_is_not_missed_by_those_that_ask() {
    let mut stage = Stage::new(topology(
        "[[service]]\nname = \"web\"\nmodels = [\"rank\"]\ndepends_on = [\"features\"]\n\
         [[service]]\nname = \"features\"\nmodels = [\"embed\"]",
    ));
    for nth in 0..6 {
        stage.play(&format!("0 n{nth} snapshot models=embed:5"));
    }
    stage.play("10 n0 raise latency-high embed\n12 other raise latency-high rank");
    assert_eq!(stage.state.open(), 2);
}

#[test]
fn a_cause_on_one_gpu_takes_its_effect_out_of_what_all_nodes_have() {
    let mut stage = Stage::new(Policy::default());
    stage.play(
        "
        0 node-a raise error-rate-high bert 0.1 on=0
        1 node-b raise error-rate-high bert 0.1 on=0
        2 node-a raise gpu-lost gpu0 down
        3 node-a clear error-rate-high bert
        9 node-a clear gpu-lost gpu0
    ",
    );
    insta::assert_snapshot!(stage.shown(), @r"
    #1 P3 high-error-rate open: model bert fails 10 % of requests
      node-b model bert error-rate-high: bert has the same trouble on node-a
    #2 P3 gpu-hardware quiet: gpu-lost: partial failure
      node-a GPU 0 gpu-lost (over): first seen
      node-a model bert error-rate-high (over): first seen (from #1)
    ");
}

#[test]
fn what_did_not_fit_is_told_again_when_it_comes_again_after_its_incident() {
    let limits = Limits { members: 1, ..Limits::default() };
    let mut stage = Stage::new(Policy { limits, ..Policy::default() });
    stage.play(
        "
        0 node-a raise server-unavailable server down
        1 node-a raise model-unavailable bert down
        2 node-a clear model-unavailable bert
        3 node-a clear server-unavailable server
        63 tick
        90 node-a raise model-unavailable bert down
    ",
    );
    assert_eq!((stage.over.len(), stage.state.open()), (1, 1), "{}", stage.shown());
}

#[test]
fn nothing_is_known_of_incidents_that_went_on_as_others_but_where() {
    let mut stage = Stage::new(topology(
        "[[rack]]\nname = \"r1\"\nzone = \"a\"\nnodes = [\"n1\", \"n2\", \"n3\"]",
    ));
    stage.play("0 n1 lost\n1 n2 lost\n2 n3 lost");
    let rack = Entity::fleet(gpuwarden_proto::entity::EntityKind::Rack, "r1");
    let zone = Entity::fleet(gpuwarden_proto::entity::EntityKind::Zone, "a");
    for group in [rack, zone] {
        assert_eq!(stage.state.index.all(&group).collect::<Vec<_>>(), [IncidentId(1)]);
    }
}

#[test]
fn an_incident_that_went_on_as_another_keeps_what_did_not_fit() {
    let limits = Limits { members: 2, ..Limits::default() };
    let mut stage = Stage::new(Policy { limits, ..Policy::default() });
    stage.play(
        "
        0 node-a raise server-unavailable server down
        1 node-a raise model-unavailable bert down
        2 node-a raise model-unavailable resnet down
        3 node-a lost
        4 node-a clear model-unavailable resnet
        4 node-a clear model-unavailable bert
        4 node-a clear server-unavailable server
        5 node-a back
        64 tick
        65 tick
    ",
    );
    assert_eq!(stage.state.open(), 0, "{}", stage.shown());
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
