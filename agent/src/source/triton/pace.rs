//! When to read next: the usual interval, faster while something is going on, slower where reading
//! itself is a burden. No clocks and no sleeping here.

use std::time::Duration;

use crate::sample::Moment;

/// The least often that anything is read.
pub const INTERVAL_MAX: Duration = Duration::from_secs(5);
/// An answer larger than this is a burden.
pub const HEAVY_BYTES: usize = 1024 * 1024;
/// An answer that takes longer than this to get and read is a burden.
pub const HEAVY_COST: Duration = Duration::from_millis(50);

/// Burdens in a row before the interval is stretched: one slow answer may be the trouble that we are
/// here to see.
const HEAVY_BEFORE_STRETCH: u32 = 3;
/// Refusals in a row that are tried again soon: a server that restarts is back in a moment.
const REFUSALS_SOON: u32 = 3;
const REFUSED_AGAIN: Duration = Duration::from_millis(100);

/// How a try ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tried {
    /// Something was read.
    Read {
        /// How long it took to get and to read.
        cost: Duration,
        /// How large it was.
        bytes: usize,
    },
    /// Nobody listens.
    Refused,
    /// Anything else.
    Failed,
}

/// The pace of one kind of reading.
#[derive(Debug, Clone)]
pub struct Pace {
    interval: Duration,
    hurried: Duration,
    stretched: Duration,
    hurry_until: Moment,
    heavy: u32,
    refusals: u32,
    due: Moment,
}

impl Pace {
    /// Reads every `interval`, every `hurried` while hurried, and for the first time at once.
    pub fn new(interval: Duration, hurried: Duration) -> Self {
        Self {
            interval,
            hurried: hurried.min(interval),
            stretched: interval,
            hurry_until: Moment::default(),
            heavy: 0,
            refusals: 0,
            due: Moment::default(),
        }
    }

    /// When to read next.
    pub fn due(&self) -> Moment {
        self.due
    }

    /// Reads at `moment` if not before.
    pub fn no_later_than(&mut self, moment: Moment) {
        self.due = self.due.min(moment);
    }

    /// Reads faster until `moment`, from the next reading on. A moment in the past ends it.
    pub fn hurry_until(&mut self, moment: Moment) {
        self.hurry_until = moment;
    }

    /// Plans the next reading after one that began and ended so. Readings that were missed meanwhile
    /// are skipped. Gives a sentence when the interval had to be changed.
    pub fn tried(&mut self, began: Moment, ended: Moment, outcome: Tried) -> Option<String> {
        let before = self.stretched;
        let heavy = match outcome {
            Tried::Read { cost, bytes } => Some(cost > HEAVY_COST || bytes > HEAVY_BYTES),
            Tried::Refused | Tried::Failed => None,
        };
        self.weigh(heavy);
        self.refusals = if outcome == Tried::Refused { self.refusals.saturating_add(1) } else { 0 };
        self.due = next_on_grid(began, self.step(ended), ended);
        let Tried::Read { cost, bytes } = outcome else { return None };
        (self.stretched != before).then(|| {
            let (cost, interval) = (cost.as_millis(), self.stretched.as_millis());
            format!("an answer of {bytes} bytes takes {cost} ms, so it is read every {interval} ms")
        })
    }

    fn weigh(&mut self, heavy: Option<bool>) {
        match heavy {
            Some(true) => self.heavy += 1,
            Some(false) => {
                self.heavy = 0;
                self.stretched = (self.stretched / 2).max(self.interval);
            }
            None => {}
        }
        if self.heavy >= HEAVY_BEFORE_STRETCH {
            self.heavy = 0;
            self.stretched = (self.stretched * 2).min(INTERVAL_MAX.max(self.interval));
        }
    }

