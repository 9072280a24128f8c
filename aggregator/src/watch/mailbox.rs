//! What waits for one who watches: of each incident the newest, in the order in which they first
//! changed.
//!
//! Who is slow misses what was between, but never the last word on an incident, so that a storm or a
//! commit that changes ten thousand incidents drops nobody.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gpuwarden_proto::incident::WatchChange;
use gpuwarden_proto::vocab::IncidentId;
use tokio::sync::mpsc;

use super::Update;

/// Incidents that may wait for one watcher: all that are open, and more that are over.
pub const WAITING_MAX: usize = 65_536;

#[derive(Debug, Default)]
struct Waiting {
    updates: HashMap<IncidentId, Update>,
    order: VecDeque<IncidentId>,
}

// A lock, since who watches is served on another thread; it is never held for long.
type Shared = Arc<Mutex<Waiting>>;

/// The end that updates are put in.
#[derive(Debug)]
pub(super) struct Sender {
    waiting: Shared,
    /// Says that something waits; full when that has been said.
    bell: mpsc::Sender<()>,
}

/// The end that updates are taken from.
#[derive(Debug)]
pub struct Updates {
    waiting: Shared,
    bell: mpsc::Receiver<()>,
}

/// Why an update cannot be put in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// Too many incidents wait.
    Full,
    /// Nobody takes them any more.
    Gone,
}

/// Both ends.
pub(super) fn mailbox() -> (Sender, Updates) {
    let waiting = Shared::default();
    let (ring, bell) = mpsc::channel(1);
    (Sender { waiting: Arc::clone(&waiting), bell: ring }, Updates { waiting, bell })
}

impl Sender {
    /// Nobody takes updates any more.
    pub(super) fn is_closed(&self) -> bool {
        self.bell.is_closed()
    }

    /// Puts some in.
    pub(super) fn put(&self, updates: &[Update]) -> Result<(), Refused> {
        if self.is_closed() {
            return Err(Refused::Gone);
        }
        let mut waiting = lock(&self.waiting);
        updates.iter().for_each(|update| waiting.put(update));
        if waiting.order.len() > WAITING_MAX {
            return Err(Refused::Full);
        }
        drop(waiting);
        // Rung already is as good.
        let _ = self.bell.try_send(());
        Ok(())
    }
}

impl Waiting {
    fn put(&mut self, (change, incident): &Update) {
        let known = self.updates.get(&incident.id).map(|(change, _)| *change);
        let change = match (known, *change) {
            (Some(WatchChange::Opened), WatchChange::Changed) => WatchChange::Opened,
            (_, change) => change,
        };
        self.updates.insert(incident.id, (change, Arc::clone(incident)));
        if known.is_none() {
            self.order.push_back(incident.id);
        }
    }

    fn take(&mut self) -> Option<Update> {
        self.updates.remove(&self.order.pop_front()?)
    }
}

impl Updates {
    /// The next one; `None` when no more will come.
    pub async fn next(&mut self) -> Option<Update> {
        loop {
            if let Some(update) = self.waiting() {
                return Some(update);
            }
            if self.bell.recv().await.is_none() {
                return self.waiting();
            }
        }
    }

    /// The next one that waits already.
    pub fn waiting(&mut self) -> Option<Update> {
        lock(&self.waiting).take()
    }
}

fn lock(waiting: &Shared) -> MutexGuard<'_, Waiting> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}
