//! A delivery with a store that never fails, and destinations that do as they are told.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::{IncidentId, Severity};

use super::super::*;
use crate::destination::{External, Verdict};
use crate::message::{Audience, example};

/// One request a second; falls back on `desk`.
pub(super) fn policy() -> Policy {
    Policy { fall_back: Some(name("desk")), ..Policy::default() }
}

pub(super) fn name(text: &str) -> DestinationName {
    DestinationName::new(text).unwrap()
}

pub(super) struct Scene {
    pub(super) delivery: Delivery,
    /// What is on disk, as text.
    pub(super) kept: BTreeMap<Key, String>,
    policies: BTreeMap<DestinationName, Policy>,
    start: Timestamp,
    now: Timestamp,
    /// Requests without an answer.
    open: VecDeque<Send>,
    failing: BTreeSet<DestinationName>,
    told: Vec<String>,
    next_ts: u64,
}

impl Scene {
    /// `ops` has this policy, `desk` takes everything.
    pub(super) fn new(ops: Policy) -> Self {
        Self::with(ops, Policy { fall_back: None, ..Policy::default() })
    }

    pub(super) fn with(ops: Policy, desk: Policy) -> Self {
        let policies = BTreeMap::from([(name("ops"), ops), (name("desk"), desk)]);
        let start = "2026-11-23T00:00:00Z".parse().unwrap();
        Self {
            delivery: Delivery::new(policies.clone(), 7),
            kept: BTreeMap::new(),
            policies,
            start,
            now: start,
            open: VecDeque::new(),
            failing: BTreeSet::new(),
            told: Vec::new(),
            next_ts: 1,
        }
    }

    pub(super) fn ask(
        &mut self,
        step: &str,
        incident: u64,
        severity: Severity,
        kind: Kind,
    ) -> Vec<Output> {
        self.ask_at("ops", step, incident, severity, kind)
    }

    pub(super) fn ask_at(
        &mut self,
        destination: &str,
        step: &str,
        incident: u64,
        severity: Severity,
        kind: Kind,
    ) -> Vec<Output> {
        let incident = IncidentId(incident);
        let key = Key { incident, step: step.to_owned(), destination: name(destination), round: 0 };
        let (since, at) = (self.now, self.now);
        let message = example::message(kind, Audience::Engineering);
        let message = Message { incident, severity, since, at, ..message };
        self.apply(Input::Notify(key, Box::new(message)))
    }

    pub(super) fn row(&self, step: &str, incident: u64) -> Row {
        let (incident, step) = (IncidentId(incident), step.to_owned());
        let key = Key { incident, step, destination: name("ops"), round: 0 };
        self.delivery.row(&key).unwrap().clone()
    }

    fn apply(&mut self, input: Input) -> Vec<Output> {
        let out = self.delivery.apply(self.now, input);
        self.carry_out(&out);
        out
    }

    fn carry_out(&mut self, out: &[Output]) {
        for output in out {
            match output {
                Output::Persist(row) => {
                    let text = serde_json::to_string(row).unwrap();
                    self.kept.insert(row.key.clone(), text);
                }
                Output::Forget(key) => {
                    self.kept.remove(key);
                }
                Output::Dead(key, why) => self.say(&format!("dead {key}: {why}")),
                Output::Send(send) => {
                    let line = shown(send);
                    self.say(&line);
                    self.open.push_back((**send).clone());
                }
            }
        }
    }

    fn say(&mut self, what: &str) {
        let at = self.now.since(self.start).as_secs();
        self.told.push(format!("{at} s  {what}"));
    }

    /// The oldest request is answered like this.
    pub(super) fn answer(&mut self, verdict: Verdict) {
        let send = self.open.pop_front().expect("a request without an answer");
        self.apply(Input::Answered(send.request, verdict));
    }

    pub(super) fn deliver(&mut self) {
        let Some(send) = self.open.front() else { return };
        let known = send.previous.clone();
        let new = External { id: format!("ts{}", self.next_ts), note: String::new() };
        self.next_ts += 1;
        self.answer(Verdict::Delivered(Some(known.unwrap_or(new))));
    }

    pub(super) fn retry(&mut self, after_s: Option<u64>) {
        let after = after_s.map(Duration::from_secs);
        self.answer(Verdict::Retry { after, why: "broken".to_owned() });
    }

    pub(super) fn refuse(&mut self, why: &str) {
        self.answer(Verdict::Refused(why.to_owned()));
    }

    pub(super) fn failing(&mut self, destination: &str) {
        self.failing.insert(name(destination));
    }

    pub(super) fn mended(&mut self, destination: &str) {
        self.failing.remove(&name(destination));
    }

    /// Time passes, and nobody answers.
    pub(super) fn pass(&mut self, seconds: u64) {
        let until = self.now.after(Duration::from_secs(seconds));
        while let Some(wake) = self.delivery.next_wake(self.now).filter(|at| *at <= until) {
            self.now = wake.max(self.now);
            if self.apply(Input::Tick).is_empty() {
                break;
            }
        }
        self.now = until;
        self.apply(Input::Tick);
    }

    /// Time passes, and each request is answered at once.
    pub(super) fn run(&mut self, seconds: u64) {
        let until = self.now.after(Duration::from_secs(seconds));
        loop {
            while let Some(send) = self.open.front() {
                if self.failing.contains(&send.destination) {
                    self.retry(None);
                } else {
                    self.deliver();
                }
            }
            let wake = self.delivery.next_wake(self.now).filter(|at| *at <= until);
            let Some(wake) = wake else { break };
            self.now = wake.max(self.now);
            self.apply(Input::Tick);
        }
        self.now = until;
        self.apply(Input::Tick);
        while !self.open.is_empty() {
            self.deliver();
        }
    }

    /// The process dies; what is on disk is all that is left.
    pub(super) fn crash(&mut self) {
        self.open.clear();
        self.say("crash");
        let rows = self.kept.values().map(|text| serde_json::from_str(text).unwrap()).collect();
        let (delivery, out) = Delivery::restore(self.policies.clone(), 7, rows, self.now);
        self.delivery = delivery;
        self.carry_out(&out);
    }

    /// All requests that went out, and what was given up.
    pub(super) fn told(&self) -> String {
        self.told.join("\n")
    }
}

fn shown(send: &Send) -> String {
    let Notice { first, others, late, flapping, diverted } = &send.notice;
    let mut line = format!("{} {} {}", send.key, first.severity, first.kind);
    for other in others {
        line.push_str(&format!(" + {} {}", other.incident, other.kind));
    }
    if let Some(previous) = &send.previous {
        line.push_str(&format!(", after {}", previous.id));
    }
    if late.is_some() {
        line.push_str(", late ");
    }
    if *flapping {
        line.push_str(", flapping");
    }
    if let Some(diverted) = diverted {
        line.push_str(&format!(", {diverted}"));
    }
    line
}
