//! A small language for findings, and a node that speaks the stream: for tests only.
//!
//! A line is `SECOND NODE VERB …`:
//!
//! ```text
//! 10 node-a raise gpu-memory-exhausted gpu0 down
//! 12 node-a raise error-rate-high bert 0.38
//! 13 node-a raise latency-high bert degraded on=0,1 by=7
//! 14 node-a change model-deployed bert
//! 15 node-a clear error-rate-high bert
//! 20 node-a snapshot models=bert:9 sources=nvml,triton/default active=queue-backup/bert
//! 21 node-a snapshot labels=rack:r1,zone:a driver=570.1
//! 22 node-a snapshot gpus=GPU-0,MIG-9<GPU-0 models=bert:9@MIG-9
//! 25 node-a lost
//! 30 node-a back
//! 40 record rollout service=search model=bert:7 by=ann at=35 finished=39
//! 40 - raise external-alert alert:Slow down about=service:chat,model:bert
//! 41 - raise availability-burn service:chat
//! 90 tick
//! 91 resolve 1 force
//! 92 merge 2 1
//! 93 split 1 2,3
//! 94 node-a late 40 raise xid gpu0
//! ```

use std::collections::HashMap;
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use gpuwarden_proto::change::{ChangeOrigin, RecordedChange, Told};
use gpuwarden_proto::convert::encode_event;
use gpuwarden_proto::entity::{Entity, EntityKind};
use gpuwarden_proto::event::{Body, Change, Event, Evidence, Finding, Subject, Suspect, Unit};
use gpuwarden_proto::incident::Incident;
use gpuwarden_proto::inventory::{Gpu, Model, Server, Snapshot, Source};
use gpuwarden_proto::pb;
use gpuwarden_proto::pb::uplink_service_client::UplinkServiceClient;
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::uplink::{Entry, FromNode, Hello, ToNode, Welcome};
use gpuwarden_proto::vocab::{
    Availability, Epoch, GpuUuid, Grade, IncidentId, ModelName, ModelVersion, NodeId, Phase,
    RuleId, Sender, Seq, ServerName, ServiceName, SourceName, SourceState,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use crate::correlate::{Policy, Signal, State, Touched, apply, outside};
use crate::incident::{Command, place};
use crate::node::{Node, lost_finding};

/// Second 0 of all tests.
pub(crate) const START: Timestamp = Timestamp::from_unix_s(1_800_000_000);

pub(crate) fn at(second: u64) -> Timestamp {
    START.after(Duration::from_secs(second))
}

pub(crate) fn node(name: &str) -> NodeId {
    NodeId::new(name).unwrap()
}

/// `gpu0`, `mig9`, `proc7`, `server`, `node`, `nvml`, `service:chat`, `alert:NAME/KEY`, `report:WHO`,
/// or a model; `bert@other` is a model of another server.
pub(crate) fn subject(text: &str) -> Subject {
    let server = |name| ServerName::new(name).unwrap();
    if let Some(index) = text.strip_prefix("gpu") {
        let uuid = GpuUuid::new(&format!("GPU-{index}")).unwrap();
        return Subject::Gpu { uuid, index: index.parse().ok() };
    }
    if let Some(number) = text.strip_prefix("mig") {
        let uuid = GpuUuid::new(&format!("MIG-{number}")).unwrap();
        return Subject::Gpu { uuid, index: Some(0) };
    }
    if let Some(pid) = text.strip_prefix("proc") {
        let gpu = GpuUuid::new("GPU-0").unwrap();
        let name = "trainer".to_owned();
        return Subject::Process { gpu, pid: pid.parse().unwrap(), start_ticks: 1, name };
    }
    match text {
        "node" => Subject::Node,
        "server" => Subject::Server { server: server("default") },
        named if named.starts_with("service:") => {
            Subject::Service { service: ServiceName::new(&named["service:".len()..]).unwrap() }
        }
        alert if alert.starts_with("alert:") || alert.starts_with("report:") => {
            let (sender, name) = alert.split_once(':').unwrap();
            let sender = if sender == "alert" { Sender::Alertmanager } else { Sender::Person };
            let (name, key) = (name.split('/').next().unwrap().to_owned(), name.to_owned());
            Subject::Alert { sender, key, name }
        }
        "nvml" | "triton/default" => Subject::Source { source: SourceName::new(text).unwrap() },
        model => {
            let (model, at) = model.split_once('@').unwrap_or((model, "default"));
            Subject::Model {
                server: server(at),
                model: ModelName::new(model).unwrap(),
                version: ModelVersion::new("1").unwrap(),
            }
        }
    }
}

/// `RULE SUBJECT [GRADE|RATIO] [on=GPU,…] [by=PID]`, raised at that second.
pub(crate) fn finding(phase: Phase, words: &[&str], raised_at: Timestamp) -> Finding {
    let rule: RuleId = words[0].parse().unwrap();
    let how = words.get(2).copied().unwrap_or("degraded");
    let ratio: Option<f64> = how.parse().ok();
    Finding {
        rule,
        subject: subject(words[1]),
        phase,
        grade: Grade::from_str(how).unwrap_or(Grade::Degraded),
        summary: format!("{rule} seen"),
        evidence: ratio.iter().map(|value| Evidence::new("share", *value, Unit::Ratio)).collect(),
        suspects: option(words, "by=").map(blame).into_iter().collect(),
        raised_at,
        gpus: option(words, "on=")
            .map(|list| list.split(',').map(gpu).collect())
            .unwrap_or_default(),
        about: option(words, "about=")
            .map(|list| list.split(',').map(named).collect())
            .unwrap_or_default(),
    }
}

/// `KIND:NAME`, a thing of the fleet.
fn named(text: &str) -> Entity {
    let (kind, name) = text.split_once(':').unwrap();
    match kind {
        "node" => Entity::node(&node(name)),
        kind => Entity::fleet(kind.parse().unwrap(), name),
    }
}

/// `KIND [service=…] [model=…|model=M:V] [node=…] [rack=…] [zone=…] [driver=…] [by=…] [key=…]
/// [at=SECOND] [finished=SECOND]`, told at that second.
pub(crate) fn recorded(second: u64, words: &str) -> Arc<RecordedChange> {
    let mut words = words.split_whitespace();
    let kind = words.next().unwrap().parse().unwrap();
    let mut told = Told::new(kind, ChangeOrigin::Webhook, &format!("{kind} was told"));
    for word in words {
        let (key, value) = word.split_once('=').unwrap();
        match key {
            "by" => told.by = value.to_owned(),
            "key" => told.key = Some(value.to_owned()),
            "at" => told.started_at = Some(at(value.parse().unwrap())),
            "finished" => told.finished_at = Some(at(value.parse().unwrap())),
            "node" => told.about.push(Entity::node(&node(value))),
            "model" if value.contains(':') => {
                told.about.push(Entity::fleet(EntityKind::Version, value));
            }
            kind => told.about.push(Entity::fleet(kind.parse().unwrap(), value)),
        }
    }
    Arc::new(told.recorded(at(second)).unwrap())
}

fn option<'a>(words: &[&'a str], key: &str) -> Option<&'a str> {
    words.iter().find_map(|word| word.strip_prefix(key))
}

