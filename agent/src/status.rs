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

use std::sync::Arc;

use gpuwarden_proto::inventory::Snapshot;
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::{NodeId, Seq};
use serde::Serialize;
use tokio::sync::watch;

use crate::engine::EngineCounters;
use crate::sample::{Moment, Now};
use crate::{outbox, uplink};

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

impl From<&outbox::OutboxStatus> for OutboxStatus {
    fn from(status: &outbox::OutboxStatus) -> Self {
        Self {
            rows: status.rows,
            bytes: status.bytes,
            oldest_at: status.oldest,
            dropped: status.dropped_total,
            fault: status.fault.clone(),
        }
    }
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

impl From<&uplink::UplinkStatus> for UplinkStatus {
    fn from(status: &uplink::UplinkStatus) -> Self {
        Self {
            endpoint: (!status.endpoint.is_empty()).then(|| status.endpoint.clone()),
            connected: status.connected,
            since: Some(status.since),
            acked: status.acked_seq,
            reason: status.last_error.clone().unwrap_or_default(),
        }
    }
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
