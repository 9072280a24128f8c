//! Where to look for incidents that a finding may belong to, beyond its own node: by model, service,
//! rack, zone and driver. Pure.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use gpuwarden_proto::entity::Entity;
use gpuwarden_proto::incident::Member;
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
    troubles: HashMap<IncidentId, Troubles>,
}

/// What each model of an incident has, by type.
pub(super) type Troubles = BTreeMap<ModelName, Vec<Trouble>>;

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
        let of_model = self.troubles.entry(id).or_default().entry(model.clone()).or_default();
        let trouble = Trouble::of(member);
        match of_model.iter_mut().find(|known| known.kind() == trouble.kind()) {
            Some(known) => known.spread(member),
            None => of_model.push(trouble),
        }
    }

    /// What the models of an incident have.
    pub(super) fn troubles(
        &self,
        id: IncidentId,
    ) -> impl Iterator<Item = (&ModelName, &[Trouble])> {
        let all = self.troubles.get(&id).into_iter().flatten();
        all.map(|(model, troubles)| (model, troubles.as_slice()))
    }

    /// An incident is over, or goes on as another.
    pub(super) fn drop(&mut self, id: IncidentId) {
        self.troubles.remove(&id);
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
}
