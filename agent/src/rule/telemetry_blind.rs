//! # telemetry-blind
//!
//! A source of the agent that had been seeing sees nothing.
//!
//! **Signal.** What the source says of itself, and its silence.
//!
//! **Threshold.** `rules.blind_after` (1.5 s) without a good reading. Ends with 2 s of good ones. A
//! source that never saw is absent and not blind. A Triton where nobody listens is not blindness but
//! `server-unavailable`.
//!
//! **False positives.** None known: even where nothing is wrong with what is watched, nobody is
//! watching it.
//!
//! **Runbook.** telemetry-blind.

use gpuwarden_proto::event::{Evidence, Unit};
use gpuwarden_proto::vocab::{Grade, RuleId};

use super::{Check, Context, Rule, Verdict, firing, ms};
use crate::window::SourceWindow;

pub(super) const RULE: Rule = Rule {
    id: RuleId::TelemetryBlind,
    enter: ms(0),
    leave: ms(2_000),
    check: Check::Source(check),
};

fn check(source: &SourceWindow, context: &Context<'_>) -> Verdict {
    if !source.ever_seen {
        return Verdict::Missing;
    }
    if source.failing_since.is_none() {
        return Verdict::Quiet;
    }
    if refused(source, context) {
        return Verdict::Quiet;
    }
    let blind = context.now.moment.since(source.last_seen);
    let limit = context.thresholds.blind_after;
    if blind < limit {
        return Verdict::Missing;
    }
    let blind_s = blind.as_secs_f64();
    let summary = format!("sees nothing: {}", source.reason);
    let evidence = Evidence::new("time without a good reading", blind_s, Unit::Seconds);
    firing(Grade::Warning, summary, vec![evidence.against(limit.as_secs_f64())])
}

/// Whether this is the source of a server where nobody listens: that one is gone, and seen to be.
fn refused(source: &SourceWindow, context: &Context<'_>) -> bool {
    let Some(name) = source.name.as_str().strip_prefix("triton/") else { return false };
    let mut servers = context.window.servers.values();
    servers
        .find(|server| server.name.as_str() == name)
        .and_then(|server| server.failing.as_ref())
        .is_some_and(|failing| failing.refused_since.is_some())
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use crate::rule::scene::check;

    #[test]
    fn fires_when_the_driver_stops_answering() {
        check(
            "5s mem=10
             3s nvml=silent",
            expect![[r#"
                6.0s raised telemetry-blind source nvml: sees nothing: the driver does not answer
            "#]],
        );
    }

    #[test]
    fn fires_when_a_server_answers_nonsense() {
        check(
            "5s ok=5
             3s page=garbled index=none",
            expect![[r#"
                6.0s raised telemetry-blind source triton/s: sees nothing: not a metrics page
            "#]],
        );
    }

    #[test]
    fn a_source_that_never_saw_is_absent_and_not_blind() {
        check("20s nvml=silent page=garbled index=none", expect![[r#""#]]);
    }

    #[test]
    fn clears_when_it_sees_again() {
        check(
            "5s mem=10
             3s nvml=silent
             4s mem=10",
            expect![[r#"
                6.0s raised telemetry-blind source nvml: sees nothing: the driver does not answer
                10.0s cleared telemetry-blind source nvml
            "#]],
        );
    }
}
