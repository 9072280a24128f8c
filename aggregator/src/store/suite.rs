//! What every store must do. Each test runs on both.

use std::sync::Arc;

use gpuwarden_proto::entity::{Entity, EntityKind};
use gpuwarden_proto::incident::Incident;
use gpuwarden_proto::silence::{Ended, SilenceId};
use gpuwarden_proto::vocab::{
    Epoch, IncidentId, IncidentType, NodeState, Phase, Seq, Severity, SilenceKind,
};

use super::*;
use crate::incident::{Because, Case, Command, Limits, member};
use crate::slo::Count;
use crate::slo::kept::{Alarm, Bucket, Key};
use crate::testing::{at, entry, finding, node, recorded, snapshot};

/// Runs a check on each kind of store.
fn on_each(check: impl Fn(&mut dyn Store)) {
    check(&mut MemoryStore::default());
    let folder = tempfile::tempdir().unwrap();
    check(&mut SqliteStore::open(folder.path()).unwrap());
}

fn incident(id: u64) -> Case {
    let cause = finding(Phase::Raised, &["queue-backup", "bert"], at(0));
    let cause = member(Some(node("node-a")), cause, crate::incident::Belongs::first());
    let kind = Because { what: IncidentType::HighLatency, reason: "a test".to_owned() };
    let severity = Because { what: Severity::P3, reason: "a test".to_owned() };
    Case::open(IncidentId(id), cause, kind, severity, Limits::default(), at(0))
}

fn stored(case: &Case) -> Arc<Incident> {
    Arc::new(case.incident().clone())
}

fn batch(first: u64, received: u64) -> Batch {
    Batch {
        node: node("node-a"),
        epoch: Epoch(u64::MAX),
        received_at: at(received),
        taken_at: at(received + 1),
        order: received * 100_000 + first,
        observed: (at(0), at(1)),
        entries: vec![
            entry(first, at(0), "raise xid gpu0"),
            entry(first + 1, at(1), "clear xid gpu0"),
        ],
    }
}

fn row_of_journal(second: u64) -> JournalRow {
    JournalRow { at: at(second), order: second * 100_000, line: format!("{{\"at\":{second}}}") }
}

fn row(state: NodeState, with_snapshot: bool) -> NodeRow {
    let words = ["models=bert", "sources=nvml"];
    NodeRow {
        id: node("node-a"),
        state,
        last_seen_at: at(3),
        agent_version: "0.1.0".to_owned(),
        snapshot: with_snapshot.then(|| Arc::new(snapshot(&words, at(2)))),
        busy: vec![(ServerName::new("default").unwrap(), ModelName::new("bert").unwrap())],
    }
}

#[test]
fn an_empty_store_begins_at_incident_1() {
    on_each(|store| {
        assert_eq!(
            store.load().unwrap(),
            Loaded { next_incident: 1, next_order: 1, next_silence: 1, ..Loaded::default() }
        );
    });
}

#[test]
fn all_that_was_committed_is_loaded() {
    on_each(|store| {
        let case = incident(4);
        let mark = (node("node-a"), Epoch(u64::MAX), Seq(2));
        let transaction = Transaction {
            batches: vec![batch(1, 1)],
            marks: vec![mark.clone()],
            incidents: vec![stored(&case)],
            nodes: vec![row(NodeState::Connected, true)],
            next_incident: 5,
            ..Transaction::default()
        };
        store.commit(&transaction).unwrap();
        let loaded = store.load().unwrap();
        assert_eq!(loaded.incidents, [case.incident().clone()]);
        assert_eq!(loaded.nodes, [row(NodeState::Connected, true)]);
        assert_eq!(loaded.marks, [mark]);
        assert_eq!((loaded.next_incident, loaded.next_order), (5, 100_002));
        let read = store.history().unwrap().batches(&node("node-a"), 10).unwrap();
        assert_eq!(read, [batch(1, 1)]);
    });
}

