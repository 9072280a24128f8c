//! What is on disk. The only part that knows SQL.
//!
//! One [`Store`] writes, owned by the thread that commits; any number of [`History`]s read. Both
//! implementations pass one conformance suite.

mod memory;
mod sqlite;
#[cfg(test)]
mod suite;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

pub use crate::correlate::RESTING_MAX;
use gpuwarden_proto::change::RecordedChange;
use gpuwarden_proto::incident::Incident;
use gpuwarden_proto::inventory::Snapshot;
use gpuwarden_proto::silence::Silence;
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::uplink::Entry;
use gpuwarden_proto::vocab::{Epoch, IncidentId, ModelName, NodeId, NodeState, Seq, ServerName};
use gpuwarden_respond::timer::audit::Logged;
pub use memory::{Fault, MemoryStore};
pub use sqlite::{SqliteHistory, SqliteStore, sqlite_version};
use thiserror::Error;

use crate::response::{self, Work};
use crate::slo::kept::Kept;

/// Changes that are loaded at the start.
pub const CHANGES_LOADED: usize = 10_000;
/// Incidents resolved although members were active that are loaded at the start, the newest.
pub const FORCED_LOADED: usize = 1000;

/// Of the incidents that are over, those that a start loads: the newest ends, which may yet be heard
/// of, and those that a person resolved although members were active. None of what went on as another.
pub fn still_of_use<'a>(over: impl Iterator<Item = &'a Incident>) -> Vec<&'a Incident> {
    let mut over: Vec<&Incident> = over.collect();
    over.sort_by_key(|incident| std::cmp::Reverse((incident.resolved_at, incident.id)));
    let forced = |incident: &&&Incident| incident.members.iter().any(|m| m.cleared_at.is_none());
    let forced = over.iter().filter(forced).filter(|incident| incident.merged_into.is_none());
    let forced: Vec<IncidentId> = forced.take(FORCED_LOADED).map(|incident| incident.id).collect();
    let newest: BTreeSet<IncidentId> =
        over.iter().take(RESTING_MAX).map(|incident| incident.id).chain(forced).collect();
    over.retain(|incident| incident.merged_into.is_none() && newest.contains(&incident.id));
    over
}

/// Events of one node as they came.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// From whom.
    pub node: NodeId,
    /// From which outbox.
    pub epoch: Epoch,
    /// When it came.
    pub received_at: Timestamp,
    /// When correlation took it up.
    pub taken_at: Timestamp,
    /// Its place among all batches and journal rows: the order in which they were taken up.
    pub order: u64,
    /// Earliest and latest time that its events tell of.
    pub observed: (Timestamp, Timestamp),
    /// In ascending order, never empty.
    pub entries: Vec<Entry>,
}

/// What reached correlation and is no event of a batch, as a line of an event log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalRow {
    /// When correlation took it up.
    pub at: Timestamp,
    /// Its place among all batches and journal rows: the order in which they were taken up.
    pub order: u64,
    /// The line, without its end; see [`crate::replay::line`].
    pub line: String,
}

/// What is kept of a node.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeRow {
    /// Who.
    pub id: NodeId,
    /// Where it stood.
    pub state: NodeState,
    /// When it was last heard of.
    pub last_seen_at: Timestamp,
    /// Its agent's version.
    pub agent_version: String,
    /// What it last said of itself.
    pub snapshot: Option<Arc<Snapshot>>,
    /// Models that have been seen to have traffic; written and kept with the snapshot.
    pub busy: Vec<(ServerName, ModelName)>,
}

/// All that is made durable at once, or not at all.
#[derive(Debug, Default)]
pub struct Transaction {
    /// Events.
    pub batches: Vec<Batch>,
    /// What else reached correlation.
    pub journal: Vec<JournalRow>,
    /// Up to where each node's events have been taken up; never goes back.
    pub marks: Vec<(NodeId, Epoch, Seq)>,
    /// Incidents as they now are.
    pub incidents: Vec<Arc<Incident>>,
    /// Nodes as they now are.
    pub nodes: Vec<NodeRow>,
    /// Changes; one with a key that is stored takes its place.
    pub changes: Vec<RecordedChange>,
    /// Silences as they now are.
    pub silences: Vec<Silence>,
    /// Counts and alarms of objectives.
    pub slo: Kept,
    /// What people do about incidents, and what is told of them.
    pub response: response::Kept,
    /// The number that the next incident gets.
    pub next_incident: u64,
}

