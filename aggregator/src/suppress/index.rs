//! Which incidents inhibit, and which can be inhibited, by rule and by the values that must be equal.
//! So the sources of a target, and the targets of a source, are found without looking at the rest.

use std::collections::{BTreeSet, HashMap};

use gpuwarden_proto::vocab::{IncidentId, Severity};

/// Values of what must be equal, in the order of the rule.
pub(super) type Key = Vec<String>;

/// What an incident is to one rule.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Role {
    /// It inhibits others that have one of these.
    pub(super) sources: BTreeSet<Key>,
    /// It can be inhibited by others that have one of these.
    pub(super) targets: BTreeSet<Key>,
}

/// What an incident is to all rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Note {
    /// The more urgent of two inhibits the other.
    pub(super) severity: Severity,
    /// By the number of the rule.
    pub(super) roles: Vec<Role>,
}

/// The more urgent first, then the older.
type Rank = (Severity, IncidentId);

/// Who has one key of one rule.
#[derive(Debug, Default)]
struct Slot {
    /// They inhibit and cannot be inhibited.
    sources: BTreeSet<Rank>,
    /// They inhibit and can be inhibited, but for the first of them by another of them: something
    /// of them must be left to show.
    both: BTreeSet<Rank>,
    /// They can be inhibited.
    targets: BTreeSet<IncidentId>,
}

impl Slot {
    fn firsts(&self) -> [Option<Rank>; 2] {
        [self.sources.first().copied(), self.both.first().copied()]
    }

    fn is_empty(&self) -> bool {
        self.sources.is_empty() && self.both.is_empty() && self.targets.is_empty()
    }
}

/// All that is noted.
#[derive(Debug, Default)]
pub(super) struct Index {
    slots: HashMap<(usize, Key), Slot>,
    notes: HashMap<IncidentId, Note>,
}

impl Index {
    /// Notes what an incident is now; `None` when it is over. Gives those for whom it matters.
    pub(super) fn note(&mut self, id: IncidentId, note: Option<Note>) -> BTreeSet<IncidentId> {
        if self.notes.get(&id) == note.as_ref() {
            return BTreeSet::new();
        }
        let before = self.notes.remove(&id);
        let keys: BTreeSet<(usize, Key)> =
            [&before, &note].into_iter().flatten().flat_map(Note::keys).collect();
        let firsts = |this: &Self, key: &(usize, Key)| this.slots.get(key).map(Slot::firsts);
        let old: Vec<_> = keys.iter().map(|key| firsts(self, key)).collect();
        if let Some(note) = &before {
            self.each_slot(id, note, |set, rank| {
                set.remove(&rank);
            });
            self.each_target(note, |set| {
                set.remove(&id);
            });
        }
        if let Some(note) = note {
            self.each_slot(id, &note, |set, rank| {
                set.insert(rank);
            });
            self.each_target(&note, |set| {
                set.insert(id);
            });
            self.notes.insert(id, note);
        }
        let mut concerned = BTreeSet::new();
        for (key, old) in keys.into_iter().zip(old) {
            let new = firsts(self, &key);
            let none = [None; 2];
            if let Some(slot) = self.slots.get(&key)
                && old.unwrap_or(none) != new.unwrap_or(none)
            {
                concerned.extend(&slot.targets);
            }
            if self.slots.get(&key).is_some_and(Slot::is_empty) {
                self.slots.remove(&key);
            }
        }
        concerned
    }

    /// The first that inhibits `target` by this rule for this key.
    pub(super) fn inhibitor(
        &self,
        rule: usize,
        key: &Key,
        target: IncidentId,
    ) -> Option<IncidentId> {
        let [source, both] = self.slots.get(&(rule, key.clone()))?.firsts();
        // One that inhibits itself is the first of its like, and none of them inhibits it.
        let both = both.filter(|(_, id)| *id != target);
        [source, both].into_iter().flatten().min().map(|(_, id)| id)
    }

    fn each_slot(
        &mut self,
        id: IncidentId,
        note: &Note,
        mut change: impl FnMut(&mut BTreeSet<Rank>, Rank),
    ) {
        for (rule, role) in note.roles.iter().enumerate() {
            for key in &role.sources {
                let slot = self.slots.entry((rule, key.clone())).or_default();
                let set =
                    if role.targets.contains(key) { &mut slot.both } else { &mut slot.sources };
                change(set, (note.severity, id));
            }
        }
    }

    fn each_target(&mut self, note: &Note, mut change: impl FnMut(&mut BTreeSet<IncidentId>)) {
        for (rule, role) in note.roles.iter().enumerate() {
            for key in &role.targets {
                change(&mut self.slots.entry((rule, key.clone())).or_default().targets);
            }
        }
    }
}

impl Note {
    fn keys(&self) -> impl Iterator<Item = (usize, Key)> + '_ {
        let of = |(rule, role): (usize, &Role)| {
            role.sources.union(&role.targets).map(|key| (rule, key.clone())).collect::<Vec<_>>()
        };
        self.roles.iter().enumerate().flat_map(of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(source: bool, target: bool, severity: Severity) -> Option<Note> {
        let keys = |wanted: bool| wanted.then(|| vec!["r1".to_owned()]).into_iter().collect();
        Some(Note { severity, roles: vec![Role { sources: keys(source), targets: keys(target) }] })
    }

    fn inhibitor(index: &Index, target: u64) -> Option<u64> {
        index.inhibitor(0, &vec!["r1".to_owned()], IncidentId(target)).map(|id| id.0)
    }

    fn set(ids: &[u64]) -> BTreeSet<IncidentId> {
        ids.iter().copied().map(IncidentId).collect()
    }

    #[test]
    fn the_second_of_two_sources_inhibits_once_the_first_is_gone() {
        let mut index = Index::default();
        assert_eq!(index.note(IncidentId(3), note(false, true, Severity::P3)), set(&[]));
        assert_eq!(index.note(IncidentId(1), note(true, false, Severity::P3)), set(&[3]));
        assert_eq!(index.note(IncidentId(2), note(true, false, Severity::P3)), set(&[]));
        assert_eq!(inhibitor(&index, 3), Some(1));
        assert_eq!(index.note(IncidentId(1), None), set(&[3]));
        assert_eq!(inhibitor(&index, 3), Some(2));
        index.note(IncidentId(2), None);
        index.note(IncidentId(3), None);
        assert!(index.slots.is_empty() && index.notes.is_empty());
    }

    #[test]
    fn of_those_that_inhibit_each_other_the_most_urgent_is_left() {
        let mut index = Index::default();
        for (id, severity) in [(1, Severity::P3), (2, Severity::P2), (3, Severity::P3)] {
            index.note(IncidentId(id), note(true, true, severity));
        }
        assert_eq!([1, 2, 3].map(|id| inhibitor(&index, id)), [Some(2), None, Some(2)]);
        index.note(IncidentId(4), note(true, false, Severity::P4));
        assert_eq!(inhibitor(&index, 2), Some(4), "one that cannot be inhibited itself");
    }
}
