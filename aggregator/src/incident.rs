//! One incident and its life. Pure: what time it is comes as an argument.
//!
//! ```text
//!            a person takes it
//!   ┌──────┐ ────────────────► ┌──────────────┐
//!   │ open │                   │ acknowledged │
//!   └──────┘ ◄──┐         ┌──► └──────────────┘
//!      │ │      │ a member│           │ │
//!      │ │      │ again   │           │ │
//!      │ │   ┌──┴─────────┴┐          │ │
//!      │ └──►│    quiet    │◄─────────┘ │   no member is active
//!      │     └─────────────┘            │
//!      │            │ quiet period      │
//!      │            ▼                   │
//!      │     ┌─────────────┐            │
//!      └────►│  resolved   │◄───────────┘   by a person's word, or merged
//!            └─────────────┘
//!                   │ the same again soon: back to open, and nobody has taken it
//! ```
//!
//! Silence never clears a member: only the node's own word does.

mod activity;
mod command;
mod held;
mod timeline;

use std::collections::BTreeSet;
use std::sync::Arc;

use gpuwarden_proto::entity::Entity;
use gpuwarden_proto::event::{Finding, Subject};
use gpuwarden_proto::incident::{Incident, Member, Root, SuspectedChange, Tie};
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::{IncidentId, IncidentState, IncidentType, NodeId, RuleId, Severity};

use crate::correlate::evidence::Reasons;

pub use command::{Command, Refusal};
pub use held::{Settled, Suppressed};
pub use timeline::{Kind, SELF};

/// Pieces of evidence kept of one finding.
const EVIDENCE_MAX: usize = 16;
/// Suspects kept of one finding.
const SUSPECTS_MAX: usize = 8;
/// What history says when a change is suspected no more.
const UNSUSPECTED: &str = "no change is suspected any more";
/// Bytes kept of a summary.
const SUMMARY_MAX_BYTES: usize = 512;

/// How much one incident may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Members; more are counted.
    pub members: usize,
    /// Lines of history; more are counted.
    pub timeline: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { members: 500, timeline: 200 }
    }
}

/// Which changes of state there are.
#[must_use]
pub const fn legal(from: IncidentState, to: IncidentState) -> bool {
    use IncidentState::{Acknowledged, Open, Quiet, Resolved};
    matches!(
        (from, to),
        (Open, Acknowledged | Quiet | Resolved)
            | (Acknowledged, Quiet | Resolved)
            | (Quiet, Open | Acknowledged | Resolved)
            | (Resolved, Open)
    )
}

/// An incident in work: what people see of it, and what is needed to carry it on.
#[derive(Debug, Clone)]
pub struct Case {
    incident: Incident,
    limits: Limits,
    /// Active members, with those that did not fit.
    active: usize,
    quiet_since: Option<Timestamp>,
    scope: Option<Scope>,
    /// What history last says of a suspected change; `None` when there is none.
    suspicion_told: Option<String>,
    held: Settled,
}

/// What has failed as a whole, and since when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// A rack, a zone, a version of the driver.
    pub entity: Entity,
    /// What its parts have.
    pub rule: RuleId,
    /// When its first part failed.
    pub at: Timestamp,
}

/// Class or urgency, with the reason for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Because<T> {
    /// What.
    pub what: T,
    /// Why.
    pub reason: String,
}

impl Case {
    /// Opens an incident for its first member.
    #[must_use]
    pub fn open(
        id: IncidentId,
        cause: Member,
        kind: Because<IncidentType>,
        severity: Because<Severity>,
        limits: Limits,
        now: Timestamp,
    ) -> Self {
        let detected = format!("{}: {}", place(&cause), cause.summary);
        let classified = format!("{}: {}", kind.what, kind.reason);
        let graded = format!("{}: {}", severity.what, severity.reason);
        let incident = Incident {
            id,
            kind: kind.what,
            type_reason: kind.reason,
            severity: severity.what,
            severity_reason: severity.reason,
            overruled: None,
            state: IncidentState::Open,
            title: String::new(),
            opened_at: cause.raised_at,
            members: vec![Arc::new(cause)],
            timeline: Vec::new(),
            updated_at: now,
            resolved_at: None,
            acknowledged_by: None,
            version: 1,
            members_dropped: 0,
            timeline_dropped: 0,
            roots: Vec::new(),
            merged_into: None,
            apart_from: Vec::new(),
            scope: None,
            suppressed_by: Vec::new(),
            held_since: None,
            suspected_change: None,
        };
        let mut case = Self {
            incident,
            limits,
            active: 1,
            quiet_since: None,
            scope: None,
            suspicion_told: None,
            held: Settled::default(),
        };
        case.entitle();
        case.tell(now, Kind::Detected, SELF, detected);
        case.tell(now, Kind::Classified, SELF, classified);
        case.tell(now, Kind::Severity, SELF, graded);
        case
    }

