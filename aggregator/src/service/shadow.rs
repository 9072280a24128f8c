//! `ShadowService`: what a candidate config would have done otherwise.

use gpuwarden_proto::pb;
use gpuwarden_proto::pb::shadow_service_server::ShadowService;
use tonic::{Request, Response, Status};

use super::status;
use crate::query::Desk;

/// `ShadowService`.
#[derive(Debug)]
pub struct Shadow(pub Desk);

#[tonic::async_trait]
impl ShadowService for Shadow {
    async fn get_shadow_report(
        &self,
        _request: Request<pb::GetShadowReportRequest>,
    ) -> Result<Response<pb::GetShadowReportResponse>, Status> {
        let report = self.0.shadow().await.map_err(status)?;
        Ok(Response::new(pb::GetShadowReportResponse { report: Some(report.into()) }))
    }
}
