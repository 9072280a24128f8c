//! The lines of a watch and the pages of a list. Pure.

use serde::Deserialize;
use serde_json::Value;

use super::workload::Workload;

/// What one line of a watch says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// It is new, or is now like this; and the version to go on from.
    Seen(Box<Workload>, String),
    /// It is there no more.
    Deleted(Box<Workload>, String),
    /// Nothing happened up to this version.
    Bookmark(String),
    /// The version that was asked for is too old.
    Gone,
    /// The server says that it cannot go on.
    Failed(String),
}

/// A page of a list.
#[derive(Debug, Default)]
pub struct Page {
    /// What is there; what cannot be read is left out.
    pub workloads: Vec<Workload>,
    /// The version to watch from.
    pub version: String,
    /// Where the next page begins; empty on the last.
    pub more: String,
}

#[derive(Deserialize)]
struct Line {
    #[serde(rename = "type")]
    kind: String,
    object: Value,
}

#[derive(Deserialize)]
struct List {
    #[serde(default)]
    metadata: ListMeta,
    #[serde(default)]
    items: Option<Vec<Value>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ListMeta {
    resource_version: String,
    #[serde(rename = "continue")]
    more: Option<String>,
}

/// Reads a line.
///
/// # Errors
///
/// It is none, in words.
pub fn event(line: &[u8]) -> Result<Event, String> {
    let line: Line = serde_json::from_slice(line).map_err(|error| error.to_string())?;
    match line.kind.as_str() {
        "ADDED" | "MODIFIED" => {
            Workload::read(line.object).map(|(workload, at)| Event::Seen(Box::new(workload), at))
        }
        "DELETED" => {
            Workload::read(line.object).map(|(workload, at)| Event::Deleted(Box::new(workload), at))
        }
        "BOOKMARK" => {
            let version = line.object.pointer("/metadata/resourceVersion").and_then(Value::as_str);
            version
                .map(|at| Event::Bookmark(at.to_owned()))
                .ok_or("a bookmark says nothing".to_owned())
        }
        "ERROR" => {
            let code = line.object.get("code").and_then(Value::as_u64);
            let words =
                line.object.get("message").and_then(Value::as_str).unwrap_or("no reason given");
            Ok(if code == Some(410) { Event::Gone } else { Event::Failed(words.to_owned()) })
        }
        other => Err(format!("a line of the kind `{}`", other.escape_debug())),
    }
}

/// Reads a page of a list.
///
/// # Errors
///
/// It is none, in words.
pub fn page(body: &[u8]) -> Result<Page, String> {
    let list: List = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let items = list.items.unwrap_or_default().into_iter();
    let workloads = items.filter_map(|item| Workload::read(item).ok().map(|(read, _)| read));
    Ok(Page {
        workloads: workloads.collect(),
        version: list.metadata.resource_version,
        more: list.metadata.more.unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_kind_of_line_is_read() {
        let read = |line: &str| event(line.as_bytes()).unwrap();
        let object = r#"{"metadata":{"uid":"u","name":"d","resourceVersion":"7"}}"#;
        let workload = Box::new(Workload { template: digest(), done: true, ..named() });
        let seen = read(&format!(r#"{{"type":"MODIFIED","object":{object}}}"#));
        assert_eq!(seen, Event::Seen(workload.clone(), "7".to_owned()));
        let deleted = read(&format!(r#"{{"type":"DELETED","object":{object}}}"#));
        assert_eq!(deleted, Event::Deleted(workload, "7".to_owned()));
        let bookmark = r#"{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"9"}}}"#;
        assert_eq!(read(bookmark), Event::Bookmark("9".to_owned()));
        let gone = r#"{"type":"ERROR","object":{"code":410,"message":"too old"}}"#;
        assert_eq!(read(gone), Event::Gone);
        let failed = r#"{"type":"ERROR","object":{"code":500,"message":"etcd"}}"#;
        assert_eq!(read(failed), Event::Failed("etcd".to_owned()));
        assert!(event(br#"{"type":"NEWS","object":{}}"#).is_err());
    }

    fn named() -> Workload {
        Workload { uid: "u".to_owned(), name: "d".to_owned(), ..Workload::default() }
    }

    fn digest() -> u64 {
        crate::outside::fingerprint::digest(["null"])
    }

    #[test]
    fn a_page_keeps_what_can_be_read_of_it() {
        let body = br#"{"metadata":{"resourceVersion":"5","continue":"abc"},
            "items":[{"metadata":{"uid":"u","name":"d"}},{"metadata":{}},7]}"#;
        let page = page(body).unwrap();
        assert_eq!(
            (page.workloads.len(), page.version.as_str(), page.more.as_str()),
            (1, "5", "abc")
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(body in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = event(&body);
            let _ = page(&body);
        }
    }
}
