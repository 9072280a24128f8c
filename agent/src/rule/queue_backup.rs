//! # queue-backup
//!
//! Requests for a model wait longer than they may.
//!
//! **Signal.** The wait that is ahead of a request that arrives now, by Little's law: requests
//! waiting (`nv_inference_pending_request_count`) over the rate at which they are worked off. The
//! rate is what was measured while requests waited, or, in the first second of a queue, the most
//! that the model can do by its config and its computing time: a queue is not called long before it
//! is known to be. Triton's own queue time is not used, since it is only counted when a request ends.
//!
//! **Threshold.** `rules.queue_wait_limit` (3 s) at two readings in a row, or
//! `rules.queue_wait_sustained` (1 s) without a break for `rules.queue_wait_sustained_for` (6 s).
//! Ends when the wait is under a third of the limit. At least 8 requests must wait.
//!
//! **False positives.** A burst that is worked off within the limit is not one. A model whose
//! clients send large batches on purpose and do not mind to wait: raise its limit.
//!
//! **Runbook.** high-latency.

use std::time::Duration;

use gpuwarden_proto::event::{Evidence, Unit};
use gpuwarden_proto::vocab::{Grade, RuleId};

use super::{Check, Context, Rule, Verdict, firing, ms};
use crate::sample::Moment;
use crate::window::{ModelWindow, Step, Totals};

pub(super) const RULE: Rule =
    Rule { id: RuleId::QueueBackup, enter: ms(0), leave: ms(3_000), check: Check::Model(check) };

/// Fewer waiting requests than this are never a backup.
const PENDING_MIN: f64 = 8.0;
/// A measured rate counts from this long on.
const MEASURED_MIN_S: f64 = 0.9;
/// And is taken over this long at most.
const MEASURED_MAX: Duration = Duration::from_secs(5);

fn check(model: &ModelWindow, context: &Context<'_>) -> Verdict {
    let limits = context.thresholds;
    let limit_s = limits.queue_wait_limit.as_secs_f64();
    let waits = waits(model, context.now.moment);
    let Some(newest) = waits.first() else { return Verdict::Missing };
    if context.active {
        let over = newest.wait_s < limit_s / 3.0 || newest.pending < PENDING_MIN;
        return if over { Verdict::Quiet } else { observed(newest, limit_s) };
    }
    let long = |wait: &&Wait| wait.wait_s >= limit_s && wait.pending >= PENDING_MIN;
    match waits.iter().take_while(long).count() {
        0 if sustained(&waits, context) => {
            observed(newest, limits.queue_wait_sustained.as_secs_f64())
        }
        0 => Verdict::Quiet,
        1 => Verdict::Suspicious,
        _ => observed(newest, limit_s),
    }
}

/// The wait ahead at one reading.
struct Wait {
    at: Moment,
    pending: f64,
    wait_s: f64,
    rate_per_s: f64,
}

/// The wait at each reading, newest first, as far back as readings tell.
fn waits(model: &ModelWindow, now: Moment) -> Vec<Wait> {
    let Some(rate_per_s) = rate_per_s(model, now) else { return Vec::new() };
    let wait = |step: &Step| {
        let pending = step.pending?;
        Some(Wait { at: step.at, pending, wait_s: pending / rate_per_s, rate_per_s })
    };
    model.steps().take(128).map_while(wait).collect()
}

/// The rate at which waiting requests are worked off. A measurement with a queue all along is the
/// truth; before there is one, the larger of what could be done and what was done lately.
fn rate_per_s(model: &ModelWindow, now: Moment) -> Option<f64> {
    let mut busy = Totals::default();
    let queued = |step: &Step| step.pending.is_some_and(|pending| pending >= 1.0);
    let recent = model.steps().take_while(|step| now.since(step.at) <= MEASURED_MAX);
    // A step that began without a queue says nothing, so each is taken with the one before it.
    for (step, before) in recent.zip(model.steps().skip(1)) {
        if !queued(step) || !queued(before) {
            break;
        }
        busy.covered_s += step.totals.covered_s;
        busy.success += step.totals.finished();
    }
    if busy.covered_s >= MEASURED_MIN_S && busy.success > 0.0 {
        return Some(busy.success / busy.covered_s);
    }
    let lately = model.totals(now, Duration::from_secs(10));
    let done = (lately.covered_s > 0.0).then(|| lately.finished() / lately.covered_s);
    match (model.capacity_per_s(), done) {
        (Some(can), Some(done)) => Some(can.max(done)),
        (Some(can), None) => Some(can),
        (None, Some(done)) if done > 0.0 && busy.covered_s >= MEASURED_MIN_S => Some(done),
        (None, _) => None,
    }
}

