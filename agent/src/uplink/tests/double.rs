//! A double of the aggregator: keeps what it is sent, and misbehaves as a test tells it.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use gpuwarden_proto::pb;
use gpuwarden_proto::pb::uplink_service_server::{UplinkService, UplinkServiceServer};
use gpuwarden_proto::uplink::{Entry, FromNode, Heartbeat, Hello, Rejection, ToNode, Welcome};
use gpuwarden_proto::vocab::{Epoch, Seq};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Request, Response, Status, Streaming};

/// How the double treats one session. After the last, [`Manner::Kind`].
#[derive(Debug, Clone)]
pub(super) enum Manner {
    /// Commits and acknowledges everything.
    Kind,
    /// Cuts the stream at this batch, having committed it or not, never having acknowledged it.
    Cut { at_batch: usize, committed: bool },
    /// Says Welcome and nothing after it.
    Silent,
    /// Does not even say Welcome.
    Mute,
    /// Refuses these numbers and acknowledges everything.
    Refuse(Vec<Seq>),
    /// Asks to connect again at the first batch, which it acknowledges afterwards.
    Drain,
    /// Claims to know this number.
    Claim(Seq),
    /// Refuses the epoch.
    RefuseEpoch,
}

/// What the double has seen.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    pub(super) hellos: Vec<Hello>,
    pub(super) snapshots: usize,
    pub(super) heartbeats: Vec<Heartbeat>,
    /// Sizes of all batches.
    pub(super) batches: Vec<usize>,
    /// What was committed, once each, in order of arrival.
    pub(super) events: Vec<(Epoch, Entry)>,
    /// Events that came again although they were committed.
    pub(super) known: usize,
    /// Events that came again although they had been acknowledged.
    pub(super) repeated: usize,
    watermark: BTreeMap<u64, Seq>,
    acknowledged: BTreeMap<u64, Seq>,
}

#[derive(Clone)]
pub(super) struct Double {
    seen: Arc<watch::Sender<Seen>>,
    manners: Arc<watch::Sender<VecDeque<Manner>>>,
    pub(super) address: SocketAddr,
    max_batch_events: usize,
}

impl Double {
    pub(super) async fn start(manners: impl Into<VecDeque<Manner>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let double = Self {
            seen: Arc::new(watch::channel(Seen::default()).0),
            manners: Arc::new(watch::channel(manners.into()).0),
            address: listener.local_addr().unwrap(),
            max_batch_events: 5,
        };
        let service = UplinkServiceServer::new(double.clone());
        let serve = tonic::transport::Server::builder()
            .serve_with_incoming(service, TcpListenerStream::new(listener));
        tokio::spawn(serve);
        double
    }

    /// Waits until something has been seen.
    pub(super) async fn until(&self, condition: impl FnMut(&Seen) -> bool) -> Seen {
        let mut seen = self.seen.subscribe();
        let found = tokio::time::timeout(Duration::from_secs(20), seen.wait_for(condition)).await;
        match found {
            Ok(found) => found.unwrap().clone(),
            Err(_) => panic!("waited in vain: {:?}", self.seen.borrow()),
        }
    }

    fn note(&self, note: impl FnOnce(&mut Seen)) {
        self.seen.send_modify(note);
    }

    fn welcome(&self, hello: &Hello, manner: &Manner) -> ToNode {
        let known = self.seen.borrow().watermark.get(&hello.epoch.0).copied().unwrap_or_default();
        let acked_seq = if let Manner::Claim(seq) = manner { *seq } else { known };
        ToNode::Welcome(Welcome {
            acked_seq,
            heartbeat_interval: Duration::from_millis(100),
            reconnect_spread: Duration::from_millis(20),
            max_batch_bytes: 64 * 1024,
            max_batch_events: self.max_batch_events,
        })
    }

