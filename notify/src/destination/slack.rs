//! Slack's Web API: a first message, and what follows as edits of it or in its thread. Pure.

use gpuwarden_proto::time::Timestamp;
use serde::Deserialize;
use serde_json::json;

use super::answer::why;
use super::slack_blocks::{self, Buttons};
use super::{Answer, Endpoint, External, HttpRequest, Letter, Request, Unfit, Verdict};
use crate::message::Kind;
use crate::secret::Secret;

/// Slack's own address of the API.
pub const API: &str = "https://slack.com/api";

/// Settings of one channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where the API is.
    pub api: Endpoint,
    /// The token of the bot; it needs the scope `chat:write`.
    pub token: Secret,
    /// The channel, by its id or name; the bot must be in it.
    pub channel: String,
    /// The secret with which Slack signs what is pressed; without it there are no buttons.
    pub signing_secret: Option<Secret>,
    /// What becomes of updates and ends.
    pub follow_ups: FollowUps,
}

/// What becomes of what follows a first message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FollowUps {
    /// The first message is edited, so that it always says what is so now. Nobody is notified.
    Edit,
    /// They are told in its thread; an end in the channel, too.
    Thread,
}

/// The request that carries a letter. A page of what was told before is told in its thread and in the
/// channel: an edit would wake nobody.
pub(super) fn render(settings: &Settings, letter: &Letter<'_>) -> Result<Request, Unfit> {
    let answered =
        if settings.signing_secret.is_some() { Buttons::Answered } else { Buttons::Links };
    let (text, blocks) = slack_blocks::of(letter, answered);
    let mut body = json!({
        "channel": settings.channel, "text": text, "blocks": blocks,
        "unfurl_links": false, "unfurl_media": false,
    });
    let kind = letter.notice.first.kind;
    let edits = settings.follow_ups == FollowUps::Edit && kind != Kind::Page;
    let method = match place(letter.previous) {
        None => "chat.postMessage",
        Some((channel, ts)) if edits => {
            (body["channel"], body["ts"]) = (json!(channel), json!(ts));
            "chat.update"
        }
        Some((channel, ts)) => {
            (body["channel"], body["thread_ts"]) = (json!(channel), json!(ts));
            body["reply_broadcast"] = json!(kind != Kind::Update);
            "chat.postMessage"
        }
    };
    let mut request = HttpRequest::json(settings.api.join(method), &body);
    request.bearer = Some(settings.token.clone());
    request.leaves = letter.previous.filter(|it| place(Some(it)).is_some()).cloned();
    Ok(Request::Http(request))
}

/// Channel and time of the first message.
fn place(previous: Option<&External>) -> Option<(&str, &str)> {
    previous?.id.split_once('/')
}

#[derive(Deserialize)]
struct Said {
    ok: bool,
    #[serde(default)]
    error: String,
    #[serde(default)]
    channel: String,
    #[serde(default)]
    ts: String,
}

/// What the answer means. Its status is 200 also where it is a no.
pub(super) fn judge(request: &Request, answer: &Answer, now: Timestamp) -> Verdict {
    let (status, retry_after, body) = match answer {
        Answer::Http { status, retry_after, body } => (*status, retry_after.as_deref(), body),
        Answer::Mail { .. } => return Verdict::Refused("a mail server's answer".to_owned()),
        Answer::Nothing(broken) => return Verdict::of_broken(broken),
    };
    if status != 200 {
        return Verdict::of_status(status, retry_after, body, now);
    }
    match serde_json::from_slice::<Said>(body) {
        Ok(Said { ok: true, channel, ts, .. }) => {
            let id = format!("{channel}/{ts}");
            let new = (!ts.is_empty()).then(|| External { id, note: String::new() });
            Verdict::Delivered(request.leaves().cloned().or(new))
        }
        Ok(Said { error, .. }) => of_error(&error),
        Err(_) => {
            Verdict::Retry { after: None, why: format!("not Slack's answer: {}", why(200, body)) }
        }
    }
}

/// What one of Slack's words for a no means.
fn of_error(error: &str) -> Verdict {
    let why = format!("Slack says {}", why(200, error.as_bytes()).trim_start_matches("200 "));
    match error {
        "ratelimited"
        | "rate_limited"
        | "message_limit_exceeded"
        | "internal_error"
        | "fatal_error"
        | "service_unavailable"
        | "request_timeout"
        | "team_added_to_org" => Verdict::Retry { after: None, why },
        "message_not_found"
        | "cant_update_message"
        | "edit_window_closed"
        | "thread_not_found"
        | "cannot_reply_to_message" => Verdict::Anew(why),
        "invalid_blocks"
        | "invalid_blocks_format"
        | "msg_too_long"
        | "msg_blocks_too_long"
        | "no_text"
        | "invalid_arguments"
        | "invalid_json"
        | "json_not_object"
        | "markdown_text_conflict" => Verdict::Refused(why),
        _ => Verdict::FallBack(why),
    }
}
