//! Trouble on other nodes that is of the same model, the same service, or of who asks whom. Pure.

use std::collections::HashMap;
use std::time::Duration;

use gpuwarden_proto::entity::{Entity, EntityKind};
use gpuwarden_proto::event::Finding;
use gpuwarden_proto::incident::{Incident, Member};
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::{IncidentId, IncidentType, ModelName, NodeId, RuleId};

use super::State;
use super::candidate::{Candidate, Candidates, fleet_wide, model_of};
use super::cause::{Nearness, fade};
use super::evidence::Kind;
use super::trouble::Trouble;
use crate::classify::type_of;

/// The same trouble of one model on two nodes has one cause when it begins within so long.
const KIN: Duration = Duration::from_secs(300);
/// So long after a service those that ask it may fail. The longest of the windows between models.
const DOWNSTREAM: Duration = Duration::from_secs(90);
/// Models of one service begin to have the same trouble within so long.
const SERVICE: Duration = Duration::from_secs(60);
/// So long before it they may be seen to.
const DOWNSTREAM_BEFORE: Duration = Duration::from_secs(15);

/// What a model has in an incident.
#[derive(Debug, Clone, Copy)]
struct Part<'a> {
    theirs: &'a ModelName,
    /// What it had first.
    anchor: &'a Trouble,
    /// It is what the incident began with.
    leads: bool,
    /// The incident is the trouble of models, and not of what they run on.
    of_models: bool,
}

impl State {
    /// By members on other nodes that have to do with the same model or service.
    pub(super) fn elsewhere(&self, node: &NodeId, finding: &Finding, found: &mut Candidates) {
        let Some(model) = model_of(&finding.subject) else { return };
        let own = std::iter::once(Entity::fleet(EntityKind::Model, model.as_str()));
        let services = self.graph.neighbourhood(model).into_iter();
        let downstream = self.graph.services(model).iter().flat_map(|name| self.graph.askers(name));
        let around = services.chain(downstream.cloned());
        let around = around.map(|name| Entity::fleet(EntityKind::Service, &name));
        let mut ids: Vec<IncidentId> =
            own.chain(around).flat_map(|entity| self.index.of(&entity)).collect();
        ids.sort_unstable();
        ids.dedup();
        let mut around = Surroundings::new(self, finding, model);
        for id in ids {
            // Most of what goes on for long is far away in time: that is seen before all else.
            if !self.index.troubles(id).any(|(theirs, troubles)| around.is_near(theirs, troubles)) {
                continue;
            }
            let Some(incident) = self.incident(id) else { continue };
            let mut candidate = found.remove(&id).unwrap_or_else(|| Candidate::new(id));
            for (theirs, troubles) in self.index.troubles(id) {
                if theirs == model {
                    let all = troubles.iter();
                    all.for_each(|each| kin(node, finding, model, each, incident, &mut candidate));
                    continue;
                }
                let Some(neighbour) = around.neighbour(theirs) else { continue };
                // What began first dates the trouble of a model.
                let first = troubles.iter().min_by_key(|trouble| (trouble.first_at, trouble.rule));
                let Some(first) = first else { continue };
                let leads = model_of(&incident.members[0].subject) == Some(theirs);
                let of_models = fleet_wide(incident.kind) && incident.kind != IncidentType::GpuOom;
                let part = Part { theirs, anchor: first, leads, of_models };
                around.dependency(part, neighbour, &mut candidate);
                if fleet_wide(incident.kind) {
                    let all = troubles.iter();
                    all.for_each(|each| around.service(each, theirs, neighbour, &mut candidate));
                }
            }
            if candidate.reasons.strongest().is_some() {
                found.insert(id, candidate);
            }
        }
    }

    /// Since when a model has trouble that those who ask it feel.
    fn troubled_since(&self, model: &ModelName) -> Option<Timestamp> {
        let since = self.index.since(model);
        #[cfg(test)]
        assert_eq!(since, self.troubled_since_by_looking(model), "the index of {model} is stale");
        since
    }

