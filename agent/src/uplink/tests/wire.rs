//! The uplink on a real stream.

use std::sync::Arc;
use std::time::Duration;

use gpuwarden_proto::convert::decode_event;
use gpuwarden_proto::event::{Body, Change, Event, Subject};
use gpuwarden_proto::inventory::Snapshot;
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::{ChangeKind, NodeId, Seq};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::double::{Double, Manner, Seen};
use crate::clock::Clock;
use crate::config::{OutboxConfig, UplinkConfig};
use crate::outbox::{OutboxHandle, OutboxThread};
use crate::uplink::{Identity, Patience, Uplink, UplinkStatus};

const NOW: Timestamp = Timestamp::from_unix_s(1_000_000_000);

/// Waits for nothing but what a test is about, however slow the machine is.
fn patience() -> Patience {
    let long = Duration::from_secs(20);
    let step = Duration::from_millis(5);
    Patience { welcome: long, ack: long, stop: long, step, ..Patience::default() }
}

/// An outbox and an uplink that speaks for it.
struct Node {
    _folder: TempDir,
    thread: OutboxThread,
    outbox: OutboxHandle,
    snapshots: watch::Sender<Arc<Snapshot>>,
    status: watch::Receiver<UplinkStatus>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Node {
    fn start(double: &Double) -> Self {
        Self::start_with(double, patience())
    }

    fn start_with(double: &Double, patience: Patience) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let limits = OutboxConfig {
            max_rows: 10_000,
            max_bytes: 1 << 24,
            max_age: Duration::from_secs(86_400),
        };
        let clock = Clock::start();
        let (thread, outbox) = OutboxThread::start(folder.path(), &limits, clock).unwrap();
        let (snapshots, watched) = watch::channel(Arc::new(Snapshot::empty(NOW)));
        let config = UplinkConfig {
            endpoint: Some(format!("http://{}", double.address)),
            connect_timeout: Duration::from_secs(2),
        };
        let (published, status) = watch::channel(Uplink::initial_status(&config, NOW));
        let stop = CancellationToken::new();
        let uplink = Uplink {
            config,
            identity: Identity {
                node: NodeId::new("node-a").unwrap(),
                agent_version: "0".to_owned(),
                boot_id: String::new(),
            },
            outbox: outbox.clone(),
            snapshots: watched,
            clock,
            seed: 1,
            patience,
        };
        let task = tokio::spawn(uplink.run(published, stop.clone()));
        Self { _folder: folder, thread, outbox, snapshots, status, stop, task }
    }

    fn append(&self, ids: std::ops::RangeInclusive<u64>) {
        self.outbox.append(ids.map(event).collect());
    }

    async fn until_empty(&self) {
        self.outbox.settle().await.unwrap();
        let mut status = self.outbox.status();
        let empty = status.wait_for(|status| status.rows == 0);
        tokio::time::timeout(Duration::from_secs(20), empty).await.unwrap().unwrap();
    }

    async fn until(&mut self, condition: impl FnMut(&UplinkStatus) -> bool) -> UplinkStatus {
        let found = self.status.wait_for(condition);
        tokio::time::timeout(Duration::from_secs(20), found).await.unwrap().unwrap().clone()
    }

    async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
        tokio::task::spawn_blocking(|| self.thread.close()).await.unwrap();
    }
}

fn event(id: u64) -> Event {
    let body = Body::Change(Change {
        subject: Subject::Node,
        kind: ChangeKind::AgentStarted,
        summary: id.to_string(),
        version: String::new(),
    });
    Event { observed_at: NOW, body }
}

/// The ids of the events that were committed, in order; gaps are left out.
fn ids(seen: &Seen) -> Vec<u64> {
    let id = |body| match body {
        Body::Change(change) => change.summary.parse().ok(),
        Body::Gap(_) => None,
        Body::Finding(_) => panic!("no test sends findings"),
    };
    seen.events
        .iter()
        .filter_map(|(_, entry)| id(decode_event(&entry.event).unwrap().body))
        .collect()
}

#[tokio::test]
async fn events_arrive_once_in_order_and_leave_the_outbox() {
    let double = Double::start([]).await;
    let node = Node::start(&double);
    node.append(1..=100);
    let seen = double.until(|seen| seen.events.len() == 100).await;
    assert_eq!(ids(&seen), (1..=100).collect::<Vec<_>>());
    assert!(seen.batches.iter().all(|size| *size <= 5), "{:?}", seen.batches);
    node.until_empty().await;
    node.stop().await;
}

