//! Incidents that were resolved lately, and are still asked for.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use gpuwarden_proto::incident::Incident;
use gpuwarden_proto::vocab::IncidentId;

/// Resolved incidents that are kept at hand.
const RECENT_MAX: usize = 1000;

/// The newest of those that are over.
#[derive(Debug, Default)]
pub(super) struct Recent {
    /// With the turn in which each was over.
    incidents: HashMap<IncidentId, (u64, Arc<Incident>)>,
    turns: BTreeMap<u64, IncidentId>,
    next: u64,
}

impl Recent {
    /// One of them.
    pub(super) fn get(&self, id: IncidentId) -> Option<&Arc<Incident>> {
        self.incidents.get(&id).map(|(_, incident)| incident)
    }

    /// An incident is over; the one that has been for longest goes when there are too many.
    pub(super) fn keep(&mut self, incident: Arc<Incident>) {
        let id = incident.id;
        self.remove(id);
        self.turns.insert(self.next, id);
        self.incidents.insert(id, (self.next, incident));
        self.next += 1;
        if self.turns.len() > RECENT_MAX
            && let Some((_, oldest)) = self.turns.pop_first()
        {
            self.incidents.remove(&oldest);
        }
    }

    /// What was over goes on.
    pub(super) fn remove(&mut self, id: IncidentId) {
        if let Some((turn, _)) = self.incidents.remove(&id) {
            self.turns.remove(&turn);
        }
    }
}
