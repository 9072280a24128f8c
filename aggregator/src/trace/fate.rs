//! What became of a finding's event. Members, their times and the lines of history are the witnesses.

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::Duration;

use gpuwarden_proto::event::Finding;
use gpuwarden_proto::incident::{Incident, Member, TimelineEntry};
use gpuwarden_proto::time::{Timestamp, spoken};
use gpuwarden_proto::trace::Fate;
use gpuwarden_proto::vocab::{IncidentId, NodeId, Phase};

use super::{Around, Verdict, raised_at};
use crate::incident::{Kind, place};

/// An event that comes so much later than it was observed may have been overtaken by a snapshot.
const LATE: Duration = Duration::from_secs(5);

/// An event of a finding, as it was told.
struct Told<'a> {
    finding: &'a Finding,
    raised_at: Timestamp,
    observed_at: Timestamp,
    received_at: Timestamp,
}

/// An incident that has the finding among its members.
#[derive(Clone, Copy)]
struct Held<'a> {
    incident: &'a Incident,
    member: &'a Member,
}

/// What became of a finding's event, as far as that can be told.
pub(super) fn of(
    node: &NodeId,
    finding: &Finding,
    observed_at: Timestamp,
    received_at: Timestamp,
    around: &Around,
) -> Verdict {
    let told =
        Told { finding, raised_at: raised_at(finding, observed_at), observed_at, received_at };
    let held = holding(node, finding, around);
    let home = home(&told, &held, around);
    let exact = home.filter(|home| home.member.raised_at == told.raised_at);
    match (exact, settled(&told, &held), home) {
        (Some(home), _, _) | (None, None, Some(home)) => placed(&told, home, &held, around),
        (None, Some(over), _) => silenced(over),
        (None, None, None) => unplaced(&told, around),
    }
}

fn holding<'a>(node: &NodeId, finding: &Finding, around: &'a Around) -> Vec<Held<'a>> {
    let identity = finding.subject.identity();
    let same = |member: &&Arc<Member>| {
        member.is_on(node) && member.rule == finding.rule && member.subject.identity() == identity
    };
    let each = around.incidents.iter();
    each.filter_map(|incident| {
        let member = incident.members.iter().find(same)?;
        Some(Held { incident, member })
    })
    .collect()
}

/// The incident that held the finding when the event came. One that begins with the very finding is
/// better than one where it came again later, and where incidents went on as another the first is
/// the one that it came to.
fn home<'a>(told: &Told<'_>, held: &[Held<'a>], around: &Around) -> Option<Held<'a>> {
    let then = held.iter().filter(|each| {
        let open = each.incident.resolved_at.is_none_or(|at| at >= told.received_at);
        open && each.incident.opened_at <= told.raised_at
    });
    let apart = |each: &Held<'_>| {
        let at = each.member.raised_at;
        at.since(told.raised_at).max(told.raised_at.since(at))
    };
    then.min_by_key(|each| (apart(each), Reverse(onward(each.incident, around).len()))).copied()
}

/// Where an incident went on, in order; the last is where its members are now.
fn onward(incident: &Incident, around: &Around) -> Vec<IncidentId> {
    let mut path: Vec<IncidentId> = Vec::new();
    let mut next = incident.merged_into;
    while let Some(id) = next.filter(|id| !path.contains(id)) {
        path.push(id);
        let found = around.incidents.iter().find(|each| each.id == id);
        next = found.and_then(|each| each.merged_into);
    }
    path
}