    fn step(&self, now: Moment) -> Duration {
        let again = REFUSED_AGAIN.min(self.interval);
        if (1..=REFUSALS_SOON).contains(&self.refusals) {
            again
        } else if self.stretched > self.interval {
            // Hurrying would undo the mercy.
            self.stretched
        } else if now < self.hurry_until {
            self.hurried
        } else {
            self.interval
        }
    }
}

/// The first of `began + step`, `began + 2 step`, … that is not before `now`.
fn next_on_grid(began: Moment, step: Duration, now: Moment) -> Moment {
    let step = step.max(Duration::from_millis(1));
    let missed = now.since(began).as_nanos().div_ceil(step.as_nanos()).max(1);
    began.after(step.saturating_mul(u32::try_from(missed).unwrap_or(u32::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIGHT: Tried = Tried::Read { cost: Duration::from_millis(1), bytes: 29_000 };
    const HEAVY: Tried = Tried::Read { cost: Duration::from_millis(80), bytes: 29_000 };

    fn pace() -> Pace {
        Pace::new(Duration::from_millis(500), Duration::from_millis(100))
    }

    /// The gaps between readings that end `took` ms after they began, one for each outcome.
    fn gaps(pace: &mut Pace, took: u64, outcomes: &[Tried]) -> Vec<u64> {
        let mut gaps = Vec::new();
        for outcome in outcomes {
            let began = pace.due();
            pace.tried(began, began.after(Duration::from_millis(took)), *outcome);
            gaps.push(u64::try_from(pace.due().since(began).as_millis()).unwrap());
        }
        gaps
    }

    #[test]
    fn readings_keep_their_interval_whatever_they_take() {
        assert_eq!(gaps(&mut pace(), 30, &[LIGHT; 3]), [500, 500, 500]);
    }

    #[test]
    fn missed_readings_are_skipped() {
        assert_eq!(gaps(&mut pace(), 1_200, &[Tried::Failed; 2]), [1_500, 1_500]);
    }

    #[test]
    fn a_refusal_is_tried_again_soon_a_few_times() {
        let mut pace = pace();
        assert_eq!(gaps(&mut pace, 0, &[Tried::Refused; 5]), [100, 100, 100, 500, 500]);
        assert_eq!(gaps(&mut pace, 0, &[LIGHT, Tried::Refused]), [500, 100]);
    }

    #[test]
    fn hurry_ends_by_itself() {
        let mut pace = pace();
        pace.hurry_until(Moment::ms(250));
        assert_eq!(gaps(&mut pace, 1, &[LIGHT; 5]), [100, 100, 100, 500, 500]);
    }

    #[test]
    fn a_reading_can_be_brought_forward_and_not_put_off() {
        let mut pace = pace();
        pace.tried(Moment::ms(0), Moment::ms(1), LIGHT);
        pace.no_later_than(Moment::ms(600));
        assert_eq!(pace.due(), Moment::ms(500));
        pace.no_later_than(Moment::ms(50));
        assert_eq!(pace.due(), Moment::ms(50));
    }

    #[test]
    fn one_slow_answer_changes_nothing_and_three_stretch_the_interval() {
        let mut pace = pace();
        assert_eq!(gaps(&mut pace, 80, &[HEAVY, HEAVY, LIGHT, HEAVY]), [500; 4]);
        pace.hurry_until(Moment::ms(1_000_000));
        assert_eq!(gaps(&mut pace, 80, &[HEAVY, HEAVY]), [100, 1_000]);
        assert_eq!(gaps(&mut pace, 80, &[HEAVY; 12])[11], 5_000);
        assert_eq!(gaps(&mut pace, 1, &[LIGHT; 4]), [2_500, 1_250, 625, 100]);
    }

    #[test]
    fn a_stretch_is_told_once() {
        let mut pace = pace();
        let told: Vec<_> =
            (0..4).filter_map(|_| pace.tried(Moment::ms(0), Moment::ms(80), HEAVY)).collect();
        assert_eq!(told, ["an answer of 29000 bytes takes 80 ms, so it is read every 1000 ms"]);
    }
}
