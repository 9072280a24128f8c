//! What holds an incident back. It is written down and has no other effect here: members join and
//! severity rises as ever.

use gpuwarden_proto::silence::Suppression;
use gpuwarden_proto::time::Timestamp;

use super::Case;
use super::timeline::{Kind, SELF};

/// What holds an incident back at one time.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Suppressed {
    /// By whom or what, in whole or in part.
    pub by: Vec<Suppression>,
    /// Nothing of it is left to show.
    pub wholly: bool,
    /// Why it is shown again, where it was held back before.
    pub released: String,
}

impl Case {
    /// Takes note of what holds it back, and says whether that is news.
    pub(crate) fn suppress(&mut self, suppressed: Suppressed, now: Timestamp) -> bool {
        let Suppressed { by, wholly, released } = suppressed;
        let before = self.incident.held_since;
        if self.incident.suppressed_by == by && before.is_some() == wholly {
            return false;
        }
        match (before, wholly) {
            (None, true) => {
                let holders: Vec<String> = by.iter().map(ToString::to_string).collect();
                self.tell(now, Kind::Held, SELF, format!("by {}", holders.join("; ")));
                self.incident.held_since = Some(now);
            }
            (Some(_), false) => {
                self.tell(now, Kind::Released, SELF, released);
                self.incident.held_since = None;
            }
            (None, false) | (Some(_), true) => {}
        }
        self.incident.suppressed_by = by;
        self.touch(now);
        true
    }
}
