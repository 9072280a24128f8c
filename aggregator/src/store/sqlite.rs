//! A store in one SQLite file: WAL, `synchronous=FULL`, one writer, readers with connections of
//! their own.

mod disk;
mod load;
mod response;
mod silence;
mod slo;

use std::ffi::c_int;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gpuwarden_proto::convert::{encode_change, encode_entries, encode_incident, encode_snapshot};
use gpuwarden_proto::incident::Incident;
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::{Epoch, IncidentId, NodeId, Seq};
use gpuwarden_respond::timer::audit::Logged;
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior, params};

use self::disk::Inode;
use super::{
    Batch, History, JournalRow, Loaded, NodeRow, Page, Place, Retention, Store, StoreError,
    StoreFault, Transaction,
};
use crate::response::Work;

/// The name of the file in its folder.
const FILE: &str = "aggregator.db";
const SCHEMA: &str = include_str!("schema.sql");
/// What brings a file one version further, from version 1 on.
const MIGRATIONS: &[&str] = &[include_str!("schema_2.sql"), include_str!("schema_3.sql")];
/// What `user_version` says of a file with the present schema.
const SCHEMA_VERSION: i64 = 3;
/// The file that is locked, beside the store.
const LOCK_NAME: &str = "aggregator.lock";
/// The first SQLite without the race that loses commits when a WAL is begun anew.
const SAFE_VERSION: c_int = 3_051_003;
/// The index of the log is given its room when a file is opened: a full disk is seen there first.
const NO_ROOM_FOR_INDEX: c_int = rusqlite::ffi::SQLITE_IOERR_SHMSIZE;

/// The writer of a file.
#[derive(Debug)]
pub struct SqliteStore {
    connection: Connection,
    path: PathBuf,
    inode: Inode,
    /// Held for as long as we live: two aggregators on one file would both give out numbers.
    _lock: File,
}

/// The version of SQLite that is built in.
#[must_use]
pub fn sqlite_version() -> &'static str {
    rusqlite::version()
}

impl SqliteStore {
    /// Opens the store in a folder, and makes both where they are missing.
    ///
    /// # Errors
    ///
    /// The folder cannot be written, another process uses it, or the file is not ours.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        let path = folder.join(FILE);
        let failed = |operation, fault| StoreError { operation, path: path.clone(), fault };
        if rusqlite::version_number() < SAFE_VERSION {
            let fault = StoreFault::UnsafeLibrary(rusqlite::version().to_owned());
            return Err(failed("will not open", fault));
        }
        std::fs::create_dir_all(folder)
            .map_err(|error| failed("cannot make the folder of", io(&error)))?;
        let lock = File::create(path.with_file_name(LOCK_NAME))
            .map_err(|error| failed("cannot lock", io(&error)))?;
        if lock.try_lock().is_err() {
            return Err(failed("cannot lock", StoreFault::Busy));
        }
        let connection = Connection::open(&path).map_err(fault("cannot open", &path))?;
        let inode = Inode::of(&path).map_err(|error| failed("cannot find", io(&error)))?;
        let mut store = Self { connection, path: path.clone(), inode, _lock: lock };
        store.prepare().map_err(fault("cannot prepare", &path))?;
        store.migrate()?;
        Ok(store)
    }

    fn prepare(&self) -> rusqlite::Result<()> {
        let db = &self.connection;
        db.busy_timeout(Duration::from_secs(5))?;
        db.pragma_update(None, "journal_mode", "WAL")?;
        db.pragma_update(None, "synchronous", "FULL")?;
        db.pragma_update(None, "wal_autocheckpoint", 4000)?;
        db.pragma_update(None, "journal_size_limit", 64 * 1024 * 1024)?;
        db.pragma_update(None, "cache_size", -16 * 1024)?;
        db.pragma_update(None, "mmap_size", 0)?;
        db.set_prepared_statement_cache_capacity(32);
        Ok(())
    }

    fn migrate(&mut self) -> Result<(), StoreError> {
        let failed = fault("cannot prepare the schema of", &self.path);
        let found = schema_version(&self.connection).map_err(&failed)?;
        if found > SCHEMA_VERSION {
            let fault = StoreFault::Newer { found, known: SCHEMA_VERSION };
            return Err(StoreError { operation: "will not open", path: self.path.clone(), fault });
        }
        if found < SCHEMA_VERSION {
            self.advance(found).map_err(&failed)?;
        }
        silence::prepare(&self.connection).map_err(&failed)?;
        slo::prepare(&self.connection).map_err(&failed)?;
        response::prepare(&self.connection).map_err(&failed)?;
        Ok(())
    }

    fn advance(&mut self, found: i64) -> rusqlite::Result<()> {
        let tx = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        match usize::try_from(found - 1) {
            Ok(done) => MIGRATIONS.iter().skip(done).try_for_each(|sql| tx.execute_batch(sql))?,
            Err(_) => tx.execute_batch(SCHEMA)?,
        }
        tx.pragma_update(None, "user_version", SCHEMA_VERSION)?;
        tx.commit()
    }

    /// As if the disk had only so much room.
    #[cfg(test)]
    pub(super) fn limit_pages(&self, pages: Option<u32>) {
        let most = pages.unwrap_or(i32::MAX.unsigned_abs());
        self.connection
            .query_row(&format!("PRAGMA max_page_count = {most}"), [], |_| Ok(()))
            .expect("a pragma that is known");
    }

    fn size(&self) -> rusqlite::Result<u64> {
        let db = &self.connection;
        let number = |name| db.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        let pages = number("page_count")? - number("freelist_count")?;
        Ok(unsigned(pages * number("page_size")?))
    }
}

