//! What is told of one incident at one destination, in order. Pure.

use std::collections::VecDeque;

use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::Severity;

use super::policy::Flap;
use super::row::{Row, State};
use crate::destination::External;
use crate::message::Kind;

/// One incident at one destination.
#[derive(Debug, Clone, Default)]
pub(super) struct Lane {
    /// All its rows that are kept, by their numbers.
    pub(super) rows: Vec<u64>,
    /// Those that are on their way; only the first may go.
    pub(super) queue: VecDeque<u64>,
    /// What the incident is known by there.
    pub(super) external: Option<External>,
    /// The last that was asked for.
    last: Option<Kind>,
    /// The most urgent that was asked for.
    worst: Option<Severity>,
    /// When it came back.
    returns: VecDeque<Timestamp>,
    /// It is known there to come and go.
    flaps: bool,
    /// When something was last asked for.
    asked_at: Timestamp,
    /// What stands there is being told again: nothing else of it may overtake that.
    pub(super) renewing: bool,
    /// When it was last asked for, or answered.
    pub(super) touched_at: Timestamp,
}

/// What becomes of something new in a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    /// It is told.
    Told,
    /// It is told, and that the incident comes and goes.
    Flapping,
    /// It waits until the incident is calm.
    Held,
}

impl Lane {
    /// Something is asked for.
    pub(super) fn ask(
        &mut self,
        kind: Kind,
        severity: Severity,
        flap: Flap,
        now: Timestamp,
    ) -> Pace {
        self.touched_at = self.touched_at.max(now);
        let worse = self.worst.is_some_and(|worst| severity < worst);
        let back = kind == Kind::Page && self.last == Some(Kind::Resolved);
        self.worst = Some(self.worst.map_or(severity, |worst| worst.min(severity)));
        if kind == Kind::Broadcast {
            return Pace::Told;
        }
        self.last = Some(kind);
        if now.since(std::mem::replace(&mut self.asked_at, now)) > flap.calm {
            self.calm();
        }
        if back {
            self.returns.push_back(now);
        }
        while self.returns.front().is_some_and(|at| now.since(*at) > flap.within) {
            self.returns.pop_front();
        }
        if self.flaps {
            return if worse { Pace::Told } else { Pace::Held };
        }
        if flap.after == 0 || self.returns.len() < flap.after as usize {
            return Pace::Told;
        }
        self.flaps = true;
        Pace::Flapping
    }

    /// It was calm for long enough.
    pub(super) fn calm(&mut self) {
        self.flaps = false;
        self.returns.clear();
    }

    /// Takes up a row that was kept, as when it was live. Rows come in their order.
    pub(super) fn remember(&mut self, row: &Row, flap: Flap) {
        self.ask(row.message.kind, row.message.severity, flap, row.asked_at);
        self.rows.push(row.number);
        if row.anew {
            self.external = None;
        }
        match &row.state {
            State::Waiting | State::Sent => self.queue.push_back(row.number),
            State::Told { at, external, .. } => {
                self.touched_at = self.touched_at.max(*at);
                self.external = external.clone().or(self.external.take());
                if row.held {
                    self.calm();
                }
            }
            State::Superseded { at, .. } | State::Dead { at, .. } => {
                self.touched_at = self.touched_at.max(*at);
            }
        }
    }
}
