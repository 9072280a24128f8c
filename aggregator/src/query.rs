//! What people and scripts ask, in our own words. The edges to gRPC and HTTP stand on it.

mod outside;
mod silence;
mod work;

use std::sync::{Arc, Mutex, PoisonError};

use gpuwarden_proto::change::{NoChange, RecordedChange, Told};
use gpuwarden_proto::entity::EntityKind;
use gpuwarden_proto::fleet::Node;
use gpuwarden_proto::incident::Incident;
use gpuwarden_proto::shadow::Report;
use gpuwarden_proto::slo::Objective;
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::topology::{Branch, Portrait};
use gpuwarden_proto::trace::Trace;
use gpuwarden_proto::vocab::{IncidentId, NodeId, Seq};
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};

use crate::core::{CommandError, Request, SilenceError};
use crate::graph::NotFound;
use crate::incident::{Command, Refusal};
use crate::ledger::Taken;
use crate::store::{History, StoreError};
use crate::trace::{Absent, Around, Kept};
use crate::watch::Watch;

/// Incidents or changes that one answer holds where nobody says how many.
const LIMIT_DEFAULT: usize = 200;
/// Incidents or changes that one answer holds at most.
const LIMIT_MAX: usize = 1000;

/// Where questions are asked. Clones ask the same core.
#[derive(Clone)]
pub struct Desk {
    requests: mpsc::Sender<Request>,
    // A lock, since a blocking reader is used by one question at a time.
    history: Arc<Mutex<Box<dyn History>>>,
}

/// Incidents, and whether there are more.
#[derive(Debug, Clone)]
pub struct Page {
    /// Open ones first, most urgent first; then resolved ones, newest first.
    pub incidents: Vec<Arc<Incident>>,
    /// There are more.
    pub truncated: bool,
    /// Open incidents that are held back and for that reason not among these.
    pub held_back: usize,
}

/// What is to become of incidents that are held back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HeldBack {
    /// They are counted only.
    #[default]
    Counted,
    /// They are among the others.
    Shown,
    /// No others are wanted.
    Only,
}

