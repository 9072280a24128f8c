//! The aggregator over gRPC. The only place that names wire types; everybody else sees plain
//! values.

mod signals;
mod silence;
mod work;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use gpuwarden_proto::change::{RecordedChange, Told};
use gpuwarden_proto::convert::Refused;
use gpuwarden_proto::fleet::Node;
use gpuwarden_proto::incident::{Incident, WatchUpdate};
use gpuwarden_proto::pb;
use gpuwarden_proto::pb::change_service_client::ChangeServiceClient;
use gpuwarden_proto::pb::fleet_service_client::FleetServiceClient;
use gpuwarden_proto::pb::incident_service_client::IncidentServiceClient;
use gpuwarden_proto::pb::on_call_service_client::OnCallServiceClient;
use gpuwarden_proto::pb::shadow_service_client::ShadowServiceClient;
use gpuwarden_proto::pb::signal_service_client::SignalServiceClient;
use gpuwarden_proto::pb::silence_service_client::SilenceServiceClient;
use gpuwarden_proto::pb::slo_service_client::SloServiceClient;
use gpuwarden_proto::pb::topology_service_client::TopologyServiceClient;
use gpuwarden_proto::pb::work_service_client::WorkServiceClient;
use gpuwarden_proto::shadow::Report;
use gpuwarden_proto::slo::Objective;
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::topology::{Branch, Portrait};
use gpuwarden_proto::trace::Trace;
use gpuwarden_proto::vocab::{IncidentId, NodeId, Seq};
use thiserror::Error;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status, Streaming};

pub use signals::{Filed, UserReport};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a question may take. A watch has no such limit.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// A watch finds out within two of these that the other side is gone.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// The largest answer that is accepted.
const ANSWER_MAX_BYTES: usize = 64 * 1024 * 1024;

/// Where an aggregator is.
#[derive(Debug, Clone)]
pub struct Aggregator {
    url: String,
    endpoint: Endpoint,
}

impl FromStr for Aggregator {
    type Err = String;

    fn from_str(url: &str) -> Result<Self, String> {
        if !url.starts_with("http://") {
            return Err("not an address of an aggregator (try http://127.0.0.1:7443)".to_owned());
        }
        let endpoint = Endpoint::from_shared(url.to_owned())
            .map_err(|error| format!("{error} (try http://127.0.0.1:7443)"))?
            .connect_timeout(CONNECT_TIMEOUT)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE)
            .keep_alive_while_idle(true);
        Ok(Self { url: url.to_owned(), endpoint })
    }
}

impl fmt::Display for Aggregator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url)
    }
}

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum ClientError {
    /// Nobody is there.
    #[error(
        "no aggregator answers at {url} ({reason}); start one with `gpuwarden up`, or name another \
         with --aggregator or GPUWARDEN_AGGREGATOR"
    )]
    Unreachable {
        /// Where it was looked for.
        url: String,
        /// What happened.
        reason: String,
    },
    /// It says no, in its own words.
    #[error("{0}")]
    Denied(String),
    /// It could not.
    #[error("the aggregator at {url} failed: {reason}")]
    Failed {
        /// Which.
        url: String,
        /// What happened.
        reason: String,
    },
    /// It said what this version does not understand.
    #[error("the aggregator answers what this version of gpuwarden does not understand: {0}")]
    Garbled(#[from] Refused),
}

impl ClientError {
    /// Whether asking again later may help.
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Failed { .. })
    }
}

/// A connection to an aggregator.
#[derive(Debug, Clone)]
pub struct Client {
    url: String,
    incidents: IncidentServiceClient<Channel>,
    fleet: FleetServiceClient<Channel>,
    signals: SignalServiceClient<Channel>,
    slo: SloServiceClient<Channel>,
    shadow: ShadowServiceClient<Channel>,
    topology: TopologyServiceClient<Channel>,
    silences: SilenceServiceClient<Channel>,
    changes: ChangeServiceClient<Channel>,
    work: WorkServiceClient<Channel>,
    on_call: OnCallServiceClient<Channel>,
}

/// A list, and whether there is more than was asked for.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct IncidentList {
    /// The incidents.
    pub incidents: Vec<Incident>,
    /// There are more.
    pub truncated: bool,
    /// Open incidents that are held back and for that reason not among these.
    pub held_back: u64,
}

