//! The outbox as it was before a crash. Pure.

use std::collections::BTreeMap;

use gpuwarden_proto::time::Timestamp;

use super::policy::Policy;
use super::row::{DestinationName, Row, State};
use super::{Delivery, Output};

impl Delivery {
    /// An outbox of what was kept of another, and what is to be done. What was handed over and not
    /// confirmed goes again, with the same key. Of the rates nothing is remembered: a restart costs
    /// a destination its burst.
    #[must_use]
    pub fn restore(
        policies: BTreeMap<DestinationName, Policy>,
        seed: u64,
        rows: Vec<Row>,
        now: Timestamp,
    ) -> (Self, Vec<Output>) {
        let mut delivery = Self::new(policies, seed);
        let mut out = Vec::new();
        let mut rows = rows;
        rows.sort_by_key(|row| row.number);
        for mut row in rows {
            if row.state == State::Sent {
                delivery.counts.unconfirmed += 1;
                (row.state, row.not_before) = (State::Waiting, now);
                out.push(Output::Persist(Box::new(row.clone())));
            }
            delivery.take_up(row);
        }
        delivery.orphans(now, &mut out);
        delivery.hand_over(now, &mut out);
        (delivery, out)
    }

    fn take_up(&mut self, row: Row) {
        let flap = self.policy(&row.key.destination).flap;
        self.lane(&row.key).remember(&row, flap);
        self.next_number = self.next_number.max(row.number + 1);
        self.list(&row);
        self.numbers.insert(row.key.clone(), row.number);
        self.rows.insert(row.number, row);
    }

    /// What is on its way to a destination that the settings no longer have is dead.
    fn orphans(&mut self, now: Timestamp, out: &mut Vec<Output>) {
        let known = |row: &&Row| !self.policies.contains_key(&row.key.destination);
        let orphans = self.rows.values().filter(|row| row.is_on_its_way()).filter(known);
        let orphans: Vec<u64> = orphans.map(|row| row.number).collect();
        for number in orphans {
            self.bury(number, "its destination is no longer in the settings", now, out);
        }
    }
}
