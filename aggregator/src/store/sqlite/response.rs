//! What people do about incidents, in a file.

use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::IncidentId;
use gpuwarden_respond::timer::audit::Logged;
use rusqlite::types::ToSqlOutput;
use rusqlite::{Connection, OptionalExtension, ToSql, params};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{ns, signed};
use crate::response::{Kept, Work};

const SCHEMA: &str = include_str!("../response.sql");
const UPSERT_WORK: &str = "INSERT INTO work (incident, live, payload) VALUES (?1,?2,?3) \
    ON CONFLICT (incident) DO UPDATE SET live = excluded.live, payload = excluded.payload";
const UPSERT_NOTICE: &str = "INSERT INTO notice (key, payload) VALUES (?1,?2) \
    ON CONFLICT (key) DO UPDATE SET payload = excluded.payload";
const DELETE_NOTICE: &str = "DELETE FROM notice WHERE key = ?1";
const INSERT_WORD: &str = "INSERT INTO timer_word (at_ns, payload) VALUES (?1,?2)";
const INSERT_OVERRIDE: &str = "INSERT INTO override (payload) VALUES (?1)";
const SELECT_LIVE: &str = "SELECT payload FROM work WHERE live = 1 ORDER BY incident";
const SELECT_WORK: &str = "SELECT payload FROM work WHERE incident = ?1";
const SELECT_NOTICES: &str = "SELECT payload FROM notice";
const SELECT_OVERRIDES: &str = "SELECT payload FROM override ORDER BY id";
const SELECT_WORDS: &str = "SELECT payload FROM timer_word WHERE at_ns >= ?1 ORDER BY id LIMIT ?2";
/// Work that is done with goes with its incident.
pub(super) const DELETE_WORK: &str = "DELETE FROM work WHERE incident IN (SELECT incident FROM work \
    WHERE live = 0 AND incident NOT IN (SELECT id FROM incident) LIMIT ?1)";
pub(super) const DELETE_WORDS: &str = "DELETE FROM timer_word WHERE id IN \
    (SELECT id FROM timer_word ORDER BY id LIMIT ?2) AND at_ns < ?1";

/// Makes the tables where a file has none yet.
pub(super) fn prepare(db: &Connection) -> rusqlite::Result<()> {
    db.execute_batch(SCHEMA)
}

pub(super) fn write(tx: &rusqlite::Transaction<'_>, kept: &Kept) -> rusqlite::Result<()> {
    for work in &kept.works {
        let row = params![signed(work.id().0), work.is_live(), Json(work)];
        tx.prepare_cached(UPSERT_WORK)?.execute(row)?;
    }
    for row in &kept.notices {
        tx.prepare_cached(UPSERT_NOTICE)?.execute(params![row.key.to_string(), Json(row)])?;
    }
    for key in &kept.forgotten {
        tx.prepare_cached(DELETE_NOTICE)?.execute([key.to_string()])?;
    }
    for word in &kept.timers {
        tx.prepare_cached(INSERT_WORD)?.execute(params![ns(word.at), Json(word)])?;
    }
    if !kept.overrides.is_empty() {
        tx.execute("DELETE FROM override", [])?;
        for each in &kept.overrides {
            tx.prepare_cached(INSERT_OVERRIDE)?.execute([Json(each)])?;
        }
    }
    Ok(())
}

/// What is needed to go on.
pub(super) fn load(db: &Connection, unreadable: &mut u64) -> rusqlite::Result<Kept> {
    Ok(Kept {
        works: all(db, SELECT_LIVE, [], unreadable)?,
        notices: all(db, SELECT_NOTICES, [], unreadable)?,
        overrides: all(db, SELECT_OVERRIDES, [], unreadable)?,
        ..Kept::default()
    })
}

pub(super) fn work(db: &Connection, id: IncidentId) -> rusqlite::Result<Option<Work>> {
    let text: Option<String> =
        db.prepare_cached(SELECT_WORK)?.query_row([signed(id.0)], |row| row.get(0)).optional()?;
    Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
}

pub(super) fn words(
    db: &Connection,
    from: Timestamp,
    limit: usize,
) -> rusqlite::Result<Vec<Logged>> {
    all(db, SELECT_WORDS, [ns(from), signed(limit as u64)], &mut 0)
}

fn all<T: DeserializeOwned>(
    db: &Connection,
    sql: &str,
    params: impl rusqlite::Params,
    unreadable: &mut u64,
) -> rusqlite::Result<Vec<T>> {
    let mut statement = db.prepare_cached(sql)?;
    let texts = statement.query_map(params, |row| row.get::<_, String>(0))?;
    let mut read = Vec::new();
    for text in texts {
        match serde_json::from_str(&text?) {
            Ok(each) => read.push(each),
            Err(_) => *unreadable += 1,
        }
    }
    Ok(read)
}

/// A value that is written as JSON.
struct Json<'a, T>(&'a T);

impl<T: Serialize> ToSql for Json<'_, T> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let text = serde_json::to_string(self.0);
        let failed = |error| rusqlite::Error::ToSqlConversionFailure(Box::new(error));
        Ok(ToSqlOutput::from(text.map_err(failed)?))
    }
}
