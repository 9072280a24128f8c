//! What was touched, one time after another.

use gpuwarden_proto::incident::WatchChange;

use super::Touched;

impl Touched {
    /// Adds what was touched afterwards. What was opened stays opened for those who have not seen it.
    pub fn absorb(&mut self, later: Self) {
        for (id, change) in later.changed {
            let known = self.changed.entry(id).or_insert(change);
            if change == WatchChange::Resolved {
                *known = change;
            } else if *known == WatchChange::Resolved {
                // What was over goes on.
                *known = change;
                self.over.retain(|incident| incident.id != id);
            }
        }
        self.refreshed.extend(later.refreshed);
        self.over.extend(later.over);
        self.ranked.extend(later.ranked);
        self.news |= later.news;
    }
}
