//! Where to look for incidents that a finding may belong to, beyond its own node: by model, service,
//! rack, zone and driver. Pure.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use gpuwarden_proto::entity::{Entity, EntityKind};
use gpuwarden_proto::incident::Member;
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::{IncidentId, ModelName};

use super::candidate::model_of;
use super::trouble::Trouble;

/// Incidents of one entity that are looked at; the newest. More would cost time in a storm and could
/// hardly be the better match.
const LOOKED_AT_MAX: usize = 32;

/// Incidents that are not over, by the entities that their members touch.
#[derive(Debug, Default)]
pub(super) struct Index {
    incidents: HashMap<Entity, BTreeSet<IncidentId>>,
    entities: HashMap<IncidentId, BTreeSet<Entity>>,
    /// What the models of each incident have, in the order of their names.
    troubles: HashMap<IncidentId, Vec<Trouble>>,
    /// Incidents that begin with what a model has and passes on, and since when it has that.
    leading: HashMap<ModelName, BTreeMap<IncidentId, Timestamp>>,
    /// The model under which an incident is there.
    leads: HashMap<IncidentId, ModelName>,
}

impl Index {
    /// An incident has a member that touches an entity.
    pub(super) fn note(&mut self, id: IncidentId, entity: Entity) {
        if self.entities.entry(id).or_default().insert(entity.clone()) {
            self.incidents.entry(entity).or_default().insert(id);
        }
    }

    /// An incident has a member that may be the trouble of a model.
    pub(super) fn trouble(&mut self, id: IncidentId, member: &Member) {
        let Some(model) = model_of(&member.subject) else { return };
        let all = self.troubles.entry(id).or_default();
        let trouble = Trouble::of(model, member);
        let alike =
            |known: &&mut Trouble| known.model == trouble.model && known.kind() == trouble.kind();
        match all.iter_mut().find(alike) {
            Some(known) => known.spread(member),
            None => all.insert(all.partition_point(|known| known.model <= trouble.model), trouble),
        }
    }

    /// An incident begins with this now: what a model has and passes on, and since when; or with
    /// something else.
    pub(super) fn lead(&mut self, id: IncidentId, first: Option<(&ModelName, Timestamp)>) {
        let before = self.leads.get(&id);
        if let Some(before) = before.filter(|before| first.map(|(model, _)| model) != Some(*before))
        {
            if let Some(all) = self.leading.get_mut(before) {
                all.remove(&id);
                if all.is_empty() {
                    self.leading.remove(before);
                }
            }
            self.leads.remove(&id);
        }
        let Some((model, since)) = first else { return };
        self.leads.entry(id).or_insert_with(|| model.clone());
        self.leading.entry(model.clone()).or_default().insert(id, since);
    }

    /// Since when a model has trouble that it passes on, as far as the newest incidents begin with it.
    pub(super) fn since(&self, model: &ModelName) -> Option<Timestamp> {
        let leading = self.leading.get(model)?;
        let entity = Entity::fleet(EntityKind::Model, model.as_str());
        let oldest = self.of(&entity).last()?;
        leading.range(oldest..).map(|(_, since)| *since).min()
    }

    /// What the models of an incident have.
    pub(super) fn troubles(
        &self,
        id: IncidentId,
    ) -> impl Iterator<Item = (&ModelName, &[Trouble])> {
        let all = self.troubles.get(&id).map_or(&[][..], Vec::as_slice);
        all.chunk_by(|a, b| a.model == b.model).map(|of_one| (&of_one[0].model, of_one))
    }

    /// An incident is over, or goes on as another.
    pub(super) fn drop(&mut self, id: IncidentId) {
        self.troubles.remove(&id);
        self.lead(id, None);
        for entity in self.entities.remove(&id).unwrap_or_default() {
            if let Some(set) = self.incidents.get_mut(&entity) {
                set.remove(&id);
                if set.is_empty() {
                    self.incidents.remove(&entity);
                }
            }
        }
    }

    /// The newest incidents of an entity.
    pub(super) fn of(&self, entity: &Entity) -> impl Iterator<Item = IncidentId> + use<'_> {
        let all = self.incidents.get(entity).into_iter().flatten();
        all.rev().take(LOOKED_AT_MAX).copied()
    }

    /// All incidents of an entity, the oldest first.
    pub(super) fn all(&self, entity: &Entity) -> impl Iterator<Item = IncidentId> + use<'_> {
        self.incidents.get(entity).into_iter().flatten().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gpuwarden_proto::entity::EntityKind;

    #[test]
    fn what_is_over_is_not_found_and_leaves_nothing_behind() {
        let rack = Entity::fleet(EntityKind::Rack, "r1");
        let mut index = Index::default();
        (1..=3).for_each(|id| index.note(IncidentId(id), rack.clone()));
        index.note(IncidentId(2), rack.clone());
        index.drop(IncidentId(2));
        assert_eq!(index.of(&rack).collect::<Vec<_>>(), [IncidentId(3), IncidentId(1)]);
        [1, 3].iter().for_each(|id| index.drop(IncidentId(*id)));
        assert!(index.incidents.is_empty() && index.entities.is_empty());
    }

    #[test]
    fn what_a_model_has_is_dated_by_its_newest_incidents_that_begin_with_it() {
        let model = |name| ModelName::new(name).unwrap();
        let (bert, resnet) = (model("bert"), model("resnet"));
        let mut index = Index::default();
        let at = |nth: u64| Timestamp::from_unix_s(1000 + nth);
        for nth in 1..=LOOKED_AT_MAX as u64 + 1 {
            index.note(IncidentId(nth), Entity::fleet(EntityKind::Model, "bert"));
            index.lead(IncidentId(nth), Some((&bert, at(nth))));
        }
        assert_eq!(index.since(&bert), Some(at(2)), "the oldest is not looked at");
        index.lead(IncidentId(2), None);
        index.lead(IncidentId(3), Some((&resnet, at(3))));
        index.lead(IncidentId(5), Some((&bert, at(0))));
        assert_eq!((index.since(&bert), index.since(&resnet)), (Some(at(0)), None));
        (1..=LOOKED_AT_MAX as u64 + 1).for_each(|nth| index.drop(IncidentId(nth)));
        assert!(index.leading.is_empty() && index.leads.is_empty());
    }
}
