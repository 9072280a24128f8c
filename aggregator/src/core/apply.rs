//! What each input does to the state. Nothing here waits.

use gpuwarden_proto::change::{RecordedChange, Told};
use gpuwarden_proto::event::Event;
use gpuwarden_proto::fleet;
use gpuwarden_proto::inventory::Snapshot;
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::uplink::Hello;
use gpuwarden_proto::vocab::{IncidentId, NodeId, Seq};

use tokio::sync::oneshot;

use super::pending::{Answer, Owed};
use super::sessions::{Ended, Registered, Stream};
use super::{Arrived, CommandError, Core, Full, Input, Recorded, Request, TICKS_PER_PRUNE};
use crate::correlate::{Signal, Touched, apply};
use crate::incident::{Command, Refusal};
use crate::intake::{self, Aside, Known};
use crate::node::{Link, Node, SessionId, lost_finding};
use crate::replay::line::Word;
use crate::store::{Batch, StoreError};

impl Core {
    pub(super) fn apply(&mut self, now: Timestamp, input: Input) -> Result<(), StoreError> {
        self.pass(now);
        match input {
            Input::Batches(batches) => {
                batches.into_iter().for_each(|batch| self.batch(now, batch));
            }
            Input::Request(request) => self.request(now, request),
            Input::Done(done) => self.done(done)?,
            Input::Retry => self.retry(),
            Input::Tick => self.tick(now),
            Input::Stop => {}
        }
        Ok(())
    }

    fn request(&mut self, now: Timestamp, request: Request) {
        match request {
            Request::Hello(hello, stream, answer) => {
                reply(answer, self.hello(now, &hello, stream));
            }
            Request::Snapshot(node, session, snapshot) => {
                self.snapshot(now, &node, session, *snapshot);
            }
            Request::Gone(node, session) => self.gone(now, &node, session),
            Request::Command(id, command, answer) => self.say(now, id, command, None, answer),
            Request::Take(id, by, until, answer) => {
                self.say(now, id, Command::Acknowledge { by }, until, answer);
            }
            Request::Silence(request) => self.silence(now, request),
            Request::Work(request) => self.work(now, request),
            Request::Outside(signals, answer) => self.outside(now, signals, answer),
            Request::Holder(subject, answer) => reply(answer, self.holder(&subject)),
            Request::Alerts(answer) => reply(answer, self.alerts()),
            Request::Open(answer) => reply(answer, self.board.open()),
            Request::Incident(id, answer) => reply(answer, self.board.incident(id)),
            Request::Watch(answer) => reply(answer, self.board.watch()),
            Request::Shadow(answer) => reply(answer, self.shadow_report(now)),
            Request::Nodes(answer) => reply(answer, self.nodes()),
            Request::Changes(limit, answer) => {
                reply(answer, self.ledger.newest().take(limit).cloned().collect());
            }
            Request::Objectives(answer) => reply(answer, self.slo.standings(now)),
            Request::Tree(deepest, answer) => reply(answer, self.state.tree(deepest)),
            Request::Portrait(name, answer) => reply(answer, self.state.portrait(&name)),
            Request::Record(told, answer) => self.record(now, told, answer),
        }
    }

    fn hello(&mut self, now: Timestamp, hello: &Hello, stream: Stream) -> Result<Registered, Full> {
        let known = self.state.nodes.contains_key(&hello.node);
        if !known && self.state.nodes.len() >= self.config.limits.nodes {
            return Err(Full(self.config.limits.nodes));
        }
        let session = self.sessions.enter(&hello.node, stream);
        let node = self.state.nodes.entry(hello.node.clone()).or_insert_with(|| Node::new(now));
        let before = node.link;
        node.connect(session, hello, now);
        let (taken, acked_seq) = (node.taken.of(hello.epoch), node.stored.of(hello.epoch));
        if let Link::Connected(old) = before {
            self.sessions.end(old, Ended::Superseded);
        }
        if hello.next_seq <= taken {
            self.metrics.outbox_set_back.inc();
            tracing::warn!(node = %hello.node, next_seq = hello.next_seq.0, taken = taken.0,
                "the outbox was set back: numbers up to the last one taken are not taken again");
        }
        self.journal(now, Word::Hello(hello.node.clone(), hello.next_seq));
        if before == Link::Lost {
            self.correlate(now, &hello.node, Signal::Back);
        }
        self.pending.node(&hello.node, false);
        Ok(Registered { session, acked_seq })
    }

    fn gone(&mut self, now: Timestamp, id: &NodeId, session: SessionId) {
        let Some(stream) = self.sessions.leave(session) else { return };
        let Some(node) = self.state.nodes.get_mut(id) else { return };
        node.seen(stream.pulse.last(now));
        node.disconnect(session);
        self.pending.node(id, false);
    }

