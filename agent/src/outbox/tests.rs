//! The outbox against disks that fill, break and lose power.

mod crash;
mod disk;
mod model;
mod threaded;

use std::path::Path;
use std::time::Duration;

use gpuwarden_proto::convert::decode_event;
use gpuwarden_proto::event::{Body, Change, Event, Gap, Subject};
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::uplink::{Entry, Rejection};
use gpuwarden_proto::vocab::{ChangeKind, Seq};

use super::{Outbox, PageAsk};
use crate::config::OutboxConfig;

pub(super) const NOW: Timestamp = Timestamp::from_unix_s(1_000_000_000);

pub(super) fn limits(max_rows: u64) -> OutboxConfig {
    OutboxConfig { max_rows, max_bytes: 1 << 20, max_age: Duration::from_secs(3_600) }
}

/// An event that can be told from all others, of roughly `size` bytes.
pub(super) fn event(id: u64, size: usize) -> Event {
    let summary = format!("{id} {}", "x".repeat(size));
    let (kind, version) = (ChangeKind::AgentStarted, String::new());
    let body = Body::Change(Change { subject: Subject::Node, kind, summary, version });
    Event { observed_at: NOW, body }
}

/// What the outbox gives out.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Told {
    Event(u64),
    Gap(Gap),
}

pub(super) fn told(entry: &Entry) -> Told {
    match decode_event(&entry.event).unwrap().body {
        Body::Change(change) => {
            Told::Event(change.summary.split(' ').next().unwrap().parse().unwrap())
        }
        Body::Gap(gap) => Told::Gap(gap),
        Body::Finding(_) => panic!("no test keeps findings"),
    }
}

/// All that is there, read in small pages.
pub(super) fn read_all(outbox: &mut Outbox, now: Timestamp) -> Vec<Entry> {
    let mut all: Vec<Entry> = Vec::new();
    loop {
        let after = all.last().map_or(Seq(0), |last| last.seq);
        let epoch = outbox.ledger.epoch;
        let page = outbox.page(epoch, PageAsk { after, max_events: 7, max_bytes: 2_000 }, now);
        if page.is_empty() {
            return all;
        }
        all.extend(page);
    }
}

fn append(outbox: &mut Outbox, ids: impl IntoIterator<Item = u64>) {
    for id in ids {
        outbox.stage(&event(id, 10), NOW);
    }
    outbox.commit(NOW);
}

fn open(folder: &Path, max_rows: u64) -> Outbox {
    Outbox::open(folder, &limits(max_rows), NOW)
}

fn all_told(outbox: &mut Outbox) -> Vec<(u64, Told)> {
    read_all(outbox, NOW).iter().map(|entry| (entry.seq.0, told(entry))).collect()
}

fn ack(outbox: &mut Outbox, acked: u64) {
    outbox.ack(outbox.ledger.epoch, Seq(acked));
    outbox.commit(NOW);
}

fn full(count: u64, first_seq: u64, last_seq: u64) -> Told {
    Told::Gap(Gap { count, first_seq, last_seq, reason: "the outbox was full".to_owned() })
}

#[test]
fn events_come_out_in_order_and_leave_when_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let mut outbox = open(folder.path(), 100);
    append(&mut outbox, 1..=3);
    ack(&mut outbox, 2);
    assert_eq!(all_told(&mut outbox), [(3, Told::Event(3))]);
    assert_eq!((outbox.status().rows, outbox.status().next_seq), (1, Seq(4)));
}

#[test]
fn numbers_go_on_where_they_were_after_a_clean_stop() {
    let folder = tempfile::tempdir().unwrap();
    let mut outbox = open(folder.path(), 100);
    append(&mut outbox, 1..=3);
    ack(&mut outbox, 3);
    let epoch = outbox.status().epoch;
    outbox.close(NOW);
    let outbox = open(folder.path(), 100);
    let status = outbox.status();
    assert_eq!((status.epoch, status.next_seq, status.acked_seq), (epoch, Seq(4), Seq(3)));
}

#[test]
fn a_crash_skips_reserved_numbers_and_never_gives_one_twice() {
    let folder = tempfile::tempdir().unwrap();
    let mut outbox = open(folder.path(), 100);
    append(&mut outbox, 1..=3);
    ack(&mut outbox, 3);
    drop(outbox);
    let mut outbox = open(folder.path(), 100);
    append(&mut outbox, [4]);
    let all = all_told(&mut outbox);
    assert_eq!(all.len(), 1);
    assert!(all[0].0 > 3, "{all:?}");
}

#[test]
fn a_full_outbox_puts_a_counted_gap_in_the_place_of_the_oldest() {
    let folder = tempfile::tempdir().unwrap();
    let mut outbox = open(folder.path(), 5);
    append(&mut outbox, 1..=6);
    let expected = [
        (2, full(2, 1, 2)),
        (3, Told::Event(3)),
        (4, Told::Event(4)),
        (5, Told::Event(5)),
        (6, Told::Event(6)),
    ];
    assert_eq!(all_told(&mut outbox), expected);
    assert_eq!(outbox.status().dropped_total, 2);
}

