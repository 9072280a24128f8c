//! The queue of a model and the batches in execution.

use std::collections::VecDeque;
use std::time::Duration;

use fastrand::Rng;
use gpuwarden_agent::sample::Moment;

use super::ModelSpec;
use crate::gpu::Surroundings;

/// Where the model sets no limit, the simulation does: a scenario must not eat the machine.
const WAITING_MAX: usize = 100_000;
/// Spread of the time that equal batches take.
const SERVICE_SPREAD: f64 = 0.08;
/// How soon a request fails on a GPU that is lost.
const LOST_ANSWER: Duration = Duration::from_millis(1);

/// A batch in execution.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) started: Moment,
    pub(super) done: Moment,
    pub(super) arrived: Vec<Moment>,
}

impl Batch {
    pub(super) fn duration(&self) -> Duration {
        self.done.since(self.started)
    }
}

#[derive(Debug)]
pub(super) struct Queue {
    waiting: VecDeque<Moment>,
    /// At most one for each instance.
    running: Vec<Batch>,
    instances: usize,
    pub(super) stalled: bool,
}

impl Queue {
    pub(super) fn new(instances: u32) -> Self {
        let instances = instances as usize;
        Self { waiting: VecDeque::new(), running: Vec::new(), instances, stalled: false }
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn clear(&mut self) {
        self.waiting.clear();
        self.running.clear();
    }

    /// A request that does not fit is turned away, which a real server counts nowhere.
    pub(super) fn push(&mut self, at: Moment, max: Option<u32>) {
        if self.waiting.len() < max.map_or(WAITING_MAX, |max| max as usize) {
            self.waiting.push_back(at);
        }
    }

    /// When the next batch will be done; never while stalled.
    pub(super) fn next_done(&self) -> Option<Moment> {
        self.running.iter().map(|batch| batch.done).min().filter(|_| !self.stalled)
    }

    /// Takes the batch that is done at `at`.
    pub(super) fn finish(&mut self, at: Moment) -> Option<Batch> {
        let index = self.running.iter().position(|batch| batch.done == at)?;
        Some(self.running.swap_remove(index))
    }

    /// Gives work to every instance that has none.
    pub(super) fn start(
        &mut self,
        at: Moment,
        spec: &ModelSpec,
        around: Surroundings,
        rng: &mut Rng,
    ) {
        while !self.stalled && self.running.len() < self.instances && !self.waiting.is_empty() {
            let size = self.waiting.len().min(spec.max_batch.max(1) as usize);
            let arrived = self.waiting.drain(..size).collect();
            let done = at.after(duration(size, spec, around, rng));
            self.running.push(Batch { started: at, done, arrived });
        }
    }
}

fn duration(size: usize, spec: &ModelSpec, around: Surroundings, rng: &mut Rng) -> Duration {
    if around.failing >= 1.0 {
        return LOST_ANSWER;
    }
    let batching = 1.0 + spec.batch_cost * (size - 1) as f64;
    spec.service.mul_f64(batching * around.slowdown * noise(rng))
}

/// About log-normal around 1: four uniform draws make a good enough normal.
fn noise(rng: &mut Rng) -> f64 {
    let sum: f64 = (0..4).map(|_| rng.f64()).sum();
    ((sum - 2.0) * 3.0_f64.sqrt() * SERVICE_SPREAD).exp()
}