/// The fleet as a tree, and whether it is all of it.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Tree {
    /// Its branches, each followed by what is in it.
    pub branches: Vec<Branch>,
    /// There are more.
    pub truncated: bool,
}

/// A person's word on an incident.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Word {
    /// I take it.
    Acknowledge {
        /// Until when; `None` is as long as the settings say.
        until: Option<Timestamp>,
    },
    /// A remark.
    Note(String),
    /// It has the same cause as another.
    Merge {
        /// The one that goes on.
        into: IncidentId,
        /// Why.
        reason: String,
    },
    /// Some of its members have another cause.
    Split {
        /// Which, counted from 1.
        members: Vec<u32>,
        /// Why.
        reason: String,
    },
    /// It is over.
    Resolve {
        /// Why.
        reason: String,
        /// Although members are active.
        force: bool,
    },
}

/// Incidents as they change.
#[derive(Debug)]
pub struct Watch {
    url: String,
    stream: Streaming<pb::WatchIncidentsResponse>,
}

impl Client {
    /// Connects.
    pub async fn connect(aggregator: &Aggregator) -> Result<Self, ClientError> {
        let channel = aggregator.endpoint.connect().await.map_err(|error| {
            ClientError::Unreachable { url: aggregator.url.clone(), reason: innermost(&error) }
        })?;
        let incidents =
            IncidentServiceClient::new(channel.clone()).max_decoding_message_size(ANSWER_MAX_BYTES);
        let signals = SignalServiceClient::new(channel.clone());
        let slo =
            SloServiceClient::new(channel.clone()).max_decoding_message_size(ANSWER_MAX_BYTES);
        let shadow =
            ShadowServiceClient::new(channel.clone()).max_decoding_message_size(ANSWER_MAX_BYTES);
        let fleet =
            FleetServiceClient::new(channel.clone()).max_decoding_message_size(ANSWER_MAX_BYTES);
        let topology =
            TopologyServiceClient::new(channel.clone()).max_decoding_message_size(ANSWER_MAX_BYTES);
        let silences =
            SilenceServiceClient::new(channel.clone()).max_decoding_message_size(ANSWER_MAX_BYTES);
        let work =
            WorkServiceClient::new(channel.clone()).max_decoding_message_size(ANSWER_MAX_BYTES);
        let on_call = OnCallServiceClient::new(channel.clone());
        let changes = ChangeServiceClient::new(channel).max_decoding_message_size(ANSWER_MAX_BYTES);
        Ok(Self {
            url: aggregator.url.clone(),
            incidents,
            work,
            on_call,
            fleet,
            shadow,
            topology,
            silences,
            signals,
            slo,
            changes,
        })
    }

    /// Incidents that are not held back, or with `only_held` those that are; `None` leaves the limit
    /// to the server.
    pub async fn incidents(
        &mut self,
        include_resolved: bool,
        only_held: bool,
        limit: Option<u32>,
    ) -> Result<IncidentList, ClientError> {
        let limit = limit.unwrap_or_default();
        let include_held = false;
        let request = pb::ListIncidentsRequest { include_resolved, limit, include_held, only_held };
        let request = timed(request);
        let answer = self.incidents.list_incidents(request).await;
        let answer = answer.map_err(|status| failure(&self.url, &status))?.into_inner();
        let incidents: Result<_, Refused> =
            answer.incidents.into_iter().map(TryInto::try_into).collect();
        let pb::ListIncidentsResponse { truncated, held_back, .. } = answer;
        Ok(IncidentList { incidents: incidents?, truncated, held_back })
    }

    /// One incident.
    pub async fn incident(&mut self, id: IncidentId) -> Result<Incident, ClientError> {
        let answer = self.incidents.get_incident(timed(pb::GetIncidentRequest { id: id.0 })).await;
        self.one(answer.map(|answer| answer.into_inner().incident))
    }

    /// Where one event of a node went, for each of its outboxes that gave the number.
    pub async fn event(&mut self, node: &NodeId, seq: Seq) -> Result<Vec<Trace>, ClientError> {
        let request = pb::ExplainEventRequest { node: node.as_str().to_owned(), seq: seq.0 };
        let answer = self.incidents.explain_event(timed(request)).await;
        let answer = answer.map_err(|status| failure(&self.url, &status))?.into_inner();
        let traces: Result<_, Refused> = answer.traces.into_iter().map(TryInto::try_into).collect();
        Ok(traces?)
    }

