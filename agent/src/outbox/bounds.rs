//! What is given up when the outbox holds too much: the oldest, in chunks, counted in their place.
//!
//! A gap takes the number of the last event it stands for, so order holds and no number is added.
//! Should that event have been sent already, the aggregator either has everything up to it and drops
//! the gap as known, or has not and learns of the loss. A gap that is the oldest row is merged into
//! the next one, and is itself never given up uncounted.

use gpuwarden_proto::event::Gap;
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::Seq;
use rusqlite::{Connection, OptionalExtension, Transaction};

use super::file::{Size, insert, remove_up_to};
use super::gap::{self, Lost};
use super::memory::Row;
use super::trouble::Trouble;
use crate::config::OutboxConfig;

/// Rows given up at once beyond what is needed, as a part of what the outbox may hold: when it is
/// full, not every append has to make room.
const CHUNKS: u64 = 64;

const FULL: &str = "the outbox was full";
const OLD: &str = "they were older than the outbox keeps them";

/// Gives up the oldest until the limits hold; how many events that cost.
pub(super) fn enforce(
    tx: &Transaction<'_>,
    limits: &OutboxConfig,
    size: &mut Size,
    now: Timestamp,
) -> Result<u64, Trouble> {
    let mut dropped = 0;
    while let Some(last) = expired(tx, limits, now)? {
        dropped += give_up(tx, last, OLD, size, now)?;
    }
    while (size.rows > limits.max_rows || size.bytes > limits.max_bytes) && size.rows > 1 {
        // One more than is needed, since the gap takes a row itself.
        let excess = size.rows.saturating_sub(limits.max_rows) + 1;
        let last = nth_oldest(tx, excess.max(limits.max_rows / CHUNKS).max(2))?;
        dropped += give_up(tx, last, FULL, size, now)?;
    }
    Ok(dropped)
}

/// The last of the oldest events that are too old, if any is; a chunk of them at most.
pub(super) fn expired(
    conn: &Connection,
    limits: &OutboxConfig,
    now: Timestamp,
) -> rusqlite::Result<Option<Seq>> {
    let cutoff = now.before(limits.max_age).unix_ns().cast_signed();
    let last = conn
        .prepare_cached(
            "SELECT max(seq) FROM (
                 SELECT seq, kept_ns FROM outbox WHERE gap = 0 ORDER BY seq LIMIT 1024
             ) WHERE kept_ns < ?1",
        )?
        .query_row([cutoff], |row| row.get::<_, Option<i64>>(0))?;
    Ok(last.map(|seq| Seq(seq.cast_unsigned())))
}

/// The number of the `n`th oldest row, or of the newest where there are fewer.
fn nth_oldest(tx: &Transaction<'_>, n: u64) -> rusqlite::Result<Seq> {
    let nth = tx
        .prepare_cached("SELECT seq FROM outbox ORDER BY seq LIMIT 1 OFFSET ?1")?
        .query_row([n.saturating_sub(1).cast_signed()], |row| row.get::<_, i64>(0))
        .optional()?;
    let seq = match nth {
        Some(seq) => seq,
        None => tx.query_row("SELECT max(seq) FROM outbox", [], |row| row.get(0))?,
    };
    Ok(Seq(seq.cast_unsigned()))
}

/// Puts one gap in the place of everything up to `last`; how many events that cost.
fn give_up(
    tx: &Transaction<'_>,
    last: Seq,
    reason: &str,
    size: &mut Size,
    now: Timestamp,
) -> Result<u64, Trouble> {
    let mut lost = Lost::default();
    earlier_gaps(tx, last, &mut lost)?;
    let (count, first_seq, last_seq) = events_up_to(tx, last)?;
    lost.merge(&Gap { count, first_seq, last_seq, reason: reason.to_owned() });
    remove_up_to(tx, last, size)?;
    insert(tx, &Row { seq: last, kept_at: now, gap: true, event: lost.encode(now) }, size)?;
    Ok(count)
}

fn earlier_gaps(tx: &Transaction<'_>, last: Seq, lost: &mut Lost) -> Result<(), Trouble> {
    let mut select =
        tx.prepare_cached("SELECT event FROM outbox WHERE seq <= ?1 AND gap = 1 ORDER BY seq")?;
    let mut rows = select.query([last.0.cast_signed()])?;
    while let Some(row) = rows.next()? {
        let event = row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?;
        if let Some(gap) = gap::decode(event) {
            lost.merge(&gap);
        }
    }
    Ok(())
}

fn events_up_to(tx: &Transaction<'_>, last: Seq) -> rusqlite::Result<(u64, u64, u64)> {
    tx.prepare_cached(
        "SELECT count(*), coalesce(min(seq), 0), coalesce(max(seq), 0)
         FROM outbox WHERE seq <= ?1 AND gap = 0",
    )?
    .query_row([last.0.cast_signed()], |row| {
        let number = |i| row.get::<_, i64>(i).map(i64::cast_unsigned);
        Ok((number(0)?, number(1)?, number(2)?))
    })
}
