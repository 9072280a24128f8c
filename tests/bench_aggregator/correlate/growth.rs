//! What an event costs as open incidents grow. Flat is what is wanted.

use std::time::{Duration, Instant};

use gpuwarden_aggregator::correlate::{Signal, State, Touched, apply};
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::{ModelName, Phase, RuleId};
use serde_json::{Map, Value, json};

use super::alone::{START, Spent, placed};
use crate::Failure;
use crate::figures::{Scale, round};
use crate::fleet::{Fleet, Trouble};
use crate::story::Told;

/// Incidents that are open.
const OPEN: [usize; 4] = [10, 100, 1_000, 10_000];
/// Findings that come and go beside them at one time.
const PROBES: usize = 64;
/// Updates of each.
const UPDATES: usize = 5;
/// Between two troubles: so far apart they have nothing to do with each other, whatever the model,
/// and what is over has resolved.
const REST: Duration = Duration::from_secs(400);
/// Models over which incidents that share some are spread.
const SHARED: usize = 16;

/// What open incidents have in common with each other and with what comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sharing {
    /// Each has a model of its own, which is part of no service.
    Nothing,
    /// They are spread over a few models, which are part of services that ask each other.
    Models,
}

/// The trouble with a number, on a node of its own as long as there are enough.
fn trouble(fleet: &Fleet, sharing: Sharing, nth: usize) -> Result<Trouble, Failure> {
    let (node, slot) = (nth * 7 % fleet.nodes(), nth / fleet.nodes() % 4);
    let model = match sharing {
        Sharing::Nothing => ModelName::new(&format!("own-{nth}"))?,
        Sharing::Models => {
            // Those that come on a node later have another model than those that were there.
            let shared = (nth + nth / fleet.nodes()) % SHARED;
            fleet.models[shared + fleet.middle()].clone()
        }
    };
    Ok(fleet.with(node, model, slot, RuleId::QueueBackup))
}

/// Correlation and its time.
struct Course<'f> {
    fleet: &'f Fleet,
    state: State,
    now: Timestamp,
    raised: Spent,
    updated: Spent,
    cleared: Spent,
    resolved: Spent,
}

impl Course<'_> {
    fn tell(&mut self, told: &Told, mark: &str) -> Duration {
        let finding = told.finding(self.now, mark);
        let signal = Signal::Finding { observed_at: self.now, backlog: false, finding };
        let id = &self.fleet.ids[told.trouble.node];
        let began = Instant::now();
        apply(&mut self.state, self.now, id, signal, &mut Touched::default());
        began.elapsed()
    }

    fn raise(&mut self, told: &Told) -> Duration {
        self.now = self.now.after(REST);
        self.tell(told, "")
    }

    /// Some findings begin, go on, end, and their incidents resolve.
    fn probe(&mut self, probes: &[Told]) {
        for told in probes {
            let took = self.raise(told);
            self.raised.add(took);
        }
        for nth in 0..UPDATES {
            for told in probes {
                let took = self.tell(&told.updated(Duration::ZERO), &nth.to_string());
                self.updated.add(took);
            }
        }
        for told in probes {
            let mut over = told.clone();
            over.phase = Phase::Cleared;
            let took = self.tell(&over, "");
            self.cleared.add(took);
        }
        self.now = self.now.after(REST);
        let began = Instant::now();
        self.state.tick(self.now, &mut Touched::default());
        let took = began.elapsed() / PROBES as u32;
        (0..PROBES).for_each(|_| self.resolved.add(took));
    }
}

pub(super) fn run(scale: Scale, sharing: Sharing) -> Result<Value, Failure> {
    eprintln!("cost of an event as open incidents grow; they share: {sharing:?}");
    let fleet = Fleet::new(scale.nodes());
    let mut course = Course {
        fleet: &fleet,
        state: placed(&fleet)?,
        now: START,
        raised: Spent::default(),
        updated: Spent::default(),
        cleared: Spent::default(),
        resolved: Spent::default(),
    };
    let (mut figures, mut costs, mut opened) = (Map::new(), Vec::new(), 0);
    for open in OPEN.into_iter().filter(|open| *open <= scale.pick(10_000, 1_000)) {
        while opened < open {
            let told = Told::raised(Duration::ZERO, trouble(&fleet, sharing, opened)?);
            course.raise(&told);
            opened += 1;
        }
        let before = course.state.open();
        [course.raised, course.updated, course.cleared, course.resolved] = Default::default();
        for round in 0..scale.pick(40, 5) {
            let first = 1_000_000 + round * PROBES;
            let probes: Result<Vec<Told>, Failure> = (first..first + PROBES)
                .map(|nth| Ok(Told::raised(Duration::ZERO, trouble(&fleet, sharing, nth)?)))
                .collect();
            course.probe(&probes?);
        }
        let (told, cost) = report(&course, open);
        if before != open || course.state.open() != open {
            let now = course.state.open();
            eprintln!("  {open} troubles are {before} incidents before and {now} after");
        }
        figures.insert(format!("at_{open}"), told);
        costs.push(cost);
    }
    let ratio = |from: usize| round(costs[costs.len() - 1] / costs[from]);
    figures.insert("last_to_first_ratio".to_owned(), json!(ratio(0)));
    figures.insert("last_to_first_ratio_wanted_max".to_owned(), json!(1.5));
    figures.insert("last_to_second_last_ratio".to_owned(), json!(ratio(costs.len() - 2)));
    eprintln!("  from first to last {:.2} times as much", ratio(0));
    Ok(Value::Object(figures))
}

fn report(course: &Course<'_>, open: usize) -> (Value, f64) {
    let (raised, updated) = (course.raised.ns(), course.updated.ns());
    let (cleared, resolved) = (course.cleared.ns(), course.resolved.ns());
    let all = [course.raised, course.updated, course.cleared, course.resolved];
    let events: u64 = all[..3].iter().map(|spent| spent.events).sum();
    let time: Duration = all.iter().map(|spent| spent.time).sum();
    let event = (time.as_nanos() as f64 / events as f64).round();
    eprintln!(
        "  {open:>6} open: {event:.0} ns/event (raise {raised:.0}, update {updated:.0}, \
         clear {cleared:.0}, resolve {resolved:.0})"
    );
    let told = json!({
        "incidents_open_count": course.state.open(),
        "ns_per_event": event,
        "ns_per_raised": raised,
        "ns_per_updated": updated,
        "ns_per_cleared": cleared,
        "ns_per_resolved": resolved,
    });
    (told, event)
}
