//! A model as Triton runs it: requests arrive at random, wait, are taken in batches by instances,
//! and are answered or fail. Event by event, so that the history does not depend on how often it
//! is looked at.

mod counters;
mod life;
mod queue;

use std::time::Duration;

pub use counters::Counters;
use fastrand::Rng;
use gpuwarden_agent::sample::Moment;
use gpuwarden_proto::vocab::{ModelName, ModelVersion};
pub use life::Life;
use queue::Queue;

use crate::fault::ModelFault;
use crate::gpu::Surroundings;

/// How long the rows of a model stay on the page after it was unloaded, as seen on a real server.
const UNLOADING: Duration = Duration::from_millis(1_500);
/// How long a load takes.
const LOADING: Duration = Duration::from_secs(2);

/// What a model is like when all is well.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelSpec {
    /// Its name.
    pub name: ModelName,
    /// Its version.
    pub version: ModelVersion,
    /// Index of the GPU it runs on.
    pub gpu: u32,
    /// Requests a second, on average.
    pub rate_per_s: f64,
    /// How long a batch of one takes.
    pub service: Duration,
    /// Share of `service` that each further request of a batch adds.
    pub batch_cost: f64,
    /// How many batches run at once.
    pub instances: u32,
    /// Requests in a batch at most.
    pub max_batch: u32,
    /// Requests that may wait; `None` for as many as come.
    pub max_queue: Option<u32>,
    /// How much of a neighbour's use it feels, 0 to 1.
    pub contention: f64,
    /// Memory it takes while it is loaded.
    pub memory_bytes: u64,
}

/// A model of a simulated server.
#[derive(Debug)]
pub struct SimModel {
    /// What it is like when all is well.
    pub spec: ModelSpec,
    /// Whether it serves.
    pub life: Life,
    /// What Triton would have counted.
    pub counters: Counters,
    queue: Queue,
    surge: Option<Surge>,
    failing: f64,
    next_arrival: Option<Moment>,
    rng: Rng,
}

/// A changed arrival rate.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Surge {
    factor: f64,
    until: Option<Moment>,
}

impl SimModel {
    /// A model that serves from moment zero on.
    pub fn new(spec: ModelSpec, seed: u64) -> Self {
        let mut model = Self {
            queue: Queue::new(spec.instances),
            spec,
            life: Life::Ready,
            counters: Counters::default(),
            surge: None,
            failing: 0.0,
            next_arrival: None,
            rng: Rng::with_seed(seed),
        };
        model.next_arrival = model.draw_arrival(Moment::default());
        model
    }

    /// Requests that wait, not counting those in execution.
    pub fn pending(&self) -> usize {
        self.queue.waiting()
    }

    /// Lives on up to `to`. `around` tells what the GPU is like at an instant.
    pub fn advance(&mut self, to: Moment, around: &dyn Fn(Moment) -> Surroundings) {
        while let Some(at) = self.next_event().filter(|at| *at <= to) {
            if self.life.until() == Some(at) {
                self.life_goes_on();
            } else if self.queue.next_done() == Some(at) {
                self.finish(at, around(at));
            } else {
                self.arrive(at);
            }
            self.queue.start(at, &self.spec, around(at), &mut self.rng);
        }
    }

    /// Makes a fault happen at `now`, up to which it must have lived.
    pub fn apply(&mut self, fault: &ModelFault, now: Moment) {
        match fault {
            ModelFault::Rate { factor, lasting } => {
                let until = lasting.map(|lasting| now.after(lasting));
                self.surge = Some(Surge { factor: *factor, until });
                self.next_arrival = self.draw_arrival(now);
            }
            ModelFault::Fails(share) => self.failing = *share,
            ModelFault::LoadFails(reason) => self.leave(now, Some(reason.clone())),
            ModelFault::Unload => self.leave(now, None),
            ModelFault::Stalls => self.queue.stalled = true,
            ModelFault::Heal => self.heal(now),
        }
    }

    fn leave(&mut self, now: Moment, reason: Option<String>) {
        self.life = Life::Unloading { until: now.after(UNLOADING), reason };
    }

    fn heal(&mut self, now: Moment) {
        self.surge = None;
        self.failing = 0.0;
        self.queue.stalled = false;
        if self.life != Life::Ready {
            self.life = Life::Loading { until: now.after(LOADING) };
        }
        self.next_arrival = self.draw_arrival(now);
    }

    fn next_event(&self) -> Option<Moment> {
        [self.life.until(), self.queue.next_done(), self.next_arrival].into_iter().flatten().min()
    }

    fn life_goes_on(&mut self) {
        self.life = std::mem::take(&mut self.life).next();
        match self.life {
            Life::Ready => self.counters.start_anew(),
            Life::Unloaded | Life::Failed { .. } => self.queue.clear(),
            Life::Loading { .. } | Life::Unloading { .. } => {}
        }
    }

    /// A request to a model that is not there is turned away, and counted nowhere.
    fn arrive(&mut self, at: Moment) {
        if self.life == Life::Ready {
            self.queue.push(at, self.spec.max_queue);
        }
        self.next_arrival = self.draw_arrival(at);
    }

    fn finish(&mut self, at: Moment, around: Surroundings) {
        let failing = self.failing.max(around.failing);
        let Some(batch) = self.queue.finish(at) else { return };
        self.counters.executed(batch.duration(), self.spec.instances);
        for arrived in &batch.arrived {
            if self.rng.f64() < failing {
                self.counters.failed_backend += 1;
            } else {
                self.counters.answered(*arrived, batch.started, batch.done);
            }
        }
    }

    /// The next arrival after `from`. Arrivals have no memory, so when the rate is about to change
    /// the draw begins anew at that instant.
    fn draw_arrival(&mut self, from: Moment) -> Option<Moment> {
        if self.surge.and_then(|surge| surge.until).is_some_and(|until| until <= from) {
            self.surge = None;
        }
        let rate = self.spec.rate_per_s * self.surge.map_or(1.0, |surge| surge.factor);
        let gap_s = -(1.0 - self.rng.f64()).ln() / rate;
        let at = (gap_s < 1e6).then(|| from.after(Duration::from_secs_f64(gap_s)));
        match self.surge.and_then(|surge| surge.until) {
            Some(until) if at.is_none_or(|at| at > until) => self.draw_arrival(until),
            Some(_) | None => at,
        }
    }
}

#[cfg(test)]
mod tests;