fn gpu(index: &str) -> GpuUuid {
    GpuUuid::new(&format!("GPU-{index}")).unwrap()
}

fn blame(pid: &str) -> Suspect {
    Suspect { subject: subject(&format!("proc{pid}")), owner: String::new(), confidence: 0.9 }
}

pub(crate) fn snapshot(words: &[&str], observed_at: Timestamp) -> Snapshot {
    let mut snapshot = Snapshot::empty(observed_at);
    for word in words {
        let (key, list) = word.split_once('=').unwrap();
        let list = list.split(',').filter(|item| !item.is_empty());
        match key {
            "models" => {
                snapshot.servers = vec![Server {
                    name: ServerName::new("default").unwrap(),
                    version: String::new(),
                    availability: Availability::Ready,
                    models: list.map(model).collect(),
                }];
            }
            "gpus" => snapshot.gpus = list.map(listed_gpu).collect(),
            "sources" => snapshot.sources = list.map(source).collect(),
            "labels" => {
                let pairs = list.map(|pair| pair.split_once(':').unwrap());
                snapshot.labels = pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
            }
            "driver" => snapshot.driver_version = list.collect(),
            "active" => {
                let active = list.map(|item| {
                    let words: Vec<&str> = item.split('/').collect();
                    finding(Phase::Updated, &words, observed_at.before(Duration::from_secs(1)))
                });
                snapshot.active = active.collect();
            }
            other => panic!("unknown word {other}"),
        }
    }
    snapshot
}