impl SqliteStore {
    fn try_commit(&mut self, transaction: &Transaction) -> Result<(), StoreError> {
        let failed = fault("cannot commit to", &self.path);
        let tx = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(&failed)?;
        write(&tx, transaction).map_err(&failed)?;
        tx.commit().map_err(&failed)
    }

    fn try_prune(&mut self, retention: &Retention) -> Result<usize, StoreError> {
        let failed = fault("cannot delete old rows of", &self.path);
        let rows = signed(retention.rows_max as u64);
        let size = self.size().map_err(&failed)?;
        let tx = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(&failed)?;
        let before = ns(retention.batches_before);
        let delete =
            |sql: &str, before: i64| tx.prepare_cached(sql)?.execute(params![before, rows]);
        let deleted = (|| -> rusqlite::Result<usize> {
            let over = match size > retention.bytes_max {
                true => delete_oldest(&tx, rows)?,
                false => 0,
            };
            Ok(over
                + delete(DELETE_BATCHES, before)?
                + delete(DELETE_JOURNAL, before)?
                + delete(DELETE_INCIDENTS, ns(retention.incidents_before))?
                + delete(DELETE_CHANGES, ns(retention.incidents_before))?
                + delete(silence::DELETE, ns(retention.silences_before))?
                + delete(response::DELETE_WORDS, before)?
                + tx.prepare_cached(response::DELETE_WORK)?.execute([rows])?)
        })()
        .map_err(&failed)?;
        tx.commit().map_err(&failed)?;
        Ok(deleted)
    }

    /// The same, with what the file system says of it.
    fn explained(&self, error: StoreError) -> StoreError {
        let fault = match error.fault {
            _ if self.inode.has_successor(&self.path) => StoreFault::Replaced,
            StoreFault::Io(_) if disk::is_read_only(&self.path.with_file_name(LOCK_NAME)) => {
                StoreFault::ReadOnly
            }
            fault => fault,
        };
        StoreError { fault, ..error }
    }
}

impl Store for SqliteStore {
    fn commit(&mut self, transaction: &Transaction) -> Result<(), StoreError> {
        self.try_commit(transaction).map_err(|error| self.explained(error))
    }

    fn load(&mut self) -> Result<Loaded, StoreError> {
        load::load(&self.connection).map_err(fault("cannot read", &self.path))
    }

    fn prune(&mut self, retention: &Retention) -> Result<usize, StoreError> {
        self.try_prune(retention).map_err(|error| self.explained(error))
    }

    fn history(&self) -> Result<Box<dyn History>, StoreError> {
        Ok(Box::new(SqliteHistory::open(&self.path)?))
    }
}

