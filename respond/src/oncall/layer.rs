//! One layer: people who take turns, perhaps on some days and hours of the week only.

use std::fmt;
use std::str::FromStr;

use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::PersonName;
use jiff::SignedDuration;
use jiff::civil::{Date, DateTime, Weekday};

use crate::calendar::Span;
use crate::zone::{TimeOfDay, Zone};

/// The longest turn, in days.
const TURN_DAYS_MAX: u32 = 366;

/// People who take turns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// Its name.
    pub name: String,
    /// Who, in the order of their turns.
    pub people: Vec<PersonName>,
    /// How long a turn is.
    pub rotation: Rotation,
    /// Only then; empty is always.
    pub only: Vec<Weekly>,
}

/// Turns of one length, one after the other, from a first hand-over on. Lengths are those of clocks
/// on the wall: a turn of one day begins at the same time of day on both sides of a change of clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rotation {
    /// Local time at which the first turn begins; before it the layer has nobody.
    pub starts: DateTime,
    /// Hours of a turn.
    hours: u32,
}

impl Rotation {
    /// Turns of so many hours; 24 are a day and 168 a week.
    ///
    /// # Errors
    ///
    /// When that is none, or more than a year.
    pub fn new(starts: DateTime, hours: u32) -> Result<Self, String> {
        match hours {
            0 => Err("a turn lasts for one hour at least".to_owned()),
            hours if hours > TURN_DAYS_MAX * 24 => {
                Err(format!("a turn lasts for {TURN_DAYS_MAX} days at most"))
            }
            hours => Ok(Self { starts, hours }),
        }
    }

    /// The number of the turn at an instant, from 0. `None` before the first.
    fn turn(&self, zone: &Zone, at: Timestamp) -> Option<i64> {
        let local = zone.local(at).duration_since(self.starts);
        let mut turn = local.as_secs().div_euclid(i64::from(self.hours) * 3600);
        // A guess by local time; where that comes twice or jumps, instants decide.
        while self.begins(zone, turn + 1) <= at {
            turn += 1;
        }
        while turn >= 0 && self.begins(zone, turn) > at {
            turn -= 1;
        }
        (turn >= 0).then_some(turn)
    }

    /// When a turn begins.
    fn begins(&self, zone: &Zone, turn: i64) -> Timestamp {
        let after = SignedDuration::from_hours(i64::from(self.hours) * turn.max(0));
        zone.instant(self.starts.checked_add(after).unwrap_or(DateTime::MAX))
    }
}

/// Some hours on some days of the week. What ends at or before its beginning ends on the next day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Weekly {
    days: [bool; 7],
    from: TimeOfDay,
    to: TimeOfDay,
}

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

impl FromStr for Weekly {
    type Err = String;

    /// Reads `mon-fri 09:00-17:00`, `sat,sun 00:00-24:00` or `fri 18:00-08:00`.
    fn from_str(text: &str) -> Result<Self, String> {
        let fault = || format!("`{text}` is no part of a week (try \"mon-fri 09:00-17:00\")");
        let (days_text, hours) = text.split_once(' ').ok_or_else(fault)?;
        let (from, to) = hours.split_once('-').ok_or_else(fault)?;
        let (from, to) = (from.parse()?, to.parse()?);
        let day = |name: &str| DAYS.iter().position(|day| *day == name).ok_or_else(fault);
        let mut days = [false; 7];
        for part in days_text.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (day(first)?, day(last)?);
            for step in 0..=(last + 7 - first) % 7 {
                days[(first + step) % 7] = true;
            }
        }
        if from == TimeOfDay::END { Err(fault()) } else { Ok(Self { days, from, to }) }
    }
}

impl fmt::Display for Weekly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let on = DAYS.iter().zip(self.days).filter(|(_, on)| *on).map(|(day, _)| *day);
        write!(f, "{} {}-{}", on.collect::<Vec<_>>().join(","), self.from, self.to)
    }
}

impl Weekly {
    /// From when until when on the day on which it begins.
    fn span(&self, zone: &Zone, date: Date) -> Option<Span> {
        self.days[day_number(date.weekday())].then(|| {
            let last = if self.to > self.from { date } else { date.tomorrow().unwrap_or(date) };
            Span { from: zone.at(date, self.from), to: zone.at(last, self.to) }
        })
    }
}

fn day_number(weekday: Weekday) -> usize {
    usize::try_from(weekday.to_monday_zero_offset()).unwrap_or(0)
}

impl Layer {
    /// Who is on in this layer alone.
    #[must_use]
    pub fn who(&self, zone: &Zone, at: Timestamp) -> Option<PersonName> {
        if !self.only.is_empty() && !self.spans(zone, at, 1).any(|span| span.holds(at)) {
            return None;
        }
        let turn = self.rotation.turn(zone, at)?;
        let nth = turn.checked_rem(i64::try_from(self.people.len()).ok()?)?;
        self.people.get(usize::try_from(nth).ok()?).cloned()
    }

    /// The first instant after `at` at which it may have somebody else.
    #[must_use]
    pub fn changes(&self, zone: &Zone, at: Timestamp) -> Option<Timestamp> {
        let next = self.rotation.turn(zone, at).map_or(0, |turn| turn + 1);
        // Turns that a change of clocks leaves nothing of begin together.
        let turns = (next..next + 4).map(|turn| self.rotation.begins(zone, turn));
        let edges = self.spans(zone, at, 8).flat_map(|span| [span.from, span.to]);
        turns.chain(edges).filter(|edge| *edge > at).min()
    }

    /// The stretches it is restricted to, from the day before `at` up to `ahead` days after it.
    fn spans(&self, zone: &Zone, at: Timestamp, ahead: usize) -> impl Iterator<Item = Span> {
        let today = zone.local(at).date();
        let first = today.yesterday().unwrap_or(today);
        let dates = std::iter::successors(Some(first), |date| date.tomorrow().ok()).take(ahead + 2);
        dates.flat_map(move |date| self.only.iter().filter_map(move |part| part.span(zone, date)))
    }
}
