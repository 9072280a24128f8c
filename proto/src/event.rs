//! What leaves a node: findings, observed changes and gaps.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

use crate::entity::Entity;
use crate::time::Timestamp;
use crate::vocab::{
    ChangeKind, GpuUuid, Grade, ModelName, ModelVersion, Phase, RuleId, Sender, ServerName,
    ServiceName, SourceName,
};

/// What a finding or a change is about, on a node that is known from elsewhere; a service and an alert
/// are on no node.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Subject {
    /// The node itself.
    Node,
    /// A GPU or MIG instance.
    Gpu {
        /// NVIDIA's UUID.
        uuid: GpuUuid,
        /// The driver's index, for people; of a MIG instance that of its GPU.
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
        #[serde(default)]
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
    /// What users know: some models together.
    Service {
        /// Its name in the topology.
        service: ServiceName,
    },
    /// What somebody outside of the nodes tells.
    Alert {
        /// Who.
        sender: Sender,
        /// Its identity there.
        key: String,
        /// Its name, for people.
        #[serde(default)]
        name: String,
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
            Self::Alert { sender, key, .. } => {
                Self::Alert { sender: *sender, key: key.clone(), name: String::new() }
            }
            Self::Node
            | Self::Server { .. }
            | Self::Model { .. }
            | Self::Source { .. }
            | Self::Service { .. } => self.clone(),
        }
    }
}

impl Subject {
    /// Whether it is on no node: only the aggregator tells of it.
    #[must_use]
    pub const fn is_of_no_node(&self) -> bool {
        matches!(self, Self::Service { .. } | Self::Alert { .. })
    }
}

impl fmt::Display for Subject {
    /// As people say it, e.g. `GPU 2`, `model bert-large`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node => f.write_str("node"),
            Self::Gpu { uuid, index: Some(index) } if uuid.is_mig() => {
                write!(f, "{uuid} of GPU {index}")
            }
            Self::Gpu { index: Some(index), .. } => write!(f, "GPU {index}"),
            Self::Gpu { uuid, index: None } => write!(f, "{uuid}"),
            Self::Process { pid, name, .. } => write!(f, "{name} (pid {pid})"),
            Self::Server { server } => write!(f, "Triton {server}"),
            Self::Model { model, .. } => write!(f, "model {model}"),
            Self::Source { source } => write!(f, "source {source}"),
            Self::Service { service } => write!(f, "service {service}"),
            Self::Alert { sender: Sender::Person, key, name } => {
                write!(f, "report by {}", if name.is_empty() { key } else { name })
            }
            Self::Alert { key, name, .. } => {
                write!(f, "alert {}", if name.is_empty() { key } else { name })
            }
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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// What was read, in the words of its source.
    pub signal: String,
    /// The value.
    pub value: f64,
    /// Its unit.
    pub unit: Unit,
    /// Length of the window it was taken over, in seconds; 0 for an instant.
    #[serde(default)]
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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Suspect {
    /// Usually a process.
    pub subject: Subject,
    /// Container, pod or unit; empty where it could not be read.
    #[serde(default)]
    pub owner: String,
    /// 0 to 1.
    #[serde(deserialize_with = "share")]
    pub confidence: f64,
}

/// A rule's verdict on one subject, at one phase of its life.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
    #[serde(default)]
    pub summary: String,
    /// The numbers behind it.
    #[serde(default)]
    pub evidence: Vec<Evidence>,
    /// Who is blamed, most likely first; empty where the rule blames nobody.
    #[serde(default)]
    pub suspects: Vec<Suspect>,
    /// When the condition was first seen; 1970 where that was not told.
    #[serde(default)]
    pub raised_at: Timestamp,
    /// The GPUs that a model or a server runs on, as far as the node knows; empty for all else.
    #[serde(default)]
    pub gpus: Vec<GpuUuid>,
    /// What it names of the fleet, where it is of no node; empty for what a node finds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub about: Vec<Entity>,
}

/// Something that was done to the node. A change is not trouble.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// What was changed.
    pub subject: Subject,
    /// How.
    pub kind: ChangeKind,
    /// One sentence for people.
    #[serde(default)]
    pub summary: String,
    /// What runs since then, where the subject does not say it: the driver's version. Empty where
    /// there is nothing to say.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub version: String,
}