    fn commit(&self, epoch: Epoch, entries: Vec<Entry>) -> Seq {
        let last = entries.last().unwrap().seq;
        self.note(|seen| {
            let watermark = seen.watermark.get(&epoch.0).copied().unwrap_or_default();
            let (known, new): (Vec<_>, Vec<_>) =
                entries.into_iter().partition(|entry| entry.seq <= watermark);
            let acknowledged = seen.acknowledged.get(&epoch.0).copied().unwrap_or_default();
            seen.known += known.len();
            seen.repeated += known.iter().filter(|entry| entry.seq <= acknowledged).count();
            seen.events.extend(new.into_iter().map(|entry| (epoch, entry)));
            seen.watermark.insert(epoch.0, watermark.max(last));
        });
        last
    }

    async fn converse(
        self,
        manner: Manner,
        mut incoming: Streaming<pb::SessionRequest>,
        out: mpsc::Sender<Result<pb::SessionResponse, Status>>,
    ) {
        let Some(FromNode::Hello(hello)) = hear(&mut incoming).await else { return };
        self.note(|seen| seen.hellos.push(hello.clone()));
        match manner {
            Manner::Mute => return while hear(&mut incoming).await.is_some() {},
            Manner::RefuseEpoch => {
                let refusal = Status::failed_precondition("this epoch is closed");
                let _ = out.send(Err(refusal)).await;
                return;
            }
            _ => say(&out, self.welcome(&hello, &manner)).await,
        }
        let mut batches = 0;
        while let Some(message) = hear(&mut incoming).await {
            match message {
                FromNode::Hello(_) => panic!("said Hello twice"),
                FromNode::Snapshot(_) => self.note(|seen| seen.snapshots += 1),
                FromNode::Heartbeat(beat) => self.note(|seen| seen.heartbeats.push(beat)),
                FromNode::Batch(entries) => {
                    self.note(|seen| seen.batches.push(entries.len()));
                    batches += 1;
                    if !self.answer(&manner, hello.epoch, entries, batches, &out).await {
                        return;
                    }
                }
            }
        }
    }

    /// Answers a batch; whether the stream goes on.
    async fn answer(
        &self,
        manner: &Manner,
        epoch: Epoch,
        entries: Vec<Entry>,
        batches: usize,
        out: &mpsc::Sender<Result<pb::SessionResponse, Status>>,
    ) -> bool {
        let mut rejected = Vec::new();
        match manner {
            Manner::Cut { at_batch, committed } if batches == *at_batch => {
                if *committed {
                    self.commit(epoch, entries);
                }
                let _ = out.send(Err(Status::unavailable("cut"))).await;
                return false;
            }
            Manner::Silent => return true,
            Manner::Refuse(seqs) => {
                let among = |seq: &&Seq| entries.iter().any(|entry| entry.seq == **seq);
                rejected.extend(
                    seqs.iter()
                        .filter(among)
                        .map(|seq| Rejection { seq: *seq, reason: "not today".to_owned() }),
                );
            }
            Manner::Drain if batches == 1 => {
                let spread = Duration::from_millis(5);
                say(out, ToNode::Drain { spread, reason: "moving".to_owned() }).await;
            }
            _ => {}
        }
        let acked_seq = self.commit(epoch, entries);
        self.note(|seen| {
            seen.acknowledged.insert(epoch.0, acked_seq);
        });
        say(out, ToNode::Ack { acked_seq, rejected }).await;
        true
    }
}

async fn hear(incoming: &mut Streaming<pb::SessionRequest>) -> Option<FromNode> {
    let wire = incoming.message().await.ok()??;
    Some(FromNode::try_from(wire).unwrap())
}

async fn say(out: &mpsc::Sender<Result<pb::SessionResponse, Status>>, message: ToNode) {
    // A node that has gone no longer listens.
    let _ = out.send(Ok(message.into())).await;
}

#[tonic::async_trait]
impl UplinkService for Double {
    type SessionStream = ReceiverStream<Result<pb::SessionResponse, Status>>;

    async fn session(
        &self,
        request: Request<Streaming<pb::SessionRequest>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        let mut manner = Manner::Kind;
        self.manners.send_modify(|manners| manner = manners.pop_front().unwrap_or(Manner::Kind));
        let (out, responses) = mpsc::channel(16);
        tokio::spawn(self.clone().converse(manner, request.into_inner(), out));
        Ok(Response::new(ReceiverStream::new(responses)))
    }
}
