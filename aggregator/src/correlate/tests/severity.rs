//! How urgent an incident is by the replicas that are left.

use super::*;

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
