//! What happened to an incident in people's hands. Kept for ever; the state is made of it.

use std::fmt;

use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::{IncidentId, Severity};
use serde::{Deserialize, Serialize};

use crate::checklist::Item;

/// What happened, when, and who did it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When.
    pub at: Timestamp,
    /// A person, or `gpuwarden`.
    pub by: String,
    /// What.
    pub what: What,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the fields are those of the commands, which explain them")]
pub enum What {
    /// It has a severity.
    Classified { severity: Severity, reason: String },
    /// It has another.
    SeverityChanged { to: Severity, reason: String },
    /// Somebody was told.
    Notified { who: String },
    /// Somebody has taken it.
    Acknowledged,
    /// A runbook works on it.
    RunbookStarted { runbook: String },
    /// It does no harm any more.
    Mitigated { how: String },
    /// It is over.
    Resolved { reason: String, forced: bool },
    /// It is not.
    Reopened { reason: String },
    /// Its review has a time.
    ReviewScheduled { at: Timestamp },
    /// Its review is being written.
    ReviewOpened,
    /// Its review is being read.
    ReviewSubmitted,
    /// Its review is to be written better.
    ReviewReturned { reason: String },
    /// Its review is done.
    ReviewApproved,
    /// What was decided is being done.
    Improving,
    /// Nothing is left to do.
    Closed,
    /// It goes on as another.
    Merged { into: IncidentId, reason: String },
    /// It was none.
    Cancelled { why: NotOne, reason: String },
    /// Why it happened.
    RootCause { text: String },
    /// Something is to be done.
    ActionAdded(ActionItem),
    /// Somebody does it.
    ActionAssigned { number: u32, owner: String, due: Timestamp },
    /// It is done.
    ActionDone { number: u32 },
    /// Somebody says that a box is true.
    Checked { item: Item, note: String },
    /// A remark, such as an acknowledgement that came when it was over.
    Noted { text: String },
}

/// Why something was no incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NotOne {
    /// Nothing was wrong.
    FalsePositive,
    /// It was known already.
    Duplicate,
    /// Somebody tried something.
    Test,
}

/// What an action is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ActionKind {
    /// It does not happen again.
    Prevent,
    /// It is found sooner.
    Detect,
    /// It does less harm.
    Mitigate,
    /// People work better together, runbooks included.
    Process,
    /// Anything else.
    Other,
}

impl fmt::Display for ActionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Prevent => "prevent",
            Self::Detect => "detect",
            Self::Mitigate => "mitigate",
            Self::Process => "process",
            Self::Other => "other",
        })
    }
}

/// Something to be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActionItem {
    /// Counted from 1.
    pub number: u32,
    /// What it is good for.
    pub kind: ActionKind,
    /// What.
    pub text: String,
    /// Who does it.
    pub owner: Option<String>,
    /// By when.
    pub due: Option<Timestamp>,
    /// When it was done.
    pub done_at: Option<Timestamp>,
}

impl ActionItem {
    /// Whether it has an owner and a date.
    #[must_use]
    pub const fn is_tracked(&self) -> bool {
        self.owner.is_some() && self.due.is_some()
    }
}
