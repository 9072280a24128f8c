//! Drives correlation with the words of a log and the times that they carry. Pure.
//!
//! What a live aggregator learns from a stream's first word is not in a log. That a lost node speaks
//! at all says that it is back, and numbered events older than the first snapshot of a stream are
//! those that the node had held back before.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use gpuwarden_proto::incident::Incident;
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::{IncidentId, IncidentState, NodeId};

use super::line::{Line, Word};
use crate::correlate::{self, Policy, Signal, State, Touched, apply};
use crate::incident::Refusal;
use crate::intake::{self, Stale, TICK, TICKS_PER_RENEWAL};
use crate::node::{Link, Node, SessionId, lost_finding};

/// A log has no streams to tell apart.
const STREAM: SessionId = SessionId(0);
/// Nanoseconds between ticks.
const TICK_NS: u64 = TICK.as_nanos() as u64;

/// Correlation under way.
#[derive(Debug)]
pub struct Drive {
    state: State,
    stale: Stale,
    /// Incidents that time alone will end.
    quiet: BTreeSet<IncidentId>,
    over: BTreeMap<IncidentId, Incident>,
    /// When the first snapshot of a node's present stream was taken.
    streams: HashMap<NodeId, Timestamp>,
    /// Ticks from 1970 up to the last one; `None` before the first line.
    ticked: Option<u64>,
}

impl Drive {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        let state = State::restore(policy, HashMap::new(), Vec::new(), 1, Timestamp::default());
        Self {
            state,
            stale: Stale::default(),
            quiet: BTreeSet::new(),
            over: BTreeMap::new(),
            streams: HashMap::new(),
            ticked: None,
        }
    }

    /// Takes up one line, after the time that passed before it.
    ///
    /// # Errors
    ///
    /// The line is a person's word that could not be carried out; nothing was changed by it.
    pub fn line(&mut self, line: Line) -> Result<(), Refusal> {
        let Line { at: now, word } = line;
        self.pass(now);
        let mut touched = Touched::default();
        let result = self.word(now, word, &mut touched);
        self.note(touched);
        result
    }

    /// Lets time pass up to `to`, in ticks on whole multiples of their interval. While nothing waits
    /// for time, ticks are left out.
    pub fn pass(&mut self, to: Timestamp) {
        let last = to.unix_ns() / TICK_NS;
        let next = self.ticked.map_or(last, |ticked| ticked + 1);
        for tick in next..=last {
            if self.rests() {
                break;
            }
            self.tick(tick);
        }
        self.ticked = Some(last);
    }

    /// The incidents by number: those that are over and those that are not.
    #[must_use]
    pub fn finish(mut self) -> Vec<Incident> {
        self.state.rank_all();
        let mut all = self.over;
        all.extend(self.state.incidents().map(|incident| (incident.id, incident.clone())));
        all.into_values().collect()
    }

    fn word(&mut self, now: Timestamp, word: Word, touched: &mut Touched) -> Result<(), Refusal> {
        match word {
            Word::Event(node, seq, event) => {
                self.hear(now, &node, touched);
                let held_back = |began: &Timestamp| seq.is_some() && event.observed_at < *began;
                let backlog = self.streams.get(&node).is_some_and(held_back);
                // Changes and gaps have no other effect than what `intake` makes of them.
                drop(intake::event(&mut self.state, now, &node, backlog, event, touched));
            }
            Word::Snapshot(node, snapshot) => {
                self.hear(now, &node, touched);
                self.streams.entry(node.clone()).or_insert(snapshot.observed_at);
                apply(&mut self.state, now, &node, Signal::Snapshot(*snapshot), touched);
            }
            Word::Lost(node, since) => self.lose(now, &node, since, touched),
            Word::Back(node) => {
                self.streams.remove(&node);
                self.hear(now, &node, touched);
            }
            // What a restart does is not replayed yet.
            Word::Started | Word::Stopped | Word::Missed(_) => {}
            Word::Hello(node, _) => {
                self.streams.remove(&node);
                self.hear(now, &node, touched);
            }
            Word::Outside { observed_at, finding, why } if why.is_empty() => {
                correlate::outside(&mut self.state, now, observed_at, *finding, touched);
            }
            Word::Outside { observed_at, finding, why } => {
                self.state.lapse(now, &finding, observed_at, &why, touched);
            }
            Word::Recorded(change) => self.state.record(now, &change, touched),
            Word::Command(id, command) => self.state.command(now, id, command, touched)?,
        }
        Ok(())
    }

    fn hear(&mut self, now: Timestamp, id: &NodeId, touched: &mut Touched) {
        let node = self.state.nodes.entry(id.clone()).or_insert_with(|| Node::new(now));
        node.seen(now);
        if std::mem::replace(&mut node.link, Link::Connected(STREAM)) == Link::Lost {
            apply(&mut self.state, now, id, Signal::Back, touched);
        }
    }

    fn lose(
        &mut self,
        now: Timestamp,
        id: &NodeId,
        since: Option<Timestamp>,
        touched: &mut Touched,
    ) {
        let node = self.state.nodes.entry(id.clone()).or_insert_with(|| Node::new(now));
        if std::mem::replace(&mut node.link, Link::Lost) == Link::Lost {
            return;
        }
        self.streams.remove(id);
        let finding = lost_finding(id, since.unwrap_or(node.last_seen_at), now);
        apply(&mut self.state, now, id, Signal::Lost(finding), touched);
    }

    /// Whether time alone brings nothing about.
    fn rests(&self) -> bool {
        self.quiet.is_empty() && self.stale.is_empty()
    }

    fn tick(&mut self, tick: u64) {
        let now = Timestamp::from_unix_ns(tick * TICK_NS);
        let mut touched = Touched::default();
        self.state.tick(now, &mut touched);
        if tick.is_multiple_of(TICKS_PER_RENEWAL) {
            self.stale.renew(&mut self.state, now, &mut touched);
        }
        self.note(touched);
    }

    fn note(&mut self, mut touched: Touched) {
        self.stale.note(&mut touched);
        for id in touched.changed.into_keys() {
            match self.state.incident(id).map(|incident| incident.state) {
                Some(IncidentState::Quiet) => self.quiet.insert(id),
                Some(_) | None => self.quiet.remove(&id),
            };
        }
        self.over.extend(touched.over.into_iter().map(|incident| (incident.id, incident)));
    }
}
