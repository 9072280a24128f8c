//! Status as it is shown, and the server that shows it.

use std::net::SocketAddr;
use std::time::Duration;

use gpuwarden_proto::event::{Evidence, Finding, Subject, Suspect, Unit};
use gpuwarden_proto::inventory::{Gpu, Model, Server, Source};
use gpuwarden_proto::vocab::{
    Availability, GpuUuid, Grade, ModelName, ModelVersion, RuleId, ServerName, SourceState,
};
use insta::assert_snapshot;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_util::sync::CancellationToken;

use super::fetch::Form;
use super::*;
use crate::engine::{EventKind, SourceCounters};
use gpuwarden_proto::event::Body;
use gpuwarden_proto::vocab::{ChangeKind, Phase, SourceName};

fn at(s: u64) -> Timestamp {
    Timestamp::from_unix_s(1_795_423_800 + s)
}

fn begun() -> Status {
    let now = Now { moment: Moment::ms(60_000), wall: at(60) };
    Status { version: "0.1.0", ..Status::begun(NodeId::new("node-a").unwrap(), now) }
}

fn source(name: &str, state: SourceState, reason: &str) -> Source {
    Source { name: SourceName::new(name).unwrap(), state, reason: reason.to_owned() }
}

fn model(name: &str, availability: Availability, reason: &str, pending: Option<f64>) -> Model {
    Model {
        name: ModelName::new(name).unwrap(),
        version: ModelVersion::new("1").unwrap(),
        availability,
        reason: reason.to_owned(),
        requests_per_s: pending.map(|_| 12.34),
        pending,
        gpus: Vec::new(),
        served: None,
    }
}

fn gpu(index: u32, lost: bool) -> Gpu {
    Gpu {
        uuid: GpuUuid::new(&format!("GPU-{index}")).unwrap(),
        index,
        name: "NVIDIA H100 80GB HBM3".to_owned(),
        pci_bus_id: "00000000:1B:00.0".to_owned(),
        memory_total_bytes: 80 << 30,
        memory_used_bytes: Some(61 << 30),
        utilization_ratio: (index == 0).then_some(0.93),
        lost,
        parent: None,
        profile: String::new(),
    }
}

fn finding() -> Finding {
    let gpu = GpuUuid::new("GPU-0").unwrap();
    let process =
        Subject::Process { gpu: gpu.clone(), pid: 4_711, start_ticks: 1, name: "train".to_owned() };
    Finding {
        rule: RuleId::GpuMemoryExhausted,
        subject: Subject::Gpu { uuid: gpu, index: Some(0) },
        phase: Phase::Raised,
        grade: Grade::Down,
        summary: "GPU 0 has 12 MiB left and model bad could not be loaded for want of memory; \
                  it needs more than that whatever else is done about it"
            .to_owned(),
        evidence: vec![
            Evidence::new("memory free", 12_582_912.0, Unit::Bytes).against(268_435_456.0),
            Evidence::new("queue wait", 1.5, Unit::Seconds).over(3.0).usually(0.02),
        ],
        suspects: vec![Suspect {
            subject: process,
            owner: "pod\u{1b}[31m/x".to_owned(),
            confidence: 0.8,
        }],
        gpus: Vec::new(),
        about: Vec::new(),
        raised_at: at(19),
    }
}

fn busy() -> Status {
    let mut status = begun();
    status.snapshot.sources = vec![
        source("nvml", SourceState::Seeing, ""),
        source(
            "triton/default",
            SourceState::Blind,
            "metrics page: nobody listens on 127.0.0.1:8002",
        ),
        source("kmsg", SourceState::Absent, "/dev/kmsg may not be read"),
    ];
    status.snapshot.gpus = vec![gpu(0, false), gpu(1, true)];
    let reason = "Internal: RuntimeError: weights missing\n\nAt:\n  /models/bad/1/model.py(3)";
    status.snapshot.servers = vec![Server {
        name: ServerName::new("default").unwrap(),
        version: "2.51.0".to_owned(),
        availability: Availability::Ready,
        models: vec![
            model("bert-large", Availability::Ready, "", Some(4.0)),
            model("bad", Availability::Failed, reason, None),
        ],
    }];
    status.snapshot.active = vec![finding()];
    let counters = SourceCounters { samples: 120, problems: 2 };
    status.counters.sources.insert(SourceName::new("nvml").unwrap(), counters);
    status.counters.events.insert(EventKind::of(&Body::Finding(finding())), 1);
    status.counters.changes.insert(ChangeKind::ModelUnloaded, 3);
    status.counters.rule_rounds = 120;
    status.counters.rule_s_total = 0.0125;
    status.counters.rule_s_max = 0.0005;
    status.outbox = OutboxStatus {
        rows: 3,
        bytes: 1_536,
        oldest_at: Some(at(19)),
        dropped: 7,
        fault: Some("the disk is full".to_owned()),
    };
    status.uplink = UplinkStatus {
        endpoint: Some("http://127.0.0.1:7443".to_owned()),
        connected: false,
        since: Some(at(1)),
        acked: Seq(3_871),
        reason: "connection refused".to_owned(),
    };
    status
}

