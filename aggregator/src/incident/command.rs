//! What a person may do to an incident, and why it may be refused.

use std::collections::BTreeSet;

use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::{IncidentId, IncidentState, Severity};
use thiserror::Error;

use super::timeline::Kind;
use super::{Case, legal, place};

/// The longest name of a person, in bytes.
const BY_MAX_BYTES: usize = 128;
/// The longest text a person may add, in bytes.
const TEXT_MAX_BYTES: usize = 4096;

/// A person's word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Takes it.
    Acknowledge {
        /// Who.
        by: String,
    },
    /// Adds a remark.
    Note {
        /// Who.
        by: String,
        /// What.
        text: String,
    },
    /// Goes on as another.
    Merge {
        /// Who.
        by: String,
        /// As which.
        into: IncidentId,
        /// Why.
        reason: String,
    },
    /// Members have a cause of their own.
    Split {
        /// Who.
        by: String,
        /// Which, counted from 1.
        members: Vec<u32>,
        /// Why.
        reason: String,
    },
    /// Gives it another severity. It falls only so.
    Regrade {
        /// Who.
        by: String,
        /// Which.
        to: Severity,
        /// Why.
        reason: String,
    },
    /// Ends it.
    Resolve {
        /// Who.
        by: String,
        /// Why.
        reason: String,
        /// Although members are active.
        force: bool,
    },
}

/// Why a command had no effect.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refusal {
    /// There is no such incident.
    #[error("there is no incident {0}")]
    Unknown(IncidentId),
    /// It is over.
    #[error("{id} has been resolved at {at}; a new finding opens a new incident")]
    Over {
        /// Which.
        id: IncidentId,
        /// Since when.
        at: Timestamp,
    },
    /// Members are active.
    #[error(
        "{id} has {active} active members ({first}); wait until they clear, or resolve with force \
         and a reason"
    )]
    StillActive {
        /// Which.
        id: IncidentId,
        /// How many.
        active: usize,
        /// One of them.
        first: String,
    },
    /// It cannot go on as itself.
    #[error("{0} cannot be merged into itself")]
    Itself(IncidentId),
    /// These members cannot be taken out.
    #[error("{id} has {members} members, counted from 1: name some of them, and not all")]
    NotToSplit {
        /// Which.
        id: IncidentId,
        /// How many members it has.
        members: usize,
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

impl Case {
    /// Carries out a person's word.
    ///
    /// # Errors
    ///
    /// The refusal says why nothing was done and what would do.
    pub fn command(&mut self, command: Command, now: Timestamp) -> Result<(), Refusal> {
        self.may(&command)?;
        match command {
            Command::Acknowledge { by } => self.acknowledge(by, now),
            Command::Note { by, text } => self.tell(now, Kind::Note, &by, text),
            Command::Resolve { by, reason, .. } => self.resolve(&by, &reason, now),
            Command::Regrade { by, to, reason } => self.regrade(&by, to, &reason, now),
            // What concerns more than this incident is done by who knows the others.
            Command::Merge { .. } | Command::Split { .. } => {}
        }
        self.touch(now);
        Ok(())
    }

    /// Whether a person's word can be carried out.
    ///
    /// # Errors
    ///
    /// The refusal says why not, and what would do.
    pub fn may(&self, command: &Command) -> Result<(), Refusal> {
        let (id, by) = (self.incident.id, command.by());
        bounded("the name of who does it (`by`)", by, BY_MAX_BYTES)?;
        if let (Some(at), false) = (self.incident.resolved_at, command.is_note()) {
            return Err(Refusal::Over { id, at });
        }
        match command {
            Command::Acknowledge { .. } => Ok(()),
            Command::Note { text, .. } => bounded("the text", text, TEXT_MAX_BYTES),
            Command::Merge { reason, .. } | Command::Regrade { reason, .. } => {
                bounded("the reason", reason, TEXT_MAX_BYTES)
            }
            Command::Split { reason, members, .. } => {
                let count = self.incident.members.len();
                let known = |number: &u32| (1..=count).contains(&(*number as usize));
                let distinct: BTreeSet<&u32> = members.iter().collect();
                if members.is_empty() || distinct.len() >= count || !members.iter().all(known) {
                    return Err(Refusal::NotToSplit { id, members: count });
                }
                bounded("the reason", reason, TEXT_MAX_BYTES)
            }
            Command::Resolve { force: false, .. } if self.active > 0 => {
                let first = self.incident.members.iter().find(|m| m.cleared_at.is_none());
                let first = first.map_or_else(String::new, |m| format!("{} {}", place(m), m.rule));
                Err(Refusal::StillActive { id, active: self.active, first })
            }
            Command::Resolve { reason, force: true, .. } => {
                bounded("the reason for resolving with force", reason, TEXT_MAX_BYTES)
            }
            Command::Resolve { reason, force: false, .. } => match reason.as_str() {
                "" => Ok(()),
                reason => bounded("the reason", reason, TEXT_MAX_BYTES),
            },
        }
    }

    fn acknowledge(&mut self, by: String, now: Timestamp) {
        if legal(self.incident.state, IncidentState::Acknowledged)
            && self.incident.state != IncidentState::Quiet
        {
            self.enter(IncidentState::Acknowledged);
        }
        self.tell(now, Kind::Acknowledged, &by, format!("taken by {by}"));
        self.incident.acknowledged_by = Some(by);
    }

    /// What a person has overruled does not raise it again, only what is worse than that.
    fn regrade(&mut self, by: &str, to: Severity, reason: &str, now: Timestamp) {
        let from = self.incident.severity;
        if to == from {
            return;
        }
        self.incident.overruled =
            (to > from).then(|| self.incident.overruled.map_or(from, |before| before.min(from)));
        self.incident.severity = to;
        self.tell(now, Kind::Severity, by, format!("{to} (was {from}): {reason}"));
        self.incident.severity_reason = format!("{by}: {reason}");
    }

    fn resolve(&mut self, by: &str, reason: &str, now: Timestamp) {
        if !self.enter(IncidentState::Resolved) {
            return;
        }
        let text = match (self.active, reason) {
            (0, "") => "resolved".to_owned(),
            (0, reason) => reason.to_owned(),
            (active, reason) => format!("with force, {active} members still active: {reason}"),
        };
        self.incident.resolved_at = Some(now);
        self.tell(now, Kind::Resolved, by, text);
    }
}

impl Command {
    fn by(&self) -> &str {
        match self {
            Self::Acknowledge { by }
            | Self::Note { by, .. }
            | Self::Merge { by, .. }
            | Self::Split { by, .. }
            | Self::Regrade { by, .. }
            | Self::Resolve { by, .. } => by,
        }
    }

    fn is_note(&self) -> bool {
        matches!(self, Self::Note { .. })
    }
}

fn bounded(what: &'static str, text: &str, most: usize) -> Result<(), Refusal> {
    match text.len() {
        0 => Err(Refusal::Missing(what)),
        bytes if bytes > most => Err(Refusal::TooLong { what, bytes, most }),
        _ => Ok(()),
    }
}
