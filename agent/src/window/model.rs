//! What is remembered of one model: what it did between two readings of its counters.

use std::time::Duration;

use gpuwarden_proto::event::Subject;
use gpuwarden_proto::inventory::Served;
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::{GpuUuid, ModelName, ModelVersion, ServerName};

use super::served::Tally;
use super::{Availability, Presence, Ring};
use crate::sample::{ModelCounters, ModelSample, ModelShape, Moment};

/// Steps that are kept: half a minute at a tenth of a second, more at half a second.
const STEPS: usize = 320;
/// Length of a stretch whose mean service time goes into the baseline.
const STRETCH: Duration = Duration::from_secs(10);
/// Stretches that make the baseline: half an hour.
const STRETCHES: usize = 180;
/// Stretches without which there is no baseline.
const STRETCHES_MIN: usize = 4;
/// Answered requests without which a stretch says nothing.
const STRETCH_REQUESTS_MIN: f64 = 5.0;
/// The page and the index tell of one load within this time.
const RELOAD_TOGETHER: Duration = Duration::from_secs(10);
/// Seconds of service time that are kept for comparison with neighbours.
const SERVICE_SECONDS: usize = super::gpu::USE_SECONDS;

/// Which model.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModelKey {
    /// Its name.
    pub model: ModelName,
    /// Its version.
    pub version: ModelVersion,
}

/// What happened between two readings.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// When the later reading was taken.
    pub at: Moment,
    /// What happened, and for how long.
    pub totals: Totals,
    /// Requests waiting at the later reading.
    pub pending: Option<f64>,
}

/// Sums over steps.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Totals {
    /// Seconds covered.
    pub covered_s: f64,
    /// Requests answered.
    pub success: f64,
    /// Requests failed, those that the client gave up left out.
    pub failed: f64,
    /// Requests failed while they ran.
    pub failed_backend: f64,
    /// Executions.
    pub executions: f64,
    /// Seconds from receipt to answer, over answered requests.
    pub request_s: f64,
    /// Seconds of computing, over answered requests.
    pub service_s: f64,
}

impl Totals {
    fn add(&mut self, other: &Self) {
        self.covered_s += other.covered_s;
        self.success += other.success;
        self.failed += other.failed;
        self.failed_backend += other.failed_backend;
        self.executions += other.executions;
        self.request_s += other.request_s;
        self.service_s += other.service_s;
    }

    /// Requests that ended one way or the other.
    pub fn finished(&self) -> f64 {
        self.success + self.failed
    }

    /// Mean computing time of an answered request, in seconds.
    pub fn service_mean_s(&self) -> Option<f64> {
        (self.success > 0.0 && self.service_s > 0.0).then(|| self.service_s / self.success)
    }
}

/// The history of a model.
#[derive(Debug)]
pub struct ModelWindow {
    /// Its server.
    pub server: ServerName,
    /// Its name and version.
    pub key: ModelKey,
    /// GPUs its instances run on, as far as the page tells.
    pub gpus: Vec<GpuUuid>,
    /// What it can do at once, if it is known.
    pub shape: Option<ModelShape>,
    /// Whether it is there.
    pub availability: Availability,
    /// When it was last on a page.
    pub paged_at: Option<Moment>,
    /// When its counters last began anew.
    pub reset_at: Option<Moment>,
    /// When it was last told that the model was loaded anew.
    pub deploy_told_at: Option<Moment>,
    /// When a request last ended or none waited: the start of a stall.
    pub moved_at: Moment,
    /// Mean computing time of a request by second.
    pub service_by_second: Ring<(u64, f64)>,
    served: Option<Tally>,
    steps: Ring<Step>,
    last: Option<(Moment, ModelCounters)>,
    second: (u64, Totals),
    stretch: (Moment, Totals),
    stretches: Ring<f64>,
    baseline_s: Option<f64>,
}

impl ModelWindow {
    /// A model of which nothing is known but its name.
    pub fn new(server: ServerName, key: ModelKey, now: Moment) -> Self {
        Self {
            server,
            key,
            gpus: Vec::new(),
            shape: None,
            availability: Availability::new(now),
            paged_at: None,
            reset_at: None,
            deploy_told_at: None,
            moved_at: now,
            service_by_second: Ring::new(SERVICE_SECONDS),
            served: None,
            steps: Ring::new(STEPS),
            last: None,
            second: (0, Totals::default()),
            stretch: (now, Totals::default()),
            stretches: Ring::new(STRETCHES),
            baseline_s: None,
        }
    }

