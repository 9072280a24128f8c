//! `gpuwarden incidents explain` and `gpuwarden explain event` as they are run, against a real
//! aggregator to which a node has told something.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use gpuwarden_aggregator::Aggregator;
use gpuwarden_aggregator::clock::Clock;
use gpuwarden_aggregator::config::Config;
use gpuwarden_aggregator::store::SqliteStore;
use gpuwarden_proto::convert::encode_event;
use gpuwarden_proto::event::{Body, Change, Event, Finding, Gap, Subject};
use gpuwarden_proto::pb::uplink_service_client::UplinkServiceClient;
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::uplink::{Entry, FromNode, Hello, ToNode};
use gpuwarden_proto::vocab::{
    ChangeKind, Epoch, GpuUuid, Grade, ModelName, ModelVersion, NodeId, Phase, RuleId, Seq,
    ServerName,
};
use serde_json::Value;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;

/// An aggregator that ends with the test.
struct Desk {
    addr: SocketAddr,
    runtime: tokio::runtime::Runtime,
}

impl Desk {
    fn open(folder: &Path) -> Self {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let config = Config { grpc_listen: any, http_listen: any, ..Config::default() };
        let store = Box::new(SqliteStore::open(folder).expect("a store"));
        let bound = runtime.block_on(Aggregator::bind_with(config, Clock::System, store));
        let aggregator = bound.expect("free ports");
        let addr = aggregator.grpc_addr().expect("an address");
        runtime.spawn(aggregator.run(CancellationToken::new()));
        Self { addr, runtime }
    }

    /// A node tells these events, and waits until they are on disk.
    fn told(&self, events: Vec<(u64, Event)>) {
        let last = events.last().map_or(0, |(seq, _)| *seq);
        let entry = |(seq, event)| Entry { seq: Seq(seq), event: encode_event(&event) };
        let hello = Hello {
            node: NodeId::new("node-a").expect("a good name"),
            epoch: Epoch(7),
            next_seq: Seq(1),
            agent_version: "0.1.0".to_owned(),
            boot_id: String::new(),
        };
        let batch = events.into_iter().map(entry).collect();
        self.runtime.block_on(async {
            let url = format!("http://{}", self.addr);
            let mut client = UplinkServiceClient::connect(url).await.expect("it serves");
            let (to, stream) = tokio::sync::mpsc::channel(4);
            to.send(FromNode::Hello(hello).into()).await.expect("it is read");
            to.send(FromNode::Batch(batch).into()).await.expect("it is read");
            let session = client.session(ReceiverStream::new(stream)).await.expect("it is let in");
            let mut from = session.into_inner();
            loop {
                let heard = tokio::time::timeout(Duration::from_secs(20), from.message()).await;
                let message = heard.expect("it answers").expect("it lives").expect("it goes on");
                match ToNode::try_from(message).expect("it is known") {
                    ToNode::Ack { acked_seq, .. } if acked_seq.0 >= last => return,
                    _ => {}
                }
            }
        });
    }

    fn run(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gpuwarden"));
        let url = format!("http://{}", self.addr);
        command.args(args).env("GPUWARDEN_AGGREGATOR", url).output().expect("it runs")
    }

    fn trace(&self, seq: &str) -> Value {
        let output = self.run(&["explain", "event", "node-a", seq, "--output", "json"]);
        let mut value: Value = serde_json::from_slice(&output.stdout).expect("one JSON document");
        value["traces"][0].take()
    }
}

fn finding(rule: RuleId, subject: Subject, phase: Phase, at: Timestamp) -> Event {
    let summary = format!("{rule} seen");
    let (evidence, suspects) = (Vec::new(), Vec::new());
    let (gpus, about) = (Vec::new(), Vec::new());
    let grade = Grade::Degraded;
    let raised_at = at;
    let finding = Finding {
        rule,
        subject,
        phase,
        grade,
        summary,
        evidence,
        suspects,
        raised_at,
        gpus,
        about,
    };
    Event { observed_at: at, body: Body::Finding(finding) }
}

fn gpu() -> Subject {
    Subject::Gpu { uuid: GpuUuid::new("GPU-0").expect("a good uuid"), index: Some(0) }
}

fn bert() -> Subject {
    Subject::Model {
        server: ServerName::new("default").expect("a good name"),
        model: ModelName::new("bert").expect("a good name"),
        version: ModelVersion::new("1").expect("a good version"),
    }
}

/// A queue that backs up, its cause, an end, a change, and a gap over 5 and 6.
fn night() -> Vec<(u64, Event)> {
    let at = Clock::System.now();
    let (kind, summary) = (ChangeKind::DriverChanged, "driver 570".to_owned());
    let change =
        Body::Change(Change { subject: Subject::Node, kind, summary, version: String::new() });
    let reason = "the outbox was full".to_owned();
    let gap = Body::Gap(Gap { count: 3, first_seq: 5, last_seq: 7, reason });
    vec![
        (1, finding(RuleId::QueueBackup, bert(), Phase::Raised, at)),
        (2, finding(RuleId::Xid, gpu(), Phase::Raised, at)),
        (3, finding(RuleId::QueueBackup, bert(), Phase::Cleared, at)),
        (4, Event { observed_at: at, body: change }),
        (7, Event { observed_at: at, body: gap }),
    ]
}

#[test]
fn each_event_of_a_night_is_explained() {
    let folder = tempfile::tempdir().expect("a folder");
    let desk = Desk::open(folder.path());
    desk.told(night());
    let fates = ["1", "2", "3", "4", "5", "7"].map(|seq| {
        let trace = desk.trace(seq);
        format!("{seq} {} {}", trace["fate"], trace["incident"])
    });
    insta::assert_snapshot!(fates.join("\n"), @r#"
    1 "opened" 1
    2 "joined" 1
    3 "cleared" 1
    4 "change" null
    5 "lost" null
    7 "gap" null
    "#);
    assert!(desk.trace("2")["score"].as_f64().is_some_and(|score| score > 0.5));
    let text = desk.run(&["explain", "event", "node-a", "2"]);
    let text = String::from_utf8(text.stdout).expect("it is text");
    assert!(text.starts_with("event 2 of node-a: joined\n"), "{text}");
    assert!(text.contains("gpuwarden incidents explain 1"), "{text}");
}

#[test]
fn an_incident_explains_itself() {
    let folder = tempfile::tempdir().expect("a folder");
    let desk = Desk::open(folder.path());
    desk.told(night());
    let text = desk.run(&["incidents", "explain", "1"]);
    let text = String::from_utf8(text.stdout).expect("it is text");
    for part in ["the incident was opened for it", "What the cause may be", "likely cause is now"] {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn what_is_not_known_is_exit_code_one_and_says_what_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let desk = Desk::open(folder.path());
    desk.told(night());
    let said = [("node-a", "8"), ("node-x", "1")].map(|(node, seq)| {
        let output = desk.run(&["explain", "event", node, seq]);
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(output.stdout, b"");
        String::from_utf8(output.stderr).expect("it is text")
    });
    insta::assert_snapshot!(said.concat(), @r#"
    gpuwarden: event 8 of node-a has not come: its events are on disk up to 7
    gpuwarden: no event of node-x was ever taken up; `gpuwarden nodes` lists the nodes that there are
    "#);
    assert_eq!(desk.run(&["explain", "event", "node-a", "0"]).status.code(), Some(2));
}
