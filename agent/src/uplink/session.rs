//! One stream's life as a state machine: inputs go in, effects come out. Pure; the shell in
//! `uplink.rs` carries the effects out.
//!
//! ```text
//!           Welcome                Drain or Stop              all acknowledged
//! greeting ─────────► streaming ─────────────────► leaving ─────────────────────► ended
//!     │                   │                           │
//!     └───────────────────┴─── anything unexpected ───┴──► ended
//! ```

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use gpuwarden_proto::inventory::Snapshot;
use gpuwarden_proto::uplink::{
    Entry, FromNode, Heartbeat, Hello, MESSAGE_MAX_BYTES, Rejection, ToNode, Welcome,
};
use gpuwarden_proto::vocab::{Epoch, Seq};

use super::urgency::is_urgent;
use crate::outbox::{OutboxStatus, PageAsk};

/// Batches in flight until the aggregator says otherwise.
const DEFAULT_CREDIT: u32 = 4;
/// Batches in flight at most, whatever the aggregator says.
const CREDIT_MAX: u32 = 32;
/// Events in a batch at most, whatever the aggregator says.
const BATCH_MAX_EVENTS: usize = 4_096;
/// Bytes of a batch at most, whatever the aggregator says: a message less what wraps the batch.
const BATCH_MAX_BYTES: usize = MESSAGE_MAX_BYTES - 1_024;
/// Heartbeats are neither a flood nor a rarity, whatever the aggregator says.
const HEARTBEAT_MIN: Duration = Duration::from_millis(100);
const HEARTBEAT_MAX: Duration = Duration::from_secs(60);

/// What happens to a session.
#[derive(Debug)]
pub(crate) enum Input {
    /// The aggregator said something.
    Received(ToNode),
    /// The outbox has changed.
    Outbox(OutboxStatus),
    /// The outbox answered.
    Page(Vec<Entry>),
    /// The picture of the node has changed.
    Snapshot(Arc<Snapshot>),
    /// A picture may be sent again.
    SnapshotDue,
    /// A sign of life is due.
    HeartbeatDue(Heartbeat),
    /// The agent stops: say what is left.
    Stop,
}

/// What a session wants done, in this order.
#[derive(Debug, PartialEq)]
pub(crate) enum Effect {
    /// Say this.
    Send(FromNode),
    /// Ask the outbox for events.
    Read(PageAsk),
    /// Everything up to here is safe.
    Ack(Seq),
    /// These will never be taken.
    Reject(Vec<Rejection>),
    /// From now on, a sign of life this often.
    Heartbeats(Duration),
    /// Tell me [`Input::SnapshotDue`] in a while.
    RestSnapshots,
    /// It is over.
    End(End),
}

/// How a session ends by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    /// The aggregator asked for it. Come back after a random time up to this.
    Drained(Duration),
    /// Everything was said before the agent stops.
    Stopped,
    /// The outbox has begun another epoch, which needs another Hello.
    EpochChanged,
    /// The aggregator cannot go on with this epoch.
    EpochRefused(String),
    /// The aggregator broke the rules of the stream.
    Broken(String),
}

/// Why a session says no more than it must.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leaving {
    /// The agent stops: the rest is said first.
    Stop,
    /// The aggregator asked for it: the rest is said to another, after up to this long.
    Drain(Duration),
}

/// One stream.
#[derive(Debug)]
pub(crate) struct Session {
    welcome: bool,
    leaving: Option<Leaving>,
    epoch: Epoch,
    outbox: OutboxStatus,
    /// Everything up to here is on the aggregator's disk.
    acked: Seq,
    /// Everything up to here has been sent on this stream or was acknowledged before it.
    sent: Seq,
    /// Last number of each batch that is not acknowledged, oldest first.
    in_flight: VecDeque<Seq>,
    credit: u32,
    max_events: usize,
    max_bytes: usize,
    /// The revision of the outbox as of the question that it has not answered yet.
    asked: Option<u64>,
    /// The revision of the outbox at which it had nothing more.
    exhausted: Option<u64>,
    snapshot: Arc<Snapshot>,
    snapshot_sent: Option<Arc<Snapshot>>,
    snapshots_rest: bool,
    spread: Duration,
}