    fn snapshot(&mut self, now: Timestamp, id: &NodeId, session: SessionId, snapshot: Snapshot) {
        let current = |node: &Node| node.link == Link::Connected(session);
        if self.state.nodes.get(id).is_some_and(current) {
            self.slo.observe(now, id, &snapshot);
            let told = || Word::Snapshot(id.clone(), Box::new(snapshot.clone()));
            self.shadow(now, std::iter::once_with(told));
            let mut touched = Touched::default();
            apply(&mut self.state, now, id, Signal::Snapshot(snapshot), &mut touched);
            self.journal_snapshot(now, id, &touched);
            self.note(touched);
            self.suppressor.note_node(&self.state, id);
            self.pending.node(id, true);
        }
    }

    fn batch(&mut self, now: Timestamp, batch: Arrived) {
        let Arrived { node: id, session, epoch, received_at, entries, mut events, .. } = batch;
        let Some(node) = self.state.nodes.get_mut(&id) else { return };
        if node.link != Link::Connected(session) {
            return;
        }
        node.seen(received_at);
        let taken = node.taken.of(epoch);
        let acked_seq = batch.last_seq.max(taken);
        node.taken.advance(epoch, acked_seq);
        let known = entries.partition_point(|entry| entry.seq <= taken);
        self.metrics.batches.inc();
        self.metrics.duplicates.inc_by(known as u64);
        self.metrics.events.inc_by((entries.len() - known) as u64);
        if acked_seq > taken {
            self.pending.mark(&id, epoch, acked_seq);
        }
        let order = if known < entries.len() { self.journal.order() } else { 0 };
        let seqs: Vec<Seq> = entries[known..].iter().map(|entry| entry.seq).collect();
        events.drain(..known);
        self.store_batch(
            Batch {
                observed: (received_at, received_at),
                node: id.clone(),
                epoch,
                received_at,
                taken_at: now,
                order,
                entries: if known == 0 { entries } else { entries[known..].to_vec() },
            },
            &events,
        );
        let told =
            |(seq, event): (&Seq, &Event)| Word::Event(id.clone(), Some(*seq), event.clone());
        self.shadow(now, seqs.iter().zip(&events).map(told));
        for (seq, event) in seqs.into_iter().zip(events) {
            self.event(now, &id, seq, event);
        }
        self.pending.owe(Owed { session, acked_seq, rejected: batch.rejected });
    }

    /// Each event by itself: a replay does not know which came together.
    fn event(&mut self, now: Timestamp, id: &NodeId, seq: Seq, event: Event) {
        let node = self.state.nodes.get(id);
        let backlog = node.is_some_and(|node| node.is_backlog(seq, event.observed_at));
        let mut touched = Touched::default();
        let aside = intake::event(&mut self.state, now, id, backlog, event, &mut touched);
        self.note(touched);
        match aside {
            None => {}
            Some(Aside::Change(change)) => self.change(change),
            Some(Aside::Gap(gap)) => {
                self.metrics.gaps.inc_by(gap.count);
                tracing::warn!(node = %id, count = gap.count, reason = gap.reason, "events lost");
            }
        }
    }

    fn change(&mut self, observed: RecordedChange) {
        let taken = self.ledger.take(observed);
        self.metrics.change_told(taken.change().origin, taken.word());
        if taken.is_news() {
            self.pending.change(taken.change().clone());
        }
    }

    /// Records changes, each once; who told them is answered when they are on disk.
    fn record(&mut self, now: Timestamp, told: Vec<Told>, answer: oneshot::Sender<Recorded>) {
        if !self.has_room() {
            return reply(answer, Err(CommandError::Full));
        }
        let mut touched = Touched::default();
        let taken = told.into_iter().map(|told| {
            let origin = told.origin;
            let read = told.recorded(now);
            let taken = match read {
                Ok(change) => self.ledger.take(change),
                Err(fault) => {
                    self.metrics.change_told(origin, "refused");
                    return Err(fault);
                }
            };
            self.metrics.change_told(origin, taken.word());
            if taken.is_news() {
                self.state.record(now, taken.change(), &mut touched);
                self.pending.change(taken.change().clone());
                self.journal(now, Word::Recorded(Box::new(taken.change().clone())));
            }
            Ok(taken)
        });
        let taken = taken.collect();
        self.note(touched);
        self.pending.recording((taken, answer));
    }

    fn say(
        &mut self,
        now: Timestamp,
        id: IncidentId,
        command: Command,
        until: Option<Timestamp>,
        answer: Answer,
    ) {
        let mut touched = Touched::default();
        // Which incident of the candidate is meant is to be seen before it is carried out.
        if self.state.may(id, &command).is_ok() {
            self.journal(now, Word::Command(id, command.clone()));
        }
        let taken = match &command {
            Command::Acknowledge { by } => Some(by.clone()),
            _ => None,
        };
        match self.state.command(now, id, command, &mut touched) {
            Ok(shown) => {
                self.note(touched);
                self.pending.answer(shown, answer);
                if let Some(by) = taken {
                    self.taken(now, id, &by, until);
                }
            }
            Err(refusal) => {
                let over = self.board.incident(id).and_then(|incident| incident.resolved_at);
                let refusal = match (over, refusal) {
                    (Some(at), Refusal::Unknown(id)) => Refusal::Over { id, at },
                    (_, refusal) => refusal,
                };
                reply(answer, Err(refusal.into()));
            }
        }
    }

