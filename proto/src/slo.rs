//! Service level objectives as people see them.

use serde::Serialize;

use crate::vocab::{ObjectiveKind, ObjectiveState};

/// What is promised of a service, and how it stands.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Objective {
    /// The service.
    pub service: String,
    /// What is promised.
    pub kind: ObjectiveKind,
    /// Share of requests that must be good, below 1.
    pub target: f64,
    /// For latency: a good request is answered within so many seconds.
    pub within_s: Option<f64>,
    /// The service is on management's list.
    pub critical: bool,
    /// Good requests of the last 30 days, as far as they were counted.
    pub good: u64,
    /// All of them.
    pub total: u64,
    /// Share of the bad requests of 30 days that are left: 1 when none was bad, below 0 when too many
    /// were; `None` when nothing was counted.
    pub budget_left: Option<f64>,
    /// From the shortest window to the longest.
    pub burns: Vec<Burn>,
    /// How it stands.
    pub state: ObjectiveState,
    /// Why, in words; empty when there is nothing to say.
    pub reason: String,
    /// Nodes that have told of a model of the service.
    pub nodes: u32,
    /// Those of them that do not tell now: what they serve is not counted.
    pub nodes_silent: u32,
}

/// How fast the budget is used up over a window.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Burn {
    /// Length of the window, in seconds.
    pub window_s: u64,
    /// 1 uses the budget up in just 30 days; `None` when nothing was counted.
    pub rate: Option<f64>,
    /// Good requests in the window.
    pub good: u64,
    /// All requests in the window.
    pub total: u64,
}

impl Objective {
    /// The burn over a window of so many seconds.
    #[must_use]
    pub fn burn(&self, window_s: u64) -> Option<f64> {
        self.burns.iter().find(|burn| burn.window_s == window_s)?.rate
    }
}
