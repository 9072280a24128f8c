//! Where one event went: told from what is kept of it and of incidents. Pure. What cannot be told
//! from that is named instead of guessed.

mod fate;

use std::sync::Arc;

use gpuwarden_proto::convert::decode_event;
use gpuwarden_proto::event::{Body, Event, Finding, Gap};
use gpuwarden_proto::incident::Incident;
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::trace::{Fate, Trace};
use gpuwarden_proto::vocab::{Epoch, IncidentId, NodeId, Seq};
use thiserror::Error;

use crate::store::Batch;

/// What is kept of one number of an outbox.
#[derive(Debug, Clone, PartialEq)]
pub struct Kept {
    node: NodeId,
    epoch: Epoch,
    seq: Seq,
    received_at: Timestamp,
    what: What,
}

#[derive(Debug, Clone, PartialEq)]
enum What {
    /// The event.
    Event(Event),
    /// It is there, and cannot be read.
    Unreadable(String),
    /// A gap stands in its place.
    Lost(Gap),
}

/// The incidents that may hold a finding.
#[derive(Debug, Clone, Default)]
pub struct Around {
    /// Those that are open, and those that are over and were not then.
    pub incidents: Vec<Arc<Incident>>,
    /// There are more.
    pub truncated: bool,
}

/// Why nothing is known of an event.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Absent {
    /// Its node is not known by any event.
    #[error("no event of {0} was ever taken up; `gpuwarden nodes` lists the nodes that there are")]
    Node(NodeId),
    /// Its number lies ahead.
    #[error("event {seq} of {node} has not come: its events are on disk up to {taken}")]
    Ahead {
        /// Whose.
        node: NodeId,
        /// Which.
        seq: Seq,
        /// The highest number so far.
        taken: Seq,
    },
    /// Its number has been passed, and nothing is kept under it.
    #[error(
        "event {seq} of {node} is not kept, and why cannot be told: its numbers up to {taken} have \
         been taken up, so it is older than what is kept, or was refused when it came, or the node \
         never sent it"
    )]
    Passed {
        /// Whose.
        node: NodeId,
        /// Which.
        seq: Seq,
        /// The highest number so far.
        taken: Seq,
    },
}

impl Absent {
    /// By the marks of a node's outboxes.
    #[must_use]
    pub fn new(node: NodeId, seq: Seq, marks: &[(Epoch, Seq)]) -> Self {
        match marks.iter().map(|(_, taken)| *taken).max() {
            None => Self::Node(node),
            Some(taken) if seq > taken => Self::Ahead { node, seq, taken },
            Some(taken) => Self::Passed { node, seq, taken },
        }
    }
}

/// What is said of an event.
struct Verdict {
    fate: Fate,
    incident: Option<IncidentId>,
    through: Vec<IncidentId>,
    score: Option<f64>,
    reason: String,
    unsure: Vec<String>,
}

impl Verdict {
    fn apart(fate: Fate, reason: String) -> Self {
        let (incident, score) = (None, None);
        Self { fate, incident, through: Vec::new(), score, reason, unsure: Vec::new() }
    }
}

impl Kept {
    /// What the first batch that reaches `seq` keeps of it. `None` when that is nothing.
    #[must_use]
    pub fn find(batch: &Batch, seq: Seq) -> Option<Self> {
        let own = batch.entries.iter().find(|entry| entry.seq == seq);
        let what = match own.map(|entry| decode_event(&entry.event)) {
            Some(Ok(event)) => What::Event(event),
            Some(Err(refused)) => What::Unreadable(refused.to_string()),
            None => What::Lost(gap_over(batch, seq)?),
        };
        let (node, epoch, received_at) = (batch.node.clone(), batch.epoch, batch.received_at);
        Some(Self { node, epoch, seq, received_at, what })
    }

    /// When its finding began; `None` for what is none.
    #[must_use]
    pub fn raised_at(&self) -> Option<Timestamp> {
        match &self.what {
            What::Event(Event { observed_at, body: Body::Finding(finding) }) => {
                Some(raised_at(finding, *observed_at))
            }
            What::Event(_) | What::Unreadable(_) | What::Lost(_) => None,
        }
    }

    /// Where it went, by the incidents around it.
    #[must_use]
    pub fn trace(self, around: &Around) -> Trace {
        let verdict = match &self.what {
            What::Event(Event { observed_at, body }) => match body {
                Body::Finding(finding) => {
                    fate::of(&self.node, finding, *observed_at, self.received_at, around)
                }
                Body::Change(_) => Verdict::apart(Fate::Change, CHANGE.to_owned()),
                Body::Gap(gap) => Verdict::apart(Fate::Gap, told(gap)),
            },
            What::Unreadable(fault) => {
                let reason = format!("It is kept, but this version cannot read it: {fault}.");
                Verdict::apart(Fate::Unreadable, reason)
            }
            What::Lost(gap) => {
                let reason = format!("It never came; a gap stands in its place. {}", told(gap));
                Verdict::apart(Fate::Lost, reason)
            }
        };
        let Verdict { fate, incident, through, score, reason, unsure } = verdict;
        let event = match self.what {
            What::Event(event) => Some(event),
            What::Unreadable(_) | What::Lost(_) => None,
        };
        let Self { node, epoch, seq, received_at, .. } = self;
        Trace {
            node,
            epoch,
            seq,
            received_at,
            event,
            fate,
            incident,
            through,
            score,
            reason,
            unsure,
        }
    }
}

const CHANGE: &str = "It is recorded among the changes. A change is no trouble and joins no \
    incident, but it speaks for findings that follow it having one cause.";

/// Nothing begins after it was seen; a beginning that was not told is when it was seen.
fn raised_at(finding: &Finding, observed_at: Timestamp) -> Timestamp {
    match finding.raised_at {
        unknown if unknown == Timestamp::default() => observed_at,
        told => told.min(observed_at),
    }
}

/// The gap of a batch that counts this number among the lost.
fn gap_over(batch: &Batch, seq: Seq) -> Option<Gap> {
    let later = batch.entries.iter().filter(|entry| entry.seq > seq);
    later.filter_map(|entry| decode_event(&entry.event).ok()).find_map(|event| match event.body {
        Body::Gap(gap) if (gap.first_seq..=gap.last_seq).contains(&seq.0) => Some(gap),
        Body::Gap(_) | Body::Finding(_) | Body::Change(_) => None,
    })
}

fn told(gap: &Gap) -> String {
    let Gap { count, first_seq, last_seq, reason } = gap;
    let numbers = match first_seq {
        0 => String::new(),
        _ => format!(" with numbers from {first_seq} to {last_seq}"),
    };
    format!("The node gave up {count} events{numbers} before they could be delivered: {reason}.")
}

#[cfg(test)]
mod tests;