/// A reader of a file.
#[derive(Debug)]
pub struct SqliteHistory {
    connection: Connection,
    path: PathBuf,
}

impl SqliteHistory {
    /// Opens the store in a folder to read it, whether or not an aggregator has it open.
    ///
    /// # Errors
    ///
    /// There is none, it cannot be read, or it is one of a newer version.
    pub fn of(folder: &Path) -> Result<Self, StoreError> {
        let path = folder.join(FILE);
        let failed = |operation, fault| StoreError { operation, path: path.clone(), fault };
        if !path.exists() {
            return Err(failed("cannot read", StoreFault::Absent));
        }
        let this = Self::open(&path)?;
        let found = schema_version(&this.connection).map_err(fault("cannot read", &path))?;
        match found {
            0 => Err(failed("cannot read", StoreFault::Absent)),
            SCHEMA_VERSION => Ok(this),
            1..SCHEMA_VERSION => {
                Err(failed("cannot read", StoreFault::Older { found, known: SCHEMA_VERSION }))
            }
            _ => Err(failed("cannot read", StoreFault::Newer { found, known: SCHEMA_VERSION })),
        }
    }

    fn open(path: &Path) -> Result<Self, StoreError> {
        let failed = fault("cannot open for reading", path);
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).map_err(&failed)?;
        connection.busy_timeout(Duration::from_secs(5)).map_err(&failed)?;
        Ok(Self { connection, path: path.to_owned() })
    }
}

fn schema_version(db: &Connection) -> rusqlite::Result<i64> {
    db.pragma_query_value(None, "user_version", |row| row.get(0))
}

impl History for SqliteHistory {
    fn incident(&self, id: IncidentId) -> Result<Option<Incident>, StoreError> {
        load::incident(&self.connection, id).map_err(fault("cannot read", &self.path))
    }

    fn resolved(
        &self,
        before: Option<IncidentId>,
        limit: usize,
    ) -> Result<Vec<Incident>, StoreError> {
        load::resolved(&self.connection, before, limit).map_err(fault("cannot read", &self.path))
    }

    fn batches(&self, node: &NodeId, limit: usize) -> Result<Vec<Batch>, StoreError> {
        load::batches(&self.connection, node, limit).map_err(fault("cannot read", &self.path))
    }

    fn reaching(&self, node: &NodeId, seq: Seq) -> Result<Vec<Batch>, StoreError> {
        load::reaching(&self.connection, node, seq).map_err(fault("cannot read", &self.path))
    }

    fn marks(&self, node: &NodeId) -> Result<Vec<(Epoch, Seq)>, StoreError> {
        load::marks(&self.connection, node).map_err(fault("cannot read", &self.path))
    }

    fn around(
        &self,
        raised_at: Timestamp,
        told_at: Timestamp,
        limit: usize,
    ) -> Result<Vec<Incident>, StoreError> {
        let times = (ns(raised_at), ns(told_at));
        load::around(&self.connection, times, limit).map_err(fault("cannot read", &self.path))
    }

    fn work(&self, id: IncidentId) -> Result<Option<Work>, StoreError> {
        response::work(&self.connection, id).map_err(fault("cannot read", &self.path))
    }

    fn timer_words(&self, from: Timestamp, limit: usize) -> Result<Vec<Logged>, StoreError> {
        response::words(&self.connection, from, limit).map_err(fault("cannot read", &self.path))
    }

    fn taken(&self, from: Place, limit: usize) -> Result<Page, StoreError> {
        load::taken(&self.connection, from, limit).map_err(fault("cannot read", &self.path))
    }
}

const INSERT_BATCH: &str = "INSERT INTO batch (node, epoch, first_seq, last_seq, events, \
    received_ns, first_observed_ns, last_observed_ns, payload, taken_ns, id) \
    VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11)";
const INSERT_JOURNAL: &str = "INSERT INTO journal (id, at_ns, line) VALUES (?1,?2,?3)";
const UPSERT_MARK: &str = "INSERT INTO mark (node, epoch, seq) VALUES (?1,?2,?3) \
    ON CONFLICT (node, epoch) DO UPDATE SET seq = max(seq, excluded.seq)";
