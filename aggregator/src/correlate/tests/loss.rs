//! A rack that is lost, what it was like before, and what it leaves to others.

use super::*;

const RACKS: &str = "[[rack]]\nname = \"r1\"\nnodes = [\"n1\", \"n2\", \"n3\"]\n";

/// Three nodes of a rack, and nine others that serve the same models.
fn fleet(models: &str) -> Stage {
    let mut stage = Stage::new(topology(RACKS));
    let inside = (1..=3).map(|nth| format!("0 n{nth} snapshot models={models}"));
    let outside = (1..=9).map(|nth| format!("0 m{nth} snapshot models={models},clip:1"));
    stage.play(&inside.chain(outside).collect::<Vec<_>>().join("\n"));
    stage
}

const LOST: &str = "10 n1 lost\n11 n2 lost\n12 n3 lost";

#[test]
fn what_most_models_of_a_lost_rack_have_elsewhere_is_part_of_it() {
    let mut stage = fleet("bert:1,resnet:1");
    stage.play(LOST);
    stage.play("14 m1 raise queue-backup bert\n15 m2 raise queue-backup resnet\n16 tick");
    insta::assert_snapshot!(stage.shown(), @r"
    #2 P2 node-unreachable resolved: n2 does not answer
      n2 node-lost: first seen
    #3 P2 node-unreachable resolved: n3 does not answer
      n3 node-lost: first seen
    #4 P3 high-latency resolved: queue-backup: service is degraded
      m1 model bert queue-backup: first seen
    #5 P3 high-latency resolved: queue-backup: service is degraded
      m2 model resnet queue-backup: first seen
    #1 P2 node-unreachable open: n1 does not answer
      n1 node-lost: first seen
      n2 node-lost: first seen (from #2)
      n3 node-lost: first seen (from #3)
      m1 model bert queue-backup: first seen (from #4)
      m2 model resnet queue-backup: first seen (from #5)
    ");
    let lines = &stage.state.incident(IncidentId(1)).unwrap().timeline;
    let why = lines.iter().find(|line| line.text.contains("have to do more")).unwrap();
    insta::assert_snapshot!(why.text, @"takes in #4: 2 of 2 models that lost replicas with rack r1 have to do more elsewhere");
    // The next one is known to belong there, also after a restart.
    let nodes = std::mem::take(&mut stage.state.nodes);
    let incidents: Vec<_> = stage.state.incidents().cloned().collect();
    let next = stage.state.next_id();
    stage.state = State::restore(topology(RACKS), nodes, incidents, next, at(17));
    stage.play("18 tick\n19 m3 raise queue-backup bert");
    assert_eq!(stage.state.open(), 1, "{}", stage.shown());
}

#[test]
fn that_the_rack_is_lost_may_be_known_after_the_others_wait() {
    let mut stage = fleet("bert:1,resnet:1");
    stage.play("8 m1 raise queue-backup bert\n9 m2 raise latency-high resnet");
    stage.play(LOST);
    stage.play("13 tick");
    assert_eq!(stage.state.open(), 1, "{}", stage.shown());
}

#[test]
fn that_one_of_many_models_waits_is_chance_and_so_is_what_it_does_not_serve() {
    let mut stage = fleet("a:1,b:1,c:1,d:1");
    stage.play(LOST);
    stage.play("14 m1 raise queue-backup a\n15 m2 raise queue-backup clip\n16 tick");
    assert_eq!(stage.state.open(), 3, "{}", stage.shown());
}

#[test]
fn what_waited_long_before_the_rack_was_lost_has_another_cause() {
    let mut stage = fleet("bert:1,resnet:1");
    stage.play("1 m1 raise queue-backup bert\n2 m2 raise queue-backup resnet");
    stage.play("40 n1 lost\n41 n2 lost\n42 n3 lost\n43 tick");
    assert_eq!(stage.state.open(), 3, "{}", stage.shown());
}

#[test]
fn a_rack_that_is_braked_and_then_lost_is_one_incident() {
    let brakes =
        "1 n1 raise power-brake gpu0\n2 n2 raise power-brake gpu0\n3 n3 raise power-brake gpu0";
    let mut stage = fleet("bert:1");
    stage.play(brakes);
    stage.play("20 n1 lost\n21 n2 lost\n22 n3 lost\n23 tick");
    insta::assert_snapshot!(stage.shown(), @r"
    #2 P3 gpu-hardware resolved: power-brake: service is degraded
      n2 GPU 0 power-brake: first seen
    #3 P3 gpu-hardware resolved: power-brake: service is degraded
      n3 GPU 0 power-brake: first seen
    #1 P2 node-unreachable open: n1 does not answer
      n1 node-lost: n1 is part of rack r1, which has failed as a whole; explains power-brake, same node: the node does not answer
      n2 GPU 0 power-brake: first seen (from #2)
      n3 GPU 0 power-brake: first seen (from #3)
      n1 GPU 0 power-brake: first seen
      n2 node-lost: n2 is part of rack r1, which has failed as a whole; explains power-brake, same node: the node does not answer
      n3 node-lost: n3 is part of rack r1, which has failed as a whole; explains power-brake, same node: the node does not answer
    ");
}

#[test]
fn a_rack_that_is_lost_long_after_it_was_braked_is_another_matter() {
    let brakes =
        "1 n1 raise power-brake gpu0\n2 n2 raise power-brake gpu0\n3 n3 raise power-brake gpu0";
    let mut stage = fleet("bert:1");
    stage.play(brakes);
    stage.play("600 n1 lost\n601 n2 lost\n602 n3 lost\n603 tick");
    assert_eq!(stage.state.open(), 2, "{}", stage.shown());
}
