//! Where incidents went that another has taken in. Pure.

use std::collections::HashMap;

use gpuwarden_proto::vocab::IncidentId;

/// Incidents that go on as others which are not over.
#[derive(Debug, Default)]
pub(super) struct Merged {
    into: HashMap<IncidentId, IncidentId>,
    from: HashMap<IncidentId, Vec<IncidentId>>,
}

impl Merged {
    /// One incident goes on as another, and all that it had taken in with it.
    pub(super) fn note(&mut self, from: IncidentId, into: IncidentId) {
        let mut moved = self.from.remove(&from).unwrap_or_default();
        moved.push(from);
        self.into.extend(moved.iter().map(|each| (*each, into)));
        self.from.entry(into).or_default().append(&mut moved);
    }

    /// Under which number an incident goes on; its own where it was not taken in.
    pub(super) fn home(&self, id: IncidentId) -> IncidentId {
        self.into.get(&id).copied().unwrap_or(id)
    }

    /// An incident is over.
    pub(super) fn drop(&mut self, id: IncidentId) {
        for from in self.from.remove(&id).unwrap_or_default() {
            self.into.remove(&from);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_went_on_twice_is_found_and_nothing_stays_when_it_is_over() {
        let [a, b, c, d] = [1, 2, 3, 4].map(IncidentId);
        let mut merged = Merged::default();
        merged.note(a, b);
        merged.note(b, c);
        merged.note(d, c);
        assert_eq!([a, b, c, d].map(|id| merged.home(id)), [c; 4]);
        merged.drop(b);
        assert_eq!(merged.home(a), c, "it was not over, it went on");
        merged.drop(c);
        assert_eq!((merged.into.len(), merged.from.len()), (0, 0));
    }
}