#[test]
fn a_watermark_never_goes_back() {
    on_each(|store| {
        for seq in [5, 3] {
            let marks = vec![(node("node-a"), Epoch(1), Seq(seq))];
            store.commit(&Transaction { marks, ..Transaction::default() }).unwrap();
        }
        assert_eq!(store.load().unwrap().marks, [(node("node-a"), Epoch(1), Seq(5))]);
    });
}

#[test]
fn a_node_keeps_its_snapshot_when_only_its_state_changes() {
    on_each(|store| {
        for row in [row(NodeState::Connected, true), row(NodeState::Lost, false)] {
            let nodes = vec![row];
            store.commit(&Transaction { nodes, ..Transaction::default() }).unwrap();
        }
        let node = store.load().unwrap().nodes.remove(0);
        assert_eq!(node.state, NodeState::Lost);
        assert!(node.snapshot.is_some());
        assert_eq!(node.busy.len(), 1);
    });
}

#[test]
fn resolved_incidents_are_read_from_history_newest_first() {
    on_each(|store| {
        let mut cases: Vec<Case> = (1..=4).map(incident).collect();
        for case in &mut cases[..3] {
            case.clear(Some(0), at(1), "", at(1));
            let (by, reason) = ("ann".to_owned(), String::new());
            case.command(Command::Resolve { by, reason, force: false }, at(2)).unwrap();
        }
        let incidents = cases.iter().map(stored).collect();
        store.commit(&Transaction { incidents, ..Transaction::default() }).unwrap();
        let history = store.history().unwrap();
        let ids = |before, limit| -> Vec<u64> {
            history.resolved(before, limit).unwrap().iter().map(|each| each.id.0).collect()
        };
        assert_eq!(ids(None, 10), [3, 2, 1]);
        assert_eq!(ids(None, 2), [3, 2]);
        assert_eq!(ids(Some(IncidentId(2)), 10), [1]);
        assert_eq!(history.incident(IncidentId(1)).unwrap(), Some(cases[0].incident().clone()));
        assert_eq!(history.incident(IncidentId(9)).unwrap(), None);
        let loaded: Vec<u64> = store.load().unwrap().incidents.iter().map(|i| i.id.0).collect();
        assert_eq!(loaded, [4, 3, 2, 1], "what is over may come again: the newest end first");
    });
}

#[test]
fn what_was_resolved_with_force_is_loaded_to_keep_it_silent() {
    on_each(|store| {
        let mut case = incident(1);
        let (by, reason) = ("ann".to_owned(), "known".to_owned());
        case.command(Command::Resolve { by, reason, force: true }, at(2)).unwrap();
        let incidents = vec![stored(&case)];
        store.commit(&Transaction { incidents, ..Transaction::default() }).unwrap();
        assert_eq!(store.load().unwrap().incidents.len(), 1);
    });
}

#[test]
fn what_went_on_as_another_incident_is_not_loaded_since_its_members_live_on_there() {
    on_each(|store| {
        let mut case = incident(1);
        case.merge_into(IncidentId(2), "a test", at(2));
        let incidents = vec![stored(&case)];
        store.commit(&Transaction { incidents, ..Transaction::default() }).unwrap();
        assert_eq!(store.load().unwrap().incidents, []);
        assert!(store.history().unwrap().incident(IncidentId(1)).unwrap().is_some());
    });
}

#[test]
fn an_event_is_looked_up_in_the_first_batch_that_reaches_it_in_each_outbox() {
    on_each(|store| {
        let other = Batch { epoch: Epoch(1), ..batch(3, 4) };
        let elsewhere = Batch { node: node("node-b"), ..batch(3, 5) };
        let batches = vec![batch(1, 1), batch(5, 2), batch(7, 3), other, elsewhere];
        let marks = vec![(node("node-a"), Epoch(u64::MAX), Seq(8))];
        store.commit(&Transaction { batches, marks, ..Transaction::default() }).unwrap();
        let history = store.history().unwrap();
        let received = |seq| -> Vec<u64> {
            let found = history.reaching(&node("node-a"), Seq(seq)).unwrap();
            found.iter().map(|batch| batch.received_at.since(at(0)).as_secs()).collect()
        };
        assert_eq!(received(2), [4, 1]);
        assert_eq!(received(3), [4, 2], "3 and 4 are missing in one outbox");
        assert_eq!(received(9), Vec::<u64>::new());
        assert_eq!(history.marks(&node("node-a")).unwrap(), [(Epoch(u64::MAX), Seq(8))]);
        assert_eq!(history.marks(&node("node-c")).unwrap(), []);
    });
}

