//! What people ask about what is held back.

use gpuwarden_proto::silence::{Draft, Held, Listed, SilenceId};

use super::{AskError, Desk};
use crate::core::{Request, SilenceRequest};

impl Desk {
    /// Makes a silence, and answers when it is on disk.
    ///
    /// # Errors
    ///
    /// The refusal says all that is wrong with it.
    pub async fn silence(&self, draft: Draft) -> Result<Listed, AskError> {
        let ask = |answer| Request::Silence(SilenceRequest::Create(draft, answer));
        Ok(self.ask(ask).await??)
    }

    /// What a silence would hold back now, without making it.
    ///
    /// # Errors
    ///
    /// The refusal says all that is wrong with it.
    pub async fn preview(&self, draft: Draft) -> Result<Listed, AskError> {
        let ask = |answer| Request::Silence(SilenceRequest::Preview(draft, answer));
        Ok(self.ask(ask).await??)
    }

    /// Ends a silence before its time, and answers when that is on disk.
    ///
    /// # Errors
    ///
    /// There is none of that number, or it is over.
    pub async fn end_silence(&self, id: SilenceId, by: String) -> Result<Listed, AskError> {
        let ask = |answer| Request::Silence(SilenceRequest::End(id, by, answer));
        Ok(self.ask(ask).await??)
    }

    /// The silences, with what each holds back.
    ///
    /// # Errors
    ///
    /// The aggregator stops.
    pub async fn silences(&self, with_over: bool) -> Result<Vec<Listed>, AskError> {
        self.ask(|answer| Request::Silence(SilenceRequest::List(with_over, answer))).await
    }

    /// What is held back, in whole or in part.
    ///
    /// # Errors
    ///
    /// The aggregator stops.
    pub async fn held(&self) -> Result<Vec<Held>, AskError> {
        self.ask(|answer| Request::Silence(SilenceRequest::Held(answer))).await
    }
}
