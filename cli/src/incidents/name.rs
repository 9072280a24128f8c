//! How people call what findings are about and what may be the cause, and how sure something is.

use gpuwarden_proto::entity::Entity;
use gpuwarden_proto::event::{Subject, Suspect};
use gpuwarden_proto::incident::{Incident, Member};

/// From this score on something is said without a number.
const SURE: f64 = 0.995;

/// Where a member is.
pub fn place(member: &Member) -> String {
    match (&member.node, &member.subject) {
        (Some(node), Subject::Node) => node.to_string(),
        (Some(node), subject) => format!("{node} {subject}"),
        (None, subject) => subject.to_string(),
    }
}

/// A suspect with whom it belongs to.
pub fn suspect(suspect: &Suspect) -> String {
    let owner = if suspect.owner.is_empty() { "" } else { ", " };
    format!("{}{owner}{}", suspect.subject, suspect.owner)
}

/// A thing of the fleet in the words of the members and suspects that know it; in its own where none
/// does.
pub fn entity(entity: &Entity, incident: &Incident) -> String {
    let members = || incident.members.iter();
    let own = members().find(|member| Entity::of(member.node.as_ref(), &member.subject) == *entity);
    if let Some(member) = own {
        return place(member);
    }
    let blamed = members().find_map(|member| {
        let node = member.node.as_ref();
        let of = |suspect: &&Suspect| Entity::of(node, &suspect.subject) == *entity;
        let named = |found| match node {
            Some(node) => format!("{node} {}", suspect(found)),
            None => suspect(found),
        };
        member.suspects.iter().find(of).map(named)
    });
    blamed.unwrap_or_else(|| entity.to_string())
}

/// A score from 0 to 1 as people say it.
pub fn percent(score: f64) -> String {
    format!("{:.0} %", score * 100.0)
}

/// How sure it is, where it is less than sure.
pub fn doubt(score: f64) -> Option<String> {
    (score < SURE).then(|| format!("{} sure", percent(score)))
}
