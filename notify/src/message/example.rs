//! Messages to try templates and destinations with: one incident from its page to its end.

use std::time::Duration;

use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::{IncidentId, IncidentType, Severity};

use super::{Audience, Cause, Done, Kind, Links, Message, Next, Over, Public};

/// 2026-11-23T14:02:11Z.
const SINCE_S: u64 = 1_795_442_531;

/// When the example began.
#[must_use]
pub const fn since() -> Timestamp {
    Timestamp::from_unix_s(SINCE_S)
}

/// A message of each kind for each audience, as it would be told.
#[must_use]
pub fn message(kind: Kind, audience: Audience) -> Message {
    let minutes = |minutes: u64| since().after(Duration::from_secs(60 * minutes));
    let resolved = kind == Kind::Resolved;
    let later = matches!(kind, Kind::Update | Kind::Resolved);
    let cause = "memory of trt-worker (pid 4312) grew by 212 MiB/s on GPU 2 of node-a";
    Message {
        incident: IncidentId(2),
        incident_type: IncidentType::GpuOom,
        kind,
        audience,
        severity: Severity::P1,
        broken: "bert-large on node-a fails 38 % of requests".to_owned(),
        whom: "search (1 of 2 replicas)".to_owned(),
        since: since(),
        at: minutes(if resolved { 47 } else { 3 }),
        cause: Some(Cause { what: cause.to_owned(), confidence: 0.93 }),
        done: vec![Done {
            at: minutes(1),
            what: "queue of bert-large limited to 64 (kept, ends 14:32)".to_owned(),
        }],
        next: (!resolved).then(|| Next {
            what: "gpu-oom step 4: move a replica to another node".to_owned(),
            command: "gpuwarden runbook step done 2 4".to_owned(),
        }),
        news: if later { "maria took it; errors 38 % → 12 %".to_owned() } else { String::new() },
        expected_over: (!resolved).then(|| minutes(30)),
        next_update: (!resolved).then(|| minutes(33)),
        owner: later.then(|| "maria".to_owned()),
        over: resolved.then(|| Over {
            at: minutes(47),
            by: "trt-worker restarted with a smaller batch".to_owned(),
            review_at: Some(minutes(60 * 24)),
        }),
        public: Public {
            service: "Search".to_owned(),
            impact: "some searches fail or take long".to_owned(),
        },
        links: links(),
    }
}

fn links() -> Links {
    let link = |path: &str| Some(format!("https://gpuwarden.example/{path}"));
    Links {
        incident: link("incidents/2"),
        runbook: link("runbooks/gpu-oom"),
        silence: link("incidents/2/silence"),
        acknowledge: link("incidents/2/acknowledge"),
        bridge: Some("https://call.example/bridge".to_owned()),
        status_page: Some("https://status.example/".to_owned()),
    }
}
