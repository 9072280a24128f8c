//! Class and severity, each with its reason. Pure.
//!
//! The class follows the rule of the likely cause. The severity is the handbook's:
//!
//! | severity | when |
//! | --- | --- |
//! | P1 | no replica of a model is left that had traffic, or nine in ten of its requests fail; what is P2 by its replicas or requests, of a model on the critical list; a critical service uses up its budget 14.4 times too fast |
//! | P2 | no replica is left of a model without traffic; half of its replicas or more are down, or one is left; a quarter or more of a model's requests fail over all its replicas; a node does not answer; a model is down and how many replicas it has is not known; a service uses up its budget 14.4 times too fast, or a critical one 6 times |
//! | P3 | degraded performance or partial failure: grade `degraded`, or `down` with replicas left; a service uses up its budget 3 or 6 times too fast |
//! | P4 | a forecast or a minor matter: grade `warning`, and blindness of Gpuwarden itself; a service uses up its budget just too fast |

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use gpuwarden_proto::entity::EntityKind;
use gpuwarden_proto::event::{Evidence, Subject, Unit};
use gpuwarden_proto::incident::Member;
use gpuwarden_proto::vocab::{Grade, IncidentType, ModelName, NodeId, RuleId, Severity};

use crate::incident::{Because, place};
use crate::replica::{Replicas, Standing, Tally};
use crate::slo::BURN;
use crate::slo::burn::called;

/// Share of failing requests from which on an error rate is high.
pub const FAILING_HIGH: f64 = 0.25;
/// Share of failing requests from which on a model is as good as gone.
pub const FAILING_ALL: f64 = 0.9;

/// The class that a rule leads to.
#[must_use]
pub const fn type_of(rule: RuleId) -> IncidentType {
    match rule {
        RuleId::GpuMemoryExhausted | RuleId::GpuMemoryExhausting | RuleId::HostMemoryOom => {
            IncidentType::GpuOom
        }
        RuleId::QueueBackup
        | RuleId::QueueStall
        | RuleId::QueueRejecting
        | RuleId::LatencyHigh
        | RuleId::KvCacheSaturated
        | RuleId::LatencyBurn => IncidentType::HighLatency,
        RuleId::NoisyNeighbour | RuleId::RogueProcess | RuleId::CpuThrottled => {
            IncidentType::NoisyNeighbour
        }
        RuleId::ModelUnavailable | RuleId::ServerUnavailable => IncidentType::ModelUnavailable,
        RuleId::ErrorRateHigh | RuleId::AvailabilityBurn => IncidentType::HighErrorRate,
        RuleId::Xid
        | RuleId::GpuLost
        | RuleId::GpuRecoveryRequired
        | RuleId::EccUncorrected
        | RuleId::RowRemap
        | RuleId::ThermalThrottle
        | RuleId::PowerBrake
        | RuleId::PcieDegraded
        | RuleId::NvlinkErrors => IncidentType::GpuHardware,
        RuleId::TelemetryBlind => IncidentType::TelemetryBlind,
        RuleId::NodeLost => IncidentType::NodeUnreachable,
        RuleId::ExternalAlert | RuleId::UserReport => IncidentType::External,
    }
}

/// The class of an incident with these members, of which the first is the likely cause.
#[must_use]
pub fn classify(members: &[Arc<Member>]) -> Option<Because<IncidentType>> {
    let cause = members.first()?;
    let oom = |member: &&Arc<Member>| type_of(member.rule) == IncidentType::GpuOom;
    // What a process that does not belong there does decides what is to be done about it.
    if cause.rule == RuleId::RogueProcess
        && let Some(harm) = members.iter().find(oom)
    {
        let reason = format!("{} on {} led to {}", cause.rule, place(cause), harm.rule);
        return Some(Because { what: IncidentType::GpuOom, reason });
    }
    Some(of_cause(cause))
}

/// The class of an incident with this cause alone.
#[must_use]
pub fn of_cause(cause: &Member) -> Because<IncidentType> {
    let reason = format!("its likely cause is {} on {}", cause.rule, place(cause));
    Because { what: type_of(cause.rule), reason }
}

