//! The rules: each a pure function of what is remembered of one subject, in a file of its own with
//! its manual page and its tests. [`RULES`] is the list; to add a rule is its file and a line there.

mod error_rate_high;
mod gpu_lost;
mod gpu_memory_exhausted;
mod gpu_memory_exhausting;
mod latency_high;
mod model_unavailable;
mod noisy_neighbour;
mod queue_backup;
mod queue_stall;
#[cfg(test)]
pub(crate) mod scene;
mod server_unavailable;
mod telemetry_blind;
mod thresholds;
mod xid;

use std::time::Duration;

use gpuwarden_proto::event::{Evidence, Suspect};
use gpuwarden_proto::vocab::{Grade, RuleId};
pub use thresholds::Thresholds;
pub use xid::{Advice, advice};

use crate::sample::Now;
use crate::window::{GpuWindow, ModelWindow, ServerWindow, SourceWindow, Window};

/// What a rule says of one subject at one instant.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// The condition holds.
    Firing(Observation),
    /// It may be about to hold; a closer look is wanted at once.
    Suspicious,
    /// It does not hold, and there is data that says so.
    Quiet,
    /// Nothing can be said.
    Missing,
}

/// What was seen, in words and numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Observation {
    /// How bad it is on this subject.
    pub grade: Grade,
    /// One sentence.
    pub summary: String,
    /// The numbers behind it.
    pub evidence: Vec<Evidence>,
    /// Who is blamed, most likely first.
    pub suspects: Vec<Suspect>,
}

/// What a rule may look at beside its subject.
#[derive(Debug)]
pub struct Context<'w> {
    /// What time it is.
    pub now: Now,
    /// Everything that is remembered.
    pub window: &'w Window,
    /// What values are held against.
    pub thresholds: &'w Thresholds,
    /// The finding of this rule on this subject is out: a rule lets go later than it takes hold.
    pub active: bool,
}

/// A rule's function, by the kind of its subject.
#[derive(Debug, Clone, Copy)]
pub enum Check {
    /// One GPU.
    Gpu(fn(&GpuWindow, &Context<'_>) -> Verdict),
    /// One model of one server.
    Model(fn(&ModelWindow, &Context<'_>) -> Verdict),
    /// One server.
    Server(fn(&ServerWindow, &Context<'_>) -> Verdict),
    /// One of the agent's own sources.
    Source(fn(&SourceWindow, &Context<'_>) -> Verdict),
}

/// A rule.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// Its id.
    pub id: RuleId,
    /// The condition must hold for so long.
    pub enter: Duration,
    /// And must not hold for so long before the finding ends.
    pub leave: Duration,
    /// Its function.
    pub check: Check,
}

/// All rules. Those that name a cause stand before those that see its effects.
pub const RULES: &[Rule] = &[
    gpu_lost::RULE,
    xid::RULE,
    gpu_memory_exhausted::RULE,
    gpu_memory_exhausting::RULE,
    server_unavailable::RULE,
    model_unavailable::RULE,
    queue_stall::RULE,
    error_rate_high::RULE,
    noisy_neighbour::RULE,
    queue_backup::RULE,
    latency_high::RULE,
    telemetry_blind::RULE,
];

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A finding that blames nobody.
fn firing(grade: Grade, summary: String, evidence: Vec<Evidence>) -> Verdict {
    Verdict::Firing(Observation { grade, summary, evidence, suspects: Vec::new() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_rule_stands_twice() {
        for (nth, rule) in RULES.iter().enumerate() {
            assert!(RULES[nth + 1..].iter().all(|other| other.id != rule.id), "{}", rule.id);
        }
    }
}
