//! The messages of the stream between node and aggregator.

use std::time::Duration;

use bytes::Bytes;

use crate::inventory::Snapshot;
use crate::time::Timestamp;
use crate::vocab::{Epoch, NodeId, Seq};

/// The largest encoded event that is accepted, in bytes.
pub const EVENT_MAX_BYTES: usize = 64 * 1024;
/// The largest message on the stream, in bytes.
pub const MESSAGE_MAX_BYTES: usize = 1024 * 1024;

/// An event as the outbox keeps it: numbered and encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its number.
    pub seq: Seq,
    /// The encoded event, never re-encoded on its way.
    pub event: Bytes,
}

/// The first word of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// Who speaks.
    pub node: NodeId,
    /// Which outbox.
    pub epoch: Epoch,
    /// The next number it will give.
    pub next_seq: Seq,
    /// The agent's version.
    pub agent_version: String,
    /// The kernel's boot id; empty when unknown.
    pub boot_id: String,
}

/// A sign of life, with the state of the outbox.
#[derive(Debug, Clone, PartialEq)]
pub struct Heartbeat {
    /// The node's wall clock.
    pub sent_at: Timestamp,
    /// Events not yet acknowledged.
    pub outbox_rows: u64,
    /// Their size.
    pub outbox_bytes: u64,
    /// Age of the oldest.
    pub outbox_oldest: Duration,
}

/// What a node says.
#[derive(Debug, Clone, PartialEq)]
pub enum FromNode {
    /// First of all.
    Hello(Hello),
    /// What is true now.
    Snapshot(Snapshot),
    /// Events, in ascending order of their numbers.
    Batch(Vec<Entry>),
    /// A sign of life.
    Heartbeat(Heartbeat),
}

/// The first word of the aggregator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Welcome {
    /// On disk up to here.
    pub acked_seq: Seq,
    /// How often to send a heartbeat.
    pub heartbeat_interval: Duration,
    /// After losing the stream, wait a random time up to this first.
    pub reconnect_spread: Duration,
    /// The largest batch, in bytes.
    pub max_batch_bytes: usize,
    /// The largest batch, in events.
    pub max_batch_events: usize,
}

/// An event that will never be accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// Its number.
    pub seq: Seq,
    /// Why.
    pub reason: String,
}

/// What the aggregator says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToNode {
    /// First of all.
    Welcome(Welcome),
    /// Committed to disk up to and with this number, but for the rejected ones.
    Ack {
        /// Up to here.
        acked_seq: Seq,
        /// Which of them were refused.
        rejected: Vec<Rejection>,
    },
    /// How many batches may be in flight.
    Credit {
        /// That many.
        max_batches: u32,
    },
    /// Finish, wait a random time up to the spread, connect again.
    Drain {
        /// The spread.
        spread: Duration,
        /// Why.
        reason: String,
    },
}
