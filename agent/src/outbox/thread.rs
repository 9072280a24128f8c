//! The one thread that owns an outbox. Everybody else sends to it and is never blocked by it.
//!
//! Whatever is queued when it comes round is committed in one transaction. It publishes
//! [`OutboxStatus`] after each, so that a reader wakes when there is something new.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use gpuwarden_proto::event::Event;
use gpuwarden_proto::uplink::{Entry, Rejection};
use gpuwarden_proto::vocab::{Epoch, Seq};
use thiserror::Error;
use tokio::sync::{oneshot, watch};

use super::{Outbox, OutboxStatus, PageAsk};
use crate::clock::Clock;
use crate::config::OutboxConfig;

/// Events that wait for the thread; beyond them they are lost and counted.
const QUEUE_MAX_EVENTS: usize = 4_096;
/// Commands that wait for the thread: room for the events one by one, and for the uplink besides.
const QUEUE_MAX_COMMANDS: usize = 2 * QUEUE_MAX_EVENTS;
/// Commands that share a transaction.
const GROUP_MAX: usize = 256;
/// How often the thread looks for what is too old, and whether the disk is back.
const TICK: Duration = Duration::from_secs(1);

/// The thread does not take a command: it has ended, or does not keep up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the outbox does not answer")]
pub struct Unanswered;

enum Command {
    Append(Vec<Event>),
    Ack(Epoch, Seq),
    Reject(Epoch, Vec<Rejection>),
    Page(Epoch, PageAsk, oneshot::Sender<Vec<Entry>>),
    RenewEpoch(Epoch, String, oneshot::Sender<()>),
    Settle(oneshot::Sender<()>),
    Close,
}

/// The way to an outbox thread. Cheap to clone.
#[derive(Clone)]
pub struct OutboxHandle {
    commands: SyncSender<Command>,
    status: watch::Receiver<OutboxStatus>,
    waiting: Arc<Waiting>,
}

/// What is on its way to the thread. Shared, since producers must know without asking the thread.
#[derive(Default)]
struct Waiting {
    events: AtomicUsize,
    overflow: AtomicU64,
}

impl OutboxHandle {
    /// Hands events over. Never blocks: where the queue is full they are lost and counted.
    pub fn append(&self, events: Vec<Event>) {
        let count = events.len();
        let waiting = self.waiting.events.fetch_add(count, Ordering::Relaxed) + count;
        let fits = waiting <= QUEUE_MAX_EVENTS;
        if !fits || self.commands.try_send(Command::Append(events)).is_err() {
            self.waiting.events.fetch_sub(count, Ordering::Relaxed);
            self.waiting.overflow.fetch_add(count as u64, Ordering::Relaxed);
        }
    }

    /// Everything of this epoch up to here is on the aggregator's disk.
    pub fn ack(&self, epoch: Epoch, acked: Seq) -> Result<(), Unanswered> {
        self.send(Command::Ack(epoch, acked))
    }

    /// The aggregator will never take these.
    pub fn reject(&self, epoch: Epoch, rejected: Vec<Rejection>) -> Result<(), Unanswered> {
        self.send(Command::Reject(epoch, rejected))
    }

    /// Asks for events; see [`Outbox::page`].
    pub fn page(
        &self,
        epoch: Epoch,
        ask: PageAsk,
    ) -> Result<oneshot::Receiver<Vec<Entry>>, Unanswered> {
        let (reply, page) = oneshot::channel();
        self.send(Command::Page(epoch, ask, reply))?;
        Ok(page)
    }

    /// Begins a new epoch in the place of this one; see [`Outbox::renew_epoch`].
    pub async fn renew_epoch(&self, epoch: Epoch, reason: &str) -> Result<(), Unanswered> {
        let (reply, done) = oneshot::channel();
        self.send(Command::RenewEpoch(epoch, reason.to_owned(), reply))?;
        done.await.map_err(|_| Unanswered)
    }

    /// Waits until everything handed over before is committed and in the status.
    pub async fn settle(&self) -> Result<(), Unanswered> {
        let (reply, done) = oneshot::channel();
        self.send(Command::Settle(reply))?;
        done.await.map_err(|_| Unanswered)
    }