/// `GPU-0`, or `MIG-9<GPU-0` for a MIG instance of it.
fn listed_gpu(text: &str) -> Gpu {
    let (uuid, parent) = match text.split_once('<') {
        Some((uuid, parent)) => (uuid, GpuUuid::new(parent).ok()),
        None => (text, None),
    };
    Gpu {
        uuid: GpuUuid::new(uuid).unwrap(),
        index: 0,
        name: String::new(),
        pci_bus_id: String::new(),
        memory_total_bytes: 80 << 30,
        memory_used_bytes: None,
        utilization_ratio: None,
        lost: false,
        profile: parent.as_ref().map_or("", |_| "1g.10gb").to_owned(),
        parent,
    }
}

/// `NAME`, `NAME:RATE`, each with `@GPU` where it runs on one.
fn model(text: &str) -> Model {
    let (text, on) = text.split_once('@').unwrap_or((text, ""));
    let (name, rate) = text.split_once(':').unwrap_or((text, ""));
    Model {
        name: ModelName::new(name).unwrap(),
        version: ModelVersion::new("1").unwrap(),
        availability: Availability::Ready,
        reason: String::new(),
        requests_per_s: rate.parse().ok(),
        pending: None,
        served: None,
        gpus: GpuUuid::new(on).into_iter().collect(),
    }
}

/// `nvml` sees; `!nvml` is blind.
fn source(text: &str) -> Source {
    let (name, state) = match text.strip_prefix('!') {
        Some(name) => (name, SourceState::Blind),
        None => (text, SourceState::Seeing),
    };
    Source { name: SourceName::new(name).unwrap(), state, reason: String::new() }
}

/// A state that scripts are played on.
pub(crate) struct Stage {
    pub(crate) state: State,
    pub(crate) over: Vec<Incident>,
    /// All that changed, as it was told.
    pub(crate) log: Vec<String>,
    /// Which incidents changed since somebody took them from here.
    pub(crate) touched: Touched,
}

impl Stage {
    pub(crate) fn new(policy: Policy) -> Self {
        let state = State::restore(policy, HashMap::new(), Vec::new(), 1, START);
        Self { state, over: Vec::new(), log: Vec::new(), touched: Touched::default() }
    }

    pub(crate) fn play(&mut self, script: &str) -> &mut Self {
        script.lines().map(str::trim).filter(|line| !line.is_empty()).for_each(|l| self.line(l));
        self.state.rank_finally(&mut Touched::default());
        self
    }

