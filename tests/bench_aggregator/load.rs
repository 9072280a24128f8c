//! As much as can be borne: every session sends large batches as soon as the last is acknowledged.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use gpuwarden_proto::convert::encode_event;
use gpuwarden_proto::event::{Body, Event, Evidence, Finding, Subject, Unit};
use gpuwarden_proto::vocab::{
    Epoch, Grade, ModelName, ModelVersion, NodeId, Phase, RuleId, ServerName,
};
use tokio::sync::Mutex;

use crate::Failure;
use crate::figures::Course;
use crate::session::{Session, channels, wall};

/// How big the load is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) nodes: usize,
    pub(crate) connections: usize,
    pub(crate) batch_events: usize,
}

/// A session, and whether its first events have raised what later ones update.
type Speaker = (Session, bool);

/// All sessions, open.
pub(crate) struct Load {
    shape: Shape,
    sessions: Vec<Arc<Mutex<Speaker>>>,
}

impl Load {
    /// Opens a session for each node.
    pub(crate) async fn connect(shape: Shape, address: SocketAddr) -> Result<Self, Failure> {
        let channels = channels(address, shape.connections).await?;
        let mut sessions = Vec::with_capacity(shape.nodes);
        for node in 0..shape.nodes {
            let channel = channels[node % channels.len()].clone();
            let name = NodeId::new(&format!("node-{node:05}"))?;
            let session = Session::open(channel, name, Epoch(1 + node as u64)).await?;
            sessions.push(Arc::new(Mutex::new((session, false))));
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
            let mut speaker = self.sessions[node].lock().await;
            let (session, raised) = &mut *speaker;
            let events = batch(self.shape.batch_events, std::mem::replace(raised, true));
            acks.push(session.round_trip(events).await?);
        }
        Ok(acks)
    }
}

/// Updates of four findings of a node; the first batch raises them.
pub(crate) fn batch(events: usize, raised: bool) -> Vec<Bytes> {
    let phase = |nth| if raised || nth >= 4 { Phase::Updated } else { Phase::Raised };
    (0..events).map(|nth| event(nth, phase(nth))).collect()
}

fn event(nth: usize, phase: Phase) -> Bytes {
    let now = wall();
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
            about: Vec::new(),
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
