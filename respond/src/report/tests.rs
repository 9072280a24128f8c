use expect_test::expect;
use gpuwarden_proto::time::spoken;
use proptest::prelude::*;

use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// An incident of which all takes so many minutes after its detection.
fn case(service: &str, detected: &str, minutes: u64, rule: RuleId, cause: &str) -> Case {
    let detected_at = at(detected);
    let later = |minutes: u64| detected_at.after(Duration::from_secs(minutes * 60));
    Case {
        service: ServiceName::new(service).ok(),
        worst: Severity::P2,
        course: Course {
            began_at: detected_at.before(Duration::from_secs(1)),
            detected_at,
            acknowledged_at: (minutes > 0).then(|| later(minutes)),
            mitigated_at: None,
            resolved_at: Some(later(minutes * 2)),
        },
        rule,
        cause: cause.to_owned(),
        needed_action: minutes > 0,
    }
}

fn cases() -> Vec<Case> {
    vec![
        case("search", "2026-11-22T23:30:00Z", 2, RuleId::Xid, "riser"),
        case("search", "2026-11-23T10:00:00Z", 4, RuleId::Xid, "riser"),
        case("search", "2026-11-25T10:00:00Z", 12, RuleId::QueueBackup, "burst"),
        case("search", "2026-11-26T10:00:00Z", 0, RuleId::QueueBackup, ""),
        case("", "2026-11-26T10:00:00Z", 0, RuleId::QueueBackup, ""),
    ]
}

fn berlin() -> Calendar {
    crate::config::Settings::parse("a", "[calendar]\nzone = \"Europe/Berlin\"").unwrap().calendar
}

#[test]
fn weeks_are_those_of_the_calendar_and_what_did_not_happen_has_no_duration() {
    let told = |((monday, service), week): ((Date, Option<ServiceName>), Week)| {
        let service = service.map_or_else(|| "-".to_owned(), |service| service.to_string());
        let Week { incidents, needed_action, to_acknowledge, to_resolve, .. } = week;
        let Durations { count, mean, median } = to_acknowledge;
        format!(
            "{monday} {service}: {incidents} incidents, {needed_action} for people; acknowledged \
             {count}, mean {}, median {}; resolved {}",
            spoken(mean),
            spoken(median),
            to_resolve.count
        )
    };
    let lines: Vec<String> = weeks(&cases(), &berlin()).into_iter().map(told).collect();
    expect![[r#"
        2026-11-23 -: 1 incidents, 0 for people; acknowledged 0, mean 0 ms, median 0 ms; resolved 1
        2026-11-23 search: 4 incidents, 3 for people; acknowledged 3, mean 6 min, median 4 min; resolved 4"#]].assert_eq(&lines.join("\n"));
}

#[test]
fn pages_of_a_night_are_counted_together_and_those_at_work_are_not() {
    let page = |text: &str| Sent { at: at(text), person: PersonName::new("ann").unwrap() };
    let pages = ["2026-11-23T22:00:00Z", "2026-11-24T03:00:00Z", "2026-11-24T10:00:00Z"].map(page);
    let told: Vec<String> = nights(&pages, &berlin())
        .into_iter()
        .map(|((who, date), n)| format!("{who} {date} {n}"))
        .collect();
    assert_eq!(told, ["ann 2026-11-23 2"]);
}

#[test]
fn causes_that_come_back_and_rules_that_cry_for_nothing_are_named() {
    let span = Span { from: at("2026-11-01T00:00:00Z"), to: at("2026-12-01T00:00:00Z") };
    assert_eq!(repeated(&cases(), span), [("riser".to_owned(), 2)]);
    let noisy = noisy(&cases(), span);
    assert_eq!(noisy, [Noise { rule: RuleId::QueueBackup, incidents: 3, for_nothing: 2 }]);
}

proptest! {
    #[test]
    fn mean_and_median_lie_between_the_least_and_the_most(all in prop::collection::vec(0_u64..1_000_000, 1..50)) {
        let all: Vec<Duration> = all.into_iter().map(Duration::from_millis).collect();
        let (least, most) = (*all.iter().min().unwrap(), *all.iter().max().unwrap());
        let Durations { count, mean, median } = Durations::of(all.clone());
        prop_assert_eq!(count, all.len());
        prop_assert!((least..=most).contains(&mean) && (least..=most).contains(&median));
    }
}
