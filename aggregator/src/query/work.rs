//! What people ask about the work on incidents, and order.

use std::sync::Arc;

use gpuwarden_proto::incident::Incident;
use gpuwarden_proto::oncall::{OnCall, TakeOver};
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::IncidentId;
use gpuwarden_proto::work::{Ask, Work};

use super::{AskError, Desk};
use crate::core::{CommandError, Request, WorkRequest};
use crate::incident::Refusal;
use crate::response::WorkError;

impl Desk {
    /// Somebody takes an incident until then; `None` is as long as the settings say.
    ///
    /// # Errors
    ///
    /// It is unknown or over.
    pub async fn take(
        &self,
        id: IncidentId,
        by: String,
        until: Option<Timestamp>,
    ) -> Result<Arc<Incident>, AskError> {
        let result = self.ask(|answer| Request::Take(id, by, until, answer)).await?;
        let Err(CommandError::Refused(Refusal::Unknown(id))) = result else { return Ok(result?) };
        Err(self.over_or_unknown(id).await?)
    }

    /// The work on one incident, also where it is closed.
    ///
    /// # Errors
    ///
    /// There is none.
    pub async fn work(&self, id: IncidentId) -> Result<Work, AskError> {
        let at_hand = self.ask(|answer| Request::Work(WorkRequest::Get(id, answer))).await?;
        if let Some(work) = at_hand {
            return Ok(work);
        }
        let stored = self.read(move |history| history.work(id)).await?;
        let unknown = || AskError::Command(CommandError::Work(WorkError::Unknown(id)));
        stored.map(|work| work.shown()).ok_or_else(unknown)
    }

    /// The work on all incidents that are not closed.
    ///
    /// # Errors
    ///
    /// The aggregator stops.
    pub async fn works(&self) -> Result<Vec<Work>, AskError> {
        self.ask(|answer| Request::Work(WorkRequest::List(answer))).await
    }

    /// Carries out a person's order, and answers when it is on disk.
    ///
    /// # Errors
    ///
    /// The refusal says why nothing was done and what would do.
    pub async fn order(
        &self,
        id: IncidentId,
        by: String,
        expected: Option<u64>,
        ask: Ask,
    ) -> Result<Work, AskError> {
        let request = |answer| Request::Work(WorkRequest::Order(id, by, expected, ask, answer));
        Ok(self.ask(request).await??)
    }

    /// Who is on call.
    ///
    /// # Errors
    ///
    /// The aggregator stops.
    pub async fn on_call(&self) -> Result<Vec<OnCall>, AskError> {
        self.ask(|answer| Request::Work(WorkRequest::OnCall(answer))).await
    }

    /// Somebody takes over for a time; who is on call then.
    ///
    /// # Errors
    ///
    /// There is no such schedule or person, or it is over already.
    pub async fn take_over(&self, asked: TakeOver) -> Result<Vec<OnCall>, AskError> {
        Ok(self.ask(|answer| Request::Work(WorkRequest::TakeOver(asked, answer))).await??)
    }
}
