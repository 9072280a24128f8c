use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use gpuwarden_proto::incident::Incident;
use gpuwarden_proto::pb::incident_service_client::IncidentServiceClient;
use gpuwarden_proto::pb::silence_service_client::SilenceServiceClient;
use gpuwarden_proto::silence::{Hold, Listed};
use gpuwarden_proto::vocab::SilenceState;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::Code;
use tonic::transport::Channel;

use super::*;
use crate::Aggregator;
use crate::clock::Clock;
use crate::config::Config;
use crate::status::{HeldBy, Holder, Metrics};
use crate::store::{Fault, MemoryStore, SqliteStore, Store, StoreFault};
use crate::testing::{Speaker, entry};

struct Running {
    addr: SocketAddr,
    metrics: std::sync::Arc<Metrics>,
    stop: CancellationToken,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Running {
    async fn start(store: Box<dyn Store>) -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let config = Config { grpc_listen: any, http_listen: any, ..Config::default() };
        let aggregator = Aggregator::bind_with(config, Clock::System, store).await.unwrap();
        let (addr, metrics) = (aggregator.grpc_addr().unwrap(), aggregator.metrics());
        let stop = CancellationToken::new();
        let task = tokio::spawn(aggregator.run(stop.clone()));
        Self { addr, metrics, stop, task }
    }

    async fn on(folder: &Path) -> Self {
        Self::start(Box::new(SqliteStore::open(folder).unwrap())).await
    }

    async fn end(self) {
        self.stop.cancel();
        self.task.await.unwrap().unwrap();
    }

    async fn silences(&self) -> SilenceServiceClient<Channel> {
        SilenceServiceClient::connect(format!("http://{}", self.addr)).await.unwrap()
    }

    async fn create(&self, request: pb::CreateSilenceRequest) -> Result<Listed, Status> {
        let answer = self.silences().await.create_silence(request).await?;
        Ok(answer.into_inner().silence.unwrap().try_into().unwrap())
    }

    async fn list(&self) -> Vec<Listed> {
        let request = pb::ListSilencesRequest { include_over: true };
        let answer = self.silences().await.list_silences(request).await.unwrap().into_inner();
        answer.silences.into_iter().map(|each| each.try_into().unwrap()).collect()
    }

    /// What is listed, and how many are held back and not among them.
    async fn incidents(&self, only_held: bool) -> (Vec<Incident>, u64) {
        let url = format!("http://{}", self.addr);
        let mut people = IncidentServiceClient::connect(url).await.unwrap();
        let request = pb::ListIncidentsRequest { only_held, ..Default::default() };
        let answer = people.list_incidents(request).await.unwrap().into_inner();
        let incidents = answer.incidents.into_iter().map(|each| each.try_into().unwrap());
        (incidents.collect(), answer.held_back)
    }
}

fn request(matchers: &[&str]) -> pb::CreateSilenceRequest {
    let draft = Draft {
        kind: gpuwarden_proto::vocab::SilenceKind::Silence,
        matchers: matchers.iter().map(|text| text.parse().unwrap()).collect(),
        entities: Vec::new(),
        starts_at: None,
        end: gpuwarden_proto::silence::End::After(Duration::from_secs(3600)),
        author: "ann".to_owned(),
        reason: "RMA".to_owned(),
        even_critical: false,
        repeat: None,
    };
    draft.into()
}

async fn raise(addr: SocketAddr, seq: u64, words: &[&str]) -> Speaker {
    let mut node = Speaker::connect(addr, "node-a", seq).await;
    let now = Clock::System.now();
    let entries = words.iter().zip(seq..).map(|(words, seq)| entry(seq, now, words)).collect();
    node.send(entries).await;
    node.acked().await;
    node
}

