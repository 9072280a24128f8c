//! The edge to people and scripts: a service a file.

mod changes;
mod gate;
mod routes;
mod shadow;
mod signals;
mod silence;
mod slo;
mod topology;
mod work;

use std::pin::Pin;
use std::sync::Arc;

use futures_util::{Stream, StreamExt, stream};
use gpuwarden_proto::incident::{Incident, WatchChange, WatchUpdate};
use gpuwarden_proto::pb;
use gpuwarden_proto::pb::fleet_service_server::FleetService;
use gpuwarden_proto::pb::incident_service_server::IncidentService;
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::{IncidentId, NodeId, Seq};
use tonic::{Request, Response, Status};

pub use changes::Changes;
pub use gate::Bounds;
pub use routes::Routes;
pub use shadow::Shadow;
pub use signals::Signals;
pub use silence::Silences;
pub use slo::Objectives;
pub use topology::Topology;
pub use work::{OnCallDesk, WorkDesk};

use crate::core::{CommandError, SilenceError};
use crate::graph::NotFound;
use crate::incident::{Command, Refusal};
use crate::query::{AskError, Desk, HeldBack};
use crate::response::WorkError;
use crate::suppress;
use crate::watch::{Ended, Update, WAITING_MAX, WATCHERS_MAX, Watch};

/// An answer stays below this, since clients read 4 MiB by default.
const ANSWER_MAX_BYTES: usize = 3 * 1024 * 1024;

/// `IncidentService`.
#[derive(Debug)]
pub struct Incidents(pub Desk);

/// `FleetService`.
#[derive(Debug)]
pub struct Fleet(pub Desk);

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl IncidentService for Incidents {
    async fn list_incidents(
        &self,
        request: Request<pb::ListIncidentsRequest>,
    ) -> Answer<pb::ListIncidentsResponse> {
        let pb::ListIncidentsRequest { include_resolved, limit, include_held, only_held } =
            request.into_inner();
        let held = match (only_held, include_held) {
            (true, _) => HeldBack::Only,
            (false, true) => HeldBack::Shown,
            (false, false) => HeldBack::Counted,
        };
        let page =
            self.0.incidents(include_resolved, held, limit as usize).await.map_err(status)?;
        let all = page.incidents.len();
        let incidents = fitting(page.incidents.iter().map(wire));
        let truncated = page.truncated || incidents.len() < all;
        let held_back = page.held_back as u64;
        Ok(Response::new(pb::ListIncidentsResponse { incidents, truncated, held_back }))
    }

    async fn get_incident(
        &self,
        request: Request<pb::GetIncidentRequest>,
    ) -> Answer<pb::GetIncidentResponse> {
        let id = IncidentId(request.into_inner().id);
        let incident = self.0.incident(id).await.map_err(status)?;
        Ok(Response::new(pb::GetIncidentResponse { incident: Some(wire(&incident)) }))
    }

    type WatchIncidentsStream =
        Pin<Box<dyn Stream<Item = Result<pb::WatchIncidentsResponse, Status>> + Send>>;

    async fn watch_incidents(
        &self,
        _request: Request<pb::WatchIncidentsRequest>,
    ) -> Answer<Self::WatchIncidentsStream> {
        let Watch { snapshot, updates, ended } = self.0.watch().await.map_err(status)?;
        let known = stream::iter(snapshot).map(|incident| told((WatchChange::Snapshot, incident)));
        let news = stream::unfold(Some((updates, ended)), async |state| {
            let (mut updates, ended) = state?;
            match updates.next().await {
                Some(update) => Some((told(update), Some((updates, ended)))),
                None => Some((Err(end(ended.await.ok().as_ref())), None)),
            }
        });
        Ok(Response::new(Box::pin(known.chain(news))))
    }

    async fn acknowledge_incident(
        &self,
        request: Request<pb::AcknowledgeIncidentRequest>,
    ) -> Answer<pb::AcknowledgeIncidentResponse> {
        let pb::AcknowledgeIncidentRequest { id, by, until_unix_ns } = request.into_inner();
        let until = (until_unix_ns != 0).then(|| Timestamp::from_unix_ns(until_unix_ns));
        let taken = self.0.take(IncidentId(id), by, until).await.map_err(status)?;
        let incident = Some(wire(&taken));
        Ok(Response::new(pb::AcknowledgeIncidentResponse { incident }))
    }

    async fn note_incident(
        &self,
        request: Request<pb::NoteIncidentRequest>,
    ) -> Answer<pb::NoteIncidentResponse> {
        let pb::NoteIncidentRequest { id, by, text } = request.into_inner();
        let incident = self.command(id, Command::Note { by, text }).await?;
        Ok(Response::new(pb::NoteIncidentResponse { incident }))
    }

    async fn resolve_incident(
        &self,
        request: Request<pb::ResolveIncidentRequest>,
    ) -> Answer<pb::ResolveIncidentResponse> {
        let pb::ResolveIncidentRequest { id, by, reason, force } = request.into_inner();
        let incident = self.command(id, Command::Resolve { by, reason, force }).await?;
        Ok(Response::new(pb::ResolveIncidentResponse { incident }))
    }

    async fn merge_incident(
        &self,
        request: Request<pb::MergeIncidentRequest>,
    ) -> Answer<pb::MergeIncidentResponse> {
        let pb::MergeIncidentRequest { id, into, by, reason } = request.into_inner();
        let command = Command::Merge { by, into: IncidentId(into), reason };
        let incident = self.command(id, command).await?;
        Ok(Response::new(pb::MergeIncidentResponse { incident }))
    }

    async fn split_incident(
        &self,
        request: Request<pb::SplitIncidentRequest>,
    ) -> Answer<pb::SplitIncidentResponse> {
        let pb::SplitIncidentRequest { id, members, by, reason } = request.into_inner();
        let incident = self.command(id, Command::Split { by, members, reason }).await?;
        Ok(Response::new(pb::SplitIncidentResponse { incident }))
    }

    async fn explain_event(
        &self,
        request: Request<pb::ExplainEventRequest>,
    ) -> Answer<pb::ExplainEventResponse> {
        let pb::ExplainEventRequest { node, seq } = request.into_inner();
        let node = NodeId::new(&node).map_err(|error| {
            Status::invalid_argument(format!("`{node}` is no name of a node: it {}", error.fault))
        })?;
        let traces = self.0.event(node, Seq(seq)).await.map_err(status)?;
        let traces = fitting(traces.into_iter().map(Into::into));
        Ok(Response::new(pb::ExplainEventResponse { traces }))
    }
}

