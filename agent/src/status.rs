//! What the agent tells of itself on its own node: health, metrics and status.
//!
//! The engine publishes a [`Status`] on the [`StatusBoard`]; [`serve`] shows the latest one to whoever
//! asks. Nothing here can be told anything: it is read only.
//!
//! - [`metrics`]: the agent's own metrics
//! - [`text`]: status for people
//! - [`mod@serve`]: the HTTP side
//! - [`fetch`]: the asking side, for the command line

pub mod fetch;
pub mod metrics;
pub mod serve;
pub mod text;

use std::collections::BTreeMap;
use std::sync::Arc;

use gpuwarden_proto::event::Body;
use gpuwarden_proto::inventory::Snapshot;
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::{ChangeKind, NodeId, Phase, Seq, SourceName};
use serde::Serialize;
use tokio::sync::watch;

use crate::sample::{Moment, Now};

pub use self::fetch::fetch;
pub use self::serve::serve;
pub use self::text::render;

/// All that the agent tells of itself.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Status {
    /// Who it is.
    pub node: NodeId,
    /// The agent's version.
    pub version: &'static str,
    /// When this was published.
    pub at: Timestamp,
    /// The same on the clock that never jumps: the engine's heartbeat.
    #[serde(skip)]
    pub moment: Moment,
    /// What is true on the node.
    pub snapshot: Snapshot,
    /// What the engine has done.
    pub counters: EngineCounters,
    /// What waits to be sent.
    pub outbox: OutboxStatus,
    /// The way to the aggregator.
    pub uplink: UplinkStatus,
}

impl Status {
    /// Of an agent that has only just begun.
    pub fn begun(node: NodeId, now: Now) -> Self {
        Self {
            node,
            version: env!("CARGO_PKG_VERSION"),
            at: now.wall,
            moment: now.moment,
            snapshot: Snapshot::empty(now.wall),
            counters: EngineCounters::default(),
            outbox: OutboxStatus::default(),
            uplink: UplinkStatus::default(),
        }
    }
}

/// What the engine has done since the agent began.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct EngineCounters {
    /// By source.
    pub sources: BTreeMap<SourceName, SourceCounters>,
    /// Events put into the outbox, by kind.
    pub events: BTreeMap<EventKind, u64>,
    /// Changes observed, by kind.
    pub changes: BTreeMap<ChangeKind, u64>,
    /// Times the rules were run.
    pub rule_rounds: u64,
    /// Seconds spent in rules.
    pub rule_s_total: f64,
    /// Seconds of the longest round.
    pub rule_s_max: f64,
}

/// What came from one source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct SourceCounters {
    /// Samples taken in.
    pub samples: u64,
    /// Lines, calls or answers that could not be read.
    pub problems: u64,
}

/// What an event is, as far as it is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum EventKind {
    /// A new finding.
    FindingRaised,
    /// A finding with newer numbers.
    FindingUpdated,
    /// A finding that is over.
    FindingCleared,
    /// An observed change.
    Change,
    /// Events that were lost.
    Gap,
}

impl EventKind {
    /// The kind of an event.
    pub fn of(body: &Body) -> Self {
        match body {
            Body::Finding(finding) => match finding.phase {
                Phase::Raised => Self::FindingRaised,
                Phase::Updated => Self::FindingUpdated,
                Phase::Cleared => Self::FindingCleared,
            },
            Body::Change(_) => Self::Change,
            Body::Gap(_) => Self::Gap,
        }
    }

    /// The word, the same as in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FindingRaised => "finding-raised",
            Self::FindingUpdated => "finding-updated",
            Self::FindingCleared => "finding-cleared",
            Self::Change => "change",
            Self::Gap => "gap",
        }
    }
}

/// What waits to be sent.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct OutboxStatus {
    /// Events that are not acknowledged.
    pub rows: u64,
    /// Their size.
    pub bytes: u64,
    /// When the oldest of them was observed.
    pub oldest_at: Option<Timestamp>,
    /// Events given up since the agent began.
    pub dropped: u64,
    /// Why it does not keep events on disk at the moment; `None` when it does.
    pub fault: Option<String>,
}

/// The way to the aggregator.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct UplinkStatus {
    /// Where the aggregator is; `None` where everything stays on the node.
    pub endpoint: Option<String>,
    /// Whether there is a stream.
    pub connected: bool,
    /// Since when it has been so.
    pub since: Option<Timestamp>,
    /// Last event that the aggregator has acknowledged.
    pub acked: Seq,
    /// Why there is no stream; empty when there is one.
    pub reason: String,
}

/// Where the engine puts its status for others to see.
#[derive(Debug)]
pub struct StatusBoard(watch::Sender<Arc<Status>>);

/// The latest status, for those who show it.
pub type StatusView = watch::Receiver<Arc<Status>>;

impl StatusBoard {
    /// A board with a first status, and a view of it.
    pub fn new(first: Status) -> (Self, StatusView) {
        let (sender, view) = watch::channel(Arc::new(first));
        (Self(sender), view)
    }

    /// Shows this from now on. It is also the engine's heartbeat.
    pub fn publish(&self, status: Status) {
        self.0.send_replace(Arc::new(status));
    }
}

#[cfg(test)]
mod tests;
