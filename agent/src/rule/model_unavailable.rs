//! # model-unavailable
//!
//! A model is not there.
//!
//! **Signal.** The repository index, or per-model readiness where the index is not allowed.
//!
//! **Threshold.** At once when the server says that it could not be loaded. After
//! `rules.unload_grace` (5 s) when it served before and was unloaded, is being unloaded or is
//! forgotten after a restart: a deploy is a change, not trouble. After `rules.load_limit` (5 min)
//! when it is still loading.
//!
//! **False positives.** A model that is taken out of service for good looks the same; resolve the
//! incident with that reason.
//!
//! **Runbook.** model-unavailable.

use std::time::Duration;

use gpuwarden_proto::event::{Evidence, Unit};
use gpuwarden_proto::time::spoken;
use gpuwarden_proto::vocab::{Grade, RuleId};

use super::{Check, Context, Rule, Verdict, firing, ms};
use crate::window::{ModelWindow, Presence};

pub(super) const RULE: Rule = Rule {
    id: RuleId::ModelUnavailable,
    enter: ms(0),
    leave: ms(1_000),
    check: Check::Model(check),
};

/// The most of the server's words that a summary repeats.
const REASON_MAX: usize = 160;

fn check(model: &ModelWindow, context: &Context<'_>) -> Verdict {
    // A server that does not answer says nothing of its models.
    let server = context.window.servers.get(&model.server);
    if server.is_none_or(|server| server.failing.is_some()) {
        return Verdict::Missing;
    }
    let presence = &model.availability;
    let away = presence.away_for(context.now.moment);
    match &presence.presence {
        Presence::Ready => Verdict::Quiet,
        Presence::Failed(reason) => failed(reason, context.now.moment.since(presence.since)),
        Presence::Away if away >= context.thresholds.unload_grace => {
            missed(away, context.thresholds.unload_grace, "was unloaded and is not back")
        }
        Presence::Loading => {
            let loading = context.now.moment.since(presence.since).max(away);
            // Loading again is neither recovery nor news; the finding stands as it was told.
            if loading >= context.thresholds.load_limit {
                missed(loading, context.thresholds.load_limit, "is still loading")
            } else {
                Verdict::Missing
            }
        }
        Presence::Away => Verdict::Missing,
        Presence::Unknown => Verdict::Missing,
    }
}

fn failed(reason: &str, unavailable: Duration) -> Verdict {
    let first = reason.lines().next().unwrap_or_default();
    let short: String = first.chars().take(REASON_MAX).collect();
    let evidence = Evidence::new("time unavailable", unavailable.as_secs_f64(), Unit::Seconds);
    let summary = format!("could not be loaded: {short}");
    firing(Grade::Down, summary, vec![evidence.against(0.0)])
}

fn missed(away: Duration, grace: Duration, what: &str) -> Verdict {
    let evidence = Evidence::new("time away", away.as_secs_f64(), Unit::Seconds);
    let evidence = vec![evidence.against(grace.as_secs_f64())];
    firing(Grade::Down, format!("{what} after {}", spoken(away)), evidence)
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use crate::rule::scene::check;

    #[test]
    fn fires_at_once_when_a_load_fails() {
        check(
            "20s ok=5
             1s ok=5 index=failed:Internal:_out_of_memory",
            expect![[r#"
                20.0s raised model-unavailable model m: could not be loaded: Internal: out of memory
            "#]],
        );
    }

    #[test]
    fn a_deploy_is_a_change() {
        check(
            "20s ok=5
             3s index=unloaded page=empty
             1s index=loading page=empty
             10s ok=5 index=ready",
            expect![[r#"
                24.0s change model-deployed model m: was away for 4 s and is back
            "#]],
        );
    }

    #[test]
    fn fires_when_the_grace_is_over() {
        check(
            "20s ok=5
             6s index=unloaded page=empty",
            expect![[r#"
                25.0s raised model-unavailable model m: was unloaded and is not back after 5 s
                25.0s change model-unloaded model m: was unloaded and is not back after 5 s
            "#]],
        );
    }

    #[test]
    fn clears_when_it_is_back() {
        check(
            "20s ok=5
             6s index=unloaded page=empty
             3s ok=5 index=ready",
            expect![[r#"
                25.0s raised model-unavailable model m: was unloaded and is not back after 5 s
                25.0s change model-unloaded model m: was unloaded and is not back after 5 s
                26.0s change model-loaded model m: serves
                27.0s cleared model-unavailable model m
            "#]],
        );
    }

    #[test]
    fn a_server_that_is_gone_says_nothing_of_its_models() {
        check(
            "20s ok=5
             9s page=refused index=none",
            expect![[r#"
                20.1s raised server-unavailable Triton s: nobody listens there
            "#]],
        );
    }

    #[test]
    fn a_model_that_was_never_there_is_not_missed() {
        check("30s index=unloaded page=empty", expect![[r#""#]]);
    }
}
