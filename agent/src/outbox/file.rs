//! The outbox's file, and all the SQL of the agent. One transaction does all that one commit asks for.

use std::fs::{DirBuilder, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::uplink::{Entry, Rejection};
use gpuwarden_proto::vocab::{Epoch, Seq};
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use super::bounds;
use super::gap;
use super::memory::{Memory, Row};
use super::trouble::Trouble;
use super::{PageAsk, WRAPPING_BYTES};
use crate::config::OutboxConfig;

const SCHEMA: &str = include_str!("schema.sql");
/// `GWOB` in ASCII: tells our file from anybody else's.
const APPLICATION_ID: i64 = 0x4757_4F42;
const SCHEMA_VERSION: i64 = 1;
const PAGE_BYTES: u64 = 4_096;
const DEAD_LETTER_MAX_ROWS: i64 = 1_000;
const DEAD_LETTER_MAX_BYTES: i64 = 4 * 1024 * 1024;

/// What is known about the numbers of an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ledger {
    /// The life of the file.
    pub(crate) epoch: Epoch,
    /// The next number to give.
    pub(crate) next_seq: Seq,
    /// Numbers from here on have not been reserved and must not be given.
    pub(crate) reserved_seq: Seq,
    /// Everything up to here is on the aggregator's disk.
    pub(crate) acked_seq: Seq,
    /// Events given up.
    pub(crate) dropped_total: u64,
    /// Events the aggregator refused.
    pub(crate) rejected_total: u64,
}

impl Ledger {
    /// Numbers reserved ahead on disk. A crash skips at most this many; while the disk is broken at
    /// most this many events can still be numbered and sent.
    pub(crate) const RESERVE: u64 = 65_536;

    /// A ledger for an epoch that no disk knows. Its numbers need no reserving: a restart makes
    /// another epoch.
    pub(crate) fn unwritten(epoch: Epoch) -> Self {
        Self {
            epoch,
            next_seq: Seq(1),
            reserved_seq: Seq(i64::MAX as u64),
            acked_seq: Seq(0),
            dropped_total: 0,
            rejected_total: 0,
        }
    }

    /// The same, with numbers reserved ahead once half of the reserve is used up.
    fn reserving(mut self) -> Self {
        let spare = self.reserved_seq.0.saturating_sub(self.next_seq.0);
        if !(Self::RESERVE / 2..=Self::RESERVE).contains(&spare) {
            self.reserved_seq = Seq(self.next_seq.0 + Self::RESERVE);
        }
        self
    }
}

/// What one commit is to do, all of it or nothing.
pub(crate) struct Work<'a> {
    /// Rows to add.
    pub(crate) add: &'a Memory,
    /// Rows to move to the dead letters.
    pub(crate) rejected: &'a [Rejection],
    /// The ledger as it is to be; everything up to its `acked_seq` goes.
    pub(crate) ledger: Ledger,
    /// What the file may hold.
    pub(crate) limits: &'a OutboxConfig,
    /// Now.
    pub(crate) now: Timestamp,
}

/// An open outbox file.
pub(crate) struct File {
    conn: Connection,
    size: Size,
}

/// How much the file holds. Counted when it is opened and kept in step by each commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Size {
    /// Rows.
    pub(crate) rows: u64,
    /// Bytes of events.
    pub(crate) bytes: u64,
}

impl File {
    /// Opens the file, or makes it with the numbers of `fresh`. The ledger that comes back has its
    /// numbers reserved on disk.
    pub(crate) fn open(
        path: &Path,
        fresh: &Ledger,
        limits: &OutboxConfig,
    ) -> Result<(Self, Ledger), Trouble> {
        let conn = Connection::open(path)?;
        let is_new = configure(&conn, limits)?;
        let mut file = Self { conn, size: Size::default() };
        let ledger = if is_new { file.create(fresh)? } else { file.resume()? };
        file.size = measure(&file.conn)?;
        Ok((file, ledger))
    }

