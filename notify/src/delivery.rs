//! The outbox of notifications: what is told next, and what becomes of what cannot be told. Pure.
//!
//! [`Delivery::apply`] takes what happens, with the time, and gives what is to be done about it, in
//! order: a row is to be on disk before the request that follows it goes out. After a crash the rows
//! are given back to [`Delivery::restore`]; what was handed over and not confirmed is sent again with
//! the same key, which is in effect once where keys are known (see [`crate::destination`]).
//!
//! - Of one incident at one destination one thing is told at a time, in order; of updates that wait
//!   only the newest counts.
//! - A destination has a rate, and what it asks to wait is waited for. The most urgent goes first,
//!   and of that pages.
//! - Where messages are for people, those that come within some seconds of one are told as one.
//! - What comes and goes is told so once, and then when it is calm, or worse.
//! - In quiet hours what is not urgent waits; P1 never does.
//! - What a destination refuses, or could not be told for a day, is dead, and goes to its fall-back;
//!   a page that only fails goes there as well after two minutes.

mod ask;
mod backoff;
mod gate;
mod hand_over;
mod lane;
mod policy;
mod restore;
mod row;
mod verdict;

use std::collections::{BTreeMap, BTreeSet};

use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::{IncidentId, Severity};

pub use policy::{Flap, Policy, Quiet, Rate};
pub use row::{DestinationName, Key, Row, State};

use crate::destination::{External, Verdict};
use crate::message::{Kind, Message, Notice};
use gate::Gate;
use lane::Lane;

/// Rows on their way at most; pages may be twice as many.
pub const ON_THEIR_WAY_MAX: usize = 20_000;

/// A request that went out, within one life of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// What happens.
#[derive(Debug, Clone)]
pub enum Input {
    /// Somebody is to be told. The same key again changes nothing.
    Notify(Key, Box<Message>),
    /// A request was answered, or failed. Each is, once.
    Answered(RequestId, Verdict),
    /// Time has passed: see [`Delivery::next_wake`].
    Tick,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// Write this down in place of what is known of its key; before what follows is done.
    Persist(Box<Row>),
    /// Forget what is known of this key.
    Forget(Key),
    /// Send this.
    Send(Box<Send>),
    /// This is given up here; its row is written down as such. A person should know.
    Dead(Key, String),
}

/// A request to be made.
#[derive(Debug, Clone, PartialEq)]
pub struct Send {
    /// To be named with its answer.
    pub request: RequestId,
    /// To where.
    pub destination: DestinationName,
    /// The key for the destination: the same after a crash.
    pub key: String,
    /// What to say.
    pub notice: Notice,
    /// What the incident is known by there.
    pub previous: Option<External>,
}

/// How much of everything, for metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Asked for and taken.
    pub asked: u64,
    /// Asked for again with the same key.
    pub repeated: u64,
    /// Requests handed over.
    pub sent: u64,
    /// Notifications told.
    pub told: u64,
    /// Tries in vain.
    pub retried: u64,
    /// Given way to something newer.
    pub superseded: u64,
    /// Given up.
    pub dead: u64,
    /// Told by a fall-back.
    pub diverted: u64,
    /// Held since their incident comes and goes.
    pub flapping: u64,
    /// Found handed over and not confirmed after a start.
    pub unconfirmed: u64,
}

/// What waits at a destination, the most urgent first.
type Waiting = BTreeSet<(Severity, Kind, u64)>;

/// The state of the outbox.
#[derive(Debug, Clone)]
pub struct Delivery {
    policies: BTreeMap<DestinationName, Policy>,
    seed: u64,
    rows: BTreeMap<u64, Row>,
    numbers: BTreeMap<Key, u64>,
    lanes: BTreeMap<(DestinationName, IncidentId), Lane>,
    gates: BTreeMap<DestinationName, Gate>,
    waiting: BTreeMap<DestinationName, Waiting>,
    renewals: BTreeSet<(Timestamp, u64)>,
    /// What each request that is out carries.
    out: BTreeMap<RequestId, Vec<u64>>,
    next_number: u64,
    next_request: u64,
    clean_at: Timestamp,
    expire_at: Timestamp,
    counts: Counts,
}

impl Delivery {
    /// An outbox in which there is nothing. The seed spreads tries in time.
    #[must_use]
    pub fn new(policies: BTreeMap<DestinationName, Policy>, seed: u64) -> Self {
        Self {
            policies,
            seed,
            rows: BTreeMap::new(),
            numbers: BTreeMap::new(),
            lanes: BTreeMap::new(),
            gates: BTreeMap::new(),
            waiting: BTreeMap::new(),
            renewals: BTreeSet::new(),
            out: BTreeMap::new(),
            next_number: 1,
            next_request: 1,
            clean_at: Timestamp::default(),
            expire_at: Timestamp::default(),
            counts: Counts::default(),
        }
    }

    /// Takes up what happens; what is to be done about it, in order.
    pub fn apply(&mut self, now: Timestamp, input: Input) -> Vec<Output> {
        let mut out = Vec::new();
        match input {
            Input::Notify(key, message) => self.ask(key, *message, None, now, &mut out),
            Input::Answered(request, verdict) => self.answered(request, &verdict, now, &mut out),
            Input::Tick => {}
        }
        self.clean(now, &mut out);
        self.hand_over(now, &mut out);
        out
    }

    /// All that is kept, in the order in which it was asked for.
    pub fn rows(&self) -> impl Iterator<Item = &Row> {
        self.rows.values()
    }

    /// What is known of a key.
    #[must_use]
    pub fn row(&self, key: &Key) -> Option<&Row> {
        self.rows.get(self.numbers.get(key)?)
    }

    /// How much of everything so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// How many are on their way.
    #[must_use]
    pub fn on_their_way(&self) -> usize {
        self.waiting.values().map(BTreeSet::len).sum::<usize>()
            + self.out.values().map(Vec::len).sum::<usize>()
    }

    /// Changes what one row says, keeps the indexes in step, and has it written down.
    fn change(&mut self, number: u64, out: &mut Vec<Output>, change: impl FnOnce(&mut Row)) {
        let Some(mut row) = self.rows.remove(&number) else { return };
        self.unlist(&row);
        change(&mut row);
        self.list(&row);
        out.push(Output::Persist(Box::new(row.clone())));
        self.rows.insert(number, row);
    }

    fn list(&mut self, row: &Row) {
        match &row.state {
            State::Waiting => {
                let waiting = self.waiting.entry(row.key.destination.clone()).or_default();
                waiting.insert(place(row));
            }
            State::Told { renew_at: Some(at), .. } => {
                self.renewals.insert((*at, row.number));
            }
            State::Sent
            | State::Told { renew_at: None, .. }
            | State::Superseded { .. }
            | State::Dead { .. } => {}
        }
    }

    fn unlist(&mut self, row: &Row) {
        if let Some(waiting) = self.waiting.get_mut(&row.key.destination) {
            waiting.remove(&place(row));
        }
        if let State::Told { renew_at: Some(at), .. } = &row.state {
            self.renewals.remove(&(*at, row.number));
        }
    }

    fn lane(&mut self, key: &Key) -> &mut Lane {
        self.lanes.entry((key.destination.clone(), key.incident)).or_default()
    }

    fn policy(&self, destination: &DestinationName) -> Policy {
        self.policies.get(destination).cloned().unwrap_or_default()
    }
}

fn place(row: &Row) -> (Severity, Kind, u64) {
    (row.message.severity, row.message.kind, row.number)
}

#[cfg(test)]
mod tests;
