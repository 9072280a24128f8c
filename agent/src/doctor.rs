//! What this node lets the agent see, in plain words, with what mends what it does not.
//!
//! It looks and asks, and changes nothing but for a file in the state folder that it removes again.

mod gpu;
mod network;
mod node;
mod render;

use std::path::PathBuf;

use serde::Serialize;

pub use render::{render, render_json};

use crate::config::Config;
use crate::source::host::Roots;

/// What came of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// As it should be.
    Good,
    /// Not as it should be; the agent sees less.
    Bad,
    /// There is nothing to check, or it cannot be told.
    Skipped,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What it belongs to, e.g. `gpu`.
    pub area: String,
    /// What came of it.
    pub verdict: Verdict,
    /// What was found.
    pub finding: String,
    /// What mends it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

impl Check {
    fn good(area: &str, finding: impl Into<String>) -> Self {
        Self::new(area, Verdict::Good, finding.into(), None)
    }

    fn skipped(area: &str, finding: impl Into<String>) -> Self {
        Self::new(area, Verdict::Skipped, finding.into(), None)
    }

    fn bad(area: &str, finding: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(area, Verdict::Bad, finding.into(), Some(remedy.into()))
    }

    fn new(area: &str, verdict: Verdict, finding: String, remedy: Option<String>) -> Self {
        Self { area: area.to_owned(), verdict, finding, remedy }
    }

    /// The same, with a way to more.
    fn or(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }
}

/// Where things are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Surroundings {
    /// This program, to start a probe with.
    pub exe: PathBuf,
    /// `/proc` and `/sys`.
    pub roots: Roots,
    /// `/dev`.
    pub dev_root: PathBuf,
}

impl Surroundings {
    /// Those of this machine.
    pub fn of(exe: PathBuf) -> Self {
        Self { exe, roots: Roots::default(), dev_root: PathBuf::from("/dev") }
    }
}

/// Looks at everything, area by area.
pub async fn examine(config: &Config, around: &Surroundings) -> Vec<Check> {
    let mut checks = gpu::examine(config, around).await;
    checks.extend(node::examine(config, around));
    for server in &config.triton {
        checks.extend(network::examine_server(server).await);
    }
    if config.triton.is_empty() {
        checks.push(Check::skipped("triton", "no server is configured"));
    }
    checks.push(network::examine_uplink(&config.uplink).await);
    checks
}

/// Whether nothing was bad.
pub fn is_well(checks: &[Check]) -> bool {
    checks.iter().all(|check| check.verdict != Verdict::Bad)
}