    /// Takes up an incident again that was stored. A quiet period begins anew, since nobody
    /// listened meanwhile.
    #[must_use]
    pub fn restore(incident: Incident, limits: Limits, now: Timestamp) -> Self {
        let active = incident.members.iter().filter(|m| m.cleared_at.is_none()).count();
        let quiet_since = (incident.state == IncidentState::Quiet).then_some(now);
        let scope = incident.scope.clone();
        let scope = scope.zip(incident.members.first()).map(|(entity, first)| Scope {
            entity,
            rule: first.rule,
            at: incident.opened_at,
        });
        let mut history = incident.timeline.iter().rev();
        let told = history.find(|entry| entry.kind == Kind::Suspected.as_str());
        let told = told.map(|entry| entry.text.clone());
        let suspicion_told = told.filter(|text| text != UNSUSPECTED);
        let held = Settled::of(&incident);
        Self { incident, limits, active, quiet_since, scope, suspicion_told, held }
    }

    /// Opens an incident for a member that was part of another, be it active or not.
    #[must_use]
    pub fn open_with(
        id: IncidentId,
        first: Member,
        kind: Because<IncidentType>,
        severity: Because<Severity>,
        limits: Limits,
        now: Timestamp,
    ) -> Self {
        let over = first.cleared_at.is_some();
        let mut case = Self::open(id, first, kind, severity, limits, now);
        if over {
            case.active = 0;
            case.rest(now);
        }
        case
    }

    /// A person has said that another incident has another cause.
    pub fn be_apart(&mut self, other: IncidentId) {
        if !self.incident.apart_from.contains(&other) {
            self.incident.apart_from.push(other);
        }
    }

    /// A person has said that another incident has the same cause.
    pub fn be_apart_no_more(&mut self, other: IncidentId) {
        self.incident.apart_from.retain(|each| *each != other);
    }

    /// Adds what ties all members to where they are or go.
    pub fn tie_all(&mut self, tie: Tie) {
        for member in self.incident.members.iter_mut().map(Arc::make_mut) {
            member.ties.retain(|each| each.kind != tie.kind);
            member.ties.push(tie);
        }
    }

    /// What people see.
    #[must_use]
    pub fn incident(&self) -> &Incident {
        &self.incident
    }

    /// Members that are active, with those that did not fit.
    #[must_use]
    pub fn active(&self) -> usize {
        self.active
    }

    /// What has failed as a whole, if anything has.
    #[must_use]
    pub fn scope(&self) -> Option<&Scope> {
        self.scope.as_ref()
    }

    /// The whole of `entity` has failed.
    pub fn widen(&mut self, entity: Entity, rule: RuleId, reason: &str, now: Timestamp) {
        let members = self.incident.members.iter().map(|member| member.raised_at);
        let at = members.min().unwrap_or(now);
        self.tell(now, Kind::Cause, SELF, format!("likely cause is now {entity}: {reason}"));
        self.incident.scope = Some(entity.clone());
        self.scope = Some(Scope { entity, rule, at });
        self.entitle();
        self.touch(now);
    }

    /// Takes members out that have a cause of their own, which is another incident.
    pub fn part(
        &mut self,
        slots: &BTreeSet<usize>,
        into: IncidentId,
        reason: &str,
        now: Timestamp,
    ) -> Vec<Member> {
        let all = std::mem::take(&mut self.incident.members).into_iter().enumerate();
        let (out, kept): (Vec<_>, Vec<_>) = all.partition(|(slot, _)| slots.contains(slot));
        let out = out.into_iter().map(|(_, member)| Arc::unwrap_or_clone(member));
        let out: Vec<Member> = out.collect();
        self.incident.members = kept.into_iter().map(|(_, member)| member).collect();
        let active = out.iter().filter(|member| member.cleared_at.is_none()).count();
        self.active = self.active.saturating_sub(active);
        for member in &out {
            let text = format!("{} goes to {into}: {reason}", place(member));
            self.tell(now, Kind::Parted, SELF, text);
        }
        self.reclassify(now);
        self.rest(now);
        self.entitle();
        self.touch(now);
        out
    }

    /// The most likely causes, the likeliest first.
    pub fn rank(&mut self, roots: Vec<Root>) {
        self.incident.roots = roots;
    }

    /// The change that most likely brought it about.
    pub fn suspect(&mut self, suspected: Option<SuspectedChange>) {
        self.incident.suspected_change = suspected;
    }

