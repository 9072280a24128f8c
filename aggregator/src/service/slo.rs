//! The edge to people and scripts: `SloService`.

use gpuwarden_proto::pb;
use gpuwarden_proto::pb::slo_service_server::SloService;
use tonic::{Request, Response};

use super::{Answer, fitting, status};
use crate::query::Desk;

/// `SloService`.
#[derive(Debug)]
pub struct Objectives(pub Desk);

#[tonic::async_trait]
impl SloService for Objectives {
    async fn list_objectives(
        &self,
        _request: Request<pb::ListObjectivesRequest>,
    ) -> Answer<pb::ListObjectivesResponse> {
        let objectives = self.0.objectives().await.map_err(status)?;
        let objectives = fitting(objectives.into_iter().map(Into::into));
        Ok(Response::new(pb::ListObjectivesResponse { objectives }))
    }
}

#[cfg(test)]
mod tests;