/// The incident that a person had resolved although the finding was active.
fn settled<'a>(told: &Told<'_>, held: &[Held<'a>]) -> Option<Held<'a>> {
    let mut silent = held.iter().filter(|each| {
        let Held { incident, member } = each;
        let before = incident.resolved_at.is_some_and(|at| at < told.received_at);
        let active = member.cleared_at.is_none() && incident.merged_into.is_none();
        before && active && told.raised_at <= member.raised_at
    });
    silent.next().copied()
}

fn silenced(over: Held<'_>) -> Verdict {
    let Incident { id, timeline, .. } = over.incident;
    let word = timeline.iter().rev().find(|line| line.kind == Kind::Resolved.as_str());
    let (by, text) = word.map_or(("somebody", ""), |line| (&line.actor, &line.text));
    let reason = format!(
        "{by} had resolved {id} while this was active ({text}). Since then nothing is made of it \
         until it is over and raised anew."
    );
    let (incident, score) = (Some(*id), Some(over.member.score));
    Verdict { incident, score, ..Verdict::apart(Fate::Settled, reason) }
}

fn placed(told: &Told<'_>, home: Held<'_>, held: &[Held<'_>], around: &Around) -> Verdict {
    let mut path = onward(home.incident, around);
    path.insert(0, home.incident.id);
    let incident = path.pop();
    let has = |id| held.iter().any(|each| each.incident.id == id);
    let there = incident.is_some_and(has);
    let (fate, mut reason, mut unsure) = match told.finding.phase {
        Phase::Cleared => ended(told, home),
        Phase::Raised | Phase::Updated => brought(told, home),
    };
    if let (Some(now), false) = (incident, path.is_empty()) {
        let from = home.incident.id;
        let onward = if there { ", which holds it since." } else { "." };
        reason.push_str(&format!(" {from} goes on as {now}{onward}"));
    }
    if let (Some(now), false) = (incident, there) {
        unsure.push(format!(
            "{now} does not have the finding: it was parted from it later, or did not fit there."
        ));
    }
    Verdict { fate, incident, through: path, score: Some(home.member.score), reason, unsure }
}

/// What an event that says that something is so did to the incident.
fn brought(told: &Told<'_>, home: Held<'_>) -> (Fate, String, Vec<String>) {
    let (id, place) = (home.incident.id, place(home.member));
    let begun = |sign: &str| format!("{place}{sign}: {}", head(&told.finding.summary));
    let wrote = |kind: Kind, text: &str| line(told, home.incident, kind, text).is_some();
    if wrote(Kind::Detected, &begun("")) {
        return (Fate::Opened, format!("{id} was opened for it."), Vec::new());
    }
    if wrote(Kind::Joined, &begun("")) {
        let sure = home.member.score * 100.0;
        let reason = &home.member.reason;
        return (Fate::Joined, format!("It joined {id}, {sure:.0} % sure: {reason}."), Vec::new());
    }
    if wrote(Kind::Again, &begun(" again")) {
        let reason = format!("{id} had held its finding before, which was active again with this.");
        return (Fate::Again, reason, Vec::new());
    }
    let reason = format!("{id} held its finding already: it brought newer numbers at most.");
    let mut unsure = late(told);
    let dropped = home.incident.timeline_dropped;
    if told.finding.phase == Phase::Raised && dropped > 0 {
        unsure.push(format!(
            "{dropped} lines of the history of {id} did not fit. It may have been this event that \
             brought the finding there."
        ));
    }
    (Fate::Known, reason, unsure)
}

/// What an event that says that something is over did to the incident.
fn ended(told: &Told<'_>, home: Held<'_>) -> (Fate, String, Vec<String>) {
    let Held { incident, member } = home;
    let id = incident.id;
    let text = format!("{} {} is over", place(member), member.rule);
    if member.cleared_at == Some(told.observed_at)
        || line(told, incident, Kind::Cleared, &text).is_some()
    {
        return (Fate::Cleared, format!("It ended its finding in {id}."), Vec::new());
    }
    if member.cleared_at.is_none() && member.raised_at <= told.observed_at {
        let reason = format!(
            "{id} still holds its finding as active: the event told of a time before the node's \
             snapshot, and the snapshot is believed."
        );
        return (Fate::PassedOver, reason, Vec::new());
    }
    let reason = format!("Its finding was over in {id} before: there was nothing more to end.");
    (Fate::Known, reason, late(told))
}

fn unplaced(told: &Told<'_>, around: &Around) -> Verdict {
    let reason = match told.finding.phase {
        Phase::Cleared => {
            "As far as can be told, no incident held its finding then: there was nothing to end."
        }
        Phase::Raised | Phase::Updated => {
            "No incident that is kept held its finding then, and why cannot be told for sure."
        }
    };
    let open = |each: &&std::sync::Arc<Incident>| {
        each.members_dropped > 0 && each.resolved_at.is_none_or(|at| at >= told.received_at)
    };
    let mut unsure: Vec<String> = Vec::new();
    for full in around.incidents.iter().filter(open) {
        let (id, dropped) = (full.id, full.members_dropped);
        unsure.push(format!(
            "{id} counts {dropped} members that did not fit: it may be one of them."
        ));
    }
    if around.truncated {
        unsure.push("There are more incidents of that time than were looked at.".to_owned());
    }
    unsure.push(
        "Its incident may be older than what is kept, or a limit was reached (findings of a node, \
         open incidents), which is counted but not kept for each event."
            .to_owned(),
    );
    Verdict { unsure, ..Verdict::apart(Fate::Unplaced, reason.to_owned()) }
}

/// The line of history that was written when the event was taken up.
fn line<'a>(
    told: &Told<'_>,
    incident: &'a Incident,
    kind: Kind,
    begun: &str,
) -> Option<&'a TimelineEntry> {
    incident.timeline.iter().map(AsRef::as_ref).find(|line: &&TimelineEntry| {
        line.kind == kind.as_str() && line.at >= told.received_at && line.text.starts_with(begun)
    })
}

/// What surely is in a line of history, however long the summary.
fn head(summary: &str) -> &str {
    &summary[..summary.floor_char_boundary(256)]
}

fn late(told: &Told<'_>) -> Vec<String> {
    let after = told.received_at.since(told.observed_at);
    if after < LATE {
        return Vec::new();
    }
    vec![format!(
        "It came {} after it was observed. If a snapshot of the node came first, it was passed over \
         as older; which of the two came first is not kept.",
        spoken(after)
    )]
}
