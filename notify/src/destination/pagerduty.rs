//! PagerDuty's Events API v2: one alert for each incident, by its `dedup_key`. Pure.

use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::Severity;
use serde_json::{Value, json};

use super::answer::why;
use super::{Answer, Endpoint, External, HttpRequest, Letter, Request, Unfit, Verdict};
use crate::message::{Audience, Kind, Message, cut};
use crate::secret::Secret;

/// PagerDuty's own address.
pub const EVENTS: &str = "https://events.pagerduty.com/v2/enqueue";
/// The largest event, in bytes.
const EVENT_MAX_BYTES: usize = 512 * 1024;
/// Characters of a summary.
const SUMMARY_MAX: usize = 1024;
/// The longest `dedup_key`, in bytes.
const DEDUP_MAX_BYTES: usize = 255;

/// Settings of one integration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where events go.
    pub url: Endpoint,
    /// The integration's key.
    pub routing_key: Secret,
    /// The name of this installation: two that use one key must not meet.
    pub installation: String,
}

/// The request that carries a letter: it rings for a page, and an end ends it.
pub(super) fn render(settings: &Settings, letter: &Letter<'_>) -> Result<Request, Unfit> {
    let message = &letter.notice.first;
    let action = match message.kind {
        Kind::Page => "trigger",
        Kind::Update if message.owner.is_some() => "acknowledge",
        // Newer words for an alert that is there: it does not ring again.
        Kind::Update => "trigger",
        Kind::Resolved => "resolve",
        Kind::Broadcast => return Err(Unfit("PagerDuty only rings".to_owned())),
    };
    let dedup_key = dedup_key(&settings.installation, message);
    let mut event = json!({
        "routing_key": settings.routing_key.reveal(),
        "event_action": action,
        "dedup_key": dedup_key,
    });
    if action == "trigger" {
        event["payload"] = payload(settings, letter);
        event["links"] = links(message);
        event["client"] = json!("Gpuwarden");
        if let Some(link) = &message.links.incident {
            event["client_url"] = json!(link);
        }
    }
    let mut request = HttpRequest::json(settings.url.clone(), &event);
    if request.body.len() > EVENT_MAX_BYTES {
        // Words have limits of their own, so what is too large are the facts beside them.
        event["payload"]["custom_details"] = json!({
            "text": letter.words.body, "cut": "the details were too large; see the incident",
        });
        request = HttpRequest::json(settings.url.clone(), &event);
    }
    if request.body.len() > EVENT_MAX_BYTES {
        return Err(Unfit(format!("the event has more than {EVENT_MAX_BYTES} bytes")));
    }
    request.leaves = Some(External { id: dedup_key, note: String::new() });
    Ok(Request::Http(request))
}

fn dedup_key(installation: &str, message: &Message) -> String {
    let key = format!("gpuwarden/{installation}/{}", message.incident.0);
    cut::to_chars(&key, DEDUP_MAX_BYTES)
}

fn payload(settings: &Settings, letter: &Letter<'_>) -> Value {
    let message = &letter.notice.first;
    let mut details = json!({ "text": letter.words.body });
    if message.audience == Audience::Engineering {
        details["incident"] = json!(message.incident.0);
        details["severity"] = json!(message.severity);
        details["cause"] = json!(message.cause.as_ref().map(|cause| &cause.what));
        details["done"] = json!(message.done.iter().map(|done| &done.what).collect::<Vec<_>>());
        details["next"] = json!(message.next.as_ref().map(|next| &next.what));
    }
    json!({
        "summary": cut::to_chars(&letter.words.headline, SUMMARY_MAX),
        "source": settings.installation,
        "severity": severity(message.severity),
        "timestamp": message.since.to_string(),
        "component": message.public.service,
        "class": message.incident_type.as_str(),
        "custom_details": details,
    })
}

fn links(message: &Message) -> Value {
    message
        .shown_links()
        .into_iter()
        .map(|(label, href)| json!({ "href": href, "text": label }))
        .collect()
}

/// The severity in PagerDuty's word.
const fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::P1 => "critical",
        Severity::P2 => "error",
        Severity::P3 => "warning",
        Severity::P4 => "info",
    }
}

/// What the answer means.
pub(super) fn judge(request: &Request, answer: &Answer, now: Timestamp) -> Verdict {
    match answer {
        Answer::Http { status: 200..300, .. } => Verdict::Delivered(request.leaves().cloned()),
        // Among the reasons of a 400 is a key that is none.
        Answer::Http { status: 400, body, .. } if is_about_the_key(body) => {
            Verdict::FallBack(why(400, body))
        }
        Answer::Http { status, retry_after, body } => {
            Verdict::of_status(*status, retry_after.as_deref(), body, now)
        }
        Answer::Mail { .. } => Verdict::Refused("a mail server's answer".to_owned()),
        Answer::Nothing(broken) => Verdict::of_broken(broken),
    }
}

fn is_about_the_key(body: &[u8]) -> bool {
    let text = String::from_utf8_lossy(body).to_ascii_lowercase();
    text.contains("routing_key") || text.contains("routing key")
}
