//! The aggregator, with an agent's outbox and uplink before it.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use gpuwarden_agent::clock::Clock;
use gpuwarden_agent::config::{OutboxConfig, UplinkConfig};
use gpuwarden_agent::outbox::{OutboxHandle, OutboxThread};
use gpuwarden_agent::source::http::{Address, Endpoint, Patience};
use gpuwarden_agent::uplink::{self, Identity, Uplink};
use gpuwarden_aggregator::config::Config;
use gpuwarden_aggregator::store::SqliteStore;
use gpuwarden_proto::event::{Body, Event, Finding, Subject};
use gpuwarden_proto::inventory::Snapshot;
use gpuwarden_proto::pb;
use gpuwarden_proto::pb::incident_service_client::IncidentServiceClient;
use gpuwarden_proto::vocab::{
    Grade, ModelName, ModelVersion, NodeId, Phase, RuleId, Seq, ServerName,
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::mounts::{Disk, Tmpfs, alone};

/// Far more than anything here takes: what takes longer will never be done.
const PATIENCE: Duration = Duration::from_secs(60);

fn run<T>(check: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let checked = runtime.block_on(async { tokio::time::timeout(PATIENCE, check).await });
    runtime.shutdown_background();
    checked.expect("it has not been done within a minute")
}

fn free_address() -> SocketAddr {
    let any = TcpListener::bind("127.0.0.1:0").expect("a free port");
    any.local_addr().expect("an address")
}

fn config(folder: &Path) -> Config {
    Config {
        grpc_listen: free_address(),
        http_listen: free_address(),
        data_dir: folder.to_owned(),
        ..Config::default()
    }
}

/// What it says of its own health, once it says anything; 0 for nothing.
async fn health(config: &Config) -> u16 {
    let url = format!("http://{}/healthz", config.http_listen);
    let patience = Patience { connect: PATIENCE, answer: PATIENCE, kept: PATIENCE };
    let mut endpoint = Endpoint::new(Address::parse(&url).expect("a URL"), patience);
    endpoint.get("").await.map_or(0, |answer| answer.status)
}

async fn wait_for_health(config: &Config, wanted: u16) {
    while health(config).await != wanted {
        tokio::task::yield_now().await;
    }
}

async fn people(config: &Config) -> IncidentServiceClient<tonic::transport::Channel> {
    let url = format!("http://{}", config.grpc_listen);
    IncidentServiceClient::connect(url).await.expect("the aggregator serves")
}

/// Numbers of the incidents and how many members each has.
async fn incidents(config: &Config) -> Vec<(u64, usize)> {
    let ask = pb::ListIncidentsRequest { include_resolved: true, limit: 0 };
    let answer = people(config).await.list_incidents(ask).await.expect("an answer").into_inner();
    answer.incidents.iter().map(|incident| (incident.id, incident.members.len())).collect()
}

fn start_node(folder: &Path, config: &Config) -> OutboxHandle {
    let clock = Clock::start();
    let max_age = Duration::from_secs(3_600);
    let limits = OutboxConfig { max_rows: 1_000, max_bytes: 1 << 20, max_age };
    let (_thread, outbox) = OutboxThread::start(folder, &limits, clock).expect("a thread");
    let (pictures, snapshots) = watch::channel(Arc::new(Snapshot::empty(clock.now().wall)));
    let uplink_config = UplinkConfig {
        endpoint: Some(format!("http://{}", config.grpc_listen)),
        connect_timeout: PATIENCE,
    };
    let (status, _) = watch::channel(Uplink::initial_status(&uplink_config, clock.now().wall));
    let uplink = Uplink {
        config: uplink_config,
        identity: Identity {
            node: NodeId::new("node-a").expect("a name"),
            agent_version: "0.1.0".to_owned(),
            boot_id: String::new(),
        },
        outbox: outbox.clone(),
        snapshots,
        clock,
        seed: 1,
        patience: uplink::Patience {
            step: Duration::from_millis(10),
            ..uplink::Patience::default()
        },
    };
    tokio::spawn(async move {
        uplink.run(status, CancellationToken::new()).await;
        drop(pictures);
    });
    outbox
}

fn raise(outbox: &OutboxHandle, rule: RuleId, model: &str) {
    let observed_at = Clock::start().now().wall;
    outbox.append(vec![Event {
        observed_at,
        body: Body::Finding(Finding {
            gpus: Vec::new(),
            about: Vec::new(),
            rule,
            subject: Subject::Model {
                server: ServerName::new("default").expect("a name"),
                model: ModelName::new(model).expect("a name"),
                version: ModelVersion::new("1").expect("a version"),
            },
            phase: Phase::Raised,
            grade: Grade::Degraded,
            summary: format!("{rule} seen"),
            evidence: Vec::new(),
            suspects: Vec::new(),
            raised_at: observed_at,
        }),
    }]);
}

async fn acknowledged(outbox: &OutboxHandle, seq: u64) {
    let mut status = outbox.status();
    status.wait_for(|status| status.acked_seq >= Seq(seq)).await.expect("the outbox is open");
}

type Aggregator = Pin<Box<dyn Future<Output = anyhow::Result<()>> + Send>>;

/// Starts where the disk refuses, which is told in these words.
async fn waiting(config: &Config, refusal: &str, stop: &CancellationToken) -> Aggregator {
    let error = SqliteStore::open(&config.data_dir).expect_err("the disk refuses").to_string();
    assert_eq!(error.replace(&config.data_dir.display().to_string(), "DIR"), refusal);
    let mut aggregator = Box::pin(gpuwarden_aggregator::run(config.clone(), stop.clone()));
    let tried = tokio::time::timeout(Duration::ZERO, &mut aggregator).await;
    assert!(tried.is_err(), "it did not wait: {tried:?}");
    aggregator
}

/// Starts where the disk refuses, and serves once it does not.
async fn starts_late(config: &Config, refusal: &str, mend: impl FnOnce()) {
    let stop = CancellationToken::new();
    let aggregator = waiting(config, refusal, &stop).await;
    mend();
    let aggregator = tokio::spawn(aggregator);
    wait_for_health(config, 200).await;
    assert_eq!(incidents(config).await, []);
    stop.cancel();
    aggregator.await.expect("no panic").expect("a clean end");
}

const READ_ONLY: &str = "cannot lock DIR/aggregator.db: it is read-only; \
                         make the file and its folder writable; it goes on by itself";
const FULL: &str = "cannot prepare DIR/aggregator.db: the disk is full; \
                    free some space; it goes on by itself";

#[test]
fn a_start_on_a_read_only_disk_waits_until_it_can_be_written() {
    let test = "aggregator::a_start_on_a_read_only_disk_waits_until_it_can_be_written";
    alone(test, |place| {
        let tmpfs = Tmpfs::mount(place.join("state"))?;
        tmpfs.forbid_writing();
        run(starts_late(&config(tmpfs.folder()), READ_ONLY, || tmpfs.allow_writing()));
        Ok(())
    });
}

#[test]
fn a_start_on_a_full_disk_waits_until_there_is_room() {
    let test = "aggregator::a_start_on_a_full_disk_waits_until_there_is_room";
    alone(test, |place| {
        let tmpfs = Tmpfs::mount(place.join("state"))?;
        drop(SqliteStore::open(tmpfs.folder()).expect("an empty disk"));
        tmpfs.fill();
        run(starts_late(&config(tmpfs.folder()), FULL, || tmpfs.empty()));
        Ok(())
    });
}

#[test]
fn a_wait_for_the_disk_ends_when_told_to_stop() {
    let test = "aggregator::a_wait_for_the_disk_ends_when_told_to_stop";
    alone(test, |place| {
        let tmpfs = Tmpfs::mount(place.join("state"))?;
        tmpfs.forbid_writing();
        run(async {
            let stop = CancellationToken::new();
            let aggregator = waiting(&config(tmpfs.folder()), READ_ONLY, &stop).await;
            stop.cancel();
            aggregator.await.expect("a clean end");
        });
        Ok(())
    });
}

/// A disk that refuses in use, which is told in these words, and then no longer does.
struct Trouble<'a> {
    folder: &'a Path,
    begin: &'a dyn Fn(),
    words: &'a str,
    end: &'a dyn Fn(),
}

