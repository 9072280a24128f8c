//! What brings about what, as data, and how near two findings on one node are to each other. Pure.

use std::sync::Arc;
use std::time::Duration;

use gpuwarden_proto::entity::Entity;
use gpuwarden_proto::event::{Finding, Subject, Suspect};
use gpuwarden_proto::incident::Member;
use gpuwarden_proto::time::{Timestamp, spoken};
use gpuwarden_proto::vocab::{GpuUuid, Grade, NodeId, RuleId, ServerName};

use super::evidence::ATTACH;

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
    /// How sure it is that one is the other's cause when nothing but the edge speaks for it and both
    /// begin at the same time, 0 to 1.
    pub strength: f64,
    /// How far apart they may be, where that differs from what is set for all.
    pub windows: Option<Windows>,
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

/// A server that hangs is found to be gone only when somebody kills it.
const HANGING: Option<Windows> =
    Some(Windows { after: Duration::from_secs(60), before: Duration::from_secs(240) });
/// What a node has when it goes down begins just before it is silent; what it had long before has a
/// cause of its own.
const GOING: Option<Windows> =
    Some(Windows { after: Duration::from_secs(60), before: Duration::from_secs(10) });
/// What a node that was cut off saw meanwhile of its GPUs has nothing to do with the network.
const GOING_DOWN: Option<Windows> =
    Some(Windows { after: Duration::ZERO, before: Duration::from_secs(10) });
/// A neighbour is proven only when it has been watched for a while.
const SLOW_PROOF: Option<Windows> =
    Some(Windows { after: Duration::from_secs(60), before: Duration::from_secs(240) });

/// All edges. A new one is a line here.
#[rustfmt::skip]
pub const EDGES: &[Edge] = &[
    edge(&[R::NodeLost], GONE_WITH_NODE, Nearness::Node, 0.98, GOING, "the node does not answer"),
    edge(&[R::NodeLost], RuleId::ALL, Nearness::Node, 0.98, GOING_DOWN, "the node does not answer"),
    edge(&[R::Xid], &[R::GpuLost, R::GpuRecoveryRequired, R::EccUncorrected, R::RowRemap, R::NvlinkErrors],
        Nearness::Gpu, 0.97, None, "the driver reported an error of this GPU"),
    edge(&[R::EccUncorrected], &[R::RowRemap, R::GpuRecoveryRequired],
        Nearness::Gpu, 0.95, None, "its memory has errors"),
    edge(&[R::Xid, R::GpuLost, R::GpuRecoveryRequired, R::EccUncorrected], SERVING,
        Nearness::Node, 0.95, None, "a GPU of the node is sick"),
    edge(&[R::Xid, R::GpuLost, R::GpuRecoveryRequired], &[R::TelemetryBlind],
        Nearness::Node, 0.95, None, "a GPU of the node is sick"),
    edge(&[R::ThermalThrottle, R::PowerBrake, R::PcieDegraded, R::NvlinkErrors], WAITING,
        Nearness::Node, 0.92, None, "a GPU of the node is slowed"),
    edge(&[R::RogueProcess], &[R::GpuMemoryExhausting, R::GpuMemoryExhausted, R::NoisyNeighbour],
        Nearness::Gpu, 0.95, None, "a process that does not belong there uses the GPU"),
    edge(&[R::GpuMemoryExhausting], &[R::GpuMemoryExhausted],
        Nearness::Gpu, 0.95, None, "GPU memory had been running out"),
    edge(&[R::GpuMemoryExhausting], &[R::ModelUnavailable, R::ServerUnavailable, R::ErrorRateHigh],
        Nearness::Gpu, 0.80, None, "GPU memory had been running out"),
    edge(&[R::GpuMemoryExhausted, R::HostMemoryOom],
        &[R::ModelUnavailable, R::ServerUnavailable, R::ErrorRateHigh],
        Nearness::Node, 0.92, None, "memory ran out"),
    edge(&[R::HostMemoryOom], &[R::TelemetryBlind], Nearness::Node, 0.92, None, "memory ran out"),
    edge(&[R::NoisyNeighbour], WAITING, Nearness::Model, 0.95, SLOW_PROOF, "a neighbour on the GPU slows it"),
    edge(&[R::CpuThrottled], WAITING, Nearness::Node, 0.85, SLOW_PROOF, "the server's CPU limit slows it"),
    edge(&[R::ServerUnavailable], DOWNSTREAM_OF_SERVER, Nearness::Server, 0.97, HANGING, "its server is down"),
    edge(&[R::TelemetryBlind], DOWNSTREAM_OF_SERVER, Nearness::Server, 0.85, None, "its server does not answer"),
    edge(&[R::ModelUnavailable], &[R::ErrorRateHigh, R::QueueBackup, R::QueueStall, R::QueueRejecting, R::LatencyHigh],
        Nearness::Model, 0.96, None, "the model is down"),
    edge(&[R::QueueStall, R::KvCacheSaturated], &[R::QueueBackup, R::QueueRejecting, R::LatencyHigh, R::ErrorRateHigh],
        Nearness::Model, 0.95, None, "nothing of its queue is worked off"),
    edge(&[R::QueueBackup, R::QueueRejecting], &[R::LatencyHigh, R::ErrorRateHigh],
        Nearness::Model, 0.93, None, "its requests wait or are turned away"),
    edge(&[R::ErrorRateHigh], &[R::LatencyHigh], Nearness::Model, 0.90, None, "its requests fail"),
    edge(&[R::LatencyHigh], &[R::ErrorRateHigh], Nearness::Model, 0.90, None, "its requests take too long"),
];

