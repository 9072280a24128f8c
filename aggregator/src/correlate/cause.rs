//! What brings about what, as data, and how near two findings on one node are to each other. Pure.

use std::time::Duration;

use gpuwarden_proto::event::{Finding, Subject, Suspect};
use gpuwarden_proto::incident::Member;
use gpuwarden_proto::time::{Timestamp, spoken};
use gpuwarden_proto::vocab::{GpuUuid, RuleId, ServerName};

/// How near two findings on one node are. Ordered: what names more in common is nearer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Nearness {
    /// Only the node.
    Node,
    /// The same GPU.
    Gpu,
    /// The same server.
    Server,
    /// The same model of the same server.
    Model,
}

/// Which findings bring about which, and how near they must be.
#[derive(Debug)]
pub struct Edge {
    /// The causes.
    pub causes: &'static [RuleId],
    /// The effects.
    pub effects: &'static [RuleId],
    /// At least so near.
    pub nearness: Nearness,
    /// Why, in words that end a sentence.
    pub because: &'static str,
}

use RuleId as R;

const SERVING: &[RuleId] = &[
    R::ModelUnavailable,
    R::ServerUnavailable,
    R::ErrorRateHigh,
    R::QueueBackup,
    R::QueueStall,
    R::QueueRejecting,
    R::LatencyHigh,
    R::KvCacheSaturated,
];
const WAITING: &[RuleId] = &[R::QueueBackup, R::QueueRejecting, R::LatencyHigh];

/// All edges. A new one is a line here.
pub const EDGES: &[Edge] = &[
    Edge {
        causes: &[R::NodeLost],
        effects: RuleId::ALL,
        nearness: Nearness::Node,
        because: "the node does not answer",
    },
    Edge {
        causes: &[R::Xid],
        effects: &[R::GpuLost, R::GpuRecoveryRequired, R::EccUncorrected, R::RowRemap],
        nearness: Nearness::Gpu,
        because: "the driver reported an error of this GPU",
    },
    Edge {
        causes: &[R::Xid, R::GpuLost, R::GpuRecoveryRequired, R::EccUncorrected],
        effects: SERVING,
        nearness: Nearness::Node,
        because: "a GPU of the node is sick",
    },
    Edge {
        causes: &[R::ThermalThrottle, R::PowerBrake, R::PcieDegraded, R::NvlinkErrors],
        effects: WAITING,
        nearness: Nearness::Node,
        because: "a GPU of the node is slowed",
    },
    Edge {
        causes: &[R::RogueProcess],
        effects: &[R::GpuMemoryExhausting, R::GpuMemoryExhausted, R::NoisyNeighbour],
        nearness: Nearness::Gpu,
        because: "a process that does not belong there uses the GPU",
    },
    Edge {
        causes: &[R::GpuMemoryExhausting],
        effects: &[R::GpuMemoryExhausted],
        nearness: Nearness::Node,
        because: "GPU memory had been running out",
    },
    Edge {
        causes: &[R::GpuMemoryExhausted, R::HostMemoryOom],
        effects: &[R::ModelUnavailable, R::ServerUnavailable, R::ErrorRateHigh],
        nearness: Nearness::Node,
        because: "memory ran out",
    },
    Edge {
        causes: &[R::NoisyNeighbour],
        effects: WAITING,
        nearness: Nearness::Model,
        because: "a neighbour on the GPU slows it",
    },
    Edge {
        causes: &[R::CpuThrottled],
        effects: WAITING,
        nearness: Nearness::Node,
        because: "the server's CPU limit slows it",
    },
    Edge {
        causes: &[R::ServerUnavailable],
        effects: &[
            R::ModelUnavailable,
            R::ErrorRateHigh,
            R::QueueBackup,
            R::QueueStall,
            R::QueueRejecting,
            R::LatencyHigh,
            R::KvCacheSaturated,
            R::TelemetryBlind,
        ],
        nearness: Nearness::Server,
        because: "its server is down",
    },
    Edge {
        causes: &[R::ModelUnavailable],
        effects: &[
            R::ErrorRateHigh,
            R::QueueBackup,
            R::QueueStall,
            R::QueueRejecting,
            R::LatencyHigh,
        ],
        nearness: Nearness::Model,
        because: "the model is down",
    },
    Edge {
        causes: &[R::QueueStall, R::KvCacheSaturated],
        effects: &[R::QueueBackup, R::QueueRejecting, R::LatencyHigh, R::ErrorRateHigh],
        nearness: Nearness::Model,
        because: "nothing of its queue is worked off",
    },
    Edge {
        causes: &[R::QueueBackup, R::QueueRejecting],
        effects: &[R::LatencyHigh, R::ErrorRateHigh],
        nearness: Nearness::Model,
        because: "its requests wait or are turned away",
    },
    Edge {
        causes: &[R::ErrorRateHigh],
        effects: &[R::LatencyHigh],
        nearness: Nearness::Model,
        because: "its requests fail",
    },
    Edge {
        causes: &[R::LatencyHigh],
        effects: &[R::ErrorRateHigh],
        nearness: Nearness::Model,
        because: "its requests take too long",
    },
];

/// How far apart in time cause and effect may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Windows {
    /// The effect after the cause.
    pub after: Duration,
    /// The cause after the effect, since a cause may be seen late.
    pub before: Duration,
}

/// Two things of which no more is known than that they are on one node may be unrelated, so they
/// must be close in time.
const NODE_WINDOWS: Windows =
    Windows { after: Duration::from_secs(10), before: Duration::from_secs(5) };

