//! What is held back, by whom or what, and why: silences, maintenance and inhibition. Pure.
//!
//! Holding back is no part of correlation: members join, severity rises and the history grows as
//! ever. An incident is held back when each of its active findings is, by one thing or by several;
//! one finding more that is not makes it shown again. [`Severity::P1`] is held back only by what
//! names it, and never inhibited.
//!
//! What holds an incident back is worked out from the state each time that the incident, what holds
//! it, or what inhibits it changes: on the next tick ([`Suppressor::weigh`]), and of what is shown
//! before, for those who look ([`Suppressor::foresee`]). Kept beside it is only who inhibits whom
//! ([`index`]), so that 10,000 open incidents are not held against each other.
//!
//! - [`test`]: a matcher that can be asked; [`facts`]: what it is asked about
//! - [`order`]: a silence, checked; [`rounds`]: when it comes again; [`inhibit`]: a rule of the settings
//! - [`verdict`]: one incident, weighed

mod facts;
mod index;
pub mod inhibit;
mod list;
mod order;
mod rounds;
pub mod test;
mod verdict;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::Duration;

use gpuwarden_proto::incident::Incident;
use gpuwarden_proto::silence::{Draft, Holder, Silence, SilenceId};
use gpuwarden_proto::time::Timestamp;
#[cfg(doc)]
use gpuwarden_proto::vocab::Severity;
use gpuwarden_proto::vocab::{IncidentId, NodeId, SilenceState};

pub use inhibit::Inhibition;
pub use list::Standing;
pub use order::Refusal;

use self::facts::Fleet;
use self::index::Index;
use self::order::{KEPT_MAX, LIVE_MAX, Order};
use self::verdict::{Verdict, mark};
use crate::correlate::{State, Touched};
use crate::incident::Suppressed;

/// How long those that are over stay listed.
pub const LISTED_FOR: Duration = Duration::from_secs(30 * 86_400);

/// All that holds back, and what it held back last.
#[derive(Debug)]
pub struct Suppressor {
    rules: Vec<Inhibition>,
    /// The longest that a silence may last.
    longest: Duration,
    orders: BTreeMap<SilenceId, Order>,
    /// Silences that hold back now.
    active: BTreeSet<SilenceId>,
    next_id: u64,
    /// When the next silence begins or is over.
    next_turn: Option<Timestamp>,
    index: Index,
    /// Incidents to be weighed.
    unweighed: BTreeSet<IncidentId>,
    /// Those of them that changed themselves, and will be shown before.
    shown: BTreeSet<IncidentId>,
    /// What was held back when an incident was last weighed, so that nothing is counted twice.
    counted: HashMap<IncidentId, HashSet<(Holder, u64)>>,
    /// Silences to be written.
    changed: BTreeSet<SilenceId>,
    findings_held: u64,
}

impl Suppressor {
    /// Nothing is silenced yet.
    #[must_use]
    pub fn new(rules: Vec<Inhibition>, longest: Duration) -> Self {
        Self {
            rules,
            longest,
            orders: BTreeMap::new(),
            active: BTreeSet::new(),
            next_id: 1,
            next_turn: None,
            index: Index::default(),
            unweighed: BTreeSet::new(),
            shown: BTreeSet::new(),
            counted: HashMap::new(),
            changed: BTreeSet::new(),
            findings_held: 0,
        }
    }

    /// Takes up what was stored. What is held back is worked out anew, for all incidents.
    pub fn restore(&mut self, silences: Vec<Silence>, next_id: u64, state: &State, now: Timestamp) {
        let orders = silences.into_iter().filter_map(Order::restore);
        self.orders = orders.map(|order| (order.silence.id, order)).collect();
        // What was over while we were away may come again.
        let gone_on = self.orders.values_mut().filter_map(|order| {
            let goes_on = order.go_on(now);
            goes_on.then_some(order.silence.id)
        });
        self.changed = gone_on.collect();
        self.next_id = next_id.max(1);
        let active = |order: &&Order| order.silence.state(now) == SilenceState::Active;
        self.active = self.orders.values().filter(active).map(|order| order.silence.id).collect();
        self.plan(now);
        let idle = self.is_idle();
        let is_held = |incident: &Incident| {
            let case = state.case(incident.id);
            case.is_some_and(|case| case.held().since.is_some() || !case.held().by.is_empty())
        };
        let concerned = |incident: &&Incident| !idle || is_held(incident);
        self.unweighed = state.incidents().filter(concerned).map(|incident| incident.id).collect();
    }

