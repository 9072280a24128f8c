//! `WorkService` and `OnCallService`.

use gpuwarden_proto::convert::Refused;
use gpuwarden_proto::pb;
use gpuwarden_proto::pb::on_call_service_server::OnCallService;
use gpuwarden_proto::pb::work_service_server::WorkService;
use gpuwarden_proto::vocab::IncidentId;
use tonic::{Request, Response, Status};

use super::{Answer, fitting, status};
use crate::query::Desk;

/// `WorkService`.
#[derive(Debug)]
pub struct WorkDesk(pub Desk);

/// `OnCallService`.
#[derive(Debug)]
pub struct OnCallDesk(pub Desk);

#[tonic::async_trait]
impl WorkService for WorkDesk {
    async fn get_work(&self, request: Request<pb::GetWorkRequest>) -> Answer<pb::GetWorkResponse> {
        let id = IncidentId(request.into_inner().id);
        let work = self.0.work(id).await.map_err(status)?;
        Ok(Response::new(pb::GetWorkResponse { work: Some(work.into()) }))
    }

    async fn list_work(
        &self,
        request: Request<pb::ListWorkRequest>,
    ) -> Answer<pb::ListWorkResponse> {
        let limit = match request.into_inner().limit {
            0 => usize::MAX,
            limit => limit as usize,
        };
        let all = self.0.works().await.map_err(status)?;
        let count = all.len();
        let work = fitting(all.into_iter().take(limit).map(Into::into));
        let truncated = work.len() < count;
        Ok(Response::new(pb::ListWorkResponse { work, truncated }))
    }

    async fn order(&self, request: Request<pb::OrderRequest>) -> Answer<pb::OrderResponse> {
        let (id, by, expected, ask) =
            request.into_inner().asked().map_err(|refused| bad(&refused))?;
        let work = self.0.order(id, by, expected, ask).await.map_err(status)?;
        Ok(Response::new(pb::OrderResponse { work: Some(work.into()) }))
    }
}

#[tonic::async_trait]
impl OnCallService for OnCallDesk {
    async fn list_on_call(
        &self,
        _request: Request<pb::ListOnCallRequest>,
    ) -> Answer<pb::ListOnCallResponse> {
        let schedules = self.0.on_call().await.map_err(status)?;
        let schedules = schedules.into_iter().map(Into::into).collect();
        Ok(Response::new(pb::ListOnCallResponse { schedules }))
    }

    async fn take_over(
        &self,
        request: Request<pb::TakeOverRequest>,
    ) -> Answer<pb::TakeOverResponse> {
        let asked = request.into_inner().try_into().map_err(|refused| bad(&refused))?;
        let schedules = self.0.take_over(asked).await.map_err(status)?;
        let schedules = schedules.into_iter().map(Into::into).collect();
        Ok(Response::new(pb::TakeOverResponse { schedules }))
    }
}

fn bad(refused: &Refused) -> Status {
    Status::invalid_argument(refused.to_string())
}
