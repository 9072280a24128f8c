//! What was done to the fleet of late: deploys, settings, drivers, machines. Pure.
//!
//! What agents saw is kept by node and model, what was recorded by the things that it is about.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use gpuwarden_proto::change::{ChangeKey, RecordedChange};
use gpuwarden_proto::entity::{Entity, EntityKind};
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::{ChangeKind, ChangeOrigin, ModelName, ModelVersion, NodeId};

/// So long a change is remembered.
const KEPT: Duration = Duration::from_secs(6 * 3600);
/// Changes that are remembered; the oldest go first.
const CHANGES_MAX: usize = 100_000;
/// Changes of one thing that are remembered.
const OF_ONE_MAX: usize = 4;
/// Recorded changes of one thing that are remembered: one service may have many rollouts an hour.
const RECORDED_OF_ONE_MAX: usize = 16;
/// A change and its effect are told by different clocks and sources: so much earlier than the change
/// an effect may seem to begin.
pub(super) const SLACK: Duration = Duration::from_secs(5);

/// What agents saw changed, of all that can be the cause of trouble.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Changed {
    Model(NodeId, ModelName),
    Driver(NodeId),
}

/// Where a change is kept: `None` is the whole fleet.
type Thing = Option<Entity>;

/// The changes of late.
#[derive(Debug, Default)]
pub struct Changes {
    /// The newest of each thing, the oldest first: a roll-back must not hide what was rolled back.
    last: HashMap<Changed, Vec<Recent>>,
    order: VecDeque<(Timestamp, Changed)>,
    recorded: HashMap<Thing, Vec<Arc<RecordedChange>>>,
    recorded_order: VecDeque<(Timestamp, ChangeKey, Vec<Thing>)>,
}

/// A change that an agent saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recent {
    /// When.
    pub at: Timestamp,
    /// How.
    pub kind: ChangeKind,
    /// To which version of the model, where it was one.
    pub version: Option<ModelVersion>,
    /// All that is known of it.
    pub change: Arc<RecordedChange>,
}

impl Changes {
    /// Takes up a change. One that is known is taken as it is told now.
    pub fn note(&mut self, change: &Arc<RecordedChange>) {
        match change.origin {
            ChangeOrigin::Agent => self.saw(change),
            ChangeOrigin::Person | ChangeOrigin::Webhook | ChangeOrigin::Kubernetes => {
                self.record(change);
            }
        }
    }

    fn saw(&mut self, change: &Arc<RecordedChange>) {
        let at = change.started_at;
        let Some((changed, version)) = seen(change) else { return };
        let known = self.last.entry(changed.clone()).or_default();
        let told = |recent: &Recent| {
            recent.at == at && recent.kind == change.kind && recent.version == version
        };
        // What is told twice must not push out what came before.
        if known.iter().any(told) {
            return;
        }
        let place = known.partition_point(|recent| recent.at <= at);
        let recent = Recent { at, kind: change.kind, version, change: Arc::clone(change) };
        known.insert(place, recent);
        if known.len() > OF_ONE_MAX {
            known.remove(0);
        }
        self.order.push_back((at, changed));
        self.forget(at);
    }

    fn record(&mut self, change: &Arc<RecordedChange>) {
        let mut things: Vec<Thing> =
            change.about.iter().map(|entity| Some(thing(entity))).collect();
        if things.is_empty() {
            things.push(None);
        }
        for thing in &things {
            let known = self.recorded.entry(thing.clone()).or_default();
            known.retain(|other| other.key != change.key);
            let place = known.partition_point(|other| other.started_at <= change.started_at);
            known.insert(place, Arc::clone(change));
            if known.len() > RECORDED_OF_ONE_MAX {
                known.remove(0);
            }
        }
        self.recorded_order.push_back((change.started_at, change.key.clone(), things));
        self.forget_recorded(change.started_at);
    }

    fn forget(&mut self, now: Timestamp) {
        while let Some((at, changed)) = self.order.front() {
            let young = now.since(*at) <= KEPT;
            if young && self.order.len() <= CHANGES_MAX {
                break;
            }
            if let Some(known) = self.last.get_mut(changed) {
                known.retain(|recent| recent.at > *at);
                if known.is_empty() {
                    self.last.remove(changed);
                }
            }
            self.order.pop_front();
        }
    }

    fn forget_recorded(&mut self, now: Timestamp) {
        while let Some((at, key, things)) = self.recorded_order.front() {
            if now.since(*at) <= KEPT && self.recorded_order.len() <= CHANGES_MAX {
                break;
            }
            for thing in things {
                if let Some(known) = self.recorded.get_mut(thing) {
                    known.retain(|each| each.key != *key);
                    if known.is_empty() {
                        self.recorded.remove(thing);
                    }
                }
            }
            self.recorded_order.pop_front();
        }
    }

    /// The newest change of a model on a node before `at`, as its agent saw it.
    #[must_use]
    pub fn of_model(&self, node: &NodeId, model: &ModelName, at: Timestamp) -> Option<&Recent> {
        self.before(&Changed::Model(node.clone(), model.clone()), at)
    }

    /// The newest change of a node's driver before `at`, as its agent saw it.
    #[must_use]
    pub fn of_driver(&self, node: &NodeId, at: Timestamp) -> Option<&Recent> {
        self.before(&Changed::Driver(node.clone()), at)
    }

    fn before(&self, changed: &Changed, at: Timestamp) -> Option<&Recent> {
        self.last.get(changed)?.iter().rev().find(|recent| recent.at <= at.after(SLACK))
    }

