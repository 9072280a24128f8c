//! Which incidents a new finding may belong to, with what speaks for each. Pure.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

use gpuwarden_proto::event::{Finding, Subject};
use gpuwarden_proto::incident::Member;
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::{IncidentId, IncidentType, ModelName, NodeId};

use super::State;
use super::cause::{Clue, Nearness, explains, fade, share_gpu};
use super::evidence::{Kind, Reasons};
use crate::classify::type_of;

/// Members of an incident that a new finding is held against, beginning with the likely cause. Those
/// that come later do not speak for it, so that a storm does not chain.
pub(super) const ANCHORS: usize = 64;
/// The same trouble on one GPU.
const SIBLING: Duration = Duration::from_secs(15);
/// Two that blame the same process.
const ANTAGONIST: Duration = Duration::from_secs(300);

/// An incident that could take the finding.
#[derive(Debug)]
pub(super) struct Candidate {
    /// Which.
    pub incident: IncidentId,
    /// What speaks for it.
    pub reasons: Reasons,
    /// Time to the nearest member that speaks for it.
    pub apart: Duration,
    /// The finding explains the likely cause of the incident, and how near it is to it.
    pub upstream: Option<Nearness>,
}

impl Candidate {
    pub(super) fn new(incident: IncidentId) -> Self {
        Self { incident, reasons: Reasons::default(), apart: Duration::MAX, upstream: None }
    }

    /// Never equal for two candidates, so that the choice does not depend on the order of a map.
    pub(super) fn rank(&self) -> (u64, Reverse<Duration>, Reverse<IncidentId>) {
        // A millionth is finer than anything that is known.
        let score = (self.reasons.score() * 1e6).round() as u64;
        (score, Reverse(self.apart), Reverse(self.incident))
    }

    pub(super) fn add(
        &mut self,
        kind: Kind,
        weight: f64,
        apart: Duration,
        text: impl FnOnce() -> String,
    ) {
        self.reasons.add(kind, weight, text);
        self.apart = self.apart.min(apart);
    }
}

/// All candidates of one finding, by incident.
pub(super) type Candidates = BTreeMap<IncidentId, Candidate>;

impl State {
    /// All incidents for which anything speaks.
    pub(super) fn candidates(&self, node: Option<&NodeId>, finding: &Finding) -> Vec<Candidate> {
        let mut found = Candidates::new();
        let Some(node) = node else {
            self.named(finding, &mut found);
            return found.into_values().collect();
        };
        self.here(node, finding, &mut found);
        self.elsewhere(node, finding, &mut found);
        self.changed_alike(node, finding, &mut found);
        self.follow_alike(node, finding, &mut found);
        self.overloaded(node, finding, &mut found);
        self.overloading(node, finding, &mut found);
        self.grouped(node, finding, &mut found);
        self.naming(node, finding, &mut found);
        found.into_values().collect()
    }

    /// By the members on the same node.
    fn here(&self, node: &NodeId, finding: &Finding, found: &mut Candidates) {
        let Some(known) = self.nodes.get(node) else { return };
        let new = Clue::of(Some(node), finding);
        let own = (finding.rule, finding.subject.identity());
        for (_, place) in known.findings.iter().filter(|(key, _)| **key != own) {
            let Some(slot) = place.slot.filter(|_| !place.settled) else { continue };
            let Some(case) = self.cases.get(&place.incident) else { continue };
            let anchor = &case.incident().members[slot];
            // A part of what failed as a whole is the cause of what its own node has.
            if slot >= ANCHORS && !anchor.is_tied_by(Kind::Group) {
                continue;
            }
            let mut candidate =
                found.remove(&place.incident).unwrap_or_else(|| Candidate::new(place.incident));
            let opened_at = case.incident().opened_at;
            self.tie(new, anchor, slot == 0, opened_at, &mut candidate);
            if candidate.reasons.strongest().is_some() {
                found.insert(place.incident, candidate);
            }
        }
    }

    /// What speaks for a new finding and a member on the same node having one cause.
    pub(super) fn tie(
        &self,
        new: Clue<'_>,
        anchor: &Member,
        first: bool,
        opened_at: Timestamp,
        candidate: &mut Candidate,
    ) {
        let mut old = Clue::from(anchor);
        if first {
            // It may have come and gone since before.
            old.raised_at = old.raised_at.min(opened_at);
        }
        let apart = new.raised_at.since(old.raised_at).max(old.raised_at.since(new.raised_at));
        let same_type = type_of(anchor.rule) == type_of(new.rule);
        let windows = self.policy.windows;
        let as_cause = || explains(new, old, windows);
        // Of two that may each bring about the other, the one that began first did.
        let as_effect = explains(old, new, windows)
            .filter(|_| new.raised_at >= old.raised_at || as_cause().is_none());
        if same_type && anchor.subject.identity() == new.subject.identity() {
            let text = || format!("same subject and type as {}", anchor.rule);
            let calm = anchor.cleared_at.map_or(Duration::ZERO, |over| new.raised_at.since(over));
            if let Some(weight) = fade(0.99, calm, self.policy.reopen_within) {
                candidate.add(Kind::SameSubject, weight, calm, text);
            }
        } else if let Some(link) = as_effect {
            candidate.add(Kind::Effect, link.weight, link.apart, || link.as_effect_of(anchor.rule));
        } else if let Some(link) = as_cause() {
            candidate.add(Kind::Cause, link.weight, link.apart, || link.as_cause_of(anchor.rule));
            if first {
                candidate.upstream = candidate.upstream.max(Some(link.nearness));
            }
        } else if let Some(weight) = sibling(new, old, same_type, apart) {
            let text =
                || format!("{} has {} at the same time, same GPU", anchor.subject, anchor.rule);
            candidate.add(Kind::Sibling, weight, apart, text);
        }
        if let Some(process) = same_suspect(new, old)
            && let Some(weight) = fade(0.9, apart, ANTAGONIST)
        {
            let text = || format!("{} is blamed for {} too", process, anchor.rule);
            candidate.add(Kind::Antagonist, weight, apart, text);
        }
    }
}

/// Kinds of trouble that a model may have on several nodes for one cause. A neighbour or a sick GPU
/// is a matter of its own node.
pub(super) const fn fleet_wide(kind: IncidentType) -> bool {
    matches!(
        kind,
        IncidentType::ModelUnavailable
            | IncidentType::HighLatency
            | IncidentType::HighErrorRate
            | IncidentType::GpuOom
    )
}

fn sibling(new: Clue<'_>, old: Clue<'_>, same_type: bool, apart: Duration) -> Option<f64> {
    let models = model_of(new.subject).is_some() && model_of(old.subject).is_some();
    if !same_type || !models || !share_gpu(new, old) {
        return None;
    }
    fade(0.75, apart, SIBLING)
}

fn same_suspect<'a>(new: Clue<'a>, old: Clue<'_>) -> Option<&'a Subject> {
    let blamed = |clue: Clue<'_>, process: &Subject| {
        clue.suspects.iter().any(|each| each.subject.identity() == process.identity())
            || clue.subject.identity() == process.identity()
    };
    new.suspects.iter().map(|each| &each.subject).find(|process| blamed(old, process))
}

/// The node that a member is on, as people say it.
pub(super) fn site(member: &Member) -> &str {
    member.node.as_ref().map_or("no node", NodeId::as_str)
}

pub(super) fn model_of(subject: &Subject) -> Option<&ModelName> {
    match subject {
        Subject::Model { model, .. } => Some(model),
        _ => None,
    }
}
