//! CloudEvents 1.0, as an APM sends them: structured, binary and in batches. Pure.
//!
//! | of the event | what it says |
//! | --- | --- |
//! | `dedupkey` (extension), else `data.dedup_key`, else `id` | with `source`: which alert it is |
//! | `data.status` resolved, closed, ok, recovered, cleared or inactive, or a `type` that ends so | it is over |
//! | `severity` (extension), else `data.severity` | how bad it is |
//! | `data.summary`, `data.title` or `data.message`, else `type` and `subject` | what people are shown |
//! | `data.labels`, the texts of `data`, extensions | what it names |
//! | `time` | when; of two events of one alert the later decides |

use gpuwarden_proto::event::Subject;
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::{Phase, Sender};
use serde_json::{Map, Value};

use super::field::{Fields, document};
use super::label::entities;
use super::{Card, Fault, Heard, Labels, Outside, cut, finding, grade, too_many};

/// The longest attribute, in bytes.
const ATTRIBUTE_MAX_BYTES: usize = 1024;
/// Bytes of a summary that are kept.
const SUMMARY_MAX_BYTES: usize = 512;
/// What says that something is over.
const OVER: [&str; 7] = ["resolved", "closed", "ok", "recovered", "cleared", "inactive", "resolve"];

/// How an event is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// One event, all of it in the body.
    Structured,
    /// A list of events in the body.
    Batch,
    /// Attributes in the heads, data in the body.
    Binary,
}

impl Mode {
    /// How a request is to be read: by its content type, and by whether its heads hold an event.
    #[must_use]
    pub fn of(content_type: &str, in_heads: bool) -> Self {
        let kind = content_type.split(';').next().unwrap_or_default().trim();
        match kind.to_ascii_lowercase().as_str() {
            "application/cloudevents-batch+json" => Self::Batch,
            "application/cloudevents+json" => Self::Structured,
            _ if in_heads => Self::Binary,
            _ => Self::Structured,
        }
    }
}

/// Reads a request. `heads` are the names, without `ce-`, and values of its heads that begin so.
///
/// # Errors
///
/// It is no JSON, or not of the shape that its mode asks for. What is wrong with single events of a
/// batch is told with the others.
pub fn events(
    mode: Mode,
    heads: &[(String, String)],
    body: &[u8],
    now: Timestamp,
) -> Result<Heard, Fault> {
    let mut heard = Heard::default();
    match mode {
        Mode::Structured => heard.add(Ok(event("", &document(body)?, now)?)),
        Mode::Binary => heard.add(Ok(event("", &of_heads(heads, body), now)?)),
        Mode::Batch => {
            let document = document(body)?;
            let Value::Array(events) = &document else {
                return Err(Fault::new("body", "should be a list of events"));
            };
            if let Some(fault) = too_many("body", events.len()) {
                return Err(fault);
            }
            for (at, each) in events.iter().enumerate() {
                heard.add(event(&format!("[{at}]"), each, now));
            }
        }
    }
    Ok(heard)
}

/// The structured form of an event in heads. Data that is no JSON is left out.
pub(super) fn of_heads(heads: &[(String, String)], body: &[u8]) -> Value {
    let attribute = |(name, value): &(String, String)| {
        (name.to_ascii_lowercase(), Value::String(decoded(value)))
    };
    let mut event: Map<String, Value> = heads.iter().map(attribute).collect();
    if let Ok(data) = serde_json::from_slice(body) {
        event.insert("data".to_owned(), data);
    }
    Value::Object(event)
}

fn event(path: &str, value: &Value, now: Timestamp) -> Result<Option<Outside>, Fault> {
    let fields = Fields::of(path, value)?;
    let version = fields.need("specversion", 16)?;
    if version != "1.0" {
        return Err(fields.fault("specversion", "should be 1.0"));
    }
    let id = fields.need("id", ATTRIBUTE_MAX_BYTES)?;
    let source = fields.need("source", ATTRIBUTE_MAX_BYTES)?;
    let kind = fields.need("type", ATTRIBUTE_MAX_BYTES)?;
    let about = fields.text("subject", ATTRIBUTE_MAX_BYTES)?;
    let since = fields.instant("time")?;
    // Data may be of any shape.
    let data = fields.inner("data").ok().flatten();
    let own = |key: &str| data.as_ref().and_then(|data| data.text(key, 65_536).ok().flatten());
    let severity = fields.text("severity", 64)?.or_else(|| own("severity"));
    let Some(grade) = grade::of(severity) else { return Ok(None) };
    let dedup = fields.text("dedupkey", ATTRIBUTE_MAX_BYTES)?.or_else(|| own("dedup_key"));
    let key = cut(&format!("{source}#{}", dedup.unwrap_or(id)), 2 * ATTRIBUTE_MAX_BYTES);
    let ending = kind.rsplit('.').next().unwrap_or_default();
    let status = own("status").unwrap_or(ending).to_ascii_lowercase();
    let phase = if OVER.contains(&status.as_str()) { Phase::Cleared } else { Phase::Raised };
    let labels = labels(&fields, data.as_ref());
    let told = ["summary", "title", "message"].iter().find_map(|key| own(key));
    let by_type = || about.map_or(kind.to_owned(), |about| format!("{kind}: {about}"));
    let summary = cut(&told.map_or_else(by_type, str::to_owned), SUMMARY_MAX_BYTES);
    let name = cut(own("title").unwrap_or(kind), SUMMARY_MAX_BYTES);
    let subject = Subject::Alert { sender: Sender::CloudEvents, key, name };
    let at = since.unwrap_or(now).min(now);
    let mut finding = finding(subject, phase, grade, summary);
    finding.raised_at = at;
    finding.about = entities(&labels);
    let card = Card { labels, ..Card::default() };
    Ok(Some(Outside { observed_at: at, finding, until: None, told_until: None, since, card }))
}

/// Names and values: extensions, then the texts of the data, then its labels; the last one wins.
fn labels(fields: &Fields<'_>, data: Option<&Fields<'_>>) -> Labels {
    let texts = |fields: &Fields<'_>| -> Labels {
        let short = |(name, value): (&String, &Value)| match value {
            Value::String(text) if text.len() <= ATTRIBUTE_MAX_BYTES => {
                Some((cut(name, 64), cut(text, ATTRIBUTE_MAX_BYTES)))
            }
            _ => None,
        };
        fields.all().filter_map(short).take(64).collect()
    };
    let mut labels = texts(fields);
    if let Some(data) = data {
        labels.extend(texts(data));
        labels.extend(data.labels("labels").unwrap_or_default());
    }
    labels
}

/// A head's value: what is not ASCII is written with per cent signs.
fn decoded(value: &str) -> String {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let code = after.get(..2).filter(|_| *first == b'%');
        let code = code.and_then(|digits| std::str::from_utf8(digits).ok());
        match code.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