    /// What the candidate config would have done otherwise.
    pub async fn shadow(&mut self) -> Result<Report, ClientError> {
        let answer = self.shadow.get_shadow_report(timed(pb::GetShadowReportRequest {})).await;
        let answer = answer.map_err(|status| failure(&self.url, &status))?.into_inner();
        Ok(answer.report.unwrap_or_default().try_into()?)
    }

    /// Says a person's word, and gives the incident as it then stands.
    pub async fn say(
        &mut self,
        id: IncidentId,
        by: &str,
        word: Word,
    ) -> Result<Incident, ClientError> {
        let (id, by) = (id.0, by.to_owned());
        let incident = match word {
            Word::Acknowledge { until } => {
                let until_unix_ns = until.map_or(0, Timestamp::unix_ns);
                let request = timed(pb::AcknowledgeIncidentRequest { id, by, until_unix_ns });
                let answer = self.incidents.acknowledge_incident(request).await;
                answer.map(|answer| answer.into_inner().incident)
            }
            Word::Note(text) => {
                let request = timed(pb::NoteIncidentRequest { id, by, text });
                let answer = self.incidents.note_incident(request).await;
                answer.map(|answer| answer.into_inner().incident)
            }
            Word::Merge { into, reason } => {
                let request = timed(pb::MergeIncidentRequest { id, into: into.0, by, reason });
                let answer = self.incidents.merge_incident(request).await;
                answer.map(|answer| answer.into_inner().incident)
            }
            Word::Split { members, reason } => {
                let request = timed(pb::SplitIncidentRequest { id, members, by, reason });
                let answer = self.incidents.split_incident(request).await;
                answer.map(|answer| answer.into_inner().incident)
            }
            Word::Resolve { reason, force } => {
                let request = timed(pb::ResolveIncidentRequest { id, by, reason, force });
                let answer = self.incidents.resolve_incident(request).await;
                answer.map(|answer| answer.into_inner().incident)
            }
        };
        self.one(incident)
    }

    /// Begins to follow incidents: first those that are open.
    pub async fn watch(&mut self) -> Result<Watch, ClientError> {
        let answer = self.incidents.watch_incidents(pb::WatchIncidentsRequest {}).await;
        let stream = answer.map_err(|status| failure(&self.url, &status))?.into_inner();
        Ok(Watch { url: self.url.clone(), stream })
    }

    /// The nodes of the fleet.
    pub async fn nodes(&mut self) -> Result<Vec<Node>, ClientError> {
        let answer = self.fleet.list_nodes(timed(pb::ListNodesRequest {})).await;
        let answer = answer.map_err(|status| failure(&self.url, &status))?.into_inner();
        let nodes: Result<_, Refused> = answer.nodes.into_iter().map(TryInto::try_into).collect();
        Ok(nodes?)
    }

    /// How the objectives of services stand.
    pub async fn objectives(&mut self) -> Result<Vec<Objective>, ClientError> {
        let answer = self.slo.list_objectives(timed(pb::ListObjectivesRequest {})).await;
        let answer = answer.map_err(|status| failure(&self.url, &status))?.into_inner();
        let objectives: Result<_, Refused> =
            answer.objectives.into_iter().map(TryInto::try_into).collect();
        Ok(objectives?)
    }

    /// Changes that agents observed, newest first.
    pub async fn changes(&mut self, limit: u32) -> Result<Vec<RecordedChange>, ClientError> {
        let answer = self.changes.list_changes(timed(pb::ListChangesRequest { limit })).await;
        let answer = answer.map_err(|status| failure(&self.url, &status))?.into_inner();
        let changes: Result<_, Refused> =
            answer.changes.into_iter().map(TryInto::try_into).collect();
        Ok(changes?)
    }

    /// The fleet as a tree, down to things of this kind.
    pub async fn tree(&mut self, deepest: &str) -> Result<Tree, ClientError> {
        let request = pb::GetTreeRequest { depth: deepest.to_owned() };
        let answer = self.topology.get_tree(timed(request)).await;
        let answer = answer.map_err(|status| failure(&self.url, &status))?.into_inner();
        let branches: Result<_, Refused> =
            answer.branches.into_iter().map(TryInto::try_into).collect();
        Ok(Tree { branches: branches?, truncated: answer.truncated })
    }

