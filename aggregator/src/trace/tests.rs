use gpuwarden_proto::convert::encode_event;
use gpuwarden_proto::event::{Change, Subject};
use gpuwarden_proto::uplink::Entry;
use gpuwarden_proto::vocab::ChangeKind;

use super::*;
use crate::correlate::Policy;
use crate::incident::Limits;
use crate::testing::{Stage, at, entry, node};

fn batch(received: u64, entries: Vec<Entry>) -> Batch {
    let (epoch, received_at) = (Epoch(7), at(received));
    Batch {
        node: node("node-a"),
        epoch,
        received_at,
        taken_at: received_at,
        order: received,
        observed: (at(0), at(0)),
        entries,
    }
}

fn around(stage: &Stage) -> Around {
    let all = stage.over.iter().chain(stage.state.incidents());
    Around { incidents: all.cloned().map(Arc::new).collect(), truncated: false }
}

/// What is said of `words` by node-a, observed and received at these seconds.
fn said(stage: &Stage, observed: u64, received: u64, words: &str) -> String {
    let batch = batch(received, vec![entry(1, at(observed), words)]);
    let kept = Kept::find(&batch, Seq(1)).expect("it is there");
    shown(&kept.trace(&around(stage)))
}

fn shown(trace: &Trace) -> String {
    let Trace { fate, incident, through, reason, unsure, .. } = trace;
    let ids = through.iter().chain(incident).map(ToString::to_string).collect::<Vec<_>>();
    let mut lines = vec![format!("{fate} {}: {reason}", ids.join(" "))];
    lines.extend(unsure.iter().map(|each| format!("? {each}")));
    lines.join("\n")
}

fn gap(first_seq: u64, last_seq: u64) -> Entry {
    let gap = Gap { count: 3, first_seq, last_seq, reason: "the outbox was full".to_owned() };
    let event = Event { observed_at: at(9), body: Body::Gap(gap) };
    Entry { seq: Seq(last_seq), event: encode_event(&event) }
}

