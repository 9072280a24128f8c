//! What leaves a node: findings, observed changes and gaps.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;
use crate::vocab::{
    ChangeKind, GpuUuid, Grade, ModelName, ModelVersion, Phase, RuleId, ServerName, SourceName,
};

/// What a finding or a change is about, on a node that is known from elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Subject {
    /// The node itself.
    Node,
    /// A GPU or MIG instance.
    Gpu {
        /// NVIDIA's UUID.
        uuid: GpuUuid,
        /// The driver's index, for people.
        index: Option<u32>,
    },
    /// A process on a GPU.
    Process {
        /// The GPU it runs on.
        gpu: GpuUuid,
        /// Host PID.
        pid: u32,
        /// Start time in clock ticks since boot; pins the identity, since PIDs are reused.
        start_ticks: u64,
        /// Its name, for people.
        name: String,
    },
    /// A Triton server.
    Server {
        /// Its name in the agent's config.
        server: ServerName,
    },
    /// A model of a server.
    Model {
        /// The server.
        server: ServerName,
        /// The model.
        model: ModelName,
        /// Its version.
        version: ModelVersion,
    },
    /// One of the agent's own sources.
    Source {
        /// E.g. `nvml`.
        source: SourceName,
    },
}

impl Subject {
    /// The same subject stripped of what is only for people, so that two readings of one thing
    /// compare equal.
    #[must_use]
    pub fn identity(&self) -> Subject {
        match self {
            Self::Gpu { uuid, .. } => Self::Gpu { uuid: uuid.clone(), index: None },
            Self::Process { gpu, pid, start_ticks, .. } => Self::Process {
                gpu: gpu.clone(),
                pid: *pid,
                start_ticks: *start_ticks,
                name: String::new(),
            },
            Self::Node | Self::Server { .. } | Self::Model { .. } | Self::Source { .. } => {
                self.clone()
            }
        }
    }
}

impl fmt::Display for Subject {
    /// As people say it, e.g. `GPU 2`, `model bert-large`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node => f.write_str("node"),
            Self::Gpu { index: Some(index), .. } => write!(f, "GPU {index}"),
            Self::Gpu { uuid, index: None } => write!(f, "{uuid}"),
            Self::Process { pid, name, .. } => write!(f, "{name} (pid {pid})"),
            Self::Server { server } => write!(f, "Triton {server}"),
            Self::Model { model, .. } => write!(f, "model {model}"),
            Self::Source { source } => write!(f, "source {source}"),
        }
    }
}

/// The unit of an [`Evidence`] value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Unit {
    /// A plain number of things.
    #[serde(rename = "count")]
    Count,
    /// Seconds.
    #[serde(rename = "s")]
    Seconds,
    /// Bytes.
    #[serde(rename = "bytes")]
    Bytes,
    /// Bytes per second.
    #[serde(rename = "bytes/s")]
    BytesPerSecond,
    /// Things per second.
    #[serde(rename = "1/s")]
    PerSecond,
    /// 0 to 1, or how many times as much.
    #[serde(rename = "ratio")]
    Ratio,
    /// A code of the driver, such as an XID.
    #[serde(rename = "code")]
    Code,
}

impl Unit {
    /// All of them.
    pub const ALL: &'static [Self] = &[
        Self::Count,
        Self::Seconds,
        Self::Bytes,
        Self::BytesPerSecond,
        Self::PerSecond,
        Self::Ratio,
        Self::Code,
    ];

    /// As written on the wire and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Seconds => "s",
            Self::Bytes => "bytes",
            Self::BytesPerSecond => "bytes/s",
            Self::PerSecond => "1/s",
            Self::Ratio => "ratio",
            Self::Code => "code",
        }
    }
}

/// One number that a rule looked at.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Evidence {
    /// What was read, in the words of its source.
    pub signal: String,
    /// The value.
    pub value: f64,
    /// Its unit.
    pub unit: Unit,
    /// Length of the window it was taken over, in seconds; 0 for an instant.
    pub window_s: f64,
    /// What it was held against.
    pub threshold: Option<f64>,
    /// What is usual.
    pub baseline: Option<f64>,
}

impl Evidence {
    /// A value read at one instant, with neither threshold nor baseline.
    pub fn new(signal: impl Into<String>, value: f64, unit: Unit) -> Self {
        let signal = signal.into();
        Self { signal, value, unit, window_s: 0.0, threshold: None, baseline: None }
    }

    /// The same, taken over so many seconds.
    #[must_use]
    pub fn over(mut self, window_s: f64) -> Self {
        self.window_s = window_s;
        self
    }

    /// The same, held against a threshold.
    #[must_use]
    pub fn against(mut self, threshold: f64) -> Self {
        self.threshold = Some(threshold);
        self
    }

    /// The same, with what is usual beside it.
    #[must_use]
    pub fn usually(mut self, baseline: f64) -> Self {
        self.baseline = Some(baseline);
        self
    }
}

/// Who is blamed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Suspect {
    /// Usually a process.
    pub subject: Subject,
    /// Container, pod or unit; empty where it could not be read.
    pub owner: String,
    /// 0 to 1.
    pub confidence: f64,
}

/// A rule's verdict on one subject, at one phase of its life.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    /// The rule.
    pub rule: RuleId,
    /// What it is about.
    pub subject: Subject,
    /// Raised, updated or cleared.
    pub phase: Phase,
    /// How bad it is on this subject.
    pub grade: Grade,
    /// One sentence for people.
    pub summary: String,
    /// The numbers behind it.
    pub evidence: Vec<Evidence>,
    /// Who is blamed, most likely first; empty where the rule blames nobody.
    pub suspects: Vec<Suspect>,
    /// When the condition was first seen.
    pub raised_at: Timestamp,
    /// The GPUs that a model or a server runs on, as far as the node knows; empty for all else.
    pub gpus: Vec<GpuUuid>,
}

/// Something that was done to the node. A change is not trouble.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// What was changed.
    pub subject: Subject,
    /// How.
    pub kind: ChangeKind,
    /// One sentence for people.
    pub summary: String,
}

/// Events given up before they could be delivered, counted in their place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Gap {
    /// How many events.
    pub count: u64,
    /// First sequence number that will never come; 0 where none had been given.
    pub first_seq: u64,
    /// Last such sequence number, inclusive.
    pub last_seq: u64,
    /// Why, in plain words.
    pub reason: String,
}

/// What an event says.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Body {
    /// A finding raised, updated or cleared.
    Finding(Finding),
    /// A change observed.
    Change(Change),
    /// Events lost.
    Gap(Gap),
}

/// One thing that a node tells.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Event {
    /// When it was observed, by the node's wall clock.
    pub observed_at: Timestamp,
    /// What.
    #[serde(flatten)]
    pub body: Body,
}
