//! Which of our services a call is for: the first part of its path.

use std::convert::Infallible;
use std::task::{Context, Poll};

use gpuwarden_proto::pb::fleet_service_server::FleetServiceServer;
use gpuwarden_proto::pb::incident_service_server::IncidentServiceServer;
use gpuwarden_proto::pb::uplink_service_server::UplinkServiceServer;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::{BoxFuture, Service, http};
use tonic::server::NamedService;

use super::{Fleet, Incidents};
use crate::ingest::{Ingest, Uplink};
use crate::query::Desk;

/// All services of one listener.
#[derive(Debug, Clone)]
pub struct Routes {
    uplink: UplinkServiceServer<Uplink>,
    incidents: IncidentServiceServer<Incidents>,
    fleet: FleetServiceServer<Fleet>,
}

impl Routes {
    /// What nodes say goes to `ingest`, what people say to `desk`.
    #[must_use]
    pub fn new(ingest: Ingest, desk: Desk) -> Self {
        Self {
            uplink: ingest.service(),
            incidents: IncidentServiceServer::new(Incidents(desk.clone())),
            fleet: FleetServiceServer::new(Fleet(desk)),
        }
    }
}

impl Service<http::Request<Body>> for Routes {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Self::Error>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let called = |name: &str| request.uri().path().split('/').nth(1) == Some(name);
        if called(<UplinkServiceServer<Uplink> as NamedService>::NAME) {
            self.uplink.call(request)
        } else if called(<IncidentServiceServer<Incidents> as NamedService>::NAME) {
            self.incidents.call(request)
        } else if called(<FleetServiceServer<Fleet> as NamedService>::NAME) {
            self.fleet.call(request)
        } else {
            let status = Status::unimplemented("there is no such service here");
            Box::pin(async { Ok(status.into_http()) })
        }
    }
}
