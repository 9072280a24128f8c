//! A candidate config beside the live one: it is told the same, and neither stored nor shown but in
//! its report.
//!
//! It may take a share of our time. When it has taken more over some seconds, or holds more than it
//! may, it is let go, what it is not told is counted, and later it begins anew with what the live side
//! has by then.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use gpuwarden_proto::incident::{Incident, WatchChange};
use gpuwarden_proto::shadow::Report;
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::{DifferenceKind, IncidentId, NodeId};

use super::Core;
use crate::clock::Clock;
use crate::config::Candidate;
use crate::correlate::{Policy, State, Touched};
use crate::node::Node;
use crate::replay::drive::Drive;
use crate::replay::line::{Line, Word};
use crate::shadow::{report, rival};
use crate::status::{Differing, Metrics};
use crate::store::{Loaded, NodeRow};
use crate::suppress::{Inhibition, Suppressor};

/// Incidents that each side may hold for the comparison, open and over.
const INCIDENTS_MAX: usize = 5_000;
/// Those of them that are over and are kept when there are too many.
const OVER_KEPT: usize = 2_000;
/// So much of its share may be saved up for bursts.
const BURST: Duration = Duration::from_secs(2);
/// So long it rests after it was let go.
const REST: Duration = Duration::from_secs(30);
/// Ticks between two comparisons for the metrics.
const TICKS_PER_COMPARISON: u64 = 240;

/// The candidate.
#[derive(Debug)]
pub(super) struct Shadow {
    policy: Policy,
    rules: Vec<Inhibition>,
    /// Its side; `None` while it rests.
    side: Option<Drive>,
    /// Both sides were told the same from here on.
    since: Timestamp,
    rests_until: Timestamp,
    /// Live incidents that were over since.
    over: BTreeMap<IncidentId, Arc<Incident>>,
    budget: Budget,
    skipped: u64,
    lapses: u64,
}

/// A share of time that can be saved up a little.
#[derive(Debug)]
struct Budget {
    percent: u32,
    left: Duration,
    filled_at: Timestamp,
}

impl Shadow {
    /// Begins with what was on disk, as the live side does.
    pub(super) fn new(candidate: &Candidate, loaded: Loaded, now: Timestamp) -> Self {
        let policy = Policy { open_max: INCIDENTS_MAX, ..candidate.policy.clone() };
        let rules = candidate.inhibitions.clone();
        Self {
            side: Some(Drive::beside(policy.clone(), rules.clone(), loaded, now)),
            policy,
            rules,
            since: now,
            rests_until: now,
            over: BTreeMap::new(),
            budget: Budget::full(candidate.percent, now),
            skipped: 0,
            lapses: 0,
        }
    }

    /// Tells it what the live side is about to be told.
    fn tell(&mut self, at: Timestamp, words: impl Iterator<Item = Word>, live: &State) {
        let Some(side) = &mut self.side else {
            self.skipped += words.count() as u64;
            return;
        };
        for word in words {
            side.pass(at);
            // What it refuses is a difference that the report shows.
            if let Some(word) = rival::meant(&word, live, side.state()) {
                drop(side.line(Line { at, word }));
            }
        }
    }

    /// Looks at what it cost and holds.
    fn weigh(&mut self, now: Timestamp, cost: Duration) {
        let affordable = self.budget.spend(now, cost);
        self.bound();
        let open = self.side.as_ref().map_or(0, |side| side.state().open());
        if self.side.is_some() && (!affordable || open >= INCIDENTS_MAX) {
            self.side = None;
            self.over.clear();
            self.rests_until = now.after(REST);
        }
    }

    /// Forgets what was over first on both sides, when one holds too much.
    fn bound(&mut self) {
        let Some(side) = &mut self.side else { return };
        let theirs = side.over();
        if self.over.len().max(theirs) + side.state().open() <= INCIDENTS_MAX {
            return;
        }
        let mut ends: Vec<Timestamp> = self.over.values().filter_map(|i| i.resolved_at).collect();
        ends.extend(side.incidents().filter_map(|incident| incident.resolved_at));
        ends.sort_by_key(|at| std::cmp::Reverse(*at));
        let Some(horizon) = ends.get(OVER_KEPT).copied() else { return };
        side.forget(horizon);
        self.over.retain(|_, incident| incident.resolved_at.is_none_or(|at| at >= horizon));
        self.since = self.since.max(horizon);
    }

