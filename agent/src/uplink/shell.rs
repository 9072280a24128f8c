//! A session on a real stream: waits for what happens, tells the state machine, and carries out what
//! it wants.

use std::pin::Pin;
use std::time::Duration;

use gpuwarden_proto::pb;
use gpuwarden_proto::pb::uplink_service_client::UplinkServiceClient;
use gpuwarden_proto::uplink::{Entry, FromNode, Heartbeat, MESSAGE_MAX_BYTES, ToNode};
use gpuwarden_proto::vocab::Seq;
use prost::Message;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Interval, MissedTickBehavior, Sleep, interval, sleep, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use tonic::{Code, Streaming};

use super::backoff::Backoff;
use super::session::{Effect, End, Input, Session};
use super::{Ended, Fault, Uplink, UplinkStatus};
use crate::outbox::OutboxStatus;

/// Messages that wait for the stream: all batches in flight, and pictures and heartbeats besides.
const OUTGOING_MAX: usize = 64;

/// A timer that is set or not.
type Timer = Option<Pin<Box<Sleep>>>;

/// One stream and what it needs.
pub(super) struct Shell<'a> {
    uplink: &'a mut Uplink,
    status: &'a watch::Sender<UplinkStatus>,
    backoff: &'a mut Backoff,
    outbox: watch::Receiver<OutboxStatus>,
    session: Session,
    outgoing: mpsc::Sender<pb::SessionRequest>,
    queued: Option<mpsc::Receiver<pb::SessionRequest>>,
    page: Option<oneshot::Receiver<Vec<Entry>>>,
    heartbeat: Option<Interval>,
    snapshot: Timer,
    welcome: Timer,
    ack: Timer,
    healthy_at: Timer,
    stop_at: Timer,
    healthy: bool,
}

/// What ends a wait: something for the state machine, or something for the shell.
enum Woken {
    Input(Box<Input>),
    Healthy,
    StopAsked,
}

impl<'a> Shell<'a> {
    /// A stream that has not said anything.
    pub(super) fn new(
        uplink: &'a mut Uplink,
        status: &'a watch::Sender<UplinkStatus>,
        backoff: &'a mut Backoff,
    ) -> Self {
        let mut outbox = uplink.outbox.status();
        let session = Session::new(
            outbox.borrow_and_update().clone(),
            uplink.snapshots.borrow_and_update().clone(),
        );
        let (outgoing, queued) = mpsc::channel(OUTGOING_MAX);
        let welcome = timer(uplink.patience.welcome);
        Self {
            uplink,
            status,
            backoff,
            outbox,
            session,
            outgoing,
            queued: Some(queued),
            page: None,
            heartbeat: None,
            snapshot: None,
            welcome,
            ack: None,
            healthy_at: None,
            stop_at: None,
            healthy: false,
        }
    }

    /// Streams until it is over.
    pub(super) async fn run(
        mut self,
        client: UplinkServiceClient<Channel>,
        stop: &CancellationToken,
    ) -> Ended {
        let how = match self.greet(client, stop).await {
            Ok(Some(mut incoming)) => self.converse(&mut incoming, stop).await,
            Ok(None) => Ok(End::Stopped),
            Err(fault) => Err(fault),
        };
        let how = self.renew_if_refused(how).await;
        let spread = self.session.is_welcome().then(|| self.session.spread());
        Ended { spread, healthy: self.healthy, how }
    }

    /// Begins another epoch where the aggregator cannot go on with this one, which it says with its
    /// Welcome or with `FAILED_PRECONDITION`.
    async fn renew_if_refused(&self, how: Result<End, Fault>) -> Result<End, Fault> {
        let reason = match how {
            Ok(End::EpochRefused(reason)) => reason,
            Err(Fault::Stream(status)) if status.code() == Code::FailedPrecondition => {
                format!("the aggregator refused the epoch: {}", status.message())
            }
            how => return how,
        };
        self.uplink.outbox.renew_epoch(self.session.epoch(), &reason).await?;
        Ok(End::EpochRefused(reason))
    }