    /// Nothing was recorded of late, so that nobody need ask.
    #[must_use]
    pub fn none_recorded(&self) -> bool {
        self.recorded.is_empty()
    }

    /// What was recorded of a thing, or of the whole fleet, and had begun at `at`; the newest first.
    pub fn recorded(
        &self,
        thing: Option<&Entity>,
        at: Timestamp,
    ) -> impl Iterator<Item = &Arc<RecordedChange>> {
        let known = self.recorded.get(&thing.cloned()).into_iter().flatten().rev();
        known.filter(move |change| change.started_at <= at.after(SLACK))
    }
}

/// What an agent saw changed, where that can be the cause of trouble.
fn seen(change: &RecordedChange) -> Option<(Changed, Option<ModelVersion>)> {
    let entity = change.about.first()?;
    let node = entity.node.as_ref()?;
    match change.kind {
        ChangeKind::DriverChanged => Some((Changed::Driver(node.clone()), None)),
        ChangeKind::ModelDeployed
        | ChangeKind::ModelLoaded
        | ChangeKind::ModelUnloaded
        | ChangeKind::ConfigChanged => {
            let (_, model, version) = entity.replica()?;
            Some((Changed::Model(node.clone(), model), Some(version)))
        }
        ChangeKind::ServerRestarted
        | ChangeKind::AgentStarted
        | ChangeKind::AgentStopped
        | ChangeKind::Rollout
        | ChangeKind::Infrastructure
        | ChangeKind::Other => None,
    }
}

/// Where a change of this is looked for: versions of a model with the model.
fn thing(entity: &Entity) -> Entity {
    match (entity.kind, entity.model()) {
        (EntityKind::Version, Some((model, _))) => Entity::fleet(EntityKind::Model, model.as_str()),
        (EntityKind::Node, _) => match NodeId::new(&entity.name) {
            Ok(node) => Entity::node(&node),
            Err(_) => entity.clone(),
        },
        _ => Entity { node: None, ..entity.clone() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{at, node, recorded, subject};
    use gpuwarden_proto::event::Change;

    fn deploy(on: &str, second: u64, model: &str) -> Arc<RecordedChange> {
        let (summary, version) = (String::new(), String::new());
        let subject = subject(model);
        let seen = Change { subject, kind: ChangeKind::ModelDeployed, summary, version };
        Arc::new(RecordedChange::observed(&node(on), at(second), &seen))
    }

    fn bert() -> ModelName {
        ModelName::new("bert").unwrap()
    }

    fn keys(changes: &Changes, thing: Option<&Entity>, second: u64) -> Vec<String> {
        changes.recorded(thing, at(second)).map(|change| change.key.to_string()).collect()
    }

    #[test]
    fn a_change_is_the_cause_of_what_comes_after_it() {
        let mut changes = Changes::default();
        changes.note(&deploy("a", 100, "bert"));
        assert_eq!(changes.of_model(&node("a"), &bert(), at(90)), None);
        assert!(changes.of_model(&node("a"), &bert(), at(98)).is_some(), "clocks differ");
        assert!(changes.of_model(&node("a"), &bert(), at(500)).is_some());
        assert_eq!(changes.of_model(&node("b"), &bert(), at(500)), None);
    }

    #[test]
    fn a_roll_back_does_not_hide_what_was_rolled_back() {
        let mut changes = Changes::default();
        (1..=6).for_each(|nth| changes.note(&deploy("a", 100 * nth, "bert")));
        let found = changes.of_model(&node("a"), &bert(), at(450)).unwrap();
        assert_eq!(found.at, at(400));
        assert_eq!(changes.last.values().map(Vec::len).collect::<Vec<_>>(), [OF_ONE_MAX]);
    }

    #[test]
    fn what_is_old_is_forgotten() {
        let mut changes = Changes::default();
        changes.note(&deploy("a", 0, "bert"));
        changes.note(&recorded(0, "rollout service=search key=a"));
        changes.note(&deploy("a", 6 * 3600 + 1, "resnet"));
        changes.note(&recorded(6 * 3600 + 1, "rollout service=chat key=b"));
        assert_eq!(changes.of_model(&node("a"), &bert(), at(7 * 3600)), None);
        assert_eq!((changes.last.len(), changes.order.len()), (1, 1));
        assert_eq!((changes.recorded.len(), changes.recorded_order.len()), (1, 1));
    }

    #[test]
    fn what_was_recorded_is_found_by_each_thing_that_it_is_about_and_only_once() {
        let mut changes = Changes::default();
        changes.note(&recorded(100, "rollout service=search model=bert:7 key=a"));
        changes.note(&recorded(100, "rollout service=search model=bert:7 key=a finished=160"));
        changes.note(&recorded(120, "infrastructure key=b"));
        let (service, model) = (EntityKind::Service, EntityKind::Model);
        assert_eq!(keys(&changes, Some(&Entity::fleet(service, "search")), 200), ["a"]);
        assert_eq!(keys(&changes, Some(&Entity::fleet(model, "bert")), 200), ["a"]);
        assert_eq!(keys(&changes, Some(&Entity::fleet(model, "bert")), 94), Vec::<String>::new());
        assert_eq!(keys(&changes, None, 200), ["b"]);
        let told = changes.recorded(Some(&Entity::fleet(model, "bert")), at(200)).next().unwrap();
        assert_eq!(told.finished_at, Some(at(160)));
    }
}