/// Why a question has no answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AskError {
    /// The aggregator stops.
    #[error("the aggregator stops; ask again")]
    Stopping,
    /// It was refused, or is not yet for good.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// A silence was refused, or is not yet for good.
    #[error(transparent)]
    Silence(#[from] SilenceError),
    /// Nothing is known of an event.
    #[error(transparent)]
    Event(#[from] Absent),
    /// No candidate config runs beside the live one.
    #[error(
        "no candidate config runs beside the live one; name one with shadow.config or --shadow"
    )]
    NoShadow,
    /// There is no such thing in the fleet.
    #[error(transparent)]
    Entity(#[from] NotFound),
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Desk {
    /// A desk before this core.
    #[must_use]
    pub fn new(requests: mpsc::Sender<Request>, history: Box<dyn History>) -> Self {
        Self { requests, history: Arc::new(Mutex::new(history)) }
    }

    /// Incidents.
    ///
    /// # Errors
    ///
    /// The aggregator stops, or the store cannot be read.
    pub async fn incidents(
        &self,
        with_resolved: bool,
        held: HeldBack,
        limit: usize,
    ) -> Result<Page, AskError> {
        let limit = if limit == 0 { LIMIT_DEFAULT } else { limit.min(LIMIT_MAX) };
        let mut incidents = self.ask(Request::Open).await?;
        let open = incidents.len();
        incidents.retain(|incident| match held {
            HeldBack::Counted => incident.held_since.is_none(),
            HeldBack::Shown => true,
            HeldBack::Only => incident.held_since.is_some(),
        });
        let held_back = if held == HeldBack::Counted { open - incidents.len() } else { 0 };
        incidents.sort_by_key(|incident| (incident.severity, incident.id));
        if with_resolved && incidents.len() <= limit {
            let wanted = limit + 1 - incidents.len();
            let resolved = self.read(move |history| history.resolved(None, wanted)).await?;
            incidents.extend(resolved.into_iter().map(Arc::new));
        }
        let truncated = incidents.len() > limit;
        incidents.truncate(limit);
        Ok(Page { incidents, truncated, held_back })
    }

    /// One incident.
    ///
    /// # Errors
    ///
    /// There is none of that number, the aggregator stops, or the store cannot be read.
    pub async fn incident(&self, id: IncidentId) -> Result<Arc<Incident>, AskError> {
        if let Some(incident) = self.ask(|answer| Request::Incident(id, answer)).await? {
            return Ok(incident);
        }
        let stored = self.read(move |history| history.incident(id)).await?;
        let unknown = || AskError::Command(Refusal::Unknown(id).into());
        stored.map(Arc::new).ok_or_else(unknown)
    }

    /// Carries out a person's word, and answers when it is on disk.
    ///
    /// # Errors
    ///
    /// The refusal says why nothing was done and what would do.
    pub async fn command(
        &self,
        id: IncidentId,
        command: Command,
    ) -> Result<Arc<Incident>, AskError> {
        let result = self.ask(|answer| Request::Command(id, command, answer)).await?;
        let Err(CommandError::Refused(Refusal::Unknown(id))) = result else { return Ok(result?) };
        Err(self.over_or_unknown(id).await?)
    }

    /// Why an incident that is not at hand cannot be answered.
    async fn over_or_unknown(&self, id: IncidentId) -> Result<AskError, AskError> {
        let stored = self.read(move |history| history.incident(id)).await?;
        let refusal = match stored.and_then(|incident| incident.resolved_at) {
            Some(at) => Refusal::Over { id, at },
            None => Refusal::Unknown(id),
        };
        Ok(CommandError::Refused(refusal).into())
    }

    /// Begins a watch.
    ///
    /// # Errors
    ///
    /// The aggregator stops.
    pub async fn watch(&self) -> Result<Watch, AskError> {
        self.ask(Request::Watch).await
    }

    /// The nodes.
    ///
    /// # Errors
    ///
    /// The aggregator stops.
    pub async fn nodes(&self) -> Result<Vec<Node>, AskError> {
        self.ask(Request::Nodes).await
    }

    /// What a candidate config would have done otherwise.
    ///
    /// # Errors
    ///
    /// There is none, or the aggregator stops.
    pub async fn shadow(&self) -> Result<Report, AskError> {
        self.ask(Request::Shadow).await?.ok_or(AskError::NoShadow)
    }

    /// Records changes, each once, and answers for each when all of them are on disk.
    ///
    /// # Errors
    ///
    /// The aggregator stops, or the disk refuses.
    pub async fn record(&self, told: Vec<Told>) -> Result<Vec<Result<Taken, NoChange>>, AskError> {
        Ok(self.ask(|answer| Request::Record(told, answer)).await??)
    }

    /// Changes, newest first.
    ///
    /// # Errors
    ///
    /// The aggregator stops.
    pub async fn changes(&self, limit: usize) -> Result<Vec<RecordedChange>, AskError> {
        let limit = if limit == 0 { LIMIT_DEFAULT } else { limit.min(LIMIT_MAX) };
        self.ask(|answer| Request::Changes(limit, answer)).await
    }

    /// How the objectives of services stand, by service.
    ///
    /// # Errors
    ///
    /// The aggregator stops.
    pub async fn objectives(&self) -> Result<Vec<Objective>, AskError> {
        self.ask(Request::Objectives).await
    }

    /// The fleet as a tree, down to things of a kind.
    ///
    /// # Errors
    ///
    /// The aggregator stops.
    pub async fn tree(&self, deepest: EntityKind) -> Result<Vec<Branch>, AskError> {
        self.ask(|answer| Request::Tree(deepest, answer)).await
    }

    /// All that is known of the thing of a name.
    ///
    /// # Errors
    ///
    /// There is none of that name or there are several, or the aggregator stops.
    pub async fn portrait(&self, name: String) -> Result<Portrait, AskError> {
        Ok(self.ask(|answer| Request::Portrait(name, answer)).await??)
    }

    /// Where one event went, for each outbox of the node that gave this number, the newest first.
    ///
    /// # Errors
    ///
    /// Nothing is known of it, the aggregator stops, or the store cannot be read.
    pub async fn event(&self, node: NodeId, seq: Seq) -> Result<Vec<Trace>, AskError> {
        let of = node.clone();
        let known =
            move |history: &dyn History| Ok((history.reaching(&of, seq)?, history.marks(&of)?));
        let (batches, marks) = self.read(known).await?;
        let mut traces = Vec::new();
        for batch in batches {
            let Some(kept) = Kept::find(&batch, seq) else { continue };
            let around = match kept.raised_at() {
                Some(raised_at) => self.around(raised_at, batch.received_at).await?,
                None => Around::default(),
            };
            traces.push(kept.trace(&around));
        }
        if traces.is_empty() {
            return Err(Absent::new(node, seq, &marks).into());
        }
        Ok(traces)
    }

    /// The incidents that may hold a finding that began and was told then.
    async fn around(&self, raised_at: Timestamp, told_at: Timestamp) -> Result<Around, AskError> {
        let mut incidents = self.ask(Request::Open).await?;
        let over = self.read(move |history| history.around(raised_at, told_at, LIMIT_MAX)).await?;
        let truncated = over.len() >= LIMIT_MAX;
        // What was resolved between the two questions is taken as it is now.
        incidents.retain(|open| over.iter().all(|each| each.id != open.id));
        incidents.extend(over.into_iter().map(Arc::new));
        Ok(Around { incidents, truncated })
    }

    async fn ask<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<T>) -> Request,
    ) -> Result<T, AskError> {
        let (answer, answered) = oneshot::channel();
        self.requests.send(request(answer)).await.map_err(|_| AskError::Stopping)?;
        answered.await.map_err(|_| AskError::Stopping)
    }

    async fn read<T: Send + 'static>(
        &self,
        question: impl FnOnce(&dyn History) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, AskError> {
        let history = Arc::clone(&self.history);
        let read = move || {
            let history = history.lock().unwrap_or_else(PoisonError::into_inner);
            question(&**history)
        };
        let result = tokio::task::spawn_blocking(read).await.map_err(|_| AskError::Stopping)?;
        Ok(result?)
    }
}

impl std::fmt::Debug for Desk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Desk").finish_non_exhaustive()
    }
}
