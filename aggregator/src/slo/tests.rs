mod naive;

use gpuwarden_proto::incident::Incident;
use gpuwarden_proto::inventory::{LATENCY_COUNTS, Served};
use gpuwarden_proto::vocab::Phase;

use super::*;
use crate::correlate::{Policy, State, Touched, outside};
use crate::store::{MemoryStore, Store, Transaction};
use crate::testing::{at, node, snapshot};

const TOPOLOGY: &str = "[[service]]\nname = \"search\"\nmodels = [\"bert\", \"rank\"]\n\
    availability = 0.999\nlatency = \"200ms\"\nlatency_share = 0.9\ncritical = true\n";

/// A service whose one node serves so many requests each ten seconds.
struct Service {
    slo: Slo,
    now_s: u64,
    requests: u64,
    failures: u64,
    slow: u64,
    told: Vec<String>,
    threshold: Option<f64>,
    store: MemoryStore,
}

/// What happens for a while.
#[derive(Clone, Copy)]
struct Each10s {
    requests: u64,
    failures: u64,
    slow: u64,
}

const fn each(requests: u64, failures: u64) -> Each10s {
    Each10s { requests, failures, slow: 0 }
}

fn topology(text: &str) -> Topology {
    Topology::parse("t.toml", text).unwrap()
}

impl Service {
    fn new() -> Self {
        let slo = Slo::new(&topology(TOPOLOGY));
        let store = MemoryStore::default();
        let mut service = Self {
            slo,
            now_s: 0,
            requests: 0,
            failures: 0,
            slow: 0,
            told: Vec::new(),
            threshold: None,
            store,
        };
        service.say();
        service
    }

    fn snapshot(&self) -> Snapshot {
        let mut snapshot = snapshot(&["models=bert"], at(self.now_s));
        let Self { requests, failures, slow, .. } = *self;
        let mut latency = vec![0; LATENCY_COUNTS];
        (latency[4], latency[9]) = (requests - failures - slow, slow);
        let served = Served { since: at(0), requests, failures, latency };
        snapshot.servers[0].models[0].served = Some(served);
        snapshot
    }

    fn say(&mut self) {
        let snapshot = self.snapshot();
        self.slo.observe(at(self.now_s), &node("n1"), &snapshot);
    }

    fn judge(&mut self) {
        for finding in self.slo.judge(at(self.now_s)) {
            let Finding { phase, rule, subject, summary, .. } = finding;
            let threshold = finding.evidence.first().and_then(|burn| burn.threshold);
            if phase != Phase::Updated || threshold != self.threshold {
                let minute = self.now_s / 60;
                let more = threshold.map_or(String::new(), |threshold| format!(" at {threshold}"));
                self.told.push(format!("{minute} min {phase:?}{more} {rule} {subject}: {summary}"));
            }
            self.threshold = threshold;
        }
    }

    /// Serves so for so many minutes.
    fn serve(&mut self, minutes: u64, each: Each10s) -> &mut Self {
        for _ in 0..minutes * 6 {
            self.now_s += 10;
            self.requests += each.requests;
            self.failures += each.failures;
            self.slow += each.slow;
            self.say();
            self.judge();
        }
        self
    }

    /// Nothing is heard for so many minutes.
    fn vanish(&mut self, minutes: u64) -> &mut Self {
        for _ in 0..minutes * 6 {
            self.now_s += 10;
            self.judge();
        }
        self
    }

    /// The aggregator ends and begins again, `topology` in its file.
    fn restart(&mut self, text: &str) -> &mut Self {
        let slo = self.slo.take_changed(at(self.now_s));
        self.store.commit(&Transaction { slo, ..Transaction::default() }).unwrap();
        let kept = self.store.load().unwrap().slo;
        let snapshot = self.snapshot();
        self.slo = Slo::new(&topology(text)).recalling(kept);
        self.slo.recall(at(self.now_s), &node("n1"), &snapshot);
        self
    }

    fn told(&self) -> String {
        self.told.join("\n")
    }

    fn standing(&self, kind: ObjectiveKind) -> Standing {
        let standings = self.slo.standings(at(self.now_s));
        standings.into_iter().find(|standing| standing.kind == kind).unwrap()
    }

    fn states(&self) -> String {
        let standings = self.slo.standings(at(self.now_s));
        let line = |each: &Standing| {
            let left = each.budget_left.map_or("-".to_owned(), |left| format!("{left:.3}"));
            format!("{} {} left {left} {}", each.kind, each.state, each.reason)
        };
        standings.iter().map(line).collect::<Vec<_>>().join("\n")
    }
}