    fn create(&mut self, fresh: &Ledger) -> Result<Ledger, Trouble> {
        let ledger = fresh.reserving();
        let tx = self.conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        tx.execute_batch(SCHEMA)?;
        tx.pragma_update(None, "application_id", APPLICATION_ID)?;
        tx.pragma_update(None, "user_version", SCHEMA_VERSION)?;
        tx.execute("INSERT INTO meta VALUES (1, 0, 0, 0, 0, 0, 0)", [])?;
        write_ledger(&tx, &ledger, false)?;
        tx.commit()?;
        Ok(ledger)
    }

    /// Takes up a file where its last writer left it. Numbers that were reserved and perhaps given
    /// are skipped, since some of them may have been sent.
    fn resume(&mut self) -> Result<Ledger, Trouble> {
        let (mut ledger, clean) = read_ledger(&self.conn)?;
        if !clean {
            check(&self.conn)?;
        }
        if self.newest()? >= ledger.reserved_seq {
            return Err(Trouble::Foreign("it holds numbers that were never given".to_owned()));
        }
        ledger.next_seq = ledger.reserved_seq;
        let ledger = ledger.reserving();
        let tx = self.conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        write_ledger(&tx, &ledger, false)?;
        tx.commit()?;
        // Gives back some of what earlier backlogs took; a disk too full for that is no trouble yet.
        let _ = self.conn.execute_batch("PRAGMA incremental_vacuum(2000)");
        Ok(ledger)
    }

    /// Does the work in one transaction; the ledger that is then on disk.
    pub(crate) fn commit(&mut self, work: &Work<'_>) -> Result<Ledger, Trouble> {
        let mut ledger = work.ledger;
        let mut size = self.size;
        let tx = self.conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        bury(&tx, &ledger, work.rejected, &mut size)?;
        remove_up_to(&tx, ledger.acked_seq, &mut size)?;
        for row in work.add.rows() {
            insert(&tx, row, &mut size)?;
        }
        ledger.dropped_total += bounds::enforce(&tx, work.limits, &mut size, work.now)?;
        let ledger = ledger.reserving();
        write_ledger(&tx, &ledger, false)?;
        tx.commit()?;
        self.size = size;
        Ok(ledger)
    }

    /// The next rows.
    pub(crate) fn page(&self, ask: PageAsk) -> Result<Vec<Entry>, Trouble> {
        let mut select = self
            .conn
            .prepare_cached("SELECT seq, event FROM outbox WHERE seq > ?1 ORDER BY seq LIMIT ?2")?;
        let limit = i64::try_from(ask.max_events).unwrap_or(i64::MAX);
        let mut rows = select.query(params![ask.after.0.cast_signed(), limit])?;
        let mut page = Vec::new();
        let mut room = ask.max_bytes;
        while let Some(row) = rows.next()? {
            let seq = Seq(row.get::<_, i64>(0)?.cast_unsigned());
            let event = row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?;
            let bytes = event.len() + WRAPPING_BYTES;
            if !page.is_empty() && bytes > room {
                break;
            }
            room = room.saturating_sub(bytes);
            page.push(Entry { seq, event: bytes::Bytes::copy_from_slice(event) });
        }
        Ok(page)
    }

    /// Writes down that nothing was left unsaid: the next opening skips no numbers and need not
    /// look the file over.
    pub(crate) fn close(mut self, mut ledger: Ledger) -> Result<(), Trouble> {
        ledger.reserved_seq = ledger.next_seq;
        let tx = self.conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        write_ledger(&tx, &ledger, true)?;
        tx.commit()?;
        self.conn.close().map_err(|(_, error)| error.into())
    }

    /// How much it holds.
    pub(crate) fn size(&self) -> Size {
        self.size
    }

    /// The number of the last row; 0 when there is none.
    pub(crate) fn newest(&self) -> Result<Seq, Trouble> {
        let number: Option<i64> =
            self.conn.query_row("SELECT max(seq) FROM outbox", [], |row| row.get(0))?;
        Ok(Seq(number.unwrap_or(0).cast_unsigned()))
    }

