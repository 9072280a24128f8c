//! The agent's outbox.

use std::path::Path;
use std::time::Duration;

use gpuwarden_agent::config::OutboxConfig;
use gpuwarden_agent::outbox::{Outbox, OutboxStatus, PageAsk};
use gpuwarden_proto::convert::decode_event;
use gpuwarden_proto::event::{Body, Change, Event, Subject};
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::{ChangeKind, Seq};

use crate::mounts::{Disk, Tmpfs, alone};

const NOW: Timestamp = Timestamp::from_unix_s(1_000_000_000);

fn later() -> Timestamp {
    NOW.after(Duration::from_secs(1))
}

fn open(folder: &Path) -> Outbox {
    let max_age = Duration::from_secs(3_600);
    Outbox::open(folder, &OutboxConfig { max_rows: 100_000, max_bytes: 1 << 24, max_age }, NOW)
}

fn append(outbox: &mut Outbox, ids: std::ops::RangeInclusive<u64>) {
    for id in ids {
        let (subject, kind) = (Subject::Node, ChangeKind::AgentStarted);
        let change = Change { subject, kind, summary: id.to_string(), version: String::new() };
        outbox.stage(&Event { observed_at: NOW, body: Body::Change(change) }, NOW);
    }
    outbox.commit(NOW);
}

/// All that it would send, as runs: `1-3` events, `gap of 7`.
fn told(outbox: &mut Outbox) -> String {
    let epoch = outbox.status().epoch;
    let (mut after, mut runs) = (Seq(0), Vec::<(u64, u64)>::new());
    let mut text = Vec::new();
    loop {
        let ask = PageAsk { after, max_events: 1_000, max_bytes: 1 << 20 };
        let page = outbox.page(epoch, ask, NOW);
        let Some(last) = page.last() else { break };
        after = last.seq;
        for entry in page {
            match decode_event(&entry.event).expect("our own event").body {
                Body::Change(change) => {
                    let id = change.summary.parse().expect("a number");
                    match runs.last_mut() {
                        Some((_, last)) if *last + 1 == id => *last = id,
                        _ => runs.push((id, id)),
                    }
                }
                Body::Gap(gap) => {
                    text.extend(runs.drain(..).map(|(a, b)| format!("{a}-{b}")));
                    text.push(format!("gap of {}: {}", gap.count, gap.reason));
                }
                Body::Finding(_) => panic!("no test keeps findings"),
            }
        }
    }
    text.extend(runs.drain(..).map(|(a, b)| format!("{a}-{b}")));
    text.join(", ")
}

/// How many are in memory, how many were given up, and what is wrong.
fn brief(status: OutboxStatus) -> (u64, u64, Option<String>) {
    (status.in_memory, status.dropped_total, status.fault)
}

fn read_only() -> Option<String> {
    Some("the file system refuses: Read-only file system (os error 30)".to_owned())
}

#[test]
fn an_outbox_on_a_read_only_disk_goes_on_in_memory_and_joins_the_file_when_it_can_be_written() {
    let test = "agent::an_outbox_on_a_read_only_disk_goes_on_in_memory_and_joins_the_file_when_it_can_be_written";
    alone(test, |place| {
        let tmpfs = Tmpfs::mount(place.join("state"))?;
        let mut before = open(tmpfs.folder());
        append(&mut before, 1..=3);
        let epoch = before.status().epoch;
        assert!(tmpfs.remount("remount,ro").is_err(), "if that works, test it in use, too");
        before.close(NOW);
        tmpfs.forbid_writing();

        let mut outbox = open(tmpfs.folder());
        append(&mut outbox, 4..=5_000);
        assert_eq!(brief(outbox.status()), (4_096, 901, read_only()));
        assert_eq!(told(&mut outbox), "4-4099");
        outbox.commit(later());
        assert_eq!(brief(outbox.status()), (4_096, 901, read_only()));

        tmpfs.allow_writing();
        outbox.commit(later().after(Duration::from_secs(1)));
        append(&mut outbox, 5_001..=5_001);
        assert_eq!(brief(outbox.status()), (0, 901, None));
        assert_eq!(outbox.status().epoch, epoch);
        let lost = "gap of 901: the disk refused and memory was full";
        assert_eq!(told(&mut outbox), format!("1-4099, {lost}, 5001-5001"));
        Ok(())
    });
}

#[test]
fn a_disk_that_becomes_read_only_in_use_is_told_and_taken_up_again_once_it_is_mounted_anew() {
    let test = "agent::a_disk_that_becomes_read_only_in_use_is_told_and_taken_up_again_once_it_is_mounted_anew";
    alone(test, |place| {
        let disk = Disk::mount(place)?;
        let mut outbox = open(disk.folder());
        append(&mut outbox, 1..=3);
        let epoch = outbox.status().epoch;

        disk.break_down();
        append(&mut outbox, 4..=6);
        assert_eq!(brief(outbox.status()), (3, 0, read_only()));
        assert_eq!(told(&mut outbox), "1-6", "what is on the disk can still be read");
        outbox.ack(epoch, Seq(2));
        outbox.commit(later());
        assert_eq!(brief(outbox.status()), (3, 0, read_only()));

        disk.repair();
        outbox.commit(later().after(Duration::from_secs(1)));
        assert_eq!(brief(outbox.status()), (0, 0, None));
        append(&mut outbox, 7..=7);
        assert_eq!((told(&mut outbox).as_str(), outbox.status().epoch), ("3-7", epoch));
        drop(outbox);
        assert_eq!(told(&mut open(disk.folder())), "3-7", "it is on the disk");
        Ok(())
    });
}
