//! What people and scripts ask, in our own words. The edges to gRPC and HTTP stand on it.

use std::sync::{Arc, Mutex, PoisonError};

use gpuwarden_proto::fleet::{Node, ObservedChange};
use gpuwarden_proto::incident::Incident;
use gpuwarden_proto::vocab::IncidentId;
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};

use crate::core::{CommandError, Request};
use crate::incident::{Command, Refusal};
use crate::store::{History, StoreError};
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
    pub async fn incidents(&self, with_resolved: bool, limit: usize) -> Result<Page, AskError> {
        let limit = if limit == 0 { LIMIT_DEFAULT } else { limit.min(LIMIT_MAX) };
        let mut incidents = self.ask(Request::Open).await?;
        incidents.sort_by_key(|incident| (incident.severity, incident.id));
        if with_resolved && incidents.len() <= limit {
            let wanted = limit + 1 - incidents.len();
            let resolved = self.read(move |history| history.resolved(None, wanted)).await?;
            incidents.extend(resolved.into_iter().map(Arc::new));
        }
        let truncated = incidents.len() > limit;
        incidents.truncate(limit);
        Ok(Page { incidents, truncated })
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
        let stored = self.read(move |history| history.incident(id)).await?;
        let refusal = match stored.and_then(|incident| incident.resolved_at) {
            Some(at) => Refusal::Over { id, at },
            None => Refusal::Unknown(id),
        };
        Err(CommandError::Refused(refusal).into())
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

    /// Changes that were observed, newest first.
    ///
    /// # Errors
    ///
    /// The aggregator stops.
    pub async fn changes(&self, limit: usize) -> Result<Vec<ObservedChange>, AskError> {
        let limit = if limit == 0 { LIMIT_DEFAULT } else { limit.min(LIMIT_MAX) };
        self.ask(|answer| Request::Changes(limit, answer)).await
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
