//! Fields of what is told in JSON, each with the path by which a mistake is named. Pure.

use gpuwarden_proto::time::Timestamp;
use serde_json::{Map, Value};

use super::{Fault, Labels, cut};

/// The most labels of one alert, and the most of anything else that is given by name.
const NAMED_MAX: usize = 64;
/// The longest name or value of a label, in bytes.
const LABEL_MAX_BYTES: usize = 1024;
/// Bytes kept of a description.
const NOTE_MAX_BYTES: usize = 2048;

/// An object of a JSON document.
#[derive(Debug, Clone)]
pub(super) struct Fields<'a> {
    path: String,
    map: &'a Map<String, Value>,
}

/// Reads a document.
pub(super) fn document(body: &[u8]) -> Result<Value, Fault> {
    serde_json::from_slice(body).map_err(|error| Fault::new("body", format!("no JSON: {error}")))
}

impl<'a> Fields<'a> {
    /// The object at a path; empty for the document itself.
    pub(super) fn of(path: impl Into<String>, value: &'a Value) -> Result<Self, Fault> {
        let path = path.into();
        match value {
            Value::Object(map) => Ok(Self { path, map }),
            _ => {
                let field = if path.is_empty() { "body".to_owned() } else { path };
                Err(Fault::new(field, "should be an object"))
            }
        }
    }

    /// A mistake in one of its fields.
    pub(super) fn fault(&self, key: &str, fault: impl Into<String>) -> Fault {
        let dot = if self.path.is_empty() { "" } else { "." };
        Fault::new(format!("{}{dot}{key}", self.path), fault)
    }

    /// What stands there; a null is nothing.
    pub(super) fn get(&self, key: &str) -> Option<&'a Value> {
        self.map.get(key).filter(|value| !value.is_null())
    }

    /// All of it.
    pub(super) fn all(&self) -> impl Iterator<Item = (&'a String, &'a Value)> + use<'a> {
        self.map.iter()
    }

    /// A text of at most `most` bytes; blank is nothing.
    pub(super) fn text(&self, key: &str, most: usize) -> Result<Option<&'a str>, Fault> {
        let text = match self.get(key) {
            None => return Ok(None),
            Some(Value::String(text)) => text.trim(),
            Some(_) => return Err(self.fault(key, "should be a text")),
        };
        if text.len() > most {
            let fault = format!("has {} bytes, at most {most} are taken", text.len());
            return Err(self.fault(key, fault));
        }
        Ok((!text.is_empty()).then_some(text))
    }

    /// A text that must be there.
    pub(super) fn need(&self, key: &str, most: usize) -> Result<&'a str, Fault> {
        self.text(key, most)?.ok_or_else(|| self.fault(key, "is missing or blank"))
    }

    /// An instant. The zero time of Go is none.
    pub(super) fn instant(&self, key: &str) -> Result<Option<Timestamp>, Fault> {
        match self.text(key, 64)? {
            None => Ok(None),
            Some(text) if text.starts_with("0001-01-01T") => Ok(None),
            Some(text) => {
                text.parse().map(Some).map_err(|error| self.fault(key, format!("{error}")))
            }
        }
    }

    /// An object within; none where it is missing.
    pub(super) fn inner(&self, key: &str) -> Result<Option<Self>, Fault> {
        let path = self.fault(key, "").field;
        self.get(key).map(|value| Self::of(path, value)).transpose()
    }

    /// Labels: names and short texts, which are an alert's identity, so that none is cut.
    pub(super) fn labels(&self, key: &str) -> Result<Labels, Fault> {
        let Some(inner) = self.inner(key)? else { return Ok(Labels::new()) };
        if inner.map.len() > NAMED_MAX {
            let fault = format!("has {} labels, at most {NAMED_MAX} are taken", inner.map.len());
            return Err(self.fault(key, fault));
        }
        let mut labels = Labels::new();
        for (name, value) in inner.all() {
            let Value::String(value) = value else {
                return Err(inner.fault(&cut(name, 64), "should be a text"));
            };
            if name.is_empty() || name.len() > LABEL_MAX_BYTES || value.len() > LABEL_MAX_BYTES {
                let fault = format!("name and value should have 1 to {LABEL_MAX_BYTES} bytes");
                return Err(inner.fault(&cut(name, 64), fault));
            }
            labels.insert(name.clone(), value.clone());
        }
        // A label without a value is one that is not there.
        labels.retain(|_, value| !value.is_empty());
        Ok(labels)
    }

    /// What is told beside, cut where it is long. What is neither text, number nor truth is left out.
    pub(super) fn notes(&self, key: &str) -> Result<Labels, Fault> {
        let Some(inner) = self.inner(key)? else { return Ok(Labels::new()) };
        let shown = |value: &Value| match value {
            Value::String(text) => Some(cut(text, NOTE_MAX_BYTES)),
            Value::Number(number) => Some(number.to_string()),
            Value::Bool(truth) => Some(truth.to_string()),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        };
        let notes = inner
            .all()
            .filter_map(|(name, value)| Some((cut(name, LABEL_MAX_BYTES), shown(value)?)));
        Ok(notes.take(NAMED_MAX).collect())
    }
}