/// What a severity rests on. Displays as a sentence.
#[derive(Debug, Clone, PartialEq)]
pub enum Ground {
    /// How the replicas of a model stand.
    Replicas {
        /// The model.
        model: ModelName,
        /// How they stand.
        tally: Tally,
        /// The model is on the critical list.
        critical: bool,
    },
    /// A model is down and no snapshot tells how many replicas it has.
    ReplicasUnknown(ModelName),
    /// Share of requests that fail.
    Failing {
        /// Where.
        subject: Subject,
        /// On this replica, 0 to 1.
        ratio: f64,
        /// How the model's replicas stand.
        tally: Tally,
        /// The model is on the critical list.
        critical: bool,
    },
    /// A node does not answer.
    Silent(NodeId),
    /// Somebody outside calls it critical; whether it is about what management calls critical.
    Told(bool),
    /// A service uses up its error budget too fast.
    Burning {
        /// The service.
        service: Subject,
        /// How fast: 1 uses it up in just its period.
        rate: f64,
        /// How fast it may be over the window.
        threshold: f64,
        /// The window.
        over: Duration,
        /// The service is on management's list.
        critical: bool,
    },
    /// Gpuwarden does not see.
    Blind,
    /// The rule's own grade.
    Grade(RuleId, Grade),
}

impl fmt::Display for Ground {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Replicas { model, tally: Tally { total, down, busy, .. }, critical } => {
                let replicas = if *total == 1 { "replica" } else { "replicas" };
                write!(f, "{down} of {total} {replicas} of {model} down")?;
                match (down == total, critical, busy) {
                    (_, true, _) => f.write_str(", and the model is critical"),
                    (true, false, 0) => f.write_str(", but no traffic has been seen on it"),
                    (true, false, _) => f.write_str(", and it had traffic"),
                    (false, ..) => Ok(()),
                }
            }
            Self::ReplicasUnknown(model) => {
                write!(f, "{model} is down, and no snapshot tells how many replicas it has")
            }
            Self::Failing { subject, ratio, tally, critical } => {
                write!(f, "{subject} fails {:.0} % of requests", ratio * 100.0)?;
                match (tally.down + tally.degraded, tally.total) {
                    (_, 0 | 1) => Ok(()),
                    (troubled, total) => write!(f, " on {troubled} of {total} replicas"),
                }?;
                if *critical { f.write_str(", and the model is critical") } else { Ok(()) }
            }
            Self::Silent(node) => write!(f, "{node} does not answer"),
            Self::Told(false) => f.write_str("who tells of it calls it critical"),
            Self::Told(true) => {
                f.write_str("who tells of it calls it critical, and the service is critical")
            }
            Self::Burning { service, rate, threshold, over, critical } => {
                let over = called(over.as_secs());
                write!(
                    f,
                    "{service} uses up its error budget {rate:.1} times as fast as it may, "
                )?;
                write!(f, "over {over} (threshold {threshold})")?;
                if *critical { f.write_str("; it is critical") } else { Ok(()) }
            }
            Self::Blind => f.write_str("what cannot be seen is not known to be in trouble"),
            Self::Grade(rule, Grade::Warning) => write!(f, "{rule} may become trouble"),
            Self::Grade(rule, Grade::Degraded) => write!(f, "{rule}: service is degraded"),
            Self::Grade(rule, Grade::Down) => write!(f, "{rule}: partial failure"),
        }
    }
}

/// What management calls critical.
#[derive(Clone, Copy)]
pub struct Stakes<'a> {
    /// Whether a model is.
    pub model: &'a dyn Fn(&ModelName) -> bool,
    /// Whether a service is.
    pub service: &'a dyn Fn(&str) -> bool,
}

impl Stakes<'_> {
    /// Whether any of the models and services that a member names is critical.
    fn are_in(self, member: &Member) -> bool {
        let own = match &member.subject {
            Subject::Service { service } => (self.service)(service.as_str()),
            _ => false,
        };
        own || member.about.iter().any(|entity| match entity.kind {
            EntityKind::Service => (self.service)(&entity.name),
            EntityKind::Model => {
                ModelName::new(&entity.name).is_ok_and(|model| (self.model)(&model))
            }
            _ => false,
        })
    }
}

/// How urgent one member is by itself.
#[must_use]
pub fn assess(member: &Member, replicas: &Replicas, stakes: Stakes<'_>) -> (Severity, Ground) {
    let critical = stakes.model;
    let own = by_grade(member, replicas, stakes);
    let models = models_down(member, replicas);
    let worst_model = models
        .map(|model| by_replicas(model, replicas.of(model), critical(model)))
        .min_by_key(|(severity, _)| *severity);
    match worst_model {
        Some(by_model) if by_model.0 <= own.0 => by_model,
        Some(_) | None => own,
    }
}

