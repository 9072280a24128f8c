//! Whoever takes CloudEvents 1.0, structured, with a signature over time and body. Pure.
//!
//! The id of the event is the key of the letter: a receiver that remembers it has each once.

use gpuwarden_proto::time::Timestamp;
use serde_json::{Value, json};

use super::{Answer, Endpoint, External, HttpRequest, Letter, Request, Unfit, Verdict, signature};
use crate::message::{Audience, Message};
use crate::secret::Secret;

/// The header of the signature.
pub const SIGNATURE: &str = "x-gpuwarden-signature";
/// Of what form the data is; changes with it.
const TYPE: &str = "gpuwarden.incident.v1";

/// Settings of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where events go.
    pub url: Endpoint,
    /// What they are signed with.
    pub secret: Option<Secret>,
    /// Who asks, where that is wanted.
    pub token: Option<Secret>,
    /// The name of this installation: the source of events.
    pub installation: String,
}

/// The request that carries a letter.
pub(super) fn render(settings: &Settings, letter: &Letter<'_>) -> Result<Request, Unfit> {
    let message = &letter.notice.first;
    let event = json!({
        "specversion": "1.0",
        "id": letter.key,
        "source": format!("/gpuwarden/{}", settings.installation),
        "type": format!("{TYPE}.{}", message.kind),
        "subject": message.incident.0.to_string(),
        "time": message.at.to_string(),
        "datacontenttype": "application/json",
        "data": data(letter)?,
    });
    let mut request = HttpRequest::json(settings.url.clone(), &event);
    request.content_type = "application/cloudevents+json; charset=utf-8";
    request.bearer.clone_from(&settings.token);
    request.headers.push(("idempotency-key", letter.key.to_owned()));
    if let Some(secret) = &settings.secret {
        let signature = signature::own(secret, letter.now, &request.body);
        request.headers.push((SIGNATURE, signature));
    }
    let id = message.incident.0.to_string();
    request.leaves = Some(External { id, note: String::new() });
    Ok(Request::Http(request))
}

/// The words, and the facts that its audience may have.
fn data(letter: &Letter<'_>) -> Result<Value, Unfit> {
    let message = &letter.notice.first;
    let mut data = json!({
        "headline": letter.words.headline,
        "text": letter.words.body,
        "incident": message.incident,
        "kind": message.kind,
        "audience": message.audience,
        "severity": message.severity,
        "service": message.public.service,
        "since": message.since,
        "links": links(message),
    });
    if message.audience != Audience::Stakeholders {
        data["facts"] = serde_json::to_value(message)
            .map_err(|error| Unfit(format!("the facts are no JSON: {error}")))?;
    }
    Ok(data)
}

fn links(message: &Message) -> Value {
    message
        .shown_links()
        .into_iter()
        .map(|(label, link)| (label.to_owned(), Value::from(link)))
        .collect()
}

/// What the answer means.
pub(super) fn judge(request: &Request, answer: &Answer, now: Timestamp) -> Verdict {
    match answer {
        // 409: it has this id already.
        Answer::Http { status: 200..300 | 409, .. } => {
            Verdict::Delivered(request.leaves().cloned())
        }
        Answer::Http { status, retry_after, body } => {
            Verdict::of_status(*status, retry_after.as_deref(), body, now)
        }
        Answer::Mail { .. } => Verdict::Refused("a mail server's answer".to_owned()),
        Answer::Nothing(broken) => Verdict::of_broken(broken),
    }
}
