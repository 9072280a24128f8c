//! What nodes tell over time: troubles that begin, go on, bring others about, and end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use gpuwarden_proto::event::Finding;
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::{Phase, RuleId};

use crate::fleet::{Fleet, NODE_GPUS, NODE_MODELS, Trouble};

/// How much happens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// Troubles that begin, with all that they bring about.
    pub(crate) episodes_per_s: f64,
    /// Between two updates of a finding.
    pub(crate) update_every: Duration,
    /// The shortest that a finding lasts; the longest is four times as long.
    pub(crate) shortest: Duration,
}

/// Findings of an episode, on the average.
const FINDINGS: f64 = 2.75;

impl Pace {
    /// So many events per second, where troubles come as they do and updates make up the number.
    pub(crate) fn of(events_per_s: f64, episodes_per_s: f64, shortest: Duration) -> Self {
        let lasts = shortest.as_secs_f64() * 2.5;
        let updates = (events_per_s / (episodes_per_s * FINDINGS) - 2.0).max(0.1);
        // The last interval of a finding is cut short by its end, by a half on the average.
        let update_every = Duration::from_secs_f64(lasts / (updates + 0.5));
        Self { episodes_per_s, update_every, shortest }
    }
}

/// One thing that a node tells.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    /// Time since the story began.
    pub(crate) after: Duration,
    pub(crate) phase: Phase,
    pub(crate) trouble: Arc<Trouble>,
    /// The same for all that is told of one finding, counted from 0.
    pub(crate) number: usize,
    raised_after: Duration,
}

impl Told {
    /// A trouble that begins.
    pub(crate) fn raised(after: Duration, trouble: Trouble) -> Self {
        let trouble = Arc::new(trouble);
        Self { after, phase: Phase::Raised, trouble, number: 0, raised_after: after }
    }

    /// The same trouble, later.
    pub(crate) fn updated(&self, after: Duration) -> Self {
        Self { after, phase: Phase::Updated, ..self.clone() }
    }

    /// The finding, when the story began at `start`. `mark` ends up in the incident.
    pub(crate) fn finding(&self, start: Timestamp, mark: &str) -> Finding {
        let summary = format!("{mark} 40 requests wait, 4.0 s of work (limit 3.0 s)");
        let mut finding = self.trouble.finding(self.phase, start.after(self.raised_after), summary);
        finding.evidence[1].value = (self.after.as_millis() % 97) as f64;
        finding
    }
}

/// A finding that is to come or goes on.
#[derive(Debug)]
struct Life {
    trouble: Arc<Trouble>,
    number: usize,
    raised: Duration,
    ends: Duration,
    next: Phase,
}

/// An endless stream of what nodes tell, in the order of time; the same for the same seed.
#[derive(Debug)]
pub(crate) struct Stories<'f> {
    fleet: &'f Fleet,
    pace: Pace,
    random: fastrand::Rng,
    lives: BTreeMap<(Duration, u64), Life>,
    /// Findings to come or going on, by node: one trouble at a time.
    busy: Vec<u32>,
    episodes: u64,
    findings: usize,
    /// Tells apart what happens at the same time.
    order: u64,
}

impl<'f> Stories<'f> {
    /// A stream that begins with all being well.
    pub(crate) fn new(fleet: &'f Fleet, pace: Pace, seed: u64) -> Self {
        let random = fastrand::Rng::with_seed(seed);
        let busy = vec![0; fleet.nodes()];
        Self {
            fleet,
            pace,
            random,
            lives: BTreeMap::new(),
            busy,
            episodes: 0,
            findings: 0,
            order: 0,
        }
    }

    /// The ends of all that goes on at that time.
    pub(crate) fn finish(self, after: Duration) -> Vec<Told> {
        let begun = self.lives.into_values().filter(|life| life.next != Phase::Raised);
        let end = |life: Life| Told {
            after,
            phase: Phase::Cleared,
            trouble: life.trouble,
            number: life.number,
            raised_after: life.raised,
        };
        begun.map(end).collect()
    }

    fn begin(&mut self, at: Duration) {
        self.episodes += 1;
        let nodes = self.busy.len();
        let Some(node) = (0..16).map(|_| self.random.usize(..nodes)).find(|n| self.busy[*n] == 0)
        else {
            return;
        };
        for (delay_ms, trouble) in self.episode(node) {
            self.busy[node] += 1;
            let raised = at + Duration::from_millis(delay_ms);
            let lasts = self.pace.shortest.mul_f64(1.0 + 3.0 * self.random.f64());
            let life = Life {
                trouble: Arc::new(trouble),
                number: self.findings,
                raised,
                ends: raised + lasts,
                next: Phase::Raised,
            };
            self.findings += 1;
            self.schedule(raised, life);
        }
    }

    fn schedule(&mut self, at: Duration, life: Life) {
        self.order += 1;
        self.lives.insert((at, self.order), life);
    }

    fn episode(&mut self, node: usize) -> Vec<(u64, Trouble)> {
        use RuleId as R;
        let (slot, index) = (self.random.usize(..NODE_MODELS), self.random.usize(..NODE_GPUS));
        let model = |delay_ms, rule| (delay_ms, self.fleet.with_model(node, slot, rule));
        let gpu = |delay_ms, rule| (delay_ms, self.fleet.with_gpu(node, index, rule));
        match self.random.u32(..100) {
            0..35 => vec![
                model(0, R::QueueBackup),
                model(700, R::LatencyHigh),
                model(1500, R::ErrorRateHigh),
            ],
            35..55 => vec![model(0, R::NoisyNeighbour), model(500, R::LatencyHigh)],
            55..65 => vec![gpu(0, R::Xid), gpu(200, R::GpuLost), model(900, R::ModelUnavailable)],
            65..80 => vec![
                gpu(0, R::GpuMemoryExhausting),
                gpu(1000, R::GpuMemoryExhausted),
                model(1200, R::ModelUnavailable),
                model(1400, R::ErrorRateHigh),
            ],
            80..95 => vec![gpu(0, R::ThermalThrottle)],
            _ => {
                let down = (0..NODE_MODELS)
                    .map(|slot| (300, self.fleet.with_model(node, slot, R::ModelUnavailable)));
                let server = (0, self.fleet.with_server(node, R::ServerUnavailable));
                std::iter::once(server).chain(down).collect()
            }
        }
    }

    fn step(&mut self, at: Duration, mut life: Life) -> Told {
        let told = Told {
            after: at,
            phase: life.next,
            trouble: Arc::clone(&life.trouble),
            number: life.number,
            raised_after: life.raised,
        };
        if life.next == Phase::Cleared {
            self.busy[life.trouble.node] -= 1;
            return told;
        }
        let next = at + self.pace.update_every;
        life.next = if next < life.ends { Phase::Updated } else { Phase::Cleared };
        let at = next.min(life.ends);
        self.schedule(at, life);
        told
    }
}

impl Iterator for Stories<'_> {
    type Item = Told;

    fn next(&mut self) -> Option<Told> {
        loop {
            let start = Duration::from_secs_f64(self.episodes as f64 / self.pace.episodes_per_s);
            match self.lives.first_entry() {
                Some(entry) if entry.key().0 <= start => {
                    let ((at, _), life) = entry.remove_entry();
                    return Some(self.step(at, life));
                }
                Some(_) | None => self.begin(start),
            }
        }
    }
}
