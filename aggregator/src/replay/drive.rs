//! Drives correlation with the words of a log and the times that they carry. Pure.
//!
//! What an aggregator writes of its own history tells when streams, and the aggregator itself, began
//! and ended. Where a log does not say so, that a lost node speaks at all says that it is back, and
//! numbered events older than the first snapshot of a stream are those that the node had held back
//! before.

use std::collections::BTreeMap;
use std::time::Duration;

use gpuwarden_proto::change::RecordedChange;
use gpuwarden_proto::incident::Incident;
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::{IncidentId, NodeId, Seq};
use thiserror::Error;

use super::line::{Line, Word};
use crate::correlate::{self, Policy, Signal, State, Touched, apply};
use crate::incident::Refusal;
use crate::intake::{self, Aside, Known, Passing};
use crate::ledger::Ledger;
use crate::node::{Link, Node, SessionId, lost_finding};
use crate::resume::resume;
use crate::store::{CHANGES_LOADED, Loaded, NodeRow, still_of_use};
use crate::suppress::{self, Inhibition, Suppressor};

/// Members of an incident that is kept as it was written.
const WRITTEN_MEMBERS: usize = 64;
/// A log has no streams to tell apart.
const STREAM: SessionId = SessionId(0);

/// Correlation under way.
#[derive(Debug)]
pub struct Drive {
    state: State,
    /// What people and the settings hold back. Silences come of the log alone, and are taken as
    /// they were made, whatever the settings allow: what was held back live is held back here. Only
    /// the rules are the settings' own.
    suppressor: Suppressor,
    passing: Passing,
    over: BTreeMap<IncidentId, Incident>,
    /// Incidents that are not over, as a restart would find them on disk: without numbers that came
    /// since they changed in another way. Not the large ones, of which that would cost too much.
    /// `None` where there will be none.
    written: Option<BTreeMap<IncidentId, Incident>>,
    /// The newest changes, each once.
    changes: Ledger,
    /// Lines that the log says are missing.
    missed: u64,
    /// The aggregator ended: time brings about nothing until it begins.
    ended: bool,
}

