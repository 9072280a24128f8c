//! # error-rate-high
//!
//! Requests to a model fail more often than its objective allows.
//!
//! **Signal.** `nv_inference_request_failure` of all reasons but `CANCELED`, which is the client's
//! own doing, over all requests that ended.
//!
//! **Threshold.** Over the last 0.5, 1, 3, 10 or 30 s: at least three failures, at least
//! `rules.error_share_min` (5 %) of the requests, and so many that they would come by chance at
//! `rules.error_objective` (1 %) less often than once in a million times. So a model that fails
//! half of its requests is found within a second, and one that keeps its objective is not called
//! failing for bad luck. Ends when the last 10 s are within twice the objective.
//!
//! **False positives.** A backend that answers with an error counts as success in Triton and is not
//! seen here; a client that sends nonsense is not counted by Triton either.
//!
//! **Runbook.** high-error-rate.

use std::time::Duration;

use gpuwarden_proto::event::{Evidence, Unit};
use gpuwarden_proto::vocab::{Grade, RuleId};

use super::{Check, Context, Rule, Verdict, firing, ms};
use crate::window::{ModelWindow, Totals};

pub(super) const RULE: Rule =
    Rule { id: RuleId::ErrorRateHigh, enter: ms(0), leave: ms(3_000), check: Check::Model(check) };

const WINDOWS_MS: [u64; 5] = [500, 1_000, 3_000, 10_000, 30_000];
const LATELY: Duration = ms(10_000);
const FAILURES_MIN: f64 = 3.0;
/// Failures this unlikely are worth a closer look.
const SUSPICIOUS_CHANCE: f64 = 2e-3;

fn check(model: &ModelWindow, context: &Context<'_>) -> Verdict {
    let now = context.now.moment;
    if model.paged_at.is_none_or(|at| now.since(at) >= Duration::from_secs(2)) {
        return Verdict::Missing;
    }
    if context.active {
        return still(model, context);
    }
    let limits = context.thresholds;
    let mut verdict = Verdict::Quiet;
    if recovered(model, context) {
        return verdict;
    }
    for window in WINDOWS_MS.map(ms) {
        let totals = model.totals(now, window);
        let share = totals.failed / totals.finished();
        if totals.failed < 2.0 || share < limits.error_share_min {
            continue;
        }
        let chance = chance(&totals, limits.error_objective);
        if totals.failed >= FAILURES_MIN && chance <= limits.error_chance_max {
            return observed(&totals, window, context);
        }
        if chance <= SUSPICIOUS_CHANCE {
            verdict = Verdict::Suspicious;
        }
    }
    verdict
}

/// Whether failing goes on. Where no request ends, nothing is learned; where none failed for a
/// minute, it is over.
fn still(model: &ModelWindow, context: &Context<'_>) -> Verdict {
    let now = context.now.moment;
    if recovered(model, context) || model.totals(now, ms(60_000)).failed == 0.0 {
        return Verdict::Quiet;
    }
    let lately = model.totals(now, LATELY);
    if lately.failed == 0.0 { Verdict::Missing } else { observed(&lately, LATELY, context) }
}

/// Whether enough requests ended lately and few enough of them failed.
fn recovered(model: &ModelWindow, context: &Context<'_>) -> bool {
    let lately = model.totals(context.now.moment, LATELY);
    let share = lately.failed / lately.finished();
    lately.finished() >= 10.0 && share <= 2.0 * context.thresholds.error_objective
}

/// The chance that at least so many of so many requests fail when each fails with `objective`.
fn chance(totals: &Totals, objective: f64) -> f64 {
    let (requests, failed) = (totals.finished().round(), totals.failed.round());
    if requests > 1_000.0 {
        return chernoff(failed / requests, objective, requests);
    }
    let (mut term, mut below) = ((1.0 - objective).powf(requests), 0.0);
    let mut count = 0.0;
    while count < failed {
        below += term;
        term *= (requests - count) / (count + 1.0) * objective / (1.0 - objective);
        count += 1.0;
    }
    // The tail is summed directly, since one minus nearly one has no digits left.
    let mut tail = 0.0;
    while count <= requests && term > tail * 1e-6 {
        tail += term;
        term *= (requests - count) / (count + 1.0) * objective / (1.0 - objective);
        count += 1.0;
    }
    if below == 0.0 { 1.0 } else { tail }
}

