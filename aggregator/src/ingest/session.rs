//! One stream of one node, from its first word to its end.

use std::sync::Arc;
use std::time::Duration;

use gpuwarden_proto::inventory::Snapshot;
use gpuwarden_proto::pb;
use gpuwarden_proto::uplink::{Entry, FromNode, Heartbeat, Hello, ToNode, Welcome};
use gpuwarden_proto::vocab::NodeId;
use tokio::sync::{mpsc, oneshot};
use tonic::{Status, Streaming};

use super::Ingest;
use super::admit::{Admitted, admit};
use crate::core::{Arrived, Ended, Pulse, Registered, Request, Stream};

/// How long a new stream may take for its first word.
const HELLO_WITHIN: Duration = Duration::from_secs(10);
/// Bytes of an agent's version that are kept.
const VERSION_MAX_BYTES: usize = 64;

/// A stream that was let in.
struct Session {
    ingest: Arc<Ingest>,
    hello: Hello,
    registered: Registered,
    pulse: Arc<Pulse>,
}

/// Serves a stream to its end. The status, if there is one, is the last word to the node.
pub(super) async fn serve(
    ingest: Arc<Ingest>,
    mut from: Streaming<pb::SessionRequest>,
    certified: Option<NodeId>,
    outbox: mpsc::Sender<ToNode>,
) -> Result<(), Status> {
    let hello = first_word(&mut from, certified).await?;
    let (end, ended) = oneshot::channel();
    let pulse = Arc::new(Pulse::default());
    pulse.heard(ingest.clock.now());
    let stream = Stream { outbox: outbox.clone(), ended: end, pulse: Arc::clone(&pulse) };
    let (answer, registered) = oneshot::channel();
    ingest.ask(Request::Hello(hello.clone(), stream, answer)).await?;
    let registered = registered
        .await
        .map_err(|_| stopping())?
        .map_err(|full| Status::resource_exhausted(full.to_string()))?;
    let session = Session { ingest, hello, registered, pulse };
    session.greet(&outbox).await;
    drop(outbox);
    let result = tokio::select! {
        why = ended => Err(why.map_or_else(|_| stopping(), |why| said(&why))),
        result = session.read(&mut from) => result,
    };
    let gone = Request::Gone(session.hello.node.clone(), session.registered.session);
    drop(session.ingest.requests.send(gone).await);
    result
}

async fn first_word(
    from: &mut Streaming<pb::SessionRequest>,
    certified: Option<NodeId>,
) -> Result<Hello, Status> {
    let first = tokio::time::timeout(HELLO_WITHIN, from.message())
        .await
        .map_err(|_| Status::deadline_exceeded("no hello within 10 s"))??;
    let first = first.ok_or_else(|| Status::invalid_argument("the stream ended without hello"))?;
    let Some(pb::session_request::Message::Hello(hello)) = first.message else {
        return Err(Status::invalid_argument("the first message is not hello"));
    };
    let mut hello =
        Hello::try_from(hello).map_err(|refused| Status::invalid_argument(refused.to_string()))?;
    match certified {
        Some(name) if name != hello.node => {
            let text = format!("the certificate is for {name}, not for {}", hello.node);
            Err(Status::permission_denied(text))
        }
        Some(_) | None => {
            let keep = hello.agent_version.floor_char_boundary(VERSION_MAX_BYTES);
            hello.agent_version.truncate(keep);
            Ok(hello)
        }
    }
}

impl Session {
    async fn greet(&self, outbox: &mpsc::Sender<ToNode>) {
        let config = &self.ingest.config;
        let welcome = Welcome {
            acked_seq: self.registered.acked_seq,
            heartbeat_interval: config.heartbeat_interval,
            reconnect_spread: config.reconnect_spread,
            max_batch_bytes: config.limits.batch_bytes,
            max_batch_events: config.limits.batch_events,
        };
        let credit = ToNode::Credit { max_batches: config.limits.batches_in_flight };
        // A node that is gone again is noticed when it is read from.
        drop(outbox.send(ToNode::Welcome(welcome)).await);
        drop(outbox.send(credit).await);
    }

