//! What holds an incident back. It is written down and has no other effect here: members join and
//! severity rises as ever.
//!
//! Who looks between two ticks is shown what holds it back by then ([`Case::foresee`]). Its history
//! is written on ticks and with people's words only ([`Case::suppress`]), so that it does not depend
//! on how busy we were.

use gpuwarden_proto::incident::Incident;
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

/// What held an incident back when its history was last written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settled {
    /// By whom or what, in whole or in part.
    pub by: Vec<Suppression>,
    /// Since when all of it; `None` while some of it is shown.
    pub since: Option<Timestamp>,
}

impl Settled {
    /// As an incident says that was on disk.
    pub(super) fn of(incident: &Incident) -> Self {
        let Incident { suppressed_by, held_since, timeline, timeline_dropped, .. } = incident;
        let ours = [Kind::Held.as_str(), Kind::Released.as_str()];
        let last = timeline.iter().rev().find(|entry| ours.contains(&entry.kind.as_str()));
        let since = match last {
            Some(last) if last.kind == Kind::Held.as_str() => held_since.or(Some(last.at)),
            Some(_) => None,
            // What it said may be forgotten.
            None => held_since.filter(|_| *timeline_dropped > 0),
        };
        Self { by: suppressed_by.clone(), since }
    }
}

impl Case {
    /// What held it back when its history was last written.
    pub(crate) fn held(&self) -> &Settled {
        &self.held
    }

    /// The incident as its history has it, whatever somebody was shown meanwhile.
    pub(crate) fn as_told(&self) -> Incident {
        let Settled { by, since } = self.held.clone();
        Incident { suppressed_by: by, held_since: since, ..self.incident.clone() }
    }

    /// Takes note of what holds it back, and says whether that is news.
    pub(crate) fn suppress(&mut self, suppressed: Suppressed, now: Timestamp) -> bool {
        let Suppressed { by, wholly, released } = suppressed;
        let same = |known: &[Suppression], since: Option<Timestamp>| {
            known == by && since.is_some() == wholly
        };
        // Who looked before the tick may have been shown something else.
        let news = !same(&self.held.by, self.held.since)
            || !same(&self.incident.suppressed_by, self.incident.held_since);
        match (self.held.since, wholly) {
            (None, true) => {
                let holders: Vec<String> = by.iter().map(ToString::to_string).collect();
                self.tell(now, Kind::Held, SELF, format!("by {}", holders.join("; ")));
                self.held.since = Some(now);
            }
            (Some(_), false) => {
                self.tell(now, Kind::Released, SELF, released);
                self.held.since = None;
            }
            (None, false) | (Some(_), true) => {}
        }
        self.held.by.clone_from(&by);
        self.incident.suppressed_by = by;
        self.incident.held_since = self.held.since;
        if news {
            self.touch(now);
        }
        news
    }

    /// Shows what holds it back to those who look before the next tick.
    pub(crate) fn foresee(&mut self, suppressed: Suppressed, now: Timestamp) {
        let since = self.held.since.or(self.incident.held_since).unwrap_or(now);
        self.incident.suppressed_by = suppressed.by;
        self.incident.held_since = suppressed.wholly.then_some(since);
    }
}
