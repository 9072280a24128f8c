//! The state machine without a network.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gpuwarden_proto::inventory::{Snapshot, Source};
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::uplink::{
    Entry, FromNode, Heartbeat, MESSAGE_MAX_BYTES, Rejection, ToNode, Welcome,
};
use gpuwarden_proto::vocab::{Epoch, Seq, SourceName, SourceState};
use proptest::prelude::*;

use crate::outbox::{OutboxStatus, PageAsk};
use crate::uplink::session::{Effect, End, Input, Session};

const EPOCH: Epoch = Epoch(7);

/// An outbox that has given numbers below `next_seq`.
fn outbox(next_seq: u64, revision: u64) -> OutboxStatus {
    OutboxStatus {
        rows: 0,
        bytes: 0,
        oldest: None,
        dropped_total: 0,
        rejected_total: 0,
        in_memory: 0,
        epoch: EPOCH,
        next_seq: Seq(next_seq),
        acked_seq: Seq(0),
        fault: None,
        revision,
    }
}

fn snapshot(hostname: &str, source: SourceState) -> Arc<Snapshot> {
    let name = SourceName::new("nvml").unwrap();
    let mut snapshot = Snapshot::empty(Timestamp::from_unix_s(1));
    snapshot.hostname = hostname.to_owned();
    snapshot.sources = vec![Source { name, state: source, reason: String::new() }];
    Arc::new(snapshot)
}

fn welcome(acked: u64, max_batch_events: usize) -> Input {
    Input::Received(ToNode::Welcome(Welcome {
        acked_seq: Seq(acked),
        heartbeat_interval: Duration::from_secs(10),
        reconnect_spread: Duration::from_secs(5),
        max_batch_bytes: 256 * 1024,
        max_batch_events,
    }))
}

fn ack(acked: u64) -> Input {
    Input::Received(ToNode::Ack { acked_seq: Seq(acked), rejected: Vec::new() })
}

fn page(seqs: std::ops::RangeInclusive<u64>) -> Vec<Entry> {
    seqs.map(|seq| Entry { seq: Seq(seq), event: Bytes::from_static(b"e") }).collect()
}

fn session(next_seq: u64) -> Session {
    Session::new(outbox(next_seq, 1), snapshot("a", SourceState::Seeing))
}

/// A session after its Welcome, and what that asked of the outbox.
fn welcomed(next_seq: u64, acked: u64) -> (Session, Option<PageAsk>) {
    let mut session = session(next_seq);
    let effects = session.apply(welcome(acked, 2));
    let ask = asked(&effects);
    (session, ask)
}

fn asked(effects: &[Effect]) -> Option<PageAsk> {
    effects.iter().find_map(|effect| match effect {
        Effect::Read(ask) => Some(*ask),
        _ => None,
    })
}

fn ended(effects: &[Effect]) -> Option<&End> {
    effects.iter().find_map(|effect| match effect {
        Effect::End(end) => Some(end),
        _ => None,
    })
}

fn sends_snapshot(effects: &[Effect]) -> bool {
    effects.iter().any(|effect| matches!(effect, Effect::Send(FromNode::Snapshot(_))))
}

#[test]
fn the_picture_comes_before_the_backlog() {
    let effects = session(10).apply(welcome(4, 2));
    let FromNode::Snapshot(_) = sent(&effects)[0] else { panic!("{effects:?}") };
    let ask = PageAsk { after: Seq(4), max_events: 2, max_bytes: 256 * 1024 };
    assert_eq!(effects.last(), Some(&Effect::Read(ask)));
}

fn sent(effects: &[Effect]) -> Vec<&FromNode> {
    effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Send(message) => Some(message),
            _ => None,
        })
        .collect()
}

#[test]
fn nothing_is_said_before_the_welcome() {
    let mut session = session(10);
    let heartbeat = Heartbeat {
        sent_at: Timestamp::from_unix_s(1),
        outbox_rows: 0,
        outbox_bytes: 0,
        outbox_oldest: Duration::ZERO,
    };
    for input in [
        Input::Outbox(outbox(12, 2)),
        Input::Snapshot(snapshot("b", SourceState::Blind)),
        Input::HeartbeatDue(heartbeat),
        Input::Stop,
    ] {
        assert_eq!(session.apply(input), []);
    }
}

