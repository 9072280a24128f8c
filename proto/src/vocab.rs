//! Ids and closed lists of words. One word a thing, in code, documents and screens.

mod name;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

pub use name::{
    BadName, ChangeKey, DestinationName, GpuUuid, ModelName, ModelVersion, NodeId, PersonName,
    ScheduleName, ServerName, ServiceName, SourceName,
};

/// A word that is not on its list.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{word}` is not a {list} (one of: {expected})")]
pub struct UnknownWord {
    /// What was read.
    pub word: String,
    /// The list it should have been on.
    pub list: &'static str,
    /// All words of that list.
    pub expected: String,
}

/// Declares an enum whose variants are words: their text, all of them, parsing, display and JSON.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident, $list:literal {
        $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)+
    }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)+
        }

        impl $name {
            /// All of them, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The word.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }

        impl FromStr for $name {
            type Err = UnknownWord;

            fn from_str(word: &str) -> Result<Self, UnknownWord> {
                Self::ALL.iter().copied().find(|known| known.as_str() == word).ok_or_else(|| {
                    UnknownWord {
                        word: word.to_owned(),
                        list: $list,
                        expected: Self::ALL.iter().map(|w| w.as_str()).collect::<Vec<_>>().join(", "),
                    }
                })
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

mod runbook;
pub use runbook::{RiskClass, StepKind};

words! {
    /// A rule of the agent. Rules that are named here and not yet in this version's table of rules
    /// may come from a newer agent.
    RuleId, "rule" {
        /// GPU memory is gone and something failed or will not fit.
        GpuMemoryExhausted = "gpu-memory-exhausted",
        /// GPU memory will be gone soon.
        GpuMemoryExhausting = "gpu-memory-exhausting",
        /// The host ran out of memory.
        HostMemoryOom = "host-memory-oom",
        /// Requests wait longer than they may.
        QueueBackup = "queue-backup",
        /// Requests wait and nothing is worked off.
        QueueStall = "queue-stall",
        /// Requests are turned away.
        QueueRejecting = "queue-rejecting",
        /// Requests take longer than they may.
        LatencyHigh = "latency-high",
        /// The key-value cache of a language model is full.
        KvCacheSaturated = "kv-cache-saturated",
        /// A process slows a model on the same GPU.
        NoisyNeighbour = "noisy-neighbour",
        /// A process uses a GPU it does not own.
        RogueProcess = "rogue-process",
        /// The server's own CPU limit slows it.
        CpuThrottled = "cpu-throttled",
        /// A model is not there.
        ModelUnavailable = "model-unavailable",
        /// The server is not there.
        ServerUnavailable = "server-unavailable",
        /// Requests fail.
        ErrorRateHigh = "error-rate-high",
        /// The driver reported an XID error.
        Xid = "xid",
        /// The GPU has fallen off the bus or cannot be reached by the driver.
        GpuLost = "gpu-lost",
        /// The driver asks for a reset or a reboot.
        GpuRecoveryRequired = "gpu-recovery-required",
        /// Uncorrectable memory errors.
        EccUncorrected = "ecc-uncorrected",
        /// Rows were remapped or cannot be.
        RowRemap = "row-remap",
        /// The GPU slows itself for heat.
        ThermalThrottle = "thermal-throttle",
        /// The GPU is slowed by the power supply.
        PowerBrake = "power-brake",
        /// The link to the host is narrower or slower than it should be.
        PcieDegraded = "pcie-degraded",
        /// Errors on links between GPUs.
        NvlinkErrors = "nvlink-errors",
        /// A source that had been seeing sees nothing.
        TelemetryBlind = "telemetry-blind",
        /// The aggregator's own: a node does not answer.
        NodeLost = "node-lost",
        /// The aggregator's own: a service fails more requests than its objective allows.
        AvailabilityBurn = "availability-burn",
        /// The aggregator's own: more requests of a service are slow than its objective allows.
        LatencyBurn = "latency-burn",
        /// Another system tells of trouble.
        ExternalAlert = "external-alert",
        /// A person tells of trouble.
        UserReport = "user-report",
    }
}

impl RuleId {
    /// Whether only the aggregator may find this: no node does.
    #[must_use]
    pub const fn is_central(self) -> bool {
        matches!(
            self,
            Self::NodeLost
                | Self::AvailabilityBurn
                | Self::LatencyBurn
                | Self::ExternalAlert
                | Self::UserReport
        )
    }
}

words! {
    /// What is promised of a service.
    ObjectiveKind, "kind of objective" {
        /// A share of requests is answered.
        Availability = "availability",
        /// A share of answered requests is answered in time.
        Latency = "latency",
    }
}

words! {
    /// How an objective stands.
    ObjectiveState, "state of an objective" {
        /// Nothing was counted lately, so nothing is known.
        Unseen = "unseen",
        /// So few requests that a handful of failures would alarm.
        TooFew = "too-few",
        /// The budget is not used up too fast.
        Kept = "kept",
        /// It is not used up too fast now, but all of it is gone.
        Spent = "spent",
        /// It is used up too fast.
        Burning = "burning",
    }
}

words! {
    /// The class of an incident. Each has a runbook of that name.
    IncidentType, "incident type" {
        /// A model or its server does not serve.
        ModelUnavailable = "model-unavailable",
        /// Requests wait or take too long.
        HighLatency = "high-latency",
        /// Requests fail.
        HighErrorRate = "high-error-rate",
        /// GPU memory ran out or will.
        GpuOom = "gpu-oom",
        /// Somebody else's work slows a model.
        NoisyNeighbour = "noisy-neighbour",
        /// A GPU is sick.
        GpuHardware = "gpu-hardware",
        /// A node does not answer.
        NodeUnreachable = "node-unreachable",
        /// Gpuwarden cannot see.
        TelemetryBlind = "telemetry-blind",
        /// Reported from elsewhere.
        External = "external",
    }
}

words! {
    /// What a thing of the fleet is.
    EntityKind, "kind of entity" {
        /// What is run as one: some zones, or all there is.
        Cluster = "cluster",
        /// A part of a site that fails together: its power, its network.
        Zone = "zone",
        /// A rack with its switch and its power.
        Rack = "rack",
        /// A node.
        Node = "node",
        /// A GPU of a node.
        Gpu = "gpu",
        /// A part of a GPU with memory and cores of its own.
        MigInstance = "mig-instance",
        /// A process on a GPU.
        Process = "process",
        /// A Triton server of a node.
        Server = "server",
        /// One model on one server of one node.
        Replica = "replica",
        /// A source of a node's agent.
        Source = "source",
        /// A model, wherever it runs.
        Model = "model",
        /// A version of a model, as it was deployed.
        Version = "version",
        /// A version of the GPU driver.
        Driver = "driver",
        /// What users know: some models together.
        Service = "service",
        /// Whom services or nodes belong to.
        Tenant = "tenant",
        /// What somebody outside of the nodes has told.
        Alert = "alert",
        /// A change that was recorded, by its key.
        Change = "change",
    }
}

words! {
    /// How one thing of the fleet stands to another.
    EdgeKind, "kind of edge" {
        /// The second is a part of the first, or belongs to it.
        Contains = "contains",
        /// The first does the second's work: a replica that of its version, a model that of its
        /// service.
        Serves = "serves",
        /// The first cannot do without the second: a replica without its GPU, a service without one
        /// that it asks, a node without its driver.
        DependsOn = "depends-on",
        /// Two replicas are on the same GPU.
        CoLocated = "co-located",
        /// The first has been changed to the second.
        ChangedBy = "changed-by",
    }
}

words! {
    /// What ties a finding to its incident, beginning with what is closest.
    TieKind, "kind of tie" {
        /// The same subject has trouble of the same type.
        SameSubject = "same-subject",
        /// It is an effect of a member.
        Effect = "effect",
        /// It is the cause of a member.
        Cause = "cause",
        /// The same trouble on the same GPU at the same time.
        Sibling = "sibling",
        /// The same trouble of the same model on another node.
        Kin = "kin",
        /// Both follow the same change.
        Change = "change",
        /// Another model of the same service has the same trouble.
        Service = "service",
        /// One serves the other.
        Dependency = "dependency",
        /// Replicas that are lost leave more to do to those that are left.
        Overload = "overload",
        /// Both are in what has failed as a whole.
        Group = "group",
        /// Both blame the same process.
        Antagonist = "antagonist",
        /// One is told from elsewhere and names the other.
        Named = "named",
        /// A person has said so.
        Person = "person",
    }
}

words! {
    /// Who tells of something that no node has found.
    Sender, "sender" {
        /// Prometheus or Alertmanager.
        Alertmanager = "alertmanager",
        /// Whatever speaks PagerDuty's format.
        Pagerduty = "pagerduty",
        /// Whatever speaks CloudEvents, such as an APM.
        CloudEvents = "cloudevents",
        /// Somebody who uses a service.
        Person = "person",
    }
}

words! {
    /// What a candidate config would have done otherwise than the live one.
    DifferenceKind, "kind of difference" {
        /// An incident that only the live config opens.
        OnlyLive = "only-live",
        /// An incident that only the candidate opens.
        OnlyShadow = "only-shadow",
        /// The candidate has one incident where the live config has several.
        Merged = "merged",
        /// The candidate has several incidents where the live config has one.
        Split = "split",
        /// Several incidents hold the same members in another way.
        Regrouped = "regrouped",
        /// The same incident has other members.
        Members = "members",
        /// It has another class.
        Type = "type",
        /// It is more or less urgent.
        Severity = "severity",
        /// It was opened earlier or later.
        Detected = "detected",
        /// It was over earlier or later.
        Resolved = "resolved",
        /// Only one side held all of it back at some time.
        Held = "held",
    }
}

words! {
    /// How urgent, as the handbook defines it. Ordered: P1 is the least value and the most urgent.
    Severity, "severity" {
        /// Critical: complete outage or breach of an objective; answer within 15 minutes.
        P1 = "P1",
        /// High: significant degradation or high error rate; answer within an hour.
        P2 = "P2",
        /// Medium: degraded performance or partial failure; answer within four hours.
        P3 = "P3",
        /// Low: minor, with a workaround; answer on the next business day.
        P4 = "P4",
    }
}

words! {
    /// How bad a finding is on its own subject. The aggregator makes the severity of it.
    Grade, "grade" {
        /// Something may become trouble.
        Warning = "warning",
        /// Service is degraded or partly failing.
        Degraded = "degraded",
        /// Service is gone on this subject.
        Down = "down",
    }
}

words! {
    /// What happened to a finding.
    Phase, "phase" {
        /// It is new.
        Raised = "raised",
        /// It is still so, with newer numbers.
        Updated = "updated",
        /// It is over.
        Cleared = "cleared",
    }
}

words! {
    /// What was done to the fleet.
    ChangeKind, "change" {
        /// A model that was not there serves.
        ModelLoaded = "model-loaded",
        /// A model was taken away.
        ModelUnloaded = "model-unloaded",
        /// A model was taken away and brought back within its grace.
        ModelDeployed = "model-deployed",
        /// The server began anew.
        ServerRestarted = "server-restarted",
        /// Another driver version runs.
        DriverChanged = "driver-changed",
        /// The agent began.
        AgentStarted = "agent-started",
        /// The agent was stopped on purpose.
        AgentStopped = "agent-stopped",
        /// Settings are others, with the same code and the same weights.
        ConfigChanged = "config-changed",
        /// What serves was replaced step by step.
        Rollout = "rollout",
        /// Machines, network, power, cooling, storage.
        Infrastructure = "infrastructure",
        /// What no other word fits.
        Other = "other",
    }
}

words! {
    /// Who tells of a change.
    ChangeOrigin, "origin of a change" {
        /// The agent of a node saw it.
        Agent = "agent",
        /// A person said so.
        Person = "person",
        /// Another system said so.
        Webhook = "webhook",
        /// A rollout of Kubernetes.
        Kubernetes = "kubernetes",
    }
}

words! {
    /// Whether a server or a model serves.
    Availability, "availability" {
        /// Not asked yet, or the answer could not be had.
        Unknown = "unknown",
        /// It serves.
        Ready = "ready",
        /// It is being loaded or unloaded.
        Loading = "loading",
        /// Somebody unloaded it.
        Unloaded = "unloaded",
        /// It could not be loaded.
        Failed = "failed",
        /// Nobody answers there.
        Unreachable = "unreachable",
    }
}

words! {
    /// Whether a source sees.
    SourceState, "source state" {
        /// Never seen on this node. Nothing to see is not blindness.
        Absent = "absent",
        /// It sees.
        Seeing = "seeing",
        /// It saw, and no longer does.
        Blind = "blind",
    }
}

words! {
    /// Where an incident stands.
    IncidentState, "incident state" {
        /// Members are active and nobody has taken it.
        Open = "open",
        /// Somebody has taken it.
        Acknowledged = "acknowledged",
        /// No member is active; it resolves when it stays so.
        Quiet = "quiet",
        /// Over.
        Resolved = "resolved",
    }
}

words! {
    /// What a person holds incidents back with.
    SilenceKind, "kind of silence" {
        /// From now on.
        Silence = "silence",
        /// Planned work; it may begin later.
        Maintenance = "maintenance",
    }
}

words! {
    /// Where a silence or maintenance stands.
    SilenceState, "state of a silence" {
        /// It begins later.
        Planned = "planned",
        /// It holds back.
        Active = "active",
        /// Its time is over, or somebody ended it.
        Over = "over",
    }
}

words! {
    /// What became of an event.
    Fate, "fate" {
        /// An incident was opened for it.
        Opened = "opened",
        /// It joined an incident.
        Joined = "joined",
        /// Its finding had been over and was active again in its incident.
        Again = "again",
        /// An incident held its finding already; it brought newer numbers at most.
        Known = "known",
        /// It ended its finding in an incident.
        Cleared = "cleared",
        /// A person had resolved the incident: it says nothing until it is raised anew.
        Settled = "settled",
        /// The node's newer snapshot had said otherwise.
        PassedOver = "passed-over",
        /// No incident that is kept holds it.
        Unplaced = "unplaced",
        /// A change was recorded.
        Change = "change",
        /// It counts events that are lost.
        Gap = "gap",
        /// It never came: a gap stands in its place.
        Lost = "lost",
        /// It is kept, and this version cannot read it.
        Unreadable = "unreadable",
    }
}

words! {
    /// Where a node stands.
    NodeState, "node state" {
        /// It has a stream.
        Connected = "connected",
        /// It has no stream, not yet for long enough to call it lost.
        Disconnected = "disconnected",
        /// It does not answer.
        Lost = "lost",
        /// Its agent said that it stops.
        Stopped = "stopped",
    }
}

/// Sequence number of an event in one node's outbox; the first is 1.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Seq(pub u64);

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// The life of one outbox file: sequence numbers are compared only within it.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Epoch(pub u64);

/// Number of an incident, counted from 1 by the aggregator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct IncidentId(pub u64);

impl fmt::Display for IncidentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("#{}", self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_parses_back_to_itself() {
        for rule in RuleId::ALL {
            assert_eq!(rule.as_str().parse(), Ok(*rule));
        }
        for kind in IncidentType::ALL {
            assert_eq!(kind.as_str().parse(), Ok(*kind));
        }
    }

    #[test]
    fn an_unknown_word_is_told_what_would_do() {
        let error = "P5".parse::<Severity>().expect_err("P5 is no severity");
        assert_eq!(error.to_string(), "`P5` is not a severity (one of: P1, P2, P3, P4)");
    }

    #[test]
    fn p1_is_the_most_urgent() {
        assert!(Severity::P1 < Severity::P4);
    }

    #[test]
    fn names_are_neither_empty_nor_endless_nor_escape_sequences() {
        assert!(NodeId::new("").is_err());
        assert!(NodeId::new(&"x".repeat(254)).is_err());
        assert!(NodeId::new("node\u{1b}[31m").is_err());
        assert!(NodeId::new("node-a").is_ok());
    }
}
