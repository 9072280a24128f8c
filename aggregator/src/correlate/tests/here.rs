//! Findings on one node: what is the cause of what, and what is not.

use super::*;

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
