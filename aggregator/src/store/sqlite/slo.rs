//! Counts and alarms of objectives: a row a bucket, so that a minute writes only what it changed.

use std::sync::Arc;

use rusqlite::{Connection, Row, params};

use super::{ns, signed, unsigned};
use crate::slo::Count;
use crate::slo::kept::{Alarm, Bucket, Kept, Key};
use gpuwarden_proto::time::Timestamp;

/// Added to files of any age: a version that does not know them leaves them alone.
const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS slo_bucket (
    step_s INTEGER NOT NULL,
    start_s INTEGER NOT NULL,
    service TEXT NOT NULL,
    measure TEXT NOT NULL,
    good INTEGER NOT NULL,
    bad INTEGER NOT NULL,
    PRIMARY KEY (step_s, start_s, service, measure)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS slo_alarm (
    service TEXT NOT NULL,
    measure TEXT NOT NULL,
    pairs INTEGER NOT NULL,
    raised_ns INTEGER NOT NULL,
    PRIMARY KEY (service, measure)
) STRICT, WITHOUT ROWID;";
const UPSERT_BUCKET: &str = "INSERT INTO slo_bucket (step_s, start_s, service, measure, good, bad) \
    VALUES (?1,?2,?3,?4,?5,?6) ON CONFLICT (step_s, start_s, service, measure) \
    DO UPDATE SET good = excluded.good, bad = excluded.bad";
const DELETE_BUCKETS: &str = "DELETE FROM slo_bucket WHERE step_s = ?1 AND start_s < ?2";
const UPSERT_ALARM: &str = "INSERT INTO slo_alarm (service, measure, pairs, raised_ns) \
    VALUES (?1,?2,?3,?4) ON CONFLICT (service, measure) \
    DO UPDATE SET pairs = excluded.pairs, raised_ns = excluded.raised_ns";
const DELETE_ALARMS: &str = "DELETE FROM slo_alarm WHERE pairs = 0";
const SELECT_BUCKETS: &str = "SELECT service, measure, step_s, start_s, good, bad FROM slo_bucket \
    ORDER BY step_s, start_s, service, measure";
const SELECT_ALARMS: &str =
    "SELECT service, measure, pairs, raised_ns FROM slo_alarm ORDER BY service, measure";

/// Makes the tables where they are missing.
pub(super) fn prepare(db: &Connection) -> rusqlite::Result<()> {
    db.execute_batch(SCHEMA)
}

/// Newer counts take the place of older ones; what is no longer needed and what no longer alarms is
/// forgotten.
pub(super) fn write(tx: &rusqlite::Transaction<'_>, kept: &Kept) -> rusqlite::Result<()> {
    for Bucket { key, step_s, start_s, count } in &kept.buckets {
        tx.prepare_cached(UPSERT_BUCKET)?.execute(params![
            signed(*step_s),
            signed(*start_s),
            &*key.service,
            key.measure,
            signed(count.good),
            signed(count.bad),
        ])?;
    }
    for (step_s, before_s) in &kept.forget {
        tx.prepare_cached(DELETE_BUCKETS)?.execute([signed(*step_s), signed(*before_s)])?;
    }
    for Alarm { key, pairs, raised_at } in &kept.alarms {
        let row = params![&*key.service, key.measure, pairs, ns(*raised_at)];
        tx.prepare_cached(UPSERT_ALARM)?.execute(row)?;
    }
    if !kept.alarms.is_empty() {
        tx.prepare_cached(DELETE_ALARMS)?.execute([])?;
    }
    Ok(())
}

/// All of it, buckets by length and beginning.
pub(super) fn load(db: &Connection) -> rusqlite::Result<Kept> {
    let mut kept = Kept::default();
    for bucket in db.prepare_cached(SELECT_BUCKETS)?.query_map([], bucket)? {
        kept.buckets.push(bucket?);
    }
    for alarm in db.prepare_cached(SELECT_ALARMS)?.query_map([], alarm)? {
        kept.alarms.push(alarm?);
    }
    Ok(kept)
}

fn bucket(row: &Row<'_>) -> rusqlite::Result<Bucket> {
    let number = |column| row.get::<_, i64>(column).map(unsigned);
    Ok(Bucket {
        key: key(row)?,
        step_s: number(2)?,
        start_s: number(3)?,
        count: Count { good: number(4)?, bad: number(5)? },
    })
}

fn alarm(row: &Row<'_>) -> rusqlite::Result<Alarm> {
    let raised_at = Timestamp::from_unix_ns(unsigned(row.get(3)?));
    Ok(Alarm { key: key(row)?, pairs: row.get(2)?, raised_at })
}

fn key(row: &Row<'_>) -> rusqlite::Result<Key> {
    Ok(Key { service: Arc::from(row.get_ref(0)?.as_str()?), measure: row.get(1)? })
}
