//! Events and their parts.

use bytes::Bytes;
use prost::Message;

use super::{Refused, each, parse};
use crate::event::{Body, Change, Event, Evidence, Finding, Gap, Subject, Suspect, Unit};
use crate::pb;
use crate::time::Timestamp;
use crate::uplink::EVENT_MAX_BYTES;
use crate::vocab::{
    ChangeKind, GpuUuid, Grade, ModelName, ModelVersion, Phase, ServerName, ServiceName, SourceName,
};

/// Most pieces of evidence, suspects or GPUs that one finding may carry.
pub const PARTS_MAX: usize = 64;

/// Encodes an event for the outbox.
pub fn encode_event(event: &Event) -> Bytes {
    pb::Event::from(event.clone()).encode_to_vec().into()
}

/// Decodes an event of the outbox or the stream.
///
/// # Errors
///
/// Too large, not protobuf, or with a field that is missing, out of range or an unknown word.
pub fn decode_event(bytes: &[u8]) -> Result<Event, Refused> {
    if bytes.len() > EVENT_MAX_BYTES {
        let fault = format!("has {} bytes, at most {EVENT_MAX_BYTES} are taken", bytes.len());
        return Err(Refused { field: "event", fault });
    }
    let wire = pb::Event::decode(bytes)
        .map_err(|error| Refused::because("event")(format!("cannot be decoded: {error}")))?;
    Event::try_from(wire)
}

impl From<Event> for pb::Event {
    fn from(event: Event) -> Self {
        let body = match event.body {
            Body::Finding(finding) => pb::event::Body::Finding(finding.into()),
            Body::Change(change) => pb::event::Body::Change(change.into()),
            Body::Gap(gap) => pb::event::Body::Gap(gap.into()),
        };
        Self { observed_unix_ns: event.observed_at.unix_ns(), body: Some(body) }
    }
}

impl TryFrom<pb::Event> for Event {
    type Error = Refused;

    fn try_from(wire: pb::Event) -> Result<Self, Refused> {
        let body = match wire.body.ok_or_else(|| Refused::missing("event.body"))? {
            pb::event::Body::Finding(finding) => Body::Finding(finding.try_into()?),
            pb::event::Body::Change(change) => Body::Change(change.try_into()?),
            pb::event::Body::Gap(gap) => Body::Gap(gap.into()),
        };
        Ok(Self { observed_at: Timestamp::from_unix_ns(wire.observed_unix_ns), body })
    }
}

impl From<Finding> for pb::Finding {
    fn from(finding: Finding) -> Self {
        Self {
            rule: finding.rule.as_str().to_owned(),
            subject: Some(finding.subject.into()),
            phase: phase_to_wire(finding.phase).into(),
            summary: finding.summary,
            evidence: finding.evidence.into_iter().map(Into::into).collect(),
            suspects: finding.suspects.into_iter().map(Into::into).collect(),
            raised_unix_ns: finding.raised_at.unix_ns(),
            grade: grade_to_wire(finding.grade).into(),
            gpu_uuids: gpus_to_wire(&finding.gpus),
        }
    }
}

impl TryFrom<pb::Finding> for Finding {
    type Error = Refused;

    fn try_from(wire: pb::Finding) -> Result<Self, Refused> {
        if wire.evidence.len() > PARTS_MAX || wire.suspects.len() > PARTS_MAX {
            let fault = format!("has more than {PARTS_MAX} pieces of evidence or suspects");
            return Err(Refused { field: "finding", fault });
        }
        Ok(Self {
            rule: parse("finding.rule", &wire.rule)?,
            subject: subject(wire.subject)?,
            phase: phase_from_wire(wire.phase)?,
            grade: grade_from_wire(wire.grade)?,
            summary: wire.summary,
            evidence: each(wire.evidence, TryInto::try_into)?,
            suspects: each(wire.suspects, TryInto::try_into)?,
            raised_at: Timestamp::from_unix_ns(wire.raised_unix_ns),
            gpus: gpus_from_wire(&wire.gpu_uuids)?,
            about: Vec::new(),
        })
    }
}

/// The UUIDs of GPUs as they travel.
pub(super) fn gpus_to_wire(gpus: &[GpuUuid]) -> Vec<String> {
    gpus.iter().map(|gpu| gpu.as_str().to_owned()).collect()
}

