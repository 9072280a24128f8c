//! Which incidents a new finding may belong to, with what speaks for each. Pure.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use gpuwarden_proto::entity::{Entity, EntityKind};
use gpuwarden_proto::event::{Finding, Subject};
use gpuwarden_proto::incident::{Incident, Member};
use gpuwarden_proto::time::{Timestamp, spoken};
use gpuwarden_proto::vocab::{IncidentId, IncidentType, ModelName, NodeId, RuleId};

use super::State;
use super::cause::{Clue, Nearness, explains, fade, share_gpu};
use super::change::Recent;
use super::evidence::{Evidence, Kind, Reasons, SUGGEST};
use crate::classify::type_of;
use crate::incident::{Case, Scope};

/// Members of an incident that a new finding is held against, beginning with the likely cause. Those
/// that come later do not speak for it, so that a storm does not chain.
pub(super) const ANCHORS: usize = 64;
/// The same trouble of one model on two nodes has one cause when it begins within so long.
const KIN: Duration = Duration::from_secs(300);
/// The same trouble on one GPU.
const SIBLING: Duration = Duration::from_secs(15);
/// So long after a change its effects may begin.
const CHANGE: Duration = Duration::from_secs(45 * 60);
/// So long after a service those that ask it may fail.
const DOWNSTREAM: Duration = Duration::from_secs(90);
/// Models of one service begin to have the same trouble within so long.
const SERVICE: Duration = Duration::from_secs(60);
/// So long before it they may be seen to.
const DOWNSTREAM_BEFORE: Duration = Duration::from_secs(15);
/// So long what failed as a whole takes in its parts.
const GROWTH: Duration = Duration::from_secs(30 * 60);
/// So long after replicas were lost those that are left may be overloaded, and so long before that is
/// known.
const OVERLOAD: Duration = Duration::from_secs(120);
const OVERLOAD_BEFORE: Duration = Duration::from_secs(10);
/// The share of lost replicas from which on those that are left are surely overloaded.
const OVERLOADED: f64 = 1.0 / 3.0;
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
    fn new(incident: IncidentId) -> Self {
        Self { incident, reasons: Reasons::default(), apart: Duration::MAX, upstream: None }
    }

    /// Never equal for two candidates, so that the choice does not depend on the order of a map.
    pub(super) fn rank(&self) -> (u64, Reverse<Duration>, Reverse<IncidentId>) {
        // A millionth is finer than anything that is known.
        let score = (self.reasons.score() * 1e6).round() as u64;
        (score, Reverse(self.apart), Reverse(self.incident))
    }

    fn add(&mut self, kind: Kind, weight: f64, apart: Duration, text: String) {
        self.reasons.add(Evidence { kind, weight, text });
        self.apart = self.apart.min(apart);
    }
}

/// All candidates of one finding, by incident.
type Candidates = BTreeMap<IncidentId, Candidate>;

impl State {
    /// All incidents for which anything speaks.
    pub(super) fn candidates(&self, node: &NodeId, finding: &Finding) -> Vec<Candidate> {
        let mut found = Candidates::new();
        self.here(node, finding, &mut found);
        self.elsewhere(node, finding, &mut found);
        self.changed_alike(node, finding, &mut found);
        self.overloaded(node, finding, &mut found);
        self.overloading(node, finding, &mut found);
        self.grouped(node, finding, &mut found);
        found.into_values().collect()
    }

