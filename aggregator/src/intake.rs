//! How events and the passing of time reach correlation, the same for live streams and for replay.
//! Pure.

use std::collections::BTreeSet;
use std::time::Duration;

use gpuwarden_proto::change::RecordedChange;
use gpuwarden_proto::event::{Body, Event, Gap};
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::{ChangeKind, IncidentId, NodeId};

use crate::correlate::{Signal, State, Touched, apply};

/// How often time alone is looked at.
pub const TICK: Duration = Duration::from_millis(250);
/// Ticks between two looks at what has only newer numbers.
pub const TICKS_PER_RENEWAL: u64 = 4;
/// Incidents whose newer numbers are shown at one time.
const RENEWED_MAX: usize = 500;

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

/// Incidents with newer numbers that nobody has been shown yet.
#[derive(Debug, Default)]
pub struct Stale(BTreeSet<IncidentId>);

impl Stale {
    /// Takes the incidents with newer numbers; those that changed in another way are shown anyway.
    pub fn note(&mut self, touched: &mut Touched) {
        self.0.extend(touched.refreshed.drain());
        for id in touched.changed.keys() {
            self.0.remove(id);
        }
    }

    /// There are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Shows the numbers of some of them.
    pub fn renew(&mut self, state: &mut State, now: Timestamp, touched: &mut Touched) {
        let later = self.0.iter().nth(RENEWED_MAX).copied();
        let later = later.map(|id| self.0.split_off(&id)).unwrap_or_default();
        let some = std::mem::replace(&mut self.0, later);
        state.renew(now, &some, touched);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::correlate::Policy;
    use crate::testing::{Stage, at};

    #[test]
    fn newer_numbers_are_shown_some_at_a_time_and_what_changed_is_shown_anyway() {
        let mut stage = Stage::new(Policy::default());
        let ids = (1..=RENEWED_MAX as u64 + 2).map(IncidentId);
        let mut stale = Stale::default();
        let mut many = Touched::default();
        many.refreshed.extend(ids);
        stale.note(&mut many);
        let mut touched = Touched::default();
        touched.changed.insert(IncidentId(1), gpuwarden_proto::incident::WatchChange::Changed);
        stale.note(&mut touched);
        stale.renew(&mut stage.state, at(1), &mut touched);
        assert_eq!(stale.0, BTreeSet::from([IncidentId(RENEWED_MAX as u64 + 2)]));
        stale.renew(&mut stage.state, at(2), &mut touched);
        assert!(stale.is_empty());
    }
}
