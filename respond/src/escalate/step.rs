//! What escalation decides, each with its reason.

use std::fmt;
use std::time::Duration;

use gpuwarden_proto::silence::minute;
use gpuwarden_proto::time::{Timestamp, spoken};
use gpuwarden_proto::vocab::{IncidentId, PersonName, ScheduleName, Severity};
use serde::{Deserialize, Serialize};

use crate::oncall::{Because, Level};
use crate::timer::TimerWord;

/// Names a page for ever: whoever delivers does so once for each.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PageId {
    /// Of which incident.
    pub incident: IncidentId,
    /// Which round.
    pub round: u32,
    /// At which level.
    pub level: Level,
    /// Whom.
    pub person: PersonName,
}

impl fmt::Display for PageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}/{}", self.incident, self.round, self.level.as_str(), self.person)
    }
}

/// Somebody is to be told now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// Which page.
    pub id: PageId,
    /// What an answer to it has to name.
    pub version: u32,
    /// The schedule that has this person on call.
    pub schedule: ScheduleName,
    /// Why it has.
    pub because: Because,
    /// Why anybody is paged.
    pub why: Why,
}

/// Why somebody is paged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "why", rename_all = "kebab-case")]
pub enum Why {
    /// There is an incident.
    Opened,
    /// It is more urgent than it was.
    Worse {
        /// What it was.
        from: Severity,
        /// What it is.
        to: Severity,
    },
    /// Whoever had taken it has not said that they still have.
    AcknowledgementEnded {
        /// Who.
        by: String,
    },
    /// Something that fails by itself has joined.
    NewDomain {
        /// What.
        domain: String,
    },
    /// The level below did not answer.
    Unanswered {
        /// Which.
        level: Level,
        /// Within so long.
        waited: Duration,
    },
    /// Nobody is on call below.
    NobodyBelow {
        /// At this level.
        level: Level,
    },
    /// A page below could not be delivered.
    NotDelivered {
        /// To whom.
        person: PersonName,
    },
    /// Nobody answered the rounds before.
    AnotherRound {
        /// Which one this is, counted from 1.
        nth: u32,
    },
    /// A person asked for this level.
    AskedFor {
        /// Who.
        by: String,
    },
    /// It is critical for too long.
    Critical {
        /// So long.
        lasted: Duration,
    },
    /// Nobody else is left.
    LastResort,
    /// It is not held back any more.
    ShownAgain,
    /// It was over, and is not.
    Reopened,
    /// It waited for working hours.
    WorkBegins,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Opened => f.write_str("the incident was opened"),
            Self::Worse { from, to } => write!(f, "it rose from {from} to {to}"),
            Self::AcknowledgementEnded { by } => write!(f, "{by}'s acknowledgement ended"),
            Self::NewDomain { domain } => write!(f, "{domain} joined, which fails by itself"),
            Self::Unanswered { level, waited } => {
                write!(f, "{level} did not answer within {}", spoken(*waited))
            }
            Self::NobodyBelow { level } => write!(f, "nobody is on call at {level}"),
            Self::NotDelivered { person } => write!(f, "the page to {person} was not delivered"),
            Self::AnotherRound { nth } => write!(f, "nobody answered; this is round {nth}"),
            Self::AskedFor { by } => write!(f, "{by} asked for this level"),
            Self::Critical { lasted } => write!(f, "it has been critical for {}", spoken(*lasted)),
            Self::LastResort => f.write_str("nobody else answered"),
            Self::ShownAgain => f.write_str("it is not held back any more"),
            Self::Reopened => f.write_str("the incident was opened again"),
            Self::WorkBegins => f.write_str("working hours began"),
        }
    }
}

/// Why somebody, or nobody, is paged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "why", rename_all = "kebab-case")]
pub enum Silent {
    /// No schedule answers at this level.
    NoSchedule,
    /// Its schedules have nobody on call.
    NobodyOnCall {
        /// Which.
        schedules: Vec<ScheduleName>,
    },
    /// They were paged in this round already.
    AlreadyPaged {
        /// Who.
        person: PersonName,
    },
    /// People are being paged already, and higher levels are still to come.
    AlreadyClimbing,
    /// It can wait for working hours.
    OutsideWorkingHours {
        /// When they begin.
        until: Timestamp,
    },
    /// It is held back.
    HeldBack {
        /// By what.
        by: String,
    },
    /// It is over.
    Over,
}

impl fmt::Display for Silent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSchedule => f.write_str("no schedule answers there"),
            Self::NobodyOnCall { schedules } => {
                let names: Vec<&str> = schedules.iter().map(ScheduleName::as_str).collect();
                write!(f, "nobody is on call in {}", names.join(", "))
            }
            Self::AlreadyPaged { person } => write!(f, "{person} was paged in this round already"),
            Self::AlreadyClimbing => f.write_str("people are being paged already"),
            Self::OutsideWorkingHours { until } => {
                write!(f, "it waits for working hours, which begin {}", minute(*until))
            }
            Self::HeldBack { by } => write!(f, "it is held back by {by}"),
            Self::Over => f.write_str("it is over"),
        }
    }
}

/// What is to be done, or was decided not to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// Somebody is to be told now.
    Page(Page),
    /// Nobody, or not everybody, is told.
    NotPaged {
        /// At this level; `None` where it is about all.
        level: Option<Level>,
        /// Why.
        why: Silent,
    },
    /// Nobody is left who could be paged: it is to be shown wherever people look.
    Exhausted {
        /// After so many rounds.
        rounds: u32,
    },
    /// Somebody has taken it.
    Acknowledged {
        /// Who.
        by: String,
        /// Until when.
        until: Timestamp,
    },
    /// Somebody answered what was not the question any more. Nothing stops.
    LateAcknowledgement {
        /// Who.
        by: String,
        /// What they answered.
        version: u32,
    },
    /// A page could not be delivered.
    NotDelivered(PageId),
    /// A word on a timer, to be written down. Not kept as a decision.
    Timer(TimerWord),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Page(Page { id, schedule, because, why, .. }) => {
                let PageId { level, person, .. } = id;
                write!(f, "{person} paged as {level} ({schedule}, {because}): {why}")
            }
            Self::NotPaged { level: Some(level), why } => write!(f, "{level} not paged: {why}"),
            Self::NotPaged { level: None, why } => write!(f, "nobody paged: {why}"),
            Self::Exhausted { rounds } => write!(f, "nobody is left to page after round {rounds}"),
            Self::Acknowledged { by, until } => write!(f, "taken by {by} until {}", minute(*until)),
            Self::LateAcknowledgement { by, version } => {
                write!(f, "{by} answered version {version} too late: nothing stops for it")
            }
            Self::NotDelivered(id) => write!(f, "page {id} was not delivered"),
            Self::Timer(word) => write!(f, "{word:?}"),
        }
    }
}

/// A step that was decided, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// When.
    pub at: Timestamp,
    /// In which version.
    pub version: u32,
    /// In which round.
    pub round: u32,
    /// What.
    pub step: Step,
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", minute(self.at), self.step)
    }
}