#[test]
fn an_outage_is_told_within_minutes_and_is_over_when_requests_succeed_again() {
    let mut service = Service::new();
    service.serve(180, each(100, 0)).serve(10, each(100, 20)).serve(60, each(100, 0));
    insta::assert_snapshot!(service.told(), @r#"
    181 min Raised at 1 availability-burn service search: 99.89 % of requests were answered over 3 d (objective 99.9 %): so fast the budget of 30 d is used up in 27 d 3 h, and none of it is left
    182 min Updated at 3 availability-burn service search: 99.69 % of requests were answered over 1 d (objective 99.9 %): so fast the budget of 30 d is used up in 9 d 16 h, and none of it is left
    184 min Updated at 14.4 availability-burn service search: 98.54 % of requests were answered over 1 h (objective 99.9 %): so fast the budget of 30 d is used up in 2 d 1 h, and none of it is left
    194 min Updated at 6 availability-burn service search: 98.97 % of requests were answered over 6 h (objective 99.9 %): so fast the budget of 30 d is used up in 2 d 21 h, and none of it is left
    219 min Updated at 3 availability-burn service search: 99.09 % of requests were answered over 1 d (objective 99.9 %): so fast the budget of 30 d is used up in 3 d 6 h, and none of it is left
    "#);
    insta::assert_snapshot!(service.states(), @r#"
    availability burning left -7.000 over 3 in 1 d
    latency kept left 1.000
    "#);
}

#[test]
fn a_slow_leak_is_told_by_the_long_windows() {
    let mut service = Service::new();
    service.serve(24 * 60, each(1_000, 0)).serve(3 * 24 * 60, each(1_000, 2));
    insta::assert_snapshot!(service.told(), @"2880 min Raised at 1 availability-burn service search: 99.90 % of requests were answered over 3 d (objective 99.9 %): so fast the budget of 30 d is used up in 29 d 23 h, and none of it is left");
}

#[test]
fn slow_answers_burn_the_budget_of_latency_alone() {
    let mut service = Service::new();
    service.serve(60, each(100, 0));
    service.serve(120, Each10s { requests: 100, failures: 0, slow: 80 });
    insta::assert_snapshot!(service.told(), @r#"
    68 min Raised at 1 latency-burn service search: 89.90 % of answered requests took 200 ms at most over 3 d (objective 90 %): so fast the budget of 30 d is used up in 29 d 17 h, and none of it is left
    96 min Updated at 3 latency-burn service search: 69.91 % of answered requests took 200 ms at most over 1 d (objective 90 %): so fast the budget of 30 d is used up in 9 d 23 h, and none of it is left
    "#);
}

#[test]
fn when_nothing_is_heard_nothing_is_over_and_what_was_served_meanwhile_is_counted_later() {
    let mut service = Service::new();
    service.serve(60, each(100, 0)).serve(10, each(100, 50)).vanish(180);
    assert_eq!(service.standing(ObjectiveKind::Availability).state, ObjectiveState::Burning);
    assert_eq!(service.standing(ObjectiveKind::Availability).nodes_silent, 1);
    service.requests += 100_000;
    service.serve(1, each(100, 0));
    insta::assert_snapshot!(service.told(), @r#"
    60 min Raised at 1 availability-burn service search: 99.86 % of requests were answered over 3 d (objective 99.9 %): so fast the budget of 30 d is used up in 21 d 15 h, and none of it is left
    60 min Updated at 3 availability-burn service search: 99.59 % of requests were answered over 1 d (objective 99.9 %): so fast the budget of 30 d is used up in 7 d 6 h, and none of it is left
    60 min Updated at 6 availability-burn service search: 99.32 % of requests were answered over 6 h (objective 99.9 %): so fast the budget of 30 d is used up in 4 d 9 h, and none of it is left
    61 min Updated at 14.4 availability-burn service search: 98.47 % of requests were answered over 1 h (objective 99.9 %): so fast the budget of 30 d is used up in 1 d 22 h, and none of it is left
    250 min Updated at 1 availability-burn service search: 97.89 % of requests were answered over 3 d (objective 99.9 %): so fast the budget of 30 d is used up in 1 d 10 h, and none of it is left
    "#);
}

#[test]
fn few_requests_alarm_nobody() {
    let mut service = Service::new();
    service.serve(60, each(0, 0));
    insta::assert_snapshot!(service.states(), @r#"
    availability unseen left - no requests counted for 3 d
    latency unseen left - no requests counted for 3 d
    "#);
    service.serve(1, each(1, 1)).serve(60, each(0, 0));
    insta::assert_snapshot!(service.states(), @r#"
    availability too-few left -999.000 too few requests to tell
    latency unseen left - no requests counted for 3 d
    "#);
    assert_eq!(service.told(), "");
}

#[test]
fn a_restart_changes_nothing_of_what_is_told_and_known() {
    let phases: [(u64, Each10s); 5] = [
        (300, each(100, 0)),
        (7, each(100, 30)),
        (2, each(100, 40)),
        (20, each(100, 0)),
        (30, each(100, 1)),
    ];
    let play = |restart: bool| {
        let mut service = Service::new();
        for (minutes, each) in phases {
            service.serve(minutes, each);
            if restart {
                service.restart(TOPOLOGY);
            }
        }
        (service.told(), service.states(), service.slo.standings(at(service.now_s)))
    };
    assert_eq!(play(true), play(false));
}

#[test]
fn what_was_served_while_the_aggregator_was_down_is_counted_when_it_is_back() {
    let mut service = Service::new();
    service.serve(60, each(100, 0)).restart(TOPOLOGY);
    service.now_s += 3_600;
    service.requests += 36_000;
    service.failures += 360;
    service.serve(1, each(100, 0));
    let standing = service.standing(ObjectiveKind::Availability);
    assert_eq!((standing.total, standing.total - standing.good), (36_000 * 2 + 600, 360));
}

#[test]
fn an_alarm_of_an_objective_that_is_no_longer_set_is_over() {
    let mut service = Service::new();
    service.serve(180, each(100, 0)).serve(10, each(100, 20));
    service.restart("[[service]]\nname = \"search\"\nmodels = [\"bert\"]").serve(2, each(100, 20));
    insta::assert_snapshot!(service.told(), @r#"
    181 min Raised at 1 availability-burn service search: 99.89 % of requests were answered over 3 d (objective 99.9 %): so fast the budget of 30 d is used up in 27 d 3 h, and none of it is left
    182 min Updated at 3 availability-burn service search: 99.69 % of requests were answered over 1 d (objective 99.9 %): so fast the budget of 30 d is used up in 9 d 16 h, and none of it is left
    184 min Updated at 14.4 availability-burn service search: 98.54 % of requests were answered over 1 h (objective 99.9 %): so fast the budget of 30 d is used up in 2 d 1 h, and none of it is left
    190 min Cleared availability-burn service search: search no longer has this objective
    "#);
    let kept = service.slo.take_changed(at(service.now_s));
    assert_eq!(kept.alarms.len(), 1);
    assert_eq!(kept.alarms[0].pairs, 0);
    assert_eq!(service.slo.take_changed(at(service.now_s)).alarms, []);
}

#[test]
fn a_minute_writes_only_what_it_changed() {
    let mut service = Service::new();
    service.serve(180, each(100, 0));
    service.slo.take_changed(at(service.now_s));
    service.serve(1, each(100, 0));
    let kept = service.slo.take_changed(at(service.now_s));
    assert!(kept.buckets.len() <= 2 * 2 * 3, "{kept:?}");
    assert!(service.slo.take_changed(at(service.now_s)).is_empty());
}

#[test]
fn replicas_and_models_of_a_service_add_up() {
    let mut slo = Slo::new(&topology(TOPOLOGY));
    for second in [0, 10] {
        for name in ["n1", "n2"] {
            let mut told = snapshot(&["models=bert,rank,other"], at(second));
            for model in &mut told.servers[0].models {
                let (requests, failures) = (second * 10, second);
                let latency = Vec::new();
                model.served = Some(Served { since: at(0), requests, failures, latency });
            }
            slo.observe(at(second), &node(name), &told);
        }
    }
    let counted: Vec<_> = slo.counted().map(|(_, kind, count)| (kind.as_str(), count)).collect();
    let four = Count { good: 4 * 90, bad: 4 * 10 };
    assert_eq!(counted, [("availability", four), ("latency", Count::default())]);
}

/// An incident of a service after an hour in which so many of a thousand requests failed: how urgent it
/// is, and why.
fn urgency(text: &str, failures: u64) -> String {
    let topology = topology(text);
    let policy = Policy { topology: topology.clone(), ..Policy::default() };
    let mut state = State::restore(policy, HashMap::new(), Vec::new(), 1, at(0));
    let mut service = Service::new();
    service.slo = Slo::new(&topology);
    service.say();
    for _ in 0..360 {
        service.now_s += 10;
        service.requests += 1_000;
        service.failures += failures;
        service.say();
        let now = at(service.now_s);
        for finding in service.slo.judge(now) {
            outside(&mut state, now, now, finding, &mut Touched::default());
        }
    }
    assert_eq!(state.open(), 1);
    let Incident { severity, kind, severity_reason, .. } = state.incidents().next().unwrap();
    format!("{severity} {kind}: {severity_reason}")
}

#[test]
fn the_faster_a_budget_is_used_up_the_more_urgent_it_is_and_more_so_on_the_critical_list() {
    let all = |text: &str| [2, 4, 8, 20].map(|failures| urgency(text, failures)).join("\n");
    insta::assert_snapshot!(all(TOPOLOGY), @r"
    P4 high-error-rate: service search uses up its error budget 2.0 times as fast as it may, over 3 d (threshold 1); it is critical
    P3 high-error-rate: service search uses up its error budget 4.0 times as fast as it may, over 1 d (threshold 3); it is critical
    P2 high-error-rate: service search uses up its error budget 8.0 times as fast as it may, over 6 h (threshold 6); it is critical
    P1 high-error-rate: service search uses up its error budget 20.0 times as fast as it may, over 1 h (threshold 14.4); it is critical
    ");
    insta::assert_snapshot!(all(&TOPOLOGY.replace("critical = true", "")), @r"
    P4 high-error-rate: service search uses up its error budget 2.0 times as fast as it may, over 3 d (threshold 1)
    P3 high-error-rate: service search uses up its error budget 4.0 times as fast as it may, over 1 d (threshold 3)
    P3 high-error-rate: service search uses up its error budget 8.0 times as fast as it may, over 6 h (threshold 6)
    P2 high-error-rate: service search uses up its error budget 20.0 times as fast as it may, over 1 h (threshold 14.4)
    ");
}