    fn line(&mut self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let now = at(words[0].parse().unwrap());
        let mut touched = Touched::default();
        match words[1..] {
            ["tick"] => self.state.tick(now, &mut touched),
            ["resolve", id, ..] => {
                let id = IncidentId(id.parse().unwrap());
                let force = words.last() == Some(&"force");
                let (by, reason) = ("ann".to_owned(), "a test".to_owned());
                self.say(now, id, Command::Resolve { by, reason, force }, &mut touched);
            }
            ["merge", id, into] => {
                let (id, into) = (id.parse().unwrap(), IncidentId(into.parse().unwrap()));
                let (by, reason) = ("ann".to_owned(), "a test".to_owned());
                self.say(now, IncidentId(id), Command::Merge { by, into, reason }, &mut touched);
            }
            ["split", id, members] => {
                let members = members.split(',').map(|number| number.parse().unwrap()).collect();
                let (by, reason) = ("ann".to_owned(), "a test".to_owned());
                let id = IncidentId(id.parse().unwrap());
                self.say(now, id, Command::Split { by, members, reason }, &mut touched);
            }
            [name, "late", second, ref verb @ ..] => {
                let (id, observed_at) = (node(name), at(second.parse().unwrap()));
                let Signal::Finding { finding, .. } = signal(verb, &id, observed_at) else {
                    panic!("{line}: only findings come late");
                };
                let signal = Signal::Finding { observed_at, backlog: true, finding };
                apply(&mut self.state, now, &id, signal, &mut touched);
            }
            ["record", ..] => {
                let change = recorded(words[0].parse().unwrap(), &words[2..].join(" "));
                self.state.record(now, &change, &mut touched);
            }
            ["-", ref verb @ ..] => {
                let Signal::Finding { finding, .. } = signal(verb, &node("none"), now) else {
                    panic!("{line}: only findings are of no node");
                };
                outside(&mut self.state, now, now, finding, &mut touched);
            }
            [name, ref verb @ ..] => {
                let id = node(name);
                self.state.nodes.entry(id.clone()).or_insert_with(|| Node::new(now));
                let signal = signal(verb, &id, now);
                apply(&mut self.state, now, &id, signal, &mut touched);
            }
            [] => panic!("an empty line"),
        }
        for (id, change) in &touched.changed {
            self.log.push(format!("{id} {}", change.as_str()));
            self.touched.changed.insert(*id, *change);
        }
        // What is over may go on, or more be told of it.
        let told_anew = |incident: &Incident| touched.changed.contains_key(&incident.id);
        self.over.retain(|incident| !told_anew(incident));
        self.over.append(&mut touched.over);
    }

    fn say(&mut self, now: Timestamp, id: IncidentId, command: Command, touched: &mut Touched) {
        if let Err(refusal) = self.state.command(now, id, command, touched) {
            self.log.push(format!("refused: {refusal}"));
        }
    }

    /// The incidents in few words: what people must be able to rely on.
    pub(crate) fn shown(&self) -> String {
        let all = self.over.iter().chain(self.state.incidents());
        let mut lines: Vec<String> = Vec::new();
        for incident in all {
            let Incident { id, kind, severity, state, severity_reason, .. } = incident;
            lines.push(format!("{id} {severity} {kind} {state}: {severity_reason}"));
            for member in &incident.members {
                let over = if member.cleared_at.is_some() { " (over)" } else { "" };
                let (rule, reason) = (member.rule, &member.reason);
                lines.push(format!("  {} {rule}{over}: {reason}", place(member)));
            }
        }
        lines.join("\n")
    }
}

fn signal(verb: &[&str], node: &NodeId, now: Timestamp) -> Signal {
    let phase = match verb[0] {
        "raise" => Phase::Raised,
        "update" => Phase::Updated,
        "clear" => Phase::Cleared,
        "snapshot" => return Signal::Snapshot(snapshot(&verb[1..], now)),
        "lost" => {
            return Signal::Lost(lost_finding(node, now.before(Duration::from_secs(10)), now));
        }
        "back" => return Signal::Back,
        "change" => {
            let (kind, summary) = (verb[1].parse().unwrap(), String::new());
            let version = option(verb, "to=").unwrap_or_default().to_owned();
            let change = Change { subject: subject(verb[2]), kind, summary, version };
            return Signal::Change(RecordedChange::observed(node, now, &change));
        }
        other => panic!("unknown verb {other}"),
    };
    let finding = finding(phase, &verb[1..], now);
    Signal::Finding { observed_at: now, backlog: false, finding }
}

