//! What people are shown: the incidents as they last were made durable, and who is watching them.
//!
//! A watcher gets all open incidents first and then each change. One that does not keep up is dropped
//! with a word that says so: it can watch again and begins with what is true then.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use gpuwarden_proto::incident::{Incident, WatchChange};
use gpuwarden_proto::vocab::IncidentId;
use tokio::sync::{mpsc, oneshot};

/// Changes that a watcher may be behind.
pub const BEHIND_MAX: usize = 1024;
/// Watchers at one time.
pub const WATCHERS_MAX: usize = 256;
/// Resolved incidents that are kept at hand.
const RECENT_MAX: usize = 1000;

/// One change, shared by all who see it.
pub type Update = (WatchChange, Arc<Incident>);

/// Why a watch ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// It did not keep up.
    Behind,
    /// There are too many.
    Crowded,
}

/// One who watches.
#[derive(Debug)]
pub struct Watch {
    /// What was open when it began.
    pub snapshot: Vec<Arc<Incident>>,
    /// What happened since.
    pub updates: mpsc::Receiver<Update>,
    /// Why it ended, once the updates have.
    pub ended: oneshot::Receiver<Ended>,
}

/// What is shown, and to whom.
#[derive(Debug, Default)]
pub struct Board {
    open: BTreeMap<IncidentId, Arc<Incident>>,
    recent: VecDeque<Arc<Incident>>,
    watchers: Vec<Watcher>,
}

#[derive(Debug)]
struct Watcher {
    updates: mpsc::Sender<Update>,
    ended: oneshot::Sender<Ended>,
}

impl Board {
    /// Shows an incident without telling anybody: at the start.
    pub fn place(&mut self, incident: Arc<Incident>) {
        self.open.insert(incident.id, incident);
    }

    /// The open incidents, by number.
    #[must_use]
    pub fn open(&self) -> Vec<Arc<Incident>> {
        self.open.values().cloned().collect()
    }

    /// One incident, if it is open or was resolved lately.
    #[must_use]
    pub fn incident(&self, id: IncidentId) -> Option<Arc<Incident>> {
        let recent = || self.recent.iter().rev().find(|incident| incident.id == id);
        self.open.get(&id).or_else(recent).cloned()
    }

    /// Shows changes, and tells the watchers.
    pub fn publish(&mut self, updates: &[Update]) {
        let news: Vec<Update> = updates.iter().filter_map(|update| self.show(update)).collect();
        let watchers = std::mem::take(&mut self.watchers);
        self.watchers = watchers.into_iter().filter_map(|each| each.tell(&news)).collect();
    }

    /// Shows one change; `None` when it has been shown before.
    fn show(&mut self, (change, incident): &Update) -> Option<Update> {
        let id = incident.id;
        let known = self.incident(id).map(|known| known.version);
        if known == Some(incident.version) {
            return None;
        }
        if *change == WatchChange::Resolved {
            self.open.remove(&id);
            self.recent.push_back(Arc::clone(incident));
            if self.recent.len() > RECENT_MAX {
                self.recent.pop_front();
            }
            return Some((*change, Arc::clone(incident)));
        }
        self.open.insert(id, Arc::clone(incident));
        let change = if known.is_some() { WatchChange::Changed } else { *change };
        Some((change, Arc::clone(incident)))
    }

    /// Begins a watch.
    pub fn watch(&mut self) -> Watch {
        let (updates, received) = mpsc::channel(BEHIND_MAX);
        let (ended, why) = oneshot::channel();
        self.watchers.retain(|watcher| !watcher.updates.is_closed());
        if self.watchers.len() < WATCHERS_MAX {
            self.watchers.push(Watcher { updates, ended });
        } else {
            drop(ended.send(Ended::Crowded));
        }
        Watch { snapshot: self.open(), updates: received, ended: why }
    }
}

impl Watcher {
    /// Itself, if it is still there and kept up.
    fn tell(self, updates: &[Update]) -> Option<Self> {
        for update in updates {
            match self.updates.try_send(update.clone()) {
                Ok(()) => {}
                Err(mpsc::error::TrySendError::Closed(_)) => return None,
                Err(mpsc::error::TrySendError::Full(_)) => {
                    drop(self.ended.send(Ended::Behind));
                    return None;
                }
            }
        }
        Some(self)
    }
}
