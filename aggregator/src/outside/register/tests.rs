use super::*;
use crate::incident::{self, Belongs};
use crate::outside::alertmanager;
use crate::testing::at;

/// A small stage: alerts by their words, at the seconds they come.
#[derive(Default)]
struct Stage {
    register: Register,
}

impl Stage {
    /// By the API: `[STARTS]..[ENDS]`; a side that is left out is not told.
    fn api(&mut self, second: u64, span: &str) -> Outcome {
        let (starts, ends) = span.split_once("..").unwrap();
        let time = |field: &str, text: &str| match text.parse::<u64>() {
            Ok(second) => format!(r#","{field}":"{}""#, at(second)),
            Err(_) => String::new(),
        };
        let alert = format!(
            r#"[{{"labels":{{"alertname":"A"}}{}{}}}]"#,
            time("startsAt", starts),
            time("endsAt", ends)
        );
        let heard = alertmanager::api(alert.as_bytes(), at(second)).unwrap();
        assert_eq!(heard.complaint(), None);
        self.register.take(at(second), heard.signals[0].clone()).0
    }

    /// By the webhook.
    fn webhook(&mut self, second: u64, status: &str, starts: u64) -> Outcome {
        let alert = format!(
            r#"{{"alerts":[{{"status":"{status}","labels":{{"alertname":"A"}},"startsAt":"{}"}}]}}"#,
            at(starts)
        );
        let heard = alertmanager::webhook(alert.as_bytes(), at(second)).unwrap();
        self.register.take(at(second), heard.signals[0].clone()).0
    }

    fn until(&self) -> Option<Timestamp> {
        self.register.active().next().and_then(|(_, active)| active.until)
    }
}

use Outcome::{Duplicate, Early, Taken};

#[test]
fn an_alert_told_again_only_counts_for_longer() {
    let mut stage = Stage::default();
    assert_eq!(stage.api(10, "0..240"), Taken);
    assert_eq!(stage.api(70, "0..300"), Duplicate);
    assert_eq!(stage.until(), Some(at(300)));
    assert_eq!(stage.api(71, "0..240"), Duplicate, "an old one does not shorten it");
    assert_eq!(stage.until(), Some(at(300)));
    assert_eq!(stage.register.active_count(), 1);
}

#[test]
fn without_an_end_an_alert_counts_for_five_minutes() {
    let mut stage = Stage::default();
    assert_eq!(stage.api(10, ".."), Taken);
    assert_eq!(stage.until(), Some(at(310)));
}

#[test]
fn what_is_over_is_not_begun_by_what_is_older() {
    let mut stage = Stage::default();
    assert_eq!(stage.webhook(10, "firing", 0), Taken);
    assert_eq!(stage.webhook(20, "resolved", 0), Taken);
    assert_eq!(stage.webhook(21, "resolved", 0), Duplicate);
    assert_eq!(stage.webhook(22, "firing", 0), Duplicate);
    assert_eq!(stage.register.active_count(), 0);
    assert_eq!(stage.webhook(30, "firing", 25), Taken);
    assert_eq!(stage.webhook(31, "resolved", 0), Duplicate);
    assert_eq!(stage.register.active_count(), 1);
}

#[test]
fn an_end_that_comes_first_is_remembered_for_an_hour() {
    let mut stage = Stage::default();
    assert_eq!(stage.webhook(10, "resolved", 0), Early);
    assert_eq!(stage.webhook(11, "firing", 0), Duplicate);
    assert_eq!(stage.register.lapse(at(3611)), []);
    assert_eq!(stage.webhook(3612, "firing", 0), Taken);
}

#[test]
fn the_same_alert_by_both_ways_is_one() {
    let mut stage = Stage::default();
    assert_eq!(stage.api(10, "0..240"), Taken);
    assert_eq!(stage.webhook(11, "firing", 0), Duplicate);
    assert_eq!(stage.until(), Some(at(240)));
    assert_eq!(stage.api(70, "0..300"), Duplicate);
}

#[test]
fn of_two_prometheus_one_may_still_see_it() {
    let mut stage = Stage::default();
    assert_eq!(stage.api(10, "0..240"), Taken);
    assert_eq!(stage.api(11, "3..243"), Duplicate);
    assert_eq!(stage.api(60, "3..60"), Taken, "one says that it is over");
    assert_eq!(stage.api(70, "0..300"), Taken, "the other says later that it is not");
    assert_eq!(stage.api(120, "3..60"), Duplicate, "the first says it again");
    assert_eq!(stage.register.active_count(), 1);
}

#[test]
fn what_is_not_told_again_lapses_once() {
    let mut stage = Stage::default();
    stage.api(10, "0..240");
    stage.api(70, "0..300");
    assert_eq!(stage.register.lapse(at(299)), []);
    let lapsed = stage.register.lapse(at(301));
    assert_eq!(lapsed.iter().map(|l| (l.at, l.told_at)).collect::<Vec<_>>(), [(at(300), at(70))]);
    assert_eq!(stage.register.lapse(at(302)), []);
    assert_eq!(stage.api(310, "0..550"), Taken, "it is told again after all");
}

#[test]
fn after_a_restart_what_lives_by_being_told_again_has_as_long_for_it_as_before() {
    let mut stage = Stage::default();
    stage.api(0, "0..240");
    let finding = stage.register.active().next().unwrap().1.finding.clone();
    let member = incident::member(None, finding, Belongs::first());
    let mut after = Stage { register: Register::restore([member].iter(), at(1000)) };
    assert_eq!(after.until(), Some(at(1240)));
    assert_eq!(after.api(1010, "0..1300"), Duplicate);
    let mut over = after.register.active().next().unwrap().1.finding.clone();
    over.evidence.clear();
    let forever = incident::member(None, over, Belongs::first());
    let forever = Stage { register: Register::restore([forever].iter(), at(1000)) };
    assert_eq!(forever.until(), None, "what stays until it is said to be over still does");
}

#[test]
fn there_is_a_bound_to_what_is_active_and_to_what_is_remembered() {
    let mut register = Register::default();
    let alert = |number: usize, ends: &str| {
        let body = format!(r#"[{{"labels":{{"n":"{number}"}},"startsAt":"{}"{ends}}}]"#, at(1));
        alertmanager::api(body.as_bytes(), at(2)).unwrap().signals[0].clone()
    };
    let ended = format!(r#","endsAt":"{}""#, at(2));
    for number in 0..=ACTIVE_MAX {
        let outcome = register.take(at(2), alert(number, "")).0;
        assert_eq!(outcome == Outcome::Full, number == ACTIVE_MAX);
    }
    for number in 0..OVER_MAX + 10 {
        register.take(at(2), alert(100_000 + number, &ended));
    }
    register.lapse(at(3));
    assert_eq!(register.known.len(), ACTIVE_MAX + OVER_MAX);
}