impl Session {
    /// A stream for an outbox and a picture as they are.
    pub(crate) fn new(outbox: OutboxStatus, snapshot: Arc<Snapshot>) -> Self {
        Self {
            welcome: false,
            leaving: None,
            epoch: outbox.epoch,
            acked: outbox.acked_seq,
            sent: outbox.acked_seq,
            outbox,
            in_flight: VecDeque::new(),
            credit: DEFAULT_CREDIT,
            max_events: 0,
            max_bytes: 0,
            asked: None,
            exhausted: None,
            snapshot,
            snapshot_sent: None,
            snapshots_rest: false,
            spread: Duration::ZERO,
        }
    }

    /// The first word.
    pub(crate) fn hello(
        &self,
        node: gpuwarden_proto::vocab::NodeId,
        version: &str,
        boot: &str,
    ) -> Hello {
        Hello {
            node,
            epoch: self.epoch,
            next_seq: self.outbox.next_seq,
            agent_version: version.to_owned(),
            boot_id: boot.to_owned(),
        }
    }

    /// Which outbox it speaks for.
    pub(crate) fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Whether the aggregator has said Welcome.
    pub(crate) fn is_welcome(&self) -> bool {
        self.welcome
    }

    /// What the Welcome asked for: after losing the stream, a random time up to this.
    pub(crate) fn spread(&self) -> Duration {
        self.spread
    }

    /// On the aggregator's disk up to here.
    pub(crate) fn acked(&self) -> Seq {
        self.acked
    }

    /// The batch that has waited longest for its acknowledgement.
    pub(crate) fn waits_for(&self) -> Option<Seq> {
        self.in_flight.front().copied()
    }

    /// Takes an input; what is to be done about it.
    pub(crate) fn apply(&mut self, input: Input) -> Vec<Effect> {
        let mut effects = Vec::new();
        match input {
            Input::Received(message) => self.receive(message, &mut effects),
            Input::Outbox(status) if status.epoch != self.epoch => {
                effects.push(Effect::End(End::EpochChanged));
            }
            Input::Outbox(status) => self.outbox = status,
            Input::Page(page) => self.send_batch(page, &mut effects),
            Input::Snapshot(snapshot) => self.snapshot = snapshot,
            Input::SnapshotDue => self.snapshots_rest = false,
            Input::HeartbeatDue(heartbeat) if self.is_welcome() => {
                effects.push(Effect::Send(FromNode::Heartbeat(heartbeat)));
            }
            Input::HeartbeatDue(_) => {}
            Input::Stop => self.leaving = self.leaving.or(Some(Leaving::Stop)),
        }
        self.send_snapshot(&mut effects);
        self.read_on(&mut effects);
        self.finish(&mut effects);
        effects
    }

    fn receive(&mut self, message: ToNode, effects: &mut Vec<Effect>) {
        match message {
            ToNode::Welcome(welcome) if !self.welcome => {
                self.welcome(&welcome, effects);
            }
            ToNode::Welcome(_) => effects.push(broken("it said Welcome twice")),
            _ if !self.welcome => effects.push(broken("it did not say Welcome")),
            ToNode::Ack { acked_seq, rejected } => self.acknowledge(acked_seq, rejected, effects),
            ToNode::Credit { max_batches } => self.credit = max_batches.min(CREDIT_MAX),
            ToNode::Drain { spread, .. } => self.leaving = Some(Leaving::Drain(spread)),
        }
    }