#[test]
fn no_more_batches_are_in_flight_than_the_credit_allows() {
    let (mut session, mut ask) = welcomed(100, 0);
    let mut next = 1;
    while ask.is_some() {
        ask = asked(&session.apply(Input::Page(page(next..=next + 1))));
        next += 2;
    }
    assert_eq!(next, 9, "four batches of two");
    assert_eq!(asked(&session.apply(ack(1))), None, "half a batch frees nothing");
    assert_eq!(asked(&session.apply(ack(2))).unwrap().after, Seq(8));
}

#[test]
fn credit_can_be_taken_away_and_given_back() {
    let (mut session, _) = welcomed(100, 0);
    session.apply(Input::Received(ToNode::Credit { max_batches: 0 }));
    assert_eq!(asked(&session.apply(Input::Page(page(1..=2)))), None);
    assert_eq!(asked(&session.apply(ack(2))), None);
    let effects = session.apply(Input::Received(ToNode::Credit { max_batches: 1 }));
    assert_eq!(asked(&effects).unwrap().after, Seq(2));
}

#[test]
fn an_empty_outbox_is_asked_again_only_when_it_has_changed() {
    let (mut session, _) = welcomed(100, 0);
    assert_eq!(session.apply(Input::Page(Vec::new())), []);
    assert_eq!(session.apply(Input::Outbox(outbox(100, 1))), []);
    let effects = session.apply(Input::Outbox(outbox(101, 2)));
    assert_eq!(asked(&effects).unwrap().after, Seq(0));
}

#[test]
fn an_acknowledgement_of_what_was_never_sent_ends_the_stream() {
    let (mut session, _) = welcomed(100, 0);
    session.apply(Input::Page(page(1..=2)));
    let effects = session.apply(ack(3));
    assert!(matches!(ended(&effects), Some(End::Broken(_))), "{effects:?}");
    assert!(!effects.contains(&Effect::Ack(Seq(3))));
}

#[test]
fn refusals_come_before_the_acknowledgement_that_deletes() {
    let (mut session, _) = welcomed(100, 0);
    session.apply(Input::Page(page(1..=2)));
    let rejection = |seq| Rejection { seq: Seq(seq), reason: "no".to_owned() };
    let rejected = vec![rejection(2), rejection(50)];
    let effects = session.apply(Input::Received(ToNode::Ack { acked_seq: Seq(2), rejected }));
    assert_eq!(effects[..2], [Effect::Reject(vec![rejection(2)]), Effect::Ack(Seq(2))]);
}

#[test]
fn an_aggregator_that_knows_more_than_was_ever_given_refuses_the_epoch() {
    let effects = session(10).apply(welcome(10, 2));
    let Some(End::EpochRefused(reason)) = ended(&effects) else { panic!("{effects:?}") };
    assert!(reason.contains("it is a copy, or was set back"), "{reason}");
    assert_eq!(ended(&session(10).apply(welcome(9, 2))), None);
}

#[test]
fn another_epoch_needs_another_stream() {
    let (mut session, _) = welcomed(10, 0);
    let other = OutboxStatus { epoch: Epoch(8), ..outbox(10, 2) };
    assert_eq!(ended(&session.apply(Input::Outbox(other))), Some(&End::EpochChanged));
}

#[test]
fn a_drained_stream_finishes_what_is_in_flight_and_starts_nothing() {
    let (mut session, _) = welcomed(100, 0);
    session.apply(Input::Page(page(1..=2)));
    let spread = Duration::from_secs(3);
    let drain = ToNode::Drain { spread, reason: String::new() };
    assert_eq!(ended(&session.apply(Input::Received(drain))), None);
    assert_eq!(ended(&session.apply(Input::Page(page(3..=4)))), None, "it was asked before");
    assert_eq!(asked(&session.apply(ack(2))), None);
    assert_eq!(ended(&session.apply(ack(4))), Some(&End::Drained(spread)));
}