    /// Begins anew with what was on disk: all silences, and nothing else of what was known.
    pub fn restart(&mut self, state: &State, now: Timestamp) {
        let silences = std::mem::take(&mut self.orders).into_values().map(|order| order.silence);
        let mut fresh = Self::new(std::mem::take(&mut self.rules), self.longest);
        fresh.restore(silences.collect(), self.next_id, state, now);
        *self = fresh;
    }

    /// The silences that are kept, and the number that the next one gets.
    #[must_use]
    pub fn kept(&self) -> (Vec<Silence>, u64) {
        (self.orders.values().map(|order| order.silence.clone()).collect(), self.next_id)
    }

    /// Nothing is ever held back, as long as nobody asks for it.
    fn is_idle(&self) -> bool {
        self.rules.is_empty() && self.active.is_empty() && self.counted.is_empty()
    }

    /// These incidents changed, or are over.
    pub fn note(&mut self, touched: &Touched) {
        if !self.is_idle() {
            self.unweighed.extend(touched.changed.keys());
            self.shown.extend(touched.changed.keys());
        }
    }

    /// What is known of a node changed.
    pub fn note_node(&mut self, state: &State, node: &NodeId) {
        if !self.is_idle()
            && let Some(known) = state.nodes.get(node)
        {
            let places = known.findings.values().filter(|place| !place.settled);
            self.unweighed.extend(places.map(|place| place.incident));
        }
    }

    /// The silence that is made of what somebody asks to be held back. It is not made yet.
    ///
    /// # Errors
    ///
    /// All that is wrong with what is asked for; or there are too many.
    pub fn draw(&self, draft: Draft, now: Timestamp) -> Result<Silence, Refusal> {
        let order = Order::new(draft, SilenceId(self.next_id), self.longest, now)?;
        let live = |order: &&Order| order.silence.over_at() > now;
        if self.orders.values().filter(live).count() >= LIVE_MAX {
            let told = format!("{LIVE_MAX} silences are planned or active already; end one first");
            return Err(Refusal::Crowded(told));
        }
        if self.orders.len() >= KEPT_MAX {
            let told =
                format!("{KEPT_MAX} silences are kept; those that are over go after 30 days");
            return Err(Refusal::Crowded(told));
        }
        Ok(order.silence)
    }

    /// Takes up a silence that was made, as it was made, whatever our own settings allow.
    ///
    /// # Errors
    ///
    /// This version cannot read a matcher of it.
    pub fn take(&mut self, silence: Silence, state: &State, now: Timestamp) -> Result<(), Refusal> {
        let id = silence.id;
        self.next_id = self.next_id.max(id.0.saturating_add(1));
        let order = Order::of(silence)?;
        if self.orders.len() >= KEPT_MAX {
            self.forget(now);
        }
        self.orders.insert(id, order);
        self.changed.insert(id);
        self.next_turn = Some(now);
        self.turn(state, now);
        Ok(())
    }

    /// Whether a silence can be ended before its time.
    ///
    /// # Errors
    ///
    /// There is none of that number, or it is over, or nobody says who ends it.
    pub fn may_end(&self, id: SilenceId, by: &str, now: Timestamp) -> Result<(), Refusal> {
        self.orders.get(&id).ok_or(Refusal::Unknown(id))?.may_end(by, now)
    }

    /// Ends a silence before its time.
    ///
    /// # Errors
    ///
    /// As [`Suppressor::may_end`].
    pub fn end(
        &mut self,
        id: SilenceId,
        by: String,
        state: &State,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        self.may_end(id, &by, now)?;
        self.orders.get_mut(&id).ok_or(Refusal::Unknown(id))?.end(by, now);
        self.changed.insert(id);
        self.next_turn = Some(now);
        self.turn(state, now);
        Ok(())
    }

    /// Time passed: silences begin and are over.
    pub fn turn(&mut self, state: &State, now: Timestamp) {
        if self.next_turn.is_none_or(|next| next > now) {
            return;
        }
        let is_active = |order: &Order| order.silence.state(now) == SilenceState::Active;
        let turned = self
            .orders
            .values()
            .filter(|order| is_active(order) != self.active.contains(&order.silence.id));
        let turned: Vec<SilenceId> = turned.map(|order| order.silence.id).collect();
        let over = self.orders.values_mut().filter_map(|order| {
            let goes_on = order.go_on(now);
            goes_on.then_some(order.silence.id)
        });
        self.changed.extend(over);
        for id in turned {
            let Some(order) = self.orders.get(&id) else { continue };
            self.unweighed.extend(concerned(order, state));
            if is_active(order) {
                self.active.insert(id);
            } else {
                self.active.remove(&id);
            }
        }
        self.plan(now);
    }

