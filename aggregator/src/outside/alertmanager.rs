//! Alertmanager's webhook (version 4, and Grafana's superset of it), and its API v2 as Prometheus uses
//! it: to Prometheus we are one more Alertmanager. Pure.
//!
//! An alert is its labels: the fingerprint of them is its key, by either way. By the API an alert
//! counts until its `endsAt`, or for five minutes where none is given, and is told again as long as it
//! holds; by the webhook it stays until it is told to be resolved.

pub mod matcher;

use gpuwarden_proto::event::{Evidence, Subject, Unit};
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::{Phase, Sender};
use serde_json::Value;

use super::field::{Fields, document};
use super::fingerprint::of_labels;
use super::label::entities;
use super::{
    Card, Fault, Heard, Labels, Outside, RESOLVE_TIMEOUT, cut, finding, grade, renewal, too_many,
};

/// The longest fingerprint, in bytes; Alertmanager's have 16.
const FINGERPRINT_MAX_BYTES: usize = 128;
/// The longest URL, in bytes.
const LINK_MAX_BYTES: usize = 2048;
/// Bytes of a name or a summary.
const SUMMARY_MAX_BYTES: usize = 512;
/// Values that are taken of one alert.
const VALUES_MAX: usize = 16;

/// Reads what the webhook sends.
///
/// # Errors
///
/// It is no JSON, or has no list of alerts. What is wrong with single alerts is told with the others.
pub fn webhook(body: &[u8], now: Timestamp) -> Result<Heard, Fault> {
    let document = document(body)?;
    let whole = Fields::of("", &document)?;
    let alerts = match whole.get("alerts") {
        Some(Value::Array(alerts)) => alerts,
        Some(_) => return Err(whole.fault("alerts", "should be a list")),
        None => return Err(whole.fault("alerts", "is missing: this is no webhook of version 4")),
    };
    if let Some(fault) = too_many("alerts", alerts.len()) {
        return Err(fault);
    }
    let common = whole.text("status", 32)?;
    let truncated = whole.get("truncatedAlerts").and_then(Value::as_u64).unwrap_or(0);
    let mut heard = Heard { truncated, ..Heard::default() };
    for (at, alert) in alerts.iter().enumerate() {
        heard.add(of_webhook(&format!("alerts[{at}]"), alert, common, now));
    }
    Ok(heard)
}

/// Reads what is posted to `/api/v2/alerts`.
///
/// # Errors
///
/// It is no JSON, or no list. What is wrong with single alerts is told with the others.
pub fn api(body: &[u8], now: Timestamp) -> Result<Heard, Fault> {
    let document = document(body)?;
    let Value::Array(alerts) = &document else {
        return Err(Fault::new("body", "should be a list of alerts"));
    };
    if let Some(fault) = too_many("body", alerts.len()) {
        return Err(fault);
    }
    let mut heard = Heard::default();
    for (at, alert) in alerts.iter().enumerate() {
        heard.add(of_api(&format!("[{at}]"), alert, now));
    }
    Ok(heard)
}

fn of_webhook(
    path: &str,
    alert: &Value,
    common: Option<&str>,
    now: Timestamp,
) -> Result<Option<Outside>, Fault> {
    let fields = Fields::of(path, alert)?;
    let status = fields.text("status", 32)?.or(common);
    let (ended, key) =
        (fields.instant("endsAt")?, fields.text("fingerprint", FINGERPRINT_MAX_BYTES)?);
    let (phase, at) = match status {
        Some("firing") => (Phase::Raised, now),
        Some("resolved") => (Phase::Cleared, ended.unwrap_or(now).min(now)),
        _ => return Err(fields.fault("status", "should be firing or resolved")),
    };
    let read = Reading { phase, at, until: None, told_until: None, key };
    read.outside(&fields, now)
}

fn of_api(path: &str, alert: &Value, now: Timestamp) -> Result<Option<Outside>, Fault> {
    let fields = Fields::of(path, alert)?;
    let (began, ended) = (fields.instant("startsAt")?, fields.instant("endsAt")?);
    if let (Some(began), Some(ended)) = (began, ended)
        && ended < began
    {
        return Err(fields.fault("endsAt", format!("is before startsAt, {began}")));
    }
    let (phase, at, until) = match ended {
        Some(ended) if ended <= now => (Phase::Cleared, ended, None),
        Some(until) => (Phase::Raised, now, Some(until)),
        None => (Phase::Raised, now, Some(now.after(RESOLVE_TIMEOUT))),
    };
    let read = Reading { phase, at, until, told_until: ended, key: None };
    read.outside(&fields, now)
}

/// What the two ways tell differently.
struct Reading<'a> {
    phase: Phase,
    at: Timestamp,
    until: Option<Timestamp>,
    told_until: Option<Timestamp>,
    key: Option<&'a str>,
}

impl Reading<'_> {
    fn outside(self, fields: &Fields<'_>, now: Timestamp) -> Result<Option<Outside>, Fault> {
        let Self { phase, at, until, told_until, key } = self;
        let labels = fields.labels("labels")?;
        if labels.is_empty() {
            return Err(fields.fault("labels", "should hold one label at least"));
        }
        let annotations = fields.notes("annotations")?;
        let since = fields.instant("startsAt")?;
        let link = fields.text("generatorURL", LINK_MAX_BYTES)?.unwrap_or_default().to_owned();
        let word = ["severity", "priority", "level"].iter().find_map(|name| labels.get(*name));
        let Some(grade) = grade::of(word.map(String::as_str)) else { return Ok(None) };
        let key = key.map_or_else(|| of_labels(&labels), |key| cut(key, FINGERPRINT_MAX_BYTES));
        let name = labels.get("alertname").map_or("", String::as_str);
        let name = cut(name, SUMMARY_MAX_BYTES);
        let summary = summary(&name, &labels, &annotations);
        let subject = Subject::Alert { sender: Sender::Alertmanager, key, name };
        let mut finding = finding(subject, phase, grade, summary);
        finding.raised_at = since.unwrap_or(at).min(at);
        finding.about = entities(&labels);
        finding.evidence = until.map(|until| renewal(until, now)).into_iter().collect();
        finding.evidence.extend(values(fields)?);
        let card = Card { labels, annotations, link };
        Ok(Some(Outside { observed_at: at, finding, until, told_until, since, card }))
    }
}

/// What people are shown: what the rule says of itself, or else its name and labels.
fn summary(name: &str, labels: &Labels, annotations: &Labels) -> String {
    let told = ["summary", "description", "message"].iter().find_map(|key| annotations.get(*key));
    if let Some(told) = told.filter(|text| !text.trim().is_empty()) {
        return cut(told, SUMMARY_MAX_BYTES);
    }
    let labels = labels.iter().filter(|(name, _)| *name != "alertname");
    let labels: Vec<String> = labels.map(|(name, value)| format!("{name}={value}")).collect();
    cut(format!("{name} {}", labels.join(" ")).trim(), SUMMARY_MAX_BYTES)
}

/// The numbers behind an alert, which Grafana sends along.
fn values(fields: &Fields<'_>) -> Result<Vec<Evidence>, Fault> {
    let Some(values) = fields.inner("values")? else { return Ok(Vec::new()) };
    let number = |(name, value): (&String, &Value)| {
        Some(Evidence::new(cut(name, 128), value.as_f64()?, Unit::Count))
    };
    Ok(values.all().filter_map(number).take(VALUES_MAX).collect())
}