#[test]
fn a_busy_node_reads_well() {
    let text = render(&busy());
    assert!(text.lines().all(|line| line.chars().count() <= 100));
    assert_snapshot!(text, @r"
    gpuwarden-agent 0.1.0 on node-a, 2026-11-23T08:51:00.000Z

    SOURCES
      nvml                         seeing
      triton/default               blind        metrics page: nobody listens on 127.0.0.1:8002
      kmsg                         absent       /dev/kmsg may not be read

    GPUS
      0 NVIDIA H100 80GB HBM3      61.0 GiB of 80.0 GiB used, 93 % busy
      1 NVIDIA H100 80GB HBM3      LOST, the driver cannot reach it

    SERVERS
      default                      ready        2.51.0
        bert-large/1               ready        12.3 requests/s, 4 waiting
        bad/1                      failed       Internal: RuntimeError: weights missing At:
          /models/bad/1/model.py(3)

    FINDINGS
      down      gpu-memory-exhausted on GPU 0, for 41 s
                GPU 0 has 12 MiB left and model bad could not be loaded for want of memory; it needs
                  more than that whatever else is done about it
                memory free 12.0 MiB, limit 256.0 MiB
                queue wait 1.500 s over 3 s, usually 0.020 s
                suspect train (pid 4711) of pod[31m/x, 80 % sure

    DELIVERY
      outbox: 3 events (1.5 KiB) wait, the oldest for 41 s (since 2026-11-23T08:50:19.000Z); 7 given up
        since the agent began; NOT ON DISK: the disk is full
      aggregator: http://127.0.0.1:7443, NOT CONNECTED for 59 s: connection refused
    ");
}

#[test]
fn an_agent_that_has_only_begun_says_that_nothing_is_seen() {
    assert_snapshot!(render(&begun()), @r"
    gpuwarden-agent 0.1.0 on node-a, 2026-11-23T08:51:00.000Z

    SOURCES  none

    GPUS  none

    SERVERS  none

    FINDINGS  none

    DELIVERY
      outbox: nothing waits
      aggregator: none is set, everything stays on this node
    ");
}

#[test]
fn metrics_are_open_metrics() {
    assert_snapshot!(metrics::encode(Arc::new(busy())).unwrap(), @r#"
    # HELP gpuwarden_agent_build_info Version of the agent, as a label
    # TYPE gpuwarden_agent_build_info gauge
    gpuwarden_agent_build_info{version="0.1.0"} 1.0
    # HELP gpuwarden_agent_source_seeing Whether each source sees
    # TYPE gpuwarden_agent_source_seeing gauge
    gpuwarden_agent_source_seeing{source="nvml"} 1.0
    gpuwarden_agent_source_seeing{source="triton/default"} 0.0
    gpuwarden_agent_source_seeing{source="kmsg"} 0.0
    # HELP gpuwarden_agent_blind Whether any source that saw no longer does
    # TYPE gpuwarden_agent_blind gauge
    gpuwarden_agent_blind 1.0
    # HELP gpuwarden_agent_samples Samples taken in, by source
    # TYPE gpuwarden_agent_samples counter
    gpuwarden_agent_samples_total{source="nvml"} 120.0
    # HELP gpuwarden_agent_problems Lines, calls and answers that could not be read, by source
    # TYPE gpuwarden_agent_problems counter
    gpuwarden_agent_problems_total{source="nvml"} 2.0
    # HELP gpuwarden_agent_findings_active Active findings, by rule
    # TYPE gpuwarden_agent_findings_active gauge
    gpuwarden_agent_findings_active{rule="gpu-memory-exhausted"} 1.0
    # HELP gpuwarden_agent_events Events put into the outbox, by kind
    # TYPE gpuwarden_agent_events counter
    gpuwarden_agent_events_total{kind="finding-raised"} 1.0
    # HELP gpuwarden_agent_changes Changes observed on the node, by kind
    # TYPE gpuwarden_agent_changes counter
    gpuwarden_agent_changes_total{kind="model-unloaded"} 3.0
    # HELP gpuwarden_agent_rule_rounds Times the rules were run
    # TYPE gpuwarden_agent_rule_rounds counter
    gpuwarden_agent_rule_rounds_total 120.0
    # HELP gpuwarden_agent_rule_seconds Time spent in rules
    # TYPE gpuwarden_agent_rule_seconds counter
    # UNIT gpuwarden_agent_rule_seconds seconds
    gpuwarden_agent_rule_seconds_total 0.0125
    # HELP gpuwarden_agent_rule_round_max_seconds Time of the longest round of rules
    # TYPE gpuwarden_agent_rule_round_max_seconds gauge
    # UNIT gpuwarden_agent_rule_round_max_seconds seconds
    gpuwarden_agent_rule_round_max_seconds 0.0005
    # HELP gpuwarden_agent_outbox_rows Events not acknowledged by the aggregator
    # TYPE gpuwarden_agent_outbox_rows gauge
    gpuwarden_agent_outbox_rows 3.0
    # HELP gpuwarden_agent_outbox_bytes Size of the events not acknowledged
    # TYPE gpuwarden_agent_outbox_bytes gauge
    # UNIT gpuwarden_agent_outbox_bytes bytes
    gpuwarden_agent_outbox_bytes 1536.0
    # HELP gpuwarden_agent_outbox_oldest_age_seconds Age of the oldest event not acknowledged
    # TYPE gpuwarden_agent_outbox_oldest_age_seconds gauge
    # UNIT gpuwarden_agent_outbox_oldest_age_seconds seconds
    gpuwarden_agent_outbox_oldest_age_seconds 41.0
    # HELP gpuwarden_agent_outbox_dropped Events given up before they were acknowledged
    # TYPE gpuwarden_agent_outbox_dropped counter
    gpuwarden_agent_outbox_dropped_total 7.0
    # HELP gpuwarden_agent_uplink_connected Whether there is a stream to the aggregator
    # TYPE gpuwarden_agent_uplink_connected gauge
    gpuwarden_agent_uplink_connected 0.0
    # HELP gpuwarden_agent_uplink_acked_seq Sequence number of the last event acknowledged
    # TYPE gpuwarden_agent_uplink_acked_seq gauge
    gpuwarden_agent_uplink_acked_seq 3871.0
    # EOF
    "#);
}

/// A server over one status, whose clock stands at `now`.
async fn served(status: Status, now: Moment) -> (SocketAddr, StatusBoard) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (board, view) = StatusBoard::new(status);
    tokio::spawn(serve(listener, view, move || now, CancellationToken::new()));
    (address, board)
}

/// The whole answer to a request, head and body.
async fn ask(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

async fn get(address: SocketAddr, path: &str) -> String {
    ask(address, &format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).await
}

#[tokio::test]
async fn health_follows_the_heartbeat() {
    let (address, board) = served(begun(), Moment::ms(66_000)).await;
    let sick = get(address, "/healthz").await;
    assert!(sick.starts_with("HTTP/1.1 503 "), "{sick}");
    assert!(sick.ends_with("the engine has not moved for 6 s\n"), "{sick}");
    board.publish(Status { moment: Moment::ms(61_000), ..begun() });
    let well = get(address, "/healthz").await;
    assert!(well.starts_with("HTTP/1.1 200 ") && well.ends_with("\r\n\r\nok\n"), "{well}");
}

#[tokio::test]
async fn pages_are_served_and_nothing_can_be_told() {
    let (address, _board) = served(busy(), Moment::default()).await;
    let metrics = get(address, "/metrics").await;
    assert!(metrics.contains("application/openmetrics-text") && metrics.ends_with("# EOF\n"));
    assert!(get(address, "/").await.ends_with("/status.txt\n"));
    assert!(get(address, "/nothing").await.starts_with("HTTP/1.1 404 "));
    let post = "POST /status HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n";
    assert!(ask(address, post).await.starts_with("HTTP/1.1 405 "));
    let endless = format!("GET /{} HTTP/1.1\r\n", "x".repeat(100_000));
    let mut stream = TcpStream::connect(address).await.unwrap();
    let _ = stream.write_all(endless.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP/1.1 200"));
}

#[tokio::test]
async fn a_status_is_fetched_in_both_forms() {
    let (address, _board) = served(busy(), Moment::default()).await;
    assert_eq!(fetch(address, Form::Text).await.unwrap(), render(&busy()));
    let json: serde_json::Value =
        serde_json::from_str(&fetch(address, Form::Json).await.unwrap()).unwrap();
    assert_eq!(json["snapshot"]["active"][0]["rule"], "gpu-memory-exhausted");
    assert_eq!(json["counters"]["sources"]["nvml"]["samples"], 120);
    assert_eq!(json["counters"]["events"]["finding-raised"], 1);
    assert_eq!(json["uplink"]["acked"], 3_871);
}

#[tokio::test]
async fn more_clients_than_are_served_wait_their_turn() {
    let (address, _board) = served(begun(), Moment::default()).await;
    let mut idle = Vec::new();
    for _ in 0..40 {
        idle.push(TcpStream::connect(address).await.unwrap());
    }
    let asked = tokio::spawn(async move { get(address, "/healthz").await });
    drop(idle);
    let answer = tokio::time::timeout(Duration::from_secs(30), asked).await.unwrap().unwrap();
    assert!(answer.ends_with("ok\n"));
}

#[tokio::test]
async fn no_agent_is_said_in_words_that_help() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    let error = fetch(address, Form::Json).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "no agent listens on {address}: is gpuwarden-agent running, and is its \
             `status.listen` that address?"
        )
    );
}