fn sustained(waits: &[Wait], context: &Context<'_>) -> bool {
    let limits = context.thresholds;
    let limit_s = limits.queue_wait_sustained.as_secs_f64();
    let oldest = waits
        .iter()
        .take_while(|wait| wait.wait_s >= limit_s && wait.pending >= PENDING_MIN)
        .last();
    let Some(oldest) = oldest else { return false };
    let growing = waits[0].pending >= 0.7 * oldest.pending;
    growing && context.now.moment.since(oldest.at) >= limits.queue_wait_sustained_for
}

fn observed(newest: &Wait, limit_s: f64) -> Verdict {
    let Wait { pending, wait_s, rate_per_s, .. } = newest;
    let summary = format!(
        "{pending:.0} requests wait, {wait_s:.1} s of work at {rate_per_s:.1}/s (limit {limit_s:.1} s)"
    );
    let evidence = vec![
        Evidence::new("predicted wait", *wait_s, Unit::Seconds).against(limit_s),
        Evidence::new("nv_inference_pending_request_count", *pending, Unit::Count)
            .against(PENDING_MIN),
        Evidence::new("requests worked off", *rate_per_s, Unit::PerSecond)
            .over(MEASURED_MAX.as_secs_f64()),
    ];
    firing(Grade::Degraded, summary, evidence)
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use crate::rule::scene::check;

    #[test]
    fn fires_at_the_second_reading_of_a_queue_that_takes_four_seconds() {
        check(
            "20s ok=5 pend=0 svc=100
             1s ok=10 pend=40 svc=100",
            expect![[r#"
                20.1s raised queue-backup model m: 40 requests wait, 4.0 s of work at 10.0/s (limit 3.0 s)
            "#]],
        );
    }

    #[test]
    fn stays_silent_on_a_burst_that_drains() {
        check(
            "20s ok=5 pend=0 svc=100
             500ms ok=10 pend=23 svc=100
             500ms ok=10 pend=20 svc=100
             500ms ok=10 pend=17 svc=100
             500ms ok=10 pend=15 svc=100
             500ms ok=10 pend=9 svc=100
             500ms ok=10 pend=2 svc=100
             20s ok=5 pend=0 svc=100",
            expect![[r#""#]],
        );
    }

    #[test]
    fn fires_on_a_shorter_queue_that_does_not_go_away() {
        check(
            "20s ok=5 pend=0 svc=100
             8s ok=10 pend=15 svc=100",
            expect![[r#"
                26.0s raised queue-backup model m: 15 requests wait, 1.5 s of work at 10.0/s (limit 1.0 s)
            "#]],
        );
    }

    #[test]
    fn clears_when_the_queue_is_worked_off() {
        check(
            "20s ok=5 pend=0 svc=100
             2s ok=10 pend=40 svc=100
             6s ok=5 pend=0 svc=100",
            expect![[r#"
                20.1s raised queue-backup model m: 40 requests wait, 4.0 s of work at 10.0/s (limit 3.0 s)
                25.0s cleared queue-backup model m
            "#]],
        );
    }

    #[test]
    fn missing_pages_neither_raise_nor_clear() {
        check(
            "20s ok=5 pend=0 svc=100
             2s ok=10 pend=40 svc=100
             1s page=garbled",
            expect![[r#"
                20.1s raised queue-backup model m: 40 requests wait, 4.0 s of work at 10.0/s (limit 3.0 s)
            "#]],
        );
    }

    #[test]
    fn a_few_waiting_requests_of_a_slow_model_are_no_backup() {
        check("60s ok=0.5 pend=4 svc=2000", expect![[r#""#]]);
    }
}
