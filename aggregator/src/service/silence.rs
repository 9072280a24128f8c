//! `SilenceService`.

use gpuwarden_proto::pb;
use gpuwarden_proto::pb::silence_service_server::SilenceService;
use gpuwarden_proto::silence::{Draft, SilenceId};
use tonic::{Request, Response, Status};

use super::{Answer, fitting, status};
use crate::query::Desk;

/// `SilenceService`.
#[derive(Debug)]
pub struct Silences(pub Desk);

#[tonic::async_trait]
impl SilenceService for Silences {
    async fn create_silence(
        &self,
        request: Request<pb::CreateSilenceRequest>,
    ) -> Answer<pb::CreateSilenceResponse> {
        let request = request.into_inner();
        let dry_run = request.dry_run;
        let refused =
            |error: gpuwarden_proto::convert::Refused| Status::invalid_argument(error.fault);
        let draft = Draft::try_from(request).map_err(refused)?;
        let listed = match dry_run {
            true => self.0.preview(draft).await,
            false => self.0.silence(draft).await,
        };
        let silence = Some(listed.map_err(status)?.into());
        Ok(Response::new(pb::CreateSilenceResponse { silence }))
    }

    async fn list_silences(
        &self,
        request: Request<pb::ListSilencesRequest>,
    ) -> Answer<pb::ListSilencesResponse> {
        let silences = self.0.silences(request.into_inner().include_over).await.map_err(status)?;
        let silences = fitting(silences.into_iter().map(Into::into));
        Ok(Response::new(pb::ListSilencesResponse { silences }))
    }

    async fn end_silence(
        &self,
        request: Request<pb::EndSilenceRequest>,
    ) -> Answer<pb::EndSilenceResponse> {
        let pb::EndSilenceRequest { id, by } = request.into_inner();
        let ended = self.0.end_silence(SilenceId(id), by).await.map_err(status)?;
        Ok(Response::new(pb::EndSilenceResponse { silence: Some(ended.into()) }))
    }

    async fn list_held(
        &self,
        _request: Request<pb::ListHeldRequest>,
    ) -> Answer<pb::ListHeldResponse> {
        let held = self.0.held().await.map_err(status)?;
        let held = fitting(held.into_iter().map(Into::into));
        Ok(Response::new(pb::ListHeldResponse { held }))
    }
}

#[cfg(test)]
mod tests;
