//! Incidents as people and scripts see them.

use std::sync::Arc;

use super::event::{gpus_from_wire, gpus_to_wire, grade_from_wire, grade_to_wire, subject};
use super::{Refused, each, optional_time, parse};
use crate::entity::{Entity, EntityKind};
use crate::incident::{
    Incident, Member, Root, SuspectedChange, Tie, TimelineEntry, WatchChange, WatchUpdate,
};
use crate::pb;
use crate::time::Timestamp;
use crate::vocab::{IncidentId, NodeId};

impl From<Member> for pb::Member {
    fn from(member: Member) -> Self {
        Self {
            node: member.node.map_or_else(String::new, |node| node.as_str().to_owned()),
            rule: member.rule.as_str().to_owned(),
            subject: Some(member.subject.into()),
            summary: member.summary,
            evidence: member.evidence.into_iter().map(Into::into).collect(),
            suspects: member.suspects.into_iter().map(Into::into).collect(),
            raised_unix_ns: member.raised_at.unix_ns(),
            cleared_unix_ns: member.cleared_at.map_or(0, Timestamp::unix_ns),
            reason: member.reason,
            grade: grade_to_wire(member.grade).into(),
            score: member.score,
            gpu_uuids: gpus_to_wire(&member.gpus),
            about: member.about.into_iter().map(Into::into).collect(),
            ties: member.ties.into_iter().map(Into::into).collect(),
            raises: member.raises,
            flapping: member.flapping,
        }
    }
}

impl TryFrom<pb::Member> for Member {
    type Error = Refused;

    fn try_from(wire: pb::Member) -> Result<Self, Refused> {
        let node = (!wire.node.is_empty()).then(|| NodeId::new(&wire.node)).transpose();
        Ok(Self {
            node: node.map_err(|error| Refused::because("member.node")(error.to_string()))?,
            rule: parse("member.rule", &wire.rule)?,
            subject: subject(wire.subject)?,
            grade: grade_from_wire(wire.grade)?,
            summary: wire.summary,
            evidence: each(wire.evidence, TryInto::try_into)?,
            suspects: each(wire.suspects, TryInto::try_into)?,
            raised_at: Timestamp::from_unix_ns(wire.raised_unix_ns),
            cleared_at: optional_time(wire.cleared_unix_ns),
            reason: wire.reason,
            score: wire.score,
            gpus: gpus_from_wire(&wire.gpu_uuids)?,
            about: each(wire.about, TryInto::try_into)?,
            ties: each(wire.ties, TryInto::try_into)?,
            raises: wire.raises,
            flapping: wire.flapping,
        })
    }
}

impl From<Tie> for pb::Tie {
    fn from(Tie { kind, weight }: Tie) -> Self {
        Self { kind: kind.as_str().to_owned(), weight }
    }
}

impl TryFrom<pb::Tie> for Tie {
    type Error = Refused;

    fn try_from(wire: pb::Tie) -> Result<Self, Refused> {
        Ok(Self { kind: parse("tie.kind", &wire.kind)?, weight: wire.weight })
    }
}

impl From<Root> for pb::Root {
    fn from(root: Root) -> Self {
        Self { entity: Some(root.entity.into()), score: root.score, reason: root.reason }
    }
}

impl From<Entity> for pb::Entity {
    fn from(entity: Entity) -> Self {
        let Entity { kind, name, node } = entity;
        let node = node.map_or_else(String::new, |node| node.as_str().to_owned());
        Self { kind: kind.as_str().to_owned(), name: name.to_string(), node }
    }
}

impl TryFrom<pb::Entity> for Entity {
    type Error = Refused;

    fn try_from(wire: pb::Entity) -> Result<Self, Refused> {
        let kind: EntityKind = parse("entity.kind", &wire.kind)?;
        let node = (!wire.node.is_empty()).then(|| NodeId::new(&wire.node)).transpose();
        let node = node.map_err(|error| Refused::because("entity.node")(error.to_string()))?;
        Ok(Self { kind, name: wire.name.as_str().into(), node })
    }
}

impl From<SuspectedChange> for pb::SuspectedChange {
    fn from(suspected: SuspectedChange) -> Self {
        Self {
            what: Some(suspected.what.into()),
            kind: suspected.kind.as_str().to_owned(),
            summary: suspected.summary,
            at_unix_ns: suspected.at.unix_ns(),
            by: suspected.by,
            origin: suspected.origin.as_str().to_owned(),
            link: suspected.link,
            score: suspected.score,
            reason: suspected.reason,
            rollback: suspected.rollback,
        }
    }
}

impl TryFrom<pb::SuspectedChange> for SuspectedChange {
    type Error = Refused;

    fn try_from(wire: pb::SuspectedChange) -> Result<Self, Refused> {
        Ok(Self {
            what: wire.what.ok_or_else(|| Refused::missing("suspected.what"))?.try_into()?,
            kind: parse("suspected.kind", &wire.kind)?,
            summary: wire.summary,
            at: Timestamp::from_unix_ns(wire.at_unix_ns),
            by: wire.by,
            origin: parse("suspected.origin", &wire.origin)?,
            link: wire.link,
            score: wire.score,
            reason: wire.reason,
            rollback: wire.rollback,
        })
    }
}

