//! Incidents for tests of how they are shown.

use std::sync::Arc;

use gpuwarden_proto::entity::{Entity, EntityKind};
use gpuwarden_proto::event::{Evidence, Subject, Suspect, Unit};
use gpuwarden_proto::incident::{Incident, Member, Root, SuspectedChange, TimelineEntry};
use gpuwarden_proto::silence::{Holder, SilenceId, Suppression};
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::{
    ChangeKind, ChangeOrigin, GpuUuid, Grade, IncidentId, IncidentState, IncidentType, ModelName,
    ModelVersion, NodeId, RuleId, ServerName, Severity,
};

const START_S: u64 = 1_795_442_531;
/// Twelve minutes after the first of them was opened.
pub(crate) const NOW: Timestamp = at(720);

const fn at(s: u64) -> Timestamp {
    Timestamp::from_unix_s(START_S + s)
}

fn entry(s: u64, kind: &str, actor: &str, text: &str) -> Arc<TimelineEntry> {
    let (kind, actor, text) = (kind.to_owned(), actor.to_owned(), text.to_owned());
    Arc::new(TimelineEntry { at: at(s), kind, actor, text })
}

fn incident(id: u64, kind: IncidentType, severity: Severity, title: &str) -> Incident {
    Incident {
        id: IncidentId(id),
        kind,
        type_reason: format!("its first finding leads to {kind}"),
        severity,
        severity_reason: "part of the replicas is degraded".to_owned(),
        overruled: None,
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
        apart_from: Vec::new(),
        scope: None,
        suppressed_by: Vec::new(),
        held_since: None,
        suspected_change: None,
    }
}

fn member(rule: RuleId, subject: Subject, summary: &str, evidence: Vec<Evidence>) -> Member {
    Member {
        node: NodeId::new("node-b").ok(),
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
        ties: Vec::new(),
        raises: 1,
        flapping: false,
        gpus: Vec::new(),
        about: Vec::new(),
    }
}

fn root(entity: Entity, score: f64, reason: &str) -> Root {
    Root { entity, score, reason: reason.to_owned() }
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
    late.reason =
        "model resnet50 has noisy-neighbour, which makes latency-high; same GPU".to_owned();
    late.score = 0.91;
    let train = Entity::of(victim.node.as_ref(), &victim.suspects[0].subject);
    let roots = vec![
        root(train, 0.932, "explains 2 of 2 members, began first, blamed for noisy-neighbour"),
        root(Entity::of(victim.node.as_ref(), &victim.subject), 0.61, "explains 2 of 2 members"),
    ];
    let timeline = vec![
        entry(0, "detected", "gpuwarden", "noisy-neighbour on node-b model resnet50"),
        entry(0, "classified", "gpuwarden", "noisy-neighbour: its first finding leads to it"),
        entry(30, "joined", "gpuwarden", "latency-high on node-b model resnet50: same model"),
        entry(90, "acknowledged", "on-call", "acknowledged"),
    ];
    Incident {
        members: vec![Arc::new(victim), Arc::new(late)],
        timeline,
        roots,
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
        members: vec![Arc::new(member(RuleId::GpuLost, subject, title, evidence))],
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
        members: vec![Arc::new(gone)],
        timeline,
        state: IncidentState::Resolved,
        resolved_at: Some(at(95)),
        ..incident(1, IncidentType::GpuOom, Severity::P1, title)
    }
}

/// A rack that failed: it took another incident in, and one of its members was parted.
/// What a deploy broke that somebody recorded.
pub(crate) fn deployed() -> Incident {
    let (kind, title) = (IncidentType::HighErrorRate, "model resnet50 fails 40 % of requests");
    let failing = member(RuleId::ErrorRateHigh, resnet(), "40 % of requests fail", Vec::new());
    let what = Entity::fleet(EntityKind::Change, "ci-7");
    let reason = "explains 1 of 1 members, began first, rollout of service search 4 min before";
    let rollback = "runbook high-error-rate, step 4: roll back the model version\n\
        kubectl rollout undo deployment/{deployment} -n {namespace}";
    let suspected = SuspectedChange {
        what: what.clone(),
        kind: ChangeKind::Rollout,
        summary: "search 7 with new weights".to_owned(),
        at: at(0),
        by: "ann".to_owned(),
        origin: ChangeOrigin::Webhook,
        link: "https://ci.example/7".to_owned(),
        score: 0.89,
        reason: reason.to_owned(),
        rollback: rollback.to_owned(),
    };
    Incident {
        members: vec![Arc::new(failing)],
        roots: vec![root(what, 0.89, reason)],
        timeline: vec![entry(1, "suspected", "gpuwarden", "rollout is suspected: search 7")],
        suspected_change: Some(suspected),
        ..incident(9, kind, Severity::P2, title)
    }
}

