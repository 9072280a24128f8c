use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::*;

fn layer(name: &str, people: &str, starts: &str, hours: u32, only: &[&str]) -> Layer {
    Layer {
        name: name.to_owned(),
        people: people.split(' ').map(|name| PersonName::new(name).unwrap()).collect(),
        rotation: Rotation::new(starts.parse().unwrap(), hours).unwrap(),
        only: only.iter().map(|part| part.parse().unwrap()).collect(),
    }
}

fn schedule(zone: &str, layers: Vec<Layer>) -> Schedule {
    Schedule { name: ScheduleName::new("gpu").unwrap(), zone: Zone::named(zone).unwrap(), layers }
}

fn weekly() -> Schedule {
    let nights = layer("nights", "dan eve", "2026-01-05T20:00:00", 24, &["mon-fri 20:00-08:00"]);
    let weeks = layer("weeks", "ann ben cem", "2026-01-05T09:00:00", 168, &[]);
    schedule("Europe/Berlin", vec![nights, weeks])
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn taken(who: &str, from: &str, to: &str, made_at: &str) -> Override {
    Override {
        schedule: ScheduleName::new("gpu").unwrap(),
        who: PersonName::new(who).unwrap(),
        from: at(from),
        to: at(to),
        by: "lea".to_owned(),
        made_at: at(made_at),
    }
}

fn check_shifts(
    schedule: &Schedule,
    overrides: &[Override],
    from: &str,
    to: &str,
    expected: &Expect,
) {
    let shifts = schedule.shifts(overrides, at(from), at(to));
    let told: Vec<String> = shifts.iter().map(|shift| shift.sentence(&schedule.zone)).collect();
    expected.assert_eq(&told.join("\n"));
}

#[test]
fn turns_change_at_the_same_local_time_on_both_sides_of_a_change_of_clocks() {
    let daily =
        schedule("Europe/Berlin", vec![layer("days", "ann ben", "2026-03-27T09:00:00", 24, &[])]);
    check_shifts(
        &daily,
        &[],
        "2026-03-27T08:00:00Z",
        "2026-03-31T06:00:00Z",
        &expect![[r#"
        ann until Sat 2026-03-28 09:00 (layer days)
        ben until Sun 2026-03-29 09:00 (layer days)
        ann until Mon 2026-03-30 09:00 (layer days)
        ben until Tue 2026-03-31 09:00 (layer days)"#]],
    );
    let autumn = schedule(
        "America/New_York",
        vec![layer("halves", "ann ben", "2026-10-31T09:00:00", 12, &[])],
    );
    check_shifts(
        &autumn,
        &[],
        "2026-10-31T13:00:00Z",
        "2026-11-02T14:00:00Z",
        &expect![[r#"
        ann until Sat 2026-10-31 21:00 (layer halves)
        ben until Sun 2026-11-01 09:00 (layer halves)
        ann until Sun 2026-11-01 21:00 (layer halves)
        ben until Mon 2026-11-02 09:00 (layer halves)"#]],
    );
}

#[test]
fn a_hand_over_at_a_time_that_is_skipped_happens_when_clocks_jump() {
    let daily =
        schedule("Europe/Berlin", vec![layer("days", "ann ben", "2026-03-28T02:30:00", 24, &[])]);
    check_shifts(
        &daily,
        &[],
        "2026-03-28T12:00:00Z",
        "2026-03-30T12:00:00Z",
        &expect![[r#"
        ann until Sun 2026-03-29 03:00 (layer days)
        ben until Mon 2026-03-30 02:30 (layer days)
        ann until Tue 2026-03-31 02:30 (layer days)"#]],
    );
}

#[test]
fn the_first_layer_that_has_somebody_counts() {
    check_shifts(
        &weekly(),
        &[],
        "2026-01-09T10:00:00Z",
        "2026-01-12T20:00:00Z",
        &expect![[r#"
        ann until Fri 2026-01-09 20:00 (layer weeks)
        dan until Sat 2026-01-10 08:00 (layer nights)
        ann until Mon 2026-01-12 09:00 (layer weeks)
        ben until Mon 2026-01-12 20:00 (layer weeks)
        eve until Tue 2026-01-13 08:00 (layer nights)"#]],
    );
}

#[test]
fn an_override_outweighs_layers_and_the_last_one_made_outweighs_others() {
    let overrides = [
        taken("fay", "2026-01-09T12:00:00Z", "2026-01-09T18:00:00Z", "2026-01-02T00:00:00Z"),
        taken("gil", "2026-01-09T14:00:00Z", "2026-01-09T15:00:00Z", "2026-01-03T00:00:00Z"),
    ];
    check_shifts(
        &weekly(),
        &overrides,
        "2026-01-09T10:00:00Z",
        "2026-01-09T19:30:00Z",
        &expect![[r#"
        ann until Fri 2026-01-09 13:00 (layer weeks)
        fay until Fri 2026-01-09 15:00 (override by lea)
        gil until Fri 2026-01-09 16:00 (override by lea)
        fay until Fri 2026-01-09 19:00 (override by lea)
        ann until Fri 2026-01-09 20:00 (layer weeks)
        dan until Sat 2026-01-10 08:00 (layer nights)"#]],
    );
}

#[test]
fn hand_overs_are_told_in_their_order() {
    let weekly = weekly();
    let list = weekly.hand_overs(&[], at("2026-01-09T10:00:00Z"), 3);
    let told: Vec<String> = list.iter().map(|each| each.sentence(&weekly.zone)).collect();
    expect![[r#"
        Fri 2026-01-09 20:00 ann → dan (layer nights)
        Sat 2026-01-10 08:00 dan → ann (layer weeks)
        Mon 2026-01-12 09:00 ann → ben (layer weeks)"#]]
    .assert_eq(&told.join("\n"));
}

#[test]
fn where_nobody_is_on_a_gap_is_told() {
    let office = layer("office", "ann ben", "2026-01-05T09:00:00", 168, &["mon-fri 09:00-17:00"]);
    let office = schedule("Europe/Berlin", vec![office]);
    let gaps = office.gaps(&[], at("2026-01-09T12:00:00Z"), 4);
    let told = gaps
        .iter()
        .map(|gap| format!("{} to {}", office.zone.shown(gap.from), office.zone.shown(gap.to)));
    expect![[r#"
        Fri 2026-01-09 17:00 to Mon 2026-01-12 09:00
        Mon 2026-01-12 17:00 to Tue 2026-01-13 09:00"#]]
    .assert_eq(&told.collect::<Vec<_>>().join("\n"));
    let on = office.on(&[], at("2026-01-10T12:00:00Z"));
    assert_eq!(
        on.sentence(&office.zone),
        "nobody until Mon 2026-01-12 09:00 (no layer and no override has anybody)"
    );
}

#[test]
fn before_its_first_turn_a_layer_has_nobody() {
    let late = schedule("UTC", vec![layer("late", "ann", "2026-06-01T00:00:00", 24, &[])]);
    let on = late.on(&[], at("2026-05-31T12:00:00Z"));
    assert_eq!((on.who, on.to), (None, Some(at("2026-06-01T00:00:00Z"))));
    let on = late.on(&[], at("2026-06-02T12:00:00Z"));
    assert_eq!((on.who.unwrap().as_str(), on.to), ("ann", None));
}

#[test]
fn parts_of_a_week_are_read_as_people_write_them() {
    let read = |text: &str| text.parse::<Weekly>().map(|part| part.to_string());
    assert_eq!(read("mon-fri 09:00-17:00").unwrap(), "mon,tue,wed,thu,fri 09:00-17:00");
    assert_eq!(read("fri-mon 18:00-08:00").unwrap(), "mon,fri,sat,sun 18:00-08:00");
    for wrong in ["", "mon", "someday 09:00-17:00", "mon 9-17", "mon 24:00-08:00", "mon 09:00"] {
        assert!(read(wrong).is_err(), "{wrong}");
    }
}

fn any_schedule() -> impl Strategy<Value = Schedule> {
    let zones = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Cairo", "UTC"];
    let starts = ["2026-01-05T09:00:00", "2026-01-05T02:30:00", "2026-01-04T00:00:00"];
    let hours = prop::sample::select(vec![1_u32, 7, 12, 24, 36, 168]);
    let only = prop::sample::select(vec![
        "",
        "mon-fri 09:00-17:00",
        "sat,sun 00:00-24:00",
        "mon-sun 22:30-02:30",
    ]);
    let any_layer =
        (prop::sample::select(starts.to_vec()), hours, only).prop_map(|(starts, hours, only)| {
            let only: Vec<&str> = Some(only).filter(|only| !only.is_empty()).into_iter().collect();
            layer("any", "ann ben cem", starts, hours, &only)
        });
    let layers = prop::collection::vec(any_layer, 1..3);
    (prop::sample::select(zones.to_vec()), layers).prop_map(|(zone, layers)| schedule(zone, layers))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Around both changes of clocks, shifts follow each other without hole or overlap, and each
    /// says of any instant within it what is true of that instant.
    #[test]
    fn at_every_instant_one_person_is_on_or_nobody_is_and_that_is_said(
        schedule in any_schedule(), start in 0_u64..300, steps in prop::collection::vec(0_u64..400_000, 8),
    ) {
        let from = at("2026-01-10T00:00:00Z").after(days(start));
        let to = from.after(days(5));
        let shifts = schedule.shifts(&[], from, to);
        prop_assert_eq!(shifts.first().map(|shift| shift.from), Some(from));
        for pair in shifts.windows(2) {
            prop_assert_eq!(pair[0].to, Some(pair[1].from));
            prop_assert!((&pair[0].who, &pair[0].because) != (&pair[1].who, &pair[1].because));
        }
        prop_assert!(shifts.last().is_some_and(|shift| shift.to.is_none_or(|end| end >= to)));
        for step in steps {
            let instant = from.after(std::time::Duration::from_secs(step));
            let within = |shift: &&Shift| shift.from <= instant && shift.to.is_none_or(|to| instant < to);
            let holding: Vec<&Shift> = shifts.iter().filter(within).collect();
            prop_assert_eq!(holding.len(), 1);
            let on = schedule.on(&[], instant);
            prop_assert_eq!((&on.who, on.to), (&holding[0].who, holding[0].to));
        }
    }

    /// Nobody is passed over and nobody has two turns: a year of days is a year of hand-overs.
    #[test]
    fn each_has_their_turn_in_order_all_year_round(
        zone in prop::sample::select(vec!["Europe/Berlin", "America/New_York", "Australia/Lord_Howe"]),
        hour in 0_u32..24, minute in prop::sample::select(vec![0_u32, 30]),
    ) {
        let starts = format!("2026-01-01T{hour:02}:{minute:02}:00");
        let daily = schedule(zone, vec![layer("days", "ann ben cem", &starts, 24, &[])]);
        let from = daily.zone.instant(starts.parse().unwrap());
        let list = daily.hand_overs(&[], from, 365);
        for (nth, each) in list.iter().enumerate() {
            let date = daily.zone.local(each.at).date();
            prop_assert_eq!(date.day_of_year(), i16::try_from((nth + 1) % 365 + 1).unwrap());
            prop_assert_eq!(each.to.as_ref().unwrap().as_str(), ["ann", "ben", "cem"][(nth + 1) % 3]);
        }
    }
}