    /// Says Hello and opens the stream; nothing if the agent stops meanwhile.
    async fn greet(
        &mut self,
        mut client: UplinkServiceClient<Channel>,
        stop: &CancellationToken,
    ) -> Result<Option<Streaming<pb::SessionResponse>>, Fault> {
        let who = &self.uplink.identity;
        let hello = self.session.hello(who.node.clone(), &who.agent_version, &who.boot_id);
        self.say(FromNode::Hello(hello))?;
        let Some(queued) = self.queued.take() else { return Ok(None) };
        tokio::select! {
            response = client.session(ReceiverStream::new(queued)) => {
                Ok(Some(response?.into_inner()))
            }
            () = elapsed(&mut self.welcome) => Err(Fault::NoWelcome),
            () = stop.cancelled() => Ok(None),
        }
    }

    async fn converse(
        &mut self,
        incoming: &mut Streaming<pb::SessionResponse>,
        stop: &CancellationToken,
    ) -> Result<End, Fault> {
        loop {
            let input = match self.wait(incoming, stop).await? {
                Woken::Input(input) => *input,
                Woken::Healthy => {
                    self.healthy = true;
                    self.healthy_at = None;
                    self.backoff.healthy();
                    continue;
                }
                Woken::StopAsked => {
                    self.stop_at = timer(self.uplink.patience.stop);
                    // A disk that hangs must not keep the agent from stopping.
                    let settled = timeout(self.uplink.patience.stop, self.uplink.outbox.settle());
                    settled.await.map_err(|_| Fault::Unfinished)??;
                    let latest = self.outbox.borrow_and_update().clone();
                    if let Some(end) = self.take(Input::Outbox(latest))? {
                        return Ok(end);
                    }
                    Input::Stop
                }
            };
            if let Some(end) = self.take(input)? {
                return Ok(end);
            }
        }
    }

    async fn wait(
        &mut self,
        incoming: &mut Streaming<pb::SessionResponse>,
        stop: &CancellationToken,
    ) -> Result<Woken, Fault> {
        let input = tokio::select! {
            message = incoming.message() => {
                Input::Received(ToNode::try_from(message?.ok_or(Fault::Closed)?)?)
            }
            page = answered(&mut self.page) => Input::Page(page?),
            changed = self.outbox.changed() => {
                changed.map_err(|_| crate::outbox::Unanswered)?;
                Input::Outbox(self.outbox.borrow_and_update().clone())
            }
            () = changed(&mut self.uplink.snapshots) => {
                Input::Snapshot(self.uplink.snapshots.borrow_and_update().clone())
            }
            () = ticked(&mut self.heartbeat) => Input::HeartbeatDue(self.sign_of_life()),
            () = elapsed(&mut self.snapshot) => {
                self.snapshot = None;
                Input::SnapshotDue
            }
            () = elapsed(&mut self.welcome) => return Err(Fault::NoWelcome),
            () = elapsed(&mut self.ack) => {
                return Err(Fault::NoAck(self.session.waits_for().unwrap_or_default()));
            }
            () = elapsed(&mut self.healthy_at) => return Ok(Woken::Healthy),
            () = elapsed(&mut self.stop_at) => return Err(Fault::Unfinished),
            () = stop.cancelled(), if self.stop_at.is_none() => return Ok(Woken::StopAsked),
        };
        Ok(Woken::Input(Box::new(input)))
    }