impl Transaction {
    /// It would change nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let Self {
            batches,
            journal,
            marks,
            incidents,
            nodes,
            changes,
            silences,
            slo,
            response,
            next_incident: _,
        } = self;
        batches.is_empty()
            && journal.is_empty()
            && marks.is_empty()
            && incidents.is_empty()
            && nodes.is_empty()
            && changes.is_empty()
            && silences.is_empty()
            && slo.is_empty()
            && response.is_empty()
    }
}

/// What is needed to serve again.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Loaded {
    /// Incidents that are not over, and those resolved lately although members were active.
    pub incidents: Vec<Incident>,
    /// The nodes.
    pub nodes: Vec<NodeRow>,
    /// Their watermarks.
    pub marks: Vec<(NodeId, Epoch, Seq)>,
    /// The newest changes, oldest first.
    pub changes: Vec<RecordedChange>,
    /// Silences, by number.
    pub silences: Vec<Silence>,
    /// The number that the next silence gets.
    pub next_silence: u64,
    /// Counts by length and beginning of their buckets, and the alarms that are on.
    pub slo: Kept,
    /// The work on incidents that may yet go on, what is told of them, and who takes over.
    pub response: response::Kept,
    /// The number that the next incident gets.
    pub next_incident: u64,
    /// The place in the common order that the next batch or journal row gets.
    pub next_order: u64,
    /// Records that this version cannot read; they stay where they are.
    pub unreadable: u64,
}

/// What is to be forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Batches that came, and journal rows taken up, before this instant.
    pub batches_before: Timestamp,
    /// Incidents resolved, and changes begun, before this instant.
    pub incidents_before: Timestamp,
    /// Silences that were over before this instant.
    pub silences_before: Timestamp,
    /// Oldest batches and journal rows are forgotten while the store is larger, in bytes.
    pub bytes_max: u64,
    /// At most so many rows of a kind at one time, so that nobody waits long.
    pub rows_max: usize,
}

/// The side that writes.
pub trait Store: Send {
    /// Makes it durable, all or nothing.
    ///
    /// # Errors
    ///
    /// Nothing of it is on disk then, and it can be tried again when the error says so.
    fn commit(&mut self, transaction: &Transaction) -> Result<(), StoreError>;

    /// All that is needed to serve again.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    fn load(&mut self) -> Result<Loaded, StoreError>;

    /// Forgets what is old, and says how many rows that were.
    ///
    /// # Errors
    ///
    /// As for a commit.
    fn prune(&mut self, retention: &Retention) -> Result<usize, StoreError>;

    /// A way to read beside the writer.
    ///
    /// # Errors
    ///
    /// The file cannot be opened.
    fn history(&self) -> Result<Box<dyn History>, StoreError>;
}

/// The side that reads what is over.
pub trait History: Send {
    /// One incident.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    fn incident(&self, id: IncidentId) -> Result<Option<Incident>, StoreError>;

    /// Resolved incidents, newest first, with a number below `before`.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    fn resolved(
        &self,
        before: Option<IncidentId>,
        limit: usize,
    ) -> Result<Vec<Incident>, StoreError>;

    /// Batches of a node, oldest first.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    fn batches(&self, node: &NodeId, limit: usize) -> Result<Vec<Batch>, StoreError>;

    /// For each outbox of a node, the first batch whose numbers reach `seq`, the newest first.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    fn reaching(&self, node: &NodeId, seq: Seq) -> Result<Vec<Batch>, StoreError>;

    /// Up to where the events of each outbox of a node are on disk.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    fn marks(&self, node: &NodeId) -> Result<Vec<(Epoch, Seq)>, StoreError>;

    /// Resolved incidents that may bear on a finding that began at `raised_at` and was told at
    /// `told_at`, the newest first: those that were open then, and those that a person had resolved
    /// before although members were active.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    fn around(
        &self,
        raised_at: Timestamp,
        told_at: Timestamp,
        limit: usize,
    ) -> Result<Vec<Incident>, StoreError>;

    /// The work on one incident.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    fn work(&self, id: IncidentId) -> Result<Option<Work>, StoreError>;

    /// What happened to timers since `from`, in order, at most `limit` of it.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    fn timer_words(&self, from: Timestamp, limit: usize) -> Result<Vec<Logged>, StoreError>;

    /// Batches of all nodes and journal rows in the order in which they were taken up, a page of at
    /// most `limit` beginning at `from`.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    fn taken(&self, from: Place, limit: usize) -> Result<Page, StoreError>;
}

