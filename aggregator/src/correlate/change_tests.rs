use gpuwarden_proto::incident::SuspectedChange;
use gpuwarden_proto::vocab::IncidentId;

use super::*;
use crate::testing::Stage;

/// `search` asks nothing and is made of bert and resnet; `chat` is made of llama.
fn stage() -> Stage {
    let topology = "[[service]]\nname = \"search\"\nmodels = [\"bert\", \"resnet\"]\n\
                    [[service]]\nname = \"chat\"\nmodels = [\"llama\"]";
    let topology = Topology::parse("t.toml", topology).unwrap();
    Stage::new(Policy { topology, ..Policy::default() })
}

fn told(stage: &Stage, id: u64) -> String {
    let incident = stage.state.incident(IncidentId(id)).unwrap();
    let lines = incident.timeline.iter().filter(|line| line.kind == "suspected");
    let lines: Vec<String> = lines.map(|line| line.text.clone()).collect();
    let Some(suspected) = &incident.suspected_change else {
        return format!("nothing is suspected\n{}", lines.join("\n")).trim().to_owned();
    };
    let SuspectedChange { what, kind, by, score, reason, rollback, .. } = suspected;
    let step = rollback.lines().next().unwrap_or_default();
    format!("{what}: {kind} by `{by}` ({score}): {reason}\n{step}\n{}", lines.join("\n"))
}

fn played(script: &str) -> Stage {
    let mut stage = stage();
    stage.play(script);
    stage
}

