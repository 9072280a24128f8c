//! What is known stays known: snapshots, ends, limits, restarts, incidents that went on as others.

use super::*;

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
    let touched = Touched::default();
    let mut restored = Stage { state, over: Vec::new(), log: Vec::new(), touched };
    assert_eq!(restored.state.incidents().cloned().collect::<Vec<_>>(), incidents);
    let more = "5 node-a clear error-rate-high bert\n6 node-a raise latency-high bert\n80 tick";
    assert_eq!(restored.play(more).shown(), stage.play(more).shown());
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
