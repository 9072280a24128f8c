//! # latency-high
//!
//! A model computes much slower than it used to, or answers slower than it may.
//!
//! **Signal.** Computing time per request (`nv_inference_compute_infer_duration_us` over
//! `nv_inference_request_success`), which does not depend on load; and, where a limit is configured,
//! the mean time from receipt to answer.
//!
//! **Threshold.** In four of five seconds of the last 20: `rules.slowdown_limit` (2) times the usual
//! computing time. Where it is set: `rules.latency_limit`, by the mean over 10 s and over 30 s.
//!
//! **False positives.** Longer prompts or larger inputs than usual slow a model honestly. After a
//! load the usual is learned anew, which takes 40 s of traffic.
//!
//! **Runbook.** high-latency.

use std::time::Duration;

use gpuwarden_proto::event::{Evidence, Unit};
use gpuwarden_proto::vocab::{Grade, RuleId};

use super::{Check, Context, Rule, Verdict, firing, ms};
use crate::window::ModelWindow;

pub(super) const RULE: Rule =
    Rule { id: RuleId::LatencyHigh, enter: ms(0), leave: ms(10_000), check: Check::Model(check) };

const WINDOWS_S: [u64; 2] = [10, 30];
const ANSWERS_MIN: f64 = 10.0;
const SECONDS: u64 = 20;
const SECONDS_MIN: usize = 10;
const SLOW_SHARE: f64 = 0.8;

fn check(model: &ModelWindow, context: &Context<'_>) -> Verdict {
    match (over_limit(model, context), slowdown(model, context)) {
        (verdict @ Verdict::Firing(_), _) => verdict,
        (Verdict::Quiet, Verdict::Missing) => Verdict::Quiet,
        (_, verdict) => verdict,
    }
}

/// Held against the limit that somebody set.
fn over_limit(model: &ModelWindow, context: &Context<'_>) -> Verdict {
    let Some(limit) = context.thresholds.latency_limit else { return Verdict::Missing };
    let totals = WINDOWS_S.map(|s| model.totals(context.now.moment, Duration::from_secs(s)));
    if totals.iter().any(|totals| totals.success < ANSWERS_MIN) {
        return Verdict::Missing;
    }
    let means = totals.map(|totals| totals.request_s / totals.success);
    let limit_s = limit.as_secs_f64();
    if means.iter().all(|mean| *mean > limit_s) {
        too_long(means[0], limit_s)
    } else {
        Verdict::Quiet
    }
}

/// Held against what is usual for this model.
fn slowdown(model: &ModelWindow, context: &Context<'_>) -> Verdict {
    let Some(usual_s) = model.service_baseline_s() else { return Verdict::Missing };
    let from = context.now.moment.0.as_secs().saturating_sub(SECONDS);
    let means: Vec<f64> = model
        .service_by_second
        .newest_first()
        .take_while(|(second, _)| *second >= from)
        .map(|(_, mean_s)| *mean_s)
        .collect();
    if means.len() < SECONDS_MIN {
        return Verdict::Missing;
    }
    let limit = context.thresholds.slowdown_limit;
    let slow: Vec<f64> = means.iter().copied().filter(|mean| *mean >= limit * usual_s).collect();
    if (slow.len() as f64) < SLOW_SHARE * means.len() as f64 {
        return Verdict::Quiet;
    }
    slower(slow.iter().sum::<f64>() / slow.len() as f64, usual_s, limit)
}

fn too_long(mean_s: f64, limit_s: f64) -> Verdict {
    let summary = format!("answers take {:.0} ms (limit {:.0} ms)", mean_s * 1e3, limit_s * 1e3);
    let evidence = Evidence::new("mean time to answer", mean_s, Unit::Seconds);
    firing(Grade::Degraded, summary, vec![evidence.over(10.0).against(limit_s)])
}

fn slower(mean_s: f64, usual_s: f64, limit: f64) -> Verdict {
    let times = mean_s / usual_s;
    let summary = format!(
        "computes {times:.1} times slower than usual ({:.1} ms, usually {:.1} ms)",
        mean_s * 1e3,
        usual_s * 1e3,
    );
    let evidence = vec![
        Evidence::new("slowdown", times, Unit::Ratio).over(20.0).against(limit),
        Evidence::new("computing time per request", mean_s, Unit::Seconds)
            .over(20.0)
            .usually(usual_s),
    ];
    firing(Grade::Degraded, summary, evidence)
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use crate::rule::scene::check;

    #[test]
    fn fires_when_a_model_computes_twice_as_long() {
        check(
            "90s ok=20 svc=10
             35s ok=20 svc=25",
            expect![[r#"
                107.0s raised latency-high model m: computes 2.5 times slower than usual (25.0 ms, usually 10.0 ms)
            "#]],
        );
    }

    #[test]
    fn stays_silent_just_under() {
        check("90s ok=20 svc=10\n 60s ok=20 svc=19", expect![[r#""#]]);
    }

    #[test]
    fn stays_silent_on_a_slow_moment() {
        check("90s ok=20 svc=10\n 8s ok=20 svc=50\n 60s ok=20 svc=10", expect![[r#""#]]);
    }

    #[test]
    fn clears_when_it_is_as_fast_as_before() {
        check(
            "90s ok=20 svc=10
             35s ok=20 svc=25
             40s ok=20 svc=10",
            expect![[r#"
                107.0s raised latency-high model m: computes 2.5 times slower than usual (25.0 ms, usually 10.0 ms)
                140.0s cleared latency-high model m
            "#]],
        );
    }
}