/// Why a person's word could not be carried out.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refused {
    /// On an incident.
    #[error(transparent)]
    Command(#[from] Refusal),
    /// On what is held back.
    #[error(transparent)]
    Silence(#[from] suppress::Refusal),
}

impl Drive {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(policy: Policy, rules: Vec<Inhibition>) -> Self {
        let (state, _) = resume(policy, Loaded::default(), Timestamp::default());
        Self {
            state,
            // Nobody asks it for a silence that is not made yet.
            suppressor: Suppressor::new(rules, Duration::MAX),
            passing: Passing::default(),
            over: BTreeMap::new(),
            written: Some(BTreeMap::new()),
            changes: Ledger::new(Vec::new(), CHANGES_LOADED),
            missed: 0,
            ended: false,
        }
    }

    /// Goes on `now` with what was on disk, and will not be restarted.
    #[must_use]
    pub fn beside(
        policy: Policy,
        rules: Vec<Inhibition>,
        mut loaded: Loaded,
        now: Timestamp,
    ) -> Self {
        let (silences, next) = (std::mem::take(&mut loaded.silences), loaded.next_silence);
        let (state, _) = resume(policy, loaded, now);
        let passing = Passing::begin(now);
        let fresh = Self::new(Policy::default(), rules);
        let mut drive = Self { state, passing, written: None, ..fresh };
        drive.suppressor.restore(silences, next, &drive.state, now);
        drive.settle(now, Touched::default());
        drive
    }

    /// Takes up one line, after the time that passed before it.
    ///
    /// # Errors
    ///
    /// The line is a person's word that could not be carried out; nothing was changed by it.
    pub fn line(&mut self, line: Line) -> Result<(), Refused> {
        let Line { at: now, word } = line;
        // The tick of the very instant of a start was never passed by who crashed before it.
        let starts = matches!(word, Word::Started);
        self.pass(if starts { now.before(Duration::from_nanos(1)) } else { now });
        self.ended = matches!(word, Word::Stopped);
        // The history of what is held back is written at once, or on the next tick.
        let at_once = starts || matches!(word, Word::Silenced(_) | Word::SilenceEnded(..));
        let mut touched = Touched::default();
        let result = self.word(now, word, &mut touched);
        self.suppressor.note(&touched);
        match at_once {
            true => self.settle(now, touched),
            false => {
                self.suppressor.foresee(&mut self.state, now);
                self.note(touched);
            }
        }
        result
    }

    /// Lets time pass up to `to`.
    pub fn pass(&mut self, to: Timestamp) {
        if self.ended {
            return;
        }
        let mut touched = Touched::default();
        let known = Known { state: &mut self.state, suppressor: &mut self.suppressor };
        self.passing.pass(known, to, &mut touched);
        self.note(touched);
    }

    /// Time ends here: what the next tick would tell of what is held back is told now.
    pub fn end(&mut self, now: Timestamp) {
        self.settle(now, Touched::default());
    }

    /// What is known now.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// All incidents: those that are over and those that are not.
    pub fn incidents(&self) -> impl Iterator<Item = &Incident> {
        self.over.values().chain(self.state.incidents())
    }

    /// Incidents that are over and still held.
    #[must_use]
    pub fn over(&self) -> usize {
        self.over.len()
    }

    /// Lets go of incidents that were over before `horizon`.
    pub fn forget(&mut self, horizon: Timestamp) {
        self.over.retain(|_, incident| incident.resolved_at.is_none_or(|at| at >= horizon));
    }

    /// What the log says of lines that are missing.
    pub(super) fn missing(&self) -> Option<String> {
        (self.missed > 0).then(|| format!("lines that are missing from the log: {}", self.missed))
    }

    /// The incidents by number: those that are over and those that are not.
    #[must_use]
    pub fn finish(mut self) -> Vec<Incident> {
        self.state.rank_all();
        let mut all = self.over;
        all.extend(self.state.incidents().map(|incident| (incident.id, incident.clone())));
        all.into_values().collect()
    }

    fn word(&mut self, now: Timestamp, word: Word, touched: &mut Touched) -> Result<(), Refused> {
        match word {
            Word::Event(node, seq, event) => {
                self.hear(now, &node, touched);
                let known = self.state.nodes.get(&node).zip(seq);
                let backlog = known.is_some_and(|(n, seq)| n.is_backlog(seq, event.observed_at));
                match intake::event(&mut self.state, now, &node, backlog, event, touched) {
                    Some(Aside::Change(change)) => drop(self.changes.take(change)),
                    Some(Aside::Gap(_)) | None => {}
                }
            }
            Word::Snapshot(node, snapshot) => {
                self.hear(now, &node, touched);
                apply(&mut self.state, now, &node, Signal::Snapshot(*snapshot), touched);
                self.suppressor.note_node(&self.state, &node);
            }
            Word::Lost(node, since) => self.lose(now, &node, since, touched),
            Word::Back(node) => self.greet(now, &node, Seq(u64::MAX), touched),
            Word::Hello(node, next_seq) => self.greet(now, &node, next_seq, touched),
            Word::Outside { observed_at, finding, why } if why.is_empty() => {
                correlate::outside(&mut self.state, now, observed_at, *finding, touched);
            }
            Word::Outside { observed_at, finding, why } => {
                self.state.lapse(now, &finding, observed_at, &why, touched);
            }
            Word::Recorded(change) => self.record(now, *change, touched),
            Word::Command(id, command) => {
                self.state.command(now, id, command, touched)?;
            }
            Word::Started => self.resume(now),
            Word::Silenced(silence) => self.suppressor.take(*silence, &self.state, now)?,
            Word::SilenceEnded(id, by) => self.suppressor.end(id, by, &self.state, now)?,
            Word::Stopped => {
                let known = Known { state: &mut self.state, suppressor: &mut self.suppressor };
                self.passing.end(known, now, touched);
            }
            Word::Missed(count) => self.missed += count,
        }
        Ok(())
    }

    fn node(&mut self, now: Timestamp, id: &NodeId) -> &mut Node {
        self.state.nodes.entry(id.clone()).or_insert_with(|| {
            let mut node = Node::new(now);
            begin_stream(&mut node, Seq(u64::MAX));
            node
        })
    }

    fn hear(&mut self, now: Timestamp, id: &NodeId, touched: &mut Touched) {
        let node = self.node(now, id);
        node.seen(now);
        if std::mem::replace(&mut node.link, Link::Connected(STREAM)) == Link::Lost {
            apply(&mut self.state, now, id, Signal::Back, touched);
        }
    }

    /// A stream begins.
    fn greet(&mut self, now: Timestamp, id: &NodeId, next_seq: Seq, touched: &mut Touched) {
        begin_stream(self.node(now, id), next_seq);
        self.hear(now, id, touched);
    }

    fn lose(
        &mut self,
        now: Timestamp,
        id: &NodeId,
        since: Option<Timestamp>,
        touched: &mut Touched,
    ) {
        let node = self.node(now, id);
        if std::mem::replace(&mut node.link, Link::Lost) == Link::Lost {
            return;
        }
        begin_stream(node, Seq(u64::MAX));
        let finding = lost_finding(id, since.unwrap_or(node.last_seen_at), now);
        apply(&mut self.state, now, id, Signal::Lost(finding), touched);
    }

    fn record(&mut self, now: Timestamp, change: RecordedChange, touched: &mut Touched) {
        let taken = self.changes.take(change);
        if taken.is_news() {
            self.state.record(now, taken.change(), touched);
        }
    }

    /// The aggregator ended, and begins with what is on disk.
    fn resume(&mut self, now: Timestamp) {
        // What was written had been ranked before.
        self.state.rank_all();
        let mut changes: Vec<RecordedChange> = self.changes.newest().cloned().collect();
        changes.reverse();
        let loaded = Loaded {
            incidents: self.on_disk(),
            nodes: self.state.nodes.iter().map(|(id, node)| row(&self.state, id, node)).collect(),
            changes,
            next_incident: self.state.next_id(),
            ..Loaded::default()
        };
        (self.state, _) = resume(self.state.policy.clone(), loaded, now);
        self.passing = Passing::begin(now);
        self.suppressor.restart(&self.state, now);
    }

    /// The incidents that are loaded at a start.
    fn on_disk(&self) -> Vec<Incident> {
        let over = still_of_use(self.over.values());
        let written = |known: &Incident| {
            let written = self.written.as_ref().and_then(|all| all.get(&known.id));
            Incident { roots: known.roots.clone(), ..written.unwrap_or(known).clone() }
        };
        self.state.incidents().map(written).chain(over.into_iter().cloned()).collect()
    }

    /// Works out at once what holds incidents back, for all.
    fn settle(&mut self, now: Timestamp, mut touched: Touched) {
        self.suppressor.weigh(&mut self.state, now, &mut touched);
        self.note(touched);
    }

    fn note(&mut self, mut touched: Touched) {
        self.passing.note(&mut touched);
        for id in touched.changed.into_keys().chain(touched.ranked) {
            // What was over may go on.
            if self.state.incident(id).is_some() {
                self.over.remove(&id);
            }
            let Some(all) = self.written.as_mut() else { continue };
            match self.state.incident(id).filter(|each| each.members.len() <= WRITTEN_MEMBERS) {
                Some(incident) => all.insert(id, incident.clone()),
                None => all.remove(&id),
            };
        }
        self.over.extend(touched.over.into_iter().map(|incident| (incident.id, incident)));
    }
}

fn begin_stream(node: &mut Node, next_seq: Seq) {
    node.backlog_before = next_seq;
    node.snapshot_at = None;
    node.stopping = false;
}

fn row(state: &State, id: &NodeId, node: &Node) -> NodeRow {
    NodeRow {
        id: id.clone(),
        state: node.link.state(),
        last_seen_at: node.last_seen_at,
        agent_version: String::new(),
        snapshot: node.snapshot.clone(),
        busy: state.busy_on(id),
    }
}
