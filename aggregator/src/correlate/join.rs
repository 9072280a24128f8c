//! Which incident a new finding belongs to, and why.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::time::Duration;

use gpuwarden_proto::event::{Finding, Subject};
use gpuwarden_proto::incident::Member;
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::{IncidentId, IncidentType, ModelName, NodeId, RuleId};

use super::cause::{Clue, Link, Nearness, explains};
use super::{State, Touched};
use crate::classify::{assess, classify, type_of};
use crate::incident::{Because, Case, Kind, member, place};
use crate::node::{Key, Place};

/// Kinds of trouble that a model may have on several nodes for one cause. A neighbour or a sick GPU
/// is a matter of its own node.
const FLEET_WIDE: &[IncidentType] = &[
    IncidentType::ModelUnavailable,
    IncidentType::HighLatency,
    IncidentType::HighErrorRate,
    IncidentType::GpuOom,
];
/// Members of an incident that a new finding is held against, beginning with the likely cause.
const ANCHORS: usize = 64;

/// A tie between a new finding and a known member on its node. Ordered: the strongest is greatest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Tie {
    CauseOf(Nearness),
    EffectOf(Nearness),
    SameSubject,
}

/// One incident that could take the finding.
#[derive(Debug)]
struct Candidate {
    tie: Tie,
    apart: Duration,
    incident: IncidentId,
    reason: String,
    /// The finding explains the likely cause of the incident.
    upstream: bool,
}

impl State {
    /// Finds the incident for a finding that is not known, or opens one.
    pub(super) fn join(
        &mut self,
        now: Timestamp,
        node: &NodeId,
        key: Key,
        finding: Finding,
        touched: &mut Touched,
    ) {
        let Some(known) = self.nodes.get(node) else { return };
        if known.findings.len() >= self.policy.findings_max {
            self.dropped += 1;
            return;
        }
        let mut candidates = self.candidates(node, &finding);
        if finding.rule == RuleId::NodeLost {
            // What is older than the silence has a cause of its own.
            candidates.retain(|each| each.upstream);
        }
        let strongest = (0..candidates.len())
            .max_by(|a, b| candidates[*a].strength().cmp(&candidates[*b].strength()));
        let best = strongest.map(|at| candidates.swap_remove(at));
        match best.or_else(|| self.elsewhere(node, &finding)) {
            Some(best) => {
                let upstream = best.upstream;
                let into = best.incident;
                self.add(now, node, key, finding, best, touched);
                if upstream {
                    self.absorb(now, node, into, &candidates, touched);
                }
            }
            None => self.open_for(now, node, key, finding, touched),
        }
    }

    fn candidates(&self, node: &NodeId, finding: &Finding) -> Vec<Candidate> {
        let Some(known) = self.nodes.get(node) else { return Vec::new() };
        let mut found: Vec<Candidate> = Vec::new();
        for (key, place) in &known.findings {
            let Some(slot) = place.slot.filter(|slot| *slot < ANCHORS && !place.settled) else {
                continue;
            };
            let Some(case) = self.cases.get(&place.incident) else { continue };
            let anchor = &case.incident().members[slot];
            let Some(tie) = self.tie(finding, key, anchor) else { continue };
            let candidate = Candidate {
                incident: place.incident,
                upstream: slot == 0 && matches!(tie.0, Tie::CauseOf(_)),
                tie: tie.0,
                apart: tie.1,
                reason: tie.2,
            };
            match found.iter_mut().find(|each| each.incident == candidate.incident) {
                Some(each) => each.strengthen(candidate),
                None => found.push(candidate),
            }
        }
        found.sort_by_key(|each| each.incident);
        found
    }

    fn tie(
        &self,
        finding: &Finding,
        key: &Key,
        anchor: &Member,
    ) -> Option<(Tie, Duration, String)> {
        let windows = self.policy.windows;
        let (new, old) = (Clue::from(finding), Clue::from(anchor));
        let kind = type_of(finding.rule);
        if type_of(anchor.rule) == kind && key.1 == finding.subject.identity() {
            let reason = format!("same subject and type as {}", anchor.rule);
            return Some((Tie::SameSubject, Duration::ZERO, reason));
        }
        let named =
            |link: Link, tie: fn(Nearness) -> Tie, reason| (tie(link.nearness), link.apart, reason);
        let effect = explains(old, new, windows)
            .map(|link| named(link, Tie::EffectOf, link.as_effect_of(anchor.rule)));
        let cause = || {
            explains(new, old, windows)
                .map(|link| named(link, Tie::CauseOf, link.as_cause_of(anchor.rule)))
        };
        effect.or_else(cause)
    }

    /// The incident of the same trouble of the same model on another node.
    fn elsewhere(&self, node: &NodeId, finding: &Finding) -> Option<Candidate> {
        let kind = type_of(finding.rule);
        let model = model_of(&finding.subject).filter(|_| FLEET_WIDE.contains(&kind))?;
        let id = *self.by_model.get(&(model.clone(), kind))?;
        let incident = self.cases.get(&id)?.incident();
        let alike = |each: &&Member| {
            each.node != *node
                && type_of(each.rule) == kind
                && model_of(&each.subject) == Some(model)
        };
        let anchor = incident.members.iter().find(alike).filter(|_| incident.kind == kind)?;
        Some(Candidate {
            tie: Tie::SameSubject,
            apart: Duration::ZERO,
            incident: id,
            reason: format!("{model} has the same trouble on {}", anchor.node),
            upstream: false,
        })
    }