    async fn read(&self, from: &mut Streaming<pb::SessionRequest>) -> Result<(), Status> {
        use pb::session_request::Message;
        while let Some(request) = from.message().await? {
            self.pulse.heard(self.ingest.clock.now());
            match request.message {
                Some(Message::Batch(batch)) => self.batch(batch).await?,
                Some(Message::Heartbeat(heartbeat)) => {
                    self.pulse.holds_back(Heartbeat::from(heartbeat).outbox_rows);
                }
                Some(Message::Snapshot(snapshot)) => self.snapshot(snapshot).await?,
                Some(Message::Hello(_)) => {
                    return Err(Status::invalid_argument("a second hello on one stream"));
                }
                // A newer agent may say what this version does not know.
                None => drop(self.ingest.metrics.unreadable.inc()),
            }
        }
        Ok(())
    }

    async fn batch(&self, batch: pb::EventBatch) -> Result<(), Status> {
        let Ok(FromNode::Batch(entries)) = FromNode::try_from(pb::SessionRequest {
            message: Some(pb::session_request::Message::Batch(batch)),
        }) else {
            return Ok(());
        };
        let arrived = self.check(entries);
        self.pulse.waiting(true);
        let sent = self.ingest.batches.send(arrived).await;
        self.pulse.waiting(false);
        sent.map_err(|_| stopping())
    }

    fn check(&self, entries: Vec<Entry>) -> Arrived {
        let received_at = self.ingest.clock.now();
        let admitted = admit(entries, self.ingest.times, received_at);
        let Admitted { entries, events, rejected, reasons, last_seq } = admitted;
        reasons.into_iter().for_each(|reason| self.ingest.metrics.reject(reason));
        Arrived {
            node: self.hello.node.clone(),
            session: self.registered.session,
            epoch: self.hello.epoch,
            received_at,
            entries,
            events,
            rejected,
            last_seq,
        }
    }

    async fn snapshot(&self, wire: pb::Snapshot) -> Result<(), Status> {
        let (snapshot, unreadable) = readable(wire);
        if unreadable > 0 {
            self.ingest.metrics.unreadable.inc_by(unreadable);
            tracing::warn!(node = %self.hello.node, unreadable, "parts of a snapshot are left out");
        }
        let (node, session) = (self.hello.node.clone(), self.registered.session);
        match snapshot {
            Some(snapshot) => {
                self.ingest.ask(Request::Snapshot(node, session, Box::new(snapshot))).await
            }
            None => Ok(()),
        }
    }
}

/// A snapshot without the parts that this version does not know, and how many those were.
fn readable(mut wire: pb::Snapshot) -> (Option<Snapshot>, u64) {
    use gpuwarden_proto::event::Finding;
    use gpuwarden_proto::inventory::{Gpu, Model, Server, Source};
    let mut unreadable = 0;
    let mut left_out = |keep: bool| {
        unreadable += u64::from(!keep);
        keep
    };
    wire.active.retain(|finding| left_out(Finding::try_from(finding.clone()).is_ok()));
    wire.gpus.retain(|gpu| left_out(Gpu::try_from(gpu.clone()).is_ok()));
    wire.sources.retain(|source| left_out(Source::try_from(source.clone()).is_ok()));
    for server in &mut wire.servers {
        server.models.retain(|model| left_out(Model::try_from(model.clone()).is_ok()));
    }
    wire.servers.retain(|server| left_out(Server::try_from(server.clone()).is_ok()));
    (Snapshot::try_from(wire).ok(), unreadable)
}

fn said(why: &Ended) -> Status {
    match why {
        Ended::Superseded => Status::aborted("a newer stream of this node takes over"),
        Ended::Silent => Status::deadline_exceeded("nothing was heard on this stream for too long"),
        Ended::Behind => Status::resource_exhausted("acknowledgements are not taken fast enough"),
        Ended::Stopping => stopping(),
    }
}

fn stopping() -> Status {
    Status::unavailable("the aggregator stops; connect again")
}
