//! What holds for any course of things.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::{IncidentId, Severity};
use proptest::prelude::*;

use super::super::*;
use super::scene::name;
use crate::destination::{External, Verdict};
use crate::message::{Audience, example};

/// One thing that happens.
#[derive(Debug, Clone, Copy)]
enum Deed {
    Ask {
        incident: u64,
        severity: usize,
        kind: usize,
        desk: bool,
    },
    /// Asks again for something that was asked for.
    Repeat(usize),
    Pass(u64),
    /// Answers the request that has waited for the longest.
    Answer(usize),
    Crash,
}

fn deeds(crashes: bool) -> impl Strategy<Value = Vec<Deed>> {
    let crash = if crashes { 1 } else { 0 };
    let deed = prop_oneof![
        6 => (1_u64..5, 0_usize..4, 0_usize..4, any::<bool>()).prop_map(
            |(incident, severity, kind, desk)| Deed::Ask { incident, severity, kind, desk }),
        1 => (0_usize..50).prop_map(Deed::Repeat),
        4 => (0_u64..400).prop_map(Deed::Pass),
        8 => (0_usize..12).prop_map(Deed::Answer),
        crash => Just(Deed::Crash),
    ];
    prop::collection::vec(deed, 1..90)
}

/// A course of things, and what must hold after each step of it.
struct Course {
    policies: BTreeMap<DestinationName, Policy>,
    delivery: Delivery,
    kept: BTreeMap<Key, Row>,
    asked: Vec<(Key, Message)>,
    open: Vec<Send>,
    now: Timestamp,
    /// When each destination was sent something since the last crash.
    sent_at: BTreeMap<DestinationName, Vec<Timestamp>>,
    /// What was confirmed, and how often it was handed over since its last failure.
    confirmed: BTreeSet<String>,
    /// What was told last of each incident at each destination, by number.
    last_told: BTreeMap<(DestinationName, IncidentId), u64>,
    blocked: BTreeMap<DestinationName, Timestamp>,
    quiet: Quiet,
}

impl Course {
    fn new() -> Self {
        let quiet = Quiet::new(&[Severity::P3, Severity::P4], 30, 60);
        let ops = Policy {
            fall_back: Some(name("desk")),
            quiet: Some(quiet.clone()),
            bundle: Some(Duration::from_secs(15)),
            give_up_after: Duration::from_secs(3000),
            ..Policy::default()
        };
        let desk = Policy { takes_broadcasts: false, ..Policy::default() };
        let policies = BTreeMap::from([(name("ops"), ops), (name("desk"), desk)]);
        Self {
            delivery: Delivery::new(policies.clone(), 3),
            policies,
            kept: BTreeMap::new(),
            asked: Vec::new(),
            open: Vec::new(),
            now: "2026-11-23T00:00:00Z".parse().unwrap(),
            sent_at: BTreeMap::new(),
            confirmed: BTreeSet::new(),
            last_told: BTreeMap::new(),
            blocked: BTreeMap::new(),
            quiet,
        }
    }

    fn step(&mut self, deed: Deed) {
        match deed {
            Deed::Ask { incident, severity, kind, desk } => {
                let incident = IncidentId(incident);
                let destination = name(if desk { "desk" } else { "ops" });
                let step = format!("s{}", self.asked.len());
                let key = Key { incident, step, destination, round: 0 };
                let message = example::message(Kind::ALL[kind], Audience::Engineering);
                let severity = Severity::ALL[severity];
                let message = Message { incident, severity, at: self.now, ..message };
                self.asked.push((key.clone(), message.clone()));
                self.apply(Input::Notify(key, Box::new(message)));
            }
            Deed::Repeat(nth) => {
                if let Some((key, message)) = self.asked.get(nth).cloned() {
                    self.apply(Input::Notify(key, Box::new(message)));
                }
            }
            Deed::Pass(seconds) => self.pass(seconds),
            Deed::Answer(what) if !self.open.is_empty() => {
                let send = self.open.remove(0);
                self.answer(&send, what);
            }
            Deed::Answer(_) => {}
            Deed::Crash => self.crash(),
        }
    }

    fn answer(&mut self, send: &Send, what: usize) {
        let why = "no".to_owned();
        let verdict = match what {
            0 => Verdict::Refused(why),
            1 => Verdict::FallBack(why),
            2 => Verdict::Anew(why),
            3 => Verdict::Retry { after: None, why },
            4 => {
                let after = Duration::from_secs(40);
                self.blocked.insert(send.destination.clone(), self.now.after(after));
                Verdict::Retry { after: Some(after), why }
            }
            _ => {
                self.confirmed.insert(send.key.clone());
                Verdict::Delivered(Some(External { id: send.key.clone(), note: String::new() }))
            }
        };
        self.apply(Input::Answered(send.request, verdict.clone()));
        // An answer that comes twice changes nothing.
        let before = self.delivery.counts();
        self.apply(Input::Answered(send.request, verdict));
        assert_eq!(before.told + before.retried, {
            let after = self.delivery.counts();
            after.told + after.retried
        });
    }

