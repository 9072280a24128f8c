//! The work on an incident as people and scripts see it.

use serde::{Deserialize, Serialize};

use super::checklist::Item;
use super::{ActionItem, Level, Stage, Standing};
use crate::incident::TimelineEntry;
use crate::time::Timestamp;
use crate::vocab::{IncidentId, Severity};

/// The work on one incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Work {
    /// Which.
    pub incident: IncidentId,
    /// Where it stands.
    pub stage: Stage,
    /// Grows by one with each event; a person's order names the one they saw.
    pub version: u64,
    /// How urgent it is.
    pub severity: Severity,
    /// The most urgent it was.
    pub worst: Severity,
    /// Who has taken it, and answers for it.
    pub owner: Option<String>,
    /// By when an answer is wanted, or was.
    pub respond_by: Timestamp,
    /// How that goes.
    pub standing: Standing,
    /// Whether people are being paged.
    pub paging: Phase,
    /// The highest level that was paged in this round.
    pub reached: Option<Level>,
    /// When the next page is due, if nobody answers.
    pub next_page_at: Option<Timestamp>,
    /// When it is expected to be over, as somebody said.
    pub expected_over: Option<Expected>,
    /// When it was detected.
    pub detected_at: Timestamp,
    /// Since when it does no harm.
    pub mitigated_at: Option<Timestamp>,
    /// Since when it is over.
    pub resolved_at: Option<Timestamp>,
    /// When its review is held.
    pub review_at: Option<Timestamp>,
    /// Why it happened.
    pub root_cause: Option<String>,
    /// The boxes of the handbook, in its order.
    pub checklist: Vec<CheckBox>,
    /// What is to be done so that it does not happen again.
    pub actions: Vec<ActionItem>,
    /// How often it was opened again.
    pub reopened: u32,
    /// What people and escalation did, and why somebody was or was not paged, in order.
    pub history: Vec<TimelineEntry>,
    /// What was told to whom.
    pub notices: Vec<Notice>,
}

/// Whether people are being paged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum Phase {
    /// Working hours have to begin first.
    Waiting,
    /// They are.
    Climbing,
    /// Somebody has taken it.
    Acknowledged {
        /// Who.
        by: String,
        /// Until when; then people are paged again.
        until: Timestamp,
    },
    /// Nobody answered, and nobody is left.
    Exhausted,
    /// It does no harm any more.
    Mitigated,
    /// It is held back.
    Held {
        /// By what.
        by: String,
    },
    /// It is over.
    Over,
}

/// When something is expected to be over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expected {
    /// When.
    pub at: Timestamp,
    /// Who said so.
    pub by: String,
    /// When they said it.
    pub said_at: Timestamp,
}

/// A box of the checklist.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CheckBox {
    /// Which.
    pub item: Item,
    /// Whether the incident is not closed without it.
    pub needed: bool,
    /// Since when it is true; `None` while it is not.
    pub ticked_at: Option<Timestamp>,
    /// What makes it so; empty while it is not.
    pub proof: String,
}

/// Something that was told, or is on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Notice {
    /// When it was asked for.
    pub at: Timestamp,
    /// To where.
    pub destination: String,
    /// What: a page, an update, that it is over, or something that is made known.
    pub kind: String,
    /// Where it stands: `waiting`, `sent`, `told`, `superseded` or `dead`.
    pub state: String,
    /// Why it is not told yet, or will not be; empty where nothing is wrong.
    pub fault: String,
}
