//! Trouble on other nodes that is of the same model, the same service, or of who asks whom. Pure.

use std::collections::BTreeSet;
use std::time::Duration;

use gpuwarden_proto::entity::{Entity, EntityKind};
use gpuwarden_proto::event::Finding;
use gpuwarden_proto::incident::{Incident, Member};
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::{IncidentId, ModelName, NodeId, RuleId};

use super::State;
use super::candidate::{ANCHORS, Candidate, Candidates, fleet_wide, model_of, site};
use super::cause::{Nearness, fade};
use super::evidence::Kind;
use crate::classify::type_of;

/// The same trouble of one model on two nodes has one cause when it begins within so long.
const KIN: Duration = Duration::from_secs(300);
/// So long after a service those that ask it may fail.
const DOWNSTREAM: Duration = Duration::from_secs(90);
/// Models of one service begin to have the same trouble within so long.
const SERVICE: Duration = Duration::from_secs(60);
/// So long before it they may be seen to.
const DOWNSTREAM_BEFORE: Duration = Duration::from_secs(15);

impl State {
    /// By members on other nodes that have to do with the same model or service.
    pub(super) fn elsewhere(&self, node: &NodeId, finding: &Finding, found: &mut Candidates) {
        let Some(model) = model_of(&finding.subject) else { return };
        let own = std::iter::once(Entity::fleet(EntityKind::Model, model.as_str()));
        let services = self.graph.neighbourhood(model).into_iter();
        let downstream = self.graph.services(model).iter().flat_map(|name| self.graph.askers(name));
        let around = services.chain(downstream.cloned());
        let around = around.map(|name| Entity::fleet(EntityKind::Service, &name));
        let ids: BTreeSet<IncidentId> =
            own.chain(around).flat_map(|entity| self.index.of(&entity)).collect();
        for id in ids {
            let Some(case) = self.cases.get(&id) else { continue };
            let incident = case.incident();
            let mut candidate = found.remove(&id).unwrap_or_else(|| Candidate::new(id));
            // Of each model the first member speaks for all: trouble is dated by its beginning.
            let mut seen: Vec<&ModelName> = Vec::new();
            for (slot, anchor) in incident.members.iter().take(ANCHORS).enumerate() {
                let Some(theirs) = model_of(&anchor.subject) else { continue };
                if theirs == model && !anchor.is_on(node) {
                    kin(finding, model, anchor, incident, &mut candidate);
                } else if theirs != model && !seen.contains(&theirs) {
                    seen.push(theirs);
                    self.dependency(finding, model, anchor, theirs, slot == 0, &mut candidate);
                    if fleet_wide(incident.kind) {
                        self.service(finding, model, anchor, theirs, &mut candidate);
                    }
                }
            }
            if candidate.reasons.strongest().is_some() {
                found.insert(id, candidate);
            }
        }
    }

    /// One of the two is asked by the other. How much that says goes by the share of the replicas
    /// that are in trouble: one of many is not missed.
    fn dependency(
        &self,
        finding: &Finding,
        model: &ModelName,
        anchor: &Member,
        theirs: &ModelName,
        first: bool,
        candidate: &mut Candidate,
    ) {
        let clue = (finding.rule, anchor.rule);
        let effect = passes_on(clue.1) && suffers(clue.0);
        let cause = passes_on(clue.0) && suffers(clue.1);
        let (ours, theirs_at) = (
            self.troubled_since(model).map_or(finding.raised_at, |at| at.min(finding.raised_at)),
            self.troubled_since(theirs).map_or(anchor.raised_at, |at| at.min(anchor.raised_at)),
        );
        let (after, before) = (ours.since(theirs_at), theirs_at.since(ours));
        if effect && let Some(hops) = self.graph.hops(theirs, model).filter(|hops| *hops > 0) {
            let (apart, window) =
                if before.is_zero() { (after, DOWNSTREAM) } else { (before, DOWNSTREAM_BEFORE) };
            if let Some(weight) = fade(self.carries(theirs, hops, 0), apart, window) {
                let text =
                    || format!("it asks {theirs}, which has {} on {}", anchor.rule, site(anchor));
                candidate.add(Kind::Dependency, weight, apart, text);
                return;
            }
        }
        if cause && let Some(hops) = self.graph.hops(model, theirs).filter(|hops| *hops > 0) {
            let (apart, window) =
                if after.is_zero() { (before, DOWNSTREAM) } else { (after, DOWNSTREAM_BEFORE) };
            if let Some(weight) = fade(self.carries(model, hops, 1), apart, window) {
                let text =
                    || format!("{theirs} on {} asks it, and has {}", site(anchor), anchor.rule);
                candidate.add(Kind::Dependency, weight, apart, text);
                if first {
                    candidate.upstream = candidate.upstream.max(Some(Nearness::Node));
                }
            }
        }
    }

