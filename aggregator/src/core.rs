//! The one task that owns the state: `select` an input, `apply` it at once, hand over what came of it.
//!
//! While a transaction is being committed the next one gathers, so commits group themselves: none
//! waits when all is idle, and under load each takes all that came meanwhile. Acknowledgements and
//! answers go out after the commit. When the store fails, people are shown what is known all the same,
//! nothing is acknowledged, and the streams are read until the gathered is as large as it may be.

mod apply;
mod journal;
mod outside;
mod pending;
mod response;
mod sessions;
mod shadow;
mod silence;
mod slo;
mod writer;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use gpuwarden_notify::delivery::Send;
use gpuwarden_proto::change::{NoChange, RecordedChange, Told};
use gpuwarden_proto::entity::EntityKind;
use gpuwarden_proto::event::{Event, Subject};
use gpuwarden_proto::fleet::Node;
use gpuwarden_proto::incident::Incident;
use gpuwarden_proto::inventory::Snapshot;
use gpuwarden_proto::shadow::Report;
use gpuwarden_proto::slo::Objective;
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::topology::{Branch, Portrait};
use gpuwarden_proto::uplink::{Entry, Hello, Rejection};
use gpuwarden_proto::vocab::{Epoch, IncidentId, NodeId, Seq};
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Interval, MissedTickBehavior, Sleep};
use tokio_util::sync::CancellationToken;

pub use outside::{Receipt, Receipts};
pub use pending::Answer;
pub use response::{WorkAnswer, WorkOwed, WorkRequest};
pub use sessions::{Ended, Pulse, Registered, Stream};
pub use silence::{SilenceAnswer, SilenceError, SilenceRequest};
pub use writer::Writer;

use self::journal::Journal;
use self::pending::{Debts, Pending};
use self::sessions::Sessions;
use self::shadow::Shadow;
use self::writer::{Done, Job};
use crate::clock::Clock;
use crate::config::Config;
use crate::correlate::{State, Touched};
use crate::graph::NotFound;
use crate::incident::{Command, Refusal};
use crate::intake::{Known, Passing, TICK};
use crate::ledger::{Ledger, Taken};
use crate::node::SessionId;
use crate::outside::Outside;
use crate::outside::register::{Active, Register};
use crate::replay::line::Word;
use crate::response::{Response, WorkError};
use crate::resume::resume;
use crate::slo::Slo;
use crate::status::Metrics;
use crate::store::{CHANGES_LOADED, Loaded, Retention, StoreError, Transaction};
use crate::suppress::{LISTED_FOR, Suppressor};
use crate::watch::{Board, Watch};

/// Ticks between two looks at what is old enough to be forgotten.
const TICKS_PER_PRUNE: u64 = 240;
/// Rows forgotten at one time, so that commits do not wait long.
const PRUNED_MAX: usize = 1000;
/// Batches taken up before anything else is looked at.
const BATCHES_AT_ONCE: usize = 16;
/// The first wait after a failed commit; it doubles.
const RETRY_FIRST: Duration = Duration::from_millis(100);
/// The longest wait after a failed commit.
const RETRY_MAX: Duration = Duration::from_secs(5);

/// Events of one node, checked and decoded at the edge.
#[derive(Debug)]
pub struct Arrived {
    /// From whom.
    pub node: NodeId,
    /// On which stream.
    pub session: SessionId,
    /// From which outbox.
    pub epoch: Epoch,
    /// When.
    pub received_at: Timestamp,
    /// What is accepted, as it came.
    pub entries: Vec<Entry>,
    /// The same, decoded.
    pub events: Vec<Event>,
    /// What is not.
    pub rejected: Vec<Rejection>,
    /// The last number of the batch.
    pub last_seq: Seq,
}