    /// All that is known of the thing of a name.
    pub async fn portrait(&mut self, name: &str) -> Result<Portrait, ClientError> {
        let request = pb::GetPortraitRequest { name: name.to_owned() };
        let answer = self.topology.get_portrait(timed(request)).await;
        let answer = answer.map_err(|status| failure(&self.url, &status))?.into_inner();
        let missing = || ClientError::Failed {
            url: self.url.clone(),
            reason: "it answered without what was asked for".to_owned(),
        };
        Ok(answer.portrait.ok_or_else(missing)?.try_into()?)
    }

    /// Records a change, and gives it as it is recorded, and whether it was known.
    pub async fn record(&mut self, told: Told) -> Result<(RecordedChange, bool), ClientError> {
        let request = pb::RecordChangeRequest { change: Some(told.into()) };
        let answer = self.changes.record_change(timed(request)).await;
        let answer = answer.map_err(|status| failure(&self.url, &status))?.into_inner();
        let missing = || ClientError::Failed {
            url: self.url.clone(),
            reason: "it answered without a change".to_owned(),
        };
        Ok((answer.change.ok_or_else(missing)?.try_into()?, answer.known))
    }

    fn one(&self, answer: Result<Option<pb::Incident>, Status>) -> Result<Incident, ClientError> {
        let incident = answer.map_err(|status| failure(&self.url, &status))?;
        let missing = || ClientError::Failed {
            url: self.url.clone(),
            reason: "it answered without an incident".to_owned(),
        };
        Ok(incident.ok_or_else(missing)?.try_into()?)
    }
}

impl Watch {
    /// The next change; `None` when the aggregator ends the watch.
    pub async fn next(&mut self) -> Result<Option<WatchUpdate>, ClientError> {
        let update = self.stream.message().await;
        let update = update.map_err(|status| failure(&self.url, &status))?;
        Ok(update.map(TryInto::try_into).transpose()?)
    }
}

fn timed<T>(message: T) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    request.set_timeout(ANSWER_TIMEOUT);
    request
}

fn failure(url: &str, status: &Status) -> ClientError {
    let url = url.to_owned();
    match status.code() {
        Code::NotFound | Code::FailedPrecondition | Code::InvalidArgument => {
            ClientError::Denied(status.message().to_owned())
        }
        Code::Unavailable => ClientError::Unreachable { url, reason: reason(status) },
        // Its own words say enough, and when to ask again.
        Code::ResourceExhausted | Code::DeadlineExceeded => {
            ClientError::Failed { url, reason: status.message().to_owned() }
        }
        code => ClientError::Failed { url, reason: format!("{code}: {}", status.message()) },
    }
}

/// Why a call did not get through: what happened to the connection, or what the other side said.
fn reason(status: &Status) -> String {
    std::error::Error::source(status).map_or_else(|| status.message().to_owned(), innermost)
}

/// The last of a chain of causes, which is the one that says something.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_finds_nobody_is_told_what_to_do() {
        // A port that was free a moment ago.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        drop(listener);
        let aggregator: Aggregator = format!("http://{address}").parse().expect("a good address");
        let error = Client::connect(&aggregator).await.expect_err("nobody is there").to_string();
        assert!(
            error.starts_with(&format!("no aggregator answers at http://{address} (")),
            "{error}"
        );
        assert!(error.contains("gpuwarden up"), "{error}");
        assert!(error.to_lowercase().contains("refused"), "{error}");
    }

    #[test]
    fn a_refusal_keeps_the_words_of_the_aggregator() {
        let status = Status::failed_precondition("#2 has 1 active members");
        assert_eq!(failure("http://x", &status).to_string(), "#2 has 1 active members");
        assert!(!failure("http://x", &status).may_pass());
        assert!(failure("http://x", &Status::unavailable("gone")).may_pass());
        let crowded = failure("http://x", &Status::resource_exhausted("too many; try again"));
        let words = "the aggregator at http://x failed: too many; try again";
        assert_eq!((crowded.to_string().as_str(), crowded.may_pass()), (words, true));
    }
}