/// A node on the wire.
pub(crate) struct Speaker {
    to: mpsc::Sender<pb::SessionRequest>,
    pub(crate) from: Streaming<pb::SessionResponse>,
    pub(crate) welcome: Welcome,
}

impl Speaker {
    /// A node that is not let in, and why.
    pub(crate) async fn refused(addr: SocketAddr, name: &str) -> Status {
        let (_to, mut from) = Self::hello(addr, name, 1).await;
        from.message().await.unwrap_err()
    }

    async fn hello(
        addr: SocketAddr,
        name: &str,
        next_seq: u64,
    ) -> (mpsc::Sender<pb::SessionRequest>, Streaming<pb::SessionResponse>) {
        let (to, stream) = mpsc::channel(16);
        let hello = Hello {
            node: node(name),
            epoch: Epoch(7),
            next_seq: Seq(next_seq),
            agent_version: "0.1.0".to_owned(),
            boot_id: String::new(),
        };
        to.send(FromNode::Hello(hello).into()).await.unwrap();
        let mut client = UplinkServiceClient::connect(format!("http://{addr}")).await.unwrap();
        let from = client.session(ReceiverStream::new(stream)).await.unwrap().into_inner();
        (to, from)
    }

    pub(crate) async fn connect(addr: SocketAddr, name: &str, next_seq: u64) -> Self {
        let (to, from) = Self::hello(addr, name, next_seq).await;
        let welcome = Welcome {
            acked_seq: Seq(0),
            heartbeat_interval: Duration::ZERO,
            reconnect_spread: Duration::ZERO,
            max_batch_bytes: 0,
            max_batch_events: 0,
        };
        let mut speaker = Self { to, from, welcome };
        match speaker.hear().await {
            ToNode::Welcome(welcome) => speaker.welcome = welcome,
            other => panic!("{other:?} instead of welcome"),
        }
        assert!(matches!(speaker.hear().await, ToNode::Credit { .. }));
        speaker
    }

    pub(crate) async fn say(&self, message: FromNode) {
        self.say_wire(message.into()).await;
    }

    pub(crate) async fn say_wire(&self, message: pb::SessionRequest) {
        self.to.send(message).await.unwrap();
    }

    pub(crate) async fn send(&self, entries: Vec<Entry>) {
        self.say(FromNode::Batch(entries)).await;
    }

    pub(crate) async fn hear(&mut self) -> ToNode {
        let heard = tokio::time::timeout(Duration::from_secs(10), self.from.message());
        let message = heard.await.expect("nothing heard").unwrap().expect("the stream ended");
        ToNode::try_from(message).unwrap()
    }

    /// The next acknowledgement: up to where, and which were refused.
    pub(crate) async fn acked(&mut self) -> (u64, Vec<(u64, String)>) {
        match self.hear().await {
            ToNode::Ack { acked_seq, rejected } => {
                (acked_seq.0, rejected.into_iter().map(|r| (r.seq.0, r.reason)).collect())
            }
            other => panic!("{other:?} instead of an ack"),
        }
    }
}

/// An entry for the outbox: `raise RULE SUBJECT …` observed at that time.
pub(crate) fn entry(seq: u64, observed_at: Timestamp, words: &str) -> Entry {
    let words: Vec<&str> = words.split_whitespace().collect();
    let phase = match words[0] {
        "raise" => Phase::Raised,
        "update" => Phase::Updated,
        _ => Phase::Cleared,
    };
    let body = Body::Finding(finding(phase, &words[1..], observed_at));
    Entry { seq: Seq(seq), event: encode_event(&Event { observed_at, body }) }
}
