//! What becomes of a notification by its answer. Pure.

use std::time::Duration;

use gpuwarden_proto::time::Timestamp;

use super::backoff;
use super::hand_over::stands;
use super::row::{Key, Row, State};
use super::{Delivery, Output, RequestId};
use crate::destination::{External, Verdict};
use crate::message::Kind;

impl Delivery {
    /// A request was answered. An answer to what is not out is none.
    pub(super) fn answered(
        &mut self,
        request: RequestId,
        verdict: &Verdict,
        now: Timestamp,
        out: &mut Vec<Output>,
    ) {
        let Some(batch) = self.out.remove(&request) else { return };
        // What goes together is tried again together, so it waits together.
        let first = batch.first().and_then(|number| self.rows.get(number)).cloned();
        for number in batch {
            let Some(row) = self.rows.get(&number).cloned() else { continue };
            self.lane(&row.key).renewing = false;
            match verdict {
                Verdict::Delivered(external) => self.told(&row, external.clone(), now, out),
                Verdict::Retry { after, why } => {
                    let wait = self.wait(first.as_ref().unwrap_or(&row), *after, now);
                    self.failed(&row, wait, why, now, out);
                }
                Verdict::Anew(why) if row.anew || !row.is_on_its_way() => {
                    self.bury(number, why, now, out);
                }
                Verdict::Anew(why) => self.again(&row, why, now, out),
                Verdict::Refused(why) | Verdict::FallBack(why) => {
                    self.bury(number, why, now, out);
                }
            }
        }
    }

    fn told(
        &mut self,
        row: &Row,
        external: Option<External>,
        now: Timestamp,
        out: &mut Vec<Output>,
    ) {
        let lane = self.lane(&row.key);
        lane.touched_at = now;
        lane.queue.retain(|number| *number != row.number);
        let external = external.or(lane.external.take());
        lane.external.clone_from(&external);
        if row.held {
            lane.calm();
        }
        if row.is_on_its_way() {
            self.counts.told += 1;
            self.end_renewals(&row.key, now, out);
        }
        let renew = self.policy(&row.key.destination).renew.filter(|_| stands(row.message.kind));
        let renew_at = renew.map(|every| now.after(every));
        self.change(row.number, out, |row| row.state = State::Told { at: now, external, renew_at });
    }

    /// Something newer was told: what was told before need not be told again.
    fn end_renewals(&mut self, key: &Key, now: Timestamp, out: &mut Vec<Output>) {
        let rows = self.lane(key).rows.clone();
        for number in rows {
            let renewed = |row: &Row| matches!(row.state, State::Told { renew_at: Some(_), .. });
            if self.rows.get(&number).is_some_and(renewed) {
                self.change(number, out, |row| {
                    if let State::Told { renew_at, .. } = &mut row.state {
                        *renew_at = None;
                    }
                });
            }
        }
        self.lane(key).touched_at = now;
    }

    /// When to try again; what the destination asks for holds for all that goes there.
    fn wait(&mut self, first: &Row, after: Option<Duration>, now: Timestamp) -> Timestamp {
        if let Some(after) = after {
            let gate = self.gates.entry(first.key.destination.clone()).or_default();
            gate.block(now.after(after));
        }
        let policy = self.policy(&first.key.destination);
        let attempts = first.attempts.saturating_add(1);
        now.after(backoff::wait(&policy, self.seed, first.number, attempts, after))
    }

    fn failed(
        &mut self,
        row: &Row,
        not_before: Timestamp,
        why: &str,
        now: Timestamp,
        out: &mut Vec<Output>,
    ) {
        self.counts.retried += 1;
        let policy = self.policy(&row.key.destination);
        let attempts = row.attempts.saturating_add(1);
        self.change(row.number, out, |row| {
            (row.attempts, row.not_before, row.fault) = (attempts, not_before, why.to_owned());
            match &mut row.state {
                State::Told { renew_at, .. } => *renew_at = Some(not_before),
                State::Waiting | State::Sent | State::Superseded { .. } | State::Dead { .. } => {
                    row.state = State::Waiting;
                }
            }
        });
        let failing = now.since(row.asked_at) >= policy.spread_after;
        let page = row.message.kind == Kind::Page && row.is_on_its_way();
        if failing && page && !row.spread {
            self.change(row.number, out, |row| row.spread = true);
            self.divert(row, why, now, out);
        }
    }

    /// What was told before is gone there.
    fn again(&mut self, row: &Row, why: &str, now: Timestamp, out: &mut Vec<Output>) {
        self.lane(&row.key).external = None;
        self.change(row.number, out, |row| {
            (row.anew, row.not_before, row.fault) = (true, now, why.to_owned());
            row.state = State::Waiting;
        });
    }

    /// Gives a row up here; its fall-back tells it.
    pub(super) fn bury(&mut self, number: u64, why: &str, now: Timestamp, out: &mut Vec<Output>) {
        let Some(row) = self.rows.get(&number).cloned() else { return };
        self.counts.dead += 1;
        let lane = self.lane(&row.key);
        lane.touched_at = now;
        lane.queue.retain(|other| *other != number);
        let dead = State::Dead { at: now, why: why.to_owned() };
        self.change(number, out, |row| row.state = dead);
        out.push(Output::Dead(row.key.clone(), why.to_owned()));
        if !row.spread {
            self.divert(&row, why, now, out);
        }
    }

    /// Has the fall-back tell it. A key that is known there ends any circle.
    fn divert(&mut self, row: &Row, why: &str, now: Timestamp, out: &mut Vec<Output>) {
        let Some(fall_back) = self.policy(&row.key.destination).fall_back else { return };
        let key = Key { destination: fall_back, ..row.key.clone() };
        if self.numbers.contains_key(&key) {
            return;
        }
        self.counts.diverted += 1;
        let diverted = format!("meant for {}: {why}", row.key.destination);
        self.ask(key, row.message.clone(), Some(diverted), now, out);
    }
}
