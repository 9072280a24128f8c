//! A fleet that speaks as agents do: small batches, a sign of life every two seconds, one stream a
//! node.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use gpuwarden_proto::convert::encode_event;
use gpuwarden_proto::event::{Body, Event};
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::Epoch;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::fleet::Fleet;
use crate::session::{Session, channels, wall};
use crate::story::Told;
use crate::{CONNECTIONS, Failure};

/// How often a node gives a sign of life, as agents do.
const HEARTBEAT: Duration = Duration::from_secs(2);
/// Events of one batch at most.
const BATCH_MAX: usize = 512;

/// What a node is made to do.
#[derive(Debug)]
enum Word {
    Say(Bytes),
    FallSilent,
}

/// A batch that was acknowledged.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Acked {
    pub(crate) at: Instant,
    pub(crate) events: usize,
    pub(crate) took: Duration,
}

type Acks = Arc<Mutex<Vec<Acked>>>;

/// All nodes, connected.
pub(crate) struct Live<'f> {
    fleet: &'f Fleet,
    nodes: Vec<mpsc::UnboundedSender<Word>>,
    acks: Acks,
    tasks: JoinSet<Result<(), Failure>>,
}

impl<'f> Live<'f> {
    /// Connects every node, says what is true on it, and keeps it speaking.
    pub(crate) async fn connect(fleet: &'f Fleet, address: SocketAddr) -> Result<Self, Failure> {
        let channels = channels(address, CONNECTIONS).await?;
        let (mut nodes, mut tasks, acks) = (Vec::new(), JoinSet::new(), Acks::default());
        for (nth, id) in fleet.ids.iter().enumerate() {
            let channel = channels[nth % channels.len()].clone();
            let mut session = Session::open(channel, id.clone(), Epoch(1 + nth as u64)).await?;
            session.snapshot(fleet.snapshot(nth, wall())).await?;
            let (words, to_say) = mpsc::unbounded_channel();
            nodes.push(words);
            tasks.spawn(speak(session, to_say, Arc::clone(&acks)));
        }
        Ok(Self { fleet, nodes, acks, tasks })
    }

    /// Has a node tell something now. `mark` ends up in the incident.
    pub(crate) fn say(&self, told: &Told, start: Timestamp, mark: &str) {
        let body = Body::Finding(told.finding(start, mark));
        let event = encode_event(&Event { observed_at: start.after(told.after), body });
        // A node that is gone is told of at the end.
        drop(self.nodes[told.trouble.node].send(Word::Say(event)));
    }

    /// Has a node say nothing any more, with its stream left open, as when its power is cut.
    pub(crate) fn fall_silent(&self, node: usize) {
        drop(self.nodes[node].send(Word::FallSilent));
    }

    /// What was acknowledged since the last such question.
    pub(crate) fn take_acks(&self) -> Vec<Acked> {
        std::mem::take(&mut *self.acks.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The fleet.
    pub(crate) fn fleet(&self) -> &'f Fleet {
        self.fleet
    }

    /// Streams that ended although they should not have, and why the first did.
    pub(crate) fn failed(&mut self) -> (usize, Option<String>) {
        let (mut failed, mut why) = (0, None);
        while let Some(ended) = self.tasks.try_join_next() {
            if let Ok(Err(error)) = ended {
                failed += 1;
                why.get_or_insert(error.to_string());
            }
        }
        (failed, why)
    }
}

/// Waits until a story has come so far.
pub(crate) async fn keep_time(began: Instant, after: Duration) {
    while began.elapsed() < after {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

async fn speak(
    mut session: Session,
    mut to_say: mpsc::UnboundedReceiver<Word>,
    acks: Acks,
) -> Result<(), Failure> {
    let mut beat = tokio::time::interval(HEARTBEAT);
    let mut words = Vec::new();
    loop {
        tokio::select! {
            said = to_say.recv_many(&mut words, BATCH_MAX) => if said == 0 {
                return Ok(());
            },
            _ = beat.tick() => {
                session.heartbeat().await?;
                continue;
            }
        }
        let silent = words.iter().any(|word| matches!(word, Word::FallSilent));
        let events: Vec<Bytes> = words.drain(..).filter_map(Word::event).collect();
        if !events.is_empty() {
            let count = events.len();
            let took = session.round_trip(events).await?;
            let acked = Acked { at: Instant::now(), events: count, took };
            acks.lock().unwrap_or_else(PoisonError::into_inner).push(acked);
        }
        if silent {
            while to_say.recv().await.is_some() {}
            return Ok(());
        }
    }
}

impl Word {
    fn event(self) -> Option<Bytes> {
        match self {
            Self::Say(event) => Some(event),
            Self::FallSilent => None,
        }
    }
}