#[tokio::test]
async fn what_is_silenced_is_counted_and_not_listed_also_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let first = Running::on(folder.path()).await;
    let _node =
        raise(first.addr, 1, &["raise queue-backup bert", "raise telemetry-blind nvml warning"])
            .await;
    let made = first.create(request(&["rule=queue-backup"])).await.unwrap();
    let one = Hold { incidents: 1, findings: 1, ..Hold::default() };
    assert_eq!((made.silence.id, made.state, made.now), (SilenceId(1), SilenceState::Active, one));
    let (shown, held_back) = first.incidents(false).await;
    assert_eq!((shown.len(), held_back), (1, 1));
    let before = (first.list().await, first.incidents(true).await);
    first.end().await;

    let second = Running::on(folder.path()).await;
    assert_eq!((second.list().await, second.incidents(true).await), before);
    assert_eq!(before.0[0].silence.findings_held, 1, "it is counted once");
    let end = pb::EndSilenceRequest { id: 1, by: "bob".to_owned() };
    second.silences().await.end_silence(end.clone()).await.unwrap();
    let (shown, held_back) = second.incidents(false).await;
    assert_eq!((shown.len(), held_back), (2, 0));
    let released = shown.iter().flat_map(|incident| &incident.timeline);
    assert!(released.clone().any(|line| line.kind == "released" && line.text == "bob ended S1"));
    let refused = second.silences().await.end_silence(end).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "{refused}");
    second.end().await;

    let third = Running::on(folder.path()).await;
    assert_eq!(third.list().await[0].state, SilenceState::Over, "it stays listed");
    let next = third.create(request(&["rule=telemetry-blind"])).await.unwrap();
    assert_eq!(next.silence.id, SilenceId(2), "numbers are not used twice");
    third.end().await;
}

#[tokio::test]
async fn what_is_held_back_is_listed_with_its_reason_and_measured() {
    let running = Running::start(Box::new(MemoryStore::default())).await;
    running.create(request(&["node=node-a"])).await.unwrap();
    let _node = raise(running.addr, 1, &["raise queue-backup bert"]).await;
    let answer = running.silences().await.list_held(pb::ListHeldRequest {}).await.unwrap();
    let held = answer.into_inner().held;
    let by = held[0].suppression.clone().unwrap();
    assert_eq!((held[0].incident, by.author.as_str(), by.reason.as_str()), (1, "ann", "RMA"));
    let gauge =
        running.metrics.incidents_held.get_or_create(&HeldBy { by: Holder::Silence }).clone();
    while gauge.get() == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(running.metrics.findings_held.get(), 1);
    running.end().await;
}

#[tokio::test]
async fn a_dry_run_makes_nothing_and_what_is_wrong_is_told_in_words() {
    let running = Running::start(Box::new(MemoryStore::default())).await;
    let _node = raise(running.addr, 1, &["raise queue-backup bert"]).await;
    let dry_run = pb::CreateSilenceRequest { dry_run: true, ..request(&["node=node-a"]) };
    let told = running.create(dry_run).await.unwrap();
    assert_eq!((told.silence.id, told.now.incidents), (SilenceId(0), 1));
    assert!(running.list().await.is_empty());
    let refused = running.create(request(&["node=~("])).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert_eq!(refused.message(), "`node=~(` is no expression: unclosed group");
    let matchers = vec![pb::Matcher { key: "shelf".into(), op: "=".into(), value: "1".into() }];
    let unknown = pb::CreateSilenceRequest { matchers, ..request(&[]) };
    let refused = running.create(unknown).await.unwrap_err();
    assert!(refused.message().starts_with("nothing can be matched by `shelf`"), "{refused}");
    running.end().await;
}

#[tokio::test]
async fn a_silence_that_is_not_on_disk_says_so() {
    let store = MemoryStore::default();
    let fault: Fault = store.fault();
    let running = Running::start(Box::new(store)).await;
    fault.set(Some(StoreFault::DiskFull));
    let refused = running.create(request(&["node=node-a"])).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
    assert!(refused.message().starts_with("taken up, but not on disk yet"), "{refused}");
    fault.set(None);
    while running.metrics.store_healthy.get() == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(running.list().await.len(), 1);
    running.end().await;
}
