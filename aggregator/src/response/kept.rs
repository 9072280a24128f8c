//! What outlives a restart. Pure.

use gpuwarden_notify::delivery::{Key, Row};
use gpuwarden_respond::oncall::Override;
use gpuwarden_respond::timer::audit::Logged;

use super::work::Work;

/// What is to be made durable, and at the start what was.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Kept {
    /// The work on incidents, as it now is.
    pub works: Vec<Work>,
    /// Notifications, as they now are. Of several with one key the last counts.
    pub notices: Vec<Row>,
    /// Notifications that need not be known any more.
    pub forgotten: Vec<Key>,
    /// Words on timers, in order.
    pub timers: Vec<Logged>,
    /// Who takes over; all of them, where any changed.
    pub overrides: Vec<Override>,
}

impl Kept {
    /// There is nothing to be written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.works.is_empty()
            && self.notices.is_empty()
            && self.forgotten.is_empty()
            && self.timers.is_empty()
            && self.overrides.is_empty()
    }

    /// Takes up what comes after it.
    pub fn append(&mut self, mut later: Self) {
        self.works.append(&mut later.works);
        self.notices.append(&mut later.notices);
        self.forgotten.append(&mut later.forgotten);
        self.timers.append(&mut later.timers);
        if !later.overrides.is_empty() {
            self.overrides = later.overrides;
        }
    }
}