/// The UUIDs of GPUs; more than [`PARTS_MAX`] are refused.
pub(super) fn gpus_from_wire(wire: &[String]) -> Result<Vec<GpuUuid>, Refused> {
    if wire.len() > PARTS_MAX {
        let fault = format!("has more than {PARTS_MAX} GPUs");
        return Err(Refused { field: "gpu_uuids", fault });
    }
    let named = |text: &String| {
        GpuUuid::new(text).map_err(|error| Refused::because("gpu_uuids")(error.to_string()))
    };
    wire.iter().map(named).collect()
}

fn phase_to_wire(phase: Phase) -> pb::Phase {
    match phase {
        Phase::Raised => pb::Phase::Raised,
        Phase::Updated => pb::Phase::Updated,
        Phase::Cleared => pb::Phase::Cleared,
    }
}

fn phase_from_wire(number: i32) -> Result<Phase, Refused> {
    match pb::Phase::try_from(number) {
        Ok(pb::Phase::Raised) => Ok(Phase::Raised),
        Ok(pb::Phase::Updated) => Ok(Phase::Updated),
        Ok(pb::Phase::Cleared) => Ok(Phase::Cleared),
        Ok(pb::Phase::Unspecified) | Err(_) => Err(unknown_number("finding.phase", number)),
    }
}

pub(super) fn grade_to_wire(grade: Grade) -> pb::Grade {
    match grade {
        Grade::Warning => pb::Grade::Warning,
        Grade::Degraded => pb::Grade::Degraded,
        Grade::Down => pb::Grade::Down,
    }
}

pub(super) fn grade_from_wire(number: i32) -> Result<Grade, Refused> {
    match pb::Grade::try_from(number) {
        Ok(pb::Grade::Warning) => Ok(Grade::Warning),
        Ok(pb::Grade::Degraded) => Ok(Grade::Degraded),
        Ok(pb::Grade::Down) => Ok(Grade::Down),
        Ok(pb::Grade::Unspecified) | Err(_) => Err(unknown_number("finding.grade", number)),
    }
}

pub(super) fn unknown_number(field: &'static str, number: i32) -> Refused {
    Refused { field, fault: format!("{number} is not known to this version") }
}

/// A subject that must be there.
pub(super) fn subject(wire: Option<pb::Subject>) -> Result<Subject, Refused> {
    wire.ok_or_else(|| Refused::missing("subject"))?.try_into()
}

impl From<Subject> for pb::Subject {
    fn from(subject: Subject) -> Self {
        use pb::subject::Kind;
        let kind = match subject {
            Subject::Node => Kind::Node(pb::NodeSubject {}),
            Subject::Gpu { uuid, index } => {
                Kind::Gpu(pb::GpuSubject { uuid: uuid.as_str().to_owned(), index })
            }
            Subject::Process { gpu, pid, start_ticks, name } => Kind::Process(pb::ProcessSubject {
                gpu_uuid: gpu.as_str().to_owned(),
                pid,
                start_ticks,
                name,
            }),
            Subject::Server { server } => {
                Kind::Server(pb::ServerSubject { server: server.as_str().to_owned() })
            }
            Subject::Model { server, model, version } => Kind::Model(pb::ModelSubject {
                server: server.as_str().to_owned(),
                model: model.as_str().to_owned(),
                version: version.as_str().to_owned(),
            }),
            Subject::Source { source } => {
                Kind::Source(pb::SourceSubject { source: source.as_str().to_owned() })
            }
            Subject::Service { service } => {
                Kind::Service(pb::ServiceSubject { service: service.as_str().to_owned() })
            }
            Subject::Alert { sender, key, name } => {
                Kind::Alert(pb::AlertSubject { sender: sender.as_str().to_owned(), key, name })
            }
        };
        Self { kind: Some(kind) }
    }
}

impl TryFrom<pb::Subject> for Subject {
    type Error = Refused;

