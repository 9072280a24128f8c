//! Which recorded changes a finding may be an effect of, and how much each is to be suspected. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use gpuwarden_proto::change::{ChangeKey, ChangeKind, RecordedChange};
use gpuwarden_proto::entity::{Entity, EntityKind};
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::{IncidentType, ModelName, ModelVersion, NodeId};

use super::State;
use super::candidate::model_of;
use super::cause::Clue;
use super::named::names_of;
use crate::classify::type_of;

/// So long after a change its effects may begin.
pub(super) const EFFECTS: Duration = Duration::from_secs(45 * 60);
/// The time in which the suspicion against a change falls to 37 %, in seconds.
const FADES_S: f64 = 45.0 * 60.0;

/// How closely a change names what has trouble. Ordered: the closer, the less.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reach {
    /// The very version of the model.
    Version,
    /// The model.
    Model,
    /// A service of the model.
    Service,
    /// The node.
    Node,
    /// Another version of the model.
    OtherVersion,
    /// The driver of the node.
    Driver,
    /// The rack of the node.
    Rack,
    /// The zone of the node.
    Zone,
    /// The whole fleet.
    Fleet,
}

impl Reach {
    /// How much a change is to be suspected that reaches so far, 0 to 1.
    pub(super) const fn suspicion(self) -> f64 {
        match self {
            Self::Version => 1.0,
            Self::Model => 0.95,
            Self::Service | Self::Node => 0.85,
            Self::Driver | Self::Rack => 0.7,
            Self::OtherVersion | Self::Zone => 0.55,
            Self::Fleet => 0.35,
        }
    }

    /// How sure it makes that two that follow the same change have one cause, 0 to 1. What names
    /// neither model nor service does not make one of two by itself, and what names nothing is not
    /// even worth a mention.
    pub(super) const fn bond(self) -> f64 {
        match self {
            Self::Version | Self::Model => 0.9,
            Self::Service => 0.75,
            Self::OtherVersion | Self::Node | Self::Driver | Self::Rack => 0.5,
            Self::Zone => 0.35,
            Self::Fleet => 0.3,
        }
    }
}

/// A change, and how much a finding gives cause to suspect it.
#[derive(Debug, Clone)]
pub(super) struct Blame {
    pub(super) change: Arc<RecordedChange>,
    pub(super) reach: Reach,
    /// How well such trouble fits such a change, 0 to 1.
    pub(super) fit: f64,
    /// Time from the change to the trouble.
    pub(super) age: Duration,
}

impl Blame {
    /// How likely the change is the cause before anything else is known, 0 to 1.
    pub(super) fn prior(&self) -> f64 {
        0.97 * self.reach.suspicion() * self.fit * faded(self.age)
    }
}

/// What is left of a suspicion after so long.
pub(super) fn faded(age: Duration) -> f64 {
    (-age.as_secs_f64() / FADES_S).exp()
}

/// A recorded change as an entity.
pub(super) fn entity(change: &RecordedChange) -> Entity {
    Entity::fleet(EntityKind::Change, change.key.as_str())
}

/// A change as people say it: `rollout of service search`.
pub(super) fn named(change: &RecordedChange) -> String {
    match change.about.as_slice() {
        [] => format!("{} of the whole fleet", change.kind),
        [one] => format!("{} of {one}", change.kind),
        [one, others @ ..] => format!("{} of {one} and {} more", change.kind, others.len()),
    }
}

impl State {
    /// The recorded changes of late that a finding may be an effect of, each by what names it most
    /// closely, in the order of their keys.
    pub(super) fn recorded_before(&self, clue: Clue<'_>) -> Vec<Blame> {
        if self.changes.none_recorded() {
            return Vec::new();
        }
        let mut found: BTreeMap<ChangeKey, Blame> = BTreeMap::new();
        for (thing, reach) in self.things_of(clue) {
            for change in self.changes.recorded(thing.as_ref(), clue.raised_at) {
                let Some(blame) = blame(change, reach, clue) else { continue };
                let known = found.entry(change.key.clone()).or_insert_with(|| blame.clone());
                if blame.reach < known.reach {
                    *known = blame;
                }
            }
        }
        found.into_values().collect()
    }

    /// All whose change may bring this trouble about. `None` is the whole fleet.
    fn things_of(&self, clue: Clue<'_>) -> Vec<(Option<Entity>, Reach)> {
        let mut things = vec![(None, Reach::Fleet)];
        let models = match model_of(clue.subject) {
            Some(model) => vec![model],
            None => self.models_on_gpu(clue),
        };
        models.into_iter().for_each(|model| self.add_model(model, &mut things));
        clue.node.iter().for_each(|node| self.add_node(node, &mut things));
        if clue.node.is_none() {
            for name in names_of(clue.subject, clue.about) {
                self.add_name(name, &mut things);
            }
        }
        things
    }

    fn add_model(&self, model: &ModelName, things: &mut Vec<(Option<Entity>, Reach)>) {
        things.push((Some(Entity::fleet(EntityKind::Model, model.as_str())), Reach::Model));
        for service in self.graph.services(model) {
            things.push((Some(Entity::fleet(EntityKind::Service, service)), Reach::Service));
        }
    }

