//! What is known of one node: its stream, its watermarks, its last word. Pure.
//!
//! Silence is judged only against the time that we listened: while the aggregator starts, or cannot
//! read because its disk is full, no node can be called lost.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use gpuwarden_proto::event::{Evidence, Finding, Subject, Unit};
use gpuwarden_proto::inventory::Snapshot;
use gpuwarden_proto::time::{Timestamp, spoken};
use gpuwarden_proto::uplink::Hello;
use gpuwarden_proto::vocab::{Epoch, Grade, IncidentId, NodeId, NodeState, Phase, RuleId, Seq};

/// Outbox files of one node whose watermarks are kept.
const EPOCHS_MAX: usize = 4;

/// One life of a node's stream, counted by this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(pub u64);

/// Where a node stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// It has a stream.
    Connected(SessionId),
    /// It has none, not yet for long.
    Disconnected,
    /// It does not answer.
    Lost,
    /// Its agent said that it stops.
    Stopped,
}

impl Link {
    /// The same without the stream.
    #[must_use]
    pub const fn state(self) -> NodeState {
        match self {
            Self::Connected(_) => NodeState::Connected,
            Self::Disconnected => NodeState::Disconnected,
            Self::Lost => NodeState::Lost,
            Self::Stopped => NodeState::Stopped,
        }
    }
}

/// The identity of a finding on its node.
pub type Key = (RuleId, Subject);

/// Known findings, and where each is kept.
pub type Findings = HashMap<Key, Place>;

/// Where a known finding is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// In which incident.
    pub incident: IncidentId,
    /// At which of its members; `None` when that incident is full.
    pub slot: Option<usize>,
    /// Whether it is active.
    pub active: bool,
    /// When it began.
    pub raised_at: Timestamp,
    /// The incident has been resolved by a person's word while this was active: nothing more is said
    /// of it until it is raised anew.
    pub settled: bool,
}

/// A node of the fleet.
#[derive(Debug)]
pub struct Node {
    /// Where it stands.
    pub link: Link,
    /// When it was last heard of.
    pub last_seen_at: Timestamp,
    /// Its agent's version.
    pub agent_version: String,
    /// What it last said of itself.
    pub snapshot: Option<Arc<Snapshot>>,
    /// Events it holds back.
    pub outbox_rows: u64,
    /// Its findings that belong to an incident that is not over.
    pub findings: Findings,
    /// Its agent has said that it stops.
    pub stopping: bool,
    /// Events of the current outbox below this number are older than its first snapshot.
    pub backlog_before: Seq,
    /// When the snapshot of the current stream was taken; `None` before it came.
    pub snapshot_at: Option<Timestamp>,
    /// Events that have been taken up.
    pub taken: Marks,
    /// Events that are on disk: what may be acknowledged.
    pub stored: Marks,
}

/// Up to where a node's events have come, for each of its outbox files. Never goes back.
#[derive(Debug, Clone, Default)]
pub struct Marks(Vec<(Epoch, Seq)>);

impl Node {
    /// A node that is heard of for the first time.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        Self {
            link: Link::Disconnected,
            last_seen_at: now,
            agent_version: String::new(),
            snapshot: None,
            outbox_rows: 0,
            findings: Findings::new(),
            stopping: false,
            backlog_before: Seq(0),
            snapshot_at: None,
            taken: Marks::default(),
            stored: Marks::default(),
        }
    }

    /// A new stream. The one before it, if any, is over.
    pub fn connect(&mut self, session: SessionId, hello: &Hello, now: Timestamp) {
        self.link = Link::Connected(session);
        self.agent_version.clone_from(&hello.agent_version);
        self.backlog_before = hello.next_seq;
        self.snapshot_at = None;
        self.stopping = false;
        self.seen(now);
    }

    /// Its stream ended.
    pub fn disconnect(&mut self, session: SessionId) {
        if self.link == Link::Connected(session) {
            self.link = if self.stopping { Link::Stopped } else { Link::Disconnected };
        }
    }

    /// It was heard of.
    pub fn seen(&mut self, now: Timestamp) {
        self.last_seen_at = self.last_seen_at.max(now);
    }

    /// Whether it is to be called lost now.
    #[must_use]
    pub fn silent(&self, listening_since: Timestamp, limit: Duration, now: Timestamp) -> bool {
        let waiting = match self.link {
            Link::Connected(_) | Link::Disconnected => true,
            Link::Lost | Link::Stopped => false,
        };
        waiting && now.since(self.last_seen_at.max(listening_since)) >= limit
    }

    /// Whether an event of the stream tells of a time before the stream's snapshot.
    #[must_use]
    pub fn is_backlog(&self, seq: Seq, observed_at: Timestamp) -> bool {
        seq < self.backlog_before && self.snapshot_at.is_some_and(|at| observed_at < at)
    }
}