    /// A line of history when another change is suspected than was told last. Says whether it is.
    pub fn tell_suspicion(&mut self) -> bool {
        let now = self.incident.suspected_change.as_ref();
        let now = now.map(|SuspectedChange { what, kind, summary, .. }| {
            format!("{what} is suspected ({kind}): {summary}")
        });
        if now == self.suspicion_told {
            return false;
        }
        let text = now.clone().unwrap_or_else(|| UNSUSPECTED.to_owned());
        self.suspicion_told = now;
        self.tell(self.incident.updated_at, Kind::Suspected, SELF, text);
        true
    }

    /// Adds a member. `None` when it is counted only, because the incident is full.
    pub fn join(&mut self, member: Member, now: Timestamp) -> Option<usize> {
        let text = format!("{}: {} ({})", place(&member), member.summary, member.reason);
        let active = member.cleared_at.is_none();
        self.active += usize::from(active);
        self.incident.opened_at = self.incident.opened_at.min(member.raised_at);
        let slot = if self.incident.members.len() < self.limits.members {
            self.incident.members.push(Arc::new(member));
            self.tell(now, Kind::Joined, SELF, text);
            Some(self.incident.members.len() - 1)
        } else {
            self.incident.members_dropped += 1;
            None
        };
        if active {
            self.awake(now);
        }
        self.entitle();
        self.touch(now);
        slot
    }

    /// Makes the member at `slot` the likely cause.
    pub fn promote(&mut self, slot: usize, kind: Because<IncidentType>, now: Timestamp) {
        self.incident.members.swap(0, slot);
        let cause = place(&self.incident.members[0]);
        self.tell(now, Kind::Cause, SELF, format!("likely cause is now {cause}: {}", kind.reason));
        self.retype(kind, now);
        self.entitle();
        self.touch(now);
    }

    /// Gives the class that its members have now.
    pub fn reclassify(&mut self, now: Timestamp) {
        if let Some(kind) = crate::classify::classify(&self.incident.members)
            && kind.what != self.incident.kind
        {
            self.retype(kind, now);
        }
    }

    /// Gives the class, with a line of history when it is another.
    fn retype(&mut self, kind: Because<IncidentType>, now: Timestamp) {
        if kind.what != self.incident.kind {
            let text = format!("{} (was {}): {}", kind.what, self.incident.kind, kind.reason);
            self.tell(now, Kind::Classified, SELF, text);
        }
        self.incident.kind = kind.what;
        self.incident.type_reason = kind.reason;
    }

    /// Raises the severity. One that is not more urgent has no effect: it falls only by a person's
    /// word.
    pub fn raise(&mut self, severity: Severity, reason: impl FnOnce() -> String, now: Timestamp) {
        let overruled = self.incident.overruled.is_some_and(|from| severity >= from);
        if severity >= self.incident.severity || overruled {
            return;
        }
        let reason = reason();
        let text = format!("{severity} (was {}): {reason}", self.incident.severity);
        self.incident.severity = severity;
        self.incident.severity_reason = reason;
        self.tell(now, Kind::Severity, SELF, text);
        self.touch(now);
    }

    /// Newer numbers of an active member.
    pub fn refresh(&mut self, slot: usize, finding: Finding) -> Renewed {
        let Some(member) = self.incident.members.get_mut(slot) else { return Renewed::Nothing };
        let member = Arc::make_mut(member);
        let regraded = member.grade != finding.grade;
        let (summary, mut evidence) = (shortened(finding.summary), finding.evidence);
        let mut suspects = finding.suspects;
        evidence.truncate(EVIDENCE_MAX);
        suspects.truncate(SUSPECTS_MAX);
        let same =
            member.summary == summary && member.evidence == evidence && member.suspects == suspects;
        member.grade = finding.grade;
        member.summary = summary;
        member.evidence = evidence;
        member.suspects = suspects;
        match (regraded, same) {
            (true, _) => Renewed::Grade,
            (false, false) => Renewed::Numbers,
            (false, true) => Renewed::Nothing,
        }
    }

    /// The numbers of its members were renewed.
    pub fn refreshed(&mut self, now: Timestamp) {
        self.entitle();
        self.touch(now);
    }

    /// Gives all its members to another incident and ends.
    pub fn merge_into(&mut self, into: IncidentId, reason: &str, now: Timestamp) -> Vec<Member> {
        if self.enter(IncidentState::Resolved) {
            self.incident.resolved_at = Some(now);
            self.incident.merged_into = Some(into);
            self.active = 0;
            self.tell(now, Kind::Merged, SELF, format!("goes on as {into}: {reason}"));
            self.touch(now);
        }
        self.incident.members.iter().map(|member| Member::clone(member)).collect()
    }

