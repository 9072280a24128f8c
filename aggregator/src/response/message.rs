//! What is told of an incident: its facts as a message. Pure.

use gpuwarden_notify::message::{Audience, Cause, Done, Kind, Links, Message, Next, Over, Public};
use gpuwarden_proto::incident::Incident;
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::IncidentType;

use super::config::Bases;
use super::work::Work;

/// Things that were done which a message names, the newest.
const DONE_MAX: usize = 3;

/// What one message is about.
#[derive(Debug, Clone, Copy)]
pub(super) struct Telling<'a> {
    pub(super) incident: &'a Incident,
    pub(super) work: &'a Work,
    pub(super) services: &'a [String],
    pub(super) links: &'a Bases,
}

impl Telling<'_> {
    /// What is told of it now.
    pub(super) fn message(
        self,
        kind: Kind,
        audience: Audience,
        news: String,
        now: Timestamp,
    ) -> Message {
        let Self { incident, work, .. } = self;
        Message {
            incident: incident.id,
            incident_type: incident.kind,
            kind,
            audience,
            severity: incident.severity,
            broken: incident.title.clone(),
            whom: self.services.join(", "),
            since: incident.opened_at,
            at: now,
            cause: self.cause(),
            done: self.done(),
            next: (kind != Kind::Resolved).then(|| self.next()),
            expected_over: work.expected.as_ref().map(|expected| expected.at),
            next_update: work.next_telling(),
            owner: work.life.owner().map(ToOwned::to_owned),
            over: self.over(kind, &news, now),
            news,
            public: self.public(),
            links: self.links(),
        }
    }

    fn cause(self) -> Option<Cause> {
        let root = self.incident.roots.first()?;
        let what = format!("{}: {}", root.entity, root.reason);
        Some(Cause { what, confidence: root.score })
    }

    /// What people and remedies did, without what the incident itself went through.
    fn done(self) -> Vec<Done> {
        use gpuwarden_proto::work::What::{Acknowledged, Mitigated, RunbookStarted};
        let acts = self.work.history.iter().rev().filter(|event| {
            matches!(event.what, Acknowledged | Mitigated { .. } | RunbookStarted { .. })
        });
        let act = |event: &gpuwarden_proto::work::Event| {
            let what = match &event.what {
                Acknowledged => format!("taken by {}", event.by),
                what => what.to_string(),
            };
            Done { at: event.at, what }
        };
        let mut done: Vec<Done> = acts.take(DONE_MAX).map(act).collect();
        done.reverse();
        done
    }

    fn next(self) -> Next {
        let Incident { id, kind, suspected_change, .. } = self.incident;
        let rollback = suspected_change.as_ref().filter(|change| !change.rollback.is_empty());
        match rollback {
            Some(change) => Next {
                what: format!("look whether {} is to be taken back", change.summary),
                command: format!("gpuwarden incidents show {}", id.0),
            },
            None => Next {
                what: format!("follow the runbook {kind}"),
                command: format!("gpuwarden runbook show {kind}"),
            },
        }
    }

    fn over(self, kind: Kind, news: &str, now: Timestamp) -> Option<Over> {
        (kind == Kind::Resolved).then(|| Over {
            at: self.incident.resolved_at.unwrap_or(now),
            by: news.to_owned(),
            review_at: self.work.life.review_at(),
        })
    }

    /// What those who use it may know: the service by its name, what they notice by the type.
    fn public(self) -> Public {
        let service = self.services.first().cloned().unwrap_or_default();
        Public { service, impact: noticed(self.incident.kind).to_owned() }
    }

    fn links(self) -> Links {
        let id = self.incident.id.0;
        let under =
            |rest: String| self.links.console.as_ref().map(|console| format!("{console}/{rest}"));
        Links {
            incident: under(format!("incidents/{id}")),
            runbook: under(format!("runbooks/{}", self.incident.kind)),
            silence: under(format!("silences/new?incident={id}")),
            acknowledge: under(format!("incidents/{id}#acknowledge")),
            bridge: self.links.bridge.clone(),
            status_page: self.links.status_page.clone(),
        }
    }
}

/// What users notice of a type of incident, with no name of ours in it.
const fn noticed(kind: IncidentType) -> &'static str {
    match kind {
        IncidentType::ModelUnavailable | IncidentType::NodeUnreachable => {
            "some requests are not answered"
        }
        IncidentType::HighLatency | IncidentType::NoisyNeighbour => "answers are slow",
        IncidentType::HighErrorRate | IncidentType::GpuOom | IncidentType::GpuHardware => {
            "some requests fail"
        }
        IncidentType::TelemetryBlind | IncidentType::External => "is disturbed",
    }
}
