//! The whole way: from the stream of a node to what people see, and back as an acknowledgement.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use gpuwarden_proto::change::{ChangeOrigin, Told};
use gpuwarden_proto::convert::encode_event;
use gpuwarden_proto::entity::{Entity, EntityKind};
use gpuwarden_proto::event::{Body, Change, Event, Subject};
use gpuwarden_proto::incident::{Incident, WatchChange, WatchUpdate};
use gpuwarden_proto::pb;
use gpuwarden_proto::pb::change_service_client::ChangeServiceClient;
use gpuwarden_proto::pb::fleet_service_client::FleetServiceClient;
use gpuwarden_proto::pb::incident_service_client::IncidentServiceClient;
use gpuwarden_proto::pb::topology_service_client::TopologyServiceClient;
use gpuwarden_proto::pb::uplink_service_client::UplinkServiceClient;
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::topology::Portrait;
use gpuwarden_proto::uplink::{Entry, FromNode};
use gpuwarden_proto::vocab::{ChangeKind, Seq};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::Code;
use tonic::transport::Channel;

use super::{CertifiedNode, Ingest, Times};
use crate::Aggregator;
use crate::clock::Clock;
use crate::config::Config;
use crate::store::{MemoryStore, SqliteStore, Store, StoreFault};
use crate::testing::{Speaker, entry, snapshot, subject};

struct Running {
    addr: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<anyhow::Result<()>>,
}

fn config() -> Config {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    Config { grpc_listen: any, http_listen: any, start_grace: Duration::ZERO, ..Config::default() }
}

async fn start_with(config: Config, store: Box<dyn Store>) -> Running {
    let aggregator = Aggregator::bind_with(config, Clock::System, store).await.unwrap();
    let addr = aggregator.grpc_addr().unwrap();
    let stop = CancellationToken::new();
    let task = tokio::spawn(aggregator.run(stop.clone()));
    Running { addr, stop, task }
}

async fn start(folder: &Path) -> Running {
    start_with(config(), Box::new(SqliteStore::open(folder).unwrap())).await
}

impl Running {
    async fn end(self) {
        self.stop.cancel();
        self.task.await.unwrap().unwrap();
    }

    async fn people(&self) -> IncidentServiceClient<Channel> {
        IncidentServiceClient::connect(format!("http://{}", self.addr)).await.unwrap()
    }

    async fn incidents(&self) -> Vec<Incident> {
        let request = pb::ListIncidentsRequest { include_resolved: true, ..Default::default() };
        let listed = self.people().await.list_incidents(request).await.unwrap().into_inner();
        listed.incidents.into_iter().map(|incident| incident.try_into().unwrap()).collect()
    }

    async fn topology(&self) -> TopologyServiceClient<Channel> {
        TopologyServiceClient::connect(format!("http://{}", self.addr)).await.unwrap()
    }

    async fn portrait(&self, name: &str) -> Portrait {
        let request = pb::GetPortraitRequest { name: name.to_owned() };
        let answer = self.topology().await.get_portrait(request).await.unwrap().into_inner();
        answer.portrait.unwrap().try_into().unwrap()
    }

    async fn nodes(&self) -> Vec<pb::Node> {
        let mut fleet = FleetServiceClient::connect(format!("http://{}", self.addr)).await.unwrap();
        fleet.list_nodes(pb::ListNodesRequest {}).await.unwrap().into_inner().nodes
    }
}

fn now() -> Timestamp {
    Clock::System.now()
}

#[tokio::test]
async fn an_acknowledged_event_is_on_disk_and_survives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let first = start(folder.path()).await;
    let mut node = Speaker::connect(first.addr, "node-a", 1).await;
    assert_eq!(node.welcome.acked_seq, Seq(0));
    node.send(vec![entry(1, now(), "raise queue-backup bert")]).await;
    assert_eq!(node.acked().await, (1, Vec::new()));
    let before = first.incidents().await;
    assert_eq!(before.len(), 1);
    first.end().await;

    let second = start(folder.path()).await;
    assert_eq!(second.incidents().await, before);
    let node = Speaker::connect(second.addr, "node-a", 2).await;
    assert_eq!(node.welcome.acked_seq, Seq(1));
    second.end().await;
}

fn change(seq: u64, kind: ChangeKind, subject: Subject) -> Entry {
    let change = Change { subject, kind, summary: String::new(), version: String::new() };
    let event = encode_event(&Event { observed_at: now(), body: Body::Change(change) });
    Entry { seq: Seq(seq), event }
}