/// All else that is asked of the core.
#[derive(Debug)]
pub enum Request {
    /// A node wants to speak.
    Hello(Hello, Stream, oneshot::Sender<Result<Registered, Full>>),
    /// A node says what is true.
    Snapshot(NodeId, SessionId, Box<Snapshot>),
    /// A stream ended.
    Gone(NodeId, SessionId),
    /// A person's word.
    Command(IncidentId, Command, Answer),
    /// Somebody takes it until then; `None` is as long as the settings say.
    Take(IncidentId, String, Option<Timestamp>, Answer),
    /// About what is held back.
    Silence(SilenceRequest),
    /// About what people do about incidents.
    Work(WorkRequest),
    /// What is told from elsewhere.
    Outside(Vec<Outside>, Receipts),
    /// Which incident holds an alert, and whether somebody has taken it.
    Holder(Subject, oneshot::Sender<Option<(IncidentId, bool)>>),
    /// Which alerts are active, by their fingerprints.
    Alerts(oneshot::Sender<Vec<(String, Active)>>),
    /// Which incidents are open.
    Open(oneshot::Sender<Vec<Arc<Incident>>>),
    /// One incident.
    Incident(IncidentId, oneshot::Sender<Option<Arc<Incident>>>),
    /// Somebody wants to watch.
    Watch(oneshot::Sender<Watch>),
    /// Which nodes there are.
    Nodes(oneshot::Sender<Vec<Node>>),
    /// What a candidate config would have done otherwise; `None` where there is none.
    Shadow(oneshot::Sender<Option<Report>>),
    /// What was changed, newest first.
    Changes(usize, oneshot::Sender<Vec<RecordedChange>>),
    /// Changes are told.
    Record(Vec<Told>, oneshot::Sender<Recorded>),
    /// How the objectives of services stand.
    Objectives(oneshot::Sender<Vec<Objective>>),
    /// What stands where, down to things of this kind.
    Tree(EntityKind, oneshot::Sender<Vec<Branch>>),
    /// What is known of the thing of a name.
    Portrait(String, oneshot::Sender<Result<Portrait, NotFound>>),
}

/// What became of each change that was told, once all of them are on disk.
pub type Recorded = Result<Vec<Result<Taken, NoChange>>, CommandError>;

/// There are as many nodes as there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("this aggregator serves at most {0} nodes")]
pub struct Full(pub usize);

/// Why a person's word was not carried out, or not yet for good.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CommandError {
    /// It cannot be.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// It has no meaning for the work on it.
    #[error(transparent)]
    Work(#[from] WorkError),
    /// It has been, but is not on disk.
    #[error("taken up, but not on disk yet: {0}")]
    NotStored(StoreError),
    /// So much waits for the disk that no more is taken up.
    #[error("too much waits for the disk; nothing was taken up, tell it again later")]
    Full,
}

enum Input {
    Batches(Vec<Arrived>),
    Request(Request),
    Done(Done),
    Retry,
    Tick,
    Stop,
}

#[cfg(test)]
mod tests;

/// The owner of the state.
pub struct Core {
    config: Arc<Config>,
    clock: Clock,
    metrics: Arc<Metrics>,
    state: State,
    suppressor: Suppressor,
    register: Register,
    board: Board,
    sessions: Sessions,
    ledger: Ledger,
    slo: Slo,
    response: Response,
    sends: mpsc::UnboundedSender<Send>,
    pending: Pending,
    journal: Journal,
    shadow: Option<Box<Shadow>>,
    commit: Commit,
    writer: Writer,
    passing: Passing,
    listening_since: Timestamp,
    retry_wait: Duration,
    ticks: u64,
    prune_due: bool,
    more_to_prune: bool,
}

/// Where the present transaction is.
enum Commit {
    /// There is none.
    Idle,
    /// The writer has it.
    Running(Debts),
    /// The writer is forgetting what is old.
    Pruning,
    /// It failed and will be tried again.
    Held(Box<Held>),
}

/// A transaction that waits to be tried again.
struct Held {
    transaction: Box<Transaction>,
    debts: Debts,
    error: StoreError,
    sleep: Pin<Box<Sleep>>,
}

/// What the core begins with.
#[derive(Debug)]
pub struct Begun {
    /// What was on disk.
    pub loaded: Loaded,
    /// As of when.
    pub now: Timestamp,
}

/// Where inputs come from.
pub struct Inputs {
    /// Events.
    pub batches: mpsc::Receiver<Arrived>,
    /// All else.
    pub requests: mpsc::Receiver<Request>,
}

