//! What people are shown: the incidents as they last were made durable, and who is watching them.
//!
//! A watcher gets all open incidents first and then what changes, of each incident the newest. One
//! for whom far too much waits is dropped with a word that says so: it can watch again and begins
//! with what is true then.

mod mailbox;
mod recent;

use std::collections::BTreeMap;
use std::sync::Arc;

use gpuwarden_proto::incident::{Incident, WatchChange};
use gpuwarden_proto::vocab::IncidentId;
use tokio::sync::oneshot;

pub use self::mailbox::{Updates, WAITING_MAX};

use self::mailbox::{Refused, Sender, mailbox};
use self::recent::Recent;

/// Watchers at one time.
pub const WATCHERS_MAX: usize = 256;

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
    pub updates: Updates,
    /// Why it ended, once the updates have.
    pub ended: oneshot::Receiver<Ended>,
}

/// What is shown, and to whom.
#[derive(Debug, Default)]
pub struct Board {
    open: BTreeMap<IncidentId, Arc<Incident>>,
    recent: Recent,
    watchers: Vec<Watcher>,
}

#[derive(Debug)]
struct Watcher {
    updates: Sender,
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
        self.open.get(&id).or_else(|| self.recent.get(id)).cloned()
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
        let known = self.open.get(&id).or_else(|| self.recent.get(id));
        let known = known.map(|known| known.version);
        if known == Some(incident.version) {
            return None;
        }
        if *change == WatchChange::Resolved {
            self.open.remove(&id);
            self.recent.keep(Arc::clone(incident));
            return Some((*change, Arc::clone(incident)));
        }
        if self.open.insert(id, Arc::clone(incident)).is_none() {
            self.recent.remove(id);
        }
        let change = if known.is_some() { WatchChange::Changed } else { *change };
        Some((change, Arc::clone(incident)))
    }

    /// Begins a watch.
    pub fn watch(&mut self) -> Watch {
        let (updates, received) = mailbox();
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
    /// Itself, if it is still there and not too much waits for it.
    fn tell(self, updates: &[Update]) -> Option<Self> {
        match self.updates.put(updates) {
            Ok(()) => Some(self),
            Err(Refused::Gone) => None,
            Err(Refused::Full) => {
                drop(self.ended.send(Ended::Behind));
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use gpuwarden_proto::vocab::{IncidentType, Phase, Severity};

    use super::*;
    use crate::incident::{Because, Belongs, Case, Command, Limits, member};
    use crate::testing::{at, finding, node};

    fn case(id: u64) -> Case {
        let cause = finding(Phase::Raised, &["queue-backup", "bert"], at(0));
        let cause = member(Some(node("node-a")), cause, Belongs::first());
        let kind = Because { what: IncidentType::HighLatency, reason: String::new() };
        let severity = Because { what: Severity::P3, reason: String::new() };
        Case::open(IncidentId(id), cause, kind, severity, Limits::default(), at(0))
    }

    fn shown(case: &Case) -> Arc<Incident> {
        Arc::new(case.incident().clone())
    }

    #[test]
    fn a_watcher_gets_what_is_open_and_each_change_once() {
        let (mut board, mut case) = (Board::default(), case(1));
        board.publish(&[(WatchChange::Opened, shown(&case))]);
        let mut watch = board.watch();
        assert_eq!(watch.snapshot.len(), 1);
        board.publish(&[(WatchChange::Opened, shown(&case))]);
        assert!(watch.updates.waiting().is_none(), "it had been shown");
        let (by, text) = ("ann".to_owned(), "hm".to_owned());
        case.command(Command::Note { by, text }, at(1)).unwrap();
        board.publish(&[(WatchChange::Opened, shown(&case))]);
        assert_eq!(watch.updates.waiting().unwrap().0, WatchChange::Changed);
    }

    #[test]
    fn a_watcher_for_whom_far_too_much_waits_is_dropped_with_a_word() {
        let mut board = Board::default();
        let mut slow = board.watch();
        let cases: Vec<Update> = (1..=WAITING_MAX as u64 + 1)
            .map(|id| (WatchChange::Opened, shown(&case(id))))
            .collect();
        board.publish(&cases[1..]);
        assert!(slow.ended.try_recv().is_err(), "all that may wait waits");
        board.publish(&cases[..1]);
        assert_eq!(slow.ended.try_recv(), Ok(Ended::Behind));
        assert!(board.watchers.is_empty());
        assert_eq!(board.open().len(), cases.len(), "the others see all");
    }

    #[test]
    fn who_is_slow_gets_the_newest_of_each_incident_and_what_is_new_stays_new() {
        let (mut board, mut first, second) = (Board::default(), case(1), case(2));
        let mut watch = board.watch();
        board.publish(&[(WatchChange::Opened, shown(&first))]);
        board.publish(&[(WatchChange::Opened, shown(&second))]);
        let note = |text: &str| Command::Note { by: "ann".to_owned(), text: text.to_owned() };
        for text in ["hm", "aha"] {
            first.command(note(text), at(1)).unwrap();
            board.publish(&[(WatchChange::Changed, shown(&first))]);
        }
        let (change, newest) = watch.updates.waiting().unwrap();
        assert_eq!((change, newest.id, newest.version), (WatchChange::Opened, IncidentId(1), 3));
        assert_eq!(watch.updates.waiting().unwrap().1.id, IncidentId(2));
        assert!(watch.updates.waiting().is_none());
    }

    #[test]
    fn what_is_over_before_it_was_seen_is_told_once_as_over() {
        let (mut board, mut case) = (Board::default(), case(1));
        let mut watch = board.watch();
        board.publish(&[(WatchChange::Opened, shown(&case))]);
        let (by, reason) = ("ann".to_owned(), "done".to_owned());
        case.command(Command::Resolve { by, reason, force: true }, at(1)).unwrap();
        board.publish(&[(WatchChange::Resolved, shown(&case))]);
        assert_eq!(watch.updates.waiting().unwrap().0, WatchChange::Resolved);
        assert!(watch.updates.waiting().is_none());
    }

    #[test]
    fn there_are_only_so_many_watchers_and_those_gone_make_room() {
        let mut board = Board::default();
        let watches: Vec<Watch> = (0..WATCHERS_MAX).map(|_| board.watch()).collect();
        assert_eq!(board.watch().ended.try_recv(), Ok(Ended::Crowded));
        drop(watches);
        assert!(board.watch().ended.try_recv().is_err());
    }

    #[test]
    fn a_resolved_incident_stays_at_hand_for_a_while() {
        let (mut board, mut case) = (Board::default(), case(1));
        board.publish(&[(WatchChange::Opened, shown(&case))]);
        let (by, reason) = ("ann".to_owned(), "done".to_owned());
        case.command(Command::Resolve { by, reason, force: true }, at(1)).unwrap();
        board.publish(&[(WatchChange::Resolved, shown(&case))]);
        assert!(board.open().is_empty());
        assert!(board.incident(IncidentId(1)).unwrap().resolved_at.is_some());
    }
}
