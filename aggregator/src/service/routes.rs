//! Which of our services a call is for: the first part of its path.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use gpuwarden_proto::pb::change_service_server::ChangeServiceServer;
use gpuwarden_proto::pb::fleet_service_server::FleetServiceServer;
use gpuwarden_proto::pb::incident_service_server::IncidentServiceServer;
use gpuwarden_proto::pb::on_call_service_server::OnCallServiceServer;
use gpuwarden_proto::pb::shadow_service_server::ShadowServiceServer;
use gpuwarden_proto::pb::signal_service_server::SignalServiceServer;
use gpuwarden_proto::pb::silence_service_server::SilenceServiceServer;
use gpuwarden_proto::pb::slo_service_server::SloServiceServer;
use gpuwarden_proto::pb::topology_service_server::TopologyServiceServer;
use gpuwarden_proto::pb::uplink_service_server::UplinkServiceServer;
use gpuwarden_proto::pb::work_service_server::WorkServiceServer;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::{BoxFuture, Service, http};
use tonic::server::NamedService;

use super::gate::{Bounds, Gate};
use super::{
    Changes, Fleet, Incidents, Objectives, OnCallDesk, Shadow, Signals, Silences, Topology,
    WorkDesk,
};
use crate::ingest::{Ingest, Uplink};
use crate::query::Desk;

type Reply = http::Response<Body>;

/// All services of one listener.
#[derive(Debug, Clone)]
pub struct Routes {
    uplink: UplinkServiceServer<Uplink>,
    people: Gate,
}

impl Routes {
    /// What nodes say goes to `ingest`, what people say to `desk`, within bounds.
    #[must_use]
    pub fn new(ingest: Ingest, desk: Desk, bounds: Bounds) -> Self {
        let metrics = Arc::clone(&ingest.metrics);
        let signals = Signals {
            desk: desk.clone(),
            clock: ingest.clock.clone(),
            metrics: Arc::clone(&metrics),
        };
        let people = People {
            signals: SignalServiceServer::new(signals),
            incidents: IncidentServiceServer::new(Incidents(desk.clone())),
            slo: SloServiceServer::new(Objectives(desk.clone())),
            shadow: ShadowServiceServer::new(Shadow(desk.clone())),
            fleet: FleetServiceServer::new(Fleet(desk.clone())),
            silences: SilenceServiceServer::new(Silences(desk.clone())),
            topology: TopologyServiceServer::new(Topology(desk.clone())),
            work: WorkServiceServer::new(WorkDesk(desk.clone())),
            on_call: OnCallServiceServer::new(OnCallDesk(desk.clone())),
            changes: ChangeServiceServer::new(Changes(desk)),
        };
        Self { uplink: ingest.service(), people: Gate::before(people, bounds, metrics) }
    }
}

impl Service<http::Request<Body>> for Routes {
    type Response = Reply;
    type Error = Infallible;
    type Future = BoxFuture<Reply, Infallible>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        if is_for::<UplinkServiceServer<Uplink>>(&request) {
            self.uplink.call(request)
        } else {
            let people = self.people.clone();
            Box::pin(async { Ok(people.pass(request).await) })
        }
    }
}

/// The services of people.
#[derive(Debug, Clone)]
struct People {
    incidents: IncidentServiceServer<Incidents>,
    fleet: FleetServiceServer<Fleet>,
    signals: SignalServiceServer<Signals>,
    slo: SloServiceServer<Objectives>,
    shadow: ShadowServiceServer<Shadow>,
    topology: TopologyServiceServer<Topology>,
    silences: SilenceServiceServer<Silences>,
    changes: ChangeServiceServer<Changes>,
    work: WorkServiceServer<WorkDesk>,
    on_call: OnCallServiceServer<OnCallDesk>,
}

impl Service<http::Request<Body>> for People {
    type Response = Reply;
    type Error = Infallible;
    type Future = BoxFuture<Reply, Infallible>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        if is_for::<IncidentServiceServer<Incidents>>(&request) {
            self.incidents.call(request)
        } else if is_for::<FleetServiceServer<Fleet>>(&request) {
            self.fleet.call(request)
        } else if is_for::<SignalServiceServer<Signals>>(&request) {
            self.signals.call(request)
        } else if is_for::<SloServiceServer<Objectives>>(&request) {
            self.slo.call(request)
        } else if is_for::<ShadowServiceServer<Shadow>>(&request) {
            self.shadow.call(request)
        } else if is_for::<TopologyServiceServer<Topology>>(&request) {
            self.topology.call(request)
        } else if is_for::<SilenceServiceServer<Silences>>(&request) {
            self.silences.call(request)
        } else if is_for::<ChangeServiceServer<Changes>>(&request) {
            self.changes.call(request)
        } else if is_for::<WorkServiceServer<WorkDesk>>(&request) {
            self.work.call(request)
        } else if is_for::<OnCallServiceServer<OnCallDesk>>(&request) {
            self.on_call.call(request)
        } else {
            let status = Status::unimplemented("there is no such service here");
            Box::pin(async { Ok(status.into_http()) })
        }
    }
}

fn is_for<S: NamedService>(request: &http::Request<Body>) -> bool {
    request.uri().path().split('/').nth(1) == Some(S::NAME)
}