#[test]
fn neighbouring_gaps_are_one() {
    let folder = tempfile::tempdir().unwrap();
    let mut outbox = open(folder.path(), 3);
    for id in 1..=50 {
        append(&mut outbox, [id]);
    }
    let expected = [(48, full(48, 1, 48)), (49, Told::Event(49)), (50, Told::Event(50))];
    assert_eq!(all_told(&mut outbox), expected);
}

#[test]
fn too_many_bytes_are_given_up_like_too_many_rows() {
    let folder = tempfile::tempdir().unwrap();
    let limits = OutboxConfig { max_bytes: 4_000, ..limits(1_000) };
    let mut outbox = Outbox::open(folder.path(), &limits, NOW);
    for id in 1..=20 {
        outbox.stage(&event(id, 500), NOW);
        outbox.commit(NOW);
    }
    let status = outbox.status();
    assert!(status.bytes <= 4_000 && status.dropped_total > 10, "{status:?}");
}

#[test]
fn what_is_too_old_is_given_up_also_when_nothing_new_comes() {
    let folder = tempfile::tempdir().unwrap();
    let mut outbox = open(folder.path(), 100);
    append(&mut outbox, 1..=3);
    outbox.commit(NOW.after(Duration::from_secs(3_601)));
    let reason = "they were older than the outbox keeps them".to_owned();
    let gap = Told::Gap(Gap { count: 3, first_seq: 1, last_seq: 3, reason });
    assert_eq!(all_told(&mut outbox), [(3, gap)]);
}

#[test]
fn what_the_aggregator_refuses_is_kept_apart() {
    let folder = tempfile::tempdir().unwrap();
    let mut outbox = open(folder.path(), 100);
    append(&mut outbox, 1..=3);
    let rejection = Rejection { seq: Seq(2), reason: "r".repeat(9_999) };
    outbox.reject(outbox.ledger.epoch, vec![rejection]);
    ack(&mut outbox, 2);
    assert_eq!(all_told(&mut outbox), [(3, Told::Event(3))]);
    assert_eq!((outbox.status().rejected_total, outbox.status().rows), (1, 1));
    let letters = outbox.open.as_ref().unwrap().file.dead_letters();
    assert_eq!(letters, [(2, 400)]);
}

#[test]
fn dead_letters_are_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let mut outbox = open(folder.path(), 5_000);
    append(&mut outbox, 1..=1_500);
    for chunk in (1..=1_500).collect::<Vec<_>>().chunks(500) {
        let rejection = |seq: &u64| Rejection { seq: Seq(*seq), reason: "no".to_owned() };
        outbox.reject(outbox.ledger.epoch, chunk.iter().map(rejection).collect());
        outbox.commit(NOW);
    }
    let letters = outbox.open.as_ref().unwrap().file.dead_letters();
    assert_eq!((letters.len(), letters[0].0), (1_000, 501));
}

#[test]
fn an_event_that_is_too_large_is_counted_in_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let mut outbox = open(folder.path(), 100);
    outbox.stage(&event(1, 10), NOW);
    outbox.stage(&event(2, 70_000), NOW);
    append(&mut outbox, [3]);
    let reason = "an event was too large to be sent".to_owned();
    let gap = Told::Gap(Gap { count: 1, first_seq: 0, last_seq: 0, reason });
    assert_eq!(all_told(&mut outbox), [(1, Told::Event(1)), (2, gap), (3, Told::Event(3))]);
}

#[test]
fn a_page_is_as_large_as_asked_and_never_empty_for_a_large_event() {
    let folder = tempfile::tempdir().unwrap();
    let mut outbox = open(folder.path(), 100);
    for id in 1..=4 {
        outbox.stage(&event(id, 1_000), NOW);
    }
    outbox.commit(NOW);
    let epoch = outbox.ledger.epoch;
    let mut page = |max_events, max_bytes| {
        outbox.page(epoch, PageAsk { after: Seq(1), max_events, max_bytes }, NOW).len()
    };
    assert_eq!([page(2, 1 << 20), page(9, 2_200), page(9, 10), page(9, 1 << 20)], [2, 2, 1, 3]);
}

#[test]
fn what_was_said_of_another_epoch_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut outbox = open(folder.path(), 100);
    append(&mut outbox, 1..=3);
    let before = outbox.ledger.epoch;
    outbox.renew_epoch(before, "it was set back", NOW);
    outbox.ack(before, Seq(3));
    outbox.commit(NOW);
    let reason = "it was set back".to_owned();
    let gap = Told::Gap(Gap { count: 0, first_seq: 0, last_seq: 0, reason });
    let all = all_told(&mut outbox);
    assert_eq!((all.len(), &all[3]), (4, &(4, gap)));
    drop(outbox);
    assert_ne!(open(folder.path(), 100).ledger.epoch, before);
}
