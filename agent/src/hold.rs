//! Above for so long, below for so long: the one place where a verdict becomes a finding and a
//! finding ends. Missing data neither begins nor ends anything.

use std::time::Duration;

use crate::sample::Moment;

/// What a rule saw at one instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// The condition holds.
    Firing,
    /// It does not hold, and there is data that says so.
    Quiet,
    /// Nothing can be said.
    Missing,
}

/// What follows from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The finding begins; the condition was first seen then.
    Raise {
        /// When.
        since: Moment,
    },
    /// The finding goes on.
    Stay,
    /// The finding ends.
    Clear,
    /// There is no finding.
    Nothing,
}

/// Where a rule stands on one subject.
///
/// ```text
///         Firing            Firing for `enter`          Quiet             Quiet for `leave`
///  Idle ─────────► Rising ─────────────────────► Active ─────► Falling ───────────────────► Idle
///    ▲                │                             ▲              │
///    └──── Quiet ─────┘                             └── Firing ────┘
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Hold {
    /// Nothing is wrong.
    #[default]
    Idle,
    /// The condition holds, not yet for long enough.
    Rising {
        /// Since when.
        since: Moment,
    },
    /// The finding is out.
    Active {
        /// Since when the condition held.
        since: Moment,
    },
    /// The condition no longer holds, not yet for long enough.
    Falling {
        /// Since when the condition had held.
        since: Moment,
        /// Since when it does not.
        quiet_since: Moment,
    },
}

impl Hold {
    /// Whether the finding is out.
    pub const fn is_active(self) -> bool {
        matches!(self, Self::Active { .. } | Self::Falling { .. })
    }

    /// Takes in what was seen.
    pub fn step(&mut self, now: Moment, sight: Sight, enter: Duration, leave: Duration) -> Step {
        match (*self, sight) {
            (Self::Idle, Sight::Firing) => {
                *self = Self::Rising { since: now };
                self.rise(now, enter)
            }
            (Self::Rising { .. }, Sight::Firing) => self.rise(now, enter),
            (Self::Rising { .. }, Sight::Quiet) => {
                *self = Self::Idle;
                Step::Nothing
            }
            (Self::Idle, Sight::Quiet | Sight::Missing) | (Self::Rising { .. }, Sight::Missing) => {
                Step::Nothing
            }
            (Self::Active { since } | Self::Falling { since, .. }, Sight::Firing) => {
                *self = Self::Active { since };
                Step::Stay
            }
            (Self::Active { since }, Sight::Quiet) => {
                *self = Self::Falling { since, quiet_since: now };
                self.fall(now, leave)
            }
            (Self::Falling { .. }, Sight::Quiet) => self.fall(now, leave),
            (Self::Active { since } | Self::Falling { since, .. }, Sight::Missing) => {
                *self = Self::Active { since };
                Step::Stay
            }
        }
    }

    fn rise(&mut self, now: Moment, enter: Duration) -> Step {
        match *self {
            Self::Rising { since } if now.since(since) >= enter => {
                *self = Self::Active { since };
                Step::Raise { since }
            }
            Self::Idle | Self::Rising { .. } | Self::Active { .. } | Self::Falling { .. } => {
                Step::Nothing
            }
        }
    }

    fn fall(&mut self, now: Moment, leave: Duration) -> Step {
        match *self {
            Self::Falling { quiet_since, .. } if now.since(quiet_since) >= leave => {
                *self = Self::Idle;
                Step::Clear
            }
            Self::Idle | Self::Rising { .. } | Self::Active { .. } | Self::Falling { .. } => {
                Step::Stay
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ENTER: Duration = Duration::from_millis(200);
    const LEAVE: Duration = Duration::from_millis(300);

    /// Plays a letter each 100 ms: F firing, q quiet, - missing; answers R, s, C or a dot.
    fn play(sights: &str) -> String {
        let mut hold = Hold::default();
        let answer = |(nth, sight): (usize, char)| {
            let sight = match sight {
                'F' => Sight::Firing,
                'q' => Sight::Quiet,
                _ => Sight::Missing,
            };
            match hold.step(Moment::ms(nth as u64 * 100), sight, ENTER, LEAVE) {
                Step::Raise { .. } => 'R',
                Step::Stay => 's',
                Step::Clear => 'C',
                Step::Nothing => '.',
            }
        };
        sights.chars().enumerate().map(answer).collect()
    }

    #[test]
    fn it_raises_after_enter_and_clears_after_leave() {
        assert_eq!(play("qFFFFqqqqq"), "...Rssss C.".replace(' ', ""));
    }

    #[test]
    fn a_short_condition_raises_nothing() {
        assert_eq!(play("FFqFFq"), "......");
    }

    #[test]
    fn silence_is_not_recovery() {
        assert_eq!(play("FFF-------"), "..Rsssssss");
    }

    #[test]
    fn silence_restarts_the_wait_for_recovery() {
        assert_eq!(play("FFFqq-qqqq"), "..RssssssC");
    }

    #[test]
    fn a_condition_that_returns_before_the_end_is_the_same_finding() {
        assert_eq!(play("FFFqqFqqqq"), "..RssssssC");
    }

    proptest! {
        #[test]
        fn raise_and_clear_take_turns(sights in "[Fq-]{0,200}") {
            let turns: String = play(&sights).chars().filter(|c| "RC".contains(*c)).collect();
            prop_assert!(!turns.starts_with('C'));
            prop_assert!(!turns.contains("RR") && !turns.contains("CC"));
        }
    }
}
