//! The messages of the stream.

use std::time::Duration;

use super::Refused;
use crate::pb;
use crate::time::Timestamp;
use crate::uplink::{Entry, FromNode, Heartbeat, Hello, Rejection, ToNode, Welcome};
use crate::vocab::{Epoch, NodeId, Seq};

impl From<FromNode> for pb::SessionRequest {
    fn from(message: FromNode) -> Self {
        use pb::session_request::Message;
        let message = match message {
            FromNode::Hello(hello) => Message::Hello(hello.into()),
            FromNode::Snapshot(snapshot) => Message::Snapshot(snapshot.into()),
            FromNode::Batch(entries) => {
                let entries = entries.into_iter().map(Into::into).collect();
                Message::Batch(pb::EventBatch { entries })
            }
            FromNode::Heartbeat(heartbeat) => Message::Heartbeat(heartbeat.into()),
        };
        Self { message: Some(message) }
    }
}

impl TryFrom<pb::SessionRequest> for FromNode {
    type Error = Refused;

    fn try_from(wire: pb::SessionRequest) -> Result<Self, Refused> {
        use pb::session_request::Message;
        Ok(match wire.message.ok_or_else(|| Refused::missing("message"))? {
            Message::Hello(hello) => Self::Hello(hello.try_into()?),
            Message::Snapshot(snapshot) => Self::Snapshot(snapshot.try_into()?),
            Message::Batch(batch) => {
                Self::Batch(batch.entries.into_iter().map(Into::into).collect())
            }
            Message::Heartbeat(heartbeat) => Self::Heartbeat(heartbeat.into()),
        })
    }
}

impl From<Entry> for pb::OutboxEntry {
    fn from(entry: Entry) -> Self {
        Self { seq: entry.seq.0, event: entry.event }
    }
}

impl From<pb::OutboxEntry> for Entry {
    fn from(wire: pb::OutboxEntry) -> Self {
        Self { seq: Seq(wire.seq), event: wire.event }
    }
}

impl From<Hello> for pb::Hello {
    fn from(hello: Hello) -> Self {
        Self {
            node: hello.node.as_str().to_owned(),
            epoch: hello.epoch.0,
            next_seq: hello.next_seq.0,
            agent_version: hello.agent_version,
            boot_id: hello.boot_id,
        }
    }
}

impl TryFrom<pb::Hello> for Hello {
    type Error = Refused;

    fn try_from(wire: pb::Hello) -> Result<Self, Refused> {
        let node = NodeId::new(&wire.node)
            .map_err(|error| Refused::because("hello.node")(error.to_string()))?;
        if wire.epoch == 0 {
            return Err(Refused::missing("hello.epoch"));
        }
        Ok(Self {
            node,
            epoch: Epoch(wire.epoch),
            next_seq: Seq(wire.next_seq),
            agent_version: wire.agent_version,
            boot_id: wire.boot_id,
        })
    }
}

impl From<Heartbeat> for pb::Heartbeat {
    fn from(heartbeat: Heartbeat) -> Self {
        Self {
            sent_unix_ns: heartbeat.sent_at.unix_ns(),
            outbox_rows: heartbeat.outbox_rows,
            outbox_bytes: heartbeat.outbox_bytes,
            outbox_oldest_s: heartbeat.outbox_oldest.as_secs_f64(),
        }
    }
}

impl From<pb::Heartbeat> for Heartbeat {
    fn from(wire: pb::Heartbeat) -> Self {
        Self {
            sent_at: Timestamp::from_unix_ns(wire.sent_unix_ns),
            outbox_rows: wire.outbox_rows,
            outbox_bytes: wire.outbox_bytes,
            outbox_oldest: Duration::try_from_secs_f64(wire.outbox_oldest_s).unwrap_or_default(),
        }
    }
}

impl From<ToNode> for pb::SessionResponse {
    fn from(message: ToNode) -> Self {
        use pb::session_response::Message;
        let message = match message {
            ToNode::Welcome(welcome) => Message::Welcome(welcome.into()),
            ToNode::Ack { acked_seq, rejected } => Message::Ack(pb::Ack {
                acked_seq: acked_seq.0,
                rejected: rejected
                    .into_iter()
                    .map(|each| pb::Rejection { seq: each.seq.0, reason: each.reason })
                    .collect(),
            }),
            ToNode::Credit { max_batches } => Message::Credit(pb::Credit { max_batches }),
            ToNode::Drain { spread, reason } => {
                Message::Drain(pb::Drain { spread_ms: milliseconds(spread), reason })
            }
        };
        Self { message: Some(message) }
    }
}

impl TryFrom<pb::SessionResponse> for ToNode {
    type Error = Refused;

    fn try_from(wire: pb::SessionResponse) -> Result<Self, Refused> {
        use pb::session_response::Message;
        Ok(match wire.message.ok_or_else(|| Refused::missing("message"))? {
            Message::Welcome(welcome) => Self::Welcome(welcome.into()),
            Message::Ack(ack) => Self::Ack {
                acked_seq: Seq(ack.acked_seq),
                rejected: ack
                    .rejected
                    .into_iter()
                    .map(|each| Rejection { seq: Seq(each.seq), reason: each.reason })
                    .collect(),
            },
            Message::Credit(credit) => Self::Credit { max_batches: credit.max_batches },
            Message::Drain(drain) => Self::Drain {
                spread: Duration::from_millis(drain.spread_ms.into()),
                reason: drain.reason,
            },
        })
    }
}

impl From<Welcome> for pb::Welcome {
    fn from(welcome: Welcome) -> Self {
        Self {
            acked_seq: welcome.acked_seq.0,
            heartbeat_interval_ms: milliseconds(welcome.heartbeat_interval),
            reconnect_spread_ms: milliseconds(welcome.reconnect_spread),
            max_batch_bytes: welcome.max_batch_bytes.try_into().unwrap_or(u32::MAX),
            max_batch_events: welcome.max_batch_events.try_into().unwrap_or(u32::MAX),
        }
    }
}

impl From<pb::Welcome> for Welcome {
    fn from(wire: pb::Welcome) -> Self {
        Self {
            acked_seq: Seq(wire.acked_seq),
            heartbeat_interval: Duration::from_millis(wire.heartbeat_interval_ms.into()),
            reconnect_spread: Duration::from_millis(wire.reconnect_spread_ms.into()),
            max_batch_bytes: wire.max_batch_bytes as usize,
            max_batch_events: wire.max_batch_events as usize,
        }
    }
}

fn milliseconds(duration: Duration) -> u32 {
    duration.as_millis().try_into().unwrap_or(u32::MAX)
}
