//! What a person asks of the work on an incident.

use std::time::Duration;

use clap::Subcommand;
use gpuwarden_proto::convert::Asked;
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::{IncidentId, Severity};
use gpuwarden_proto::work::checklist::Item;
use gpuwarden_proto::work::{Ask, Command, Level, NotOne};

use crate::args::{By, duration, incident_id};

/// Orders that concern the work on an incident.
#[derive(Debug, Clone, Subcommand)]
pub enum Order {
    /// Page a level now: l1, l2, l3 or management.
    Escalate {
        /// The incident's number.
        #[arg(value_parser = incident_id)]
        id: IncidentId,
        /// The level.
        #[arg(long)]
        to: Level,
        /// Who asks, and which version they saw.
        #[command(flatten)]
        seen: Seen,
    },
    /// Say that it does no harm any more, although it is not over.
    Mitigate {
        /// Its number.
        #[arg(value_parser = incident_id)]
        id: IncidentId,
        /// What did that.
        #[arg(long)]
        how: String,
        /// Who says so, and which version they saw.
        #[command(flatten)]
        seen: Seen,
    },
    /// Open again what was over a short while ago.
    Reopen {
        /// Its number.
        #[arg(value_parser = incident_id)]
        id: IncidentId,
        /// Why.
        #[arg(long)]
        reason: String,
        /// Who says so, and which version they saw.
        #[command(flatten)]
        seen: Seen,
    },
    /// Say that it was no incident, and end it.
    Cancel {
        /// Its number.
        #[arg(value_parser = incident_id)]
        id: IncidentId,
        /// What it was: false-positive, duplicate or test.
        #[arg(long)]
        why: NotOne,
        /// How that is known.
        #[arg(long)]
        reason: String,
        /// Who says so, and which version they saw.
        #[command(flatten)]
        seen: Seen,
    },
    /// Give it another severity. By itself a severity only rises.
    Severity {
        /// Its number.
        #[arg(value_parser = incident_id)]
        id: IncidentId,
        /// Which: P1, P2, P3 or P4.
        to: Severity,
        /// Why.
        #[arg(long)]
        reason: String,
        /// Who says so, and which version they saw.
        #[command(flatten)]
        seen: Seen,
    },
    /// Say when it will be over; those who were told hear of it.
    Expect {
        /// Its number.
        #[arg(value_parser = incident_id)]
        id: IncidentId,
        /// In so long, e.g. 45m or 2h.
        #[arg(long = "in", value_name = "TIME", value_parser = duration)]
        #[arg(required_unless_present_any = ["at", "unknown"], conflicts_with_all = ["at", "unknown"])]
        within: Option<Duration>,
        /// At this instant, in RFC 3339.
        #[arg(long, value_name = "INSTANT", conflicts_with = "unknown")]
        at: Option<Timestamp>,
        /// Nobody knows any more.
        #[arg(long)]
        unknown: bool,
        /// Who says so, and which version they saw.
        #[command(flatten)]
        seen: Seen,
    },
    /// Say why it happened.
    Cause {
        /// Its number.
        #[arg(value_parser = incident_id)]
        id: IncidentId,
        /// Why, in a sentence or some.
        text: String,
        /// Who says so, and which version they saw.
        #[command(flatten)]
        seen: Seen,
    },
    /// Tick a box of the checklist for which there is no evidence.
    Check {
        /// Its number.
        #[arg(value_parser = incident_id)]
        id: IncidentId,
        /// The box, e.g. stakeholders-informed or runbook-executed.
        item: Item,
        /// What makes it true.
        #[arg(long, default_value = "")]
        note: String,
        /// Who says so, and which version they saw.
        #[command(flatten)]
        seen: Seen,
    },
    /// Say that nothing is left to do. What was P1 or P2 must have had its review.
    Close {
        /// Its number.
        #[arg(value_parser = incident_id)]
        id: IncidentId,
        /// Who says so, and which version they saw.
        #[command(flatten)]
        seen: Seen,
    },
}

/// Who asks, and what they saw.
#[derive(Debug, Clone, clap::Args)]
pub struct Seen {
    /// Who.
    #[command(flatten)]
    pub by: By,
    /// Only if it is still at this version, as `incidents show` says.
    #[arg(long, value_name = "N")]
    pub version: Option<u64>,
}

impl Order {
    /// What is asked of the aggregator.
    pub fn asked(self, now: Timestamp) -> Asked {
        let command = |id, command, seen| (id, Ask::Command(command), seen);
        let (id, ask, seen): (IncidentId, Ask, Seen) = match self {
            Self::Escalate { id, to, seen } => (id, Ask::Escalate(to), seen),
            Self::Mitigate { id, how, seen } => command(id, Command::Mitigate { how }, seen),
            Self::Reopen { id, reason, seen } => command(id, Command::Reopen { reason }, seen),
            Self::Cancel { id, why, reason, seen } => {
                command(id, Command::Cancel { why, reason }, seen)
            }
            Self::Severity { id, to, reason, seen } => {
                command(id, Command::Regrade { to, reason }, seen)
            }
            Self::Expect { id, within, at, seen, .. } => {
                let at = at.or(within.map(|within| now.after(within)));
                (id, Ask::Expect(at), seen)
            }
            Self::Cause { id, text, seen } => command(id, Command::SetRootCause { text }, seen),
            Self::Check { id, item, note, seen } => {
                command(id, Command::Check { item, note }, seen)
            }
            Self::Close { id, seen } => command(id, Command::Close, seen),
        };
        (id, seen.by.by, seen.version, ask)
    }
}
