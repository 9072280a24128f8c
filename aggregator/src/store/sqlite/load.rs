//! Reading a file.

use std::sync::Arc;

use gpuwarden_proto::convert::{
    Refused, decode_change, decode_entries, decode_incident, decode_snapshot,
};
use gpuwarden_proto::incident::Incident;
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::{Epoch, IncidentId, NodeId, NodeState, Seq};
use rusqlite::{Connection, Params, Row};

use super::{signed, unsigned};
use crate::store::{
    Batch, CHANGES_LOADED, FORCED_LOADED, JournalRow, Loaded, NodeRow, Page, Place, RESTING_MAX,
    Taken, still_of_use,
};

const SELECT_INCIDENT: &str = "SELECT payload FROM incident WHERE id = ?1";
const SELECT_OPEN: &str = "SELECT payload FROM incident WHERE resolved_ns IS NULL ORDER BY id";
const SELECT_FORCED: &str = "SELECT payload FROM incident \
    WHERE resolved_ns IS NOT NULL AND active > 0 ORDER BY resolved_ns DESC, id DESC LIMIT ?1";
const SELECT_ENDED: &str = "SELECT payload FROM incident \
    WHERE resolved_ns IS NOT NULL ORDER BY resolved_ns DESC, id DESC LIMIT ?1";
const SELECT_RESOLVED: &str = "SELECT payload FROM incident \
    WHERE resolved_ns IS NOT NULL AND id < ?1 ORDER BY id DESC LIMIT ?2";
const SELECT_NODES: &str =
    "SELECT id, state, last_seen_ns, agent_version, snapshot, busy FROM node";
const SELECT_MARKS: &str = "SELECT node, epoch, seq FROM mark ORDER BY node, seq";
const SELECT_CHANGES: &str = "SELECT payload FROM change ORDER BY id DESC LIMIT ?1";
const SELECT_NEXT: &str = "SELECT max(coalesce((SELECT value FROM counter \
    WHERE name = 'next_incident'), 1), coalesce((SELECT max(id) + 1 FROM incident), 1))";
const SELECT_ORDER: &str = "SELECT 1 + max(coalesce((SELECT max(id) FROM batch), 0), \
    coalesce((SELECT max(id) FROM journal), 0))";
const SELECT_BATCHES: &str = "SELECT node, epoch, received_ns, first_observed_ns, \
    last_observed_ns, payload, id, taken_ns FROM batch WHERE node = ?1 ORDER BY id LIMIT ?2";
const SELECT_TAKEN: &str = "SELECT node, epoch, received_ns, first_observed_ns, \
    last_observed_ns, payload, id, taken_ns FROM batch WHERE id >= ?1 ORDER BY id LIMIT ?2";
const SELECT_JOURNAL: &str = "SELECT id, at_ns, line FROM journal WHERE id >= ?1 \
    ORDER BY id LIMIT ?2";
// With `min` in the list the other columns are those of the row that has it.
const SELECT_REACHING: &str = "SELECT node, epoch, received_ns, first_observed_ns, \
    last_observed_ns, payload, min(id), taken_ns FROM batch WHERE node = ?1 AND last_seq >= ?2 \
    GROUP BY epoch ORDER BY id DESC";
const SELECT_NODE_MARKS: &str = "SELECT node, epoch, seq FROM mark WHERE node = ?1 ORDER BY seq";
const SELECT_AROUND: &str = "SELECT payload FROM incident WHERE resolved_ns IS NOT NULL \
    AND opened_ns <= ?1 AND (resolved_ns >= ?2 OR active > 0) ORDER BY id DESC LIMIT ?3";

