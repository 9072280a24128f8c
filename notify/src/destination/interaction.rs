//! What somebody pressed in Slack. Pure.
//!
//! Slack posts it to us and wants an answer of 200 within three seconds; what is to be said then goes
//! to `response_url`. Nothing of it is believed before its signature is.

use std::str::FromStr;

use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::IncidentId;
use serde::Deserialize;
use thiserror::Error;

use super::signature::{Unbelievable, check_slack};
use crate::secret::Secret;

/// The largest that is read, in bytes.
pub const BODY_MAX_BYTES: usize = 256 * 1024;

/// What was pressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Press {
    /// I take it.
    Acknowledge,
    /// Somebody else should look.
    Escalate,
    /// It is over.
    Resolve,
}

/// One press.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interaction {
    /// What.
    pub press: Press,
    /// Of which incident.
    pub incident: IncidentId,
    /// By whom: Slack's id of the person.
    pub user: String,
    /// The name that goes with it, where Slack tells one. A person can choose it.
    pub name: String,
    /// Where to say what came of it; empty where Slack names none. It must lead to Slack.
    pub response_url: String,
}

/// Why a request is not a press.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Unread {
    /// It is not Slack's.
    #[error(transparent)]
    Unbelievable(#[from] Unbelievable),
    /// It is Slack's, and no press of a button of ours.
    #[error("{0}")]
    Other(&'static str),
}

/// A request to us as it came.
#[derive(Debug, Clone, Copy)]
pub struct Posted<'a> {
    /// `X-Slack-Request-Timestamp`.
    pub timestamp: &'a str,
    /// `X-Slack-Signature`.
    pub signature: &'a str,
    /// The body, to the byte.
    pub body: &'a [u8],
}

/// Reads a press.
///
/// # Errors
///
/// It is not to be believed, or nothing of ours was pressed.
pub fn read(secret: &Secret, posted: Posted<'_>, now: Timestamp) -> Result<Interaction, Unread> {
    if posted.body.len() > BODY_MAX_BYTES {
        return Err(Unread::Other("it is too large"));
    }
    check_slack(secret, posted.timestamp, posted.signature, posted.body, now)?;
    let payload = form_urlencoded::parse(posted.body)
        .find(|(name, _)| name == "payload")
        .ok_or(Unread::Other("it has no payload"))?;
    let payload: Payload =
        serde_json::from_str(&payload.1).map_err(|_| Unread::Other("its payload is no press"))?;
    if payload.kind != "block_actions" {
        return Err(Unread::Other("nothing was pressed"));
    }
    let pressed = payload.actions.iter().find_map(|action| {
        let press = Press::from_str(&action.action_id).ok()?;
        Some((press, IncidentId(action.value.as_deref()?.parse().ok()?)))
    });
    let (press, incident) = pressed.ok_or(Unread::Other("no button of ours was pressed"))?;
    let User { id: user, username, name } = payload.user;
    let name = if name.is_empty() { username } else { name };
    let response_url = payload.response_url.filter(|url| leads_to_slack(url)).unwrap_or_default();
    Ok(Interaction { press, incident, user, name, response_url })
}

/// A signed request is Slack's own; this is for the day when the secret is not one any more.
fn leads_to_slack(url: &str) -> bool {
    url.starts_with("https://hooks.slack.com/")
}

impl FromStr for Press {
    type Err = ();

    fn from_str(action: &str) -> Result<Self, ()> {
        match action {
            "gpuwarden-acknowledge" => Ok(Self::Acknowledge),
            "gpuwarden-escalate" => Ok(Self::Escalate),
            "gpuwarden-resolve" => Ok(Self::Resolve),
            _ => Err(()),
        }
    }
}

#[derive(Deserialize)]
struct Payload {
    #[serde(rename = "type")]
    kind: String,
    user: User,
    #[serde(default)]
    actions: Vec<Action>,
    response_url: Option<String>,
}

#[derive(Deserialize)]
struct User {
    id: String,
    #[serde(default)]
    username: String,
    #[serde(default)]
    name: String,
}

#[derive(Deserialize)]
struct Action {
    action_id: String,
    value: Option<String>,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::signature::as_slack;
    use super::*;

    const AT: u64 = 1_531_420_618;

    fn check(payload: &str) -> Result<Interaction, Unread> {
        let body: String = form_urlencoded::Serializer::new(String::new())
            .append_pair("payload", payload)
            .finish();
        signed(body.as_bytes())
    }

    fn signed(body: &[u8]) -> Result<Interaction, Unread> {
        let secret = Secret::of_file("s").unwrap();
        let timestamp = AT.to_string();
        let signature = as_slack(&secret, &timestamp, body);
        let posted = Posted { timestamp: &timestamp, signature: &signature, body };
        read(&secret, posted, Timestamp::from_unix_s(AT))
    }

    #[test]
    fn a_press_names_who_pressed_what_of_which_incident() {
        let payload = r#"{"type":"block_actions","user":{"id":"U1","username":"maria"},
            "container":{"message_ts":"1.2","channel_id":"C1"},"token":"old",
            "response_url":"https://hooks.slack.com/actions/T1/2/x",
            "actions":[{"action_id":"gpuwarden-acknowledge","value":"2","block_id":"b"}]}"#;
        let read = check(payload).unwrap();
        assert_eq!((read.press, read.incident), (Press::Acknowledge, IncidentId(2)));
        assert_eq!((read.user.as_str(), read.name.as_str()), ("U1", "maria"));
        assert_eq!(read.response_url, "https://hooks.slack.com/actions/T1/2/x");
    }

    #[test]
    fn an_answer_is_not_sent_to_somewhere_else() {
        let payload = r#"{"type":"block_actions","user":{"id":"U1"},"response_url":"http://10.0.0.1/",
            "actions":[{"action_id":"gpuwarden-resolve","value":"2"}]}"#;
        assert_eq!(check(payload).unwrap().response_url, "");
    }

    #[test]
    fn what_is_no_press_of_ours_is_told_apart() {
        let of = |payload| check(payload).unwrap_err();
        assert_eq!(of("[]"), Unread::Other("its payload is no press"));
        assert_eq!(
            of(r#"{"type":"view_closed","user":{"id":"U"}}"#),
            Unread::Other("nothing was pressed")
        );
        let other = r#"{"type":"block_actions","user":{"id":"U"},"actions":[{"action_id":"x"}]}"#;
        assert_eq!(of(other), Unread::Other("no button of ours was pressed"));
        assert_eq!(signed(b"a=b").unwrap_err(), Unread::Other("it has no payload"));
    }

    #[test]
    fn an_unsigned_press_is_not_even_read() {
        let secret = Secret::of_file("s").unwrap();
        let posted = Posted { timestamp: "1531420618", signature: "v0=00", body: b"payload={}" };
        let read = read(&secret, posted, Timestamp::from_unix_s(AT));
        assert_eq!(read, Err(Unread::Unbelievable(Unbelievable::Forged)));
    }

    proptest! {
        #[test]
        fn whatever_is_signed_is_read_or_told_apart(body: Vec<u8>, payload in ".{0,200}") {
            prop_assert!(signed(&body).is_err());
            prop_assert!(check(&payload).is_err());
        }
    }
}
