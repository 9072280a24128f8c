//! Incidents for tests of how they are shown.

use gpuwarden_proto::event::{Evidence, Subject, Suspect, Unit};
use gpuwarden_proto::incident::{Incident, Member, TimelineEntry};
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::{
    GpuUuid, Grade, IncidentId, IncidentState, IncidentType, ModelName, ModelVersion, NodeId,
    RuleId, ServerName, Severity,
};

const START_S: u64 = 1_795_442_531;
/// Twelve minutes after the first of them was opened.
pub(crate) const NOW: Timestamp = at(720);

const fn at(s: u64) -> Timestamp {
    Timestamp::from_unix_s(START_S + s)
}

fn entry(s: u64, kind: &str, actor: &str, text: &str) -> TimelineEntry {
    let (kind, actor, text) = (kind.to_owned(), actor.to_owned(), text.to_owned());
    TimelineEntry { at: at(s), kind, actor, text }
}

fn incident(id: u64, kind: IncidentType, severity: Severity, title: &str) -> Incident {
    Incident {
        id: IncidentId(id),
        kind,
        type_reason: format!("its first finding leads to {kind}"),
        severity,
        severity_reason: "part of the replicas is degraded".to_owned(),
        state: IncidentState::Open,
        title: title.to_owned(),
        members: Vec::new(),
        timeline: Vec::new(),
        opened_at: at(0),
        updated_at: at(700),
        resolved_at: None,
        acknowledged_by: None,
        version: 4,
        members_dropped: 0,
        timeline_dropped: 0,
        roots: Vec::new(),
        merged_into: None,
    }
}

fn member(rule: RuleId, subject: Subject, summary: &str, evidence: Vec<Evidence>) -> Member {
    Member {
        node: NodeId::new("node-b").expect("a good name"),
        rule,
        subject,
        grade: Grade::Degraded,
        summary: summary.to_owned(),
        evidence,
        suspects: Vec::new(),
        raised_at: at(0),
        cleared_at: None,
        reason: "it was the first".to_owned(),
        score: 1.0,
        gpus: Vec::new(),
    }
}

fn gpu() -> GpuUuid {
    GpuUuid::new("GPU-5f3a").expect("a good uuid")
}

fn resnet() -> Subject {
    Subject::Model {
        server: ServerName::new("default").expect("a good name"),
        model: ModelName::new("resnet50").expect("a good name"),
        version: ModelVersion::new("1").expect("a good version"),
    }
}

/// Acknowledged, with a suspect and two members.
pub(crate) fn noisy_neighbour() -> Incident {
    let title = "resnet50 on node-b is 1.9 times slower than its baseline";
    let service = Evidence::new("service time per inference", 0.0114, Unit::Seconds);
    let contrast = Evidence::new("contrast", 1.93, Unit::Ratio).over(64.0).against(1.25);
    let evidence = vec![service.over(15.0).against(0.0075).usually(0.006), contrast];
    let mut victim = member(RuleId::NoisyNeighbour, resnet(), title, evidence);
    let name = "train-job/worker-0".to_owned();
    victim.suspects.push(Suspect {
        subject: Subject::Process { gpu: gpu(), pid: 8811, start_ticks: 7, name },
        owner: "ml-team/train-7".to_owned(),
        confidence: 0.93,
    });
    let summary =
        "resnet50 answers in 48 ms on average, usually in 9 ms, and has done so for a minute";
    let evidence = vec![Evidence::new("latency", 0.048, Unit::Seconds).usually(0.009)];
    let mut late = member(RuleId::LatencyHigh, resnet(), summary, evidence);
    late.cleared_at = Some(at(600));
    late.reason = "same model on the same node within 30 s (score 0.91 over 0.60)".to_owned();
    let timeline = vec![
        entry(0, "detected", "gpuwarden", "noisy-neighbour on node-b model resnet50"),
        entry(0, "classified", "gpuwarden", "noisy-neighbour: its first finding leads to it"),
        entry(30, "joined", "gpuwarden", "latency-high on node-b model resnet50: same model"),
        entry(90, "acknowledged", "on-call", "acknowledged"),
    ];
    Incident {
        members: vec![victim, late],
        timeline,
        state: IncidentState::Acknowledged,
        acknowledged_by: Some("on-call".to_owned()),
        ..incident(2, IncidentType::NoisyNeighbour, Severity::P3, title)
    }
}

/// Open and urgent.
pub(crate) fn lost_gpu() -> Incident {
    let title = "GPU 1 of node-b is lost (XID 79)";
    let subject = Subject::Gpu { uuid: gpu(), index: Some(1) };
    let evidence = vec![Evidence::new("xid", 79.0, Unit::Code)];
    let timeline = vec![entry(0, "detected", "gpuwarden", "gpu-lost on node-b GPU 1")];
    Incident {
        members: vec![member(RuleId::GpuLost, subject, title, evidence)],
        timeline,
        ..incident(3, IncidentType::GpuHardware, Severity::P2, title)
    }
}

/// Over after a minute and a half.
pub(crate) fn resolved() -> Incident {
    let title = "memory of node-b GPU 1 is gone";
    let timeline = vec![
        entry(0, "detected", "gpuwarden", "gpu-memory-exhausted on node-b GPU 1"),
        entry(80, "cleared", "gpuwarden", "gpu-memory-exhausted on node-b GPU 1"),
        entry(95, "resolved", "gpuwarden", "quiet for 15 s"),
    ];
    let subject = Subject::Gpu { uuid: gpu(), index: Some(1) };
    let mut gone = member(RuleId::GpuMemoryExhausted, subject, title, Vec::new());
    gone.cleared_at = Some(at(80));
    Incident {
        members: vec![gone],
        timeline,
        state: IncidentState::Resolved,
        resolved_at: Some(at(95)),
        ..incident(1, IncidentType::GpuOom, Severity::P1, title)
    }
}
