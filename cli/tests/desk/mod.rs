//! An aggregator with one open incident, which writes down what it is told.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use gpuwarden_proto::change::{RecordedChange, Told};
use gpuwarden_proto::event::{Change, Subject};
use gpuwarden_proto::fleet::Node;
use gpuwarden_proto::incident::{Incident, TimelineEntry, WatchChange, WatchUpdate};
use gpuwarden_proto::pb;
use gpuwarden_proto::pb::change_service_server::{ChangeService, ChangeServiceServer};
use gpuwarden_proto::pb::fleet_service_server::{FleetService, FleetServiceServer};
use gpuwarden_proto::pb::incident_service_server::{IncidentService, IncidentServiceServer};
use gpuwarden_proto::pb::signal_service_server::{SignalService, SignalServiceServer};
use gpuwarden_proto::pb::silence_service_server::{SilenceService, SilenceServiceServer};
use gpuwarden_proto::pb::topology_service_server::{TopologyService, TopologyServiceServer};
use gpuwarden_proto::silence::{Draft, Hold, Listed, Silence, SilenceId};
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::{
    ChangeKind, IncidentId, IncidentState, IncidentType, NodeId, NodeState, Severity, SilenceState,
};
use tokio_stream::Stream;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::body::Body;
use tonic::codegen::{BoxFuture, Service, http};
use tonic::{Request, Response, Status};

/// The aggregator; it ends with the test.
pub(crate) struct Desk {
    /// Where it is.
    pub(crate) url: String,
    said: Arc<Mutex<Vec<String>>>,
    watched: Receiver<()>,
    _runtime: tokio::runtime::Runtime,
}

impl Desk {
    /// Serves on a free port.
    pub(crate) fn open() -> Self {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let said = Arc::<Mutex<Vec<String>>>::default();
        let (watching, watched) = channel();
        let clerk = Clerk { said: said.clone(), watching };
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0"));
        let listener = listener.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        runtime.spawn(
            tonic::transport::Server::builder()
                .serve_with_incoming(Routes(clerk), TcpListenerStream::new(listener)),
        );
        Self { url, said, watched, _runtime: runtime }
    }

    /// What it was told, in order.
    pub(crate) fn words(&self) -> Vec<String> {
        self.said.lock().expect("nobody panicked").clone()
    }

    /// Waits until so many watches have been begun.
    pub(crate) fn wait_for_watches(&self, count: usize) {
        for _ in 0..count {
            self.watched.recv_timeout(Duration::from_secs(20)).expect("a watch begins");
        }
    }
}

/// All services on one port.
#[derive(Clone)]
struct Routes(Clerk);

impl Service<http::Request<Body>> for Routes {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let clerk = self.0.clone();
        if request.uri().path().contains("FleetService") {
            FleetServiceServer::new(clerk).call(request)
        } else if request.uri().path().contains("TopologyService") {
            TopologyServiceServer::new(clerk).call(request)
        } else if request.uri().path().contains("SilenceService") {
            SilenceServiceServer::new(clerk).call(request)
        } else if request.uri().path().contains("SignalService") {
            SignalServiceServer::new(clerk).call(request)
        } else if request.uri().path().contains("ChangeService") {
            ChangeServiceServer::new(clerk).call(request)
        } else {
            IncidentServiceServer::new(clerk).call(request)
        }
    }
}

#[derive(Clone)]
struct Clerk {
    said: Arc<Mutex<Vec<String>>>,
    watching: Sender<()>,
}

impl Clerk {
    fn hear(&self, id: u64, word: &str) -> Result<Option<pb::Incident>, Status> {
        self.said.lock().expect("nobody panicked").push(format!("{id} {word}"));
        Ok(Some(incident(4).into()))
    }
}

fn at(s: u64) -> Timestamp {
    Timestamp::from_unix_s(1_795_442_531 + s)
}

fn node() -> NodeId {
    NodeId::new("node-b").expect("a good name")
}

fn incident(version: u64) -> Incident {
    let entry = |s, text: &str| {
        let (kind, actor) = ("detected".to_owned(), "gpuwarden".to_owned());
        Arc::new(TimelineEntry { at: at(s), kind, actor, text: text.to_owned() })
    };
    Incident {
        id: IncidentId(7),
        kind: IncidentType::GpuHardware,
        type_reason: "its first finding is gpu-lost".to_owned(),
        severity: Severity::P2,
        severity_reason: "a GPU is gone".to_owned(),
        overruled: None,
        state: IncidentState::Open,
        title: "GPU 1 of node-b is lost".to_owned(),
        members: Vec::new(),
        timeline: vec![entry(0, "gpu-lost on node-b GPU 1"), entry(9, "and again")],
        opened_at: at(0),
        updated_at: at(9),
        resolved_at: None,
        acknowledged_by: None,
        version,
        members_dropped: 0,
        timeline_dropped: 0,
        roots: Vec::new(),
        merged_into: None,
        apart_from: Vec::new(),
        scope: None,
        suppressed_by: Vec::new(),
        held_since: None,
        suspected_change: None,
    }
}

