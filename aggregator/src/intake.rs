//! How events and the passing of time reach correlation, the same for live streams and for replay.
//! Pure.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use gpuwarden_proto::change::RecordedChange;
use gpuwarden_proto::event::{Body, Event, Gap};
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::{ChangeKind, IncidentId, NodeId};

use crate::correlate::{Signal, State, Touched, apply};
use crate::suppress::Suppressor;

/// How often time alone is looked at.
pub const TICK: Duration = Duration::from_millis(250);
/// Ticks until newer numbers of an incident are shown, so that each is at most once a second.
const TICKS_PER_RENEWAL: u64 = 4;
/// Nanoseconds between ticks.
const TICK_NS: u64 = TICK.as_nanos() as u64;
/// Incidents whose newer numbers are shown in one tick. More at one time would keep what is new
/// waiting.
const RENEWED_MAX: usize = 125;

/// What an event tells that correlation does not keep.
#[derive(Debug, Clone, PartialEq)]
pub enum Aside {
    /// Something was done to the node.
    Change(RecordedChange),
    /// Events of the node are lost.
    Gap(Gap),
}

/// Takes up one event of a node that is known. `backlog` says that it tells of a time before the
/// node's snapshot.
pub fn event(
    state: &mut State,
    now: Timestamp,
    node: &NodeId,
    backlog: bool,
    event: Event,
    touched: &mut Touched,
) -> Option<Aside> {
    let observed_at = event.observed_at;
    match event.body {
        Body::Finding(finding) => {
            let signal = Signal::Finding { observed_at, backlog, finding };
            apply(state, now, node, signal, touched);
            None
        }
        Body::Change(change) => {
            let change = RecordedChange::observed(node, observed_at, &change);
            note_change(state, node, change.kind);
            apply(state, now, node, Signal::Change(change.clone()), touched);
            Some(Aside::Change(change))
        }
        Body::Gap(gap) => Some(Aside::Gap(gap)),
    }
}

/// What a change says of its node.
fn note_change(state: &mut State, node: &NodeId, kind: ChangeKind) {
    let Some(node) = state.nodes.get_mut(node) else { return };
    match kind {
        ChangeKind::AgentStopped => node.stopping = true,
        ChangeKind::AgentStarted => node.stopping = false,
        ChangeKind::ModelLoaded
        | ChangeKind::ModelUnloaded
        | ChangeKind::ModelDeployed
        | ChangeKind::ServerRestarted
        | ChangeKind::DriverChanged
        | ChangeKind::ConfigChanged
        | ChangeKind::Rollout
        | ChangeKind::Infrastructure
        | ChangeKind::Other => {}
    }
}

/// The passing of time, in ticks on whole multiples of [`TICK`] whenever they are caught up with: what
/// time brings about does not depend on how busy we are, and is the same in a replay.
#[derive(Debug, Default)]
pub struct Passing {
    /// Ticks from 1970 up to the last one; `None` before the first word.
    ticked: Option<u64>,
    stale: Stale,
}

impl Passing {
    /// Time is `now`; nothing waits for it yet.
    #[must_use]
    pub fn begin(now: Timestamp) -> Self {
        Self { ticked: Some(now.unix_ns() / TICK_NS), stale: Stale::default() }
    }

    /// Lets time pass up to `to`, to be called before anything is taken up then. While nothing waits
    /// for time, ticks are left out.
    pub fn pass(&mut self, known: Known<'_>, to: Timestamp, touched: &mut Touched) {
        let Known { state, suppressor } = known;
        let last = to.unix_ns() / TICK_NS;
        let mut next = self.ticked.map_or(last, |ticked| ticked + 1);
        while next <= last {
            let now = Timestamp::from_unix_ns(next * TICK_NS);
            if self.stale.is_empty() && state.rests() && suppressor.rests(now) {
                // Only a silence that begins or is over can still make a difference.
                match suppressor.next_turn().map(|turn| turn.unix_ns().div_ceil(TICK_NS)) {
                    Some(turn) if turn <= last => next = turn.max(next + 1),
                    Some(_) | None => break,
                }
                continue;
            }
            let mut fresh = Touched::default();
            state.tick(now, &mut fresh);
            let due = next.saturating_sub(TICKS_PER_RENEWAL);
            self.stale.renew(state, due, now, &mut fresh);
            suppressor.note(&fresh);
            suppressor.weigh(state, now, &mut fresh);
            self.stale.note(next, &mut fresh);
            touched.absorb(fresh);
            next += 1;
        }
        self.ticked = Some(last);
    }

