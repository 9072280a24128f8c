//! One node's stream to the aggregator.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use gpuwarden_proto::inventory::Snapshot;
use gpuwarden_proto::pb;
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::uplink::{Entry, FromNode, Heartbeat, Hello, ToNode};
use gpuwarden_proto::vocab::{Epoch, NodeId, Seq};
use tokio::sync::mpsc;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};

use crate::Failure;

/// A stream that was let in.
pub(crate) struct Session {
    send: mpsc::Sender<pb::SessionRequest>,
    receive: tonic::Streaming<pb::SessionResponse>,
    next_seq: u64,
}

/// Connections that sessions share.
pub(crate) async fn channels(address: SocketAddr, count: usize) -> Result<Vec<Channel>, Failure> {
    let mut channels = Vec::new();
    for _ in 0..count {
        channels.push(Endpoint::from_shared(format!("http://{address}"))?.connect().await?);
    }
    Ok(channels)
}

/// What the wall clock says.
pub(crate) fn wall() -> Timestamp {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Timestamp::from_unix_ns(now.map_or(0, |since| since.as_nanos() as u64))
}

impl Session {
    /// Says hello.
    pub(crate) async fn open(
        channel: Channel,
        node: NodeId,
        epoch: Epoch,
    ) -> Result<Self, Failure> {
        let (send, outgoing) = mpsc::channel(4);
        let hello = Hello {
            node,
            epoch,
            next_seq: Seq(1),
            agent_version: "bench".to_owned(),
            boot_id: String::new(),
        };
        send.send(FromNode::Hello(hello).into()).await?;
        let mut client = pb::uplink_service_client::UplinkServiceClient::new(channel);
        let receive = client.session(ReceiverStream::new(outgoing)).await?.into_inner();
        Ok(Self { send, receive, next_seq: 1 })
    }

    /// Says what is true now.
    pub(crate) async fn snapshot(&mut self, snapshot: Snapshot) -> Result<(), Failure> {
        Ok(self.send.send(FromNode::Snapshot(snapshot).into()).await?)
    }

    /// Gives a sign of life.
    pub(crate) async fn heartbeat(&mut self) -> Result<(), Failure> {
        let beat = Heartbeat {
            sent_at: wall(),
            outbox_rows: 0,
            outbox_bytes: 0,
            outbox_oldest: Duration::ZERO,
        };
        Ok(self.send.send(FromNode::Heartbeat(beat).into()).await?)
    }

    /// Sends a batch and waits until all of it is acknowledged.
    pub(crate) async fn round_trip(&mut self, events: Vec<Bytes>) -> Result<Duration, Failure> {
        let first = self.next_seq;
        self.next_seq += events.len() as u64;
        let entry = |(nth, event)| Entry { seq: Seq(first + nth as u64), event };
        let entries = events.into_iter().enumerate().map(entry).collect();
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
