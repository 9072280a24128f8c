//! The same, worked out anew from all that ever happened, second by second.

use proptest::prelude::*;

use super::super::series::Series;
use super::*;

/// What a node does next.
#[derive(Debug, Clone)]
enum Step {
    /// Time passes, and a node serves.
    Serve { node: usize, seconds: u64, requests: u64, failures: u64 },
    /// A node's last snapshot comes again.
    Again { node: usize },
    /// One of its snapshots before that comes late.
    Late { node: usize, back: usize },
    /// Its agent begins anew.
    Restart { node: usize },
}

fn step() -> impl Strategy<Value = Step> {
    let serve = (0..3_usize, 1..400_u64, 0..500_u64, 0..40_u64).prop_map(
        |(node, seconds, requests, failures)| Step::Serve { node, seconds, requests, failures },
    );
    prop_oneof![
        8 => serve,
        1 => (0..3_usize).prop_map(|node| Step::Again { node }),
        1 => (0..3_usize, 1..4_usize).prop_map(|(node, back)| Step::Late { node, back }),
        1 => (0..3_usize).prop_map(|node| Step::Restart { node }),
    ]
}

#[derive(Debug, Default, Clone)]
struct Replica {
    since_s: u64,
    requests: u64,
    failures: u64,
    heard_s: u64,
    said: Vec<Snapshot>,
}

/// The service, and what truly happened to it: when, and what.
struct World {
    slo: Slo,
    now_s: u64,
    replicas: Vec<Replica>,
    happened: Vec<(u64, u64, Count)>,
}

impl World {
    fn new() -> Self {
        let slo = Slo::new(&topology(TOPOLOGY));
        let mut world =
            Self { slo, now_s: 0, replicas: vec![Replica::default(); 3], happened: Vec::new() };
        (0..3).for_each(|node| world.say(node));
        world
    }

    fn say(&mut self, place: usize) {
        let replica = &mut self.replicas[place];
        let mut told = snapshot(&["models=bert"], at(self.now_s));
        let Replica { since_s, requests, failures, .. } = *replica;
        let (since, latency) = (at(since_s), Vec::new());
        told.servers[0].models[0].served = Some(Served { since, requests, failures, latency });
        replica.heard_s = self.now_s;
        replica.said.push(told);
        let last = replica.said.len() - 1;
        self.hear(place, last);
    }

    fn hear(&mut self, place: usize, which: usize) {
        let told = self.replicas[place].said[which].clone();
        self.slo.observe(at(self.now_s), &node(&format!("n{place}")), &told);
    }

    fn play(&mut self, step: &Step) {
        match *step {
            Step::Serve { node, seconds, requests, failures } => {
                self.now_s += seconds;
                let replica = &mut self.replicas[node];
                replica.requests += requests + failures;
                replica.failures += failures;
                let count = Count { good: requests, bad: failures };
                self.happened.push((replica.heard_s, self.now_s, count));
                self.say(node);
            }
            Step::Again { node } => self.hear(node, self.replicas[node].said.len() - 1),
            Step::Late { node, back } => {
                let last = self.replicas[node].said.len() - 1;
                self.hear(node, last.saturating_sub(back));
            }
            Step::Restart { node } => {
                self.now_s += 1;
                let since_s = self.now_s;
                let replica = &mut self.replicas[node];
                *replica = Replica { since_s, requests: 0, failures: 0, ..replica.clone() };
                self.say(node);
            }
        }
    }

    /// All requests that ended in the buckets of `step_s` that a window holds.
    fn naive(&self, window_s: u64, step_s: u64) -> Count {
        let unix = |second: u64| at(second).unix_ns() / 1_000_000_000;
        let last = unix(self.now_s) / step_s;
        let first = last + 1 - window_s / step_s;
        let mut sum = Count::default();
        for (from, to, count) in &self.happened {
            let part = |all: u64, seconds: u64| all * seconds / (to - from);
            for second in 0..to - from {
                let bucket = (unix(*from) + second) / step_s;
                if (first..=last).contains(&bucket) {
                    sum.good += part(count.good, second + 1) - part(count.good, second);
                    sum.bad += part(count.bad, second + 1) - part(count.bad, second);
                }
            }
        }
        sum
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_window_is_what_a_count_of_all_requests_gives(steps in prop::collection::vec(step(), 1..80)) {
        let mut world = World::new();
        for step in &steps {
            world.play(step);
        }
        let standings = world.slo.standings(at(world.now_s));
        let month = world.naive(BUDGET_S, 3_600);
        prop_assert_eq!((standings[0].good, standings[0].total), (month.good, month.total()));
        for burn in &standings[0].burns {
            let step_s = if burn.window_s <= 6 * 3_600 { 60 } else { 600 };
            let naive = world.naive(burn.window_s, step_s);
            prop_assert_eq!((burn.good, burn.total), (naive.good, naive.total()), "{}", burn.window_s);
        }
    }

    #[test]
    fn what_is_kept_bucket_by_bucket_is_all_there_is(
        spans in prop::collection::vec((0..200_000_u64, 0..20_000_u64, 0..9_999_u64), 1..20),
    ) {
        let key = Key { service: "s".into(), measure: "availability".to_owned() };
        let (mut series, mut kept) = (Series::default(), BTreeMap::new());
        for (begin, length, bad) in spans {
            series.spread(at(begin), at(begin + length), Count { good: 0, bad });
            for bucket in series.take_changed(&key) {
                kept.insert((bucket.step_s, bucket.start_s), bucket);
            }
        }
        let mut again = Series::default();
        kept.values().for_each(|bucket| again.recall(bucket));
        for window_s in WINDOWS_S {
            let of = |series: &Series| series.window(at(220_000), window_s);
            prop_assert_eq!(of(&again), of(&series));
        }
    }
}