    fn welcome(&mut self, welcome: &Welcome, effects: &mut Vec<Effect>) {
        if welcome.acked_seq >= self.outbox.next_seq {
            let reason = format!(
                "the aggregator knows numbers up to {} and this outbox has given none from {} on: \
                 it is a copy, or was set back",
                welcome.acked_seq, self.outbox.next_seq
            );
            return effects.push(Effect::End(End::EpochRefused(reason)));
        }
        self.welcome = true;
        self.spread = welcome.reconnect_spread;
        self.max_events = welcome.max_batch_events.clamp(1, BATCH_MAX_EVENTS);
        self.max_bytes = welcome.max_batch_bytes.clamp(1, BATCH_MAX_BYTES);
        let interval = welcome.heartbeat_interval.clamp(HEARTBEAT_MIN, HEARTBEAT_MAX);
        effects.push(Effect::Heartbeats(interval));
        // The aggregator is the one who knows: it may have lost its disk, or have said more than
        // reached us.
        self.acked = welcome.acked_seq;
        self.sent = welcome.acked_seq;
        effects.push(Effect::Ack(welcome.acked_seq));
    }

    fn acknowledge(&mut self, acked: Seq, rejected: Vec<Rejection>, effects: &mut Vec<Effect>) {
        if acked > self.sent {
            let reason = format!("it acknowledged {acked} and was sent up to {}", self.sent);
            return effects.push(broken(&reason));
        }
        let refused: Vec<_> = rejected.into_iter().filter(|each| each.seq <= acked).collect();
        if !refused.is_empty() {
            effects.push(Effect::Reject(refused));
        }
        if acked > self.acked {
            self.acked = acked;
            while self.in_flight.pop_front_if(|last| *last <= acked).is_some() {}
            effects.push(Effect::Ack(acked));
        }
    }

    fn send_batch(&mut self, page: Vec<Entry>, effects: &mut Vec<Effect>) {
        let asked = self.asked.take();
        let Some(last) = page.last() else {
            self.exhausted = asked;
            return;
        };
        self.sent = last.seq;
        self.in_flight.push_back(last.seq);
        effects.push(Effect::Send(FromNode::Batch(page)));
    }

    fn send_snapshot(&mut self, effects: &mut Vec<Effect>) {
        let due = match &self.snapshot_sent {
            None => true,
            Some(sent) if Arc::ptr_eq(sent, &self.snapshot) => false,
            Some(sent) => !self.snapshots_rest || is_urgent(sent, &self.snapshot),
        };
        if self.is_welcome() && due {
            self.snapshot_sent = Some(self.snapshot.clone());
            self.snapshots_rest = true;
            effects.push(Effect::Send(FromNode::Snapshot((*self.snapshot).clone())));
            effects.push(Effect::RestSnapshots);
        }
    }

    /// Asks for more when there is more, and room for it in flight.
    fn read_on(&mut self, effects: &mut Vec<Effect>) {
        let has_room = self.in_flight.len() < self.credit as usize;
        let may_read = match self.leaving {
            Some(Leaving::Drain(_)) => false,
            Some(Leaving::Stop) | None => self.welcome && self.asked.is_none() && has_room,
        };
        if may_read && self.has_more() {
            self.asked = Some(self.outbox.revision);
            effects.push(Effect::Read(PageAsk {
                after: self.sent,
                max_events: self.max_events,
                max_bytes: self.max_bytes,
            }));
        }
    }

    /// Whether the outbox may hold something that was not sent.
    fn has_more(&self) -> bool {
        self.sent.0 + 1 < self.outbox.next_seq.0 && self.exhausted != Some(self.outbox.revision)
    }

    fn finish(&mut self, effects: &mut Vec<Effect>) {
        if !self.welcome || self.asked.is_some() || !self.in_flight.is_empty() {
            return;
        }
        match self.leaving {
            Some(Leaving::Drain(spread)) => effects.push(Effect::End(End::Drained(spread))),
            Some(Leaving::Stop) if !self.has_more() => effects.push(Effect::End(End::Stopped)),
            Some(Leaving::Stop) | None => {}
        }
    }
}

fn broken(reason: &str) -> Effect {
    Effect::End(End::Broken(format!("the aggregator broke the rules of the stream: {reason}")))
}
