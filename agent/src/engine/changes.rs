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