#[test]
fn incidents_around_an_event_were_open_then_or_settled_before() {
    on_each(|store| {
        let mut cases: Vec<Case> = (1..=4).map(incident).collect();
        cases[0].clear(Some(0), at(1), "", at(1));
        for (case, second) in cases[..3].iter_mut().zip([10, 20, 30]) {
            let (by, reason) = ("ann".to_owned(), "known".to_owned());
            case.command(Command::Resolve { by, reason, force: true }, at(second)).unwrap();
        }
        let incidents = cases.iter().map(stored).collect();
        store.commit(&Transaction { incidents, ..Transaction::default() }).unwrap();
        let history = store.history().unwrap();
        let ids = |raised, told, limit| -> Vec<u64> {
            let found = history.around(at(raised), at(told), limit).unwrap();
            found.iter().map(|incident| incident.id.0).collect()
        };
        assert_eq!(ids(0, 5, 10), [3, 2, 1]);
        assert_eq!(ids(0, 25, 10), [3, 2], "the first had no active member");
        assert_eq!(ids(0, 25, 1), [3]);
        let before = history.around(at(0).before(std::time::Duration::from_secs(1)), at(5), 10);
        assert_eq!(before.unwrap(), []);
    });
}

#[test]
fn only_what_is_old_is_forgotten_and_only_some_at_a_time() {
    on_each(|store| {
        let batches = vec![batch(1, 10), batch(3, 20), batch(5, 30)];
        store.commit(&Transaction { batches, ..Transaction::default() }).unwrap();
        let retention = |rows_max| Retention {
            batches_before: at(25),
            incidents_before: at(25),
            silences_before: at(25),
            bytes_max: u64::MAX,
            rows_max,
        };
        assert_eq!(store.prune(&retention(1)).unwrap(), 1);
        assert_eq!(store.prune(&retention(10)).unwrap(), 1);
        assert_eq!(store.prune(&retention(10)).unwrap(), 0);
        let left = store.history().unwrap().batches(&node("node-a"), 10).unwrap();
        assert_eq!(left, [batch(5, 30)]);
    });
}

#[test]
fn all_is_read_in_the_order_in_which_it_was_taken_up_page_by_page() {
    on_each(|store| {
        let other = Batch { node: node("node-b"), ..batch(1, 3) };
        let batches = vec![batch(1, 1), other.clone(), batch(3, 5)];
        let journal = vec![row_of_journal(2), row_of_journal(4)];
        let transaction = Transaction { batches, journal, ..Transaction::default() };
        store.commit(&transaction).unwrap();
        store
            .commit(&Transaction { journal: vec![row_of_journal(6)], ..Transaction::default() })
            .unwrap();
        let expected = [
            Taken::Batch(batch(1, 1)),
            Taken::Row(row_of_journal(2)),
            Taken::Batch(other),
            Taken::Row(row_of_journal(4)),
            Taken::Batch(batch(3, 5)),
            Taken::Row(row_of_journal(6)),
        ];
        for limit in 1..=7 {
            let (mut read, mut from) = (Vec::new(), Some(Place::default()));
            while let Some(place) = from {
                let page = store.history().unwrap().taken(place, limit).unwrap();
                assert!(page.taken.len() <= limit);
                read.extend(page.taken);
                from = page.next;
            }
            assert_eq!(read, expected, "{limit} a page");
        }
        assert_eq!(store.load().unwrap().next_order, 600_001);
    });
}