    /// The same from the incidents themselves.
    #[cfg(test)]
    fn troubled_since_by_looking(&self, model: &ModelName) -> Option<Timestamp> {
        let incidents = self.index.of(&Entity::fleet(EntityKind::Model, model.as_str()));
        let firsts = incidents.filter_map(|id| self.incident(id)?.members.first());
        let own = firsts.filter_map(|first| passed_on(first));
        own.filter(|(own, _)| *own == model).map(|(_, since)| since).min()
    }

    /// Takes note of what an incident begins with: to be called whenever that is another member, is
    /// over or begins again.
    pub(super) fn note_lead(&mut self, id: IncidentId) {
        let first = self.cases.get(&id).and_then(|case| case.incident().members.first());
        self.index.lead(id, first.and_then(|first| passed_on(first)));
    }

    /// How much of a model's trouble reaches those that ask it over so many steps, with so many more
    /// of its replicas in trouble than are known to be.
    fn carries(&self, model: &ModelName, hops: usize, more: u32) -> f64 {
        let steps = i32::try_from(hops.saturating_sub(1)).unwrap_or(i32::MAX);
        0.85 * 0.9_f64.powi(steps) * (2.0 * self.replicas.of(model).troubled_share(more)).min(1.0)
    }
}

/// The models around the one that a finding is about. What is the same for all their incidents is
/// worked out once, since many incidents may be of few models.
struct Surroundings<'a> {
    state: &'a State,
    finding: &'a Finding,
    model: &'a ModelName,
    /// Since when the model itself has trouble.
    since: Timestamp,
    /// `None` for models that have nothing to do with it.
    neighbours: HashMap<&'a ModelName, Option<Neighbour<'a>>>,
}

/// How a model stands to the one that a finding is about.
#[derive(Debug, Clone, Copy)]
struct Neighbour<'a> {
    /// So many steps upstream.
    above: Option<usize>,
    /// So many steps downstream.
    below: Option<usize>,
    /// A service that has both.
    service: Option<&'a str>,
    /// Since when it has trouble, as far as an incident begins with it.
    since: Option<Timestamp>,
}

impl<'a> Surroundings<'a> {
    fn new(state: &'a State, finding: &'a Finding, model: &'a ModelName) -> Self {
        let known = state.troubled_since(model);
        let since = known.map_or(finding.raised_at, |at| at.min(finding.raised_at));
        Self { state, finding, model, since, neighbours: HashMap::new() }
    }

