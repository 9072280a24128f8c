//! Nodes as the aggregator sees them.

use serde::Serialize;

use crate::inventory::Snapshot;
use crate::time::Timestamp;
use crate::vocab::{NodeId, NodeState};

/// A node of the fleet.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Node {
    /// Who.
    pub id: NodeId,
    /// Where it stands.
    pub state: NodeState,
    /// When it was last heard of.
    pub last_seen_at: Timestamp,
    /// Its agent's version.
    pub agent_version: String,
    /// What it last said of itself; `None` before its first word.
    pub snapshot: Option<Snapshot>,
    /// Events it holds back.
    pub outbox_rows: u64,
    /// Incidents that it is part of.
    pub open_incidents: u64,
}
