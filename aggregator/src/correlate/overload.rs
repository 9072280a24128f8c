//! Replicas that are lost leave more to do to those that are left. Pure.

use std::collections::BTreeSet;
use std::time::Duration;

use gpuwarden_proto::entity::{Entity, EntityKind};
use gpuwarden_proto::event::{Finding, Subject};
use gpuwarden_proto::incident::Member;
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::{ModelName, NodeId, RuleId};

use super::State;
use super::candidate::{ANCHORS, Candidate, Candidates, model_of, site};
use super::cause::{Nearness, fade};
use super::evidence::{Kind, SUGGEST};

/// So long after replicas were lost those that are left may be overloaded, and so long before that is
/// known.
const OVERLOAD: Duration = Duration::from_secs(120);
const OVERLOAD_BEFORE: Duration = Duration::from_secs(10);
/// How sure that is of a model of which it is known already.
const KNOWN: f64 = 0.85;
/// The share of lost replicas from which on those that are left are surely overloaded.
const OVERLOADED: f64 = 1.0 / 3.0;

impl State {
    /// By replicas of the same model that are lost, so that this one has to do more.
    pub(super) fn overloaded(&self, node: &NodeId, finding: &Finding, found: &mut Candidates) {
        let Some(model) = model_of(&finding.subject).filter(|_| waits(finding.rule)) else {
            return;
        };
        let weight = self.overload(model, 0);
        let burdened = self.burdens.any();
        if weight < SUGGEST && !burdened {
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
                let known = burdened && self.burdens.has(place.incident, model);
                let weight = if known { weight.max(KNOWN) } else { weight };
                let weight = fade(weight, apart, window).filter(|weight| *weight >= SUGGEST);
                let Some(weight) = weight else { continue };
                let text = || format!("other replicas of {model} are lost, such as on {lost}");
                let candidate =
                    found.entry(place.incident).or_insert_with(|| Candidate::new(place.incident));
                candidate.add(Kind::Overload, weight, apart, text);
            }
        }
    }

    /// By models whose other replicas have to do more, because this takes some away.
    pub(super) fn overloading(&self, node: &NodeId, finding: &Finding, found: &mut Candidates) {
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
                if first.is_on(node)
                    || !waits(first.rule)
                    || model_of(&first.subject) != Some(model)
                {
                    continue;
                }
                let (apart, window) = spread(finding.raised_at, first.raised_at);
                let Some(weight) = fade(weight, apart, window) else { continue };
                let text = || format!("{model} on {} has to do more", site(first));
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
        let under = |node| self.models_under(node, &member.subject).any(|under| under == model);
        takes_away(member.rule) && member.node.as_ref().is_some_and(under)
    }

    /// The models that are gone when a node, a server or a model is.
    fn models_under<'a>(
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
}

/// A replica that has too much to do.
pub(super) const fn waits(rule: RuleId) -> bool {
    matches!(rule, RuleId::QueueBackup | RuleId::QueueRejecting | RuleId::LatencyHigh)
}

/// What takes replicas away.
const fn takes_away(rule: RuleId) -> bool {
    matches!(rule, RuleId::NodeLost | RuleId::ServerUnavailable | RuleId::ModelUnavailable)
}

/// Whether replicas may wait since then because others were lost.
pub(super) fn follows_loss(lost_at: Timestamp, since: Timestamp) -> bool {
    let (apart, window) = spread(lost_at, since);
    apart <= window
}

/// How far an effect is from its cause, and how far it may be.
fn spread(cause: Timestamp, effect: Timestamp) -> (Duration, Duration) {
    if effect >= cause {
        (effect.since(cause), OVERLOAD)
    } else {
        (cause.since(effect), OVERLOAD_BEFORE)
    }
}