pub(super) fn load(db: &Connection) -> rusqlite::Result<Loaded> {
    let mut loaded = Loaded::default();
    let unreadable = &mut loaded.unreadable;
    loaded.incidents = records(db, SELECT_OPEN, [], decode_incident, unreadable)?;
    let newest = [signed(RESTING_MAX as u64)];
    let mut over = records(db, SELECT_ENDED, newest, decode_incident, unreadable)?;
    let newest = [signed(FORCED_LOADED as u64)];
    let forced: Vec<Incident> = records(db, SELECT_FORCED, newest, decode_incident, &mut 0)?;
    over.extend(
        forced
            .into_iter()
            .filter(|each| over.iter().all(|known| known.id != each.id))
            .collect::<Vec<_>>(),
    );
    loaded.incidents.extend(still_of_use(over.iter()).into_iter().cloned());
    let newest = [signed(CHANGES_LOADED as u64)];
    loaded.changes = records(db, SELECT_CHANGES, newest, decode_change, unreadable)?;
    loaded.changes.reverse();
    loaded.nodes = readable(db, SELECT_NODES, [], node, unreadable)?;
    loaded.marks = readable(db, SELECT_MARKS, [], mark, unreadable)?;
    (loaded.silences, loaded.next_silence) = super::silence::load(db, unreadable)?;
    loaded.slo = super::slo::load(db)?;
    loaded.response = super::response::load(db, unreadable)?;
    loaded.next_incident = unsigned(db.query_row(SELECT_NEXT, [], |row| row.get::<_, i64>(0))?);
    loaded.next_order = unsigned(db.query_row(SELECT_ORDER, [], |row| row.get::<_, i64>(0))?);
    Ok(loaded)
}

pub(super) fn incident(db: &Connection, id: IncidentId) -> rusqlite::Result<Option<Incident>> {
    let found = records(db, SELECT_INCIDENT, [signed(id.0)], decode_incident, &mut 0)?;
    Ok(found.into_iter().next())
}

pub(super) fn resolved(
    db: &Connection,
    before: Option<IncidentId>,
    limit: usize,
) -> rusqlite::Result<Vec<Incident>> {
    let before = before.map_or(i64::MAX, |id| signed(id.0));
    records(db, SELECT_RESOLVED, [before, signed(limit as u64)], decode_incident, &mut 0)
}

pub(super) fn batches(
    db: &Connection,
    node: &NodeId,
    limit: usize,
) -> rusqlite::Result<Vec<Batch>> {
    let params = rusqlite::params![node.as_str(), signed(limit as u64)];
    readable(db, SELECT_BATCHES, params, batch, &mut 0)
}

pub(super) fn reaching(db: &Connection, node: &NodeId, seq: Seq) -> rusqlite::Result<Vec<Batch>> {
    let params = rusqlite::params![node.as_str(), signed(seq.0)];
    readable(db, SELECT_REACHING, params, batch, &mut 0)
}

pub(super) fn marks(db: &Connection, node: &NodeId) -> rusqlite::Result<Vec<(Epoch, Seq)>> {
    let marks = readable(db, SELECT_NODE_MARKS, [node.as_str()], mark, &mut 0)?;
    Ok(marks.into_iter().map(|(_, epoch, seq)| (epoch, seq)).collect())
}

/// `times` are when the finding began and when it was told, in nanoseconds since 1970.
pub(super) fn around(
    db: &Connection,
    times: (i64, i64),
    limit: usize,
) -> rusqlite::Result<Vec<Incident>> {
    let params = [times.0, times.1, signed(limit as u64)];
    records(db, SELECT_AROUND, params, decode_incident, &mut 0)
}

pub(super) fn taken(db: &Connection, from: Place, limit: usize) -> rusqlite::Result<Page> {
    // One more than asked for tells whether there is another page.
    let params = [signed(from.0), signed(limit as u64 + 1)];
    let of_batch = |row: &Row<'_>| Ok(Some((row.get::<_, i64>(6)?, batch(row)?)));
    let mut rows: Vec<(i64, Option<Taken>)> = readable(db, SELECT_TAKEN, params, of_batch, &mut 0)?
        .into_iter()
        .map(|(id, batch)| (id, batch.map(Taken::Batch)))
        .collect();
    rows.extend(readable(db, SELECT_JOURNAL, params, journal, &mut 0)?);
    rows.sort_by_key(|(id, _)| *id);
    let next = rows.get(limit).map(|(id, _)| Place(unsigned(*id)));
    rows.truncate(limit);
    let read = rows.len() as u64;
    let taken: Vec<Taken> = rows.into_iter().filter_map(|(_, taken)| taken).collect();
    let unreadable = read - taken.len() as u64;
    Ok(Page { taken, next, unreadable })
}