    /// By the members on the same node.
    fn here(&self, node: &NodeId, finding: &Finding, found: &mut Candidates) {
        let Some(known) = self.nodes.get(node) else { return };
        let new = Clue::of(node, finding);
        for place in known.findings.values() {
            let Some(slot) = place.slot.filter(|slot| *slot < ANCHORS && !place.settled) else {
                continue;
            };
            let Some(case) = self.cases.get(&place.incident) else { continue };
            let anchor = &case.incident().members[slot];
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
    fn tie(
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
        if same_type && anchor.subject.identity() == new.subject.identity() {
            let text = format!("same subject and type as {}", anchor.rule);
            candidate.add(Kind::SameSubject, 0.99, Duration::ZERO, text);
        } else if let Some(link) = explains(old, new, self.policy.windows) {
            candidate.add(Kind::Effect, link.weight, link.apart, link.as_effect_of(anchor.rule));
        } else if let Some(link) = explains(new, old, self.policy.windows) {
            candidate.add(Kind::Cause, link.weight, link.apart, link.as_cause_of(anchor.rule));
            if first {
                candidate.upstream = candidate.upstream.max(Some(link.nearness));
            }
        } else if let Some(weight) = sibling(new, old, same_type, apart) {
            let text = format!("{} has {} at the same time, same GPU", anchor.subject, anchor.rule);
            candidate.add(Kind::Sibling, weight, apart, text);
        }
        if let Some(process) = same_suspect(new, old)
            && let Some(weight) = fade(0.9, apart, ANTAGONIST)
        {
            let text = format!("{} is blamed for {} too", process, anchor.rule);
            candidate.add(Kind::Antagonist, weight, apart, text);
        }
    }

    /// By members on other nodes that follow the same change of a model.
    fn changed_alike(&self, node: &NodeId, finding: &Finding, found: &mut Candidates) {
        if !fleet_wide(type_of(finding.rule)) {
            return;
        }
        for (model, ours) in self.changed_before(Clue::of(node, finding)) {
            let entity = Entity::fleet(EntityKind::Model, model.as_str());
            for id in self.index.of(&entity) {
                // What one node has for a reason of its own says nothing about others.
                let rooted = self.cases.get(&id).map(|case| case.incident());
                let Some(incident) = rooted.filter(|each| fleet_wide(each.kind)) else { continue };
                for anchor in incident.members.iter().take(ANCHORS) {
                    let clue = Clue::from(anchor);
                    if anchor.node == *node || !fleet_wide(type_of(anchor.rule)) {
                        continue;
                    }
                    let theirs = self.changed_before(clue);
                    let alike = |(other, there): &&(&ModelName, &Recent)| {
                        *other == model && there.version == ours.version
                    };
                    let Some((_, theirs)) = theirs.iter().find(alike) else { continue };
                    let since = finding.raised_at.since(ours.at);
                    let age = since.max(anchor.raised_at.since(theirs.at));
                    let Some(weight) = fade(0.9, age, CHANGE) else { continue };
                    let apart = finding.raised_at.since(anchor.raised_at);
                    let text = format!(
                        "{model} was changed here {} before, as on {}, which has {}",
                        spoken(since),
                        anchor.node,
                        anchor.rule
                    );
                    let candidate = found.entry(id).or_insert_with(|| Candidate::new(id));
                    candidate.add(Kind::Change, weight, apart, text);
                }
            }
        }
    }

    /// The changes of late that a finding may be an effect of: of its own model, or, where memory of
    /// a GPU runs out, of the models that run on it.
    pub(super) fn changed_before<'a>(&'a self, clue: Clue<'a>) -> Vec<(&'a ModelName, &'a Recent)> {
        let recent = |model: &'a ModelName| {
            let recent = self.changes.of_model(clue.node, model, clue.raised_at)?;
            (clue.raised_at.since(recent.at) <= CHANGE).then_some((model, recent))
        };
        if let Some(model) = model_of(clue.subject) {
            return recent(model).into_iter().collect();
        }
        let Subject::Gpu { uuid, .. } = clue.subject else { return Vec::new() };
        if type_of(clue.rule) != IncidentType::GpuOom {
            return Vec::new();
        }
        let snapshot = self.nodes.get(clue.node).and_then(|node| node.snapshot.as_ref());
        let models = snapshot.into_iter().flat_map(|s| &s.servers).flat_map(|s| &s.models);
        let there = models.filter(|model| model.gpus.is_empty() || model.gpus.contains(uuid));
        there.filter_map(|model| recent(&model.name)).collect()
    }