async fn goes_on_through(trouble: Trouble<'_>, node: &Path) {
    let config = config(trouble.folder);
    let stop = CancellationToken::new();
    let aggregator = tokio::spawn(gpuwarden_aggregator::run(config.clone(), stop.clone()));
    let outbox = start_node(node, &config);
    raise(&outbox, RuleId::QueueBackup, "bert");
    acknowledged(&outbox, 1).await;

    (trouble.begin)();
    raise(&outbox, RuleId::LatencyHigh, "resnet");
    while incidents(&config).await != [(1, 1), (2, 1)] {
        tokio::task::yield_now().await;
    }
    wait_for_health(&config, 503).await;
    let note = pb::NoteIncidentRequest { id: 1, by: "ann".to_owned(), text: "hm".to_owned() };
    let refused = people(&config).await.note_incident(note).await.expect_err("no disk");
    let words = refused.message().replace(&trouble.folder.display().to_string(), "DIR");
    assert_eq!(words, trouble.words);
    assert_eq!(outbox.status().borrow().acked_seq, Seq(1));

    (trouble.end)();
    acknowledged(&outbox, 2).await;
    assert_eq!(incidents(&config).await, [(1, 1), (2, 1)]);
    wait_for_health(&config, 200).await;
    stop.cancel();
    aggregator.await.expect("no panic").expect("a clean end");
}

#[test]
fn a_disk_that_becomes_read_only_in_use_is_told_and_taken_up_again_once_it_is_mounted_anew() {
    let test = "aggregator::a_disk_that_becomes_read_only_in_use_is_told_and_taken_up_again_once_it_is_mounted_anew";
    alone(test, |place| {
        let disk = Disk::mount(place)?;
        let trouble = Trouble {
            folder: disk.folder(),
            begin: &|| disk.break_down(),
            words: "taken up, but not on disk yet: cannot commit to DIR/aggregator.db: it is \
                    read-only; make the file and its folder writable; it goes on by itself",
            end: &|| disk.repair(),
        };
        run(goes_on_through(trouble, &place.join("node")));
        Ok(())
    });
}

#[test]
fn a_disk_that_fills_up_in_use_is_told_and_used_again_once_there_is_room() {
    let test = "aggregator::a_disk_that_fills_up_in_use_is_told_and_used_again_once_there_is_room";
    alone(test, |place| {
        let tmpfs = Tmpfs::mount(place.join("state"))?;
        let trouble = Trouble {
            folder: tmpfs.folder(),
            begin: &|| tmpfs.fill(),
            words: "taken up, but not on disk yet: cannot commit to DIR/aggregator.db: the disk is \
                    full; free some space; it goes on by itself",
            end: &|| tmpfs.empty(),
        };
        run(goes_on_through(trouble, &place.join("node")));
        Ok(())
    });
}