#[test]
fn the_journal_is_forgotten_like_the_batches() {
    on_each(|store| {
        let journal = vec![row_of_journal(10), row_of_journal(20), row_of_journal(30)];
        store.commit(&Transaction { journal, ..Transaction::default() }).unwrap();
        let retention = |rows_max| Retention {
            silences_before: at(0),
            batches_before: at(25),
            incidents_before: at(25),
            bytes_max: u64::MAX,
            rows_max,
        };
        assert_eq!(store.prune(&retention(1)).unwrap(), 1);
        assert_eq!(store.prune(&retention(10)).unwrap(), 1);
        let left = store.history().unwrap().taken(Place::default(), 10).unwrap().taken;
        assert_eq!(left, [Taken::Row(row_of_journal(30))]);
    });
}

#[test]
fn when_the_file_is_too_large_the_oldest_go_whichever_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = SqliteStore::open(folder.path()).unwrap();
    let (batches, journal) = (vec![batch(1, 2), batch(3, 4)], [1, 3, 5].map(row_of_journal));
    let journal = journal.to_vec();
    store.commit(&Transaction { batches, journal, ..Transaction::default() }).unwrap();
    let (batches_before, incidents_before) = (at(0), at(0));
    let retention = Retention {
        batches_before,
        incidents_before,
        silences_before: at(0),
        bytes_max: 1,
        rows_max: 3,
    };
    assert_eq!(store.prune(&retention).unwrap(), 3);
    let left = store.history().unwrap().taken(Place::default(), 10).unwrap().taken;
    assert_eq!(left, [Taken::Batch(batch(3, 4)), Taken::Row(row_of_journal(5))]);
}

#[test]
fn a_file_of_version_1_goes_on_and_its_batches_are_in_the_order_of_receipt() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = SqliteStore::open(folder.path()).unwrap();
    let batches = vec![batch(1, 1), batch(3, 2)];
    store.commit(&Transaction { batches, ..Transaction::default() }).unwrap();
    drop(store);
    let db = rusqlite::Connection::open(folder.path().join("aggregator.db")).unwrap();
    let back = "ALTER TABLE batch DROP COLUMN taken_ns; ALTER TABLE node DROP COLUMN busy; \
        DROP TABLE journal; \
        DROP INDEX change_by_key; ALTER TABLE change DROP COLUMN key; PRAGMA user_version = 1";
    db.execute_batch(back).unwrap();
    drop(db);
    let error = SqliteHistory::of(folder.path()).unwrap_err();
    assert_eq!(error.fault, StoreFault::Older { found: 1, known: 3 });
    let mut store = SqliteStore::open(folder.path()).unwrap();
    let journal = vec![row_of_journal(9)];
    store.commit(&Transaction { journal, ..Transaction::default() }).unwrap();
    let taken = store.history().unwrap().taken(Place::default(), 10).unwrap().taken;
    let as_it_came = |batch: Batch| Taken::Batch(Batch { taken_at: batch.received_at, ..batch });
    let expected =
        [as_it_came(batch(1, 1)), as_it_came(batch(3, 2)), Taken::Row(row_of_journal(9))];
    assert_eq!(taken, expected);
}

#[test]
fn a_store_can_be_read_while_it_is_written_and_after() {
    let folder = tempfile::tempdir().unwrap();
    let read = || SqliteHistory::of(folder.path());
    let error = read().unwrap_err();
    assert_eq!(error.fault, StoreFault::Absent);
    let mut store = SqliteStore::open(folder.path()).unwrap();
    let batches = vec![batch(1, 1)];
    store.commit(&Transaction { batches, ..Transaction::default() }).unwrap();
    let taken = || read().unwrap().taken(Place::default(), 10).unwrap().taken;
    assert_eq!(taken(), [Taken::Batch(batch(1, 1))]);
    drop(store);
    assert_eq!(taken(), [Taken::Batch(batch(1, 1))]);
}

#[test]
fn two_writers_cannot_have_one_folder() {
    let folder = tempfile::tempdir().unwrap();
    let _first = SqliteStore::open(folder.path()).unwrap();
    let error = SqliteStore::open(folder.path()).unwrap_err();
    assert_eq!(error.fault, StoreFault::Busy);
    assert!(error.to_string().ends_with("another process uses it; stop the other process"));
}