    /// Tells the state machine and does what it wants; how the session ended, if it did.
    fn take(&mut self, input: Input) -> Result<Option<End>, Fault> {
        let (was_welcome, waited_for) = (self.session.is_welcome(), self.session.waits_for());
        let effects = self.session.apply(input);
        if self.session.is_welcome() && !was_welcome {
            self.note_welcome();
        }
        let waits_for = self.session.waits_for();
        if waits_for != waited_for {
            self.ack = waits_for.and_then(|_: Seq| timer(self.uplink.patience.ack));
        }
        for effect in effects {
            if let Effect::End(end) = effect {
                return Ok(Some(end));
            }
            self.carry_out(effect)?;
        }
        Ok(None)
    }

    fn carry_out(&mut self, effect: Effect) -> Result<(), Fault> {
        match effect {
            Effect::Send(message) => self.say(message)?,
            Effect::Read(ask) => {
                self.page = Some(self.uplink.outbox.page(self.session.epoch(), ask)?);
            }
            Effect::Ack(acked) => {
                self.uplink.outbox.ack(self.session.epoch(), acked)?;
                self.status.send_modify(|status| status.acked_seq = acked);
            }
            Effect::Reject(rejected) => {
                tracing::warn!(count = rejected.len(), "the aggregator refused events");
                self.uplink.outbox.reject(self.session.epoch(), rejected)?;
            }
            Effect::Heartbeats(every) => {
                let mut heartbeat = interval(every);
                heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
                self.heartbeat = Some(heartbeat);
            }
            Effect::RestSnapshots => self.snapshot = timer(self.uplink.patience.snapshot),
            Effect::End(_) => {}
        }
        Ok(())
    }

    fn note_welcome(&mut self) {
        self.welcome = None;
        self.healthy_at = timer(self.uplink.patience.healthy);
        let (now, acked) = (self.uplink.clock.now().wall, self.session.acked());
        let again = self.backoff.came_up();
        self.status.send_modify(|status| {
            status.reconnects += u64::from(again);
            status.connected = true;
            status.since = now;
            status.last_error = None;
            status.acked_seq = acked;
        });
        tracing::info!(%acked, "the stream to the aggregator is up");
    }

    fn say(&self, message: FromNode) -> Result<(), Fault> {
        let is_snapshot = matches!(message, FromNode::Snapshot(_));
        let wire = pb::SessionRequest::from(message);
        let bytes = wire.encoded_len();
        if is_snapshot && bytes > MESSAGE_MAX_BYTES {
            // Sent, it would end the stream, and the next one too. Events still tell everything.
            tracing::warn!(bytes, "the picture of this node is too large to be sent");
            return Ok(());
        }
        self.outgoing.try_send(wire).map_err(|_| Fault::NotRead)
    }

    fn sign_of_life(&self) -> Heartbeat {
        let now = self.uplink.clock.now().wall;
        let outbox = self.outbox.borrow();
        Heartbeat {
            sent_at: now,
            outbox_rows: outbox.rows,
            outbox_bytes: outbox.bytes,
            outbox_oldest: outbox.oldest.map(|oldest| now.since(oldest)).unwrap_or_default(),
        }
    }
}

fn timer(after: Duration) -> Timer {
    Some(Box::pin(sleep(after)))
}

/// Ends with the timer; never, where it is not set.
async fn elapsed(timer: &mut Timer) {
    match timer {
        Some(timer) => timer.await,
        None => std::future::pending().await,
    }
}

async fn ticked(heartbeat: &mut Option<Interval>) {
    match heartbeat {
        Some(heartbeat) => drop(heartbeat.tick().await),
        None => std::future::pending().await,
    }
}

/// Ends with a change; never, where nobody can change it any more.
async fn changed<T>(watched: &mut watch::Receiver<T>) {
    if watched.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Ends with the outbox's answer; never, where it was not asked.
async fn answered(
    page: &mut Option<oneshot::Receiver<Vec<Entry>>>,
) -> Result<Vec<Entry>, crate::outbox::Unanswered> {
    let Some(waiting) = page else { return std::future::pending().await };
    let answer = waiting.await.map_err(|_| crate::outbox::Unanswered);
    *page = None;
    answer
}
