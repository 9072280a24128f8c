//! Slack's incoming webhooks: new messages to one channel; no edits, threads or buttons. Pure.

use gpuwarden_proto::time::Timestamp;
use serde_json::json;

use super::answer::why;
use super::slack_blocks::{self, Buttons};
use super::{Answer, Endpoint, HttpRequest, Letter, Request, Unfit, Verdict};

/// Settings of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The address that Slack gave, which is a secret.
    pub url: Endpoint,
}

/// The request that carries a letter.
pub(super) fn render(settings: &Settings, letter: &Letter<'_>) -> Result<Request, Unfit> {
    let (text, blocks) = slack_blocks::of(letter, Buttons::Links);
    let body = json!({
        "text": text, "blocks": blocks, "unfurl_links": false, "unfurl_media": false,
    });
    Ok(Request::Http(HttpRequest::json(settings.url.clone(), &body)))
}

/// What the answer means: `ok` in plain text, or a word for what is wrong.
pub(super) fn judge(_: &Request, answer: &Answer, now: Timestamp) -> Verdict {
    match answer {
        Answer::Http { status: 200, .. } => Verdict::Delivered(None),
        Answer::Http { status: 400, body, .. } if names_nobody(body) => {
            Verdict::FallBack(why(400, body))
        }
        Answer::Http { status, retry_after, body } => {
            Verdict::of_status(*status, retry_after.as_deref(), body, now)
        }
        Answer::Mail { .. } => Verdict::Refused("a mail server's answer".to_owned()),
        Answer::Nothing(broken) => Verdict::of_broken(broken),
    }
}

/// The words of a 400 that are about the channel and not about the message.
fn names_nobody(body: &[u8]) -> bool {
    matches!(body.trim_ascii(), b"user_not_found" | b"channel_not_found" | b"invalid_token")
}
