//! Response clocks: how long people have from detection to acknowledgement, and how that goes.
//!
//! ```text
//!            ┌───────── held back ─────────┐
//!            ▼                             │
//!      ┌─────────┐   shown again    ┌─────────┐   acknowledged, resolved, withdrawn   ┌─────────┐
//!      │ stopped │ ───────────────► │ running │ ────────────────────────────────────► │ settled │
//!      └─────────┘                  └─────────┘                                       └─────────┘
//!                                        ▲     reopened; worse after it was answered       │
//!                                        └─────────────────────────────────────────────────┘
//! ```
//!
//! A clock that is late stays late: what is answered after that is an answer that was not kept.

mod clock;

use std::time::Duration;

use gpuwarden_proto::time::Timestamp;

use crate::by_severity::BySeverity;
use crate::calendar::Calendar;

pub use clock::{Answer, Clock, Effect, How, Input, Phase, Standing, Terms};

/// How long people have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// So long, by day and by night.
    Within(Duration),
    /// So long, of working time.
    Working(Duration),
    /// Until the end of the next business day.
    NextBusinessDay,
}

impl Target {
    /// When it is over, counted from `from`.
    #[must_use]
    pub fn due(self, from: Timestamp, calendar: &Calendar) -> Timestamp {
        match self {
            Self::Within(time) => from.after(time),
            Self::Working(time) => calendar.add(from, time),
            Self::NextBusinessDay => calendar.next_business_day(from).to,
        }
    }

    /// When `tenths` tenths of the time from `from` to `due` are over. Of what is counted in
    /// working time, that is working time too: nobody hurries at night for a P4.
    fn tenths(
        self,
        tenths: u32,
        from: Timestamp,
        due: Timestamp,
        calendar: &Calendar,
    ) -> Timestamp {
        let at = match self {
            Self::Within(_) => from.after(due.since(from) / 10 * tenths),
            Self::Working(_) | Self::NextBusinessDay => {
                calendar.add(from, calendar.between(from, due) / 10 * tenths)
            }
        };
        at.min(due)
    }
}

/// A target for each severity.
pub type Targets = BySeverity<Target>;

impl Default for Targets {
    fn default() -> Self {
        let minutes = |minutes: u64| Target::Within(Duration::from_secs(minutes * 60));
        let (p1, p2, p3) = (minutes(15), minutes(60), minutes(4 * 60));
        Self { p1, p2, p3, p4: Target::NextBusinessDay }
    }
}

#[cfg(test)]
mod tests;