impl Incidents {
    async fn command(&self, id: u64, command: Command) -> Result<Option<pb::Incident>, Status> {
        let incident = self.0.command(IncidentId(id), command).await.map_err(status)?;
        Ok(Some(wire(&incident)))
    }
}

#[tonic::async_trait]
impl FleetService for Fleet {
    async fn list_nodes(
        &self,
        _request: Request<pb::ListNodesRequest>,
    ) -> Answer<pb::ListNodesResponse> {
        let nodes = self.0.nodes().await.map_err(status)?;
        let nodes = nodes.into_iter().map(Into::into).collect();
        Ok(Response::new(pb::ListNodesResponse { nodes }))
    }
}

fn wire(incident: &Arc<Incident>) -> pb::Incident {
    Incident::clone(incident).into()
}

fn told((change, incident): Update) -> Result<pb::WatchIncidentsResponse, Status> {
    Ok(WatchUpdate { change, incident: Incident::clone(&incident) }.into())
}

/// As many as fit into one answer.
fn fitting<T: prost::Message>(messages: impl Iterator<Item = T>) -> Vec<T> {
    let mut left = ANSWER_MAX_BYTES;
    messages
        .map_while(|message| {
            left = left.checked_sub(message.encoded_len() + 8)?;
            Some(message)
        })
        .collect()
}

fn end(why: Option<&Ended>) -> Status {
    match why {
        Some(Ended::Behind) => Status::resource_exhausted(format!(
            "this watch fell {WAITING_MAX} incidents behind and was dropped; watch again"
        )),
        Some(Ended::Crowded) => {
            Status::resource_exhausted(format!("{WATCHERS_MAX} watch already; try again later"))
        }
        None => Status::unavailable("the aggregator stops; watch again"),
    }
}

fn status(error: AskError) -> Status {
    let text = error.to_string();
    match error {
        AskError::Stopping | AskError::Store(_) => Status::unavailable(text),
        AskError::Event(_) | AskError::Entity(NotFound::Unknown(_)) | AskError::NoShadow => {
            Status::not_found(text)
        }
        AskError::Entity(NotFound::Several { .. }) => Status::invalid_argument(text),
        AskError::Silence(SilenceError::NotStored(_)) => Status::unavailable(text),
        AskError::Silence(SilenceError::Refused(refusal)) => match refusal {
            suppress::Refusal::Bad(_) => Status::invalid_argument(text),
            suppress::Refusal::Unknown(_) => Status::not_found(text),
            suppress::Refusal::Crowded(_) | suppress::Refusal::Over { .. } => {
                Status::failed_precondition(text)
            }
        },
        AskError::Command(CommandError::NotStored(_)) => Status::unavailable(text),
        AskError::Command(CommandError::Work(error)) => match error {
            WorkError::Unknown(_) => Status::not_found(text),
            WorkError::Bad(_) => Status::invalid_argument(text),
            WorkError::Refused(_) => Status::failed_precondition(text),
        },
        AskError::Command(CommandError::Full) => Status::resource_exhausted(text),
        AskError::Command(CommandError::Refused(refusal)) => match refusal {
            Refusal::Unknown(_) => Status::not_found(text),
            Refusal::Over { .. } | Refusal::StillActive { .. } => Status::failed_precondition(text),
            Refusal::Missing(_)
            | Refusal::TooLong { .. }
            | Refusal::Itself(_)
            | Refusal::NotToSplit { .. } => Status::invalid_argument(text),
        },
    }
}