    /// What a finding about it is about.
    pub fn subject(&self) -> Subject {
        Subject::Model {
            server: self.server.clone(),
            model: self.key.model.clone(),
            version: self.key.version.clone(),
        }
    }

    /// Takes in a reading. Returns whether the counters began anew since the last one.
    pub fn push(&mut self, now: Moment, sample: &ModelSample) -> bool {
        self.paged_at = Some(now);
        let Some((then, before)) = self.last.replace((now, sample.counters)) else { return false };
        let reset = is_reset(&before, &sample.counters);
        if reset {
            self.begin_anew(now);
        } else if let Some((_, last)) = &mut self.last {
            *last = last.or(&before);
        }
        let base = if reset { ModelCounters::zero() } else { before };
        let totals = difference(&base, &sample.counters, now.since(then));
        if totals.finished() > 0.0 || totals.executions > 0.0 || sample.pending == Some(0.0) {
            self.moved_at = now;
        }
        self.steps.push(Step { at: now, totals, pending: sample.pending });
        self.push_service(now, &totals);
        reset
    }

    /// Adds what the reading taken `now` told to what was served since the first.
    pub fn count(&mut self, now: Moment, wall: Timestamp) {
        let served = self.served.get_or_insert_with(|| Tally::since(wall));
        if self.reset_at == Some(now) {
            served.begin_anew();
        }
        if let Some(step) = self.steps.newest().filter(|step| step.at == now) {
            served.add(&step.totals);
        }
    }

    /// What was served since it was first read; `None` before.
    pub fn served(&self) -> Option<Served> {
        self.served.as_ref().map(Tally::served)
    }

    /// After a load, what was usual before need not be usual now.
    fn begin_anew(&mut self, now: Moment) {
        self.reset_at = Some(now);
        self.steps.clear();
        self.stretches.clear();
        self.stretch = (now, Totals::default());
        self.baseline_s = None;
    }

    fn push_service(&mut self, now: Moment, totals: &Totals) {
        let second = now.0.as_secs();
        if second != self.second.0 {
            if let Some(mean) = self.second.1.service_mean_s() {
                self.service_by_second.push((self.second.0, mean));
            }
            self.second = (second, Totals::default());
        }
        self.second.1.add(totals);
        self.stretch.1.add(totals);
        if now.since(self.stretch.0) >= STRETCH {
            let (_, stretch) = std::mem::replace(&mut self.stretch, (now, Totals::default()));
            self.push_stretch(&stretch);
        }
    }

    /// A stretch far above the baseline is not learned from: what is wrong must not become usual.
    fn push_stretch(&mut self, stretch: &Totals) {
        let Some(mean) = stretch.service_mean_s() else { return };
        let unusual = self.baseline_s.is_some_and(|usual| mean > 1.25 * usual);
        if stretch.success < STRETCH_REQUESTS_MIN || unusual {
            return;
        }
        self.stretches.push(mean);
        if self.stretches.len() >= STRETCHES_MIN {
            let mut sorted: Vec<f64> = self.stretches.oldest_first().copied().collect();
            sorted.sort_by(f64::total_cmp);
            self.baseline_s = Some(sorted[sorted.len() / 2]);
        }
    }

    /// Whether a load was so quick that the index never showed the model away.
    pub fn was_reloaded_unseen(&self, now: Moment) -> bool {
        let told = self.deploy_told_at.is_some_and(|at| now.since(at) < RELOAD_TOGETHER);
        !told && self.availability.presence == Presence::Ready
    }

    /// Whether the mere passing of time may change what there is to say of it.
    pub fn is_restless(&self) -> bool {
        !matches!(self.availability.presence, Presence::Ready | Presence::Unknown)
            || self.pending().is_some_and(|pending| pending >= 1.0)
    }

    /// Requests waiting at the newest reading.
    pub fn pending(&self) -> Option<f64> {
        self.steps.newest().and_then(|step| step.pending)
    }

    /// Steps, newest first.
    pub fn steps(&self) -> impl Iterator<Item = &Step> {
        self.steps.newest_first()
    }

    /// Sums over the steps that ended within `window` before `now`.
    pub fn totals(&self, now: Moment, window: Duration) -> Totals {
        let mut totals = Totals::default();
        for step in self.steps().take_while(|step| now.since(step.at) < window) {
            totals.add(&step.totals);
        }
        totals
    }

