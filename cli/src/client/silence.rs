//! What is asked about what is held back.

use gpuwarden_proto::convert::Refused;
use gpuwarden_proto::pb;
use gpuwarden_proto::silence::{Draft, Held, Listed, SilenceId};
use tonic::Status;

use super::{Client, ClientError, failure, timed};

impl Client {
    /// Makes a silence; with `dry_run` only says what it would hold back now.
    pub async fn silence(&mut self, draft: Draft, dry_run: bool) -> Result<Listed, ClientError> {
        let request = pb::CreateSilenceRequest { dry_run, ..draft.into() };
        let answer = self.silences.create_silence(timed(request)).await;
        self.listed(answer.map(|answer| answer.into_inner().silence))
    }

    /// The silences; with `with_over` those that are over, too.
    pub async fn silences(&mut self, with_over: bool) -> Result<Vec<Listed>, ClientError> {
        let request = timed(pb::ListSilencesRequest { include_over: with_over });
        let answer = self.silences.list_silences(request).await;
        let answer = answer.map_err(|status| failure(&self.url, &status))?.into_inner();
        let silences: Result<_, Refused> =
            answer.silences.into_iter().map(TryInto::try_into).collect();
        Ok(silences?)
    }

    /// Ends a silence before its time.
    pub async fn end_silence(&mut self, id: SilenceId, by: &str) -> Result<Listed, ClientError> {
        let request = timed(pb::EndSilenceRequest { id: id.0, by: by.to_owned() });
        let answer = self.silences.end_silence(request).await;
        self.listed(answer.map(|answer| answer.into_inner().silence))
    }

    /// What is held back, in whole or in part.
    pub async fn held(&mut self) -> Result<Vec<Held>, ClientError> {
        let answer = self.silences.list_held(timed(pb::ListHeldRequest {})).await;
        let answer = answer.map_err(|status| failure(&self.url, &status))?.into_inner();
        let held: Result<_, Refused> = answer.held.into_iter().map(TryInto::try_into).collect();
        Ok(held?)
    }

    fn listed(
        &self,
        answer: Result<Option<pb::ListedSilence>, Status>,
    ) -> Result<Listed, ClientError> {
        let listed = answer.map_err(|status| failure(&self.url, &status))?;
        let missing = || ClientError::Failed {
            url: self.url.clone(),
            reason: "it answered without a silence".to_owned(),
        };
        Ok(listed.ok_or_else(missing)?.try_into()?)
    }
}
