//! Alertmanager: an incident is one more alert, which counts until its `endsAt`. Pure.
//!
//! So it has to be told again before that; [`crate::delivery`] does. An alert is its labels, and the
//! severity is among them, since that is what people route by: when it rises the old alert is ended
//! with the request that tells the new one.

use std::time::Duration;

use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::Severity;
use serde_json::{Value, json};

use super::{Answer, Endpoint, External, HttpRequest, Letter, Request, Unfit, Verdict};
use crate::message::{Kind, Message};
use crate::secret::Secret;

/// Settings of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Its address, without `/api/v2`.
    pub url: Endpoint,
    /// Who asks, where a proxy before it wants to know.
    pub token: Option<Secret>,
    /// The name of this installation, as a label.
    pub installation: String,
    /// For how long an alert counts that is not told again.
    pub lasts: Duration,
}

impl Settings {
    /// Told again so often, two may be lost before the alert lapses.
    #[must_use]
    pub const fn renewed_every(&self) -> Duration {
        Duration::from_millis((self.lasts.as_millis() / 3) as u64)
    }
}

/// The request that carries a letter.
pub(super) fn render(settings: &Settings, letter: &Letter<'_>) -> Result<Request, Unfit> {
    let message = &letter.notice.first;
    let ends = match message.kind {
        Kind::Resolved => letter.now,
        Kind::Page | Kind::Update => letter.now.after(settings.lasts),
        Kind::Broadcast => return Err(Unfit("Alertmanager takes alerts only".to_owned())),
    };
    let mut alerts = vec![alert(settings, letter, message.severity, ends)];
    let before: Option<Severity> = letter.previous.and_then(|told| told.note.parse().ok());
    if let Some(before) = before.filter(|before| *before != message.severity) {
        alerts.push(alert(settings, letter, before, letter.now));
    }
    let url = settings.url.join("api/v2/alerts");
    let mut request = HttpRequest::json(url, &Value::Array(alerts));
    request.bearer.clone_from(&settings.token);
    let id = message.incident.0.to_string();
    request.leaves = Some(External { id, note: message.severity.to_string() });
    Ok(Request::Http(request))
}

fn alert(settings: &Settings, letter: &Letter<'_>, severity: Severity, ends: Timestamp) -> Value {
    let message = &letter.notice.first;
    json!({
        "labels": labels(settings, message, severity),
        "annotations": {
            "summary": letter.words.headline,
            "description": letter.words.body,
            "runbook_url": message.links.runbook.clone().unwrap_or_default(),
        },
        "startsAt": message.since.min(ends).to_string(),
        "endsAt": ends.to_string(),
        "generatorURL": message.links.incident.clone().unwrap_or_default(),
    })
}

/// What stays the same for all of an incident's life, but for its severity.
fn labels(settings: &Settings, message: &Message, severity: Severity) -> Value {
    json!({
        "alertname": "GpuwardenIncident",
        "incident": message.incident.0.to_string(),
        "installation": settings.installation,
        "severity": severity.as_str(),
        "type": message.incident_type.as_str(),
    })
}

/// What the answer means.
pub(super) fn judge(request: &Request, answer: &Answer, now: Timestamp) -> Verdict {
    match answer {
        Answer::Http { status: 200..300, .. } => Verdict::Delivered(request.leaves().cloned()),
        Answer::Http { status, retry_after, body } => {
            Verdict::of_status(*status, retry_after.as_deref(), body, now)
        }
        Answer::Mail { .. } => Verdict::Refused("a mail server's answer".to_owned()),
        Answer::Nothing(broken) => Verdict::of_broken(broken),
    }
}