impl Core {
    /// The core with what was loaded.
    pub fn new(
        config: Arc<Config>,
        clock: Clock,
        metrics: Arc<Metrics>,
        begun: Begun,
        writer: Writer,
        sends: mpsc::UnboundedSender<Send>,
    ) -> Self {
        let Begun { mut loaded, now } = begun;
        let kept_response = std::mem::take(&mut loaded.response);
        let next_silence = loaded.next_silence;
        let kept = std::mem::take(&mut loaded.slo);
        let next_order = loaded.next_order;
        let shadow = config.shadow.as_ref().map(|c| Box::new(Shadow::new(c, loaded.clone(), now)));
        let silences = std::mem::take(&mut loaded.silences);
        let (state, changes) = resume(config.policy(), loaded, now);
        let mut suppressor = Suppressor::new(config.inhibitions.clone(), config.silence_longest);
        suppressor.restore(silences, next_silence, &state, now);
        let slo = slo::resume(&config, kept, &state, now);
        let response = Response::restore(Arc::clone(&config.people), kept_response, now);
        let mut board = Board::default();
        state.incidents().for_each(|incident| board.place(Arc::new(incident.clone())));
        metrics.store_healthy.set(1);
        let members = state.incidents().flat_map(|incident| &incident.members).map(AsRef::as_ref);
        let register = Register::restore(members, now);
        let listening_since = clock.now().after(config.start_grace);
        let mut core = Self {
            config,
            clock,
            metrics,
            state,
            suppressor,
            register,
            board,
            sessions: Sessions::default(),
            ledger: Ledger::new(changes, CHANGES_LOADED),
            slo,
            response,
            sends,
            pending: Pending::default(),
            journal: Journal::new(next_order),
            shadow,
            commit: Commit::Idle,
            writer,
            passing: Passing::begin(now),
            listening_since,
            retry_wait: RETRY_FIRST,
            ticks: 0,
            prune_due: false,
            more_to_prune: false,
        };
        core.journal(now, Word::Started);
        // What was opened by a version that knew nothing of this, or just before the end.
        core.pending.answer_to(core.state.incidents().map(|incident| incident.id));
        core.weigh_all(now);
        core
    }

