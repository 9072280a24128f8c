//! What the engine counted.

use std::collections::BTreeMap;

use gpuwarden_proto::event::{Body, Event};
use gpuwarden_proto::vocab::{ChangeKind, Phase, RuleId, SourceName};
use serde::Serialize;

use crate::sample::Input;

/// What the engine has done since the agent began.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct EngineCounters {
    /// By source.
    pub sources: BTreeMap<SourceName, SourceCounters>,
    /// Events put into the outbox, by kind.
    pub events: BTreeMap<EventKind, u64>,
    /// Changes observed, by kind.
    pub changes: BTreeMap<ChangeKind, u64>,
    /// Findings raised, by rule.
    pub raised: BTreeMap<RuleId, u64>,
    /// Rules that failed by a bug of ours; each was passed over.
    pub rule_panics: u64,
    /// Kernel log records overwritten before they could be read.
    pub kernel_records_lost: u64,
    /// Times the rules were run.
    pub rule_rounds: u64,
    /// Seconds spent in rules.
    pub rule_s_total: f64,
    /// Seconds of the longest round.
    pub rule_s_max: f64,
}

/// What came from one source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct SourceCounters {
    /// Samples taken in.
    pub samples: u64,
    /// Lines, calls or answers that could not be read.
    pub problems: u64,
}

/// What an event is, as far as it is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum EventKind {
    /// A new finding.
    FindingRaised,
    /// A finding with newer numbers.
    FindingUpdated,
    /// A finding that is over.
    FindingCleared,
    /// An observed change.
    Change,
    /// Events that were lost.
    Gap,
}

impl EventKind {
    /// The kind of an event.
    pub fn of(body: &Body) -> Self {
        match body {
            Body::Finding(finding) => match finding.phase {
                Phase::Raised => Self::FindingRaised,
                Phase::Updated => Self::FindingUpdated,
                Phase::Cleared => Self::FindingCleared,
            },
            Body::Change(_) => Self::Change,
            Body::Gap(_) => Self::Gap,
        }
    }

    /// The word, the same as in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FindingRaised => "finding-raised",
            Self::FindingUpdated => "finding-updated",
            Self::FindingCleared => "finding-cleared",
            Self::Change => "change",
            Self::Gap => "gap",
        }
    }
}

impl EngineCounters {
    /// Counts an input in the name of its source.
    pub(super) fn count_input(&mut self, input: &Input) {
        let (source, problems) = match input {
            Input::Gpus(reading) => {
                let faults = reading.gpus.iter().map(|gpu| gpu.faults.len() as u64).sum();
                (SourceName::new("nvml"), faults)
            }
            Input::Page(page) => {
                (SourceName::new(&format!("triton/{}", page.server)), page.problems)
            }
            Input::Kernel(_) => (SourceName::new("kmsg"), 0),
            Input::Host(_) => (SourceName::new("host"), 0),
            Input::Xid(_)
            | Input::Repository(_)
            | Input::Shape(_)
            | Input::Source(..)
            | Input::Tick => return,
        };
        let Ok(source) = source else { return };
        let counters = self.sources.entry(source).or_default();
        counters.samples += 1;
        counters.problems += problems;
    }

    /// Counts an event that goes out.
    pub(super) fn count_event(&mut self, event: &Event) {
        *self.events.entry(EventKind::of(&event.body)).or_default() += 1;
        match &event.body {
            Body::Change(change) => *self.changes.entry(change.kind).or_default() += 1,
            Body::Finding(finding) if finding.phase == Phase::Raised => {
                *self.raised.entry(finding.rule).or_default() += 1;
            }
            Body::Finding(_) | Body::Gap(_) => {}
        }
    }
}
