//! Changes as they are told: something was done to the node, which is not trouble.

use gpuwarden_proto::event::{Body, Change, Event, Subject};
use gpuwarden_proto::time::spoken;
use gpuwarden_proto::vocab::ChangeKind;

use super::{Effect, Engine};
use crate::sample::Now;

impl Engine {
    /// The agent began.
    pub fn started(&self, now: Now, version: &str) -> Event {
        let summary = format!("gpuwarden-agent {version} started");
        told(now, Subject::Node, ChangeKind::AgentStarted, summary)
    }

    /// The agent is being stopped on purpose: from here on silence is no trouble.
    pub fn stopped(&self, now: Now) -> Event {
        let summary = "gpuwarden-agent was stopped".to_owned();
        told(now, Subject::Node, ChangeKind::AgentStopped, summary)
    }
}

fn told(now: Now, subject: Subject, kind: ChangeKind, summary: String) -> Event {
    let change = Change { subject, kind, summary, version: String::new() };
    Event { observed_at: now.wall, body: Body::Change(change) }
}

/// Changes that the engine saw.
pub(super) mod change {
    use super::*;
    use crate::sample::ModelShape;
    use crate::window::{ModelWindow, Turn};

    pub(in super::super) fn model(now: Now, model: &ModelWindow, turn: &Turn) -> Effect {
        let (kind, summary) = match turn {
            Turn::Deployed(away) => {
                let summary = format!("was away for {} and is back", spoken(*away));
                (ChangeKind::ModelDeployed, summary)
            }
            Turn::Loaded => (ChangeKind::ModelLoaded, "serves".to_owned()),
            Turn::Unloaded => {
                let away = spoken(model.availability.away_for(now.moment));
                (ChangeKind::ModelUnloaded, format!("was unloaded and is not back after {away}"))
            }
        };
        Effect::Emit(told(now, model.subject(), kind, summary))
    }

    pub(in super::super) fn reloaded(now: Now, model: &ModelWindow) -> Effect {
        let summary = "was loaded anew: its counters began at zero".to_owned();
        Effect::Emit(told(now, model.subject(), ChangeKind::ModelDeployed, summary))
    }

    pub(in super::super) fn config(
        now: Now,
        model: &ModelWindow,
        before: &ModelShape,
        after: &ModelShape,
    ) -> Effect {
        let queue =
            |shape: &ModelShape| shape.max_queue.map_or("any".to_owned(), |n| n.to_string());
        let numbers = [
            ("instances", before.instances.to_string(), after.instances.to_string()),
            ("largest batch", before.max_batch.to_string(), after.max_batch.to_string()),
            ("longest queue", queue(before), queue(after)),
        ];
        let differ = numbers.iter().filter(|(_, before, after)| before != after);
        let listed: Vec<String> =
            differ.map(|(what, before, after)| format!("{what} {before} to {after}")).collect();
        let summary = match listed.as_slice() {
            [] => "has another config".to_owned(),
            some => format!("has another config: {}", some.join(", ")),
        };
        Effect::Emit(told(now, model.subject(), ChangeKind::ConfigChanged, summary))
    }

    pub(in super::super) fn server(now: Now, subject: Subject) -> Effect {
        let summary = "answers again".to_owned();
        Effect::Emit(told(now, subject, ChangeKind::ServerRestarted, summary))
    }

    pub(in super::super) fn driver(now: Now, before: &str, after: &str) -> Effect {
        let summary = format!("driver {before} was replaced by {after}");
        let (kind, version) = (ChangeKind::DriverChanged, after.to_owned());
        let change = Change { subject: Subject::Node, kind, summary, version };
        Effect::Emit(Event { observed_at: now.wall, body: Body::Change(change) })
    }
}

#[cfg(test)]
mod tests {
    use gpuwarden_proto::time::Timestamp;
    use gpuwarden_proto::vocab::{ModelName, ModelVersion, ServerName};

    use super::*;
    use crate::rule::Thresholds;
    use crate::sample::{
        Input, ModelShape, Moment, RepositoryEntry, RepositoryReading, RepositoryState,
    };

    const NOW: Now = Now { moment: Moment::ms(0), wall: Timestamp::from_unix_s(0) };

    fn shape(config: u64, instances: u32) -> ModelShape {
        let (server, model) = (ServerName::new("s").unwrap(), ModelName::new("bert").unwrap());
        ModelShape { server, model, instances, max_batch: 8, max_queue: None, config }
    }

    #[test]
    fn another_config_is_told_once_and_the_first_one_is_no_change() {
        let mut engine = Engine::new(Thresholds::default(), &[ServerName::new("s").unwrap()]);
        let entry = |version: &str| RepositoryEntry {
            model: ModelName::new("bert").unwrap(),
            version: ModelVersion::new(version).ok(),
            state: RepositoryState::Ready,
            reason: String::new(),
        };
        engine.apply(
            NOW,
            Input::Repository(RepositoryReading {
                server: ServerName::new("s").unwrap(),
                server_version: String::new(),
                entries: vec![entry("1"), entry("2")],
            }),
        );
        let mut told = |config, instances| -> Vec<String> {
            let effects = engine.apply(NOW, Input::Shape(shape(config, instances)));
            let text = |effect: Effect| match effect {
                Effect::Emit(Event { body: Body::Change(change), .. }) => {
                    Some(format!("{} {}: {}", change.kind, change.subject, change.summary))
                }
                _ => None,
            };
            effects.into_iter().filter_map(text).collect()
        };
        assert!(told(1, 1).is_empty());
        assert!(told(1, 1).is_empty());
        let words = "config-changed model bert: has another config: instances 1 to 2";
        assert_eq!(told(2, 2), [words]);
        assert_eq!(told(3, 2), ["config-changed model bert: has another config"]);
        assert!(told(0, 2).is_empty(), "what is not known is no change");
    }
}