    /// Begins anew with what the live side has, once it has rested and that is little enough.
    fn rise(&mut self, now: Timestamp, live: &State, suppressor: &Suppressor) {
        if self.side.is_some() || now < self.rests_until || live.open() >= INCIDENTS_MAX / 2 {
            return;
        }
        let row = |(id, node): (&NodeId, &Node)| NodeRow {
            id: id.clone(),
            state: node.link.state(),
            last_seen_at: node.last_seen_at,
            agent_version: String::new(),
            snapshot: node.snapshot.clone(),
            busy: live.busy_on(id),
        };
        let (silences, next_silence) = suppressor.kept();
        let loaded = Loaded {
            silences,
            next_silence,
            incidents: live.incidents().cloned().collect(),
            nodes: live.nodes.iter().map(row).collect(),
            next_incident: live.next_id(),
            ..Loaded::default()
        };
        self.side = Some(Drive::beside(self.policy.clone(), self.rules.clone(), loaded, now));
        self.budget = Budget::full(self.budget.percent, now);
        self.since = now;
        self.lapses += 1;
    }

    fn report(&self, live: &State, now: Timestamp) -> Report {
        let Self { since, skipped, lapses, .. } = *self;
        let told = match &self.side {
            Some(side) => {
                let shadow: Vec<&Incident> = side.incidents().collect();
                let over = self.over.values().map(|incident| &**incident);
                let live: Vec<&Incident> = over.chain(live.incidents()).collect();
                report(&live, &shadow, since, now)
            }
            None => Report { since, until: now, ..Report::default() },
        };
        Report { skipped, lapses, paused: self.side.is_none(), ..told }
    }
}

impl Budget {
    fn full(percent: u32, now: Timestamp) -> Self {
        let left = BURST * percent / 100;
        Self { percent, left, filled_at: now }
    }

    /// Takes note of a cost; false when there was not enough left.
    fn spend(&mut self, now: Timestamp, cost: Duration) -> bool {
        let earned = now.since(self.filled_at) * self.percent / 100;
        self.filled_at = now;
        let had = (self.left + earned).min(BURST * self.percent / 100);
        self.left = had.saturating_sub(cost);
        cost <= had
    }
}

impl Core {
    /// Tells the candidate what the live side is about to be told, and weighs what that cost.
    pub(super) fn shadow(&mut self, now: Timestamp, words: impl Iterator<Item = Word>) {
        let Some(shadow) = &mut self.shadow else { return };
        let cost = timed(&self.clock, || shadow.tell(now, words, &self.state));
        shadow.weigh(now, cost);
    }

    /// Time passes for the candidate, too; a rested one begins anew.
    pub(super) fn shadow_passes(&mut self, now: Timestamp) {
        let Some(shadow) = &mut self.shadow else { return };
        shadow.rise(now, &self.state, &self.suppressor);
        let cost = timed(&self.clock, || {
            if let Some(side) = &mut shadow.side {
                side.pass(now);
            }
        });
        shadow.weigh(now, cost);
        gauge(&self.metrics, shadow);
        if self.ticks.is_multiple_of(TICKS_PER_COMPARISON) {
            let told = shadow.report(&self.state, now);
            tell(&self.metrics, &told);
        }
    }

    /// Keeps the live incidents that are over, to compare them.
    pub(super) fn shadow_notes(&mut self, touched: &Touched) {
        let Some(shadow) = self.shadow.as_mut().filter(|shadow| shadow.side.is_some()) else {
            return;
        };
        let over = touched.over.iter().map(|incident| (incident.id, Arc::new(incident.clone())));
        shadow.over.extend(over);
        // What was over may go on.
        let goes_on = |change: &WatchChange| *change != WatchChange::Resolved;
        let going_on = touched.changed.iter().filter(|(_, change)| goes_on(change));
        going_on.for_each(|(id, _)| drop(shadow.over.remove(id)));
    }

    /// What the candidate would have done otherwise; `None` where there is none.
    pub(super) fn shadow_report(&self, now: Timestamp) -> Option<Report> {
        let told = self.shadow.as_ref()?.report(&self.state, now);
        tell(&self.metrics, &told);
        Some(told)
    }
}

fn timed(clock: &Clock, work: impl FnOnce()) -> Duration {
    let began = clock.now();
    work();
    clock.now().since(began)
}

fn gauge(metrics: &Metrics, shadow: &Shadow) {
    let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    metrics.shadow_skipped.set(number(shadow.skipped));
    metrics.shadow_lapses.set(number(shadow.lapses));
    metrics.shadow_running.set(i64::from(shadow.side.is_some()));
}

fn tell(metrics: &Metrics, told: &Report) {
    for kind in DifferenceKind::ALL {
        let count = told.counts.get(kind).copied().unwrap_or_default();
        let differing = Differing { kind: kind.as_str() };
        let gauge = metrics.shadow_differences.get_or_create(&differing);
        gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::at;

    #[test]
    fn a_share_can_be_saved_up_for_a_burst_and_not_for_more() {
        let ms = Duration::from_millis;
        let mut budget = Budget::full(10, at(0));
        assert!(budget.spend(at(0), ms(200)), "a tenth of two seconds");
        assert!(!budget.spend(at(0), ms(1)));
        assert!(budget.spend(at(1), ms(100)));
        assert!(!budget.spend(at(2), ms(101)));
        assert!(!budget.spend(at(3600), ms(201)), "an hour of rest is worth no more");
    }
}