/// Events given up before they could be delivered, counted in their place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// How many events.
    pub count: u64,
    /// First sequence number that will never come; 0 where none had been given.
    #[serde(default)]
    pub first_seq: u64,
    /// Last such sequence number, inclusive.
    #[serde(default)]
    pub last_seq: u64,
    /// Why, in plain words.
    #[serde(default)]
    pub reason: String,
}

/// What an event says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// When it was observed, by the node's wall clock.
    pub observed_at: Timestamp,
    /// What.
    #[serde(flatten)]
    pub body: Body,
}

/// A number from 0 to 1.
fn share<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let share = f64::deserialize(deserializer)?;
    if (0.0..=1.0).contains(&share) {
        return Ok(share);
    }
    Err(serde::de::Error::custom(format!("{share} is not between 0 and 1")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subjects() -> Vec<Subject> {
        let gpu = GpuUuid::new("GPU-1").unwrap();
        let server = ServerName::new("default").unwrap();
        let (model, version) = (ModelName::new("bert").unwrap(), ModelVersion::new("1").unwrap());
        vec![
            Subject::Node,
            Subject::Gpu { uuid: gpu.clone(), index: Some(2) },
            Subject::Gpu { uuid: gpu.clone(), index: None },
            Subject::Process { gpu, pid: 7, start_ticks: 9, name: "trainer".to_owned() },
            Subject::Server { server: server.clone() },
            Subject::Model { server, model, version },
            Subject::Source { source: SourceName::new("nvml").unwrap() },
            Subject::Service { service: ServiceName::new("chat").unwrap() },
            Subject::Alert {
                sender: Sender::Pagerduty,
                key: "k1".to_owned(),
                name: "Slow".to_owned(),
            },
        ]
    }

    fn finding(subject: Subject) -> Finding {
        Finding {
            rule: RuleId::NoisyNeighbour,
            suspects: vec![Suspect {
                subject: subject.clone(),
                owner: String::new(),
                confidence: 0.7,
            }],
            subject,
            phase: Phase::Raised,
            grade: Grade::Degraded,
            summary: "slow".to_owned(),
            evidence: vec![Evidence::new("latency", 0.1, Unit::Seconds).over(5.0).against(0.05)],
            raised_at: Timestamp::from_unix_ns(1_800_000_000_123_456_789),
            gpus: vec![GpuUuid::new("GPU-1").unwrap()],
            about: vec![Entity::fleet(crate::vocab::EntityKind::Model, "bert")],
        }
    }

    #[test]
    fn every_event_survives_json() {
        let gap = Gap { count: 3, first_seq: 4, last_seq: 6, reason: "full".to_owned() };
        let mut bodies = vec![Body::Gap(gap)];
        for subject in subjects() {
            let (kind, summary) = (ChangeKind::ModelDeployed, "new weights".to_owned());
            let version = "580.95.05".to_owned();
            bodies.push(Body::Change(Change { subject: subject.clone(), kind, summary, version }));
            bodies.push(Body::Finding(finding(subject)));
        }
        for body in bodies {
            let event = Event { observed_at: Timestamp::from_unix_ns(5_000_000_001), body };
            let json = serde_json::to_string(&event).unwrap();
            assert_eq!(serde_json::from_str::<Event>(&json).unwrap(), event, "{json}");
        }
    }

    #[test]
    fn what_need_not_be_said_has_its_default_and_what_is_not_known_is_passed_over() {
        let json = r#"{"rule":"xid","subject":{"kind":"gpu","uuid":"GPU-1","hue":"red"},
            "phase":"raised","grade":"down","labels":{"rack":[1]}}"#;
        let finding: Finding = serde_json::from_str(json).unwrap();
        assert_eq!((finding.summary.as_str(), finding.raised_at), ("", Timestamp::default()));
        assert!(finding.evidence.is_empty() && finding.suspects.is_empty());
    }

    #[test]
    fn what_cannot_be_is_refused_in_words() {
        let refused = |json: &str| serde_json::from_str::<Suspect>(json).unwrap_err().to_string();
        let over = refused(r#"{"subject":{"kind":"node"},"confidence":1.5}"#);
        assert!(over.starts_with("1.5 is not between 0 and 1"), "{over}");
        let nameless = refused(r#"{"subject":{"kind":"gpu","uuid":""},"confidence":1}"#);
        assert!(nameless.starts_with("GpuUuid is empty"), "{nameless}");
    }
}
