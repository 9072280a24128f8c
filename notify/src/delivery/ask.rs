//! Something is to be told. Pure.

use gpuwarden_proto::time::Timestamp;

use super::lane::Pace;
use super::row::{Key, Row, State};
use super::{Delivery, ON_THEIR_WAY_MAX, Output};
use crate::message::{Kind, Message};

impl Delivery {
    /// Takes up a notification that is not known yet.
    pub(super) fn ask(
        &mut self,
        key: Key,
        message: Message,
        diverted: Option<String>,
        now: Timestamp,
        out: &mut Vec<Output>,
    ) {
        if self.numbers.contains_key(&key) {
            self.counts.repeated += 1;
            return;
        }
        let fault = self.refusal(&key, &message);
        let row = self.new_row(key, message, diverted, now);
        if let Some(why) = fault {
            let number = row.number;
            self.lane(&row.key).rows.push(number);
            self.add(row, out);
            self.bury(number, &why, now, out);
            return;
        }
        let row = self.pace(row, now);
        self.supersede(&row, now, out);
        let (key, number) = (row.key.clone(), row.number);
        self.add(row, out);
        let lane = self.lane(&key);
        lane.rows.push(number);
        lane.queue.push_back(number);
    }

    /// Why this can never be told there.
    fn refusal(&self, key: &Key, message: &Message) -> Option<String> {
        let Some(policy) = self.policies.get(&key.destination) else {
            return Some(format!("there is no destination `{}` in the settings", key.destination));
        };
        if message.kind == Kind::Broadcast && !policy.takes_broadcasts {
            return Some(format!("`{}` takes nothing that is only made known", key.destination));
        }
        let room = if message.kind == Kind::Page { 2 } else { 1 } * ON_THEIR_WAY_MAX;
        let full = self.on_their_way() >= room;
        full.then(|| format!("more than {room} notifications are on their way"))
    }

    fn new_row(
        &mut self,
        key: Key,
        message: Message,
        diverted: Option<String>,
        now: Timestamp,
    ) -> Row {
        self.counts.asked += 1;
        let number = self.next_number;
        self.next_number += 1;
        Row {
            number,
            key,
            message,
            asked_at: now,
            attempts: 0,
            not_before: now,
            with: None,
            flapping: false,
            held: false,
            anew: false,
            spread: false,
            diverted,
            fault: String::new(),
            state: State::Waiting,
        }
    }

    /// Holds what comes and goes.
    fn pace(&mut self, mut row: Row, now: Timestamp) -> Row {
        let flap = self.policy(&row.key.destination).flap;
        let (kind, severity) = (row.message.kind, row.message.severity);
        match self.lane(&row.key).ask(kind, severity, flap, now) {
            Pace::Told => {}
            Pace::Flapping => row.flapping = true,
            Pace::Held => {
                self.counts.flapping += 1;
                (row.held, row.not_before) = (true, now.after(flap.calm));
            }
        }
        row
    }

    /// What waits and is needless now gives way.
    fn supersede(&mut self, newer: &Row, now: Timestamp, out: &mut Vec<Output>) {
        let kind = newer.message.kind;
        let queue: Vec<u64> = self.lane(&newer.key).queue.iter().copied().collect();
        for number in queue {
            let Some(row) = self.rows.get(&number) else { continue };
            // Of what is held for calm only the last word counts; the one that says so is told.
            let held = row.held && row.is_unheard() && kind != Kind::Broadcast;
            let needless = row.gives_way_to(kind) && !row.flapping;
            if !(held || needless) {
                continue;
            }
            self.counts.superseded += 1;
            self.lane(&newer.key).queue.retain(|other| *other != number);
            let by = newer.key.clone();
            self.change(number, out, |row| row.state = State::Superseded { at: now, by });
        }
    }

    pub(super) fn add(&mut self, row: Row, out: &mut Vec<Output>) {
        self.list(&row);
        out.push(Output::Persist(Box::new(row.clone())));
        self.numbers.insert(row.key.clone(), row.number);
        self.rows.insert(row.number, row);
    }
}
