//! Plays an event log to an aggregator as it comes: each line of standard input is sent at once, on
//! the stream of its node. For tests that hold an aggregator beside something else in real time.
//!
//! ```text
//! play-events 127.0.0.1:7443 < events.jsonl
//! ```

// It plays in real time.
#![allow(clippy::disallowed_methods)]

use std::collections::HashMap;
use std::io::BufRead as _;
use std::time::Duration;

use gpuwarden_aggregator::replay::line::{Line, Word};
use gpuwarden_proto::convert::encode_event;
use gpuwarden_proto::event::Event;
use gpuwarden_proto::pb;
use gpuwarden_proto::pb::uplink_service_client::UplinkServiceClient;
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::uplink::{Entry, FromNode, Heartbeat, Hello};
use gpuwarden_proto::vocab::{Epoch, NodeId, Seq};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Between two signs of life.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// The stream of one node.
struct Session {
    send: mpsc::Sender<pb::SessionRequest>,
    next_seq: u64,
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let address = std::env::args().nth(1).ok_or("usage: play-events ADDRESS")?;
    let channel = Channel::from_shared(format!("http://{address}"))?.connect().await?;
    let mut lines = lines();
    let mut sessions: HashMap<NodeId, Session> = HashMap::new();
    let mut beat = tokio::time::interval(HEARTBEAT);
    loop {
        tokio::select! {
            line = lines.recv() => {
                let Some(line) = line else { return Ok(()) };
                let (node, word) = match Line::parse(line.as_bytes()).map_err(|f| f.text)?.word {
                    Word::Event(node, _, event) => (node, Said::Event(event)),
                    Word::Snapshot(node, snapshot) => (node, Said::Snapshot(snapshot)),
                    _ => return Err(format!("nothing that a node says: {line}").into()),
                };
                if !sessions.contains_key(&node) {
                    sessions.insert(node.clone(), open(channel.clone(), node.clone()).await?);
                }
                if let Some(session) = sessions.get_mut(&node) {
                    session.say(word).await?;
                }
            }
            _ = beat.tick() => {
                for session in sessions.values_mut() {
                    session.send.send(FromNode::Heartbeat(heartbeat()).into()).await?;
                }
            }
        }
    }
}

enum Said {
    Event(Event),
    Snapshot(Box<gpuwarden_proto::inventory::Snapshot>),
}

/// Standard input, read on a thread of its own.
fn lines() -> mpsc::Receiver<String> {
    let (send, receive) = mpsc::channel(64);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if send.blocking_send(line).is_err() {
                break;
            }
        }
    });
    receive
}

async fn open(channel: Channel, node: NodeId) -> Result<Session, Failure> {
    let (send, outgoing) = mpsc::channel(16);
    let hello = Hello {
        node,
        epoch: Epoch(1),
        next_seq: Seq(1),
        agent_version: "play-events".to_owned(),
        boot_id: String::new(),
    };
    send.send(FromNode::Hello(hello).into()).await?;
    let mut client = UplinkServiceClient::new(channel);
    let mut answers = client.session(ReceiverStream::new(outgoing)).await?.into_inner();
    // Acknowledgements are read and of no interest.
    tokio::spawn(async move { while let Ok(Some(_)) = answers.message().await {} });
    Ok(Session { send, next_seq: 1 })
}

impl Session {
    async fn say(&mut self, said: Said) -> Result<(), Failure> {
        let message = match said {
            Said::Snapshot(snapshot) => FromNode::Snapshot(*snapshot),
            Said::Event(event) => {
                let seq = Seq(self.next_seq);
                self.next_seq += 1;
                FromNode::Batch(vec![Entry { seq, event: encode_event(&event) }])
            }
        };
        Ok(self.send.send(message.into()).await?)
    }
}

fn heartbeat() -> Heartbeat {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let sent_at = Timestamp::from_unix_ns(now.map_or(0, |since| since.as_nanos() as u64));
    Heartbeat { sent_at, outbox_rows: 0, outbox_bytes: 0, outbox_oldest: Duration::ZERO }
}
