//! What people ask about what is held back.

use std::collections::BTreeMap;

use gpuwarden_proto::incident::Incident;
use gpuwarden_proto::silence::{Draft, Held, Hold, Holder, Listed, SilenceId};
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::{Severity, SilenceState};

use super::Suppressor;
use super::facts::Fleet;
use super::order::{Order, Refusal};
use super::verdict::deciding;
use crate::correlate::State;

/// How much is held back, for our own numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Standing {
    /// Incidents of which nothing is shown, by a silence, by maintenance, by inhibition. One that is
    /// held back by several counts for each.
    pub incidents: [u64; 3],
    /// Silences and maintenance that hold back now.
    pub active: [u64; 2],
    /// Findings that were held back so far, since the start.
    pub findings_held: u64,
}

impl Suppressor {
    /// What a silence would hold back now, without making it.
    ///
    /// # Errors
    ///
    /// All that is wrong with it.
    pub fn preview(&self, draft: Draft, state: &State, now: Timestamp) -> Result<Listed, Refusal> {
        let order = Order::new(draft, SilenceId(0), self.longest, now)?;
        let mut hold = Hold::default();
        for incident in state.incidents() {
            let found = would(&order, state, incident);
            hold.findings += found.findings;
            hold.incidents += found.incidents;
            hold.in_part += found.in_part;
            hold.critical += found.critical;
        }
        let standing = order.silence.state(now);
        Ok(Listed { silence: order.silence, state: standing, now: hold })
    }

    /// One silence with what it holds back now.
    #[must_use]
    pub fn listed(&self, id: SilenceId, state: &State, now: Timestamp) -> Option<Listed> {
        self.list(state, now, |order| order.silence.id == id).pop()
    }

    /// The silences: active, planned, and those that are over if they are wanted; the newest of each
    /// first.
    #[must_use]
    pub fn silences(&self, with_over: bool, state: &State, now: Timestamp) -> Vec<Listed> {
        let over = |order: &Order| order.silence.state(now) == SilenceState::Over;
        let mut list = self.list(state, now, |order| with_over || !over(order));
        let rank = |state| match state {
            SilenceState::Active => 0,
            SilenceState::Planned => 1,
            SilenceState::Over => 2,
        };
        list.sort_by_key(|each| (rank(each.state), std::cmp::Reverse(each.silence.id)));
        list
    }

    fn list(&self, state: &State, now: Timestamp, wanted: impl Fn(&Order) -> bool) -> Vec<Listed> {
        let wanted: Vec<&Order> = self.orders.values().filter(|order| wanted(order)).collect();
        let mut holds: BTreeMap<SilenceId, Hold> = BTreeMap::new();
        for incident in state.incidents() {
            for by in &incident.suppressed_by {
                let (Holder::Silence { id } | Holder::Maintenance { id }) = by.by else { continue };
                let hold = holds.entry(id).or_default();
                hold.findings += by.members_held;
                hold.incidents += u64::from(incident.held_since.is_some());
                hold.in_part += u64::from(incident.held_since.is_none());
            }
        }
        let critical: Vec<&Incident> =
            state.incidents().filter(|incident| incident.severity == Severity::P1).collect();
        let listed = |order: &Order| {
            let mut hold = holds.get(&order.silence.id).copied().unwrap_or_default();
            if self.active.contains(&order.silence.id) && !order.critical {
                let spared = critical.iter().map(|each| would(order, state, each).critical);
                hold.critical = spared.sum();
            }
            Listed { silence: order.silence.clone(), state: order.silence.state(now), now: hold }
        };
        wanted.into_iter().map(listed).collect()
    }

    /// All that is held back, in whole or in part, by incident.
    #[must_use]
    pub fn held(&self, state: &State) -> Vec<Held> {
        let of = |incident: &Incident| {
            let held = |suppression: &gpuwarden_proto::silence::Suppression| Held {
                incident: incident.id,
                kind: incident.kind,
                severity: incident.severity,
                title: incident.title.clone(),
                held_since: incident.held_since,
                suppression: suppression.clone(),
            };
            incident.suppressed_by.iter().map(held).collect::<Vec<_>>()
        };
        state.incidents().flat_map(of).collect()
    }

    /// How much is held back.
    #[must_use]
    pub fn standing(&self, state: &State) -> Standing {
        let mut standing = Standing { findings_held: self.findings_held, ..Standing::default() };
        let some = self.counted.keys().filter_map(|id| state.incident(*id));
        for incident in some.filter(|incident| incident.held_since.is_some()) {
            let mut by = [false; 3];
            for suppression in &incident.suppressed_by {
                by[kind(&suppression.by)] = true;
            }
            standing.incidents.iter_mut().zip(by).for_each(|(count, by)| *count += u64::from(by));
        }
        for order in self.active.iter().filter_map(|id| self.orders.get(id)) {
            standing.active[kind(&order.holder())] += 1;
        }
        standing
    }
}

fn kind(by: &Holder) -> usize {
    match by {
        Holder::Silence { .. } => 0,
        Holder::Maintenance { .. } => 1,
        Holder::Inhibition { .. } => 2,
    }
}

/// What a silence by itself would hold back of an incident.
fn would(order: &Order, state: &State, incident: &Incident) -> Hold {
    let fleet = Fleet::of(state);
    let slots = deciding(incident);
    let takes = |slot: &&usize| order.takes(fleet.facts(incident, &incident.members[**slot]));
    let taken = slots.iter().filter(takes).count();
    let overflow = state.case(incident.id).map_or(0, crate::incident::Case::overflow);
    match taken {
        0 => Hold::default(),
        _ if incident.severity == Severity::P1 && !order.critical => {
            Hold { critical: 1, ..Hold::default() }
        }
        _ => {
            let wholly = taken == slots.len() && overflow == 0;
            Hold {
                incidents: u64::from(wholly),
                findings: taken as u64,
                in_part: u64::from(!wholly),
                critical: 0,
            }
        }
    }
}
