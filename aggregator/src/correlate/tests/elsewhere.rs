//! Findings on several nodes: one model, one service, one rack, one change.

use super::*;

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
fn what_explains_an_effect_of_a_sick_node_does_not_explain_the_node() {
    let mut stage = Stage::new(topology(
        "[[service]]\nname = \"web\"\nmodels = [\"rank\"]\ndepends_on = [\"features\"]\n\
         [[service]]\nname = \"features\"\nmodels = [\"embed\"]",
    ));
    stage.play(
        "
        0 node-a snapshot models=embed:5 sources=triton/default
        0 node-b snapshot models=rank:5 sources=triton/default
        10 node-b raise thermal-throttle gpu0
        11 node-b raise latency-high rank
        14 node-a raise latency-high embed
        15 node-a raise queue-backup embed
    ",
    );
    insta::assert_snapshot!(stage.shown(), @r"
    #1 P3 gpu-hardware open: thermal-throttle: service is degraded
      node-b GPU 0 thermal-throttle: first seen
      node-b model rank latency-high: a GPU of the node is slowed: thermal-throttle 1 s earlier, same node
    #2 P3 high-latency open: latency-high: service is degraded
      node-a model embed latency-high: first seen
      node-a model embed queue-backup: same subject and type as latency-high
    ");
}
