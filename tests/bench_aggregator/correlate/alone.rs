//! The correlator by itself: one thread, no network, no disk, simulated time.

use std::time::{Duration, Instant};

use gpuwarden_aggregator::correlate::{Policy, Signal, State, Touched, apply};
use gpuwarden_aggregator::graph::Topology;
use gpuwarden_aggregator::intake::TICK;
use gpuwarden_aggregator::node::Node;
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::Phase;
use serde_json::{Value, json};

use crate::Failure;
use crate::figures::{Scale, round};
use crate::fleet::Fleet;
use crate::story::{Pace, Stories, Told};

/// When all stories begin.
pub(super) const START: Timestamp = Timestamp::from_unix_s(1_800_000_000);
/// Simulated time until as much ends as begins.
const RUN_IN: Duration = Duration::from_secs(200);
/// Events prepared at one time, so that only correlation is measured.
const PREPARED: usize = 20_000;
/// Findings last 24 to 96 seconds and are told again every five, as agents do.
const SHORTEST: Duration = Duration::from_secs(24);
const UPDATE_EVERY: Duration = Duration::from_secs(5);

/// What the fleet looks like to correlation once every node has spoken.
pub(super) fn placed(fleet: &Fleet) -> Result<State, Failure> {
    let topology = Topology::parse("bench", &fleet.topology())
        .map_err(|problems| problems.first().map_or_else(String::new, ToString::to_string))?;
    let policy = Policy { topology, ..Policy::default() };
    let mut state = State::restore(policy, [].into(), Vec::new(), 1, START);
    for (nth, id) in fleet.ids.iter().enumerate() {
        state.nodes.insert(id.clone(), Node::new(START));
        let said = Signal::Snapshot(fleet.snapshot(nth, START));
        apply(&mut state, START, id, said, &mut Touched::default());
    }
    Ok(state)
}

/// Time spent with events of one phase.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Spent {
    pub(super) events: u64,
    pub(super) time: Duration,
}

impl Spent {
    pub(super) fn add(&mut self, time: Duration) {
        self.events += 1;
        self.time += time;
    }

    pub(super) fn ns(self) -> f64 {
        (self.time.as_nanos() as f64 / self.events.max(1) as f64).round()
    }
}

/// Correlation under way.
struct Course<'f> {
    fleet: &'f Fleet,
    state: State,
    ticked: Duration,
    /// Raised, updated, cleared, and the passing of time.
    spent: [Spent; 4],
}

impl Course<'_> {
    fn play(&mut self, told: Vec<Told>) {
        let signal = |told: Told| {
            let observed_at = START.after(told.after);
            let finding = told.finding(START, "");
            let signal = Signal::Finding { observed_at, backlog: false, finding };
            (told.after, told.trouble.node, told.phase, signal)
        };
        let prepared: Vec<_> = told.into_iter().map(signal).collect();
        for (after, node, phase, signal) in prepared {
            let began = Instant::now();
            while self.ticked + TICK <= after {
                self.ticked += TICK;
                self.state.tick(START.after(self.ticked), &mut Touched::default());
            }
            let ticked = Instant::now();
            self.spent[3].add(ticked - began);
            let id = &self.fleet.ids[node];
            apply(&mut self.state, START.after(after), id, signal, &mut Touched::default());
            let kind = match phase {
                Phase::Raised => 0,
                Phase::Updated => 1,
                Phase::Cleared => 2,
            };
            self.spent[kind].add(ticked.elapsed());
        }
    }
}

pub(super) fn run(scale: Scale) -> Result<Value, Failure> {
    let fleet = Fleet::new(scale.nodes());
    eprintln!(
        "correlation alone: {} nodes, racks of 16, services that ask each other",
        fleet.nodes()
    );
    let episodes_per_s = fleet.nodes() as f64 / 200.0;
    let pace = Pace { episodes_per_s, update_every: UPDATE_EVERY, shortest: SHORTEST };
    let mut stories = Stories::new(&fleet, pace, 1);
    let state = placed(&fleet)?;
    let mut course =
        Course { fleet: &fleet, state, ticked: Duration::ZERO, spent: [Spent::default(); 4] };
    loop {
        let told: Vec<Told> = stories.by_ref().take(PREPARED).collect();
        let run_in = told.last().is_some_and(|last| last.after > RUN_IN);
        course.play(told);
        if run_in {
            break;
        }
    }
    course.spent = Default::default();
    for _ in 0..scale.pick(25, 2) {
        let told = stories.by_ref().take(PREPARED).collect();
        course.play(told);
    }
    Ok(report(&course))
}

fn report(course: &Course<'_>) -> Value {
    let [raised, updated, cleared, passed] = course.spent;
    let events = raised.events + updated.events + cleared.events;
    let time: Duration = course.spent.iter().map(|each| each.time).sum();
    let members: usize = course.state.incidents().map(|incident| incident.members.len()).sum();
    let open = course.state.open();
    let per_s = events as f64 / time.as_secs_f64();
    eprintln!(
        "  {per_s:.0} events/s; raise {:.1} us, update {:.1} us, clear {:.1} us; {open} incidents open",
        raised.ns() / 1e3,
        updated.ns() / 1e3,
        cleared.ns() / 1e3,
    );
    json!({
        "events_per_s": per_s.round(),
        "events_count": events,
        "raised_ratio": round(raised.events as f64 / events as f64),
        "updated_ratio": round(updated.events as f64 / events as f64),
        "cleared_ratio": round(cleared.events as f64 / events as f64),
        "ns_per_raised": raised.ns(),
        "ns_per_updated": updated.ns(),
        "ns_per_cleared": cleared.ns(),
        "ns_per_event_of_ticks": (passed.time.as_nanos() as f64 / events as f64).round(),
        "incidents_open_count": open,
        "members_per_incident": round(members as f64 / open.max(1) as f64),
    })
}