    fn try_from(wire: pb::Subject) -> Result<Self, Refused> {
        use pb::subject::Kind;
        let named = |error: crate::vocab::BadName| Refused::because("subject")(error.to_string());
        Ok(match wire.kind.ok_or_else(|| Refused::missing("subject.kind"))? {
            Kind::Node(_) => Self::Node,
            Kind::Gpu(gpu) => {
                Self::Gpu { uuid: GpuUuid::new(&gpu.uuid).map_err(named)?, index: gpu.index }
            }
            Kind::Process(process) => Self::Process {
                gpu: GpuUuid::new(&process.gpu_uuid).map_err(named)?,
                pid: process.pid,
                start_ticks: process.start_ticks,
                name: process.name,
            },
            Kind::Server(server) => {
                Self::Server { server: ServerName::new(&server.server).map_err(named)? }
            }
            Kind::Model(model) => Self::Model {
                server: ServerName::new(&model.server).map_err(named)?,
                model: ModelName::new(&model.model).map_err(named)?,
                version: ModelVersion::new(&model.version).map_err(named)?,
            },
            Kind::Source(source) => {
                Self::Source { source: SourceName::new(&source.source).map_err(named)? }
            }
            Kind::Service(service) => {
                Self::Service { service: ServiceName::new(&service.service).map_err(named)? }
            }
            Kind::Alert(alert) => Self::Alert {
                sender: parse("subject.sender", &alert.sender)?,
                key: alert.key,
                name: alert.name,
            },
        })
    }
}

impl From<Evidence> for pb::Evidence {
    fn from(evidence: Evidence) -> Self {
        Self {
            signal: evidence.signal,
            value: evidence.value,
            unit: evidence.unit.as_str().to_owned(),
            window_s: evidence.window_s,
            threshold: evidence.threshold,
            baseline: evidence.baseline,
        }
    }
}

impl TryFrom<pb::Evidence> for Evidence {
    type Error = Refused;

    fn try_from(wire: pb::Evidence) -> Result<Self, Refused> {
        let numbers = [Some(wire.value), Some(wire.window_s), wire.threshold, wire.baseline];
        if numbers.into_iter().flatten().any(|number| !number.is_finite()) {
            return Err(Refused { field: "evidence", fault: "has a number that is none".into() });
        }
        let unit = Unit::ALL.iter().copied().find(|unit| unit.as_str() == wire.unit);
        let fault = || Refused::because("evidence.unit")(format!("`{}` is not known", wire.unit));
        Ok(Self {
            unit: unit.ok_or_else(fault)?,
            signal: wire.signal,
            value: wire.value,
            window_s: wire.window_s,
            threshold: wire.threshold,
            baseline: wire.baseline,
        })
    }
}

impl From<Suspect> for pb::Suspect {
    fn from(suspect: Suspect) -> Self {
        Self {
            subject: Some(suspect.subject.into()),
            owner: suspect.owner,
            confidence: suspect.confidence,
        }
    }
}

impl TryFrom<pb::Suspect> for Suspect {
    type Error = Refused;

    fn try_from(wire: pb::Suspect) -> Result<Self, Refused> {
        if !(0.0..=1.0).contains(&wire.confidence) {
            let fault = format!("{} is not between 0 and 1", wire.confidence);
            return Err(Refused { field: "suspect.confidence", fault });
        }
        Ok(Self { subject: subject(wire.subject)?, owner: wire.owner, confidence: wire.confidence })
    }
}

impl From<Change> for pb::Change {
    fn from(change: Change) -> Self {
        let kind = match change.kind {
            ChangeKind::ModelLoaded => pb::ChangeKind::ModelLoaded,
            ChangeKind::ModelUnloaded => pb::ChangeKind::ModelUnloaded,
            ChangeKind::ModelDeployed => pb::ChangeKind::ModelDeployed,
            ChangeKind::ServerRestarted => pb::ChangeKind::ServerRestarted,
            ChangeKind::DriverChanged => pb::ChangeKind::DriverChanged,
            ChangeKind::AgentStarted => pb::ChangeKind::AgentStarted,
            ChangeKind::AgentStopped => pb::ChangeKind::AgentStopped,
            ChangeKind::ConfigChanged => pb::ChangeKind::ConfigChanged,
            ChangeKind::Rollout => pb::ChangeKind::Rollout,
            ChangeKind::Infrastructure => pb::ChangeKind::Infrastructure,
            ChangeKind::Other => pb::ChangeKind::Other,
        };
        Self {
            subject: Some(change.subject.into()),
            kind: kind.into(),
            summary: change.summary,
            version: change.version,
        }
    }
}

impl TryFrom<pb::Change> for Change {
    type Error = Refused;