fn by_grade(member: &Member, replicas: &Replicas, stakes: Stakes<'_>) -> (Severity, Ground) {
    let critical = stakes.model;
    let graded = Ground::Grade(member.rule, member.grade);
    match (member.rule, member.grade) {
        (RuleId::NodeLost, _) => match &member.node {
            Some(node) => (Severity::P2, Ground::Silent(node.clone())),
            None => (Severity::P2, graded),
        },
        (RuleId::ExternalAlert | RuleId::UserReport, Grade::Down) => {
            let vital = stakes.are_in(member);
            (if vital { Severity::P1 } else { Severity::P2 }, Ground::Told(vital))
        }
        (RuleId::AvailabilityBurn | RuleId::LatencyBurn, _) => {
            burning(member, stakes.are_in(member)).unwrap_or((Severity::P3, graded))
        }
        (RuleId::TelemetryBlind, _) => (Severity::P4, Ground::Blind),
        (RuleId::ErrorRateHigh, _) => match failing(&member.evidence) {
            Some(ratio) => {
                let (tally, critical) = match &member.subject {
                    Subject::Model { model, .. } => (replicas.of(model), critical(model)),
                    _ => (Tally::default(), false),
                };
                // What fails here fails on the others that are in trouble too.
                let over_all = ratio * tally.troubled_share(0);
                let severity = match critical {
                    _ if over_all >= FAILING_ALL => Severity::P1,
                    true if over_all >= FAILING_HIGH => Severity::P1,
                    false if over_all >= FAILING_HIGH => Severity::P2,
                    _ => Severity::P3,
                };
                let subject = member.subject.clone();
                (severity, Ground::Failing { subject, ratio, tally, critical })
            }
            None => (Severity::P3, graded),
        },
        (_, Grade::Warning) => (Severity::P4, graded),
        (_, Grade::Degraded | Grade::Down) => (Severity::P3, graded),
    }
}

/// How urgent it is that a budget is used up so fast: the pair of windows that alarms says it.
fn burning(member: &Member, critical: bool) -> Option<(Severity, Ground)> {
    let burn = member.evidence.iter().find(|each| each.signal == BURN)?;
    let threshold = burn.threshold?;
    let severity = match (threshold, critical) {
        (14.4.., true) => Severity::P1,
        (14.4.., false) | (6.0.., true) => Severity::P2,
        (3.0.., _) => Severity::P3,
        _ => Severity::P4,
    };
    let over = Duration::try_from_secs_f64(burn.window_s).unwrap_or_default();
    let (service, rate) = (member.subject.clone(), burn.value);
    Some((severity, Ground::Burning { service, rate, threshold, over, critical }))
}

/// The share of failing requests in the evidence.
fn failing(evidence: &[Evidence]) -> Option<f64> {
    evidence.iter().find(|each| each.unit == Unit::Ratio).map(|each| each.value)
}

/// The models that a member takes down.
fn models_down<'a>(
    member: &'a Member,
    replicas: &'a Replicas,
) -> impl Iterator<Item = &'a ModelName> + 'a {
    let takes_down = matches!(
        member.rule,
        RuleId::ModelUnavailable
            | RuleId::QueueStall
            | RuleId::ServerUnavailable
            | RuleId::NodeLost
    );
    let own = match &member.subject {
        Subject::Model { model, .. } if takes_down => Some(model),
        _ => None,
    };
    let here = member.node.as_ref().map_or(&[][..], |node| replicas.on(node));
    let here = here.iter().filter(move |replica| {
        takes_down
            && replica.standing == Standing::Down
            && match &member.subject {
                Subject::Server { server } => replica.server == *server,
                Subject::Node => true,
                _ => false,
            }
    });
    own.into_iter().chain(here.map(|replica| &replica.model))
}

fn by_replicas(model: &ModelName, tally: Tally, critical: bool) -> (Severity, Ground) {
    if tally.total == 0 {
        return (Severity::P2, Ground::ReplicasUnknown(model.clone()));
    }
    let severity = if tally.all_down() && tally.busy > 0 || tally.mostly_down() && critical {
        Severity::P1
    } else if tally.mostly_down() {
        Severity::P2
    } else {
        Severity::P3
    };
    (severity, Ground::Replicas { model: model.clone(), tally, critical })
}
