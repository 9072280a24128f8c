//! When each work is to be looked at again. Pure.

use std::collections::{BTreeMap, BTreeSet};

use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::IncidentId;

/// An instant for each incident, found by either.
#[derive(Debug, Default)]
pub(super) struct DueTimes {
    by_time: BTreeSet<(Timestamp, IncidentId)>,
    of: BTreeMap<IncidentId, Timestamp>,
}

impl DueTimes {
    /// It is looked at then; `None` for not at all.
    pub(super) fn set(&mut self, id: IncidentId, at: Option<Timestamp>) {
        if let Some(before) = self.of.remove(&id) {
            self.by_time.remove(&(before, id));
        }
        if let Some(at) = at {
            self.of.insert(id, at);
            self.by_time.insert((at, id));
        }
    }

    /// Takes all that are due.
    pub(super) fn take(&mut self, now: Timestamp) -> Vec<IncidentId> {
        let due: Vec<(Timestamp, IncidentId)> =
            self.by_time.iter().take_while(|(at, _)| *at <= now).copied().collect();
        due.iter().for_each(|(_, id)| self.set(*id, None));
        due.into_iter().map(|(_, id)| id).collect()
    }
}