const UPSERT_INCIDENT: &str = "INSERT INTO incident (id, type, severity, state, opened_ns, \
    updated_ns, resolved_ns, active, payload) VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9) \
    ON CONFLICT (id) DO UPDATE SET type = excluded.type, severity = excluded.severity, \
    state = excluded.state, opened_ns = excluded.opened_ns, updated_ns = excluded.updated_ns, \
    resolved_ns = excluded.resolved_ns, active = excluded.active, payload = excluded.payload";
const UPSERT_NODE: &str = "INSERT INTO node (id, state, last_seen_ns, agent_version, snapshot, \
    busy) VALUES (?1,?2,?3,?4,?5,?6) ON CONFLICT (id) DO UPDATE SET state = excluded.state, \
    last_seen_ns = excluded.last_seen_ns, agent_version = excluded.agent_version, \
    snapshot = coalesce(excluded.snapshot, snapshot), busy = coalesce(excluded.busy, busy)";
const UPSERT_CHANGE: &str = "INSERT INTO change (observed_ns, payload, key) VALUES (?1,?2,?3) \
    ON CONFLICT (key) DO UPDATE SET observed_ns = excluded.observed_ns, payload = excluded.payload";
const UPSERT_COUNTER: &str = "INSERT INTO counter (name, value) VALUES ('next_incident', ?1) \
    ON CONFLICT (name) DO UPDATE SET value = max(value, excluded.value)";
const DELETE_BATCHES: &str = "DELETE FROM batch WHERE id IN \
    (SELECT id FROM batch ORDER BY id LIMIT ?2) AND received_ns < ?1";
const DELETE_JOURNAL: &str = "DELETE FROM journal WHERE id IN \
    (SELECT id FROM journal ORDER BY id LIMIT ?2) AND at_ns < ?1";
/// The last of so many that are oldest.
const SELECT_OLDEST: &str = "SELECT max(id) FROM (SELECT id FROM (SELECT id FROM batch ORDER BY \
    id LIMIT ?1) UNION ALL SELECT id FROM (SELECT id FROM journal ORDER BY id LIMIT ?1) \
    ORDER BY id LIMIT ?1)";
const DELETE_INCIDENTS: &str = "DELETE FROM incident WHERE id IN (SELECT id FROM incident \
    WHERE resolved_ns IS NOT NULL AND resolved_ns < ?1 ORDER BY resolved_ns LIMIT ?2)";
const DELETE_CHANGES: &str = "DELETE FROM change WHERE id IN \
    (SELECT id FROM change ORDER BY id LIMIT ?2) AND observed_ns < ?1";

fn write(tx: &rusqlite::Transaction<'_>, transaction: &Transaction) -> rusqlite::Result<()> {
    transaction.batches.iter().try_for_each(|batch| write_batch(tx, batch))?;
    transaction.journal.iter().try_for_each(|row| write_journal(tx, row))?;
    for (node, epoch, seq) in &transaction.marks {
        let row = params![node.as_str(), epoch.0.cast_signed(), signed(seq.0)];
        tx.prepare_cached(UPSERT_MARK)?.execute(row)?;
    }
    transaction.incidents.iter().try_for_each(|incident| write_incident(tx, incident))?;
    transaction.nodes.iter().try_for_each(|node| write_node(tx, node))?;
    for change in &transaction.changes {
        let row = params![ns(change.started_at), encode_change(change), change.key.as_str()];
        tx.prepare_cached(UPSERT_CHANGE)?.execute(row)?;
    }
    transaction.silences.iter().try_for_each(|each| silence::write(tx, each))?;
    slo::write(tx, &transaction.slo)?;
    response::write(tx, &transaction.response)?;
    if !transaction.incidents.is_empty() {
        tx.prepare_cached(UPSERT_COUNTER)?.execute([signed(transaction.next_incident)])?;
    }
    Ok(())
}

