//! The desk for those who tell of something from elsewhere.

use gpuwarden_proto::event::Subject;
use gpuwarden_proto::vocab::IncidentId;

use super::{AskError, Desk};
use crate::core::{CommandError, Receipt, Request};
use crate::incident::Command;
use crate::outside::Outside;
use crate::outside::register::Active;

impl Desk {
    /// Takes signals up, and answers for each of them when all is on disk.
    ///
    /// # Errors
    ///
    /// The aggregator stops, or nothing reaches the disk; the signals can be told again.
    pub async fn tell(&self, signals: Vec<Outside>) -> Result<Vec<Receipt>, AskError> {
        let receipts = self.ask(|answer| Request::Outside(signals, answer)).await?;
        receipts.map_err(|error| CommandError::NotStored(error).into())
    }

    /// Takes the incident that holds an alert, in somebody's name; once is enough. `None` where no
    /// incident holds it.
    ///
    /// # Errors
    ///
    /// The aggregator stops, or the word is refused or not on disk.
    pub async fn acknowledge_alert(
        &self,
        subject: Subject,
        by: String,
    ) -> Result<Option<IncidentId>, AskError> {
        let holder = self.ask(|answer| Request::Holder(subject, answer)).await?;
        if let Some((id, false)) = holder {
            self.command(id, Command::Acknowledge { by }).await?;
        }
        Ok(holder.map(|(id, _)| id))
    }

    /// Alerts of Alertmanager's kind that are active, by their fingerprints.
    ///
    /// # Errors
    ///
    /// The aggregator stops.
    pub async fn alerts(&self) -> Result<Vec<(String, Active)>, AskError> {
        self.ask(Request::Alerts).await
    }
}
