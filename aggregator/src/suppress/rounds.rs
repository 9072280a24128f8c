//! When planned work comes again. Pure.

use std::time::Duration;

use gpuwarden_proto::repeat::Repeat;
use gpuwarden_proto::time::{Timestamp, spoken};
use gpuwarden_respond::zone::Zone;

const DAY: Duration = Duration::from_secs(86_400);

/// Planned work that comes again, with its time zone.
#[derive(Debug, Clone)]
pub(super) struct Rounds {
    repeat: Repeat,
    zone: Zone,
}

impl Rounds {
    /// Looks up the time zone.
    ///
    /// # Errors
    ///
    /// There is none of that name.
    pub(super) fn new(repeat: Repeat) -> Result<Self, String> {
        let zone = Zone::named(repeat.zone.as_str()).map_err(|error| error.to_string())?;
        Ok(Self { repeat, zone })
    }

    /// The first time that begins at `from` or later.
    pub(super) fn first(&self, from: Timestamp) -> Option<Timestamp> {
        let Repeat { every, at, last, .. } = self.repeat;
        let mut date = self.zone.local(from).date();
        while date <= last.date() {
            if every.has(date) {
                let begins = self.zone.instant(date.to_datetime(at.time()));
                if begins >= from {
                    return Some(begins);
                }
            }
            date = date.tomorrow().ok()?;
        }
        None
    }

    /// The first time that is not over at `now`, when each lasts as long as this.
    pub(super) fn next(&self, lasts: Duration, now: Timestamp) -> Option<Timestamp> {
        // It is over where it began so long ago to the nanosecond.
        self.first(now.before(lasts).after(Duration::from_nanos(1)))
    }

    /// When it begins on its last day at the latest.
    pub(super) fn ends(&self) -> Timestamp {
        self.zone.instant(self.repeat.last.date().to_datetime(self.repeat.at.time()))
    }

    /// What is wrong with how long it lasts.
    pub(super) fn fault(&self, lasts: Duration) -> Option<String> {
        let apart = DAY * self.repeat.every.apart();
        (lasts > apart).then(|| {
            format!(
                "it would last {} and come again after {}: let it come less often or end earlier",
                spoken(lasts),
                spoken(apart)
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rounds(every: &str, at: &str, zone: &str, last: &str) -> Rounds {
        let (every, at, last) = (every.parse(), at.parse(), last.parse());
        let (every, at, last) = (every.unwrap(), at.unwrap(), last.unwrap());
        Rounds::new(Repeat { every, at, zone: zone.parse().unwrap(), last }).unwrap()
    }

    /// When each time begins, from an instant on.
    fn all(rounds: &Rounds, from: &str) -> String {
        let mut begins = rounds.first(from.parse().unwrap());
        let mut told = Vec::new();
        while let Some(at) = begins {
            told.push(format!("{at} is {}", rounds.zone.shown(at)));
            begins = rounds.first(at.after(Duration::from_nanos(1)));
        }
        told.join("\n")
    }

    #[test]
    fn it_begins_at_the_same_time_on_the_wall_whatever_clocks_do() {
        let nightly = rounds("day", "02:30", "Europe/Berlin", "2026-03-30");
        insta::assert_snapshot!(all(&nightly, "2026-03-28T00:00:00Z"), @r"
        2026-03-28T01:30:00.000Z is Sat 2026-03-28 02:30
        2026-03-29T01:00:00.000Z is Sun 2026-03-29 03:00
        2026-03-30T00:30:00.000Z is Mon 2026-03-30 02:30
        ");
        let nightly = rounds("day", "02:30", "Europe/Berlin", "2026-10-26");
        insta::assert_snapshot!(all(&nightly, "2026-10-24T12:00:00Z"), @r"
        2026-10-25T00:30:00.000Z is Sun 2026-10-25 02:30
        2026-10-26T01:30:00.000Z is Mon 2026-10-26 02:30
        ");
    }

    #[test]
    fn it_comes_on_its_days_up_to_the_last_one() {
        let some = rounds("mon,thu", "22:00", "America/New_York", "2026-11-30");
        insta::assert_snapshot!(all(&some, "2026-11-23T12:00:00Z"), @r"
        2026-11-24T03:00:00.000Z is Mon 2026-11-23 22:00
        2026-11-27T03:00:00.000Z is Thu 2026-11-26 22:00
        2026-12-01T03:00:00.000Z is Mon 2026-11-30 22:00
        ");
        assert_eq!(some.ends().to_string(), "2026-12-01T03:00:00.000Z");
    }

    #[test]
    fn what_is_under_way_is_the_next_until_it_is_over() {
        let nightly = rounds("day", "02:00", "UTC", "2026-12-31");
        let hour = Duration::from_secs(3600);
        let next = |now: &str| nightly.next(hour, now.parse().unwrap()).unwrap().to_string();
        assert_eq!(next("2026-11-23T02:59:59Z"), "2026-11-23T02:00:00.000Z");
        assert_eq!(next("2026-11-23T03:00:00Z"), "2026-11-24T02:00:00.000Z");
        assert_eq!(nightly.next(hour, "2026-12-31T03:00:00Z".parse().unwrap()), None);
    }

    #[test]
    fn what_lasts_longer_than_it_takes_to_come_again_is_refused() {
        let fault = |every: &str, hours: u32| {
            let rounds = rounds(every, "02:00", "UTC", "2026-12-31");
            rounds.fault(Duration::from_secs(3600) * hours).unwrap_or_default()
        };
        assert_eq!([fault("day", 24), fault("mon,thu", 72)], ["", ""]);
        assert_eq!(
            fault("sun,mon", 25),
            "it would last 1 d 1 h and come again after 1 d 0 h: let it come less often or end earlier"
        );
    }

    proptest! {
        #[test]
        fn each_day_has_its_time_once(
            zone in prop::sample::select(vec!["Europe/Berlin", "America/New_York",
                "Australia/Lord_Howe", "Antarctica/Troll", "UTC"]),
            hour in 0_u8..24, minute in 0_u8..60, start in 1_262_304_000_u64..1_800_000_000,
        ) {
            let daily = rounds("day", &format!("{hour:02}:{minute:02}"), zone, "2099-01-01");
            let mut at = daily.first(Timestamp::from_unix_s(start)).unwrap();
            for _ in 0..400 {
                let next = daily.first(at.after(Duration::from_nanos(1))).unwrap();
                let hours = next.since(at).as_secs_f64() / 3600.0;
                prop_assert!((21.0..=27.0).contains(&hours), "{at} {next}");
                let (day, then) = (daily.zone.local(at).date(), daily.zone.local(next).date());
                prop_assert!(day < then, "{at} {next}");
                at = next;
            }
        }
    }
}