/// What a node may have when it comes back, or what its agent sees when it hangs.
const GONE_WITH_NODE: &[RuleId] = &[
    R::ModelUnavailable,
    R::ServerUnavailable,
    R::ErrorRateHigh,
    R::QueueBackup,
    R::QueueStall,
    R::QueueRejecting,
    R::LatencyHigh,
    R::KvCacheSaturated,
    R::TelemetryBlind,
];

const DOWNSTREAM_OF_SERVER: &[RuleId] = &[
    R::ModelUnavailable,
    R::ErrorRateHigh,
    R::QueueBackup,
    R::QueueStall,
    R::QueueRejecting,
    R::LatencyHigh,
    R::KvCacheSaturated,
    R::TelemetryBlind,
];

const fn edge(
    causes: &'static [RuleId],
    effects: &'static [RuleId],
    nearness: Nearness,
    strength: f64,
    windows: Option<Windows>,
    because: &'static str,
) -> Edge {
    Edge { causes, effects, nearness, strength, windows, because }
}

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

/// An XID that nobody needs to act on has its effects at once, if any.
const STRAY: Duration = Duration::from_secs(10);

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
    /// The node it is on; `None` for what is on none.
    pub node: Option<&'a NodeId>,
    /// The rule.
    pub rule: RuleId,
    /// What it is about.
    pub subject: &'a Subject,
    /// What it names, where it is of no node.
    pub about: &'a [Entity],
    /// Who is blamed.
    pub suspects: &'a [Suspect],
    /// The GPUs it runs on, as far as they are known.
    pub gpus: &'a [GpuUuid],
    /// How bad it is.
    pub grade: Grade,
    /// When it began.
    pub raised_at: Timestamp,
    /// When it was over; `None` while it is active.
    pub cleared_at: Option<Timestamp>,
}

impl<'a> Clue<'a> {
    /// A finding on a node.
    #[must_use]
    pub fn of(node: Option<&'a NodeId>, finding: &'a Finding) -> Self {
        let Finding { rule, subject, about, suspects, gpus, grade, raised_at, .. } = finding;
        let (rule, grade, raised_at) = (*rule, *grade, *raised_at);
        Self { node, rule, subject, about, suspects, gpus, grade, raised_at, cleared_at: None }
    }
}

impl<'a> From<&'a Member> for Clue<'a> {
    fn from(member: &'a Member) -> Self {
        let node = member.node.as_ref();
        let Member { rule, subject, about, suspects, gpus, grade, raised_at, .. } = member;
        let (rule, grade, raised_at) = (*rule, *grade, *raised_at);
        let cleared_at = member.cleared_at;
        Self { node, rule, subject, about, suspects, gpus, grade, raised_at, cleared_at }
    }
}

impl<'a> From<&'a Arc<Member>> for Clue<'a> {
    fn from(member: &'a Arc<Member>) -> Self {
        Self::from(&**member)
    }
}

/// A cause and its effect on one node, and what speaks for it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Link {
    /// How near they are.
    pub nearness: Nearness,
    /// Time between their beginnings.
    pub apart: Duration,
    /// How sure it is, 0 to 1.
    pub weight: f64,
    /// The words of the edge.
    pub because: &'static str,
}

/// Whether `cause` brings about `effect` on the same node, and how sure that is.
#[must_use]
pub fn explains(cause: Clue<'_>, effect: Clue<'_>, windows: Windows) -> Option<Link> {
    if cause.node != effect.node || cause.node.is_none() || cause.rule == effect.rule {
        return None;
    }
    let edges = || {
        EDGES
            .iter()
            .filter(|edge| edge.causes.contains(&cause.rule) && edge.effects.contains(&effect.rule))
    };
    edges().next()?;
    let nearness = near(cause, effect)?;
    let edge = edges().find(|edge| nearness >= edge.nearness)?;
    let windows = match edge.windows.unwrap_or(windows) {
        windows if cause.rule == RuleId::NodeLost => windows,
        windows => windows.at(nearness),
    };
    let (apart, window) = if effect.raised_at >= cause.raised_at {
        after(cause, effect, nearness, windows)
    } else {
        // What is over before its cause is seen had another, unless the proof takes its time.
        let lasted = effect.cleared_at.is_none_or(|over_at| over_at >= cause.raised_at);
        let may_be_over = lasted || edge.windows.is_some();
        let window = if may_be_over { windows.before } else { Duration::ZERO };
        (cause.raised_at.since(effect.raised_at), window)
    };
    let weight = fade(edge.strength * nearness.share(), apart, window)?;
    Some(Link { nearness, apart, weight, because: edge.because })
}