#[test]
fn the_first_opened_its_incident_and_the_next_joined_it_for_a_reason() {
    let mut stage = Stage::new(Policy::default());
    stage.play("10 node-a raise queue-backup bert\n12 node-a raise xid gpu0");
    stage.play("14 node-a update xid gpu0\n20 node-a clear xid gpu0");
    let all = [
        said(&stage, 10, 10, "raise queue-backup bert"),
        said(&stage, 12, 12, "raise xid gpu0"),
        said(&stage, 14, 14, "update xid gpu0"),
        said(&stage, 20, 20, "clear xid gpu0"),
    ];
    insta::assert_snapshot!(all.join("\n"), @r#"
    opened #1: #1 was opened for it.
    joined #1: It joined #1, 69 % sure: explains queue-backup, same node: a GPU of the node is sick.
    known #1: #1 held its finding already: it brought newer numbers at most.
    cleared #1: It ended its finding in #1.
    "#);
}

#[test]
fn what_is_active_again_is_told_from_what_is_new() {
    let mut stage = Stage::new(Policy::default());
    stage.play("10 node-a raise xid gpu0\n15 node-a clear xid gpu0\n20 node-a raise xid gpu0");
    let all = [said(&stage, 10, 10, "raise xid gpu0"), said(&stage, 20, 20, "raise xid gpu0")];
    insta::assert_snapshot!(all.join("\n"), @r#"
    opened #1: #1 was opened for it.
    again #1: #1 had held its finding before, which was active again with this.
    "#);
}

#[test]
fn what_went_on_as_another_incident_is_followed() {
    let mut stage = Stage::new(Policy::default());
    stage.play("10 node-a raise queue-backup bert\n11 node-a raise telemetry-blind nvml");
    stage.play("12 node-a raise queue-backup resnet\n13 node-a raise xid gpu0");
    let told = said(&stage, 10, 10, "raise queue-backup bert");
    insta::assert_snapshot!(format!("{}\n{told}", stage.shown()), @r"
    #2 P4 telemetry-blind resolved: what cannot be seen is not known to be in trouble
      node-a source nvml telemetry-blind: first seen
    #1 P3 high-latency resolved: queue-backup: service is degraded
      node-a model bert queue-backup: first seen
    #3 P3 gpu-hardware open: queue-backup: service is degraded
      node-a GPU 0 xid: explains queue-backup, same node: a GPU of the node is sick
      node-a model resnet queue-backup: first seen
      node-a source nvml telemetry-blind: first seen (from #2)
      node-a model bert queue-backup: first seen (from #1)
    opened #1 #3: #1 was opened for it. #1 goes on as #3, which holds it since.
    ");
}

#[test]
fn what_is_not_where_its_incident_went_on_is_said_to_be_missing_there() {
    let mut stage = Stage::new(Policy::default());
    stage.play("10 node-a raise queue-backup bert\n11 node-a raise telemetry-blind nvml");
    stage.play("12 node-a raise queue-backup resnet\n13 node-a raise xid gpu0");
    let mut around = around(&stage);
    for incident in &mut around.incidents {
        let incident = Arc::make_mut(incident);
        if incident.merged_into.is_none() {
            incident.members.retain(|member| !member.reason.contains("from"));
        }
    }
    let batch = batch(10, vec![entry(1, at(10), "raise queue-backup bert")]);
    let trace = Kept::find(&batch, Seq(1)).expect("it is there").trace(&around);
    insta::assert_snapshot!(shown(&trace), @r#"
    opened #1 #3: #1 was opened for it. #1 goes on as #3.
    ? #3 does not have the finding: it was parted from it later, or did not fit there.
    "#);
}

#[test]
fn what_a_person_had_settled_says_whose_word_it_was() {
    let mut stage = Stage::new(Policy::default());
    stage.play("10 node-a raise xid gpu0\n20 resolve 1 force\n30 node-a update xid gpu0");
    let update = {
        let body = Body::Finding(crate::testing::finding(
            gpuwarden_proto::vocab::Phase::Updated,
            &["xid", "gpu0"],
            at(10),
        ));
        Entry { seq: Seq(1), event: encode_event(&Event { observed_at: at(30), body }) }
    };
    let kept = Kept::find(&batch(30, vec![update]), Seq(1)).expect("it is there");
    insta::assert_snapshot!(shown(&kept.trace(&around(&stage))), @r#"
    settled #1: ann had resolved #1 while this was active (with force, 1 members still active: a test). Since then nothing is made of it until it is over and raised anew.
    "#);
}

#[test]
fn what_came_late_may_have_been_overtaken_and_that_is_said() {
    let mut stage = Stage::new(Policy::default());
    stage.play("10 node-a raise xid gpu0\n60 node-a snapshot active=xid/gpu0");
    let all = [said(&stage, 11, 61, "update xid gpu0"), said(&stage, 12, 61, "clear xid gpu0")];
    insta::assert_snapshot!(all.join("\n"), @r#"
    known #1: #1 held its finding already: it brought newer numbers at most.
    ? It came 50 s after it was observed. If a snapshot of the node came first, it was passed over as older; which of the two came first is not kept.
    passed-over #1: #1 still holds its finding as active: the event told of a time before the node's snapshot, and the snapshot is believed.
    "#);
}

#[test]
fn what_no_incident_holds_says_what_may_be_the_cause() {
    let limits = Limits { members: 1, ..Limits::default() };
    let mut stage = Stage::new(Policy { limits, ..Policy::default() });
    stage.play("10 node-a raise queue-backup bert\n12 node-a raise xid gpu0");
    let all = [said(&stage, 12, 12, "raise xid gpu0"), said(&stage, 13, 13, "clear xid gpu1")];
    insta::assert_snapshot!(all.join("\n"), @r#"
    unplaced : No incident that is kept held its finding then, and why cannot be told for sure.
    ? #1 counts 1 members that did not fit: it may be one of them.
    ? Its incident may be older than what is kept, or a limit was reached (findings of a node, open incidents), which is counted but not kept for each event.
    unplaced : As far as can be told, no incident held its finding then: there was nothing to end.
    ? #1 counts 1 members that did not fit: it may be one of them.
    ? Its incident may be older than what is kept, or a limit was reached (findings of a node, open incidents), which is counted but not kept for each event.
    "#);
}

#[test]
fn a_change_a_gap_and_what_is_lost_in_it_speak_for_themselves() {
    let (kind, summary) = (ChangeKind::DriverChanged, "driver 570".to_owned());
    let body =
        Body::Change(Change { subject: Subject::Node, kind, summary, version: String::new() });
    let change = Entry { seq: Seq(1), event: encode_event(&Event { observed_at: at(1), body }) };
    let broken = Entry { seq: Seq(5), event: vec![0xff].into() };
    let batch = batch(9, vec![change, gap(2, 4), broken]);
    let all: Vec<String> = [1, 4, 3, 5]
        .map(|seq| Kept::find(&batch, Seq(seq)).expect("it is there"))
        .map(|kept| shown(&kept.trace(&Around::default())))
        .to_vec();
    insta::assert_snapshot!(all.join("\n"), @r#"
    change : It is recorded among the changes. A change is no trouble and joins no incident, but it speaks for findings that follow it having one cause.
    gap : The node gave up 3 events with numbers from 2 to 4 before they could be delivered: the outbox was full.
    lost : It never came; a gap stands in its place. The node gave up 3 events with numbers from 2 to 4 before they could be delivered: the outbox was full.
    unreadable : It is kept, but this version cannot read it: event: cannot be decoded: failed to decode Protobuf message: invalid varint.
    "#);
    assert_eq!(Kept::find(&batch, Seq(6)), None);
}

#[test]
fn what_is_not_known_says_how_far_the_node_has_come() {
    let absent = |seq, marks: &[(Epoch, Seq)]| Absent::new(node("node-a"), Seq(seq), marks);
    let marks = [(Epoch(1), Seq(12)), (Epoch(2), Seq(3))];
    let all = [absent(1, &[]), absent(13, &marks), absent(12, &marks)];
    insta::assert_snapshot!(all.map(|each| each.to_string()).join("\n"), @r#"
    no event of node-a was ever taken up; `gpuwarden nodes` lists the nodes that there are
    event 13 of node-a has not come: its events are on disk up to 12
    event 12 of node-a is not kept, and why cannot be told: its numbers up to 12 have been taken up, so it is older than what is kept, or was refused when it came, or the node never sent it
    "#);
}