#[tokio::test]
async fn a_deploy_before_a_restart_is_the_likely_cause_of_what_fails_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let first = start(folder.path()).await;
    let mut node = Speaker::connect(first.addr, "node-a", 1).await;
    node.send(vec![change(1, ChangeKind::ModelDeployed, subject("bert"))]).await;
    node.acked().await;
    first.end().await;

    let second = start(folder.path()).await;
    let mut node = Speaker::connect(second.addr, "node-a", 2).await;
    node.send(vec![entry(2, now(), "raise error-rate-high bert 0.5")]).await;
    node.acked().await;
    let roots = second.incidents().await[0].roots.clone();
    assert_eq!(roots[0].entity.to_string(), "version bert:1", "{roots:?}");
    second.end().await;
}

async fn record(running: &Running, words: &str) -> pb::RecordChangeResponse {
    let told = Told {
        key: Some("ci-7".to_owned()),
        about: vec![Entity::fleet(EntityKind::Version, "bert:1")],
        by: "ann".to_owned(),
        ..Told::new(ChangeKind::ModelDeployed, ChangeOrigin::Person, words)
    };
    let at = format!("http://{}", running.addr);
    let mut changes = ChangeServiceClient::connect(at).await.unwrap();
    let request = pb::RecordChangeRequest { change: Some(told.into()) };
    changes.record_change(request).await.unwrap().into_inner()
}

#[tokio::test]
async fn a_recorded_change_is_kept_over_a_restart_recorded_once_and_named_with_the_way_back() {
    let folder = tempfile::tempdir().unwrap();
    let first = start(folder.path()).await;
    assert!(!record(&first, "new weights").await.known);
    first.end().await;

    let second = start(folder.path()).await;
    let again = record(&second, "other words").await;
    assert!(again.known);
    assert_eq!(again.change.unwrap().summary, "new weights");
    let mut node = Speaker::connect(second.addr, "node-a", 1).await;
    node.send(vec![entry(1, now(), "raise error-rate-high bert 0.5")]).await;
    node.acked().await;
    let suspected = second.incidents().await[0].suspected_change.clone().unwrap();
    assert_eq!((suspected.summary.as_str(), suspected.by.as_str()), ("new weights", "ann"));
    assert!(suspected.rollback.starts_with("runbook high-error-rate, step 4"), "{suspected:?}");
    second.end().await;
}

#[tokio::test]
async fn a_change_is_not_acknowledged_before_it_is_on_disk() {
    let store = MemoryStore::default();
    let fault = store.fault();
    let running = start_with(config(), Box::new(store)).await;
    fault.set(Some(StoreFault::DiskFull));
    let told = Told::new(ChangeKind::Other, ChangeOrigin::Person, "a flag");
    let at = format!("http://{}", running.addr);
    let mut changes = ChangeServiceClient::connect(at).await.unwrap();
    let request = || pb::RecordChangeRequest { change: Some(told.clone().into()) };
    let refused = changes.record_change(request()).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
    fault.set(None);
    while changes.record_change(request()).await.is_err() {
        tokio::task::yield_now().await;
    }
    let listed = changes.list_changes(pb::ListChangesRequest { limit: 0 }).await.unwrap();
    assert_eq!(listed.into_inner().changes.len(), 1, "told twice, recorded once");
    running.end().await;
}

#[tokio::test]
async fn a_batch_that_comes_twice_has_no_effect_the_second_time() {
    let folder = tempfile::tempdir().unwrap();
    let running = start(folder.path()).await;
    let mut node = Speaker::connect(running.addr, "node-a", 3).await;
    let batch = vec![
        entry(1, now(), "raise queue-backup bert"),
        entry(2, now(), "clear queue-backup bert"),
    ];
    node.send(batch.clone()).await;
    assert_eq!(node.acked().await, (2, Vec::new()));
    let before = running.incidents().await;
    let mut again = Speaker::connect(running.addr, "node-a", 3).await;
    again.send(batch).await;
    assert_eq!(again.acked().await, (2, Vec::new()));
    assert_eq!(running.incidents().await, before);
    running.end().await;
}