/// How far an effect is from its cause, and how far it may be.
fn after(
    cause: Clue<'_>,
    effect: Clue<'_>,
    nearness: Nearness,
    windows: Windows,
) -> (Duration, Duration) {
    let apart = effect.raised_at.since(cause.raised_at);
    if cause.rule == RuleId::Xid {
        // An XID is an instant: that it stays listed says nothing about its effects.
        let stray = cause.grade == Grade::Warning;
        return (apart, if stray { windows.after.min(STRAY) } else { windows.after });
    }
    match cause.cleared_at.filter(|over_at| *over_at < effect.raised_at) {
        // What was down comes back bit by bit.
        Some(over_at) if nearness >= Nearness::Server => {
            (effect.raised_at.since(over_at), windows.after)
        }
        Some(_) => (apart, windows.after),
        None => (apart, windows.after.max(nearness.lasts())),
    }
}

/// What is left of `weight` for two things that are `apart`: at the end of the window just enough
/// to attach one to the other, and beyond it nothing.
#[must_use]
pub fn fade(weight: f64, apart: Duration, window: Duration) -> Option<f64> {
    if apart > window {
        return None;
    }
    let share = if window.is_zero() { 0.0 } else { apart.as_secs_f64() / window.as_secs_f64() };
    Some(weight * (ATTACH / weight).min(1.0).powf(share))
}

impl Nearness {
    /// For how long after its beginning a cause that goes on may have effects.
    const fn lasts(self) -> Duration {
        match self {
            Self::Node => Duration::ZERO,
            Self::Gpu => Duration::from_secs(600),
            // What names the same server or model may be an effect for as long as the cause lasts.
            Self::Server | Self::Model => Duration::MAX,
        }
    }

    /// How much of an edge's strength is left where no more than this is shared.
    const fn share(self) -> f64 {
        match self {
            Self::Node => 0.8,
            Self::Gpu | Self::Server | Self::Model => 1.0,
        }
    }
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
#[must_use]
pub fn near(a: Clue<'_>, b: Clue<'_>) -> Option<Nearness> {
    if let (Some(a), Some(b)) = (model(a.subject), model(b.subject)) {
        return (a == b).then_some(Nearness::Model);
    }
    if let (Some(a), Some(b)) = (server(a.subject), server(b.subject)) {
        return (a == b).then_some(Nearness::Server);
    }
    if gpus(a).next().is_none() || gpus(b).next().is_none() {
        return Some(Nearness::Node);
    }
    share_gpu(a, b).then_some(Nearness::Gpu)
}

/// Whether two findings are known to be on the same GPU. Two MIG instances of one GPU share nothing;
/// what the whole GPU has, each of them has.
#[must_use]
pub fn share_gpu(a: Clue<'_>, b: Clue<'_>) -> bool {
    a.node == b.node && gpus(a).any(|gpu| gpus(b).any(|other| gpu.meets(other)))
}

/// A GPU that a finding is about.
#[derive(Debug, Clone, Copy)]
struct Named<'a> {
    uuid: &'a GpuUuid,
    /// It is named only as the GPU of the MIG instance before it.
    as_whole: bool,
}

impl Named<'_> {
    fn meets(self, other: Named<'_>) -> bool {
        self.uuid == other.uuid && !(self.as_whole && other.as_whole)
    }
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
        Subject::Node
        | Subject::Gpu { .. }
        | Subject::Process { .. }
        | Subject::Service { .. }
        | Subject::Alert { .. } => None,
    }
}

/// The GPUs that a finding is about: its own, else those of the ones it blames. A MIG instance is
/// followed by the GPU that it is a part of.
fn gpus<'a>(clue: Clue<'a>) -> impl Iterator<Item = Named<'a>> {
    let of_subject = |subject: &'a Subject| match subject {
        Subject::Gpu { uuid, .. } => Some(uuid),
        Subject::Process { gpu, .. } => Some(gpu),
        _ => None,
    };
    let blamed = if clue.gpus.is_empty() { clue.suspects } else { &[] };
    let subjects = std::iter::once(clue.subject).chain(blamed.iter().map(|each| &each.subject));
    let named = subjects.filter_map(of_subject).chain(clue.gpus);
    named.scan(false, |after_instance, uuid| {
        let as_whole = std::mem::replace(after_instance, uuid.is_mig()) && !uuid.is_mig();
        Some(Named { uuid, as_whole })
    })
}
