//! Disks that fill, refuse and return nonsense.

use std::fs;
use std::process::Command;

use super::*;
use crate::outbox::FILE_NAME;
use crate::outbox::memory::Memory;

const SECOND: Duration = Duration::from_secs(1);

fn fill(outbox: &Outbox) {
    outbox.open.as_ref().unwrap().file.fill_disk();
}

fn free(outbox: &Outbox) {
    outbox.open.as_ref().unwrap().file.free_disk();
}

/// Appends large events until the disk refuses; the id of the last.
fn append_until_fault(outbox: &mut Outbox) -> u64 {
    for id in 1.. {
        outbox.stage(&event(id, 3_000), NOW);
        outbox.commit(NOW);
        if outbox.fault.is_some() {
            return id;
        }
    }
    unreachable!("a disk that cannot grow refuses at last")
}

fn ids(told: &[(u64, Told)]) -> Vec<u64> {
    let id = |told: &Told| match told {
        Told::Event(id) => Some(*id),
        Told::Gap(_) => None,
    };
    told.iter().filter_map(|(_, told)| id(told)).collect()
}

#[test]
fn a_full_disk_is_told_and_events_go_out_from_memory() {
    let folder = tempfile::tempdir().unwrap();
    let mut outbox = open(folder.path(), 1_000);
    fill(&outbox);
    let last = append_until_fault(&mut outbox);
    append(&mut outbox, [last + 1]);
    let status = outbox.status();
    assert_eq!(status.in_memory, 2);
    assert!(status.fault.unwrap().contains("full"));
    assert_eq!(ids(&all_told(&mut outbox)), (1..=last + 1).collect::<Vec<_>>());
}

#[test]
fn when_the_disk_is_back_memory_goes_to_it_within_a_second() {
    let folder = tempfile::tempdir().unwrap();
    let mut outbox = open(folder.path(), 1_000);
    fill(&outbox);
    let last = append_until_fault(&mut outbox);
    free(&outbox);
    outbox.commit(NOW);
    assert!(outbox.fault.is_some(), "it is not tried more often than once a second");
    outbox.commit(NOW.after(SECOND));
    assert_eq!((outbox.status().fault, outbox.status().in_memory), (None, 0));
    drop(outbox);
    let mut outbox = open(folder.path(), 1_000);
    assert_eq!(ids(&all_told(&mut outbox)), (1..=last).collect::<Vec<_>>());
}

#[test]
fn a_wall_clock_that_was_set_back_does_not_keep_the_disk_from_being_tried() {
    let folder = tempfile::tempdir().unwrap();
    let mut outbox = open(folder.path(), 1_000);
    fill(&outbox);
    append_until_fault(&mut outbox);
    free(&outbox);
    outbox.commit(NOW.before(SECOND));
    assert_eq!(outbox.fault, None);
}

#[test]
fn what_memory_cannot_hold_is_counted_in_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let mut outbox = open(folder.path(), 100_000);
    fill(&outbox);
    let last = append_until_fault(&mut outbox);
    let room = Memory::MAX_ROWS as u64 - 1;
    append(&mut outbox, last + 1..=last + room + 70);
    assert_eq!(outbox.status().dropped_total, 70);
    free(&outbox);
    outbox.commit(NOW.after(SECOND));
    append(&mut outbox, [9_999]);
    let all = all_told(&mut outbox);
    let reason = "the disk refused and memory was full".to_owned();
    let gap = Told::Gap(Gap { count: 70, first_seq: 0, last_seq: 0, reason });
    let next = last + room;
    assert_eq!(all[all.len() - 2..], [(next + 1, gap), (next + 2, Told::Event(9_999))]);
    assert_eq!(ids(&all[..all.len() - 1]), (1..=last + room).collect::<Vec<_>>());
}

#[test]
fn numbers_given_in_memory_are_not_given_again_after_a_crash() {
    let folder = tempfile::tempdir().unwrap();
    let mut outbox = open(folder.path(), 100_000);
    fill(&outbox);
    append_until_fault(&mut outbox);
    // Memory is emptied by acknowledgements over and over, until the reserve is used up.
    let mut highest = Seq(0);
    while outbox.ledger.next_seq < outbox.ledger.reserved_seq {
        append(&mut outbox, 1..=4_000);
        highest = outbox.memory.rows().last().unwrap().seq;
        outbox.ack(outbox.ledger.epoch, highest);
    }
    append(&mut outbox, [1]);
    assert_eq!(outbox.memory.len(), 0, "without a number it is not sent");
    let epoch = outbox.ledger.epoch;
    drop(outbox);
    let mut outbox = open(folder.path(), 100_000);
    append(&mut outbox, [1]);
    assert_eq!(outbox.ledger.epoch, epoch);
    assert!(outbox.ledger.next_seq > Seq(highest.0 + 1));
}