#[tokio::test]
async fn a_bad_event_is_refused_by_itself_and_the_stream_lives() {
    let folder = tempfile::tempdir().unwrap();
    let running = start(folder.path()).await;
    let mut node = Speaker::connect(running.addr, "node-a", 1).await;
    let day = Duration::from_secs(86_400);
    node.send(vec![
        entry(1, now(), "raise queue-backup bert"),
        Entry { seq: Seq(2), event: vec![0xff; 9].into() },
        Entry { seq: Seq(3), event: vec![0; 70_000].into() },
        entry(4, now().before(day * 30), "raise xid gpu0"),
        entry(5, now().after(day), "raise xid gpu1"),
        entry(5, now(), "raise xid gpu2"),
        entry(6, now(), "raise telemetry-blind nvml"),
    ])
    .await;
    let (acked, rejected) = node.acked().await;
    assert_eq!(acked, 6);
    let refused: Vec<u64> = rejected.iter().map(|(seq, _)| *seq).collect();
    assert_eq!(refused, [2, 3, 4, 5, 5], "{rejected:?}");
    assert!(rejected[2].1.starts_with("observed 30 d 0 h ago"), "{}", rejected[2].1);
    assert!(rejected[3].1.contains("in the future"), "{}", rejected[3].1);
    assert!(rejected[4].1.contains("does not ascend"), "{}", rejected[4].1);
    assert_eq!(running.incidents().await.len(), 2);
    node.send(vec![entry(7, now(), "raise latency-high resnet")]).await;
    assert_eq!(node.acked().await, (7, Vec::new()));
    running.end().await;
}

#[tokio::test]
async fn a_watcher_sees_what_is_open_and_then_each_change() {
    let folder = tempfile::tempdir().unwrap();
    let running = start(folder.path()).await;
    let mut node = Speaker::connect(running.addr, "node-a", 1).await;
    node.send(vec![entry(1, now(), "raise queue-backup bert")]).await;
    node.acked().await;
    let mut people = running.people().await;
    let mut watch =
        people.watch_incidents(pb::WatchIncidentsRequest {}).await.unwrap().into_inner();
    let mut next = async || {
        let update = watch.message().await.unwrap().unwrap();
        let WatchUpdate { change, incident } = update.try_into().unwrap();
        (change, incident.id.0, incident.state.as_str())
    };
    assert_eq!(next().await, (WatchChange::Snapshot, 1, "open"));
    node.send(vec![entry(2, now(), "raise xid gpu0")]).await;
    assert_eq!(next().await.0, WatchChange::Changed, "a late cause joins");
    node.send(vec![entry(3, now(), "raise gpu-memory-exhausting gpu3")]).await;
    assert_eq!(next().await, (WatchChange::Opened, 2, "open"));
    let take = pb::AcknowledgeIncidentRequest { id: 2, by: "ann".to_owned(), until_unix_ns: 0 };
    running.people().await.acknowledge_incident(take).await.unwrap();
    assert_eq!(next().await, (WatchChange::Changed, 2, "acknowledged"));
    let end = |force| pb::ResolveIncidentRequest {
        id: 2,
        by: "ann".to_owned(),
        reason: "known".to_owned(),
        force,
    };
    let refused = running.people().await.resolve_incident(end(false)).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert!(refused.message().contains("resolve with force"), "{}", refused.message());
    running.people().await.resolve_incident(end(true)).await.unwrap();
    assert_eq!(next().await, (WatchChange::Resolved, 2, "resolved"));
    running.end().await;
}

#[tokio::test]
async fn nothing_is_acknowledged_that_is_not_on_disk_and_it_recovers_by_itself() {
    let store = MemoryStore::default();
    let fault = store.fault();
    let running = start_with(config(), Box::new(store)).await;
    let mut node = Speaker::connect(running.addr, "node-a", 1).await;
    fault.set(Some(StoreFault::DiskFull));
    node.send(vec![entry(1, now(), "raise queue-backup bert")]).await;
    let silent = tokio::time::timeout(Duration::from_millis(300), node.from.message()).await;
    assert!(silent.is_err(), "an ack although the disk is full: {silent:?}");
    assert_eq!(running.incidents().await.len(), 1, "people see it all the same");
    let take = pb::AcknowledgeIncidentRequest { id: 1, by: "ann".to_owned(), until_unix_ns: 0 };
    let refused = running.people().await.acknowledge_incident(take).await.unwrap_err();
    assert!(refused.message().contains("the disk is full"), "{}", refused.message());
    let node_b = Speaker::connect(running.addr, "node-b", 1).await;
    assert_eq!(node_b.welcome.acked_seq, Seq(0));
    fault.set(None);
    assert_eq!(node.acked().await, (1, Vec::new()));
    running.end().await;
}