impl Marks {
    /// The last number of this outbox; 0 for none.
    #[must_use]
    pub fn of(&self, epoch: Epoch) -> Seq {
        self.0.iter().find(|(known, _)| *known == epoch).map_or(Seq(0), |(_, seq)| *seq)
    }

    /// Up to here.
    pub fn advance(&mut self, epoch: Epoch, to: Seq) {
        if let Some((_, seq)) = self.0.iter_mut().find(|(known, _)| *known == epoch) {
            *seq = (*seq).max(to);
            return;
        }
        if self.0.len() == EPOCHS_MAX {
            self.0.remove(0);
        }
        self.0.push((epoch, to));
    }
}

/// The finding that a node does not answer.
#[must_use]
pub fn lost_finding(node: &NodeId, last_seen_at: Timestamp, now: Timestamp) -> Finding {
    let silent = now.since(last_seen_at);
    Finding {
        rule: RuleId::NodeLost,
        subject: Subject::Node,
        phase: Phase::Raised,
        grade: Grade::Down,
        summary: format!("{node} has not been heard of for {}", spoken(silent)),
        evidence: vec![Evidence::new("silence", silent.as_secs_f64(), Unit::Seconds)],
        suspects: Vec::new(),
        gpus: Vec::new(),
        about: Vec::new(),
        raised_at: last_seen_at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{at, node};

    const LIMIT: Duration = Duration::from_secs(10);

    fn hello(next_seq: u64) -> Hello {
        Hello {
            node: node("node-a"),
            epoch: Epoch(1),
            next_seq: Seq(next_seq),
            agent_version: "0.1.0".to_owned(),
            boot_id: String::new(),
        }
    }

    #[test]
    fn a_node_is_silent_after_the_limit_and_not_before() {
        let node = Node::new(at(0));
        assert!(!node.silent(at(0), LIMIT, at(9)));
        assert!(node.silent(at(0), LIMIT, at(10)));
    }

    #[test]
    fn silence_does_not_count_while_nobody_listened() {
        let node = Node::new(at(0));
        assert!(!node.silent(at(100), LIMIT, at(109)), "we have listened for 9 s only");
        assert!(node.silent(at(100), LIMIT, at(110)));
    }

    #[test]
    fn a_node_that_stopped_or_is_lost_is_not_waited_for() {
        let mut node = Node::new(at(0));
        for link in [Link::Stopped, Link::Lost] {
            node.link = link;
            assert!(!node.silent(at(0), LIMIT, at(1000)));
        }
    }

    #[test]
    fn only_the_present_stream_can_end_it() {
        let mut node = Node::new(at(0));
        node.connect(SessionId(1), &hello(1), at(1));
        node.connect(SessionId(2), &hello(1), at(2));
        node.disconnect(SessionId(1));
        assert_eq!(node.link, Link::Connected(SessionId(2)));
        node.stopping = true;
        node.disconnect(SessionId(2));
        assert_eq!(node.link, Link::Stopped);
    }

    #[test]
    fn backlog_is_what_is_older_than_the_snapshot_of_the_stream() {
        let mut node = Node::new(at(0));
        node.connect(SessionId(1), &hello(5), at(1));
        assert!(!node.is_backlog(Seq(3), at(1)), "no snapshot came yet");
        node.snapshot_at = Some(at(10));
        assert!(node.is_backlog(Seq(4), at(9)));
        assert!(!node.is_backlog(Seq(4), at(10)));
        assert!(!node.is_backlog(Seq(5), at(9)), "given out after the stream began");
    }

    #[test]
    fn watermarks_belong_to_one_outbox_and_never_go_back() {
        let mut marks = Marks::default();
        marks.advance(Epoch(1), Seq(9));
        marks.advance(Epoch(1), Seq(4));
        assert_eq!((marks.of(Epoch(1)), marks.of(Epoch(2))), (Seq(9), Seq(0)));
        (2..=9).for_each(|epoch| marks.advance(Epoch(epoch), Seq(1)));
        assert_eq!(marks.0.len(), EPOCHS_MAX);
    }
}
