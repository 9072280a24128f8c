//! The streams of the nodes, as the core sees them.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::uplink::ToNode;
use gpuwarden_proto::vocab::{NodeId, Seq};
use tokio::sync::{mpsc, oneshot};

use super::pending::Owed;
use crate::node::SessionId;

/// Why a stream is ended from this side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// The same node has opened another.
    Superseded,
    /// Nothing was heard on it for too long.
    Silent,
    /// It does not take its acknowledgements.
    Behind,
    /// The aggregator stops.
    Stopping,
}

/// A stream's signs of life, written by the edge and read on the tick, so that heartbeats need no
/// message.
#[derive(Debug, Default)]
pub struct Pulse {
    heard_ns: AtomicU64,
    outbox_rows: AtomicU64,
    waiting: AtomicBool,
}

impl Pulse {
    /// Something was heard.
    pub fn heard(&self, at: Timestamp) {
        self.heard_ns.store(at.unix_ns(), Ordering::Relaxed);
    }

    /// The node holds back so many events.
    pub fn holds_back(&self, rows: u64) {
        self.outbox_rows.store(rows, Ordering::Relaxed);
    }

    /// The stream is not read at present, since we have no room: its silence is ours.
    pub fn waiting(&self, waiting: bool) {
        self.waiting.store(waiting, Ordering::Relaxed);
    }

    /// When it was last heard of, as seen `now`.
    pub fn last(&self, now: Timestamp) -> Timestamp {
        if self.waiting.load(Ordering::Relaxed) {
            return now;
        }
        Timestamp::from_unix_ns(self.heard_ns.load(Ordering::Relaxed))
    }

    /// What it last said of its outbox.
    pub fn outbox_rows(&self) -> u64 {
        self.outbox_rows.load(Ordering::Relaxed)
    }
}

/// The edge's end of a stream, given to the core.
#[derive(Debug)]
pub struct Stream {
    /// What goes to the node.
    pub outbox: mpsc::Sender<ToNode>,
    /// Ends the stream.
    pub ended: oneshot::Sender<Ended>,
    /// Its signs of life.
    pub pulse: Arc<Pulse>,
}

/// A stream that was let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Registered {
    /// Its number.
    pub session: SessionId,
    /// On disk up to here.
    pub acked_seq: Seq,
}

/// All streams.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    streams: HashMap<SessionId, (NodeId, Stream)>,
    last: u64,
}

impl Sessions {
    /// A new stream.
    pub(super) fn enter(&mut self, node: &NodeId, stream: Stream) -> SessionId {
        self.last += 1;
        let session = SessionId(self.last);
        self.streams.insert(session, (node.clone(), stream));
        session
    }

    /// Forgets a stream that is over.
    pub(super) fn leave(&mut self, session: SessionId) {
        self.streams.remove(&session);
    }

    /// Ends a stream.
    pub(super) fn end(&mut self, session: SessionId, why: Ended) {
        if let Some((_, stream)) = self.streams.remove(&session) {
            // It may have ended by itself.
            drop(stream.ended.send(why));
        }
    }

    /// Sends an acknowledgement. A stream that has no room for it is ended: false.
    pub(super) fn acknowledge(&mut self, owed: Owed) -> bool {
        let Owed { session, acked_seq, rejected } = owed;
        let Some((_, stream)) = self.streams.get(&session) else { return true };
        match stream.outbox.try_send(ToNode::Ack { acked_seq, rejected }) {
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => true,
            Err(mpsc::error::TrySendError::Full(_)) => {
                self.end(session, Ended::Behind);
                false
            }
        }
    }

    /// The streams and their signs of life.
    pub(super) fn pulses(&self) -> impl Iterator<Item = (&NodeId, &Pulse)> {
        self.streams.values().map(|(node, stream)| (node, &*stream.pulse))
    }

    /// Asks all nodes to come back later.
    pub(super) fn drain(&self, spread: Duration) {
        let reason = "the aggregator stops".to_owned();
        for (_, stream) in self.streams.values() {
            let drain = ToNode::Drain { spread, reason: reason.clone() };
            // A stream without room learns it from its end.
            drop(stream.outbox.try_send(drain));
        }
    }
}

impl Drop for Sessions {
    fn drop(&mut self) {
        for (_, (_, stream)) in self.streams.drain() {
            drop(stream.ended.send(Ended::Stopping));
        }
    }
}
