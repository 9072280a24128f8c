//! The newest changes, each once however often it is told. Pure.

use std::collections::{HashMap, VecDeque};

use gpuwarden_proto::change::{ChangeKey, RecordedChange};

/// Changes in the order in which they came.
#[derive(Debug)]
pub struct Ledger {
    changes: HashMap<ChangeKey, RecordedChange>,
    order: VecDeque<ChangeKey>,
    max: usize,
}

/// What became of a change that was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// It is new.
    New(RecordedChange),
    /// It is known, and now its end is, too.
    Ended(RecordedChange),
    /// It is known: this is how it stands.
    Known(RecordedChange),
}

impl Taken {
    /// The change as it stands.
    #[must_use]
    pub fn change(&self) -> &RecordedChange {
        match self {
            Self::New(change) | Self::Ended(change) | Self::Known(change) => change,
        }
    }

    /// What became of it, in a word.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::New(_) => "recorded",
            Self::Ended(_) => "ended",
            Self::Known(_) => "known",
        }
    }

    /// There is something to be written.
    #[must_use]
    pub fn is_news(&self) -> bool {
        !matches!(self, Self::Known(_))
    }
}

impl Ledger {
    /// A ledger of at most `max` changes with those that were loaded, the oldest first.
    #[must_use]
    pub fn new(loaded: Vec<RecordedChange>, max: usize) -> Self {
        let mut ledger = Self { changes: HashMap::new(), order: VecDeque::new(), max };
        loaded.into_iter().for_each(|change| drop(ledger.take(change)));
        ledger
    }

    /// Takes up a change. The first to tell of it is believed; who tells of it again may say when it
    /// ended.
    pub fn take(&mut self, told: RecordedChange) -> Taken {
        if let Some(known) = self.changes.get_mut(&told.key) {
            let ended = told
                .finished_at
                .filter(|at| known.finished_at.is_none() && *at >= known.started_at);
            if ended.is_none() {
                return Taken::Known(known.clone());
            }
            known.finished_at = ended;
            return Taken::Ended(known.clone());
        }
        if self.order.len() >= self.max
            && let Some(oldest) = self.order.pop_front()
        {
            self.changes.remove(&oldest);
        }
        self.order.push_back(told.key.clone());
        self.changes.insert(told.key.clone(), told.clone());
        Taken::New(told)
    }

    /// The newest, the newest first.
    pub fn newest(&self) -> impl Iterator<Item = &RecordedChange> {
        self.order.iter().rev().filter_map(|key| self.changes.get(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{at, recorded};

    fn change(words: &str) -> RecordedChange {
        RecordedChange::clone(&recorded(10, words))
    }

    #[test]
    fn a_change_is_taken_once_and_ends_once() {
        let mut ledger = Ledger::new(Vec::new(), 10);
        assert!(matches!(ledger.take(change("rollout key=a by=ann")), Taken::New(_)));
        let again = ledger.take(change("rollout key=a by=bob"));
        assert_eq!((again.is_news(), again.change().by.as_str()), (false, "ann"));
        let ended = ledger.take(change("rollout key=a finished=20"));
        assert!(ended.is_news());
        assert_eq!(ended.change().finished_at, Some(at(20)));
        let later = ledger.take(change("rollout key=a finished=30"));
        assert_eq!(later, Taken::Known(ended.change().clone()));
        assert_eq!(ledger.newest().count(), 1);
    }

    #[test]
    fn the_oldest_go_first() {
        let loaded = ["a", "b", "c"].map(|key| change(&format!("rollout key={key}")));
        let ledger = Ledger::new(loaded.to_vec(), 2);
        let keys: Vec<&str> = ledger.newest().map(|change| change.key.as_str()).collect();
        assert_eq!(keys, ["c", "b"]);
        assert_eq!(ledger.changes.len(), 2);
    }
}