#[tokio::test]
async fn streams_are_not_read_while_there_is_no_room() {
    let store = MemoryStore::default();
    let fault = store.fault();
    let mut config = config();
    config.limits.pending_events = 10;
    let running = start_with(config, Box::new(store)).await;
    fault.set(Some(StoreFault::ReadOnly));
    let mut node = Speaker::connect(running.addr, "node-a", 1).await;
    let send = async |from: u64| {
        for seq in from..from + 8 {
            node.send(vec![entry(seq, now(), "raise queue-backup bert")]).await;
        }
    };
    send(1).await;
    send(9).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(running.incidents().await.len(), 1);
    fault.set(None);
    let mut acked = 0;
    while acked < 16 {
        (acked, _) = node.acked().await;
    }
    running.end().await;
}

#[tokio::test]
async fn a_node_speaks_only_for_itself_and_a_newer_stream_ends_the_older() {
    let folder = tempfile::tempdir().unwrap();
    let running = start(folder.path()).await;
    let mut a = Speaker::connect(running.addr, "node-a", 1).await;
    let mut b = Speaker::connect(running.addr, "node-b", 1).await;
    a.send(vec![entry(1, now(), "raise xid gpu0")]).await;
    a.acked().await;
    b.send(vec![entry(1, now(), "clear xid gpu0")]).await;
    b.acked().await;
    let incidents = running.incidents().await;
    assert_eq!(incidents[0].members[0].cleared_at, None, "node-b cleared what node-a found");
    let newer = Speaker::connect(running.addr, "node-a", 2).await;
    let ended = a.from.message().await.unwrap_err();
    assert_eq!(ended.code(), Code::Aborted);
    assert_eq!(newer.welcome.acked_seq, Seq(1));
    running.end().await;
}

#[tokio::test]
async fn a_silent_node_is_lost_and_one_that_said_goodbye_is_not() {
    let mut config = config();
    config.node_lost_after = Duration::from_millis(600);
    let running = start_with(config, Box::new(MemoryStore::default())).await;
    let silent = Speaker::connect(running.addr, "node-a", 1).await;
    let mut leaving = Speaker::connect(running.addr, "node-b", 1).await;
    leaving.send(vec![change(1, ChangeKind::AgentStopped, Subject::Node)]).await;
    leaving.acked().await;
    drop((silent, leaving));
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let states: Vec<i32> = running.nodes().await.iter().map(|node| node.state).collect();
    assert_eq!(states, [pb::NodeState::Lost as i32, pb::NodeState::Stopped as i32]);
    let incidents = running.incidents().await;
    assert_eq!(incidents.len(), 1, "{incidents:?}");
    assert_eq!(incidents[0].kind.as_str(), "node-unreachable");
    let back = Speaker::connect(running.addr, "node-a", 1).await;
    while running.incidents().await[0].state.as_str() != "quiet" {
        tokio::task::yield_now().await;
    }
    drop(back);
    running.end().await;
}

#[tokio::test]
async fn a_snapshot_is_shown_and_raises_what_the_backlog_has_not_told_yet() {
    let running = start_with(config(), Box::new(MemoryStore::default())).await;
    let mut node = Speaker::connect(running.addr, "node-a", 5).await;
    let words = ["models=bert:9", "sources=nvml,triton/default", "active=queue-backup/bert"];
    let taken_at = now();
    node.say(FromNode::Snapshot(snapshot(&words, taken_at))).await;
    let minute = Duration::from_secs(60);
    node.send(vec![
        entry(3, taken_at.before(minute * 3), "raise queue-backup bert"),
        entry(4, taken_at.before(minute * 2), "clear queue-backup bert"),
    ])
    .await;
    assert_eq!(node.acked().await.0, 4);
    let incidents = running.incidents().await;
    assert_eq!(incidents.len(), 1);
    assert_eq!(incidents[0].members[0].cleared_at, None, "the snapshot knows better");
    assert_eq!(running.nodes().await[0].snapshot.as_ref().unwrap().servers.len(), 1);
    running.end().await;
}

