//! The matrix: who is paged after how long, for each severity.

use std::time::Duration;

use crate::by_severity::BySeverity;
use crate::oncall::Level;

/// A level of a ladder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rung {
    /// Who.
    pub level: Level,
    /// So long after the round began.
    pub after: Duration,
}

/// When a ladder may page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pages {
    /// By day and by night.
    AnyTime,
    /// In working hours.
    WorkingHours,
}

/// How an incident of one severity climbs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ladder {
    /// Levels in rising order; the first has no wait.
    pub rungs: Vec<Rung>,
    /// So long after the last level the next round begins.
    pub again_after: Duration,
    /// So many rounds, then nobody is left.
    pub rounds: u32,
    /// So long an acknowledgement lasts that names no end.
    pub acknowledged_for: Duration,
    /// When it may page.
    pub pages: Pages,
}

/// All of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// A ladder for each severity.
    pub ladders: BySeverity<Ladder>,
    /// The longest that an acknowledgement may last.
    pub acknowledged_for_max: Duration,
    /// A P1 that lasts for so long goes to management, whoever has taken it.
    pub management_after: Duration,
}

impl Default for Policy {
    /// The handbook: P3 and P4 end at L1, P2 at L2, P1 at L3, and what is critical for hours goes to
    /// management.
    fn default() -> Self {
        let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
        let ladder = |waits: &[u64], again: u64, rounds, acknowledged: u64, pages| {
            let rung = |(level, wait): (Level, &u64)| Rung { level, after: minutes(*wait) };
            Ladder {
                rungs: Level::ALL.into_iter().zip(waits).map(rung).collect(),
                again_after: minutes(again),
                rounds,
                acknowledged_for: minutes(acknowledged),
                pages,
            }
        };
        Self {
            ladders: BySeverity {
                p1: ladder(&[0, 5, 10], 10, 12, 30, Pages::AnyTime),
                p2: ladder(&[0, 20], 20, 6, 120, Pages::AnyTime),
                p3: ladder(&[0], 120, 3, 480, Pages::AnyTime),
                p4: ladder(&[0], 480, 2, 4320, Pages::WorkingHours),
            },
            acknowledged_for_max: minutes(7 * 24 * 60),
            management_after: minutes(120),
        }
    }
}
