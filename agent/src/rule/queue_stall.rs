//! # queue-stall
//!
//! Requests wait and nothing is worked off: a scheduler, a lock or a kernel hangs. It is not load;
//! shedding will not help.
//!
//! **Signal.** Requests waiting while neither an answer, a failure nor an execution is counted.
//!
//! **Threshold.** `rules.stall_after` (5 s), or ten times the model's usual computing time where
//! that is longer; half a minute where nothing is known of it. Ends when anything moves.
//!
//! **False positives.** A model whose requests truly take that long and of which none has ended yet.
//!
//! **Runbook.** high-latency.

use std::time::Duration;

use gpuwarden_proto::event::{Evidence, Unit};
use gpuwarden_proto::vocab::{Grade, RuleId};

use super::{Check, Context, Rule, Verdict, firing, ms};
use crate::window::ModelWindow;

pub(super) const RULE: Rule =
    Rule { id: RuleId::QueueStall, enter: ms(0), leave: ms(1_000), check: Check::Model(check) };

/// Where no request of the model ever ended, it is given so long.
const UNKNOWN_SERVICE: Duration = Duration::from_secs(30);
/// How many usual computing times are a stall.
const SERVICE_TIMES: f64 = 10.0;

fn check(model: &ModelWindow, context: &Context<'_>) -> Verdict {
    let now = context.now.moment;
    let fresh = model.paged_at.is_some_and(|at| now.since(at) < Duration::from_secs(2));
    let Some(pending) = model.pending().filter(|_| fresh) else { return Verdict::Missing };
    let still = now.since(model.moved_at);
    let limit = limit(model, context);
    if pending < 1.0 || still < limit {
        return Verdict::Quiet;
    }
    let (still_s, limit_s) = (still.as_secs_f64(), limit.as_secs_f64());
    let summary =
        format!("{pending:.0} requests wait and nothing was worked off for {still_s:.0} s");
    let evidence = vec![
        Evidence::new("time without progress", still_s, Unit::Seconds).against(limit_s),
        Evidence::new("nv_inference_pending_request_count", pending, Unit::Count).against(1.0),
    ];
    firing(Grade::Down, summary, evidence)
}

fn limit(model: &ModelWindow, context: &Context<'_>) -> Duration {
    let mean_s = model.service_baseline_s().or_else(|| {
        let all = model.totals(context.now.moment, Duration::from_secs(600));
        all.service_mean_s()
    });
    let times = |mean_s: f64| Duration::try_from_secs_f64(mean_s * SERVICE_TIMES).ok();
    match mean_s {
        Some(mean_s) => {
            times(mean_s).unwrap_or(UNKNOWN_SERVICE).max(context.thresholds.stall_after)
        }
        None => UNKNOWN_SERVICE,
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use crate::rule::scene::check;

    #[test]
    fn fires_when_requests_wait_and_nothing_moves() {
        check(
            "20s ok=5 pend=0 svc=100
             6s ok=0 pend=3 svc=100",
            expect![[r#"
                25.0s raised queue-stall model m: 3 requests wait and nothing was worked off for 5 s
            "#]],
        );
    }

    #[test]
    fn stays_silent_just_under() {
        check(
            "20s ok=5 pend=0 svc=100
             4500ms ok=0 pend=3 svc=100
             5s ok=5 pend=0 svc=100",
            expect![[r#""#]],
        );
    }

    #[test]
    fn a_model_that_takes_long_is_given_longer() {
        check("60s ok=0.5 pend=0 svc=2000\n 10s ok=0 pend=3 svc=2000", expect![[r#""#]]);
    }

    #[test]
    fn an_idle_model_is_not_stalled() {
        check("20s ok=5 pend=0 svc=100\n 60s ok=0 pend=0 svc=100", expect![[r#""#]]);
    }

    #[test]
    fn clears_when_anything_moves() {
        check(
            "20s ok=5 pend=0 svc=100
             6s ok=0 pend=3 svc=100
             3s ok=5 pend=0 svc=100",
            expect![[r#"
                25.0s raised queue-stall model m: 3 requests wait and nothing was worked off for 5 s
                27.0s cleared queue-stall model m
            "#]],
        );
    }
}