    /// How it is, now and with each change.
    pub fn status(&self) -> watch::Receiver<OutboxStatus> {
        self.status.clone()
    }

    fn send(&self, command: Command) -> Result<(), Unanswered> {
        self.commands.try_send(command).map_err(|_| Unanswered)
    }
}

/// A running outbox.
pub struct OutboxThread {
    commands: SyncSender<Command>,
    join: JoinHandle<()>,
}

impl OutboxThread {
    /// Opens the outbox of a state folder on a thread of its own.
    ///
    /// # Errors
    ///
    /// The operating system gives no thread. The state of the disk is never an error.
    pub fn start(
        state_dir: &Path,
        limits: &OutboxConfig,
        clock: Clock,
    ) -> io::Result<(Self, OutboxHandle)> {
        let outbox = Outbox::open(state_dir, limits, clock.now().wall);
        let (commands, received) = sync_channel(QUEUE_MAX_COMMANDS);
        let (published, status) = watch::channel(outbox.status());
        let waiting = Arc::new(Waiting::default());
        let owner = Owner { outbox, received, published, waiting: waiting.clone(), clock };
        let join =
            std::thread::Builder::new().name("outbox".to_owned()).spawn(move || owner.run())?;
        Ok((Self { commands: commands.clone(), join }, OutboxHandle { commands, status, waiting }))
    }

    /// Commits what is queued, closes the file and ends the thread. Blocks until that is done.
    pub fn close(self) {
        // A thread that is gone has nothing left to close.
        let _ = self.commands.send(Command::Close);
        if self.join.join().is_err() {
            tracing::error!("the outbox thread panicked");
        }
    }
}

struct Owner {
    outbox: Outbox,
    received: Receiver<Command>,
    published: watch::Sender<OutboxStatus>,
    waiting: Arc<Waiting>,
    clock: Clock,
}

impl Owner {
    fn run(mut self) {
        loop {
            let ended = match self.received.recv_timeout(TICK) {
                Ok(command) => self.group(command),
                Err(RecvTimeoutError::Timeout) => false,
                Err(RecvTimeoutError::Disconnected) => true,
            };
            self.commit();
            if ended {
                return self.outbox.close(self.clock.now().wall);
            }
        }
    }

    /// Takes a command and those that wait behind it, as far as they share a transaction; whether
    /// the last was to close.
    fn group(&mut self, first: Command) -> bool {
        let mut next = Some(first);
        let mut taken = 0;
        while let Some(command) = next {
            if self.take(command) {
                return true;
            }
            taken += 1;
            next = if taken < GROUP_MAX { self.received.try_recv().ok() } else { None };
        }
        false
    }

    /// Carries a command out; whether it was to close.
    fn take(&mut self, command: Command) -> bool {
        let now = self.clock.now().wall;
        match command {
            Command::Append(events) => {
                self.waiting.events.fetch_sub(events.len(), Ordering::Relaxed);
                events.iter().for_each(|event| self.outbox.stage(event, now));
            }
            Command::Ack(epoch, acked) => self.outbox.ack(epoch, acked),
            Command::Reject(epoch, rejected) => self.outbox.reject(epoch, rejected),
            Command::Page(epoch, ask, reply) => {
                self.outbox.commit(now);
                // An asker that has gone no longer wants to know; so below.
                let _ = reply.send(self.outbox.page(epoch, ask, now));
            }
            Command::RenewEpoch(epoch, reason, reply) => {
                self.outbox.renew_epoch(epoch, &reason, now);
                self.commit();
                let _ = reply.send(());
            }
            Command::Settle(reply) => {
                self.commit();
                let _ = reply.send(());
            }
            Command::Close => return true,
        }
        false
    }

    fn commit(&mut self) {
        let overflow = self.waiting.overflow.swap(0, Ordering::Relaxed);
        if overflow > 0 {
            self.outbox.lose(overflow, "the queue to the outbox was full");
        }
        self.outbox.commit(self.clock.now().wall);
        let status = self.outbox.status();
        self.published.send_if_modified(|published| {
            let changed = *published != status;
            *published = status;
            changed
        });
    }
}
