//! Why a command had no effect, and what would do.

use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::{IncidentId, Severity};
use thiserror::Error;

use super::Stage;

/// Why a command had no effect.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refusal {
    /// Something happened that the asker has not seen.
    #[error(
        "{id} is at version {version} ({stage}) and you saw {expected}; look again, and ask again \
         if you still want it"
    )]
    Moved {
        /// Which incident.
        id: IncidentId,
        /// What was seen.
        expected: u64,
        /// What it is.
        version: u64,
        /// Where it stands.
        stage: Stage,
    },
    /// Not at this stage.
    #[error("{id} is {stage}: {command} has no meaning there; {instead}")]
    NotNow {
        /// Which incident.
        id: IncidentId,
        /// Where it stands.
        stage: Stage,
        /// What was asked for.
        command: String,
        /// What would do.
        instead: &'static str,
    },
    /// Members are active.
    #[error(
        "{id} has {active} active members ({first}); wait until they clear, or resolve with force \
         and a reason"
    )]
    StillActive {
        /// Which incident.
        id: IncidentId,
        /// How many.
        active: usize,
        /// One of them.
        first: String,
    },
    /// Only a person may.
    #[error("only a person may {0}")]
    PersonsOnly(&'static str),
    /// It would go without its review.
    #[error("{id} was {worst}, which is not done without a review: open-review first")]
    ReviewFirst {
        /// Which incident.
        id: IncidentId,
        /// The most urgent it was.
        worst: Severity,
    },
    /// Whoever wrote it may not approve it.
    #[error("{0} wrote the review: somebody else approves it")]
    OwnReview(String),
    /// The review would be too late, or is in the past.
    #[error("the review is to be held between {from} and {until}")]
    NotThen {
        /// From when on.
        from: Timestamp,
        /// Until when.
        until: Timestamp,
    },
    /// Something is missing.
    #[error("{id} cannot {command} yet: {}", missing.join("; "))]
    Incomplete {
        /// Which incident.
        id: IncidentId,
        /// What was asked for.
        command: String,
        /// What, each with what to do.
        missing: Vec<String>,
    },
    /// It is over for too long.
    #[error(
        "{id} has been over since {since}, too long to reopen it; open a new incident and note {id} \
         there"
    )]
    TooLate {
        /// Which incident.
        id: IncidentId,
        /// Since when.
        since: Timestamp,
    },
    /// It cannot go on as itself.
    #[error("{0} cannot be merged into itself")]
    Itself(IncidentId),
    /// There is no such action.
    #[error("{id} has no action {number}; it has {count}, counted from 1")]
    NoAction {
        /// Which incident.
        id: IncidentId,
        /// Which action.
        number: u32,
        /// How many there are.
        count: usize,
    },
    /// A limit.
    #[error("{id} has {count} actions already, at most that many are kept")]
    TooManyActions {
        /// Which incident.
        id: IncidentId,
        /// How many there are.
        count: usize,
    },
    /// Something must be said and was not.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// Too much was said.
    #[error("{what} has {bytes} bytes, at most {most} are kept")]
    TooLong {
        /// What.
        what: &'static str,
        /// Its size.
        bytes: usize,
        /// What would do.
        most: usize,
    },
}
