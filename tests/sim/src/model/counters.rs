//! What Triton counts of a model. Durations are added only for requests that were answered, and
//! per request, not per batch.

use std::time::Duration;

use gpuwarden_agent::sample::Moment;

/// Counters of one model since it was loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Requests answered; each is one inference.
    pub success: u64,
    /// Requests failed while they ran.
    pub failed_backend: u64,
    /// Batches executed.
    pub executions: u64,
    /// Microseconds from receipt to answer.
    pub request_us: u64,
    /// Microseconds waiting.
    pub queue_us: u64,
    /// Microseconds reading inputs.
    pub compute_input_us: u64,
    /// Microseconds computing.
    pub compute_infer_us: u64,
    /// Microseconds writing outputs.
    pub compute_output_us: u64,
    /// Time that the GPU was busy with it. Not on the page, and goes on when the model is loaded
    /// anew.
    pub busy: Duration,
}

impl Counters {
    pub(super) fn executed(&mut self, duration: Duration, instances: u32) {
        self.executions += 1;
        self.busy += duration / instances.max(1);
    }

    pub(super) fn answered(&mut self, arrived: Moment, started: Moment, done: Moment) {
        let us = |duration: Duration| duration.as_micros() as u64;
        let executing = us(done.since(started));
        self.success += 1;
        self.request_us += us(done.since(arrived));
        self.queue_us += us(started.since(arrived));
        self.compute_input_us += executing / 50;
        self.compute_output_us += executing / 50;
        self.compute_infer_us += executing - 2 * (executing / 50);
    }

    pub(super) fn start_anew(&mut self) {
        *self = Self { busy: self.busy, ..Self::default() };
    }
}