    fn tick(&mut self, now: Timestamp) {
        self.ticks += 1;
        self.prune_due |= self.more_to_prune || self.ticks.is_multiple_of(TICKS_PER_PRUNE);
        if !self.has_room() {
            self.listening_since = self.listening_since.max(now);
        }
        for (node, pulse) in self.sessions.pulses() {
            if let Some(node) = self.state.nodes.get_mut(node) {
                node.seen(pulse.last(now));
                node.outbox_rows = pulse.outbox_rows();
            }
        }
        self.silences(now);
        self.lapse(now);
        self.objectives(now);
        self.respond_to_time(now);
        self.shadow_passes(now);
        if self.prune_due {
            self.suppressor.forget(now);
        }
        self.gauge();
    }

    /// What time has brought about since the last input, before anything else is taken up.
    pub(super) fn pass(&mut self, now: Timestamp) {
        let mut touched = Touched::default();
        let known = Known { state: &mut self.state, suppressor: &mut self.suppressor };
        self.passing.pass(known, now, &mut touched);
        self.show(touched);
    }

    /// Nodes that have been silent for too long are lost, or have stopped as they said.
    fn silences(&mut self, now: Timestamp) {
        let (since, limit) = (self.listening_since, self.config.node_lost_after);
        let silent = |node: &Node| node.silent(since, limit, now);
        let mut ids: Vec<NodeId> = self
            .state
            .nodes
            .iter()
            .filter(|(_, node)| silent(node))
            .map(|(id, _)| id.clone())
            .collect();
        ids.sort();
        for id in ids {
            let Some(node) = self.state.nodes.get_mut(&id) else { continue };
            if let Link::Connected(session) = node.link {
                self.sessions.end(session, Ended::Silent);
            }
            self.pending.node(&id, false);
            if node.stopping {
                node.link = Link::Stopped;
                continue;
            }
            node.link = Link::Lost;
            let since = node.last_seen_at.max(since);
            self.journal(now, Word::Lost(id.clone(), Some(since)));
            let finding = lost_finding(&id, since, now);
            self.correlate(now, &id, Signal::Lost(finding));
        }
    }

    fn correlate(&mut self, now: Timestamp, node: &NodeId, signal: Signal) {
        let mut touched = Touched::default();
        apply(&mut self.state, now, node, signal, &mut touched);
        self.note(touched);
    }

    pub(super) fn note(&mut self, touched: Touched) {
        self.suppressor.note(&touched);
        self.show(touched);
    }

    /// Takes note of what was touched and of which what holds it back is known.
    pub(super) fn show(&mut self, mut touched: Touched) {
        self.passing.note(&mut touched);
        self.shadow_notes(&touched);
        self.pending.touch(touched);
    }

    fn store_batch(&mut self, mut batch: Batch, events: &[Event]) {
        if batch.entries.is_empty() {
            return;
        }
        let times = || events.iter().map(|event| event.observed_at);
        let earliest = times().min().unwrap_or(batch.received_at);
        batch.observed = (earliest, times().max().unwrap_or(batch.received_at));
        self.pending.batch(batch);
    }

    fn nodes(&self) -> Vec<fleet::Node> {
        let shown = |(id, node): (&NodeId, &Node)| fleet::Node {
            id: id.clone(),
            state: node.link.state(),
            last_seen_at: node.last_seen_at,
            agent_version: node.agent_version.clone(),
            snapshot: node.snapshot.as_ref().map(|snapshot| (**snapshot).clone()),
            outbox_rows: node.outbox_rows,
            open_incidents: self.state.incidents_of(id) as u64,
        };
        let mut nodes: Vec<fleet::Node> = self.state.nodes.iter().map(shown).collect();
        nodes.sort_by(|a, b| a.id.cmp(&b.id));
        nodes
    }

    fn gauge(&self) {
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        let links = |wanted: fn(&Link) -> bool| {
            number(self.state.nodes.values().filter(|node| wanted(&node.link)).count())
        };
        self.metrics.incidents_open.set(number(self.state.open()));
        self.metrics.hold(&self.suppressor.standing(&self.state));
        self.metrics.nodes_connected.set(links(|link| matches!(link, Link::Connected(_))));
        self.metrics.nodes_lost.set(links(|link| *link == Link::Lost));
        self.metrics.dropped.set(i64::try_from(self.state.dropped).unwrap_or(i64::MAX));
    }
}

/// Answers. Who asked may have gone, which is nobody's loss.
pub(super) fn reply<T>(to: oneshot::Sender<T>, answer: T) {
    drop(to.send(answer));
}