impl TryFrom<pb::Root> for Root {
    type Error = Refused;

    fn try_from(wire: pb::Root) -> Result<Self, Refused> {
        let entity = wire.entity.ok_or_else(|| Refused::missing("root.entity"))?;
        Ok(Self { entity: entity.try_into()?, score: wire.score, reason: wire.reason })
    }
}

impl From<TimelineEntry> for pb::TimelineEntry {
    fn from(entry: TimelineEntry) -> Self {
        Self {
            at_unix_ns: entry.at.unix_ns(),
            kind: entry.kind,
            actor: entry.actor,
            text: entry.text,
        }
    }
}

impl From<pb::TimelineEntry> for TimelineEntry {
    fn from(wire: pb::TimelineEntry) -> Self {
        Self {
            at: Timestamp::from_unix_ns(wire.at_unix_ns),
            kind: wire.kind,
            actor: wire.actor,
            text: wire.text,
        }
    }
}

/// What is shared, as it goes over the wire.
fn owned<T: Clone, W: From<T>>(shared: Arc<T>) -> W {
    Arc::unwrap_or_clone(shared).into()
}

impl From<Incident> for pb::Incident {
    fn from(incident: Incident) -> Self {
        Self {
            id: incident.id.0,
            r#type: incident.kind.as_str().to_owned(),
            type_reason: incident.type_reason,
            severity: incident.severity.as_str().to_owned(),
            severity_reason: incident.severity_reason,
            overruled: incident.overruled.map_or_else(String::new, |s| s.as_str().to_owned()),
            state: incident.state.as_str().to_owned(),
            title: incident.title,
            members: incident.members.into_iter().map(owned).collect(),
            timeline: incident.timeline.into_iter().map(owned).collect(),
            opened_unix_ns: incident.opened_at.unix_ns(),
            updated_unix_ns: incident.updated_at.unix_ns(),
            resolved_unix_ns: incident.resolved_at.map_or(0, Timestamp::unix_ns),
            acknowledged_by: incident.acknowledged_by.unwrap_or_default(),
            version: incident.version,
            members_dropped: incident.members_dropped,
            timeline_dropped: incident.timeline_dropped,
            roots: incident.roots.into_iter().map(Into::into).collect(),
            merged_into: incident.merged_into.map_or(0, |id| id.0),
            scope: incident.scope.map(Into::into),
            apart_from: incident.apart_from.iter().map(|id| id.0).collect(),
            suppressed_by: incident.suppressed_by.into_iter().map(Into::into).collect(),
            held_since_unix_ns: incident.held_since.map_or(0, Timestamp::unix_ns),
            suspected_change: incident.suspected_change.map(Into::into),
        }
    }
}

impl TryFrom<pb::Incident> for Incident {
    type Error = Refused;

    fn try_from(wire: pb::Incident) -> Result<Self, Refused> {
        Ok(Self {
            id: IncidentId(wire.id),
            kind: parse("incident.type", &wire.r#type)?,
            type_reason: wire.type_reason,
            severity: parse("incident.severity", &wire.severity)?,
            severity_reason: wire.severity_reason,
            overruled: match wire.overruled.as_str() {
                "" => None,
                word => Some(parse("incident.overruled", word)?),
            },
            state: parse("incident.state", &wire.state)?,
            title: wire.title,
            members: each(wire.members, |member| member.try_into().map(Arc::new))?,
            timeline: wire.timeline.into_iter().map(|entry| Arc::new(entry.into())).collect(),
            opened_at: Timestamp::from_unix_ns(wire.opened_unix_ns),
            updated_at: Timestamp::from_unix_ns(wire.updated_unix_ns),
            resolved_at: optional_time(wire.resolved_unix_ns),
            acknowledged_by: (!wire.acknowledged_by.is_empty()).then_some(wire.acknowledged_by),
            version: wire.version,
            members_dropped: wire.members_dropped,
            timeline_dropped: wire.timeline_dropped,
            roots: each(wire.roots, TryInto::try_into)?,
            merged_into: (wire.merged_into != 0).then_some(IncidentId(wire.merged_into)),
            scope: wire.scope.map(TryInto::try_into).transpose()?,
            apart_from: wire.apart_from.into_iter().map(IncidentId).collect(),
            suppressed_by: each(wire.suppressed_by, TryInto::try_into)?,
            held_since: optional_time(wire.held_since_unix_ns),
            suspected_change: wire.suspected_change.map(TryInto::try_into).transpose()?,
        })
    }
}

impl From<WatchUpdate> for pb::WatchIncidentsResponse {
    fn from(update: WatchUpdate) -> Self {
        Self { change: update.change.as_str().to_owned(), incident: Some(update.incident.into()) }
    }
}

impl TryFrom<pb::WatchIncidentsResponse> for WatchUpdate {
    type Error = Refused;

    fn try_from(wire: pb::WatchIncidentsResponse) -> Result<Self, Refused> {
        let change = WatchChange::ALL.iter().copied().find(|word| word.as_str() == wire.change);
        let fault = || Refused::because("change")(format!("`{}` is not known", wire.change));
        Ok(Self {
            change: change.ok_or_else(fault)?,
            incident: wire.incident.ok_or_else(|| Refused::missing("incident"))?.try_into()?,
        })
    }
}