    /// Two models of one service have the same trouble. How much that says goes by the share of their
    /// replicas that has it.
    fn service(
        &self,
        finding: &Finding,
        model: &ModelName,
        anchor: &Member,
        theirs: &ModelName,
        candidate: &mut Candidate,
    ) {
        let shared = |name: &&std::sync::Arc<str>| self.graph.services(theirs).contains(name);
        let Some(service) = self.graph.services(model).iter().find(shared) else { return };
        let kind = type_of(finding.rule);
        if type_of(anchor.rule) != kind || !fleet_wide(kind) {
            return;
        }
        let ours =
            self.troubled_since(model).map_or(finding.raised_at, |at| at.min(finding.raised_at));
        let since =
            self.troubled_since(theirs).map_or(anchor.raised_at, |at| at.min(anchor.raised_at));
        let apart = ours.since(since).max(since.since(ours));
        let share = |model, more| (2.0 * self.replicas.of(model).troubled_share(more)).min(1.0);
        if let Some(weight) = fade(0.85 * share(model, 1) * share(theirs, 0), apart, SERVICE) {
            let text = || format!("{theirs} of the same service {service} has {}", anchor.rule);
            candidate.add(Kind::Service, weight, apart, text);
        }
    }

    /// Since when a model has trouble that those who ask it feel.
    fn troubled_since(&self, model: &ModelName) -> Option<Timestamp> {
        let incidents = self.index.of(&Entity::fleet(EntityKind::Model, model.as_str()));
        let firsts = incidents.filter_map(|id| Some(&self.cases.get(&id)?.incident().members[0]));
        let own = firsts.filter(|m| passes_on(m.rule) && model_of(&m.subject) == Some(model));
        own.filter(|member| member.cleared_at.is_none()).map(|member| member.raised_at).min()
    }

    /// How much of a model's trouble reaches those that ask it over so many steps, with so many more
    /// of its replicas in trouble than are known to be.
    fn carries(&self, model: &ModelName, hops: usize, more: u32) -> f64 {
        let steps = i32::try_from(hops.saturating_sub(1)).unwrap_or(i32::MAX);
        0.85 * 0.9_f64.powi(steps) * (2.0 * self.replicas.of(model).troubled_share(more)).min(1.0)
    }
}

/// Trouble of a model that those who ask it feel.
const fn passes_on(rule: RuleId) -> bool {
    matches!(
        rule,
        RuleId::ModelUnavailable
            | RuleId::ErrorRateHigh
            | RuleId::LatencyHigh
            | RuleId::QueueBackup
            | RuleId::QueueStall
            | RuleId::QueueRejecting
    )
}

/// Trouble that can come from those who are asked.
const fn suffers(rule: RuleId) -> bool {
    matches!(rule, RuleId::ErrorRateHigh | RuleId::LatencyHigh | RuleId::QueueBackup)
}

/// The same model has the same trouble on another node. What is an effect of something on its own
/// node says nothing about others.
fn kin(
    finding: &Finding,
    model: &ModelName,
    anchor: &Member,
    incident: &Incident,
    candidate: &mut Candidate,
) {
    let kind = type_of(finding.rule);
    if !fleet_wide(kind) || type_of(anchor.rule) != kind || incident.kind != kind {
        return;
    }
    let (after, before) =
        (finding.raised_at.since(anchor.raised_at), anchor.raised_at.since(finding.raised_at));
    if let Some(weight) = fade(0.85, after.max(before), KIN) {
        let text = || format!("{model} has the same trouble on {}", site(anchor));
        candidate.add(Kind::Kin, weight, after.max(before), text);
    }
}
