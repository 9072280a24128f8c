//! What people, and we ourselves, may ask for.

use std::fmt;

use crate::time::Timestamp;
use crate::vocab::{IncidentId, Severity};
use serde::{Deserialize, Serialize};

use super::Level;
use super::checklist::Item;
use super::event::{ActionKind, NotOne};

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Actor {
    /// We ourselves, by what was observed.
    Gpuwarden,
    /// Somebody.
    Person(String),
}

impl Actor {
    /// The name in events.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Gpuwarden => "gpuwarden",
            Self::Person(name) => name,
        }
    }

    /// Whether it is a person.
    #[must_use]
    pub const fn is_person(&self) -> bool {
        matches!(self, Self::Person(_))
    }
}

/// A command, and on which state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Who asks.
    pub by: Actor,
    /// The version that they saw; `None` asks for whatever it is by now.
    pub expected: Option<u64>,
    /// What they ask for.
    pub command: Command,
}

/// What a person may ask of the work on an incident.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// A command of its life.
    Command(Command),
    /// Somebody of this level is to be paged now.
    Escalate(Level),
    /// It is expected to be over then; `None` takes back what was said.
    Expect(Option<Timestamp>),
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case")]
pub enum Command {
    /// Give it its first severity.
    Classify {
        /// Which.
        severity: Severity,
        /// Why.
        reason: String,
    },
    /// Give it another. It rises by anybody's word, and falls by a person's.
    Regrade {
        /// Which.
        to: Severity,
        /// Why.
        reason: String,
    },
    /// A message was delivered to somebody who answers for it.
    Notify {
        /// Whom.
        who: String,
    },
    /// Those who use what is broken were told.
    Inform {
        /// Where.
        whom: String,
    },
    /// Take it.
    Acknowledge,
    /// A runbook is run.
    StartRunbook {
        /// Which.
        runbook: String,
    },
    /// It does no harm any more.
    Mitigate {
        /// What did that.
        how: String,
    },
    /// It is over.
    Resolve {
        /// Why; a person who forces it must say so.
        reason: String,
        /// Although members are active.
        force: bool,
    },
    /// It is not over.
    Reopen {
        /// Why.
        reason: String,
    },
    /// Agree on a time for the review.
    ScheduleReview {
        /// When.
        at: Timestamp,
    },
    /// Begin to write the review.
    OpenReview,
    /// It is written.
    SubmitReview,
    /// It is to be written better.
    ReturnReview {
        /// What is missing.
        reason: String,
    },
    /// It is good.
    ApproveReview,
    /// Do what was decided.
    Improve,
    /// Nothing is left to do.
    Close,
    /// Go on as another.
    Merge {
        /// As which.
        into: IncidentId,
        /// Why.
        reason: String,
    },
    /// It was none.
    Cancel {
        /// What it was.
        why: NotOne,
        /// How that is known.
        reason: String,
    },
    /// Say why it happened.
    SetRootCause {
        /// Why.
        text: String,
    },
    /// Say what is to be done.
    AddAction {
        /// What it is good for.
        kind: ActionKind,
        /// What.
        text: String,
    },
    /// Say who does it, and by when.
    AssignAction {
        /// Which.
        number: u32,
        /// Who.
        owner: String,
        /// By when.
        due: Timestamp,
    },
    /// It is done.
    FinishAction {
        /// Which.
        number: u32,
    },
    /// Say that a box of the checklist is true.
    Check {
        /// Which.
        item: Item,
        /// What makes it so.
        note: String,
    },
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Classify { .. } => "classify",
            Self::Regrade { .. } => "regrade",
            Self::Notify { .. } => "notify",
            Self::Inform { .. } => "inform",
            Self::Acknowledge => "acknowledge",
            Self::StartRunbook { .. } => "start-runbook",
            Self::Mitigate { .. } => "mitigate",
            Self::Resolve { .. } => "resolve",
            Self::Reopen { .. } => "reopen",
            Self::ScheduleReview { .. } => "schedule-review",
            Self::OpenReview => "open-review",
            Self::SubmitReview => "submit-review",
            Self::ReturnReview { .. } => "return-review",
            Self::ApproveReview => "approve-review",
            Self::Improve => "improve",
            Self::Close => "close",
            Self::Merge { .. } => "merge",
            Self::Cancel { .. } => "cancel",
            Self::SetRootCause { .. } => "set-root-cause",
            Self::AddAction { .. } => "add-action",
            Self::AssignAction { .. } => "assign-action",
            Self::FinishAction { .. } => "finish-action",
            Self::Check { .. } => "check",
        })
    }
}
