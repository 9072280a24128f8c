//! What was done to the fleet of late: deploys, loads, drivers. Pure.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use gpuwarden_proto::event::{Change, Subject};
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::{ChangeKind, ModelName, ModelVersion, NodeId};

/// So long a change is remembered.
const KEPT: Duration = Duration::from_secs(6 * 3600);
/// Changes that are remembered; the oldest go first.
const CHANGES_MAX: usize = 200_000;
/// Changes of one thing that are remembered.
const OF_ONE_MAX: usize = 4;
/// A change and its effect are told by different clocks and sources: so much earlier than the change
/// an effect may seem to begin.
const SLACK: Duration = Duration::from_secs(5);

/// What was changed, of all that can be the cause of trouble.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Changed {
    Model(NodeId, ModelName),
    Driver(NodeId),
}

/// The changes of late.
#[derive(Debug, Default)]
pub struct Changes {
    /// The newest of each thing, the oldest first: a roll-back must not hide what was rolled back.
    last: HashMap<Changed, Vec<Recent>>,
    order: VecDeque<(Timestamp, Changed)>,
}

/// The newest change of one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recent {
    /// When.
    pub at: Timestamp,
    /// How.
    pub kind: ChangeKind,
    /// To which version of the model, where it was one.
    pub version: Option<ModelVersion>,
}

impl Changes {
    /// Takes up a change that was seen on a node.
    pub fn note(&mut self, node: &NodeId, at: Timestamp, change: &Change) {
        let (changed, version) = match (&change.subject, change.kind) {
            (
                Subject::Model { model, version, .. },
                ChangeKind::ModelDeployed | ChangeKind::ModelLoaded | ChangeKind::ModelUnloaded,
            ) => (Changed::Model(node.clone(), model.clone()), Some(version.clone())),
            (_, ChangeKind::DriverChanged) => (Changed::Driver(node.clone()), None),
            _ => return,
        };
        let known = self.last.entry(changed.clone()).or_default();
        let place = known.partition_point(|recent| recent.at <= at);
        known.insert(place, Recent { at, kind: change.kind, version });
        if known.len() > OF_ONE_MAX {
            known.remove(0);
        }
        self.order.push_back((at, changed));
        self.forget(at);
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

    /// The newest change of a model on a node before `at`.
    #[must_use]
    pub fn of_model(&self, node: &NodeId, model: &ModelName, at: Timestamp) -> Option<&Recent> {
        self.before(&Changed::Model(node.clone(), model.clone()), at)
    }

    /// The newest change of a node's driver before `at`.
    #[must_use]
    pub fn of_driver(&self, node: &NodeId, at: Timestamp) -> Option<&Recent> {
        self.before(&Changed::Driver(node.clone()), at)
    }

    fn before(&self, changed: &Changed, at: Timestamp) -> Option<&Recent> {
        self.last.get(changed)?.iter().rev().find(|recent| recent.at <= at.after(SLACK))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{at, node, subject};

    fn deploy(model: &str) -> Change {
        let summary = String::new();
        let version = String::new();
        Change { subject: subject(model), kind: ChangeKind::ModelDeployed, summary, version }
    }

    fn bert() -> ModelName {
        ModelName::new("bert").unwrap()
    }

    #[test]
    fn a_change_is_the_cause_of_what_comes_after_it() {
        let mut changes = Changes::default();
        changes.note(&node("a"), at(100), &deploy("bert"));
        assert_eq!(changes.of_model(&node("a"), &bert(), at(90)), None);
        assert!(changes.of_model(&node("a"), &bert(), at(98)).is_some(), "clocks differ");
        assert!(changes.of_model(&node("a"), &bert(), at(500)).is_some());
        assert_eq!(changes.of_model(&node("b"), &bert(), at(500)), None);
    }

    #[test]
    fn a_roll_back_does_not_hide_what_was_rolled_back() {
        let mut changes = Changes::default();
        (1..=6).for_each(|nth| changes.note(&node("a"), at(100 * nth), &deploy("bert")));
        let found = changes.of_model(&node("a"), &bert(), at(450)).unwrap();
        assert_eq!(found.at, at(400));
        assert_eq!(changes.last.values().map(Vec::len).collect::<Vec<_>>(), [OF_ONE_MAX]);
    }

    #[test]
    fn what_is_old_is_forgotten() {
        let mut changes = Changes::default();
        changes.note(&node("a"), at(0), &deploy("bert"));
        changes.note(&node("a"), at(6 * 3600 + 1), &deploy("resnet"));
        assert_eq!(changes.of_model(&node("a"), &bert(), at(7 * 3600)), None);
        assert_eq!((changes.last.len(), changes.order.len()), (1, 1));
    }
}
