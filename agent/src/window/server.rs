//! What is remembered of one Triton server.

use std::collections::BTreeMap;

use gpuwarden_proto::event::Subject;
use gpuwarden_proto::vocab::ServerName;

use super::{ModelKey, ModelWindow};
use crate::sample::{Moment, Outage};

/// Models that are remembered per server; more are counted and passed over.
pub const MODELS_MAX: usize = 2_000;

/// The history of a server.
#[derive(Debug)]
pub struct ServerWindow {
    /// Its name.
    pub name: ServerName,
    /// Its version; empty when unknown.
    pub version: String,
    /// It answered at least once since the agent started.
    pub ever_answered: bool,
    /// When it last answered.
    pub answered_at: Option<Moment>,
    /// The failed tries since then: when the first was, how many, and how the newest failed.
    pub failing: Option<Failing>,
    /// Its models.
    pub models: BTreeMap<ModelKey, ModelWindow>,
    /// Models passed over for want of room.
    pub models_dropped: u64,
}

/// Tries that failed one after another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failing {
    /// When the first of them was.
    pub since: Moment,
    /// How many.
    pub tries: u32,
    /// Since when nobody listens there at all; `None` when somebody does.
    pub refused_since: Option<Moment>,
    /// How many of the newest tries found nobody listening.
    pub refused_tries: u32,
    /// How the newest failed.
    pub newest: Outage,
}

impl ServerWindow {
    /// A server that was not asked yet.
    pub fn new(name: ServerName) -> Self {
        Self {
            name,
            version: String::new(),
            ever_answered: false,
            answered_at: None,
            failing: None,
            models: BTreeMap::new(),
            models_dropped: 0,
        }
    }

    /// What a finding about it is about.
    pub fn subject(&self) -> Subject {
        Subject::Server { server: self.name.clone() }
    }

    /// It answered. Returns whether it had been found gone before.
    pub fn answer(&mut self, now: Moment) -> bool {
        self.ever_answered = true;
        self.answered_at = Some(now);
        self.failing.take().is_some_and(|failing| failing.refused_since.is_some())
    }

    /// It did not answer.
    pub fn fail(&mut self, now: Moment, outage: Outage) {
        let before = self.failing.take();
        let refused = matches!(outage, Outage::Refused(_));
        let refused_before = before.as_ref().and_then(|failing| failing.refused_since);
        self.failing = Some(Failing {
            since: before.as_ref().map_or(now, |failing| failing.since),
            tries: before.as_ref().map_or(1, |failing| failing.tries.saturating_add(1)),
            refused_since: refused.then(|| refused_before.unwrap_or(now)),
            refused_tries: match (refused, &before) {
                (false, _) => 0,
                (true, Some(failing)) => failing.refused_tries.saturating_add(1),
                (true, None) => 1,
            },
            newest: outage,
        });
    }

    /// The window of a model, made if there is room.
    pub fn model(&mut self, key: &ModelKey, now: Moment) -> Option<&mut ModelWindow> {
        if !self.models.contains_key(key) && self.models.len() >= MODELS_MAX {
            self.models_dropped += 1;
            return None;
        }
        let name = &self.name;
        let made = || ModelWindow::new(name.clone(), key.clone(), now);
        Some(self.models.entry(key.clone()).or_insert_with(made))
    }
}