    fn neighbour(&mut self, theirs: &'a ModelName) -> Option<Neighbour<'a>> {
        let (state, model) = (self.state, self.model);
        *self.neighbours.entry(theirs).or_insert_with(|| {
            let graph = &state.graph;
            let far = |hops: &usize| *hops > 0;
            let above = graph.hops(theirs, model).filter(far);
            let below = graph.hops(model, theirs).filter(far);
            let of_theirs = graph.services(theirs);
            let shared = graph.services(model).iter().find(|name| of_theirs.contains(name));
            let service = shared.map(|name| &**name);
            (above.is_some() || below.is_some() || service.is_some()).then(|| {
                let since = state.troubled_since(theirs);
                Neighbour { above, below, service, since }
            })
        })
    }

    /// Whether anything that these troubles of a model could say is within its window.
    fn is_near(&mut self, theirs: &'a ModelName, troubles: &[Trouble]) -> bool {
        if theirs == self.model {
            let at = self.finding.raised_at;
            return troubles.iter().any(|trouble| trouble.apart(at) <= KIN);
        }
        let Some(neighbour) = self.neighbour(theirs) else { return false };
        troubles.iter().any(|trouble| {
            let since = neighbour.since(trouble);
            self.since.since(since).max(since.since(self.since)) <= DOWNSTREAM
        })
    }

    /// One of the two is asked by the other. How much that says goes by the share of the replicas
    /// that are in trouble: one of many is not missed.
    fn dependency(
        &self,
        Part { theirs, anchor, leads, of_models }: Part<'_>,
        neighbour: Neighbour<'_>,
        candidate: &mut Candidate,
    ) {
        let effect = passes_on(anchor.rule) && suffers(self.finding.rule);
        // What explains an effect of a sick node or rack does not explain the node or the rack.
        let cause = (leads || of_models) && passes_on(self.finding.rule) && suffers(anchor.rule);
        let since = neighbour.since(anchor);
        let (after, before) = (self.since.since(since), since.since(self.since));
        if let Some(hops) = neighbour.above.filter(|_| effect) {
            let (apart, window) =
                if before.is_zero() { (after, DOWNSTREAM) } else { (before, DOWNSTREAM_BEFORE) };
            if let Some(weight) = fade(self.state.carries(theirs, hops, 0), apart, window) {
                let text =
                    || format!("it asks {theirs}, which has {} on {}", anchor.rule, anchor.site());
                candidate.add(Kind::Dependency, weight, apart, text);
                return;
            }
        }
        if let Some(hops) = neighbour.below.filter(|_| cause) {
            let (apart, window) =
                if after.is_zero() { (before, DOWNSTREAM) } else { (after, DOWNSTREAM_BEFORE) };
            if let Some(weight) = fade(self.state.carries(self.model, hops, 1), apart, window) {
                let text =
                    || format!("{theirs} on {} asks it, and has {}", anchor.site(), anchor.rule);
                candidate.add(Kind::Dependency, weight, apart, text);
                if leads {
                    candidate.upstream = candidate.upstream.max(Some(Nearness::Node));
                }
            }
        }
    }

    /// Two models of one service have the same trouble. How much that says goes by the share of their
    /// replicas that has it.
    fn service(
        &self,
        anchor: &Trouble,
        theirs: &ModelName,
        neighbour: Neighbour<'_>,
        candidate: &mut Candidate,
    ) {
        let Some(service) = neighbour.service else { return };
        let kind = type_of(self.finding.rule);
        if type_of(anchor.rule) != kind || !fleet_wide(kind) {
            return;
        }
        let since = neighbour.since(anchor);
        let apart = self.since.since(since).max(since.since(self.since));
        let share =
            |model, more| (2.0 * self.state.replicas.of(model).troubled_share(more)).min(1.0);
        let weight = 0.85 * share(self.model, 1) * share(theirs, 0);
        if let Some(weight) = fade(weight, apart, SERVICE) {
            let text = || format!("{theirs} of the same service {service} has {}", anchor.rule);
            candidate.add(Kind::Service, weight, apart, text);
        }
    }
}

impl Neighbour<'_> {
    /// Since when it has trouble, with what an incident knows of it.
    fn since(self, anchor: &Trouble) -> Timestamp {
        self.since.map_or(anchor.first_at, |at| at.min(anchor.first_at))
    }
}

/// The model that has what a member is and passes it on, and since when; `None` when it is over.
fn passed_on(member: &Member) -> Option<(&ModelName, Timestamp)> {
    let model = model_of(&member.subject)?;
    (passes_on(member.rule) && member.cleared_at.is_none()).then_some((model, member.raised_at))
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
pub(super) fn kin(
    node: &NodeId,
    finding: &Finding,
    model: &ModelName,
    trouble: &Trouble,
    incident: &Incident,
    candidate: &mut Candidate,
) {
    let kind = type_of(finding.rule);
    let alike = trouble.kind() == kind && incident.kind == kind;
    if !fleet_wide(kind) || !alike || !trouble.is_beside(node) {
        return;
    }
    let apart = trouble.apart(finding.raised_at);
    if let Some(weight) = fade(0.85, apart, KIN) {
        let site = if trouble.node.as_ref() == Some(node) { "other nodes" } else { trouble.site() };
        let text = || format!("{model} has the same trouble on {site}");
        candidate.add(Kind::Kin, weight, apart, text);
    }
}