    /// Takes note of what was touched.
    pub fn note(&mut self, touched: &mut Touched) {
        self.stale.note(self.ticked.unwrap_or_default(), touched);
    }

    /// Shows all newer numbers, and ranks and weighs what waits for it: nothing is left that only
    /// memory knows.
    pub fn end(&mut self, known: Known<'_>, now: Timestamp, touched: &mut Touched) {
        let Known { state, suppressor } = known;
        while !self.stale.is_empty() {
            self.stale.renew(state, u64::MAX, now, touched);
        }
        state.rank_finally(touched);
        suppressor.note(touched);
        suppressor.weigh(state, now, touched);
    }
}

/// What time makes a difference to.
#[derive(Debug)]
pub struct Known<'a> {
    /// What is correlated.
    pub state: &'a mut State,
    /// What is held back.
    pub suppressor: &'a mut Suppressor,
}

/// Incidents with newer numbers that nobody has been shown yet, and the tick since which they have
/// them.
#[derive(Debug, Default)]
struct Stale {
    since: BTreeMap<IncidentId, u64>,
    /// The same, the longest first.
    queue: BTreeSet<(u64, IncidentId)>,
}

impl Stale {
    /// Takes the incidents with newer numbers; those that changed in another way are shown anyway.
    fn note(&mut self, tick: u64, touched: &mut Touched) {
        for id in touched.refreshed.drain() {
            if let Entry::Vacant(unknown) = self.since.entry(id) {
                unknown.insert(tick);
                self.queue.insert((tick, id));
            }
        }
        for id in touched.changed.keys() {
            if let Some(since) = self.since.remove(id) {
                self.queue.remove(&(since, *id));
            }
        }
    }

    /// There are none.
    fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Shows the numbers of some that have newer ones since a tick or longer, the longest first.
    fn renew(&mut self, state: &mut State, due: u64, now: Timestamp, touched: &mut Touched) {
        let waiting = self.queue.iter().take_while(|(since, _)| *since <= due).take(RENEWED_MAX);
        let some: BTreeSet<IncidentId> = waiting.map(|(_, id)| *id).collect();
        for id in &some {
            if let Some(since) = self.since.remove(id) {
                self.queue.remove(&(since, *id));
            }
        }
        state.renew(now, &some, touched);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::correlate::Policy;
    use crate::testing::{Stage, at};

    #[test]
    fn newer_numbers_are_shown_some_at_a_time_the_longest_first_and_what_changed_is_shown_anyway() {
        let mut stage = Stage::new(Policy::default());
        let last = RENEWED_MAX as u64 + 2;
        let mut stale = Stale::default();
        let mut newer = |tick, ids: std::ops::RangeInclusive<u64>| {
            let mut touched = Touched::default();
            touched.refreshed.extend(ids.map(IncidentId));
            stale.note(tick, &mut touched);
        };
        newer(7, last..=last);
        newer(8, 1..=last);
        let mut touched = Touched::default();
        touched.changed.insert(IncidentId(1), gpuwarden_proto::incident::WatchChange::Changed);
        stale.note(8, &mut touched);
        stale.renew(&mut stage.state, 6, at(1), &mut touched);
        assert_eq!(stale.queue.len(), RENEWED_MAX + 1, "none has waited for long enough");
        stale.renew(&mut stage.state, 8, at(1), &mut touched);
        assert_eq!(stale.queue, BTreeSet::from([(8, IncidentId(last - 1))]));
        stale.renew(&mut stage.state, 8, at(2), &mut touched);
        assert!(stale.is_empty() && stale.since.is_empty());
    }
}
