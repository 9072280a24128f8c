//! `ChangeService`: what was done to the fleet.

use gpuwarden_proto::change::Told;
use gpuwarden_proto::pb;
use gpuwarden_proto::pb::change_service_server::ChangeService;
use tonic::{Request, Response, Status};

use super::{Answer, fitting, status};
use crate::query::Desk;

/// `ChangeService`.
#[derive(Debug)]
pub struct Changes(pub Desk);

#[tonic::async_trait]
impl ChangeService for Changes {
    async fn record_change(
        &self,
        request: Request<pb::RecordChangeRequest>,
    ) -> Answer<pb::RecordChangeResponse> {
        let refused = |text: String| Status::invalid_argument(text);
        let wire = request.into_inner().change;
        let wire = wire.ok_or_else(|| refused("change: is missing".to_owned()))?;
        let told = Told::try_from(wire).map_err(|error| refused(error.to_string()))?;
        let receipts = self.0.record(vec![told]).await.map_err(status)?;
        let receipt = receipts.into_iter().next();
        let receipt = receipt.ok_or_else(|| Status::internal("no answer was given"))?;
        let entry = receipt.map_err(|error| refused(error.to_string()))?;
        let (change, known) = (entry.change().clone(), !entry.is_news());
        Ok(Response::new(pb::RecordChangeResponse { change: Some(change.into()), known }))
    }

    async fn list_changes(
        &self,
        request: Request<pb::ListChangesRequest>,
    ) -> Answer<pb::ListChangesResponse> {
        let limit = request.into_inner().limit as usize;
        let changes = self.0.changes(limit).await.map_err(status)?;
        let changes = fitting(changes.into_iter().map(Into::into));
        Ok(Response::new(pb::ListChangesResponse { changes }))
    }
}
