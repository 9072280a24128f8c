//! What may go now, goes. Pure.

use std::time::Duration;

use gpuwarden_proto::time::Timestamp;

use super::policy::Policy;
use super::row::{DestinationName, Key, Row, State};
use super::{Delivery, Output, RequestId, Send};
use crate::message::{Kind, Notice};

/// Incidents of one message at most.
const BUNDLE_MAX: usize = 20;
/// What was told is remembered for so long after the last word of its incident.
const REMEMBERED: Duration = Duration::from_secs(30 * 86_400);
/// How often it is looked whether something is to be given up.
const EXPIRE_EVERY: Duration = Duration::from_secs(10);
/// How often it is looked whether something can be forgotten.
const CLEAN_EVERY: Duration = Duration::from_secs(3600);

impl Delivery {
    /// Hands over all that may go now.
    pub(super) fn hand_over(&mut self, now: Timestamp, out: &mut Vec<Output>) {
        let destinations: Vec<DestinationName> = self.waiting.keys().cloned().collect();
        let expires = now >= self.expire_at;
        if expires {
            self.expire_at = now.after(EXPIRE_EVERY);
        }
        for destination in destinations {
            let policy = self.policy(&destination);
            if expires {
                self.expire(&destination, &policy, now, out);
            }
            while self.opens_at(&destination, &policy) <= now {
                let Some(batch) = self.next_batch(&destination, &policy, now) else { break };
                self.send(&destination, &policy, &batch, now, out);
            }
        }
        self.renew(now, out);
    }

    fn opens_at(&self, destination: &DestinationName, policy: &Policy) -> Timestamp {
        self.gates.get(destination).map_or(Timestamp::default(), |gate| gate.opens_at(policy.rate))
    }

    /// Gives up what could not be told for too long.
    fn expire(
        &mut self,
        destination: &DestinationName,
        policy: &Policy,
        now: Timestamp,
        out: &mut Vec<Output>,
    ) {
        let waiting = self.waiting.get(destination).into_iter().flatten();
        let old = |row: &&Row| row.attempts > 0 && now.since(row.asked_at) >= policy.give_up_after;
        let rows = waiting.filter_map(|(_, _, number)| self.rows.get(number));
        let expired: Vec<(u64, String)> =
            rows.filter(old).map(|row| (row.number, row.fault.clone())).collect();
        for (number, fault) in expired {
            self.bury(number, &format!("given up: {fault}"), now, out);
        }
    }

    /// When a row may go, its destination's rate aside; `None` while another of its incident is first.
    fn due_at(&self, row: &Row, policy: &Policy, now: Timestamp) -> Option<Timestamp> {
        let lane = self.lanes.get(&(row.key.destination.clone(), row.key.incident))?;
        if lane.renewing || lane.queue.front() != Some(&row.number) {
            return None;
        }
        // What waits behind it must not wait for something less urgent.
        let behind = lane.queue.iter().filter_map(|number| self.rows.get(number));
        let severity = behind.map(|row| row.message.severity).min().unwrap_or(row.message.severity);
        let quiet = policy.quiet.as_ref().map_or(now, |quiet| quiet.over_at(severity, now));
        let gate = self.gates.get(&row.key.destination).filter(|_| policy.bundle.is_some());
        let bundle = gate.map_or(now, |gate| gate.waits_until(severity, now));
        Some(row.not_before.max(quiet).max(bundle))
    }

    /// What goes with the next request: the most urgent that may go, what it was handed over with
    /// before, or all that has waited for it.
    fn next_batch(
        &self,
        destination: &DestinationName,
        policy: &Policy,
        now: Timestamp,
    ) -> Option<Vec<u64>> {
        let waiting = self.waiting.get(destination)?;
        let rows = waiting.iter().filter_map(|(_, _, number)| self.rows.get(number));
        let mut due = rows.filter(|row| self.due_at(row, policy, now).is_some_and(|at| at <= now));
        let first = due.next()?;
        let alone = policy.bundle.is_none()
            || self.gates.get(destination).is_some_and(|gate| gate.is_bundling(now));
        if first.with.is_none() && alone {
            return Some(vec![first.number]);
        }
        // What was handed over together stays together, and nothing new joins it.
        let together = |row: &&Row| {
            let due = || self.due_at(row, policy, now).is_some_and(|at| at <= now);
            // What has something to say of itself is told by itself.
            let plain = !row.flapping && row.diverted.is_none();
            row.number != first.number
                && row.with == first.with
                && (first.with.is_some() || (plain && due()))
                && row.message.audience == first.message.audience
        };
        let rows = waiting.iter().filter_map(|(_, _, number)| self.rows.get(number));
        let batch = std::iter::once(first).chain(rows.filter(together)).take(BUNDLE_MAX);
        Some(batch.map(|row| row.number).collect())
    }

    fn send(
        &mut self,
        destination: &DestinationName,
        policy: &Policy,
        batch: &[u64],
        now: Timestamp,
        out: &mut Vec<Output>,
    ) {
        let Some(first) = batch.first().and_then(|number| self.rows.get(number)).cloned() else {
            return;
        };
        let with = first.with.clone().unwrap_or_else(|| first.key.clone());
        for number in batch {
            let with = Some(with.clone());
            self.change(*number, out, |row| (row.with, row.state) = (with, State::Sent));
        }
        let gate = self.gates.entry(destination.clone()).or_default();
        gate.pass(policy.rate, now);
        if let Some(within) = policy.bundle {
            gate.bundle(first.message.severity, within, now);
        }
        let notice = self.notice(&first, batch, policy, now);
        let previous = if batch.len() == 1 { self.external(&first.key) } else { None };
        self.emit(destination, with.to_string(), notice, previous, batch.to_vec(), out);
    }

