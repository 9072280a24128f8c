//! What happened to an incident in people's hands. Kept for ever; the state is made of it.

use std::fmt;
use std::str::FromStr;

use crate::time::Timestamp;
use crate::vocab::{IncidentId, Severity};
use serde::{Deserialize, Serialize};

use super::checklist::Item;

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
    /// Those who use what is broken were told.
    Informed { whom: String },
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

impl NotOne {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::FalsePositive, Self::Duplicate, Self::Test];

    /// The word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FalsePositive => "false-positive",
            Self::Duplicate => "duplicate",
            Self::Test => "test",
        }
    }
}

impl fmt::Display for NotOne {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for NotOne {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|known| known.as_str() == word);
        known.ok_or_else(|| {
            let words = Self::ALL.map(Self::as_str).join(", ");
            format!("`{word}` is no reason to cancel (one of: {words})")
        })
    }
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

impl ActionKind {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Prevent, Self::Detect, Self::Mitigate, Self::Process, Self::Other];

    /// The word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Prevent => "prevent",
            Self::Detect => "detect",
            Self::Mitigate => "mitigate",
            Self::Process => "process",
            Self::Other => "other",
        }
    }
}

impl fmt::Display for ActionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for ActionKind {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|known| known.as_str() == word);
        known.ok_or_else(|| {
            let words = Self::ALL.map(Self::as_str).join(", ");
            format!("`{word}` is no kind of action (one of: {words})")
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

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Classified { severity, reason } => write!(f, "{severity}: {reason}"),
            Self::SeverityChanged { to, reason } => write!(f, "severity is {to} now: {reason}"),
            Self::Notified { who } => write!(f, "{who} was told"),
            Self::Informed { whom } => write!(f, "stakeholders were told: {whom}"),
            Self::Acknowledged => f.write_str("taken"),
            Self::RunbookStarted { runbook } => write!(f, "runbook {runbook} is run"),
            Self::Mitigated { how } => write!(f, "mitigated: {how}"),
            Self::Resolved { reason, forced } => {
                write!(f, "resolved{}: {reason}", if *forced { " with force" } else { "" })
            }
            Self::Reopened { reason } => write!(f, "opened again: {reason}"),
            Self::ReviewScheduled { at } => write!(f, "the review is held {at}"),
            Self::ReviewOpened => f.write_str("the review is being written"),
            Self::ReviewSubmitted => f.write_str("the review is to be read"),
            Self::ReviewReturned { reason } => write!(f, "the review goes back: {reason}"),
            Self::ReviewApproved => f.write_str("the review is done"),
            Self::Improving => f.write_str("what was decided is being done"),
            Self::Closed => f.write_str("closed"),
            Self::Merged { into, reason } => write!(f, "goes on as {into}: {reason}"),
            Self::Cancelled { why, reason } => write!(f, "no incident ({why}): {reason}"),
            Self::RootCause { text } => write!(f, "root cause: {text}"),
            Self::ActionAdded(ActionItem { number, kind, text, .. }) => {
                write!(f, "action {number} ({kind}): {text}")
            }
            Self::ActionAssigned { number, owner, due } => {
                write!(f, "action {number} is {owner}'s, by {due}")
            }
            Self::ActionDone { number } => write!(f, "action {number} is done"),
            Self::Checked { item, note } if note.is_empty() => write!(f, "ticked {item}"),
            Self::Checked { item, note } => write!(f, "ticked {item}: {note}"),
            Self::Noted { text } => f.write_str(text),
        }
    }
}

impl What {
    /// The word for it in a history.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Classified { .. } => "classified",
            Self::SeverityChanged { .. } => "severity",
            Self::Notified { .. } => "notified",
            Self::Informed { .. } => "informed",
            Self::Acknowledged => "acknowledged",
            Self::RunbookStarted { .. } => "runbook",
            Self::Mitigated { .. } => "mitigated",
            Self::Resolved { .. } => "resolved",
            Self::Reopened { .. } => "reopened",
            Self::ReviewScheduled { .. }
            | Self::ReviewOpened
            | Self::ReviewSubmitted
            | Self::ReviewReturned { .. }
            | Self::ReviewApproved => "review",
            Self::Improving => "improving",
            Self::Closed => "closed",
            Self::Merged { .. } => "merged",
            Self::Cancelled { .. } => "cancelled",
            Self::RootCause { .. } => "root-cause",
            Self::ActionAdded(_) | Self::ActionAssigned { .. } | Self::ActionDone { .. } => {
                "action"
            }
            Self::Checked { .. } => "checked",
            Self::Noted { .. } => "note",
        }
    }
}