    /// Works until it is told to stop and all that was taken up is on disk.
    ///
    /// # Errors
    ///
    /// The store fails in a way that waiting does not mend.
    pub async fn run(
        mut self,
        mut inputs: Inputs,
        stop: CancellationToken,
    ) -> Result<(), StoreError> {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let input = self.select(&mut inputs, &mut tick, &stop).await;
            let now = self.clock.now();
            if matches!(input, Input::Stop) {
                return self.finish(now).await;
            }
            if let Err(error) = self.apply(now, input) {
                // Who opens the store next finds it free.
                self.writer.end().await;
                return Err(error);
            }
            self.hand_over(now);
        }
    }

    /// The only place that waits.
    async fn select(
        &mut self,
        inputs: &mut Inputs,
        tick: &mut Interval,
        stop: &CancellationToken,
    ) -> Input {
        let reading = self.has_room();
        let mut batches = Vec::new();
        let retry = async {
            match &mut self.commit {
                Commit::Held(held) => held.sleep.as_mut().await,
                Commit::Idle | Commit::Running(_) | Commit::Pruning => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => Input::Stop,
            done = self.writer.done.recv() => done.map_or(Input::Stop, Input::Done),
            () = retry => Input::Retry,
            _ = tick.tick() => Input::Tick,
            request = inputs.requests.recv() => request.map_or(Input::Stop, Input::Request),
            _ = inputs.batches.recv_many(&mut batches, BATCHES_AT_ONCE), if reading => {
                Input::Batches(batches)
            }
        }
    }

    fn has_room(&self) -> bool {
        let limits = &self.config.limits;
        self.pending.events < limits.pending_events && self.pending.bytes < limits.pending_bytes
    }

    /// Gives the writer what has gathered, if it has nothing to do.
    fn hand_over(&mut self, now: Timestamp) {
        self.metrics.pending_events.set(i64::try_from(self.pending.events).unwrap_or(i64::MAX));
        match &self.commit {
            Commit::Idle => {}
            Commit::Running(_) | Commit::Pruning => return,
            Commit::Held(held) => {
                let error = held.error.clone();
                // Nothing reaches the disk, and people must see it all the same.
                self.weigh(now);
                self.respond(now);
                self.board.publish(&self.pending.unseen(&self.state));
                // Somebody is to be told all the same, at the risk of being told twice.
                let sends = self.pending.take_sends();
                self.send(sends);
                return self.pending.excuse(&error);
            }
        }
        if self.prune_due {
            self.prune_due = false;
            self.writer.give(Job::Prune(self.retention(now)));
            self.commit = Commit::Pruning;
            return;
        }
        self.weigh(now);
        self.respond(now);
        if self.pending.is_empty() {
            return;
        }
        let (transaction, debts) = self.pending.take(&self.state);
        if transaction.is_empty() {
            self.settle(debts);
            return;
        }
        self.writer.give(Job::Commit(Box::new(transaction)));
        self.commit = Commit::Running(debts);
    }

    fn retention(&self, now: Timestamp) -> Retention {
        Retention {
            batches_before: now.before(self.config.keep_events),
            incidents_before: now.before(self.config.keep_incidents),
            silences_before: now.before(LISTED_FOR),
            bytes_max: self.config.limits.store_bytes,
            rows_max: PRUNED_MAX,
        }
    }

    /// Pays what is owed for a transaction that is on disk.
    fn settle(&mut self, debts: Debts) {
        self.board.publish(&debts.updates);
        for owed in debts.owed {
            if !self.sessions.acknowledge(owed) {
                self.metrics.streams_behind.inc();
            }
        }
        self.send(debts.sends);
        debts.silence_answers.into_iter().for_each(SilenceAnswer::give);
        debts.work_owed.into_iter().for_each(WorkOwed::give);
        for (receipts, answer) in debts.receipts {
            drop(answer.send(Ok(receipts)));
        }
        for (taken, answer) in debts.recordings {
            drop(answer.send(Ok(taken)));
        }
        for (id, answer) in debts.answers {
            let incident = self.board.incident(id);
            let incident = incident.ok_or(CommandError::Refused(Refusal::Unknown(id)));
            // Who asked may have gone.
            drop(answer.send(incident));
        }
    }

    /// From here on these numbers may be acknowledged.
    fn stored(&mut self, transaction: &Transaction) {
        for (node, epoch, seq) in &transaction.marks {
            if let Some(node) = self.state.nodes.get_mut(node) {
                node.stored.advance(*epoch, *seq);
            }
        }
    }

    fn done(&mut self, done: Done) -> Result<(), StoreError> {
        match (std::mem::replace(&mut self.commit, Commit::Idle), done) {
            (Commit::Running(debts), Done::Commit { result: Ok(()), took, transaction }) => {
                self.stored(&transaction);
                self.metrics.commits.inc();
                self.metrics.commit_seconds.observe(took);
                if self.metrics.store_healthy.set(1) == 0 {
                    tracing::info!(events = debts.events, "the store works again");
                }
                self.settle(debts);
                Ok(())
            }
            (Commit::Running(debts), Done::Commit { transaction, result: Err(error), .. }) => {
                self.hold(transaction, debts, error)
            }
            (_, Done::Prune(Err(error))) => {
                tracing::warn!(%error, "old rows stay");
                Ok(())
            }
            (_, Done::Prune(Ok(rows))) => {
                // There is more: go on at the next opportunity.
                self.more_to_prune = rows >= PRUNED_MAX;
                Ok(())
            }
            (_, Done::Commit { .. }) => Ok(()),
        }
    }

    /// A commit failed: people are told, and it is tried again later.
    fn hold(
        &mut self,
        transaction: Box<Transaction>,
        debts: Debts,
        error: StoreError,
    ) -> Result<(), StoreError> {
        self.metrics.store_errors.inc();
        if !error.retryable() {
            return Err(error);
        }
        self.retry_wait = if self.metrics.store_healthy.set(0) == 1 {
            tracing::error!(%error, "nothing is acknowledged until the store works again");
            self.board.publish(&debts.updates);
            RETRY_FIRST
        } else {
            (self.retry_wait * 2).min(RETRY_MAX)
        };
        let mut debts = debts.without_answers(&error);
        self.send(std::mem::take(&mut debts.sends));
        let sleep = Box::pin(tokio::time::sleep(self.retry_wait));
        self.commit = Commit::Held(Box::new(Held { transaction, debts, error, sleep }));
        Ok(())
    }

    fn retry(&mut self) {
        match std::mem::replace(&mut self.commit, Commit::Idle) {
            Commit::Held(held) => {
                self.writer.give(Job::Commit(held.transaction));
                self.commit = Commit::Running(held.debts);
            }
            other => self.commit = other,
        }
    }

    /// Puts what was taken up on disk, if that can be done at once, and ends the streams.
    async fn finish(mut self, now: Timestamp) -> Result<(), StoreError> {
        self.sessions.drain(self.config.reconnect_spread);
        self.keep_objectives(now);
        self.pass(now);
        let mut touched = Touched::default();
        let known = Known { state: &mut self.state, suppressor: &mut self.suppressor };
        self.passing.end(known, now, &mut touched);
        self.show(touched);
        self.journal(now, Word::Stopped);
        for _ in 0..2 {
            while matches!(self.commit, Commit::Running(_) | Commit::Pruning) {
                let Some(done) = self.writer.done.recv().await else { return Ok(()) };
                self.done(done)?;
            }
            self.retry();
            self.hand_over(now);
        }
        self.writer.end().await;
        Ok(())
    }
}