impl Windows {
    /// The windows for findings that are so near.
    fn at(self, nearness: Nearness) -> Self {
        match nearness {
            Nearness::Node => Self {
                after: self.after.min(NODE_WINDOWS.after),
                before: self.before.min(NODE_WINDOWS.before),
            },
            Nearness::Gpu | Nearness::Server | Nearness::Model => self,
        }
    }
}

impl Default for Windows {
    fn default() -> Self {
        Self { after: Duration::from_secs(60), before: Duration::from_secs(30) }
    }
}

/// What correlation looks at in a finding or a member.
#[derive(Debug, Clone, Copy)]
pub struct Clue<'a> {
    /// The rule.
    pub rule: RuleId,
    /// What it is about.
    pub subject: &'a Subject,
    /// Who is blamed.
    pub suspects: &'a [Suspect],
    /// When it began.
    pub raised_at: Timestamp,
    /// It is active.
    pub active: bool,
}

impl<'a> From<&'a Finding> for Clue<'a> {
    fn from(finding: &'a Finding) -> Self {
        let Finding { rule, subject, suspects, raised_at, .. } = finding;
        Self { rule: *rule, subject, suspects, raised_at: *raised_at, active: true }
    }
}

impl<'a> From<&'a Member> for Clue<'a> {
    fn from(member: &'a Member) -> Self {
        let Member { rule, subject, suspects, raised_at, .. } = member;
        let active = member.cleared_at.is_none();
        Self { rule: *rule, subject, suspects, raised_at: *raised_at, active }
    }
}

/// A cause and its effect, and what speaks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// How near they are.
    pub nearness: Nearness,
    /// Time between their beginnings.
    pub apart: Duration,
    /// The words of the edge.
    pub because: &'static str,
}

/// Whether `cause` on the same node brings about `effect`.
#[must_use]
pub fn explains(cause: Clue<'_>, effect: Clue<'_>, windows: Windows) -> Option<Link> {
    let edges = || {
        EDGES.iter().filter(|edge| {
            cause.rule != effect.rule
                && edge.causes.contains(&cause.rule)
                && edge.effects.contains(&effect.rule)
        })
    };
    edges().next()?;
    let nearness = near(cause, effect)?;
    let edge = edges().find(|edge| nearness >= edge.nearness)?;
    // What names the same server or model may be an effect for as long as the cause lasts.
    let lasting = cause.active && nearness >= Nearness::Server;
    let windows = if cause.rule == RuleId::NodeLost { windows } else { windows.at(nearness) };
    let (earlier, later) = (cause.raised_at, effect.raised_at);
    let (apart, in_time) = if later >= earlier {
        let apart = later.since(earlier);
        (apart, apart <= windows.after || lasting)
    } else {
        // What is over before its cause is seen had another.
        let apart = earlier.since(later);
        (apart, effect.active && apart <= windows.before)
    };
    in_time.then_some(Link { nearness, apart, because: edge.because })
}

impl Link {
    /// Why the effect belongs to its cause.
    #[must_use]
    pub fn as_effect_of(&self, cause: RuleId) -> String {
        format!("{}: {cause} {} earlier, {}", self.because, spoken(self.apart), self.common())
    }

    /// Why the cause belongs to its effect.
    #[must_use]
    pub fn as_cause_of(&self, effect: RuleId) -> String {
        format!("explains {effect}, {}: {}", self.common(), self.because)
    }

    const fn common(&self) -> &'static str {
        match self.nearness {
            Nearness::Node => "same node",
            Nearness::Gpu => "same GPU",
            Nearness::Server => "same server",
            Nearness::Model => "same model",
        }
    }
}

/// How near two findings on one node are; `None` when both name a thing and it is not the same.
fn near(a: Clue<'_>, b: Clue<'_>) -> Option<Nearness> {
    if let (Some(a), Some(b)) = (model(a.subject), model(b.subject)) {
        return (a == b).then_some(Nearness::Model);
    }
    if let (Some(a), Some(b)) = (server(a.subject), server(b.subject)) {
        return (a == b).then_some(Nearness::Server);
    }
    let (mut ours, mut theirs) = (gpus(a).peekable(), gpus(b).peekable());
    if ours.peek().is_none() || theirs.peek().is_none() {
        return Some(Nearness::Node);
    }
    ours.any(|gpu| gpus(b).any(|other| other == gpu)).then_some(Nearness::Gpu)
}

fn model(subject: &Subject) -> Option<(&ServerName, &str)> {
    match subject {
        Subject::Model { server, model, .. } => Some((server, model.as_str())),
        _ => None,
    }
}

fn server(subject: &Subject) -> Option<&str> {
    match subject {
        Subject::Model { server, .. } | Subject::Server { server } => Some(server.as_str()),
        Subject::Source { source } => source.as_str().strip_prefix("triton/"),
        Subject::Node | Subject::Gpu { .. } | Subject::Process { .. } => None,
    }
}

fn gpus<'a>(clue: Clue<'a>) -> impl Iterator<Item = &'a GpuUuid> {
    std::iter::once(clue.subject)
        .chain(clue.suspects.iter().map(|suspect| &suspect.subject))
        .filter_map(|subject| match subject {
            Subject::Gpu { uuid, .. } => Some(uuid),
            Subject::Process { gpu, .. } => Some(gpu),
            Subject::Node
            | Subject::Server { .. }
            | Subject::Model { .. }
            | Subject::Source { .. } => None,
        })
}