    /// Usual computing time of a request, in seconds; `None` until enough was seen.
    pub fn service_baseline_s(&self) -> Option<f64> {
        self.baseline_s
    }

    /// The most that this model can answer per second by its config and its computing time: all
    /// instances, full batches. `None` until both are known.
    pub fn capacity_per_s(&self) -> Option<f64> {
        let shape = self.shape.as_ref()?;
        let mut totals = Totals::default();
        for step in self.steps() {
            totals.add(&step.totals);
            if totals.success >= 20.0 {
                break;
            }
        }
        let service_s = totals.service_mean_s()?;
        Some(f64::from(shape.instances) * f64::from(shape.max_batch) / service_s)
    }
}

fn is_reset(before: &ModelCounters, after: &ModelCounters) -> bool {
    let fell = |before: Option<f64>, after: Option<f64>| matches!((before, after), (Some(before), Some(after)) if after < before);
    fell(before.success, after.success)
        || fell(before.executions, after.executions)
        || fell(before.request_us, after.request_us)
        || fell(before.failed_backend, after.failed_backend)
}

fn difference(before: &ModelCounters, after: &ModelCounters, over: Duration) -> Totals {
    let grown = |before: Option<f64>, after: Option<f64>| {
        before.zip(after).map_or(0.0, |(before, after)| (after - before).max(0.0))
    };
    let failed_backend = grown(before.failed_backend, after.failed_backend);
    Totals {
        covered_s: over.as_secs_f64(),
        success: grown(before.success, after.success),
        failed: failed_backend
            + grown(before.failed_rejected, after.failed_rejected)
            + grown(before.failed_other, after.failed_other),
        failed_backend,
        executions: grown(before.executions, after.executions),
        request_s: grown(before.request_us, after.request_us) / 1e6,
        service_s: grown(before.compute_infer_us, after.compute_infer_us) / 1e6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model() -> ModelWindow {
        let key = ModelKey {
            model: ModelName::new("m").unwrap(),
            version: ModelVersion::new("1").unwrap(),
        };
        ModelWindow::new(ServerName::new("s").unwrap(), key, Moment::ms(0))
    }

    fn sample(success: f64) -> ModelSample {
        ModelSample {
            model: ModelName::new("m").unwrap(),
            version: ModelVersion::new("1").unwrap(),
            gpus: Vec::new(),
            counters: ModelCounters {
                success: Some(success),
                compute_infer_us: Some(success * 1e5),
                ..ModelCounters::default()
            },
            pending: Some(0.0),
        }
    }

    #[test]
    fn the_first_reading_says_nothing_of_what_happened() {
        let mut model = model();
        assert!(!model.push(Moment::ms(0), &sample(1e6)));
        assert_eq!(model.totals(Moment::ms(1), Duration::from_secs(9)).success, 0.0);
    }

    #[test]
    fn counters_that_fall_began_anew_and_count_from_zero() {
        let mut model = model();
        model.push(Moment::ms(0), &sample(100.0));
        assert!(model.push(Moment::ms(500), &sample(3.0)));
        assert_eq!(model.totals(Moment::ms(600), Duration::from_secs(9)).success, 3.0);
    }

    #[test]
    fn a_value_that_was_missing_once_is_no_burst() {
        let mut model = model();
        model.push(Moment::ms(0), &sample(100.0));
        let mut missing = sample(0.0);
        missing.counters = ModelCounters::default();
        model.push(Moment::ms(500), &missing);
        model.push(Moment::ms(1_000), &sample(105.0));
        assert_eq!(model.totals(Moment::ms(1_100), Duration::from_secs(9)).success, 5.0);
    }

    #[test]
    fn what_is_unusual_does_not_become_usual() {
        let mut model = model();
        let mut success = 0.0;
        for second in 0..60 {
            success += 10.0;
            model.push(Moment::ms(second * 1_000), &sample(success));
        }
        let usual = model.service_baseline_s().unwrap();
        let mut slow = sample(success);
        for second in 60..120 {
            success += 10.0;
            slow.counters.success = Some(success);
            slow.counters.compute_infer_us = slow.counters.compute_infer_us.map(|us| us + 3e6);
            model.push(Moment::ms(second * 1_000), &slow);
        }
        assert_eq!(model.service_baseline_s(), Some(usual));
    }
}