#[tokio::test]
async fn what_a_newer_agent_knows_is_left_out_of_its_snapshot_and_the_rest_is_shown() {
    let running = start_with(config(), Box::new(MemoryStore::default())).await;
    let node = Speaker::connect(running.addr, "node-a", 1).await;
    let words = ["models=bert", "sources=nvml", "active=queue-backup/bert,xid/gpu3"];
    let mut wire = pb::Snapshot::from(snapshot(&words, now()));
    wire.active[0].rule = "spoon-bender".to_owned();
    let message = Some(pb::session_request::Message::Snapshot(wire));
    node.say_wire(pb::SessionRequest { message }).await;
    node.say_wire(pb::SessionRequest { message: None }).await;
    while running.incidents().await.is_empty() {
        tokio::task::yield_now().await;
    }
    let incidents = running.incidents().await;
    assert_eq!(incidents[0].members[0].rule.as_str(), "xid");
    assert_eq!(incidents[0].members.len(), 1);
    running.end().await;
}

#[tokio::test]
async fn a_stream_must_begin_with_who_it_is() {
    let running = start_with(config(), Box::new(MemoryStore::default())).await;
    let stream = tokio_stream::iter([pb::SessionRequest { message: None }]);
    let mut client =
        UplinkServiceClient::connect(format!("http://{}", running.addr)).await.unwrap();
    let mut from = client.session(stream).await.unwrap().into_inner();
    let refused = from.message().await.unwrap_err();
    assert_eq!(refused.message(), "the first message is not hello");
    running.end().await;
}

#[tokio::test]
async fn a_certificate_speaks_for_its_own_node_only() {
    let (batches, _batches) = tokio::sync::mpsc::channel(1);
    let (requests, mut asked) = tokio::sync::mpsc::channel(1);
    let config = std::sync::Arc::new(config());
    let times = Times { max_age: config.event_max_age, max_ahead: config.event_max_ahead };
    let metrics = std::sync::Arc::default();
    let ingest = Ingest { config, clock: Clock::System, metrics, times, batches, requests };
    let certified = |mut request: tonic::Request<()>| {
        request.extensions_mut().insert(CertifiedNode(crate::testing::node("node-b")));
        Ok(request)
    };
    let service = tonic::service::interceptor::InterceptedService::new(ingest.service(), certified);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
    let server = tonic::transport::Server::builder().serve_with_incoming(service, incoming);
    let server = tokio::spawn(server);
    let refused = Speaker::refused(addr, "node-a").await;
    assert_eq!(refused.code(), Code::PermissionDenied);
    assert_eq!(refused.message(), "the certificate is for node-b, not for node-a");
    assert!(asked.try_recv().is_err(), "the core was asked all the same");
    server.abort();
}

#[tokio::test]
async fn where_a_node_stands_and_how_its_gpus_are_cut_survives_a_restart() {
    let words = [
        "labels=rack:r1,zone:a,cluster:prod,tenant:lab",
        "driver=580.1",
        "gpus=GPU-0,MIG-9<GPU-0",
        "models=bert@MIG-9",
    ];
    let folder = tempfile::tempdir().unwrap();
    let first = start(folder.path()).await;
    let mut node = Speaker::connect(first.addr, "node-a", 1).await;
    node.say(FromNode::Snapshot(snapshot(&words, now()))).await;
    // What is acknowledged is on disk, and so is the snapshot before it.
    node.send(vec![entry(1, now(), "raise queue-backup bert")]).await;
    node.acked().await;
    let before = first.portrait("MIG-9").await;
    let ancestors: Vec<String> = before.ancestors.iter().map(ToString::to_string).collect();
    let expected = "gpu GPU-0 of node-a, node node-a, rack r1, tenant lab, zone a, cluster prod";
    assert_eq!(ancestors.join(", "), expected);
    first.end().await;

    let second = start(folder.path()).await;
    assert_eq!(second.portrait("MIG-9").await, before);
    assert_eq!(second.portrait("driver:580.1").await.totals.unwrap().mig_instances, 1);
    let mut client = second.topology().await;
    let request = pb::GetTreeRequest { depth: "node".to_owned() };
    assert_eq!(client.get_tree(request).await.unwrap().into_inner().branches.len(), 4);
    let request = pb::GetTreeRequest { depth: "city".to_owned() };
    let refused = client.get_tree(request).await.unwrap_err();
    assert_eq!(refused.message(), "`city` is no depth (one of: cluster, zone, rack, node)");
    let request = pb::GetPortraitRequest { name: "rack:r9".to_owned() };
    let refused = client.get_portrait(request).await.unwrap_err();
    assert!(refused.message().starts_with("nothing that is known is called `rack:r9`"));
    second.end().await;
}
