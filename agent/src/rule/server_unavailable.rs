//! # server-unavailable
//!
//! A Triton server that had been answering is gone.
//!
//! **Signal.** Nobody listens on its metrics port. A server that listens and does not answer, or
//! answers nonsense, is blindness (`telemetry-blind`), since it may well serve.
//!
//! **Threshold.** Two refused connections in a row, a tenth of a second apart. Ends with the first
//! answer that is followed by another.
//!
//! **False positives.** A restart on purpose is found too: nobody was served meanwhile.
//!
//! **Runbook.** model-unavailable.

use gpuwarden_proto::event::{Evidence, Unit};
use gpuwarden_proto::vocab::{Grade, RuleId};

use super::{Check, Context, Rule, Verdict, firing, ms};
use crate::sample::Outage;
use crate::window::ServerWindow;

pub(super) const RULE: Rule = Rule {
    id: RuleId::ServerUnavailable,
    enter: ms(0),
    leave: ms(500),
    check: Check::Server(check),
};

const REFUSED_TRIES: u32 = 2;

fn check(server: &ServerWindow, context: &Context<'_>) -> Verdict {
    if !server.ever_answered {
        return Verdict::Missing;
    }
    let Some(failing) = &server.failing else { return Verdict::Quiet };
    let (Some(since), Outage::Refused(_)) = (failing.refused_since, &failing.newest) else {
        return Verdict::Missing;
    };
    if failing.refused_tries < REFUSED_TRIES {
        return Verdict::Suspicious;
    }
    let gone_s = context.now.moment.since(since).as_secs_f64();
    let evidence = vec![
        Evidence::new("refused connections", failing.refused_tries.into(), Unit::Count)
            .over(gone_s)
            .against(REFUSED_TRIES.into()),
    ];
    firing(Grade::Down, "nobody listens there".to_owned(), evidence)
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use crate::rule::scene::check;

    #[test]
    fn fires_at_the_second_refused_connection() {
        check(
            "5s ok=5
             1s page=refused index=none",
            expect![[r#"
                5.1s raised server-unavailable Triton s: nobody listens there
            "#]],
        );
    }

    #[test]
    fn a_server_that_was_never_there_is_not_missed() {
        check("30s page=refused index=none", expect![[r#""#]]);
    }

    #[test]
    fn clears_when_it_answers_again_and_tells_of_the_restart() {
        check(
            "5s ok=5
             5s page=refused index=none
             3s ok=5",
            expect![[r#"
                5.1s raised server-unavailable Triton s: nobody listens there
                10.0s change server-restarted Triton s: answers again
                10.5s cleared server-unavailable Triton s
            "#]],
        );
    }
}