#[tokio::test]
async fn no_event_is_lost_or_doubled_over_cut_streams() {
    let cut = |at_batch, committed| Manner::Cut { at_batch, committed };
    let manners = [cut(1, false), cut(3, true), cut(2, false), cut(1, true)];
    let double = Double::start(manners).await;
    let mut node = Node::start(&double);
    for start in [1, 101, 201] {
        node.append(start..=start + 99);
    }
    let seen = double.until(|seen| seen.events.len() == 300).await;
    assert_eq!(ids(&seen), (1..=300).collect::<Vec<_>>());
    // What was committed is told with the next Welcome and need not come again.
    assert_eq!((seen.repeated, seen.hellos.len()), (0, 5));
    node.until_empty().await;
    let status = node.until(|status| status.connected).await;
    assert_eq!((status.reconnects, status.last_error), (4, None));
    node.stop().await;
}

#[tokio::test]
async fn a_silent_aggregator_is_left_and_called_again() {
    let double = Double::start([Manner::Silent, Manner::Mute]).await;
    let short = Duration::from_millis(400);
    let mut node = Node::start_with(&double, Patience { welcome: short, ack: short, ..patience() });
    node.append(1..=3);
    for error in ["the aggregator did not acknowledge", "the aggregator did not say Welcome"] {
        let told = |told: &String| told.starts_with(error);
        node.until(|status| status.last_error.as_ref().is_some_and(told)).await;
    }
    let seen = double.until(|seen| seen.events.len() == 3).await;
    assert!(seen.hellos.len() >= 3);
    node.stop().await;
}

#[tokio::test]
async fn refused_events_leave_the_queue_and_are_counted() {
    let double = Double::start([Manner::Refuse(vec![Seq(2), Seq(9)])]).await;
    let node = Node::start(&double);
    node.append(1..=12);
    node.until_empty().await;
    assert_eq!(node.outbox.status().borrow().rejected_total, 2);
    node.stop().await;
}

#[tokio::test]
async fn a_drained_node_finishes_and_comes_back() {
    let double = Double::start([Manner::Drain]).await;
    let mut node = Node::start(&double);
    node.append(1..=50);
    let seen = double.until(|seen| seen.events.len() == 50).await;
    assert_eq!((ids(&seen), seen.hellos.len()), ((1..=50).collect(), 2));
    assert_eq!((seen.known, node.until(|s| s.connected).await.reconnects), (0, 1));
    node.stop().await;
}

#[tokio::test]
async fn a_copied_or_refused_outbox_begins_another_epoch_and_loses_nothing() {
    for manner in [Manner::Claim(Seq(1 << 40)), Manner::RefuseEpoch] {
        let double = Double::start([manner]).await;
        let node = Node::start(&double);
        node.append(1..=10);
        let seen = double.until(|seen| ids(seen).len() == 10).await;
        let epochs: Vec<_> = seen.hellos.iter().map(|hello| hello.epoch).collect();
        assert_eq!(epochs.len(), 2);
        assert_ne!(epochs[0], epochs[1]);
        assert!(seen.events.iter().all(|(epoch, _)| *epoch == epochs[1]));
        node.until_empty().await;
        node.stop().await;
    }
}

#[tokio::test]
async fn what_is_said_last_is_said_before_the_end() {
    let double = Double::start([]).await;
    let mut node = Node::start(&double);
    node.until(|status| status.connected).await;
    node.append(1..=40);
    node.stop().await;
    let seen = double.until(|_| true).await;
    assert_eq!(ids(&seen), (1..=40).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_silent_aggregator_does_not_keep_the_agent_from_stopping() {
    let double = Double::start(vec![Manner::Silent; 9]).await;
    let patience = Patience { stop: Duration::from_millis(100), ..patience() };
    let mut node = Node::start_with(&double, patience);
    node.append(1..=4);
    node.until(|status| status.connected).await;
    double.until(|seen| seen.batches.len() == 1).await;
    node.stop().await;
}

#[tokio::test]
async fn heartbeats_tell_how_full_the_outbox_is() {
    let double = Double::start([Manner::Silent]).await;
    let node = Node::start(&double);
    node.append(1..=4);
    let seen = double.until(|seen| seen.heartbeats.iter().any(|beat| beat.outbox_rows == 4)).await;
    assert!(seen.heartbeats.iter().any(|beat| beat.outbox_bytes > 0));
    node.stop.cancel();
}

#[tokio::test]
async fn a_changed_picture_is_sent_without_being_asked_for() {
    let double = Double::start([]).await;
    let node = Node::start(&double);
    double.until(|seen| seen.snapshots == 1).await;
    let mut changed = Snapshot::empty(NOW);
    changed.hostname = "a".to_owned();
    node.snapshots.send_replace(Arc::new(changed));
    double.until(|seen| seen.snapshots == 2).await;
    node.stop().await;
}

#[tokio::test]
async fn an_aggregator_that_is_not_there_is_told_in_the_status() {
    // The port of a double that has ended is free, and nobody listens there.
    let nowhere = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut double = Double::start([]).await;
    double.address = nowhere;
    let mut node = Node::start(&double);
    let status = node.until(|status| status.last_error.is_some()).await;
    assert!(status.last_error.unwrap().starts_with("cannot connect"));
    assert!(!status.connected);
    node.stop().await;
}