#[test]
fn a_disk_that_is_full_for_good_still_takes_acknowledgements() {
    let folder = tempfile::tempdir().unwrap();
    let mut outbox = open(folder.path(), 1_000);
    fill(&outbox);
    let last = append_until_fault(&mut outbox);
    outbox.ack(outbox.ledger.epoch, Seq(last - 1));
    outbox.commit(NOW.after(SECOND));
    assert_eq!((outbox.status().fault, outbox.status().in_memory), (None, 0));
    assert_eq!(ids(&all_told(&mut outbox)), [last]);
}

#[test]
fn a_broken_file_is_set_aside_and_told() {
    let folder = tempfile::tempdir().unwrap();
    let mut outbox = open(folder.path(), 100);
    append(&mut outbox, 1..=3);
    let epoch = outbox.ledger.epoch;
    drop(outbox);
    for _ in 0..3 {
        fs::write(folder.path().join(FILE_NAME), b"spilled coffee").unwrap();
        let mut outbox = open(folder.path(), 100);
        assert_ne!(outbox.ledger.epoch, epoch);
        let all = all_told(&mut outbox);
        let (1, Told::Gap(gap)) = &all[0] else { panic!("{all:?}") };
        assert!(gap.reason.contains("set aside as outbox.db.corrupt-1000000000"), "{gap:?}");
    }
    let aside = fs::read_dir(folder.path())
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().contains("corrupt"));
    assert_eq!(aside.count(), 1, "one is kept");
}

#[test]
fn a_file_of_somebody_else_is_set_aside_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE_NAME);
    let foreign = rusqlite::Connection::open(&path).unwrap();
    foreign.execute_batch("CREATE TABLE wines (year INT)").unwrap();
    foreign.close().unwrap();
    let mut outbox = open(folder.path(), 100);
    append(&mut outbox, [1]);
    assert_eq!(ids(&all_told(&mut outbox)), [1]);
    let aside = folder.path().join("outbox.db.corrupt-1000000000");
    let kept = rusqlite::Connection::open(aside).unwrap();
    assert!(kept.table_exists(None, "wines").unwrap());
}

#[test]
fn a_file_without_its_ledger_is_set_aside() {
    let folder = tempfile::tempdir().unwrap();
    open(folder.path(), 100).close(NOW);
    let path = folder.path().join(FILE_NAME);
    rusqlite::Connection::open(&path).unwrap().execute("DELETE FROM meta", []).unwrap();
    let mut outbox = open(folder.path(), 100);
    assert_eq!((outbox.fault.clone(), all_told(&mut outbox).len()), (None, 1));
}

#[test]
fn a_file_that_breaks_while_it_is_open_is_replaced_and_its_loss_counted() {
    let folder = tempfile::tempdir().unwrap();
    let mut outbox = open(folder.path(), 1_000);
    for id in 1..=50 {
        outbox.stage(&event(id, 2_000), NOW);
    }
    outbox.commit(NOW);
    let path = folder.path().join(FILE_NAME);
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("DROP TABLE outbox").unwrap();
    drop(other);
    append(&mut outbox, [51]);
    let all = all_told(&mut outbox);
    let [(1, Told::Gap(gap)), (2, Told::Event(51))] = &all[..] else { panic!("{all:?}") };
    assert_eq!(gap.count, 50);
    assert_eq!(outbox.status().fault, None);
}

/// Puts a copy of the outbox in its place, as on a disk that was mounted anew, after this was done to
/// the copy.
fn replace(folder: &Path, change: impl FnOnce(&rusqlite::Connection)) {
    let (path, copy) = (folder.join(FILE_NAME), folder.join("copy.db"));
    let now = rusqlite::Connection::open(&path).unwrap();
    now.execute("VACUUM INTO ?1", [copy.to_str()]).unwrap();
    drop(now);
    let changed = rusqlite::Connection::open(&copy).unwrap();
    change(&changed);
    changed.close().unwrap();
    for suffix in ["-wal", "-shm"] {
        fs::remove_file(folder.join(format!("{FILE_NAME}{suffix}"))).unwrap();
    }
    fs::rename(copy, path).unwrap();
}