    fn plan(&mut self, now: Timestamp) {
        let ends = self.orders.values().flat_map(|order| {
            [order.silence.starts_at, order.silence.over_at()].into_iter().filter(|at| *at > now)
        });
        self.next_turn = ends.min();
    }

    /// Whether there is nothing to weigh, nor will there be by `now` unless something changes.
    #[must_use]
    pub fn rests(&self, now: Timestamp) -> bool {
        self.unweighed.is_empty() && self.next_turn.is_none_or(|next| next > now)
    }

    /// When time alone makes a difference next.
    #[must_use]
    pub fn next_turn(&self) -> Option<Timestamp> {
        self.next_turn
    }

    /// Works out what holds back the incidents that may have changed in that, and has their history
    /// written: on ticks and with people's words.
    pub fn weigh(&mut self, state: &mut State, now: Timestamp, touched: &mut Touched) {
        self.turn(state, now);
        self.shown.clear();
        let mut ids = std::mem::take(&mut self.unweighed);
        ids.extend(self.index(state, &ids));
        for id in ids {
            if let Some(told) = self.judge(state, id, now) {
                state.suppress(id, told, now, touched);
            }
        }
    }

    /// Works out what holds back the incidents that changed, for those who look before the next
    /// tick. What they change for others is seen then.
    pub fn foresee(&mut self, state: &mut State, now: Timestamp) {
        let ids = std::mem::take(&mut self.shown);
        let others = self.index(state, &ids);
        self.unweighed.extend(others);
        for id in ids {
            if let Some(told) = self.judge(state, id, now) {
                state.foresee(id, told, now);
            }
        }
    }

    /// Takes note of whom some incidents inhibit by now. Gives those to whom that matters.
    fn index(&mut self, state: &State, ids: &BTreeSet<IncidentId>) -> BTreeSet<IncidentId> {
        let mut others = BTreeSet::new();
        if !self.rules.is_empty() {
            for id in ids {
                let incident = state.incident(*id);
                let note = incident.and_then(|each| self.note_of(Fleet::of(state), each));
                others.extend(self.index.note(*id, note));
            }
        }
        others
    }

    /// What holds one incident back; `None` where it is over.
    fn judge(&mut self, state: &State, id: IncidentId, now: Timestamp) -> Option<Suppressed> {
        let Some(case) = state.case(id) else {
            self.counted.remove(&id);
            return None;
        };
        let verdict = self.verdict(state, id);
        self.count(case.incident(), &verdict);
        Some(self.told(case, &verdict, now))
    }

    /// Counts what is held back now and was not before. After a restart, what was held back before
    /// it is not counted again.
    fn count(&mut self, incident: &Incident, verdict: &Verdict) {
        let (id, before) = (incident.id, self.counted.remove(&incident.id));
        let mut now = HashSet::new();
        for (suppression, slots) in &verdict.holds {
            let by = &suppression.by;
            let known = incident.suppressed_by.iter().any(|each| each.by == *by);
            let marks = slots.iter().map(|slot| (by.clone(), mark(&incident.members[*slot])));
            let marks: HashSet<(Holder, u64)> = marks.collect();
            let new = match &before {
                Some(before) => marks.iter().filter(|mark| !before.contains(mark)).count(),
                None if known => 0,
                None => marks.len(),
            };
            now.extend(marks);
            self.findings_held += new as u64;
            let (Holder::Silence { id } | Holder::Maintenance { id }) = by else { continue };
            if (!known || new > 0)
                && let Some(order) = self.orders.get_mut(id)
            {
                order.silence.incidents_held += u64::from(!known);
                order.silence.findings_held += new as u64;
                self.changed.insert(*id);
            }
        }
        if !now.is_empty() {
            self.counted.insert(id, now);
        }
    }

    /// Forgets those that have been over for longer than they are listed.
    pub fn forget(&mut self, now: Timestamp) {
        let before = now.before(LISTED_FOR);
        self.orders.retain(|_, order| order.silence.over_at() >= before);
    }

    /// Silences that changed since the last such question, as they are now.
    pub fn take_changed(&mut self) -> Vec<Silence> {
        let changed = std::mem::take(&mut self.changed);
        let order = |id: &SilenceId| self.orders.get(id).map(|order| order.silence.clone());
        changed.iter().filter_map(order).collect()
    }
}

/// The incidents to which it matters whether a silence is active.
fn concerned(order: &Order, state: &State) -> Vec<IncidentId> {
    let (fleet, holder) = (Fleet::of(state), order.holder());
    let concerned = |incident: &&Incident| {
        incident.suppressed_by.iter().any(|by| by.by == holder)
            || incident.members.iter().any(|member| order.takes(fleet.facts(incident, member)))
    };
    state.incidents().filter(concerned).map(|incident| incident.id).collect()
}
