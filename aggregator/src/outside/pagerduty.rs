//! PagerDuty's Events API v2: whatever can page PagerDuty can tell us. Pure.
//!
//! The key is the sender's `dedup_key` under its `routing_key`, so that two teams do not meet. A
//! trigger after a resolve is new trouble, unless its own timestamp says that it is older.

use gpuwarden_proto::event::Subject;
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::{Grade, Phase, Sender};
use serde_json::Value;

use super::field::{Fields, document};
use super::fingerprint::digest;
use super::label::entities;
use super::{Card, Fault, Outside, cut, finding, grade};

/// The longest `dedup_key`, in bytes, as PagerDuty has it.
const DEDUP_MAX_BYTES: usize = 255;
/// The longest other text, in bytes. A summary is cut at 1024 characters by PagerDuty.
const TEXT_MAX_BYTES: usize = 4096;
/// Bytes of a summary that are kept.
const SUMMARY_MAX_BYTES: usize = 512;
const SEVERITIES: [&str; 4] = ["critical", "error", "warning", "info"];

/// One event.
#[derive(Debug, Clone, PartialEq)]
pub struct Enqueued {
    /// The sender's key, or the one that it is given.
    pub dedup_key: String,
    /// Whose alert.
    pub routing_key: String,
    /// What is to be done.
    pub action: Action,
}

/// What an event asks for.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Trouble, or its end.
    Tell(Box<Outside>),
    /// Somebody has taken what this subject is part of.
    Acknowledge {
        /// The alert.
        subject: Subject,
        /// In whose name, as far as the event says.
        by: String,
    },
}

/// Reads an event.
///
/// # Errors
///
/// All that is wrong with it.
pub fn event(body: &[u8], now: Timestamp) -> Result<Enqueued, Vec<Fault>> {
    let one = |fault: Fault| vec![fault];
    let document = document(body).map_err(one)?;
    let whole = Fields::of("", &document).map_err(one)?;
    let mut faults = Vec::new();
    let mut note = |fault| faults.push(fault);
    let routing_key = whole.need("routing_key", TEXT_MAX_BYTES).map_err(&mut note).ok();
    let dedup_key = whole.text("dedup_key", DEDUP_MAX_BYTES).map_err(&mut note).ok().flatten();
    let verb = whole.need("event_action", 32).map_err(&mut note).ok();
    if verb.is_some_and(|verb| !["trigger", "acknowledge", "resolve"].contains(&verb)) {
        note(whole.fault("event_action", "should be trigger, acknowledge or resolve"));
    }
    if verb.is_some_and(|verb| verb != "trigger") && dedup_key.is_none() {
        note(whole.fault("dedup_key", "is missing or blank; only a trigger goes without"));
    }
    let payload = match verb {
        Some("trigger") => payload(&whole).map_err(|all| all.into_iter().for_each(&mut note)).ok(),
        _ => None,
    };
    let (Some(routing_key), Some(verb), true) = (routing_key, verb, faults.is_empty()) else {
        return Err(faults);
    };
    let generated = || generated_key(body, now);
    let dedup_key = dedup_key.map_or_else(generated, |key| cut(key, DEDUP_MAX_BYTES));
    let key = key(routing_key, &dedup_key);
    let action = match (verb, payload) {
        ("acknowledge", _) => Action::Acknowledge {
            subject: Subject::Alert { sender: Sender::Pagerduty, key, name: String::new() },
            by: client(&whole),
        },
        (_, payload) => Action::Tell(Box::new(told(key, payload, now))),
    };
    Ok(Enqueued { dedup_key, routing_key: routing_key.to_owned(), action })
}

/// What a trigger says.
struct Payload {
    summary: String,
    grade: Grade,
    since: Option<Timestamp>,
    card: Card,
}

fn payload(whole: &Fields<'_>) -> Result<Payload, Vec<Fault>> {
    let missing = || vec![whole.fault("payload", "is missing")];
    let fields = whole.inner("payload").map_err(|fault| vec![fault])?.ok_or_else(missing)?;
    let mut faults = Vec::new();
    let mut note = |fault| faults.push(fault);
    let summary = fields.need("summary", TEXT_MAX_BYTES).map_err(&mut note).ok();
    let source = fields.need("source", TEXT_MAX_BYTES).map_err(&mut note).ok();
    let severity = fields.need("severity", 32).map_err(&mut note).ok();
    if severity.is_some_and(|word| !SEVERITIES.contains(&word.to_ascii_lowercase().as_str())) {
        note(fields.fault("severity", format!("should be one of: {}", SEVERITIES.join(", "))));
    }
    let since = fields.instant("timestamp").map_err(&mut note).ok().flatten();
    // Details may be of any shape; those that are names and values are looked at.
    let mut labels = match fields.get("custom_details") {
        Some(Value::Object(_)) => fields.notes("custom_details").unwrap_or_default(),
        _ => Default::default(),
    };
    let (Some(summary), Some(source), Some(severity), true) =
        (summary, source, severity, faults.is_empty())
    else {
        return Err(faults);
    };
    labels.entry("instance".to_owned()).or_insert_with(|| source.to_owned());
    let grade = grade::of(Some(severity)).unwrap_or(Grade::Warning);
    let summary = cut(summary, SUMMARY_MAX_BYTES);
    Ok(Payload { summary, grade, since, card: Card { labels, ..Card::default() } })
}

/// A trigger with its payload, a resolve without.
fn told(key: String, payload: Option<Payload>, now: Timestamp) -> Outside {
    let phase = if payload.is_some() { Phase::Raised } else { Phase::Cleared };
    let (summary, grade, since, card) = match payload {
        Some(Payload { summary, grade, since, card }) => (summary, grade, since, card),
        None => (String::new(), Grade::Warning, None, Card::default()),
    };
    let subject = Subject::Alert { sender: Sender::Pagerduty, key, name: summary.clone() };
    let mut finding = finding(subject, phase, grade, summary);
    finding.raised_at = since.unwrap_or(now).min(now);
    finding.about = entities(&card.labels);
    Outside { observed_at: now, finding, until: None, told_until: None, since, card }
}

/// The key among all senders: a digest stands for the routing key, which is a secret.
fn key(routing_key: &str, dedup_key: &str) -> String {
    format!("{:08x}/{dedup_key}", digest([routing_key]) as u32)
}

/// A key for a trigger that has none.
fn generated_key(body: &[u8], now: Timestamp) -> String {
    let body = String::from_utf8_lossy(body);
    format!("{:016x}{:016x}", now.unix_ns(), digest([&*body]))
}

fn client(whole: &Fields<'_>) -> String {
    let client = whole.text("client", TEXT_MAX_BYTES).ok().flatten();
    cut(client.unwrap_or("pagerduty"), 100)
}