    /// Active members that did not fit, here or in an incident that this one takes in.
    #[must_use]
    pub fn overflow(&self) -> usize {
        let kept = self.incident.members.iter().filter(|member| member.cleared_at.is_none());
        self.active.saturating_sub(kept.count())
    }

    /// Takes over active members of another incident that did not fit there.
    pub fn take_overflow(&mut self, active: usize) {
        self.active += active;
        self.incident.members_dropped += active as u64;
    }

    /// A remark of our own.
    pub fn remark(&mut self, kind: Kind, text: String, now: Timestamp) {
        self.tell(now, kind, SELF, text);
        self.touch(now);
    }

    /// The one place that assigns the state. An illegal change has no effect and says so.
    fn enter(&mut self, to: IncidentState) -> bool {
        let may = legal(self.incident.state, to);
        if may {
            self.incident.state = to;
        }
        may
    }

    fn touch(&mut self, now: Timestamp) {
        self.incident.version += 1;
        self.incident.updated_at = self.incident.updated_at.max(now);
    }

    /// The title speaks of the worst that is of the incident's own type: memory that is gone rather
    /// than memory that will be.
    fn entitle(&mut self) {
        let cause = &self.incident.members[0];
        let same_kind = |member: &&Arc<Member>| {
            crate::classify::type_of(member.rule) == self.incident.kind
                && member.cleared_at.is_none() == cause.cleared_at.is_none()
        };
        let worse = |best: &Arc<Member>, member: &Arc<Member>| member.grade > best.grade;
        let named = self
            .incident
            .members
            .iter()
            .filter(same_kind)
            .fold(cause, |best, member| if worse(best, member) { member } else { best });
        let elsewhere = |member: &Arc<Member>| member.node.is_some() && member.node != cause.node;
        let elsewhere = cause.node.is_some() && self.incident.members.iter().any(elsewhere);
        self.incident.title = if let Some(scope) = &self.scope {
            let nodes = self.incident.members.iter().filter_map(|member| member.node.as_ref());
            let nodes: BTreeSet<&NodeId> = nodes.collect();
            format!("{}: {} nodes, {}", scope.entity, nodes.len(), named.summary)
        } else if elsewhere {
            format!("{} on several nodes: {}", named.subject, named.summary)
        } else {
            format!("{}: {}", place(named), named.summary)
        };
    }
}

/// What a refresh changed. A node says all that is true now once in a while; what was known is no
/// news to those who watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewed {
    /// It was known.
    Nothing,
    /// Newer numbers.
    Numbers,
    /// It got worse or better, too.
    Grade,
}

/// Why a finding belongs to an incident.
#[derive(Debug, Clone, PartialEq)]
pub struct Belongs {
    /// In words.
    pub reason: String,
    /// How sure that is, 0 to 1.
    pub score: f64,
    /// What that rests on.
    pub ties: Vec<Tie>,
}

impl Belongs {
    /// An incident is opened for it.
    #[must_use]
    pub fn first() -> Self {
        Self { reason: "first seen".to_owned(), score: 1.0, ties: Vec::new() }
    }
}

impl From<&Reasons> for Belongs {
    fn from(reasons: &Reasons) -> Self {
        Self { reason: reasons.to_string(), score: reasons.score(), ties: reasons.ties() }
    }
}

/// A finding as a member.
#[must_use]
pub fn member(node: Option<NodeId>, finding: Finding, because: Belongs) -> Member {
    let Belongs { reason, score, ties } = because;
    let mut member = Member {
        node,
        rule: finding.rule,
        subject: finding.subject,
        grade: finding.grade,
        summary: shortened(finding.summary),
        evidence: finding.evidence,
        suspects: finding.suspects,
        raised_at: finding.raised_at,
        cleared_at: None,
        reason,
        score,
        ties,
        raises: 1,
        flapping: false,
        gpus: finding.gpus,
        about: finding.about,
    };
    member.evidence.truncate(EVIDENCE_MAX);
    member.suspects.truncate(SUSPECTS_MAX);
    member
}

/// Where a member is, as people say it.
#[must_use]
pub fn place(member: &Member) -> String {
    match (&member.node, &member.subject) {
        (Some(node), Subject::Node) => node.to_string(),
        (Some(node), subject) => format!("{node} {subject}"),
        (None, subject) => subject.to_string(),
    }
}

fn shortened(mut text: String) -> String {
    if text.len() > SUMMARY_MAX_BYTES {
        text.truncate(text.floor_char_boundary(SUMMARY_MAX_BYTES));
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests;