    /// When the oldest row was kept.
    pub(crate) fn oldest(&self) -> Result<Option<Timestamp>, Trouble> {
        let mut select =
            self.conn.prepare_cached("SELECT kept_ns FROM outbox ORDER BY seq LIMIT 1")?;
        let ns = select.query_row([], |row| row.get::<_, i64>(0)).optional()?;
        Ok(ns.map(|ns| Timestamp::from_unix_ns(ns.cast_unsigned())))
    }

    /// Whether there are events older than the limits allow.
    pub(crate) fn has_expired(
        &self,
        limits: &OutboxConfig,
        now: Timestamp,
    ) -> Result<bool, Trouble> {
        Ok(bounds::expired(&self.conn, limits, now)?.is_some())
    }
}

#[cfg(test)]
impl File {
    /// From now on the file cannot grow.
    pub(crate) fn fill_disk(&self) {
        let pages = pragma(&self.conn, "page_count").unwrap();
        self.conn.pragma_update(None, "max_page_count", pages).unwrap();
    }

    /// The file can grow again.
    pub(crate) fn free_disk(&self) {
        self.conn.pragma_update(None, "max_page_count", 1 << 20).unwrap();
    }

    /// Number and length of the reason of each dead letter.
    pub(crate) fn dead_letters(&self) -> Vec<(i64, i64)> {
        let mut select =
            self.conn.prepare("SELECT seq, length(reason) FROM dead_letter ORDER BY id").unwrap();
        let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        rows.map(Result::unwrap).collect()
    }
}

/// Makes the folder and an empty file that nobody else can read, where they are not there yet.
pub(super) fn create_private(path: &Path) -> Result<(), Trouble> {
    if let Some(folder) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
    Ok(())
}

/// Sets the connection up; whether the file is new and empty.
fn configure(conn: &Connection, limits: &OutboxConfig) -> Result<bool, Trouble> {
    conn.busy_timeout(Duration::from_secs(5))?;
    let is_new = pragma(conn, "page_count")? == 0;
    if !is_new {
        recognise(conn)?;
    }
    let pages = (limits.max_bytes.saturating_mul(5) / 4 + 16 * 1024 * 1024) / PAGE_BYTES;
    conn.execute_batch(
        "PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
         PRAGMA journal_size_limit = 16777216; PRAGMA wal_autocheckpoint = 1000;
         PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON; PRAGMA mmap_size = 0;",
    )?;
    conn.pragma_update(None, "max_page_count", i64::try_from(pages).unwrap_or(i64::MAX))?;
    Ok(is_new)
}

/// Refuses a file that somebody else, or a newer version, has written.
fn recognise(conn: &Connection) -> Result<(), Trouble> {
    if pragma(conn, "application_id")? != APPLICATION_ID {
        return Err(Trouble::Foreign("it is not an outbox".to_owned()));
    }
    let version = pragma(conn, "user_version")?;
    if version != SCHEMA_VERSION {
        return Err(Trouble::Foreign(format!("it is an outbox of version {version}")));
    }
    Ok(())
}

fn pragma(conn: &Connection, name: &str) -> rusqlite::Result<i64> {
    conn.pragma_query_value(None, name, |row| row.get(0))
}

/// Looks the file over after a crash.
fn check(conn: &Connection) -> Result<(), Trouble> {
    let verdict: String =
        conn.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(Trouble::broken)?;
    if verdict == "ok" { Ok(()) } else { Err(Trouble::Foreign(verdict)) }
}

fn read_ledger(conn: &Connection) -> Result<(Ledger, bool), Trouble> {
    let read = |row: &rusqlite::Row<'_>| {
        let number = |i| row.get::<_, i64>(i).map(i64::cast_unsigned);
        let reserved_seq = Seq(number(1)?);
        let ledger = Ledger {
            epoch: Epoch(number(0)?),
            next_seq: reserved_seq,
            reserved_seq,
            acked_seq: Seq(number(2)?),
            dropped_total: number(3)?,
            rejected_total: number(4)?,
        };
        Ok((ledger, row.get::<_, i64>(5)? == 1))
    };
    // Whatever is wrong here, a file without its ledger cannot be gone on with.
    conn.query_row(
        "SELECT epoch, reserved_seq, acked_seq, dropped_total, rejected_total, clean FROM meta",
        [],
        read,
    )
    .map_err(Trouble::broken)
}