#[tonic::async_trait]
impl IncidentService for Clerk {
    async fn list_incidents(
        &self,
        _: Request<pb::ListIncidentsRequest>,
    ) -> Result<Response<pb::ListIncidentsResponse>, Status> {
        let incidents = vec![incident(1).into()];
        Ok(Response::new(pb::ListIncidentsResponse { incidents, truncated: false, held_back: 2 }))
    }

    async fn get_incident(
        &self,
        request: Request<pb::GetIncidentRequest>,
    ) -> Result<Response<pb::GetIncidentResponse>, Status> {
        match request.into_inner().id {
            7 => {
                let incident = Some(incident(1).into());
                Ok(Response::new(pb::GetIncidentResponse { incident }))
            }
            id => Err(Status::not_found(format!("there is no incident #{id}"))),
        }
    }

    type WatchIncidentsStream =
        Pin<Box<dyn Stream<Item = Result<pb::WatchIncidentsResponse, Status>> + Send>>;

    async fn watch_incidents(
        &self,
        _: Request<pb::WatchIncidentsRequest>,
    ) -> Result<Response<Self::WatchIncidentsStream>, Status> {
        let _ = self.watching.send(());
        let update =
            |change, version| Ok(WatchUpdate { change, incident: incident(version) }.into());
        let updates = [update(WatchChange::Snapshot, 1), update(WatchChange::Changed, 2)];
        Ok(Response::new(Box::pin(tokio_stream::iter(updates))))
    }

    async fn acknowledge_incident(
        &self,
        request: Request<pb::AcknowledgeIncidentRequest>,
    ) -> Result<Response<pb::AcknowledgeIncidentResponse>, Status> {
        let pb::AcknowledgeIncidentRequest { id, by, .. } = request.into_inner();
        let incident = self.hear(id, &format!("{by}: ack"))?;
        Ok(Response::new(pb::AcknowledgeIncidentResponse { incident }))
    }

    async fn note_incident(
        &self,
        request: Request<pb::NoteIncidentRequest>,
    ) -> Result<Response<pb::NoteIncidentResponse>, Status> {
        let pb::NoteIncidentRequest { id, by, text } = request.into_inner();
        let incident = self.hear(id, &format!("{by}: note {text}"))?;
        Ok(Response::new(pb::NoteIncidentResponse { incident }))
    }

    async fn resolve_incident(
        &self,
        request: Request<pb::ResolveIncidentRequest>,
    ) -> Result<Response<pb::ResolveIncidentResponse>, Status> {
        let pb::ResolveIncidentRequest { id, by, reason, force } = request.into_inner();
        let incident = self.hear(id, &format!("{by}: resolve {reason} {force}"))?;
        Ok(Response::new(pb::ResolveIncidentResponse { incident }))
    }

    async fn merge_incident(
        &self,
        _request: Request<pb::MergeIncidentRequest>,
    ) -> Result<Response<pb::MergeIncidentResponse>, Status> {
        Err(Status::unimplemented("not asked here"))
    }

    async fn split_incident(
        &self,
        _request: Request<pb::SplitIncidentRequest>,
    ) -> Result<Response<pb::SplitIncidentResponse>, Status> {
        Err(Status::unimplemented("not asked here"))
    }

    async fn explain_event(
        &self,
        request: Request<pb::ExplainEventRequest>,
    ) -> Result<Response<pb::ExplainEventResponse>, Status> {
        let pb::ExplainEventRequest { node, seq } = request.into_inner();
        Err(Status::not_found(format!("event {seq} of {node} has not come")))
    }
}

#[tonic::async_trait]
impl SignalService for Clerk {
    async fn report(
        &self,
        request: Request<pb::ReportRequest>,
    ) -> Result<Response<pb::ReportResponse>, Status> {
        let pb::ReportRequest { summary, service, severity, reporter, .. } = request.into_inner();
        if summary.is_empty() {
            return Err(Status::invalid_argument("summary: is missing or blank"));
        }
        self.hear(7, &format!("{reporter}: {summary} ({service}, {severity})"))?;
        let key = "k1".to_owned();
        Ok(Response::new(pb::ReportResponse { key, duplicate: false, incident: 7 }))
    }
}

#[tonic::async_trait]
impl FleetService for Clerk {
    async fn list_nodes(
        &self,
        _: Request<pb::ListNodesRequest>,
    ) -> Result<Response<pb::ListNodesResponse>, Status> {
        let node = Node {
            id: node(),
            state: NodeState::Connected,
            last_seen_at: at(0),
            agent_version: "0.1.0".to_owned(),
            snapshot: None,
            outbox_rows: 0,
            open_incidents: 1,
        };
        Ok(Response::new(pb::ListNodesResponse { nodes: vec![node.into()] }))
    }
}

