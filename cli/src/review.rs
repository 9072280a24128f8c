//! `gpuwarden review`: what is looked back upon, and what is to be done so that it does not happen
//! again.

use clap::Subcommand;
use gpuwarden_proto::convert::Asked;
use gpuwarden_proto::silence::minute;
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::IncidentId;
use gpuwarden_proto::work::{ActionKind, Ask, Command, Work};
use serde::Serialize;

use crate::args::{Format, incident_id};
use crate::client::{Aggregator, Client};
use crate::clock;
use crate::incidents::order::Seen;
use crate::incidents::work as shown;
use crate::screen::Screen;
use crate::table::{fixed, flexible, render};
use crate::text::Paint;

/// `gpuwarden review`.
#[derive(Debug, Subcommand)]
pub enum Review {
    /// List incidents whose review or actions are waited for, and all that are open.
    List,
    /// Agree on a time for the review, in RFC 3339.
    Schedule {
        /// The incident's number.
        #[arg(value_parser = incident_id)]
        id: IncidentId,
        /// When.
        at: Timestamp,
        /// Who says so, and which version they saw.
        #[command(flatten)]
        seen: Seen,
    },
    /// Begin to write it.
    Open(Step),
    /// Say that it is written, to be read by somebody else.
    Submit(Step),
    /// Say that it is good. Whoever wrote it may not.
    Approve(Step),
    /// Send it back.
    Return {
        /// The incident's number.
        #[arg(value_parser = incident_id)]
        id: IncidentId,
        /// What is missing in it.
        #[arg(long)]
        reason: String,
        /// Who says so, and which version they saw.
        #[command(flatten)]
        seen: Seen,
    },
    /// Begin to do what was decided.
    Improve(Step),
    /// Say what is to be done.
    Action {
        /// The incident's number.
        #[arg(value_parser = incident_id)]
        id: IncidentId,
        /// What it is good for: prevent, detect, mitigate, process or other.
        kind: ActionKind,
        /// What.
        text: String,
        /// Who says so, and which version they saw.
        #[command(flatten)]
        seen: Seen,
    },
    /// Say who does it, and by when, in RFC 3339.
    Assign {
        /// The incident's number.
        #[arg(value_parser = incident_id)]
        id: IncidentId,
        /// The action's number.
        number: u32,
        /// Who does it.
        #[arg(long)]
        owner: String,
        /// By when.
        #[arg(long)]
        due: Timestamp,
        /// Who says so, and which version they saw.
        #[command(flatten)]
        seen: Seen,
    },
    /// Say that an action is done.
    Done {
        /// The incident's number.
        #[arg(value_parser = incident_id)]
        id: IncidentId,
        /// The action's number.
        number: u32,
        /// Who says so, and which version they saw.
        #[command(flatten)]
        seen: Seen,
    },
}

/// A step of one incident.
#[derive(Debug, Clone, clap::Args)]
pub struct Step {
    /// The incident's number.
    #[arg(value_parser = incident_id)]
    id: IncidentId,
    /// Who says so, and which version they saw.
    #[command(flatten)]
    seen: Seen,
}

/// The JSON document of a list.
#[derive(Debug, Serialize)]
struct Works {
    work: Vec<Work>,
}

/// Does what was asked for.
pub async fn run(
    command: Review,
    aggregator: &Aggregator,
    mut screen: Screen,
) -> anyhow::Result<()> {
    let mut client = Client::connect(aggregator).await?;
    let Some(asked) = command.asked() else {
        let work = client.works().await?;
        match screen.format {
            Format::Json => screen.json(&Works { work })?,
            Format::Table => screen.text(&list(&work, screen.paint))?,
        }
        return Ok(());
    };
    let work = client.order(asked).await?;
    match screen.format {
        Format::Json => screen.json(&work)?,
        Format::Table => screen.line(&shown::answer(&work, clock::now(), screen.paint))?,
    }
    Ok(())
}

impl Review {
    /// What is ordered; `None` where something is asked.
    fn asked(self) -> Option<Asked> {
        let (id, command, seen) = match self {
            Self::List => return None,
            Self::Schedule { id, at, seen } => (id, Command::ScheduleReview { at }, seen),
            Self::Open(step) => (step.id, Command::OpenReview, step.seen),
            Self::Submit(step) => (step.id, Command::SubmitReview, step.seen),
            Self::Approve(step) => (step.id, Command::ApproveReview, step.seen),
            Self::Return { id, reason, seen } => (id, Command::ReturnReview { reason }, seen),
            Self::Improve(step) => (step.id, Command::Improve, step.seen),
            Self::Action { id, kind, text, seen } => (id, Command::AddAction { kind, text }, seen),
            Self::Assign { id, number, owner, due, seen } => {
                (id, Command::AssignAction { number, owner, due }, seen)
            }
            Self::Done { id, number, seen } => (id, Command::FinishAction { number }, seen),
        };
        Some((id, seen.by.by, seen.version, Ask::Command(command)))
    }
}

/// What is not closed, a line each.
fn list(works: &[Work], paint: Paint) -> String {
    if works.is_empty() {
        return "Nothing is open, and no review or action is waited for.\n".to_owned();
    }
    let row = |work: &Work| {
        let open = work.actions.iter().filter(|action| action.done_at.is_none()).count();
        let actions = match work.actions.len() {
            0 => "none".to_owned(),
            all => format!("{open} of {all} open"),
        };
        let cause = work.root_cause.as_deref().unwrap_or("not said");
        [
            work.incident.to_string().as_str().into(),
            work.worst.into(),
            work.stage.as_str().into(),
            work.review_at.map_or_else(String::new, minute).as_str().into(),
            actions.as_str().into(),
            cause.into(),
        ]
    };
    let columns = [
        fixed("ID"),
        fixed("WORST"),
        fixed("STAGE"),
        fixed("REVIEW"),
        fixed("ACTIONS"),
        flexible("ROOT CAUSE"),
    ];
    render(columns, &works.iter().map(row).collect::<Vec<_>>(), paint)
}