#[test]
fn a_file_of_a_newer_version_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    drop(SqliteStore::open(folder.path()).unwrap());
    let file = folder.path().join("aggregator.db");
    let db = rusqlite::Connection::open(file).unwrap();
    db.pragma_update(None, "user_version", 99).unwrap();
    drop(db);
    let error = SqliteStore::open(folder.path()).unwrap_err();
    assert_eq!(error.fault, StoreFault::Newer { found: 99, known: 3 });
    assert!(!error.retryable());
}

#[test]
fn a_change_is_kept_once_with_all_that_was_told_and_what_is_told_again_takes_its_place() {
    on_each(|store| {
        let told = "rollout service=search model=bert:7 node=node-a by=ann key=ci-7";
        let first = recorded(10, told);
        let ended = recorded(10, &format!("{told} finished=20"));
        let other = recorded(11, "infrastructure key=net");
        for change in [&first, &other, &ended] {
            let changes = vec![RecordedChange::clone(change)];
            store.commit(&Transaction { changes, ..Transaction::default() }).unwrap();
        }
        assert_eq!(store.load().unwrap().changes, [(*ended).clone(), (*other).clone()]);
        let retention = Retention {
            batches_before: at(0),
            incidents_before: at(11),
            silences_before: at(0),
            bytes_max: u64::MAX,
            rows_max: 10,
        };
        assert_eq!(store.prune(&retention).unwrap(), 1);
        assert_eq!(store.load().unwrap().changes, [(*other).clone()]);
    });
}

#[test]
fn a_file_of_version_2_is_raised_and_its_changes_are_still_read() {
    let folder = tempfile::tempdir().unwrap();
    drop(SqliteStore::open(folder.path()).unwrap());
    let db = rusqlite::Connection::open(folder.path().join("aggregator.db")).unwrap();
    let back = "DROP INDEX change_by_key; ALTER TABLE change DROP COLUMN key";
    db.execute_batch(back).unwrap();
    // `node-a` has another driver since second 10, as version 2 wrote it.
    let mut payload = b"\x0a\x06node-a\x11".to_vec();
    payload.extend(at(10).unix_ns().to_le_bytes());
    payload.extend(b"\x1a\x0d\x0a\x02\x0a\x00\x10\x05\x22\x05570.1");
    let row = rusqlite::params![1, payload];
    db.execute("INSERT INTO change (observed_ns, payload) VALUES (?1, ?2)", row).unwrap();
    db.pragma_update(None, "user_version", 2).unwrap();
    drop(db);
    let mut store = SqliteStore::open(folder.path()).unwrap();
    let read = store.load().unwrap();
    assert_eq!(read.unreadable, 0);
    let old = &read.changes[0];
    assert_eq!((old.after.as_str(), old.started_at), ("570.1", at(10)));
    assert_eq!(old.about[0].to_string(), "node node-a");
    let changes = vec![(*recorded(11, "rollout key=a")).clone()];
    store.commit(&Transaction { changes, ..Transaction::default() }).unwrap();
    assert_eq!(store.load().unwrap().changes.len(), 2);
}

#[test]
fn a_full_disk_is_told_as_such_and_mends_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = SqliteStore::open(folder.path()).unwrap();
    store.limit_pages(Some(20));
    let large: Vec<Batch> = (0..2000).map(|n| batch(n * 2 + 1, 1)).collect();
    let transaction = Transaction { batches: large, ..Transaction::default() };
    let error = store.commit(&transaction).unwrap_err();
    assert_eq!(error.fault, StoreFault::DiskFull);
    assert!(error.retryable());
    assert!(store.history().unwrap().batches(&node("node-a"), 1).unwrap().is_empty());
    store.limit_pages(None);
    store.commit(&transaction).unwrap();
}

