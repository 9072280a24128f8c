//! What people do about incidents, in memory.

use std::collections::BTreeMap;

use gpuwarden_notify::delivery::{Key, Row};
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::IncidentId;
use gpuwarden_respond::oncall::Override;
use gpuwarden_respond::timer::audit::Logged;

use crate::response::{Kept, Work};

#[derive(Debug, Default)]
pub(super) struct Table {
    works: BTreeMap<IncidentId, Work>,
    notices: BTreeMap<Key, Row>,
    words: Vec<Logged>,
    overrides: Vec<Override>,
}

impl Table {
    pub(super) fn write(&mut self, kept: &Kept) {
        self.works.extend(kept.works.iter().map(|work| (work.id(), work.clone())));
        self.notices.extend(kept.notices.iter().map(|row| (row.key.clone(), row.clone())));
        kept.forgotten.iter().for_each(|key| drop(self.notices.remove(key)));
        self.words.extend(&kept.timers);
        if !kept.overrides.is_empty() {
            self.overrides.clone_from(&kept.overrides);
        }
    }

    pub(super) fn load(&self) -> Kept {
        let live = self.works.values().filter(|work| work.is_live());
        Kept {
            works: live.cloned().collect(),
            notices: self.notices.values().cloned().collect(),
            overrides: self.overrides.clone(),
            ..Kept::default()
        }
    }

    pub(super) fn work(&self, id: IncidentId) -> Option<Work> {
        self.works.get(&id).cloned()
    }

    pub(super) fn words(&self, from: Timestamp, limit: usize) -> Vec<Logged> {
        self.words.iter().filter(|word| word.at >= from).take(limit).copied().collect()
    }

    /// Forgets words on timers before an instant; how many.
    pub(super) fn forget(&mut self, before: Timestamp, most: usize) -> usize {
        let old = self.words.iter().take(most).take_while(|word| word.at < before).count();
        self.words.drain(..old).count()
    }
}