    fn notice(&self, first: &Row, batch: &[u64], policy: &Policy, now: Timestamp) -> Notice {
        let others = batch.iter().skip(1).filter_map(|number| self.rows.get(number));
        let age = now.since(first.message.at.min(first.asked_at));
        Notice {
            first: first.message.clone(),
            others: others.map(|row| row.message.clone()).collect(),
            late: (age > policy.late_after).then_some(age),
            flapping: first.flapping,
            diverted: first.diverted.clone(),
        }
    }

    fn external(&self, key: &Key) -> Option<crate::destination::External> {
        self.lanes.get(&(key.destination.clone(), key.incident))?.external.clone()
    }

    fn emit(
        &mut self,
        destination: &DestinationName,
        key: String,
        notice: Notice,
        previous: Option<crate::destination::External>,
        batch: Vec<u64>,
        out: &mut Vec<Output>,
    ) {
        let request = RequestId(self.next_request);
        self.next_request += 1;
        self.counts.sent += 1;
        self.out.insert(request, batch);
        let destination = destination.clone();
        out.push(Output::Send(Box::new(Send { request, destination, key, notice, previous })));
    }

    /// Tells again what would lapse.
    fn renew(&mut self, now: Timestamp, out: &mut Vec<Output>) {
        while let Some(row) = self.lapsing(now).cloned() {
            let policy = self.policy(&row.key.destination);
            self.gates.entry(row.key.destination.clone()).or_default().pass(policy.rate, now);
            let mut notice = self.notice(&row, &[row.number], &policy, now);
            notice.late = None;
            self.lane(&row.key).renewing = true;
            let previous = self.external(&row.key);
            let key = row.key.to_string();
            self.emit(&row.key.destination, key, notice, previous, vec![row.number], out);
        }
    }

    /// What would lapse and may be told again now.
    fn lapsing(&self, now: Timestamp) -> Option<&Row> {
        let due = self.renewals.iter().take_while(|(at, _)| *at <= now);
        let mut rows = due.filter_map(|(_, number)| self.rows.get(number));
        rows.find(|row| {
            let policy = self.policies.get(&row.key.destination);
            let policy = policy.filter(|policy| policy.renew.is_some());
            let open = |policy| self.opens_at(&row.key.destination, policy) <= now;
            policy.is_some_and(open) && self.may_renew(row)
        })
    }

    /// Whether nothing else of its incident is on its way.
    fn may_renew(&self, row: &Row) -> bool {
        let lane = self.lanes.get(&(row.key.destination.clone(), row.key.incident));
        lane.is_some_and(|lane| !lane.renewing && lane.queue.is_empty())
    }

    /// When there is something to do next, if nothing happens before: apply a [`super::Input::Tick`]
    /// then.
    #[must_use]
    pub fn next_wake(&self, now: Timestamp) -> Option<Timestamp> {
        let mut wake: Option<Timestamp> = None;
        let mut note = |at: Timestamp| wake = Some(wake.map_or(at, |known| known.min(at)));
        for (destination, waiting) in &self.waiting {
            let policy = self.policy(destination);
            let opens = self.opens_at(destination, &policy);
            for row in waiting.iter().filter_map(|(_, _, number)| self.rows.get(number)) {
                let Some(due) = self.due_at(row, &policy, now) else { continue };
                note(due.max(opens));
                // None of the others can go before that.
                if due <= opens.max(now) {
                    break;
                }
            }
        }
        for (at, number) in &self.renewals {
            let idle = |row: &&Row| self.may_renew(row);
            let Some(row) = self.rows.get(number).filter(idle) else { continue };
            let policy = self.policy(&row.key.destination);
            if policy.renew.is_some() {
                note((*at).max(self.opens_at(&row.key.destination, &policy)));
            }
        }
        wake
    }

    /// Forgets incidents of which nothing was told for long.
    pub(super) fn clean(&mut self, now: Timestamp, out: &mut Vec<Output>) {
        if now < self.clean_at {
            return;
        }
        self.clean_at = now.after(CLEAN_EVERY);
        let old: Vec<_> = self
            .lanes
            .iter()
            .filter(|(_, lane)| lane.queue.is_empty() && now.since(lane.touched_at) > REMEMBERED)
            .map(|(id, lane)| (id.clone(), lane.rows.clone()))
            .collect();
        for (id, rows) in old {
            let stands = |number: &u64| self.renewals.iter().any(|(_, other)| other == number);
            if rows.iter().any(stands) {
                continue;
            }
            self.lanes.remove(&id);
            for row in rows.iter().filter_map(|number| self.rows.remove(number)) {
                self.numbers.remove(&row.key);
                out.push(Output::Forget(row.key));
            }
        }
    }
}

/// Whether what was told of this kind stands until something else is told.
pub(super) fn stands(kind: Kind) -> bool {
    matches!(kind, Kind::Page | Kind::Update)
}