    /// By members on other nodes that have to do with the same model or service.
    fn elsewhere(&self, node: &NodeId, finding: &Finding, found: &mut Candidates) {
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
            for (slot, anchor) in incident.members.iter().take(ANCHORS).enumerate() {
                let Some(theirs) = model_of(&anchor.subject) else { continue };
                if theirs == model && anchor.node != *node {
                    kin(finding, model, anchor, incident, &mut candidate);
                } else if theirs != model {
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
                    format!("it asks {theirs}, which has {} on {}", anchor.rule, anchor.node);
                candidate.add(Kind::Dependency, weight, apart, text);
                return;
            }
        }
        if cause && let Some(hops) = self.graph.hops(model, theirs).filter(|hops| *hops > 0) {
            let (apart, window) =
                if after.is_zero() { (before, DOWNSTREAM) } else { (after, DOWNSTREAM_BEFORE) };
            if let Some(weight) = fade(self.carries(model, hops, 1), apart, window) {
                let text = format!("{theirs} on {} asks it, and has {}", anchor.node, anchor.rule);
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
            let text = format!("{theirs} of the same service {service} has {}", anchor.rule);
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

    /// By replicas of the same model that are lost, so that this one has to do more.
    fn overloaded(&self, node: &NodeId, finding: &Finding, found: &mut Candidates) {
        let Some(model) = model_of(&finding.subject).filter(|_| waits(finding.rule)) else {
            return;
        };
        let weight = self.overload(model, 0);
        if weight < SUGGEST {
            return;
        }
        for lost in self.replicas.lost(model).filter(|lost| *lost != node).take(ANCHORS) {
            let Some(known) = self.nodes.get(lost) else { continue };
            for ((rule, subject), place) in &known.findings {
                let gone = takes_away(*rule) && !place.settled;
                if !gone || !self.models_under(lost, subject).any(|under| under == model) {
                    continue;
                }
                let (apart, window) = spread(place.raised_at, finding.raised_at);
                let Some(weight) = fade(weight, apart, window) else { continue };
                let text = format!("other replicas of {model} are lost, such as on {lost}");
                let candidate =
                    found.entry(place.incident).or_insert_with(|| Candidate::new(place.incident));
                candidate.add(Kind::Overload, weight, apart, text);
            }
        }
    }

    /// By models whose other replicas have to do more, because this takes some away.
    fn overloading(&self, node: &NodeId, finding: &Finding, found: &mut Candidates) {
        if !takes_away(finding.rule) {
            return;
        }
        let models: BTreeSet<&ModelName> = self.models_under(node, &finding.subject).collect();
        for model in models {
            let weight = self.overload(model, 1);
            for id in self.index.of(&Entity::fleet(EntityKind::Model, model.as_str())) {
                let Some(first) = self.cases.get(&id).map(|case| &case.incident().members[0])
                else {
                    continue;
                };
                if first.node == *node
                    || !waits(first.rule)
                    || model_of(&first.subject) != Some(model)
                {
                    continue;
                }
                let (apart, window) = spread(finding.raised_at, first.raised_at);
                let Some(weight) = fade(weight, apart, window) else { continue };
                let text = format!("{model} on {} has to do more", first.node);
                let candidate = found.entry(id).or_insert_with(|| Candidate::new(id));
                candidate.add(Kind::Overload, weight, apart, text);
                candidate.upstream = candidate.upstream.max(Some(Nearness::Node));
            }
        }
    }

    /// How sure it is that the replicas that are left have too much to do, with so many more lost.
    fn overload(&self, model: &ModelName, more: u32) -> f64 {
        let tally = self.replicas.of(model);
        let lost = f64::from(tally.down + more) / f64::from(tally.total.max(1));
        0.9 * (lost / OVERLOADED).min(1.0).powi(2)
    }

    /// Whether a member takes a replica of a model away.
    pub(super) fn loses(&self, member: &Member, model: &ModelName) -> bool {
        takes_away(member.rule)
            && self.models_under(&member.node, &member.subject).any(|under| under == model)
    }

    /// The models that are gone when a node, a server or a model is.
    pub(super) fn models_under<'a>(
        &'a self,
        node: &NodeId,
        subject: &'a Subject,
    ) -> impl Iterator<Item = &'a ModelName> {
        let here = self.replicas.on(node).iter().filter(move |replica| match subject {
            Subject::Node => true,
            Subject::Server { server } => replica.server == *server,
            _ => false,
        });
        model_of(subject).into_iter().chain(here.map(|replica| &replica.model))
    }

    /// By the rack, the zone or the driver version that has failed as a whole.
    fn grouped(&self, node: &NodeId, finding: &Finding, found: &mut Candidates) {
        for group in self.groups_of(node, finding.rule, finding.raised_at) {
            for id in self.index.of(&group) {
                let scope = self.cases.get(&id).and_then(Case::scope);
                let fits =
                    |scope: &&Scope| scope.entity == group && alike(scope.rule, finding.rule);
                let Some(scope) = scope.filter(fits) else { continue };
                let apart =
                    finding.raised_at.since(scope.at).max(scope.at.since(finding.raised_at));
                if let Some(weight) = fade(0.95, apart, GROWTH) {
                    let text = format!("{node} is part of {group}, which has failed as a whole");
                    let candidate = found.entry(id).or_insert_with(|| Candidate::new(id));
                    candidate.add(Kind::Group, weight, apart, text);
                }
            }
        }
    }

    /// Things of the fleet whose failure as a whole would explain this finding, the smallest first.
    pub(super) fn groups_of(&self, node: &NodeId, rule: RuleId, at: Timestamp) -> Vec<Entity> {
        let named = |kind, name: Option<&std::sync::Arc<str>>| {
            name.map(|name| Entity { kind, name: std::sync::Arc::clone(name), node: None })
        };
        if matches!(rule, RuleId::ThermalThrottle | RuleId::PowerBrake) {
            return named(EntityKind::Rack, self.graph.rack(node)).into_iter().collect();
        }
        if rule == RuleId::NodeLost {
            let rack = named(EntityKind::Rack, self.graph.rack(node));
            let zone = named(EntityKind::Zone, self.graph.zone(node));
            return rack.into_iter().chain(zone).collect();
        }
        let changed = || self.changes.of_driver(node, at);
        if type_of(rule) == IncidentType::GpuHardware && changed().is_some() {
            let driver = self.graph.site(node).and_then(|site| site.driver.as_ref());
            return named(EntityKind::Driver, driver).into_iter().collect();
        }
        Vec::new()
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

/// A replica that has too much to do.
pub(super) const fn waits(rule: RuleId) -> bool {
    matches!(rule, RuleId::QueueBackup | RuleId::QueueRejecting | RuleId::LatencyHigh)
}

/// What takes replicas away.
const fn takes_away(rule: RuleId) -> bool {
    matches!(rule, RuleId::NodeLost | RuleId::ServerUnavailable | RuleId::ModelUnavailable)
}

/// Whether two findings are the same failure of parts of one thing.
pub(super) fn alike(a: RuleId, b: RuleId) -> bool {
    let slowed = |rule| matches!(rule, RuleId::ThermalThrottle | RuleId::PowerBrake);
    a == b
        || (type_of(a) == IncidentType::GpuHardware && type_of(b) == IncidentType::GpuHardware)
            && !slowed(a)
            && !slowed(b)
}

/// How far an effect is from its cause, and how far it may be.
fn spread(cause: Timestamp, effect: Timestamp) -> (Duration, Duration) {
    if effect >= cause {
        (effect.since(cause), OVERLOAD)
    } else {
        (cause.since(effect), OVERLOAD_BEFORE)
    }
}

fn sibling(new: Clue<'_>, old: Clue<'_>, same_type: bool, apart: Duration) -> Option<f64> {
    let models = model_of(new.subject).is_some() && model_of(old.subject).is_some();
    if !same_type || !models || !share_gpu(new, old) {
        return None;
    }
    fade(0.75, apart, SIBLING)
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
        let text = format!("{model} has the same trouble on {}", anchor.node);
        candidate.add(Kind::Kin, weight, after.max(before), text);
    }
}

fn same_suspect<'a>(new: Clue<'a>, old: Clue<'_>) -> Option<&'a Subject> {
    let blamed = |clue: Clue<'_>, process: &Subject| {
        clue.suspects.iter().any(|each| each.subject.identity() == process.identity())
            || clue.subject.identity() == process.identity()
    };
    new.suspects.iter().map(|each| &each.subject).find(|process| blamed(old, process))
}

pub(super) fn model_of(subject: &Subject) -> Option<&ModelName> {
    match subject {
        Subject::Model { model, .. } => Some(model),
        _ => None,
    }
}
