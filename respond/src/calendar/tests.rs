use proptest::prelude::*;

use super::*;

fn calendar(zone: &str, hours: &str, holidays: &[&str]) -> Calendar {
    let (opens, closes) = hours.split_once('-').unwrap();
    let hours = Hours { opens: opens.parse().unwrap(), closes: closes.parse().unwrap() };
    let week = [Some(hours), Some(hours), Some(hours), Some(hours), Some(hours), None, None];
    let holidays = holidays.iter().map(|date| date.parse().unwrap()).collect();
    Calendar::new(Zone::named(zone).unwrap(), week, holidays).unwrap()
}

fn berlin() -> Calendar {
    calendar("Europe/Berlin", "09:00-17:00", &["2026-12-25"])
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn day_after(calendar: &Calendar, from: &str) -> String {
    let Span { from, to } = calendar.next_business_day(at(from));
    format!("{} to {}", calendar.zone().shown(from), &calendar.zone().shown(to)[15..])
}

#[test]
fn the_next_business_day_is_never_today() {
    let berlin = berlin();
    assert_eq!(day_after(&berlin, "2026-11-23T03:00:00Z"), "Tue 2026-11-24 09:00 to 17:00");
    assert_eq!(day_after(&berlin, "2026-11-23T12:00:00Z"), "Tue 2026-11-24 09:00 to 17:00");
}

#[test]
fn weekends_and_holidays_are_no_business_days() {
    let berlin = berlin();
    assert_eq!(day_after(&berlin, "2026-11-20T12:00:00Z"), "Mon 2026-11-23 09:00 to 17:00");
    assert_eq!(day_after(&berlin, "2026-12-24T12:00:00Z"), "Mon 2026-12-28 09:00 to 17:00");
}

#[test]
fn the_day_is_that_of_the_calendar_and_not_of_utc() {
    let tokyo = calendar("Asia/Tokyo", "09:00-17:00", &[]);
    assert_eq!(day_after(&tokyo, "2026-11-23T16:00:00Z"), "Wed 2026-11-25 09:00 to 17:00");
}

#[test]
fn working_time_goes_on_when_people_are_back() {
    let berlin = berlin();
    let add = |from, hours: u64| {
        berlin.zone().shown(berlin.add(at(from), Duration::from_secs(hours * 3600)))
    };
    assert_eq!(add("2026-11-20T15:00:00Z", 4), "Mon 2026-11-23 12:00");
    assert_eq!(add("2026-11-21T15:00:00Z", 0), "Mon 2026-11-23 09:00");
    assert_eq!(add("2026-11-23T08:00:00Z", 8), "Mon 2026-11-23 17:00");
    assert_eq!(add("2026-11-23T08:00:00Z", 80), "Fri 2026-12-04 17:00");
}

#[test]
fn hours_over_a_change_of_clocks_are_as_long_as_they_are() {
    let night = |date: &str| {
        let week =
            [Some(Hours { opens: "01:00".parse().unwrap(), closes: "04:00".parse().unwrap() }); 7];
        let zone = Zone::named("Europe/Berlin").unwrap();
        let calendar = Calendar::new(zone, week, BTreeSet::new()).unwrap();
        let noon = at(&format!("{date}T12:00:00Z"));
        calendar.between(noon.before(Duration::from_secs(86_400)), noon).as_secs() / 3600
    };
    assert_eq!((night("2026-03-28"), night("2026-03-29"), night("2026-10-25")), (3, 2, 4));
}

#[test]
fn hours_that_are_skipped_altogether_are_none() {
    let hours = Some(Hours { opens: "02:10".parse().unwrap(), closes: "02:50".parse().unwrap() });
    let zone = Zone::named("Europe/Berlin").unwrap();
    let calendar = Calendar::new(zone, [hours; 7], BTreeSet::new()).unwrap();
    let opens = calendar.opens(at("2026-03-28T12:00:00Z"));
    assert_eq!(calendar.zone().shown(opens), "Mon 2026-03-30 02:10");
}

#[test]
fn a_calendar_without_hours_is_refused() {
    let refused = Calendar::new(Zone::default(), [None; 7], BTreeSet::new());
    assert_eq!(refused, Err(NoCalendar::NeverOpen));
}

proptest! {
    #[test]
    fn what_is_added_is_what_lies_between(
        zone in prop::sample::select(vec!["Europe/Berlin", "America/New_York", "Asia/Kolkata"]),
        start in 1_790_000_000_u64..1_830_000_000, minutes in 1_u64..40_000,
    ) {
        let calendar = calendar(zone, "08:30-18:15", &["2026-12-25", "2027-01-01"]);
        let (start, working) = (Timestamp::from_unix_s(start), Duration::from_secs(minutes * 60));
        let end = calendar.add(start, working);
        prop_assert_eq!(calendar.between(start, end), working);
        prop_assert!(calendar.is_open(end.before(Duration::from_secs(1))));
    }

    #[test]
    fn people_are_at_work_when_they_come(start in 1_790_000_000_u64..1_830_000_000) {
        let (calendar, start) = (berlin(), Timestamp::from_unix_s(start));
        let opens = calendar.opens(start);
        prop_assert!(opens >= start && calendar.is_open(opens));
        prop_assert_eq!(calendar.between(start, opens), Duration::ZERO);
    }
}