    fn add(
        &mut self,
        now: Timestamp,
        node: &NodeId,
        key: Key,
        finding: Finding,
        best: Candidate,
        touched: &mut Touched,
    ) {
        let Some(case) = self.cases.get_mut(&best.incident) else { return };
        let (rule, raised_at, subject) = (finding.rule, finding.raised_at, finding.subject.clone());
        let slot = case.join(member(node.clone(), finding, best.reason), now);
        touched.change(best.incident);
        self.quiet.remove(&best.incident);
        let place =
            Place { incident: best.incident, slot, active: true, raised_at, settled: false };
        self.keep(node, key, place);
        self.note_model(rule, &subject, best.incident);
        self.review_replicas(node, rule);
        let Some(slot) = slot else { return };
        self.grade(now, best.incident, slot, touched);
        if best.upstream {
            self.promote(now, node, best.incident, slot);
        }
    }

    /// Makes the newcomer the likely cause, unless the trouble is on other nodes too: what one node
    /// has cannot be the cause of all.
    fn promote(&mut self, now: Timestamp, node: &NodeId, id: IncidentId, slot: usize) {
        let Some(case) = self.cases.get_mut(&id) else { return };
        let members = &case.incident().members;
        if members.iter().any(|each| each.node != *node) {
            let text = format!(
                "{} is no likely cause of all: other nodes have the same trouble",
                place(&members[slot])
            );
            case.remark(Kind::Cause, text, now);
            return;
        }
        let kind = classify(&members[slot]);
        case.promote(slot, kind, now);
        self.index(id, &[0, slot]);
    }

    /// Other incidents of the node that the new cause explains become part of this one.
    fn absorb(
        &mut self,
        now: Timestamp,
        node: &NodeId,
        into: IncidentId,
        others: &[Candidate],
        touched: &mut Touched,
    ) {
        for Candidate { incident: from, reason, .. } in others.iter().filter(|each| each.upstream) {
            let Some(case) = self.cases.get_mut(from) else { continue };
            if case.incident().members.iter().any(|each| each.node != *node) {
                continue;
            }
            let members = case.merge_into(into, reason, now);
            self.hand_over(now, *from, into, members, reason, touched);
            self.retire(*from, touched);
        }
    }

    fn hand_over(
        &mut self,
        now: Timestamp,
        from: IncidentId,
        into: IncidentId,
        members: Vec<Member>,
        reason: &str,
        touched: &mut Touched,
    ) {
        let severity = self.cases.get(&from).map(|case| {
            let incident = case.incident();
            (incident.severity, incident.severity_reason.clone())
        });
        let Some(case) = self.cases.get_mut(&into) else { return };
        case.remark(Kind::Merged, format!("takes in {from}: {reason}"), now);
        if let Some((severity, ground)) = severity {
            case.raise(severity, || ground, now);
        }
        for mut member in members {
            let (key, node) = ((member.rule, member.subject.identity()), member.node.clone());
            member.reason = format!("{} (from {from})", member.reason);
            let (rule, subject) = (member.rule, member.subject.clone());
            let Some(case) = self.cases.get_mut(&into) else { return };
            let (active, raised_at) = (member.cleared_at.is_none(), member.raised_at);
            let slot = case.join(member, now);
            let place = Place { incident: into, slot, active, raised_at, settled: false };
            self.keep(&node, key, place);
            self.note_model(rule, &subject, into);
        }
        touched.change(into);
    }

    fn open_for(
        &mut self,
        now: Timestamp,
        node: &NodeId,
        key: Key,
        finding: Finding,
        touched: &mut Touched,
    ) {
        if self.cases.len() >= self.policy.open_max {
            self.dropped += 1;
            return;
        }
        let id = IncidentId(self.next_id);
        self.next_id += 1;
        let first = member(node.clone(), finding, "first seen".to_owned());
        let (rule, raised_at, subject) = (first.rule, first.raised_at, first.subject.clone());
        let place = Place { incident: id, slot: Some(0), active: true, raised_at, settled: false };
        self.keep(node, key, place);
        self.review_replicas(node, rule);
        let (severity, ground) = assess(&first, &self.replicas, &self.policy.critical);
        let severity = Because { what: severity, reason: ground.to_string() };
        let kind = classify(&first);
        let case = Case::open(id, first, kind, severity, self.policy.limits, now);
        self.cases.insert(id, case);
        self.note_model(rule, &subject, id);
        touched.opened(id);
    }

    /// Renews where these members of an incident are to be found.
    fn index(&mut self, id: IncidentId, slots: &[usize]) {
        let Some(case) = self.cases.get(&id) else { return };
        let distinct: BTreeSet<usize> = slots.iter().copied().collect();
        for slot in distinct {
            let Some(member) = case.incident().members.get(slot) else { continue };
            let key = (member.rule, member.subject.identity());
            let known = self.nodes.get_mut(&member.node);
            if let Some(place) = known.and_then(|known| known.findings.get_mut(&key)) {
                place.slot = Some(slot);
            }
        }
    }
}

impl Candidate {
    /// Never equal for two candidates, so that the choice does not depend on the order of a map.
    fn strength(&self) -> (Tie, Reverse<Duration>, Reverse<IncidentId>, &str) {
        (self.tie, Reverse(self.apart), Reverse(self.incident), &self.reason)
    }

    /// Another tie with the same incident.
    fn strengthen(&mut self, other: Self) {
        let upstream = self.upstream || other.upstream;
        if other.strength() > self.strength() {
            *self = other;
        }
        self.upstream = upstream;
    }
}

fn model_of(subject: &Subject) -> Option<&ModelName> {
    match subject {
        Subject::Model { model, .. } => Some(model),
        _ => None,
    }
}