fn journal(row: &Row<'_>) -> rusqlite::Result<Option<(i64, Option<Taken>)>> {
    let id: i64 = row.get(0)?;
    let row = JournalRow { at: at(row, 1)?, order: unsigned(id), line: row.get(2)? };
    Ok(Some((id, Some(Taken::Row(row)))))
}

fn batch(row: &Row<'_>) -> rusqlite::Result<Option<Batch>> {
    let node = NodeId::new(&row.get::<_, String>(0)?);
    let (Ok(node), Ok(entries)) = (node, decode_entries(row.get_ref(5)?.as_blob()?)) else {
        return Ok(None);
    };
    Ok(Some(Batch {
        node,
        epoch: Epoch(row.get::<_, i64>(1)?.cast_unsigned()),
        received_at: at(row, 2)?,
        taken_at: row
            .get::<_, Option<i64>>(7)?
            .map_or_else(|| at(row, 2), |taken| Ok(Timestamp::from_unix_ns(unsigned(taken))))?,
        order: unsigned(row.get(6)?),
        observed: (at(row, 3)?, at(row, 4)?),
        entries,
    }))
}

/// Rows of one payload each. What cannot be decoded is counted and left where it is.
pub(super) fn records<T>(
    db: &Connection,
    sql: &str,
    params: impl Params,
    decode: fn(&[u8]) -> Result<T, Refused>,
    unreadable: &mut u64,
) -> rusqlite::Result<Vec<T>> {
    let read = |row: &Row<'_>| Ok(decode(row.get_ref(0)?.as_blob()?).ok());
    readable(db, sql, params, read, unreadable)
}

fn readable<T>(
    db: &Connection,
    sql: &str,
    params: impl Params,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<Option<T>>,
    unreadable: &mut u64,
) -> rusqlite::Result<Vec<T>> {
    let mut statement = db.prepare_cached(sql)?;
    let mut found = Vec::new();
    for row in statement.query_map(params, read)? {
        match row? {
            Some(record) => found.push(record),
            None => *unreadable += 1,
        }
    }
    Ok(found)
}

fn node(row: &Row<'_>) -> rusqlite::Result<Option<NodeRow>> {
    let id = NodeId::new(&row.get::<_, String>(0)?);
    let state = row.get::<_, String>(1)?.parse::<NodeState>();
    let (Ok(id), Ok(state)) = (id, state) else { return Ok(None) };
    let snapshot = row.get_ref(4)?.as_blob_or_null()?.and_then(|bytes| decode_snapshot(bytes).ok());
    let busy: Option<String> = row.get(5)?;
    let busy = busy.and_then(|text| serde_json::from_str(&text).ok());
    Ok(Some(NodeRow {
        id,
        state,
        last_seen_at: at(row, 2)?,
        agent_version: row.get(3)?,
        snapshot: snapshot.map(Arc::new),
        busy: busy.unwrap_or_default(),
    }))
}

fn mark(row: &Row<'_>) -> rusqlite::Result<Option<(NodeId, Epoch, Seq)>> {
    let Ok(node) = NodeId::new(&row.get::<_, String>(0)?) else { return Ok(None) };
    let epoch = Epoch(row.get::<_, i64>(1)?.cast_unsigned());
    Ok(Some((node, epoch, Seq(unsigned(row.get(2)?)))))
}

fn at(row: &Row<'_>, column: usize) -> rusqlite::Result<Timestamp> {
    Ok(Timestamp::from_unix_ns(unsigned(row.get(column)?)))
}
