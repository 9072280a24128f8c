//! What the aggregator makes of events, as people and scripts see it.

use std::sync::Arc;

use serde::Serialize;

use crate::entity::Entity;
use crate::event::{Evidence, Subject, Suspect};
use crate::silence::Suppression;
use crate::time::Timestamp;
use crate::vocab::{
    ChangeKind, ChangeOrigin, GpuUuid, Grade, IncidentId, IncidentState, IncidentType, NodeId,
    RuleId, Severity, TieKind,
};

/// Likely causes that are kept of one incident.
pub const ROOTS_MAX: usize = 5;

/// A likely cause of an incident.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Root {
    /// What.
    pub entity: Entity,
    /// How likely, 0 to 1.
    pub score: f64,
    /// Why, in one sentence.
    pub reason: String,
}

/// One piece of what ties a finding to its incident.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Tie {
    /// Of which kind.
    pub kind: TieKind,
    /// How sure one could be with nothing else, 0 to 1.
    pub weight: f64,
}

/// The change that most likely brought an incident about.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SuspectedChange {
    /// The change itself where somebody recorded it, the version that runs since where an agent saw it.
    pub what: Entity,
    /// How.
    pub kind: ChangeKind,
    /// One sentence.
    pub summary: String,
    /// When it began.
    pub at: Timestamp,
    /// Who did it; empty where nobody told.
    pub by: String,
    /// Who told of it.
    pub origin: ChangeOrigin,
    /// Where more is written; empty where nobody told.
    pub link: String,
    /// How likely, 0 to 1.
    pub score: f64,
    /// Why, in one sentence.
    pub reason: String,
    /// The step of the runbook that takes it back, its commands below it; empty where there is none.
    pub rollback: String,
}

/// A finding that belongs to an incident.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Member {
    /// The node it was found on; `None` for what concerns a service, or was told from elsewhere.
    pub node: Option<NodeId>,
    /// The rule that found it.
    pub rule: RuleId,
    /// What it is about.
    pub subject: Subject,
    /// How bad it is on its own subject.
    pub grade: Grade,
    /// One sentence.
    pub summary: String,
    /// The newest numbers behind it.
    pub evidence: Vec<Evidence>,
    /// Who is blamed.
    pub suspects: Vec<Suspect>,
    /// When it began.
    pub raised_at: Timestamp,
    /// When it was over; `None` while it is active.
    pub cleared_at: Option<Timestamp>,
    /// Why it belongs here.
    pub reason: String,
    /// How sure that is, 0 to 1.
    pub score: f64,
    /// What that rests on, the closest first; empty for the member that the incident was opened for.
    pub ties: Vec<Tie>,
    /// How often it was raised of late, never calm for long between.
    pub raises: u32,
    /// It comes and goes: until it is calm, each time is not told.
    pub flapping: bool,
    /// The GPUs that a model or a server runs on, as far as its node knows.
    pub gpus: Vec<GpuUuid>,
    /// What it names of the fleet, where it is of no node.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub about: Vec<Entity>,
}

impl Member {
    /// Whether it was found on this node.
    #[must_use]
    pub fn is_on(&self, node: &NodeId) -> bool {
        self.node.as_ref() == Some(node)
    }

    /// Whether a tie of this kind speaks for its membership.
    #[must_use]
    pub fn is_tied_by(&self, kind: TieKind) -> bool {
        self.ties.iter().any(|tie| tie.kind == kind)
    }
}

/// One line of an incident's history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TimelineEntry {
    /// When.
    pub at: Timestamp,
    /// What kind of line: `detected`, `classified`, `joined`, `severity`, `cleared`, ….
    pub kind: String,
    /// A person, or `gpuwarden`.
    pub actor: String,
    /// What happened.
    pub text: String,
}

/// What is opened for one cause.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Incident {
    /// Its number.
    pub id: IncidentId,
    /// Its class.
    #[serde(rename = "type")]
    pub kind: IncidentType,
    /// Why that class.
    pub type_reason: String,
    /// How urgent.
    pub severity: Severity,
    /// Why so urgent.
    pub severity_reason: String,
    /// What a person has lowered it from: only what is worse raises it by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overruled: Option<Severity>,
    /// Where it stands.
    pub state: IncidentState,
    /// One sentence: what is broken, where.
    pub title: String,
    /// What belongs to it; the first is the likely cause. Each is shared by all copies of the incident
    /// in which it is the same.
    pub members: Vec<Arc<Member>>,
    /// Its history, shared likewise.
    pub timeline: Vec<Arc<TimelineEntry>>,
    /// When the first member was seen.
    pub opened_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// When it was over.
    pub resolved_at: Option<Timestamp>,
    /// Who has taken it.
    pub acknowledged_by: Option<String>,
    /// Grows by one with each change.
    pub version: u64,
    /// Members that did not fit.
    pub members_dropped: u64,
    /// Timeline entries that did not fit.
    pub timeline_dropped: u64,
    /// The most likely causes, the likeliest first; at most [`ROOTS_MAX`].
    pub roots: Vec<Root>,
    /// What has failed as a whole: a rack, a zone, a cluster, a version of the driver.
    pub scope: Option<Entity>,
    /// The incident that took this one in.
    pub merged_into: Option<IncidentId>,
    /// Incidents of which a person has said that they have another cause: they are never merged by
    /// themselves.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub apart_from: Vec<IncidentId>,
    /// What holds it back, in whole or in part.
    pub suppressed_by: Vec<Suppression>,
    /// Since when all of it is held back; `None` while it is shown.
    pub held_since: Option<Timestamp>,
    /// The change that most likely brought it about.
    pub suspected_change: Option<SuspectedChange>,
}

/// Why a watcher is shown an incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum WatchChange {
    /// It was open when the watch began.
    Snapshot,
    /// It is new.
    Opened,
    /// It changed.
    Changed,
    /// It is over.
    Resolved,
}

impl WatchChange {
    /// All of them.
    pub const ALL: &'static [Self] = &[Self::Snapshot, Self::Opened, Self::Changed, Self::Resolved];

    /// The word on the wire and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Snapshot => "snapshot",
            Self::Opened => "opened",
            Self::Changed => "changed",
            Self::Resolved => "resolved",
        }
    }
}

/// What a watcher is sent.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WatchUpdate {
    /// Why.
    pub change: WatchChange,
    /// The incident as it stands now.
    pub incident: Incident,
}