fn write_ledger(tx: &Transaction<'_>, ledger: &Ledger, clean: bool) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "UPDATE meta SET epoch = ?1, reserved_seq = ?2, acked_seq = ?3, dropped_total = ?4,
         rejected_total = ?5, clean = ?6",
    )?
    .execute(params![
        ledger.epoch.0.cast_signed(),
        ledger.reserved_seq.0.cast_signed(),
        ledger.acked_seq.0.cast_signed(),
        ledger.dropped_total.cast_signed(),
        ledger.rejected_total.cast_signed(),
        i64::from(clean),
    ])?;
    Ok(())
}

fn measure(conn: &Connection) -> rusqlite::Result<Size> {
    measure_up_to(conn, Seq(i64::MAX as u64))
}

fn measure_up_to(conn: &Connection, last: Seq) -> rusqlite::Result<Size> {
    conn.prepare_cached(
        "SELECT count(*), coalesce(sum(length(event)), 0) FROM outbox WHERE seq <= ?1",
    )?
    .query_row([last.0.cast_signed()], |row| {
        let number = |i| row.get::<_, i64>(i).map(i64::cast_unsigned);
        Ok(Size { rows: number(0)?, bytes: number(1)? })
    })
}

pub(super) fn insert(tx: &Transaction<'_>, row: &Row, size: &mut Size) -> rusqlite::Result<()> {
    tx.prepare_cached("INSERT INTO outbox (seq, kept_ns, gap, event) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![
            row.seq.0.cast_signed(),
            row.kept_at.unix_ns().cast_signed(),
            i64::from(row.gap),
            row.event.as_ref(),
        ])?;
    size.rows += 1;
    size.bytes += row.event.len() as u64;
    Ok(())
}

/// Deletes everything up to and with `last`.
pub(super) fn remove_up_to(
    tx: &Transaction<'_>,
    last: Seq,
    size: &mut Size,
) -> rusqlite::Result<()> {
    let gone = measure_up_to(tx, last)?;
    if gone.rows > 0 {
        tx.prepare_cached("DELETE FROM outbox WHERE seq <= ?1")?.execute([last.0.cast_signed()])?;
    }
    size.rows -= gone.rows;
    size.bytes -= gone.bytes;
    Ok(())
}

/// Moves what the aggregator refused to the dead letters, which are bounded too.
fn bury(
    tx: &Transaction<'_>,
    ledger: &Ledger,
    rejected: &[Rejection],
    size: &mut Size,
) -> rusqlite::Result<()> {
    if rejected.is_empty() {
        return Ok(());
    }
    let epoch = ledger.epoch.0.cast_signed();
    for Rejection { seq, reason } in rejected {
        let seq = seq.0.cast_signed();
        tx.prepare_cached(
            "INSERT INTO dead_letter (epoch, seq, kept_ns, reason, event)
             SELECT ?1, seq, kept_ns, ?2, event FROM outbox WHERE seq = ?3",
        )?
        .execute(params![epoch, gap::cut(reason), seq])?;
        let bytes = tx
            .prepare_cached("DELETE FROM outbox WHERE seq = ?1 RETURNING length(event)")?
            .query_row([seq], |row| row.get::<_, i64>(0))
            .optional()?;
        if let Some(bytes) = bytes {
            size.rows -= 1;
            size.bytes -= bytes.cast_unsigned();
        }
    }
    tx.prepare_cached(
        "DELETE FROM dead_letter WHERE id IN (
             SELECT id FROM (
                 SELECT id, row_number() OVER newest AS n, sum(length(event)) OVER newest AS bytes
                 FROM dead_letter WINDOW newest AS (ORDER BY id DESC)
             ) WHERE n > ?1 OR bytes > ?2)",
    )?
    .execute([DEAD_LETTER_MAX_ROWS, DEAD_LETTER_MAX_BYTES])?;
    Ok(())
}
