//! `SignalService`: what people tell by the command line.

use gpuwarden_proto::pb;
use gpuwarden_proto::pb::signal_service_server::SignalService;
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::Sender;
use std::sync::Arc;
use tonic::{Request, Response, Status};

use super::status;
use crate::clock::Clock;
use crate::core::Receipt;
use crate::outside::register::Outcome;
use crate::outside::report::Report;
use crate::query::Desk;
use crate::status::{Heard, Metrics};

/// `SignalService`.
#[derive(Debug)]
pub struct Signals {
    /// Where the core is asked.
    pub desk: Desk,
    /// What time it is.
    pub clock: Clock,
    /// Our own numbers.
    pub metrics: Arc<Metrics>,
}

#[tonic::async_trait]
impl SignalService for Signals {
    async fn report(
        &self,
        request: Request<pb::ReportRequest>,
    ) -> Result<Response<pb::ReportResponse>, Status> {
        let report = read(request.into_inner());
        let (signal, key) = report.outside(self.clock.now()).map_err(|fault| {
            self.metrics.heard(Sender::Person, Heard::Refused);
            Status::invalid_argument(fault.to_string())
        })?;
        let receipts = self.desk.tell(vec![signal]).await.map_err(status)?;
        let Some(Receipt { outcome, incident }) = receipts.first() else {
            return Err(Status::internal("a report came back without a receipt"));
        };
        if *outcome == Outcome::Full {
            let words = "as much is active as may be; report it again later";
            return Err(Status::resource_exhausted(words));
        }
        let duplicate = *outcome == Outcome::Duplicate;
        let incident = incident.map_or(0, |id| id.0);
        Ok(Response::new(pb::ReportResponse { key, duplicate, incident }))
    }
}

fn read(request: pb::ReportRequest) -> Report {
    let pb::ReportRequest {
        summary,
        description,
        service,
        model,
        node,
        severity,
        reporter,
        occurred_unix_ns,
        key,
        resolved,
    } = request;
    let occurred_at = match occurred_unix_ns {
        0 => String::new(),
        ns => Timestamp::from_unix_ns(ns).to_string(),
    };
    let status = if resolved { "resolved".to_owned() } else { String::new() };
    Report {
        summary,
        description,
        service,
        model,
        node,
        severity,
        reporter,
        occurred_at,
        key,
        status,
    }
}