#[test]
fn a_recorded_deploy_and_errors_on_two_nodes_are_one_incident_that_names_it_and_the_way_back() {
    let stage = played(
        "
        0 record model-deployed model=bert:1 by=ann key=ci-7
        700 node-a raise error-rate-high bert 0.4
        1300 node-b raise error-rate-high bert 0.4
    ",
    );
    insta::assert_snapshot!(stage.shown(), @r"
    #1 P2 high-error-rate open: model bert fails 40 % of requests
      node-a model bert error-rate-high: first seen
      node-b model bert error-rate-high: follows model-deployed of version bert:1, as does node-a, which has error-rate-high
    ");
    insta::assert_snapshot!(told(&stage, 1), @r"
    change ci-7: model-deployed by `ann` (0.899): explains 2 of 2 members, began first, model-deployed of version bert:1 11 min before
    runbook high-error-rate, step 4: roll back the model version if it was recently updated
    change ci-7 is suspected (model-deployed): model-deployed was told
    ");
}

#[test]
fn a_change_that_began_after_the_errors_is_not_blamed() {
    let stage = played(
        "
        0 node-a raise error-rate-high bert 0.4
        60 record model-deployed model=bert:1 by=ann key=ci-7
        90 node-b raise error-rate-high bert 0.4
    ",
    );
    insta::assert_snapshot!(told(&stage, 1), @"nothing is suspected");
}

#[test]
fn a_change_of_another_service_is_not_blamed() {
    let stage = played(
        "
        0 record rollout service=chat key=ci-7
        60 node-a raise error-rate-high bert 0.4
    ",
    );
    insta::assert_snapshot!(told(&stage, 1), @"nothing is suspected");
}

#[test]
fn a_change_that_is_told_late_is_named_in_the_incident_that_it_brought_about() {
    let stage = played(
        "
        100 node-a raise error-rate-high bert 0.4
        160 record rollout service=search by=ann key=ci-7 at=40 finished=150
    ",
    );
    insta::assert_snapshot!(told(&stage, 1), @r"
    change ci-7: rollout by `ann` (0.93): explains 1 of 1 members, began first, rollout of service search 0 ms before
    runbook high-error-rate, step 4: roll back the model version if it was recently updated
    change ci-7 is suspected (rollout): rollout was told
    ");
    assert_eq!(stage.log, ["#1 opened", "#1 changed"]);
}

#[test]
fn a_change_of_the_whole_fleet_brings_nothing_together_that_is_not_related() {
    let stage = played(
        "
        0 record infrastructure key=net
        60 node-a raise error-rate-high bert 0.4
        900 node-b raise error-rate-high llama 0.4
    ",
    );
    insta::assert_snapshot!(stage.shown(), @r"
    #1 P2 high-error-rate open: model bert fails 40 % of requests
      node-a model bert error-rate-high: first seen
    #2 P2 high-error-rate open: model llama fails 40 % of requests
      node-b model llama error-rate-high: first seen
    ");
    let mut timelines = stage.state.incidents().flat_map(|incident| &incident.timeline);
    assert!(timelines.all(|line| line.kind != "related"), "not even worth a mention");
}

#[test]
fn a_change_of_a_rack_is_worth_a_mention_and_no_more() {
    let stage = played(
        "
        0 node-a snapshot labels=rack:r1
        0 node-b snapshot labels=rack:r1
        1 record infrastructure rack=r1 key=switch
        60 node-a raise model-unavailable bert down
        900 node-b raise model-unavailable llama down
    ",
    );
    insta::assert_snapshot!(stage.shown(), @r"
    #1 P2 model-unavailable open: bert is down, and no snapshot tells how many replicas it has
      node-a model bert model-unavailable: first seen
    #2 P2 model-unavailable open: llama is down, and no snapshot tells how many replicas it has
      node-b model llama model-unavailable: first seen
    ");
    let second = &stage.state.incident(IncidentId(2)).unwrap().timeline;
    assert!(second.iter().any(|line| line.kind == "related"), "{second:?}");
}

#[test]
fn a_change_of_a_service_makes_one_of_the_trouble_of_its_models() {
    let stage = played(
        "
        0 record config-changed service=search key=flag
        60 node-a raise error-rate-high bert 0.4
        400 node-b raise error-rate-high resnet 0.4
        410 node-c raise error-rate-high llama 0.4
    ",
    );
    insta::assert_snapshot!(stage.shown(), @r"
    #1 P2 high-error-rate open: model bert fails 40 % of requests
      node-a model bert error-rate-high: first seen
      node-b model resnet error-rate-high: follows config-changed of service search, as does node-a, which has error-rate-high
    #2 P2 high-error-rate open: model llama fails 40 % of requests
      node-c model llama error-rate-high: first seen
    ");
    insta::assert_snapshot!(told(&stage, 1), @r"
    change flag: config-changed by `` (0.923): explains 2 of 2 members, began first, config-changed of service search 1 min before
    runbook high-error-rate, step 4: roll back the model version if it was recently updated
    change flag is suspected (config-changed): config-changed was told
    ");
}

#[test]
fn what_was_recorded_is_named_rather_than_what_the_agent_saw_of_it() {
    let stage = played(
        "
        0 record model-deployed model=bert:1 by=ann key=ci-7
        30 node-a change model-deployed bert
        60 node-a raise error-rate-high bert 0.4
    ",
    );
    insta::assert_snapshot!(told(&stage, 1), @r"
    change ci-7: model-deployed by `ann` (0.979): explains 1 of 1 members, began first, model-deployed of version bert:1 1 min before
    runbook high-error-rate, step 4: roll back the model version if it was recently updated
    change ci-7 is suspected (model-deployed): model-deployed was told
    ");
    let without = played(
        "
        30 node-a change model-deployed bert
        60 node-a raise error-rate-high bert 0.4
    ",
    );
    insta::assert_snapshot!(told(&without, 1), @r"
    version bert:1: model-deployed by `` (0.984): explains 1 of 1 members, began first, model-deployed 30 s before
    runbook high-error-rate, step 4: roll back the model version if it was recently updated
    version bert:1 is suspected (model-deployed):
    ");
}

#[test]
fn what_a_gpu_does_that_fell_off_the_bus_is_not_the_fault_of_a_deploy() {
    let stage = played(
        "
        0 record model-deployed model=bert key=ci-7
        600 node-a raise gpu-lost gpu0 down
        602 node-a raise model-unavailable bert down
    ",
    );
    insta::assert_snapshot!(told(&stage, 1), @"nothing is suspected");
}

#[test]
fn a_driver_that_an_agent_saw_change_is_named_when_its_gpu_fails() {
    let stage = played(
        "
        0 node-a change driver-changed node to=570.1
        600 node-a raise xid gpu0
    ",
    );
    insta::assert_snapshot!(told(&stage, 1), @r"
    driver 570.1: driver-changed by `` (0.817): explains 1 of 1 members, began first, driver-changed 10 min before
    runbook gpu-hardware, step 10: go back to the driver that ran before
    driver 570.1 is suspected (driver-changed):
    ");
}

#[test]
fn a_closer_change_that_is_told_later_takes_the_place_of_the_first() {
    let stage = played(
        "
        500 record other key=flag
        600 node-a raise error-rate-high bert 0.4
        620 record model-deployed model=bert key=ci-7 at=550
    ",
    );
    insta::assert_snapshot!(told(&stage, 1), @r"
    change ci-7: model-deployed by `` (0.962): explains 1 of 1 members, began first, model-deployed of model bert 50 s before
    runbook high-error-rate, step 4: roll back the model version if it was recently updated
    change ci-7 is suspected (model-deployed): model-deployed was told
    ");
}