#[test]
fn a_commit_that_failed_and_reached_the_disk_all_the_same_is_not_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let mut outbox = open(folder.path(), 1_000);
    fill(&outbox);
    let last = append_until_fault(&mut outbox);
    append(&mut outbox, [last + 1]);
    let row = outbox.memory.rows().next().unwrap();
    let (seq, event) = (row.seq.0.cast_signed(), row.event.to_vec());
    let kept = NOW.unix_ns().cast_signed();
    replace(folder.path(), |copy| {
        let insert = "INSERT INTO outbox VALUES (?1, ?2, 0, ?3)";
        copy.execute(insert, rusqlite::params![seq, kept, event]).unwrap();
    });
    outbox.commit(NOW.after(SECOND));
    assert_eq!((outbox.status().fault, outbox.status().in_memory), (None, 0));
    assert_eq!(ids(&all_told(&mut outbox)), (1..=last + 1).collect::<Vec<_>>());
}

#[test]
fn an_older_copy_of_the_file_makes_no_number_come_twice() {
    let folder = tempfile::tempdir().unwrap();
    let mut outbox = open(folder.path(), 1_000);
    append(&mut outbox, 1..=9);
    fill(&outbox);
    append_until_fault(&mut outbox);
    let next = outbox.status().next_seq;
    replace(folder.path(), |copy| {
        let older = "DELETE FROM outbox WHERE seq > 3; UPDATE meta SET reserved_seq = 4";
        copy.execute_batch(older).unwrap();
    });
    outbox.commit(NOW.after(SECOND));
    assert!(outbox.status().next_seq >= next);
    append(&mut outbox, [10]);
    assert_eq!(outbox.status().fault, None);
    assert!(all_told(&mut outbox).is_sorted_by(|(a, _), (b, _)| a < b));
}

#[test]
fn a_folder_that_cannot_be_written_does_not_stop_the_agent() {
    let folder = tempfile::tempdir().unwrap();
    // A file where the folder should be refuses root, too.
    let state = folder.path().join("state");
    fs::write(&state, b"").unwrap();
    let mut outbox = open(&state, 100);
    append(&mut outbox, 1..=3);
    assert_eq!(ids(&all_told(&mut outbox)), [1, 2, 3]);
    let epoch = outbox.status().epoch;
    assert!(outbox.status().fault.is_some());
    fs::remove_file(&state).unwrap();
    outbox.commit(NOW.after(SECOND));
    let status = outbox.status();
    assert_eq!((status.fault, status.in_memory, status.epoch), (None, 0, epoch));
    assert_eq!(ids(&all_told(&mut outbox)), [1, 2, 3]);
}

#[test]
fn a_second_agent_keeps_off_and_joins_when_the_first_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = open(folder.path(), 100);
    append(&mut first, [1]);
    let mut second = open(folder.path(), 100);
    append(&mut second, [2]);
    assert_eq!(second.fault.as_deref(), Some("another process uses the outbox"));
    assert_eq!(ids(&all_told(&mut second)), [2]);
    let epoch = first.ledger.epoch;
    drop(first);
    second.commit(NOW.after(SECOND));
    assert_eq!((second.fault.clone(), second.ledger.epoch), (None, epoch));
    assert_eq!(ids(&all_told(&mut second)), [1, 2]);
}

#[test]
fn the_file_is_for_nobody_else_to_read() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let mut outbox = open(&state, 100);
    append(&mut outbox, [1]);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&state), mode(&state.join(FILE_NAME))), (0o700, 0o600));
    assert_eq!(mode(&state.join("outbox.db-wal")), 0o600);
}

/// A file system of 512 KiB, where the machine lets us make one.
struct Tiny(tempfile::TempDir);

impl Tiny {
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=512k", "tmpfs"])
            .arg(folder.path())
            .status();
        mount.is_ok_and(|status| status.success()).then_some(Self(folder))
    }
}

impl Drop for Tiny {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[test]
fn a_file_system_that_is_really_full_loses_nothing_within_memory() {
    let Some(tiny) = Tiny::mount() else {
        // The same is tested with a file that may not grow; this needs the right to mount.
        println!("no right to mount a file system: tested with max_page_count only");
        return;
    };
    let ballast = tiny.0.path().join("ballast");
    let mut outbox = open(tiny.0.path(), 10_000);
    fs::write(&ballast, vec![0; 200 * 1024]).unwrap();
    let last = append_until_fault(&mut outbox);
    assert_eq!(ids(&all_told(&mut outbox)), (1..=last).collect::<Vec<_>>());
    fs::remove_file(&ballast).unwrap();
    outbox.commit(NOW.after(SECOND));
    assert_eq!(outbox.status().fault, None);
    assert_eq!(ids(&all_told(&mut outbox)), (1..=last).collect::<Vec<_>>());
}
