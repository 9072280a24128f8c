//! Trouble on several nodes that follows the same change. Pure.

use gpuwarden_proto::entity::{Entity, EntityKind};
use gpuwarden_proto::event::{Finding, Subject};
use gpuwarden_proto::incident::Member;
use gpuwarden_proto::time::spoken;
use gpuwarden_proto::vocab::{GpuUuid, IncidentType, ModelName, NodeId};

use super::State;
use super::blame::{self, EFFECTS};
use super::candidate::{ANCHORS, Candidate, Candidates, fleet_wide, model_of, site};
use super::cause::{Clue, fade};
use super::change::Recent;
use super::evidence::Kind;
use crate::classify::type_of;
use crate::incident::Case;

/// Whether a member may have the cause that others have on other nodes: not when it is known as the
/// effect of something on its own.
fn says_of_others(anchor: &Member) -> bool {
    let local = anchor.is_tied_by(Kind::Effect) && !anchor.is_tied_by(Kind::Change);
    fleet_wide(type_of(anchor.rule)) && !local
}

impl State {
    /// By members on other nodes that follow the same recorded change.
    pub(super) fn follow_alike(&self, node: &NodeId, finding: &Finding, found: &mut Candidates) {
        if !fleet_wide(type_of(finding.rule)) {
            return;
        }
        for ours in self.recorded_before(Clue::of(Some(node), finding)) {
            for id in self.index.of(&blame::entity(&ours.change)) {
                let rooted = self.cases.get(&id).map(Case::incident);
                let Some(incident) = rooted.filter(|each| fleet_wide(each.kind)) else { continue };
                for anchor in incident.members.iter().take(ANCHORS) {
                    if anchor.node.as_ref() == Some(node) || !says_of_others(anchor) {
                        continue;
                    }
                    let theirs = self.recorded_before(Clue::from(anchor));
                    let Some(theirs) = theirs.iter().find(|e| e.change.key == ours.change.key)
                    else {
                        continue;
                    };
                    let bond = ours.reach.bond().min(theirs.reach.bond());
                    let age = ours.age.max(theirs.age);
                    let weight = bond * ours.fit.min(theirs.fit);
                    let Some(weight) = fade(weight, age, EFFECTS) else { continue };
                    let apart = finding.raised_at.since(anchor.raised_at);
                    let text = || {
                        let (what, rule) = (blame::named(&ours.change), anchor.rule);
                        format!("follows {what}, as does {}, which has {rule}", site(anchor))
                    };
                    let candidate = found.entry(id).or_insert_with(|| Candidate::new(id));
                    candidate.add(Kind::Change, weight, apart, text);
                }
            }
        }
    }

    /// By members on other nodes that follow the same change of a model.
    pub(super) fn changed_alike(&self, node: &NodeId, finding: &Finding, found: &mut Candidates) {
        if !fleet_wide(type_of(finding.rule)) {
            return;
        }
        for (model, ours) in self.changed_before(Clue::of(Some(node), finding)) {
            let entity = Entity::fleet(EntityKind::Model, model.as_str());
            for id in self.index.of(&entity) {
                // What one node has for a reason of its own says nothing about others.
                let rooted = self.cases.get(&id).map(Case::incident);
                let Some(incident) = rooted.filter(|each| fleet_wide(each.kind)) else { continue };
                for anchor in incident.members.iter().take(ANCHORS) {
                    let clue = Clue::from(anchor);
                    if anchor.is_on(node) || !says_of_others(anchor) {
                        continue;
                    }
                    let theirs = self.changed_before(clue);
                    let alike = |(other, there): &&(&ModelName, &Recent)| {
                        *other == model && there.version == ours.version
                    };
                    let Some((_, theirs)) = theirs.iter().find(alike) else { continue };
                    let since = finding.raised_at.since(ours.at);
                    let age = since.max(anchor.raised_at.since(theirs.at));
                    let Some(weight) = fade(0.9, age, EFFECTS) else { continue };
                    let apart = finding.raised_at.since(anchor.raised_at);
                    let text = || {
                        format!(
                            "{model} was changed here {} before, as on {}, which has {}",
                            spoken(since),
                            site(anchor),
                            anchor.rule
                        )
                    };
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
            let recent = self.changes.of_model(clue.node?, model, clue.raised_at)?;
            (clue.raised_at.since(recent.at) <= EFFECTS).then_some((model, recent))
        };
        if let Some(model) = model_of(clue.subject) {
            return recent(model).into_iter().collect();
        }
        self.models_on_gpu(clue).into_iter().filter_map(recent).collect()
    }

    /// The models that run on a GPU whose memory runs out.
    pub(super) fn models_on_gpu<'a>(&'a self, clue: Clue<'a>) -> Vec<&'a ModelName> {
        let Subject::Gpu { uuid, .. } = clue.subject else { return Vec::new() };
        if type_of(clue.rule) != IncidentType::GpuOom {
            return Vec::new();
        }
        let snapshot =
            clue.node.and_then(|node| self.nodes.get(node)).and_then(|node| node.snapshot.as_ref());
        let models = snapshot.into_iter().flat_map(|s| &s.servers).flat_map(|s| &s.models);
        // A page may name the whole GPU where the model runs on one instance of it.
        let whole = snapshot.and_then(|snapshot| snapshot.parent_of(uuid));
        let is_there = |gpus: &[GpuUuid]| {
            gpus.is_empty() || gpus.contains(uuid) || whole.is_some_and(|gpu| gpus.contains(gpu))
        };
        let there = models.filter(|model| is_there(&model.gpus));
        there.map(|model| &model.name).collect()
    }
}
