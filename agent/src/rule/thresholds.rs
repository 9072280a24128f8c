//! What values are held against, with defaults that are silent on a healthy busy node.

use std::time::Duration;

use crate::config::Profile;

/// Thresholds of all rules.
#[derive(Debug, Clone, PartialEq)]
pub struct Thresholds {
    /// A queue that would take longer than this to work off is backed up.
    pub queue_wait_limit: Duration,
    /// A queue that takes longer than this all the time for `queue_wait_sustained_for` is too.
    pub queue_wait_sustained: Duration,
    /// See `queue_wait_sustained`.
    pub queue_wait_sustained_for: Duration,
    /// Nothing was worked off for so long although requests wait.
    pub stall_after: Duration,
    /// Share of requests that may fail, 0 to 1.
    pub error_objective: f64,
    /// Share of failing requests under which nothing is said, 0 to 1.
    pub error_share_min: f64,
    /// How unlikely the failures must be, if the objective were kept: 0 to 1.
    pub error_chance_max: f64,
    /// How long a model may be away before it is missed.
    pub unload_grace: Duration,
    /// How long a model may take to load before it is missed.
    pub load_limit: Duration,
    /// Mean time from receipt to answer that is too long; `None` judges by what is usual alone.
    pub latency_limit: Option<Duration>,
    /// How many times its usual computing time a model may take.
    pub slowdown_limit: f64,
    /// Memory that will be gone within this time at the present pace is running out.
    pub exhaustion_horizon: Duration,
    /// A source that says nothing for so long is blind.
    pub blind_after: Duration,
}

impl Thresholds {
    /// The defaults of a profile. The fast one asks for less proof of failing requests.
    pub fn of(profile: Profile) -> Self {
        match profile {
            Profile::Default => Self::default(),
            Profile::Fast => Self { error_chance_max: 1e-5, ..Self::default() },
        }
    }
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            queue_wait_limit: Duration::from_secs(3),
            queue_wait_sustained: Duration::from_secs(1),
            queue_wait_sustained_for: Duration::from_secs(6),
            stall_after: Duration::from_secs(5),
            error_objective: 0.01,
            error_share_min: 0.05,
            error_chance_max: 1e-6,
            unload_grace: Duration::from_secs(5),
            load_limit: Duration::from_secs(300),
            latency_limit: None,
            slowdown_limit: 2.0,
            exhaustion_horizon: Duration::from_secs(60),
            blind_after: Duration::from_millis(1_500),
        }
    }
}