#[test]
fn a_stop_says_everything_first() {
    let (mut session, _) = welcomed(6, 0);
    assert_eq!(ended(&session.apply(Input::Stop)), None);
    session.apply(Input::Page(page(1..=2)));
    session.apply(Input::Page(page(3..=5)));
    assert_eq!(ended(&session.apply(ack(2))), None);
    assert_eq!(ended(&session.apply(ack(5))), Some(&End::Stopped));
}

#[test]
fn a_stop_with_nothing_left_ends_at_once() {
    let (mut session, ask) = welcomed(6, 5);
    assert_eq!(ask, None);
    assert_eq!(ended(&session.apply(Input::Stop)), Some(&End::Stopped));
}

#[test]
fn pictures_of_mere_numbers_rest_between_two() {
    let (mut session, _) = welcomed(1, 0);
    let new = |name| Input::Snapshot(snapshot(name, SourceState::Seeing));
    assert!(!sends_snapshot(&session.apply(new("b"))));
    assert!(!sends_snapshot(&session.apply(new("c"))));
    let effects = session.apply(Input::SnapshotDue);
    let [FromNode::Snapshot(latest)] = sent(&effects)[..] else { panic!("{effects:?}") };
    assert_eq!(latest.hostname, "c");
    assert!(!sends_snapshot(&session.apply(Input::SnapshotDue)), "unchanged");
}

#[test]
fn a_picture_of_new_trouble_does_not_wait() {
    let (mut session, _) = welcomed(1, 0);
    let blind = Input::Snapshot(snapshot("a", SourceState::Blind));
    assert!(sends_snapshot(&session.apply(blind)));
}

#[test]
fn nonsense_limits_are_brought_into_range() {
    let mut session = session(10);
    let effects = session.apply(Input::Received(ToNode::Welcome(Welcome {
        acked_seq: Seq(0),
        heartbeat_interval: Duration::ZERO,
        reconnect_spread: Duration::MAX,
        max_batch_bytes: usize::MAX,
        max_batch_events: 0,
    })));
    assert!(effects.contains(&Effect::Heartbeats(Duration::from_millis(100))));
    let ask = asked(&effects).unwrap();
    assert_eq!(ask.max_events, 1);
    assert!(ask.max_bytes < MESSAGE_MAX_BYTES);
}

/// What may happen to a session that has an outbox of `next_seq - 1` events behind it.
#[derive(Debug, Clone)]
enum Step {
    Append(u64),
    Answer(u64),
    AckUpTo(u64),
    Credit(u32),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (1..9_u64).prop_map(Step::Append),
        4 => (1..5_u64).prop_map(Step::Answer),
        3 => (0..9_u64).prop_map(Step::AckUpTo),
        1 => (0..6_u32).prop_map(Step::Credit),
    ]
}

proptest! {
    #[test]
    fn every_event_is_sent_once_in_order_within_the_credit(
        steps in proptest::collection::vec(step(), 1..120)
    ) {
        let (mut session, mut ask) = welcomed(1, 0);
        let (mut next, mut sent_up_to, mut acked, mut credit) = (1, 0, 0, 4);
        let mut batches = Vec::new();
        for step in steps {
            let input = match step {
                Step::Append(count) => {
                    next += count;
                    Input::Outbox(outbox(next, next))
                }
                Step::Answer(most) => {
                    let Some(asked) = ask.take() else { continue };
                    prop_assert_eq!(asked.after, Seq(sent_up_to), "neither twice nor left out");
                    prop_assert!((batches.len() as u32) < credit.max(1));
                    sent_up_to = (sent_up_to + most.min(2)).min(next - 1);
                    batches.push(sent_up_to);
                    Input::Page(page(asked.after.0 + 1..=sent_up_to))
                }
                Step::AckUpTo(more) => {
                    acked = (acked + more).min(sent_up_to);
                    batches.retain(|last| *last > acked);
                    ack(acked)
                }
                Step::Credit(max_batches) => {
                    // A question that is out was asked under the older credit.
                    credit = max_batches.max(if ask.is_some() { credit } else { 0 });
                    Input::Received(ToNode::Credit { max_batches })
                }
            };
            let effects = session.apply(input);
            prop_assert_eq!(ended(&effects), None);
            ask = ask.or(asked(&effects));
        }
    }
}