fn write_batch(tx: &rusqlite::Transaction<'_>, batch: &Batch) -> rusqlite::Result<()> {
    let seq = |at: Option<&gpuwarden_proto::uplink::Entry>| at.map_or(Seq(0), |entry| entry.seq).0;
    tx.prepare_cached(INSERT_BATCH)?.execute(params![
        batch.node.as_str(),
        batch.epoch.0.cast_signed(),
        signed(seq(batch.entries.first())),
        signed(seq(batch.entries.last())),
        signed(batch.entries.len() as u64),
        ns(batch.received_at),
        ns(batch.observed.0),
        ns(batch.observed.1),
        encode_entries(&batch.entries),
        ns(batch.taken_at),
        signed(batch.order),
    ])?;
    Ok(())
}

fn write_journal(tx: &rusqlite::Transaction<'_>, row: &JournalRow) -> rusqlite::Result<()> {
    let values = params![signed(row.order), ns(row.at), row.line];
    tx.prepare_cached(INSERT_JOURNAL)?.execute(values)?;
    Ok(())
}

/// Deletes so many batches and journal rows, whatever their age.
fn delete_oldest(tx: &rusqlite::Transaction<'_>, rows: i64) -> rusqlite::Result<usize> {
    let last: Option<i64> =
        tx.prepare_cached(SELECT_OLDEST)?.query_row([rows], |row| row.get(0))?;
    let Some(last) = last else { return Ok(0) };
    let batches = tx.prepare_cached("DELETE FROM batch WHERE id <= ?1")?.execute([last])?;
    let journal = tx.prepare_cached("DELETE FROM journal WHERE id <= ?1")?.execute([last])?;
    Ok(batches + journal)
}

fn write_incident(tx: &rusqlite::Transaction<'_>, incident: &Incident) -> rusqlite::Result<()> {
    let active = incident.members.iter().filter(|member| member.cleared_at.is_none()).count();
    // What is active of an incident that went on as another is active there.
    let active = if incident.merged_into.is_some() { 0 } else { active };
    tx.prepare_cached(UPSERT_INCIDENT)?.execute(params![
        signed(incident.id.0),
        incident.kind.as_str(),
        incident.severity.as_str(),
        incident.state.as_str(),
        ns(incident.opened_at),
        ns(incident.updated_at),
        incident.resolved_at.map(ns),
        signed(active as u64),
        encode_incident(incident),
    ])?;
    Ok(())
}

fn write_node(tx: &rusqlite::Transaction<'_>, node: &NodeRow) -> rusqlite::Result<()> {
    tx.prepare_cached(UPSERT_NODE)?.execute(params![
        node.id.as_str(),
        node.state.as_str(),
        ns(node.last_seen_at),
        node.agent_version,
        node.snapshot.as_deref().map(encode_snapshot),
        node.snapshot.as_ref().and_then(|_| serde_json::to_string(&node.busy).ok()),
    ])?;
    Ok(())
}

fn ns(at: Timestamp) -> i64 {
    signed(at.unix_ns())
}

/// SQLite's integers are signed; what is beyond them is as good as endless.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

fn io(error: &std::io::Error) -> StoreFault {
    match error.kind() {
        std::io::ErrorKind::StorageFull => StoreFault::DiskFull,
        std::io::ErrorKind::ReadOnlyFilesystem => StoreFault::ReadOnly,
        std::io::ErrorKind::PermissionDenied => StoreFault::Forbidden,
        _ => StoreFault::Io(error.to_string()),
    }
}

fn fault(operation: &'static str, path: &Path) -> impl Fn(rusqlite::Error) -> StoreError + use<> {
    let path = path.to_owned();
    move |error| StoreError { operation, path: path.clone(), fault: kind(&error) }
}

fn kind(error: &rusqlite::Error) -> StoreFault {
    let text = error.to_string();
    if error.sqlite_error().is_some_and(|error| error.extended_code == NO_ROOM_FOR_INDEX) {
        return StoreFault::DiskFull;
    }
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreFault::DiskFull,
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
            StoreFault::ReadOnly
        }
        Some(ErrorCode::SystemIoFailure | ErrorCode::OutOfMemory) => StoreFault::Io(text),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreFault::Busy,
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => StoreFault::Damaged(text),
        Some(_) | None => StoreFault::Refused(text),
    }
}
