//! Silences in a file.

use gpuwarden_proto::convert::{decode_silence, encode_silence};
use gpuwarden_proto::silence::Silence;
use rusqlite::{Connection, params};

use super::load::records;
use super::{ns, signed, unsigned};

const SCHEMA: &str = include_str!("../silence.sql");
const SELECT: &str = "SELECT payload FROM silence ORDER BY id";
const SELECT_NEXT: &str = "SELECT max(coalesce((SELECT value FROM counter \
    WHERE name = 'next_silence'), 1), coalesce((SELECT max(id) + 1 FROM silence), 1))";
const UPSERT: &str = "INSERT INTO silence (id, over_ns, payload) VALUES (?1,?2,?3) \
    ON CONFLICT (id) DO UPDATE SET over_ns = excluded.over_ns, payload = excluded.payload";
const UPSERT_COUNTER: &str = "INSERT INTO counter (name, value) VALUES ('next_silence', ?1) \
    ON CONFLICT (name) DO UPDATE SET value = max(value, excluded.value)";
pub(super) const DELETE: &str = "DELETE FROM silence WHERE id IN \
    (SELECT id FROM silence WHERE over_ns < ?1 ORDER BY id LIMIT ?2)";

/// Makes the table where a file has none yet.
pub(super) fn prepare(db: &Connection) -> rusqlite::Result<()> {
    db.execute_batch(SCHEMA)
}

/// All silences, and the number of the next one.
pub(super) fn load(db: &Connection, unreadable: &mut u64) -> rusqlite::Result<(Vec<Silence>, u64)> {
    let silences = records(db, SELECT, [], decode_silence, unreadable)?;
    let next = db.query_row(SELECT_NEXT, [], |row| row.get::<_, i64>(0))?;
    Ok((silences, unsigned(next)))
}

pub(super) fn write(tx: &rusqlite::Transaction<'_>, silence: &Silence) -> rusqlite::Result<()> {
    let row = params![signed(silence.id.0), ns(silence.over_at()), encode_silence(silence)];
    tx.prepare_cached(UPSERT)?.execute(row)?;
    tx.prepare_cached(UPSERT_COUNTER)?.execute([signed(silence.id.0.saturating_add(1))])?;
    Ok(())
}
