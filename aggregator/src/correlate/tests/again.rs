//! What comes again, comes and goes, or comes late.

use super::*;

fn told(stage: &Stage, id: u64) -> String {
    let all = stage.over.iter().chain(stage.state.incidents());
    let incident = all.filter(|incident| incident.id == IncidentId(id)).last().unwrap();
    let lines = incident.timeline.iter().map(|entry| format!("{} {}", entry.kind, entry.text));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_same_soon_after_the_end_is_the_same_incident() {
    let mut stage = Stage::new(Policy::default());
    stage.play(
        "
        0 node-a raise queue-backup bert
        10 node-a clear queue-backup bert
        70 tick
        300 node-a raise queue-backup bert
    ",
    );
    insta::assert_snapshot!(told(&stage, 1), @r"
    detected node-a model bert: queue-backup seen
    classified high-latency: its likely cause is queue-backup on node-a model bert
    severity P3: queue-backup: service is degraded
    cleared node-a model bert queue-backup is over
    quiet no member is active any more
    resolved quiet for 1 min
    reopened the same again 3 min after it was over
    again node-a model bert again: queue-backup seen
    ");
    assert_eq!(stage.log, ["#1 opened", "#1 changed", "#1 resolved", "#1 changed"]);
    assert_eq!((stage.state.open(), stage.over.len()), (1, 0));
}

#[test]
fn the_same_long_after_the_end_is_another_incident_and_so_is_an_effect_of_it() {
    let mut stage = Stage::new(Policy::default());
    stage.play(
        "
        0 node-a raise xid gpu0
        1 node-a raise queue-backup bert
        10 node-a clear queue-backup bert
        11 node-a clear xid gpu0
        80 tick
        300 node-a raise queue-backup bert
        400 node-a clear queue-backup bert
        500 tick
        1200 node-a raise queue-backup bert
    ",
    );
    insta::assert_snapshot!(stage.shown(), @r"
    #1 P3 gpu-hardware resolved: xid: service is degraded
      node-a GPU 0 xid (over): first seen
      node-a model bert queue-backup (over): a GPU of the node is sick: xid 1 s earlier, same node
    #2 P3 high-latency resolved: queue-backup: service is degraded
      node-a model bert queue-backup (over): first seen
    #3 P3 high-latency open: queue-backup: service is degraded
      node-a model bert queue-backup: first seen
    ");
}

#[test]
fn what_is_explained_by_something_else_now_does_not_go_back() {
    insta::assert_snapshot!(play("
        0 node-a raise queue-backup bert
        10 node-a clear queue-backup bert
        70 tick
        100 node-a raise thermal-throttle gpu0
        105 node-a raise queue-backup bert
    "), @r"
    #1 P3 high-latency resolved: queue-backup: service is degraded
      node-a model bert queue-backup (over): first seen
    #2 P3 gpu-hardware open: thermal-throttle: service is degraded
      node-a GPU 0 thermal-throttle: first seen
      node-a model bert queue-backup: a GPU of the node is slowed: thermal-throttle 5 s earlier, same node
    ");
}

#[test]
fn what_flaps_is_told_at_its_beginning_and_its_end() {
    let mut stage = Stage::new(Policy::default());
    for turn in 0..20 {
        let (up, down) = (turn * 120, turn * 120 + 30);
        stage.play(&format!(
            "
            {up} node-a raise queue-backup bert
            {down} node-a clear queue-backup bert
            {} tick",
            down + 70
        ));
    }
    assert_eq!(stage.state.open(), 1);
    let news = stage.log.len();
    stage.play("2880 tick\n2920 tick\n3000 tick");
    insta::assert_snapshot!(told(&stage, 1), @r"
    detected node-a model bert: queue-backup seen
    classified high-latency: its likely cause is queue-backup on node-a model bert
    severity P3: queue-backup: service is degraded
    cleared node-a model bert queue-backup is over
    quiet no member is active any more
    resolved quiet for 1 min
    reopened the same again 20 s after it was over
    again node-a model bert again: queue-backup seen
    cleared node-a model bert queue-backup is over
    quiet no member is active any more
    resolved quiet for 1 min
    reopened the same again 20 s after it was over
    again node-a model bert again: queue-backup seen
    cleared node-a model bert queue-backup is over
    quiet no member is active any more
    resolved quiet for 1 min
    reopened the same again 20 s after it was over
    flapping node-a model bert queue-backup flaps: raised 4 times, never calm for 10 min between; told again when it is
    calm node-a model bert queue-backup flaps no more: over for 10 min, after it was raised 20 times
    resolved quiet for 1 min
    ");
    assert_eq!(stage.state.open(), 0);
    assert!(news < 16, "{:?}", stage.log);
}

#[test]
fn what_was_over_before_it_was_told_joins_the_incident_of_its_time_and_wakes_nobody() {
    let mut stage = Stage::new(Policy::default());
    stage.play(
        "
        10 node-a raise error-rate-high bert 0.3
        20 node-a clear error-rate-high bert
        90 tick
        600 node-b snapshot models=bert sources=nvml,triton/default
        600 node-b late 12 raise error-rate-high bert 0.95
        600 node-b late 25 clear error-rate-high bert
        600 node-b late 30 raise xid gpu1
        601 node-b late 40 raise queue-backup resnet
    ",
    );
    insta::assert_snapshot!(stage.shown(), @r"
    #1 P2 high-error-rate resolved: model bert fails 30 % of requests
      node-a model bert error-rate-high (over): first seen
      node-b model bert error-rate-high (over): bert has the same trouble on node-a
    #2 P3 gpu-hardware resolved: xid: service is degraded
      node-b GPU 1 xid (over): first seen
      node-b model resnet queue-backup (over): a GPU of the node is sick: xid 10 s earlier, same node
    ");
    assert_eq!(stage.state.open(), 0, "nothing of it goes on");
    insta::assert_snapshot!(told(&stage, 1), @r"
    detected node-a model bert: error-rate-high seen
    classified high-error-rate: its likely cause is error-rate-high on node-a model bert
    severity P2: model bert fails 30 % of requests
    cleared node-a model bert error-rate-high is over
    quiet no member is active any more
    resolved quiet for 1 min
    late node-b model bert error-rate-high came 9 min late: error-rate-high seen (bert has the same trouble on node-a)
    ");
}

#[test]
fn what_came_late_and_cannot_be_seen_may_go_on() {
    let mut stage = Stage::new(Policy::default());
    stage.play(
        "
        600 node-b snapshot sources=!nvml
        600 node-b late 30 raise ecc-uncorrected gpu1
    ",
    );
    assert_eq!(stage.state.open(), 1);
}

#[test]
fn a_restart_forgets_neither_what_may_come_again_nor_what_flaps() {
    let mut stage = Stage::new(Policy::default());
    stage.play(
        "
        0 node-a raise queue-backup bert
        10 node-a clear queue-backup bert
        70 tick
    ",
    );
    let over = stage.over.clone();
    stage.state = State::restore(Policy::default(), HashMap::new(), over, 2, at(100));
    stage.play("300 node-a raise queue-backup bert");
    assert_eq!(stage.state.incidents().map(|incident| incident.id.0).collect::<Vec<_>>(), [1]);
}

#[test]
fn people_know_better_what_belongs_together() {
    let mut stage = Stage::new(Policy::default());
    stage.play(
        "
        0 node-a raise queue-backup bert
        100 node-b raise xid gpu0
        110 merge 2 1
        120 merge 1 1
        121 merge 1 9
    ",
    );
    insta::assert_snapshot!(stage.shown(), @r"
    #2 P3 gpu-hardware resolved: xid: service is degraded
      node-b GPU 0 xid: first seen
    #1 P3 high-latency open: queue-backup: service is degraded
      node-a model bert queue-backup: first seen
      node-b GPU 0 xid: first seen (from #2)
    ");
    insta::assert_snapshot!(stage.log.join("\n"), @r"
    #1 opened
    #2 opened
    #1 changed
    #2 resolved
    refused: #1 cannot be merged into itself
    refused: there is no incident #9
    ");
    stage.play("130 node-b clear xid gpu0\n131 node-b raise xid gpu0");
    assert_eq!(stage.state.open(), 1, "it stays where a person put it");
}

#[test]
fn people_know_better_what_does_not_belong_together() {
    let mut stage = Stage::new(Policy::default());
    stage.play(
        "
        0 node-a raise latency-high bert
        1 node-b raise latency-high bert
        10 split 1 2
        20 split 1 1
        21 split 2 7
    ",
    );
    insta::assert_snapshot!(stage.shown(), @r"
    #1 P3 high-latency open: latency-high: service is degraded
      node-a model bert latency-high: first seen
    #2 P3 high-latency open: latency-high: service is degraded
      node-b model bert latency-high: bert has the same trouble on node-a
    ");
    insta::assert_snapshot!(stage.log.join("\n"), @r"
    #1 opened
    #1 changed
    #1 changed
    #2 opened
    refused: #1 has 1 members, counted from 1: name some of them, and not all
    refused: #2 has 1 members, counted from 1: name some of them, and not all
    ");
    stage.play("30 node-b clear latency-high bert\n31 node-b raise latency-high bert");
    assert_eq!(stage.state.open(), 2);
    assert!(!stage.state.may_unite(IncidentId(1), IncidentId(2)));
}

#[test]
fn what_comes_again_goes_to_what_explains_it_now_although_its_old_incident_is_open() {
    let mut stage = Stage::new(Policy::default());
    stage.play(
        "
        0 node-a raise xid gpu0
        5 node-a raise queue-backup bert degraded on=0,1
        20 node-a clear queue-backup bert
        400 node-a raise thermal-throttle gpu1
        405 node-a raise queue-backup bert degraded on=0,1
    ",
    );
    insta::assert_snapshot!(stage.shown(), @r"
    #1 P3 gpu-hardware open: xid: service is degraded
      node-a GPU 0 xid: first seen
      node-a model bert queue-backup (over): a GPU of the node is sick: xid 5 s earlier, same GPU
    #2 P3 gpu-hardware open: thermal-throttle: service is degraded
      node-a GPU 1 thermal-throttle: first seen
      node-a model bert queue-backup: a GPU of the node is slowed: thermal-throttle 5 s earlier, same GPU
    ");
    stage.play("420 node-a clear queue-backup bert\n421 node-a clear xid gpu0");
    assert_eq!(stage.state.open(), 2, "one is quiet, one has its throttle");
}

#[test]
fn what_comes_again_soon_or_with_nothing_else_to_explain_it_stays_where_it_was() {
    insta::assert_snapshot!(play("
        0 node-a raise xid gpu0
        5 node-a raise queue-backup bert
        20 node-a clear queue-backup bert
        60 node-a raise queue-backup bert
        70 node-a clear queue-backup bert
        400 node-a raise queue-backup bert
    "), @r"
    #1 P3 gpu-hardware open: xid: service is degraded
      node-a GPU 0 xid: first seen
      node-a model bert queue-backup: a GPU of the node is sick: xid 5 s earlier, same node
    ");
}

#[test]
fn what_nothing_explains_after_a_long_calm_is_an_incident_of_its_own() {
    let mut stage = Stage::new(Policy::default());
    stage.play(
        "
        0 node-a raise xid gpu0
        5 node-a raise queue-backup bert
        20 node-a clear queue-backup bert
        1200 node-a raise queue-backup bert
    ",
    );
    insta::assert_snapshot!(stage.shown(), @r"
    #1 P3 gpu-hardware open: xid: service is degraded
      node-a GPU 0 xid: first seen
      node-a model bert queue-backup (over): a GPU of the node is sick: xid 5 s earlier, same node
    #2 P3 high-latency open: queue-backup: service is degraded
      node-a model bert queue-backup: first seen
    ");
    // A restart does not take it back.
    let nodes = std::mem::take(&mut stage.state.nodes);
    let incidents: Vec<_> = stage.state.incidents().cloned().collect();
    let next = stage.state.next_id();
    stage.state = State::restore(Policy::default(), nodes, incidents, next, at(1201));
    stage.play("1210 node-a clear queue-backup bert\n1300 tick");
    assert_eq!(stage.state.open(), 1);
    assert!(stage.state.incident(IncidentId(1)).is_some(), "the XID is still there");
}

#[test]
fn both_incidents_of_what_went_from_one_to_the_other_may_be_merged() {
    let mut stage = Stage::new(Policy::default());
    stage.play(
        "
        0 node-a raise xid gpu0
        5 node-a raise queue-backup bert
        20 node-a clear queue-backup bert
        1200 node-a raise queue-backup bert
        1201 merge 1 2
        1210 node-a clear queue-backup bert
        1211 node-a clear xid gpu0
        1280 tick
    ",
    );
    insta::assert_snapshot!(stage.shown(), @r"
    #1 P3 gpu-hardware resolved: xid: service is degraded
      node-a GPU 0 xid: first seen
      node-a model bert queue-backup (over): a GPU of the node is sick: xid 5 s earlier, same node
    #2 P3 high-latency resolved: queue-backup: service is degraded
      node-a model bert queue-backup (over): first seen
      node-a GPU 0 xid (over): first seen (from #1)
      node-a model bert queue-backup (over): a GPU of the node is sick: xid 5 s earlier, same node (from #1)
    ");
}