    fn add_node(&self, node: &NodeId, things: &mut Vec<(Option<Entity>, Reach)>) {
        things.push((Some(Entity::node(node)), Reach::Node));
        let Some(site) = self.graph.site(node) else { return };
        let places = [
            (EntityKind::Rack, &site.rack, Reach::Rack),
            (EntityKind::Zone, &site.zone, Reach::Zone),
            (EntityKind::Driver, &site.driver, Reach::Driver),
        ];
        for (kind, name, reach) in places {
            things.extend(name.iter().map(|name| (Some(Entity::fleet(kind, name)), reach)));
        }
    }

    /// What a finding of no node names.
    fn add_name(&self, name: Entity, things: &mut Vec<(Option<Entity>, Reach)>) {
        match name.kind {
            EntityKind::Node => {
                NodeId::new(&name.name).iter().for_each(|node| self.add_node(node, things));
            }
            EntityKind::Model => {
                let model = ModelName::new(&name.name);
                model.iter().for_each(|model| self.add_model(model, things));
            }
            EntityKind::Service => things.push((Some(name), Reach::Service)),
            EntityKind::Rack => things.push((Some(name), Reach::Rack)),
            EntityKind::Zone => things.push((Some(name), Reach::Zone)),
            _ => {}
        }
    }
}

fn blame(change: &Arc<RecordedChange>, reach: Reach, clue: Clue<'_>) -> Option<Blame> {
    let done = change.finished_at.unwrap_or(change.started_at);
    let age = clue.raised_at.since(done.min(clue.raised_at));
    let fit = fits(change.kind, type_of(clue.rule));
    let late = age > EFFECTS || clue.raised_at.since(change.started_at) > EFFECTS * 4;
    let reach = if reach == Reach::Model { of_version(change, clue) } else { reach };
    (!late && fit > 0.0).then(|| Blame { change: Arc::clone(change), reach, fit, age })
}

/// How closely a change that names the model names the version.
fn of_version(change: &RecordedChange, clue: Clue<'_>) -> Reach {
    let Some(model) = model_of(clue.subject) else { return Reach::Model };
    let named: Vec<Option<ModelVersion>> = change
        .about
        .iter()
        .filter_map(Entity::model)
        .filter(|(name, _)| name == model)
        .map(|(_, version)| version)
        .collect();
    let runs = version_of(clue);
    if named.contains(&None) {
        Reach::Model
    } else if named.iter().flatten().any(|version| Some(version) == runs) {
        Reach::Version
    } else {
        Reach::OtherVersion
    }
}

fn version_of<'a>(clue: Clue<'a>) -> Option<&'a ModelVersion> {
    match clue.subject {
        gpuwarden_proto::event::Subject::Model { version, .. } => Some(version),
        _ => None,
    }
}

/// How well such trouble fits such a change, 0 to 1.
fn fits(change: ChangeKind, trouble: IncidentType) -> f64 {
    use IncidentType as T;
    let serving = matches!(
        trouble,
        T::ModelUnavailable | T::HighLatency | T::HighErrorRate | T::GpuOom | T::External
    );
    match change {
        ChangeKind::AgentStarted | ChangeKind::AgentStopped => 0.0,
        ChangeKind::ModelLoaded
        | ChangeKind::ModelUnloaded
        | ChangeKind::ModelDeployed
        | ChangeKind::ConfigChanged
        | ChangeKind::Rollout
        | ChangeKind::ServerRestarted => match trouble {
            _ if serving => 1.0,
            T::NoisyNeighbour => 0.5,
            _ => 0.2,
        },
        ChangeKind::DriverChanged => match trouble {
            T::GpuHardware => 1.0,
            T::NodeUnreachable | T::TelemetryBlind => 0.8,
            _ => 0.7,
        },
        ChangeKind::Infrastructure => match trouble {
            T::NodeUnreachable | T::GpuHardware | T::TelemetryBlind => 1.0,
            T::NoisyNeighbour => 0.4,
            _ => 0.8,
        },
        ChangeKind::Other => 0.7,
    }
}

/// Whether trouble that began then may be an effect of a change that was told late.
pub(super) fn may_follow(change: &RecordedChange, raised_at: Timestamp) -> bool {
    let begun = raised_at.after(super::change::SLACK) >= change.started_at;
    let done = change.finished_at.unwrap_or(change.started_at);
    begun && raised_at.since(done.min(raised_at)) <= EFFECTS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closer_a_change_names_what_has_trouble_the_more_it_is_suspected() {
        use Reach as R;
        let all = [
            R::Version,
            R::Model,
            R::Service,
            R::Node,
            R::OtherVersion,
            R::Driver,
            R::Rack,
            R::Zone,
            R::Fleet,
        ];
        assert!(all.is_sorted());
        assert!(all.iter().all(|reach| reach.suspicion() >= R::Fleet.suspicion()));
        assert!(all.iter().all(|reach| reach.bond() >= R::Fleet.bond()));
    }

    #[test]
    fn a_change_that_names_no_model_and_no_service_makes_one_of_nothing() {
        use super::super::evidence::{ATTACH, SUGGEST};
        assert!(Reach::Rack.bond() < ATTACH && Reach::Node.bond() < ATTACH);
        assert!(Reach::Fleet.bond() < SUGGEST && Reach::Zone.bond() < SUGGEST);
    }
}