#[test]
fn a_disk_that_was_mounted_anew_needs_a_new_start() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = SqliteStore::open(folder.path()).unwrap();
    store.limit_pages(Some(1));
    let file = folder.path().join("aggregator.db");
    std::fs::rename(&file, folder.path().join("elsewhere.db")).unwrap();
    let batches: Vec<Batch> = (0..2000).map(|n| batch(n * 2 + 1, 1)).collect();
    let transaction = Transaction { batches, ..Transaction::default() };
    let gone = store.commit(&transaction).unwrap_err();
    assert_eq!(gone.fault, StoreFault::DiskFull, "it may come back");
    std::fs::write(&file, b"").unwrap();
    let error = store.commit(&transaction).unwrap_err();
    assert_eq!(error.fault, StoreFault::Replaced);
    assert!(!error.retryable());
}

fn silence(id: u64, ends: u64) -> Silence {
    Silence {
        id: SilenceId(id),
        kind: SilenceKind::Maintenance,
        matchers: vec!["node=~gpu-.*".parse().unwrap()],
        entities: vec![Entity::fleet(EntityKind::Rack, "r7")],
        starts_at: at(1),
        ends_at: at(ends),
        author: "ann".to_owned(),
        reason: "new PDU".to_owned(),
        even_critical: true,
        created_at: at(0),
        ended: None,
        incidents_held: 0,
        findings_held: 0,
        repeat: None,
    }
}

fn of_silences(silences: Vec<Silence>) -> Transaction {
    Transaction { silences, ..Transaction::default() }
}

#[test]
fn silences_are_kept_as_they_last_were_and_numbers_are_not_used_twice() {
    on_each(|store| {
        let (one, mut two) = (silence(1, 20), silence(2, 90));
        store.commit(&of_silences(vec![one.clone(), two.clone()])).unwrap();
        two.ended = Some(Ended { by: "bob".to_owned(), at: at(40) });
        two.findings_held = 3;
        store.commit(&of_silences(vec![two.clone()])).unwrap();
        let loaded = store.load().unwrap();
        assert_eq!((loaded.silences, loaded.next_silence), (vec![one, two], 3));
        let before = |second| Retention {
            batches_before: at(0),
            incidents_before: at(0),
            silences_before: at(second),
            bytes_max: u64::MAX,
            rows_max: 10,
        };
        assert_eq!(store.prune(&before(21)).unwrap(), 1, "the first was over");
        assert_eq!(store.prune(&before(41)).unwrap(), 1, "the second was ended");
        let loaded = store.load().unwrap();
        assert_eq!((loaded.silences, loaded.next_silence), (Vec::new(), 3));
    });
}

fn bucket(step_s: u64, start_s: u64, good: u64) -> Bucket {
    let key = Key { service: "search".into(), measure: "availability".to_owned() };
    Bucket { key, step_s, start_s, count: Count { good, bad: 1 } }
}

#[test]
fn counts_of_objectives_are_replaced_by_newer_ones_and_forgotten_by_their_age() {
    on_each(|store| {
        let mut commit = |buckets: Vec<Bucket>, forget: Vec<(u64, u64)>| {
            let slo = Kept { buckets, forget, ..Kept::default() };
            store.commit(&Transaction { slo, ..Transaction::default() }).unwrap();
            store.load().unwrap().slo.buckets
        };
        let all = vec![bucket(60, 0, 1), bucket(60, 60, 2), bucket(3600, 0, 3)];
        assert_eq!(commit(all.clone(), Vec::new()), all);
        let left = vec![bucket(60, 60, 9), bucket(3600, 0, 3)];
        assert_eq!(commit(vec![bucket(60, 60, 9)], vec![(60, 60), (3600, 0)]), left);
    });
}

#[test]
fn an_alarm_of_an_objective_is_kept_until_it_is_over() {
    on_each(|store| {
        let mut commit = |pairs: u8| {
            let alarm = Alarm { key: bucket(60, 0, 0).key, pairs, raised_at: at(1) };
            let slo = Kept { alarms: vec![alarm], ..Kept::default() };
            store.commit(&Transaction { slo, ..Transaction::default() }).unwrap();
            store.load().unwrap().slo.alarms.iter().map(|alarm| alarm.pairs).collect::<Vec<_>>()
        };
        assert_eq!((commit(0b10), commit(0b11), commit(0)), (vec![0b10], vec![0b11], Vec::new()));
    });
}
