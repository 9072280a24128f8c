//! The fleet: sessions that send batches and wait until they are acknowledged.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use gpuwarden_proto::convert::encode_event;
use gpuwarden_proto::event::{Body, Event, Evidence, Finding, Subject, Unit};
use gpuwarden_proto::pb;
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::uplink::{Entry, FromNode, Hello, ToNode};
use gpuwarden_proto::vocab::{
    Epoch, Grade, ModelName, ModelVersion, NodeId, Phase, RuleId, Seq, ServerName,
};
use tokio::sync::{Mutex, mpsc};
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};

use crate::Failure;
use crate::figures::Course;

/// How big the load is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) nodes: usize,
    pub(crate) connections: usize,
    pub(crate) batch_events: usize,
}

/// One node's session.
struct Session {
    send: mpsc::Sender<pb::SessionRequest>,
    receive: tonic::Streaming<pb::SessionResponse>,
    next_seq: u64,
    /// The first events raise what later ones update.
    raised: bool,
}

/// All sessions, open.
pub(crate) struct Load {
    shape: Shape,
    sessions: Vec<Arc<Mutex<Session>>>,
}

impl Load {
    /// Opens a session for each node.
    pub(crate) async fn connect(shape: Shape, address: SocketAddr) -> Result<Self, Failure> {
        let mut channels = Vec::new();
        for _ in 0..shape.connections {
            channels.push(Endpoint::from_shared(format!("http://{address}"))?.connect().await?);
        }
        let mut sessions = Vec::with_capacity(shape.nodes);
        for node in 0..shape.nodes {
            let channel = channels[node % channels.len()].clone();
            sessions.push(Arc::new(Mutex::new(Session::open(channel, node).await?)));
        }
        Ok(Self { shape, sessions })
    }

    /// Sends batches, so many at once, node after node, for so long.
    pub(crate) async fn run(self, in_flight: usize, lasting: Duration) -> Result<Course, Failure> {
        let next = Arc::new(AtomicUsize::new(0));
        let load = Arc::new(self);
        let began = Instant::now();
        let workers: Vec<_> = (0..in_flight)
            .map(|_| tokio::spawn(Arc::clone(&load).work(Arc::clone(&next), began + lasting)))
            .collect();
        let mut course = Course::default();
        for worker in workers {
            course.acks.extend(worker.await??);
        }
        course.lasted = began.elapsed();
        course.events = course.acks.len() * load.shape.batch_events;
        Ok(course)
    }

    async fn work(
        self: Arc<Self>,
        next: Arc<AtomicUsize>,
        until: Instant,
    ) -> Result<Vec<Duration>, Failure> {
        let mut acks = Vec::new();
        while Instant::now() < until {
            let node = next.fetch_add(1, Ordering::Relaxed) % self.sessions.len();
            let mut session = self.sessions[node].lock().await;
            acks.push(session.round_trip(self.shape.batch_events).await?);
        }
        Ok(acks)
    }
}

impl Session {
    async fn open(channel: Channel, node: usize) -> Result<Self, Failure> {
        let (send, outgoing) = mpsc::channel(4);
        let hello = Hello {
            node: NodeId::new(&format!("node-{node:05}"))?,
            epoch: Epoch(1 + node as u64),
            next_seq: Seq(1),
            agent_version: "bench".to_owned(),
            boot_id: String::new(),
        };
        send.send(FromNode::Hello(hello).into()).await?;
        let mut client = pb::uplink_service_client::UplinkServiceClient::new(channel);
        let receive = client.session(ReceiverStream::new(outgoing)).await?.into_inner();
        Ok(Self { send, receive, next_seq: 1, raised: false })
    }

    /// Sends a batch and waits until all of it is acknowledged.
    async fn round_trip(&mut self, events: usize) -> Result<Duration, Failure> {
        let entries = batch(self.next_seq, events, self.raised);
        self.raised = true;
        self.next_seq += events as u64;
        let began = Instant::now();
        self.send.send(FromNode::Batch(entries).into()).await?;
        loop {
            let answer = self.receive.next().await.ok_or("the stream ended")??;
            if let ToNode::Ack { acked_seq, rejected } = answer.try_into()? {
                if let Some(refused) = rejected.first() {
                    return Err(format!("{} was refused: {}", refused.seq, refused.reason).into());
                }
                if acked_seq.0 + 1 >= self.next_seq {
                    return Ok(began.elapsed());
                }
            }
        }
    }
}

/// A batch of updates of four findings of a node; the first batch raises them.
pub(crate) fn batch(first_seq: u64, events: usize, raised: bool) -> Vec<Entry> {
    let entry = |nth: usize| {
        let phase = if raised || nth >= 4 { Phase::Updated } else { Phase::Raised };
        Entry { seq: Seq(first_seq + nth as u64), event: event(nth, phase) }
    };
    (0..events).map(entry).collect()
}

fn event(nth: usize, phase: Phase) -> Bytes {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now = Timestamp::from_unix_ns(now.map_or(0, |since| since.as_nanos() as u64));
    let named = "names of the bench are short and not empty";
    encode_event(&Event {
        observed_at: now,
        body: Body::Finding(Finding {
            rule: [
                RuleId::QueueBackup,
                RuleId::ErrorRateHigh,
                RuleId::LatencyHigh,
                RuleId::NoisyNeighbour,
            ][nth % 4],
            subject: Subject::Model {
                server: ServerName::new("default").expect(named),
                model: ModelName::new("bert-large").expect(named),
                version: ModelVersion::new("1").expect(named),
            },
            phase,
            gpus: Vec::new(),
            grade: Grade::Degraded,
            summary: "40 requests wait, 4.0 s of work at 10.0/s (limit 3.0 s)".to_owned(),
            evidence: vec![
                Evidence::new("predicted wait", nth as f64, Unit::Seconds).against(3.0),
                Evidence::new("nv_inference_pending_request_count", 40.0, Unit::Count).against(8.0),
                Evidence::new("requests worked off", 10.0, Unit::PerSecond).over(5.0),
            ],
            suspects: Vec::new(),
            raised_at: now,
        }),
    })
}
