//! Who is on call, and who takes over.

use serde::Serialize;

use crate::time::Timestamp;
use crate::vocab::{PersonName, ScheduleName};
use crate::work::Level;

/// Who is on call in one schedule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OnCall {
    /// The schedule.
    pub schedule: ScheduleName,
    /// The levels at which it answers.
    pub levels: Vec<Level>,
    /// Who is on; `None` where nobody is.
    pub who: Option<PersonName>,
    /// Until when; `None` where no end is near.
    pub until: Option<Timestamp>,
    /// Why it is them, in words, in the zone of the schedule.
    pub sentence: String,
    /// The next changes, in words.
    pub next: Vec<String>,
}

/// Somebody takes over for a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakeOver {
    /// In which schedule.
    pub schedule: ScheduleName,
    /// Who takes over.
    pub who: PersonName,
    /// From when on; `None` is now.
    pub from: Option<Timestamp>,
    /// Until when.
    pub to: Timestamp,
    /// Who says so.
    pub by: String,
}