/// Where in the common order a page begins. The default is the very first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Place(u64);

/// What correlation took up at one time.
#[derive(Debug, Clone, PartialEq)]
pub enum Taken {
    /// Events of one node.
    Batch(Batch),
    /// All else.
    Row(JournalRow),
}

impl Taken {
    /// Its place in the common order.
    #[must_use]
    pub const fn order(&self) -> u64 {
        match self {
            Self::Batch(batch) => batch.order,
            Self::Row(row) => row.order,
        }
    }
}

/// Some of what was taken up, in order.
#[derive(Debug, Default, PartialEq)]
pub struct Page {
    /// Batches and journal rows.
    pub taken: Vec<Taken>,
    /// Where the next page begins; `None` when this was the last.
    pub next: Option<Place>,
    /// Records that this version cannot read.
    pub unreadable: u64,
}

/// What went wrong with a store.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{operation} {}: {fault}; {}", path.display(), fault.remedy())]
pub struct StoreError {
    /// What was tried, e.g. `cannot commit to`.
    pub operation: &'static str,
    /// On which file.
    pub path: PathBuf,
    /// What went wrong.
    pub fault: StoreFault,
}

/// The kinds of what goes wrong with a store.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum StoreFault {
    /// No room.
    #[error("the disk is full")]
    DiskFull,
    /// It cannot be written.
    #[error("it is read-only")]
    ReadOnly,
    /// It belongs to somebody else.
    #[error("this user may not write it")]
    Forbidden,
    /// Its name leads to another file, as after the disk was mounted anew.
    #[error("another file has taken its place")]
    Replaced,
    /// The disk or its driver fails.
    #[error("the disk fails ({0})")]
    Io(String),
    /// Another process has it.
    #[error("another process uses it")]
    Busy,
    /// It is no store, or a damaged one.
    #[error("it is damaged or no database ({0})")]
    Damaged(String),
    /// It is not there.
    #[error("there is none")]
    Absent,
    /// It was written by a newer version.
    #[error("it has schema version {found}, this version knows up to {known}")]
    Newer {
        /// Of the file.
        found: i64,
        /// Of this program.
        known: i64,
    },
    /// It was written by an older version and is only read here.
    #[error("it has schema version {found}, this version reads {known}")]
    Older {
        /// Of the file.
        found: i64,
        /// Of this program.
        known: i64,
    },
    /// The library is one that can lose what was committed.
    #[error("SQLite {0} can lose commits")]
    UnsafeLibrary(String),
    /// What we asked for makes no sense: a mistake of ours.
    #[error("{0}")]
    Refused(String),
}

impl StoreFault {
    /// What a person can do.
    #[must_use]
    pub const fn remedy(&self) -> &'static str {
        match self {
            Self::DiskFull => "free some space; it goes on by itself",
            Self::ReadOnly => "make the file and its folder writable; it goes on by itself",
            Self::Forbidden => "give the folder to the user that the aggregator runs as",
            Self::Replaced => "what is there now is taken up at the next start",
            Self::Io(_) => "look at the kernel log of this machine for the disk",
            Self::Busy => "stop the other process",
            Self::Damaged(_) => "move the file away and restore a backup",
            Self::Absent => "give the folder of an aggregator's store",
            Self::Newer { .. } => "use the newer version",
            Self::Older { .. } => "start this version's aggregator on it once",
            Self::UnsafeLibrary(_) => "build with SQLite 3.51.3 or newer",
            Self::Refused(_) => "please report it",
        }
    }
}

impl StoreError {
    /// Whether the same may succeed later without anything else being done here.
    #[must_use]
    pub const fn retryable(&self) -> bool {
        match self.fault {
            StoreFault::DiskFull
            | StoreFault::ReadOnly
            | StoreFault::Forbidden
            | StoreFault::Io(_)
            | StoreFault::Busy => true,
            StoreFault::Replaced
            | StoreFault::Damaged(_)
            | StoreFault::Absent
            | StoreFault::Newer { .. }
            | StoreFault::Older { .. }
            | StoreFault::UnsafeLibrary(_)
            | StoreFault::Refused(_) => false,
        }
    }
}
