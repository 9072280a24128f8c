//! Who is on call, until when, and why just they: rotations in layers, and overrides above them.
//!
//! A schedule is a list of layers. Of those that have somebody at an instant the first counts, so a
//! layer for nights or weekends stands before the one that is always there. An override outweighs
//! all layers; of several the one that was made last. Where nobody is on, that is said, never
//! guessed.
//!
//! Everything that changes over does so at a time of day in the schedule's own zone, also over a
//! change of clocks: see [`Zone::instant`].

mod layer;
mod roster;
mod shift;

use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::{PersonName, ScheduleName};
use serde::{Deserialize, Serialize};

use crate::calendar::Span;
use crate::zone::Zone;

pub use layer::{Layer, Rotation, Weekly};
pub use roster::{Level, Person, Reach, Roster};
pub use shift::{Because, HandOver, Shift};

/// How far ahead is looked for a change, in days. What does not change within that is said to have
/// no end.
const HORIZON_DAYS: u64 = 400;

/// A schedule: its layers, the first of which outweighs those after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// Its name.
    pub name: ScheduleName,
    /// In which its layers change over.
    pub zone: Zone,
    /// Its layers.
    pub layers: Vec<Layer>,
}

/// Somebody takes over for a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Override {
    /// In which schedule.
    pub schedule: ScheduleName,
    /// Who takes over.
    pub who: PersonName,
    /// From when on.
    pub from: Timestamp,
    /// Until when.
    pub to: Timestamp,
    /// Who said so.
    pub by: String,
    /// When. Of several at one time the latest counts.
    pub made_at: Timestamp,
}

impl Override {
    /// The time for which it is made.
    #[must_use]
    pub fn span(&self) -> Span {
        Span { from: self.from, to: self.to }
    }
}

impl Schedule {
    /// Who is on at an instant, until when, and why.
    #[must_use]
    pub fn on(&self, overrides: &[Override], at: Timestamp) -> Shift {
        let (who, because) = self.who(overrides, at);
        let mut to = at;
        let end = at.after(days(HORIZON_DAYS));
        loop {
            match self.changes(overrides, to) {
                Some(change) if change < end => to = change,
                _ => return Shift { who, because, from: at, to: None },
            }
            if self.who(overrides, to) != (who.clone(), because.clone()) {
                return Shift { who, because, from: at, to: Some(to) };
            }
        }
    }

    /// All shifts between two instants, without holes: where nobody is on, a shift says so. The
    /// first begins at `from`, the last ends where it really ends.
    #[must_use]
    pub fn shifts(&self, overrides: &[Override], from: Timestamp, to: Timestamp) -> Vec<Shift> {
        let mut shifts = Vec::new();
        let mut at = Some(from);
        while let Some(begin) = at.filter(|at| *at < to) {
            let shift = self.on(overrides, begin);
            at = shift.to;
            shifts.push(shift);
        }
        shifts
    }

    /// The stretches within the next `days` days in which nobody is on.
    #[must_use]
    pub fn gaps(&self, overrides: &[Override], from: Timestamp, days_ahead: u16) -> Vec<Span> {
        let end = from.after(days(u64::from(days_ahead)));
        let empty = |shift: &Shift| shift.who.is_none();
        let span = |shift: Shift| Span { from: shift.from, to: shift.to.unwrap_or(end).min(end) };
        let mut gaps: Vec<Span> = Vec::new();
        for gap in self.shifts(overrides, from, end).into_iter().filter(empty).map(span) {
            match gaps.last_mut() {
                Some(before) if before.to == gap.from => before.to = gap.to,
                _ => gaps.push(gap),
            }
        }
        gaps
    }

    /// The next changes of the person on call, at most `count` of them, the first one first.
    #[must_use]
    pub fn hand_overs(
        &self,
        overrides: &[Override],
        from: Timestamp,
        count: usize,
    ) -> Vec<HandOver> {
        let mut list = Vec::new();
        let mut now = self.on(overrides, from);
        while let Some(at) = now.to.filter(|_| list.len() < count) {
            let next = self.on(overrides, at);
            if next.who != now.who {
                let (from, to, because) = (now.who, next.who.clone(), next.because.clone());
                list.push(HandOver { at, from, to, because });
            }
            now = next;
        }
        list
    }

    /// Who is on at an instant, and why. Costs a fraction of [`Schedule::on`], which looks ahead.
    #[must_use]
    pub fn who(&self, overrides: &[Override], at: Timestamp) -> (Option<PersonName>, Because) {
        let mine = overrides.iter().filter(|each| each.schedule == self.name);
        let current = mine.filter(|each| each.span().holds(at)).max_by_key(|each| each.made_at);
        if let Some(Override { who, by, .. }) = current {
            return (Some(who.clone()), Because::Override { by: by.clone() });
        }
        let layer = |layer: &Layer| Some((layer.who(&self.zone, at)?, layer.name.clone()));
        match self.layers.iter().find_map(layer) {
            Some((who, layer)) => (Some(who), Because::Layer { layer }),
            None => (None, Because::Nobody),
        }
    }

    /// The first instant after `at` at which something may be otherwise.
    fn changes(&self, overrides: &[Override], at: Timestamp) -> Option<Timestamp> {
        let mine = overrides.iter().filter(|each| each.schedule == self.name);
        let edges = mine.flat_map(|each| [each.from, each.to]).filter(|edge| *edge > at);
        let layers = self.layers.iter().filter_map(|layer| layer.changes(&self.zone, at));
        edges.chain(layers).min()
    }
}

fn days(days: u64) -> std::time::Duration {
    std::time::Duration::from_secs(days * 86_400)
}

#[cfg(test)]
mod tests;