#[tonic::async_trait]
impl ChangeService for Clerk {
    async fn record_change(
        &self,
        request: Request<pb::RecordChangeRequest>,
    ) -> Result<Response<pb::RecordChangeResponse>, Status> {
        let told: Told = request.into_inner().change.expect("a change").try_into().expect("good");
        let change = told.recorded(at(0)).map_err(|e| Status::invalid_argument(e.to_string()))?;
        self.said.lock().expect("nobody panicked").push(format!("{change:?}"));
        Ok(Response::new(pb::RecordChangeResponse { change: Some(change.into()), known: false }))
    }

    async fn list_changes(
        &self,
        _: Request<pb::ListChangesRequest>,
    ) -> Result<Response<pb::ListChangesResponse>, Status> {
        let change = Change {
            subject: Subject::Node,
            kind: ChangeKind::DriverChanged,
            summary: "driver 580.95.05".to_owned(),
            version: String::new(),
        };
        let observed = RecordedChange::observed(&node(), at(0), &change);
        Ok(Response::new(pb::ListChangesResponse { changes: vec![observed.into()] }))
    }
}

#[tonic::async_trait]
impl TopologyService for Clerk {
    async fn get_tree(
        &self,
        request: Request<pb::GetTreeRequest>,
    ) -> Result<Response<pb::GetTreeResponse>, Status> {
        let totals = Some(pb::Totals { nodes: 1, gpus: 8, ..pb::Totals::default() });
        let kind = request.into_inner().depth;
        let name = Some("r1".to_owned());
        let branches = vec![pb::Branch { depth: 0, kind, name, totals }];
        Ok(Response::new(pb::GetTreeResponse { branches, truncated: false }))
    }

    async fn get_portrait(
        &self,
        request: Request<pb::GetPortraitRequest>,
    ) -> Result<Response<pb::GetPortraitResponse>, Status> {
        match request.into_inner().name.as_str() {
            "r1" => {
                let kind = "rack".to_owned();
                let entity = Some(pb::Entity { kind, name: "r1".to_owned(), node: String::new() });
                let portrait = Some(pb::Portrait { entity, ..pb::Portrait::default() });
                Ok(Response::new(pb::GetPortraitResponse { portrait }))
            }
            name => Err(Status::not_found(format!("nothing is called `{name}`"))),
        }
    }
}

/// As it was asked for.
fn listed(id: u64, draft: Draft) -> pb::ListedSilence {
    let silence = Silence {
        id: SilenceId(id),
        kind: draft.kind,
        matchers: draft.matchers,
        entities: draft.entities,
        starts_at: at(0),
        ends_at: at(7200),
        author: draft.author,
        reason: draft.reason,
        even_critical: draft.even_critical,
        created_at: at(0),
        ended: None,
        incidents_held: 0,
        findings_held: 0,
        repeat: None,
    };
    Listed { silence, state: SilenceState::Active, now: Hold::default() }.into()
}

#[tonic::async_trait]
impl SilenceService for Clerk {
    async fn create_silence(
        &self,
        request: Request<pb::CreateSilenceRequest>,
    ) -> Result<Response<pb::CreateSilenceResponse>, Status> {
        let request = request.into_inner();
        let dry_run = request.dry_run;
        let draft =
            Draft::try_from(request).map_err(|e| Status::invalid_argument(e.to_string()))?;
        let matchers: Vec<String> = draft.matchers.iter().map(ToString::to_string).collect();
        let Draft { author, reason, end, .. } = &draft;
        let word = format!("{author}: silence {matchers:?} {end:?} {reason} dry run {dry_run}");
        self.hear(0, &word)?;
        let silence = Some(listed(if dry_run { 0 } else { 7 }, draft));
        Ok(Response::new(pb::CreateSilenceResponse { silence }))
    }

    async fn list_silences(
        &self,
        _: Request<pb::ListSilencesRequest>,
    ) -> Result<Response<pb::ListSilencesResponse>, Status> {
        Ok(Response::new(pb::ListSilencesResponse { silences: Vec::new() }))
    }

    async fn end_silence(
        &self,
        request: Request<pb::EndSilenceRequest>,
    ) -> Result<Response<pb::EndSilenceResponse>, Status> {
        let id = request.into_inner().id;
        Err(Status::not_found(format!("there is no silence S{id}")))
    }

    async fn list_held(
        &self,
        _: Request<pb::ListHeldRequest>,
    ) -> Result<Response<pb::ListHeldResponse>, Status> {
        Ok(Response::new(pb::ListHeldResponse { held: Vec::new() }))
    }
}