/// Chernoff's bound on the same chance, for many requests: exp(-n * KL(share, objective)).
fn chernoff(share: f64, objective: f64, requests: f64) -> f64 {
    if share <= objective {
        return 1.0;
    }
    let distance = share * (share / objective).ln()
        + if share < 1.0 { (1.0 - share) * ((1.0 - share) / (1.0 - objective)).ln() } else { 0.0 };
    (-requests * distance).exp()
}

fn observed(totals: &Totals, window: Duration, context: &Context<'_>) -> Verdict {
    let (failed, requests) = (totals.failed, totals.finished());
    let share = failed / requests;
    let window_s = window.as_secs_f64();
    let grade = if share >= 0.9 { Grade::Down } else { Grade::Degraded };
    let summary = format!(
        "{:.0} % of requests fail ({failed:.0} of {requests:.0} in {window_s} s, objective {:.0} %)",
        share * 100.0,
        context.thresholds.error_objective * 100.0,
    );
    let evidence = vec![
        Evidence::new("share of requests that failed", share, Unit::Ratio)
            .over(window_s)
            .against(context.thresholds.error_share_min)
            .usually(context.thresholds.error_objective),
        Evidence::new("nv_inference_request_failure", failed, Unit::Count).over(window_s),
        Evidence::new("of which reason=\"BACKEND\"", totals.failed_backend, Unit::Count)
            .over(window_s),
    ];
    firing(grade, summary, evidence)
}

#[cfg(test)]
mod tests {
    use super::{chance, chernoff};
    use expect_test::expect;

    use crate::rule::scene::check;
    use crate::window::Totals;

    fn of(failed: f64, requests: f64) -> Totals {
        Totals { failed, success: requests - failed, ..Totals::default() }
    }

    #[test]
    fn the_chance_is_that_of_the_binomial_tail() {
        assert!((chance(&of(1.0, 1.0), 0.01) - 0.01).abs() < 1e-9);
        assert!((chance(&of(4.0, 8.0), 0.01) - 6.77e-7).abs() < 1e-9);
        assert!((chance(&of(0.0, 8.0), 0.01) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn the_bound_for_many_requests_is_above_the_chance() {
        let (exact, bound) = (chance(&of(60.0, 1_000.0), 0.01), chernoff(0.06, 0.01, 1_000.0));
        assert!(exact <= bound && bound < 1e-20, "{exact} {bound}");
    }

    #[test]
    fn fires_when_half_of_the_requests_fail() {
        check(
            "20s ok=10 svc=10
             2s ok=5 fail=5 svc=10",
            expect![[r#"
                20.7s raised error-rate-high model m: 50 % of requests fail (4 of 8 in 0.5 s, objective 1 %)
            "#]],
        );
    }

    #[test]
    fn stays_silent_within_the_objective() {
        check("60s ok=99 fail=1 svc=10", expect![[r#""#]]);
    }

    #[test]
    fn stays_silent_on_a_single_failure_of_few_requests() {
        check("20s ok=1 svc=10\n 1s ok=0 fail=2 svc=10\n 20s ok=1 svc=10", expect![[r#""#]]);
    }

    #[test]
    fn clears_when_requests_succeed_again() {
        check(
            "20s ok=20 svc=10
             3s ok=0 fail=20 svc=10
             20s ok=20 svc=10",
            expect![[r#"
                20.5s raised error-rate-high model m: 100 % of requests fail (10 of 10 in 0.5 s, objective 1 %)
                36.0s cleared error-rate-high model m
            "#]],
        );
    }

    #[test]
    fn silence_of_the_clients_does_not_clear_it() {
        check(
            "20s ok=20 svc=10
             3s ok=0 fail=20 svc=10
             20s ok=0 svc=10",
            expect![[r#"
                20.5s raised error-rate-high model m: 100 % of requests fail (10 of 10 in 0.5 s, objective 1 %)
            "#]],
        );
    }
}