    fn try_from(wire: pb::Change) -> Result<Self, Refused> {
        let kind = match pb::ChangeKind::try_from(wire.kind) {
            Ok(pb::ChangeKind::ModelLoaded) => ChangeKind::ModelLoaded,
            Ok(pb::ChangeKind::ModelUnloaded) => ChangeKind::ModelUnloaded,
            Ok(pb::ChangeKind::ModelDeployed) => ChangeKind::ModelDeployed,
            Ok(pb::ChangeKind::ServerRestarted) => ChangeKind::ServerRestarted,
            Ok(pb::ChangeKind::DriverChanged) => ChangeKind::DriverChanged,
            Ok(pb::ChangeKind::AgentStarted) => ChangeKind::AgentStarted,
            Ok(pb::ChangeKind::AgentStopped) => ChangeKind::AgentStopped,
            Ok(pb::ChangeKind::ConfigChanged) => ChangeKind::ConfigChanged,
            Ok(pb::ChangeKind::Rollout) => ChangeKind::Rollout,
            Ok(pb::ChangeKind::Infrastructure) => ChangeKind::Infrastructure,
            Ok(pb::ChangeKind::Other) => ChangeKind::Other,
            Ok(pb::ChangeKind::Unspecified) | Err(_) => {
                return Err(unknown_number("change.kind", wire.kind));
            }
        };
        let (summary, version) = (wire.summary, wire.version);
        Ok(Self { subject: subject(wire.subject)?, kind, summary, version })
    }
}

impl From<Gap> for pb::Gap {
    fn from(gap: Gap) -> Self {
        Self {
            count: gap.count,
            first_seq: gap.first_seq,
            last_seq: gap.last_seq,
            reason: gap.reason,
        }
    }
}

impl From<pb::Gap> for Gap {
    fn from(wire: pb::Gap) -> Self {
        Self {
            count: wire.count,
            first_seq: wire.first_seq,
            last_seq: wire.last_seq,
            reason: wire.reason,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::vocab::RuleId;

    fn finding() -> Event {
        Event {
            observed_at: Timestamp::from_unix_s(5),
            body: Body::Finding(Finding {
                rule: RuleId::QueueBackup,
                subject: Subject::Model {
                    server: ServerName::new("default").unwrap(),
                    model: ModelName::new("bert").unwrap(),
                    version: ModelVersion::new("1").unwrap(),
                },
                phase: Phase::Raised,
                grade: Grade::Degraded,
                summary: "requests wait".to_owned(),
                evidence: vec![Evidence::new("pending", 40.0, Unit::Count).against(30.0)],
                suspects: Vec::new(),
                gpus: vec![GpuUuid::new("GPU-1").unwrap()],
                about: Vec::new(),
                raised_at: Timestamp::from_unix_s(4),
            }),
        }
    }

    #[test]
    fn an_event_survives_the_wire() {
        assert_eq!(decode_event(&encode_event(&finding())), Ok(finding()));
    }

    #[test]
    fn an_unknown_rule_is_refused_by_name() {
        let mut wire = pb::Event::from(finding());
        if let Some(pb::event::Body::Finding(finding)) = &mut wire.body {
            finding.rule = "spoon-bender".to_owned();
        }
        let refused = Event::try_from(wire).unwrap_err();
        assert_eq!(refused.field, "finding.rule");
        assert!(refused.fault.starts_with("`spoon-bender` is not a rule"), "{refused}");
    }

    #[test]
    fn an_unknown_phase_is_refused() {
        let mut wire = pb::Event::from(finding());
        if let Some(pb::event::Body::Finding(finding)) = &mut wire.body {
            finding.phase = 77;
        }
        let refused = Event::try_from(wire).unwrap_err();
        assert_eq!(refused.to_string(), "finding.phase: 77 is not known to this version");
    }

    #[test]
    fn an_oversized_event_is_refused_before_it_is_decoded() {
        let refused = decode_event(&vec![0; EVENT_MAX_BYTES + 1]).unwrap_err();
        assert_eq!(refused.to_string(), "event: has 65537 bytes, at most 65536 are taken");
    }

    #[test]
    fn a_number_that_is_none_is_refused() {
        let wire = pb::Evidence { value: f64::NAN, unit: "s".to_owned(), ..Default::default() };
        assert!(Evidence::try_from(wire).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_decoded_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
            let _ = decode_event(&bytes);
        }
    }
}