    fn pass(&mut self, seconds: u64) {
        let until = self.now.after(Duration::from_secs(seconds));
        for _ in 0..500 {
            let wake = self.delivery.next_wake(self.now).filter(|at| *at <= until);
            let Some(wake) = wake else { break };
            assert!(wake >= self.now || self.open.len() < 100, "a wake in the past");
            self.now = wake.max(self.now);
            self.apply(Input::Tick);
        }
        self.now = until;
        self.apply(Input::Tick);
    }

    fn crash(&mut self) {
        self.open.clear();
        self.sent_at.clear();
        self.blocked.clear();
        let rows = self.kept.values().cloned().collect();
        let (delivery, out) = Delivery::restore(self.policies.clone(), 3, rows, self.now);
        self.delivery = delivery;
        self.carry_out(out);
    }

    fn apply(&mut self, input: Input) {
        let out = self.delivery.apply(self.now, input);
        self.carry_out(out);
    }

    fn carry_out(&mut self, out: Vec<Output>) {
        for output in out {
            match output {
                Output::Persist(row) => {
                    self.kept.insert(row.key.clone(), *row);
                }
                Output::Forget(key) => {
                    self.kept.remove(&key);
                }
                Output::Dead(key, _) => {
                    assert!(matches!(self.kept[&key].state, State::Dead { .. }));
                }
                Output::Send(send) => self.check(*send),
            }
        }
        let live: BTreeMap<Key, Row> =
            self.delivery.rows().map(|row| (row.key.clone(), row.clone())).collect();
        assert!(live == self.kept, "what is on disk is what is known");
    }

    fn check(&mut self, send: Send) {
        let carried: Vec<&Row> = self
            .kept
            .values()
            .filter(|row| row.key.destination == send.destination)
            .filter(|row| row.with.as_ref().is_some_and(|with| with.to_string() == send.key))
            .filter(|row| row.state == State::Sent)
            .collect();
        assert_eq!(carried.len(), 1 + send.notice.others.len(), "written down before it is sent");
        assert!(!self.confirmed.contains(&send.key), "{} is told twice", send.key);
        for row in &carried {
            let id = (send.destination.clone(), row.key.incident);
            let lane = self.kept.values().filter(|other| {
                (other.key.destination.clone(), other.key.incident) == id && other.is_on_its_way()
            });
            assert_eq!(lane.map(|row| row.number).min(), Some(row.number), "order is kept");
            let last = self.last_told.insert(id, row.number);
            assert!(last.is_none_or(|last| last <= row.number), "order is kept");
            if send.destination == name("ops") && carried.len() == 1 {
                let urgent = self.kept.values().any(|other| {
                    other.key.destination == row.key.destination
                        && other.key.incident == row.key.incident
                        && other.is_on_its_way()
                        && self.quiet.over_at(other.message.severity, self.now) == self.now
                });
                assert!(urgent, "{} in quiet hours", row.key);
            }
        }
        if let Some(until) = self.blocked.get(&send.destination) {
            assert!(self.now >= *until, "what was asked for is waited for");
        }
        let times = self.sent_at.entry(send.destination.clone()).or_default();
        if let Some(last) = times.last() {
            assert!(self.now.since(*last) >= Duration::from_secs(1), "faster than it may");
        }
        times.push(self.now);
        self.open.push(send);
    }

    /// Everything works again, for long enough.
    fn settle(&mut self) {
        for _ in 0..400 {
            while !self.open.is_empty() {
                let send = self.open.remove(0);
                self.answer(&send, 11);
            }
            self.pass(120);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn nothing_is_lost_or_told_twice_or_out_of_order_or_too_fast(deeds in deeds(false)) {
        let mut course = Course::new();
        for deed in deeds {
            course.step(deed);
        }
        course.settle();
        for (key, _) in &course.asked {
            let row = &course.kept[key];
            prop_assert!(!row.is_on_its_way(), "{:?} is never told", row);
            if let State::Superseded { by, .. } = &row.state {
                prop_assert!(course.kept.contains_key(by));
            }
        }
    }

    #[test]
    fn a_crash_loses_nothing_and_repeats_only_what_was_not_confirmed(deeds in deeds(true)) {
        let mut course = Course::new();
        for deed in deeds {
            course.step(deed);
        }
        course.settle();
        prop_assert!(course.asked.iter().all(|(key, _)| !course.kept[key].is_on_its_way()));
    }

    #[test]
    fn the_most_urgent_is_never_held_back_by_quiet_hours(minute in 0_u64..1440, length in 1_u64..1440) {
        let quiet = Quiet::new(&[Severity::P1, Severity::P2], minute, minute + length);
        let mut course = Course::new();
        if let Some(ops) = course.policies.get_mut(&name("ops")) {
            ops.quiet = Some(quiet);
        }
        course.delivery = Delivery::new(course.policies.clone(), 3);
        course.step(Deed::Ask { incident: 1, severity: 0, kind: 0, desk: false });
        prop_assert_eq!(course.open.len(), 1);
    }
}