pub(crate) fn rack() -> Incident {
    let title = "rack r7: 3 nodes, node-b has not been heard of for 10 s";
    let lost = |node: &str, reason: &str, score: f64| {
        let (node, reason) = (NodeId::new(node).ok(), reason.to_owned());
        let lost = member(RuleId::NodeLost, Subject::Node, "not heard of for 10 s", Vec::new());
        Arc::new(Member { node, reason, score, ..lost })
    };
    let members = vec![
        lost("node-b", "first seen", 1.0),
        lost("node-c", "in rack r7, where node-b failed 4 s before; asks node-b", 0.72),
        lost("node-d", "first seen (from #4)", 1.0),
    ];
    let timeline = vec![
        entry(0, "detected", "gpuwarden", "node-b: not heard of for 10 s"),
        entry(0, "severity", "gpuwarden", "P3: node-lost: service is degraded"),
        entry(1, "related", "gpuwarden", "may belong to #2 (45 %): same model resnet50 on node-b"),
        entry(9, "merged", "gpuwarden", "takes in #4: 3 nodes of rack r7 failed together"),
        entry(9, "cause", "gpuwarden", "likely cause is now rack r7: 3 nodes failed together"),
        entry(10, "severity", "gpuwarden", "P1 (was P3): no replica of resnet50 serves"),
        entry(40, "parted", "gpuwarden", "node-e GPU 1 goes to #6: xid 79 explains it; same GPU"),
    ];
    let nodes = ["node-b", "node-c", "node-d"]
        .map(|node| Entity::node(&NodeId::new(node).expect("a good name")));
    let mut roots =
        vec![root(Entity::fleet(EntityKind::Rack, "r7"), 1.0, "explains 3 of 3 members")];
    roots.extend(nodes.map(|node| root(node, 0.51, "explains 1 of 3 members")));
    roots.push(root(Entity::fleet(EntityKind::Model, "resnet50"), 0.2, "several nodes have it"));
    Incident {
        members,
        timeline,
        roots,
        severity_reason: "no replica of resnet50 serves".to_owned(),
        ..incident(5, IncidentType::NodeUnreachable, Severity::P1, title)
    }
}

/// What that rack took in.
pub(crate) fn merged() -> Incident {
    let title = "node-d has not been heard of for 10 s";
    let mut lost = member(RuleId::NodeLost, Subject::Node, title, Vec::new());
    lost.node = NodeId::new("node-d").ok();
    lost.reason = "first seen".to_owned();
    let timeline = vec![
        entry(5, "detected", "gpuwarden", "node-d: not heard of for 10 s"),
        entry(9, "merged", "gpuwarden", "goes on as #5: 3 nodes of rack r7 failed together"),
    ];
    Incident {
        members: vec![Arc::new(lost)],
        timeline,
        state: IncidentState::Resolved,
        resolved_at: Some(at(9)),
        merged_into: Some(IncidentId(5)),
        ..incident(4, IncidentType::NodeUnreachable, Severity::P3, title)
    }
}

/// Held back by a silence, and in part by another incident.
pub(crate) fn held() -> Incident {
    let mut timeline = lost_gpu().timeline;
    let text = "by silence S7 (ann) until 2026-11-23 20:31 UTC: RMA of GPU 1";
    timeline.push(entry(5, "held", "gpuwarden", text));
    let by = |by, author: &str, reason: &str, until, members_held| Suppression {
        by,
        author: author.to_owned(),
        reason: reason.to_owned(),
        until,
        members_held,
        members_total: 3,
    };
    let (rule, incident) = ("rack-first".to_owned(), IncidentId(5));
    let silence = Holder::Silence { id: SilenceId(7) };
    Incident {
        timeline,
        suppressed_by: vec![
            by(silence, "ann", "RMA of GPU 1", Some(at(23_329)), 3),
            by(Holder::Inhibition { rule, incident }, "", "#5 is active, same rack r7", None, 1),
        ],
        held_since: Some(at(5)),
        ..lost_gpu()
    }
}

/// The same once somebody ended the silence.
pub(crate) fn released(version: u64) -> Incident {
    let mut incident = held();
    incident.suppressed_by.remove(0);
    incident.held_since = None;
    incident.timeline.push(entry(600, "released", "gpuwarden", "bob ended S7"));
    Incident { version, ..incident }
}
