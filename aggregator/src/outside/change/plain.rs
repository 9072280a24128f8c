//! A change in our own form. Pure.
//!
//! ```json
//! { "kind": "rollout", "summary": "search 7", "service": "search", "model": ["bert:7"],
//!   "node": [], "rack": [], "zone": [], "driver": [], "by": "ann", "link": "https://ci/7",
//!   "key": "ci-7", "started_at": "2026-11-23T14:00:00Z", "finished_at": null,
//!   "before": "6", "after": "7" }
//! ```
//!
//! Only `summary` must be there. Without a `kind` it is `other`; with nothing named it is the whole
//! fleet; without a `key` the same words are the same change.

use gpuwarden_proto::change::{ChangeKind, ChangeOrigin, Told};
use serde_json::Value;

use super::{ReadChanges, TEXT_MAX_BYTES, about};
use crate::outside::Fault;
use crate::outside::field::{Fields, document};

/// What may be told.
const FIELDS: [&str; 16] = [
    "kind",
    "summary",
    "service",
    "model",
    "node",
    "rack",
    "zone",
    "driver",
    "by",
    "link",
    "key",
    "started_at",
    "finished_at",
    "before",
    "after",
    "about",
];

/// Reads one change or a list of them.
///
/// # Errors
///
/// It is no JSON, neither of the two, or too much. What is wrong with single ones of a list is told
/// with the others.
pub fn changes(body: &[u8]) -> Result<ReadChanges, Fault> {
    let document = document(body)?;
    match &document {
        Value::Array(list) => ReadChanges::each(list, change),
        one => Ok(ReadChanges { changes: vec![change("", one)?], faults: Vec::new() }),
    }
}

fn change(path: &str, value: &Value) -> Result<Told, Fault> {
    let fields = Fields::of(path, value)?;
    if let Some((unknown, _)) = fields.all().find(|(name, _)| !FIELDS.contains(&name.as_str())) {
        let told = format!("is not a field of a change (they are: {})", FIELDS[..15].join(", "));
        return Err(fields.fault(&super::super::cut(unknown, 64), told));
    }
    if fields.get("about").is_some() {
        return Err(
            fields.fault("about", "name it with service, model, node, rack, zone or driver")
        );
    }
    let text = |key| Ok(fields.text(key, TEXT_MAX_BYTES)?.unwrap_or_default().to_owned());
    let kind = match fields.text("kind", 64)? {
        Some(word) => word.parse().map_err(|error| fields.fault("kind", format!("{error}")))?,
        None => ChangeKind::Other,
    };
    Ok(Told {
        key: fields.text("key", TEXT_MAX_BYTES)?.map(str::to_owned),
        about: about(&fields)?,
        by: text("by")?,
        link: text("link")?,
        started_at: fields.instant("started_at")?,
        finished_at: fields.instant("finished_at")?,
        before: text("before")?,
        after: text("after")?,
        ..Told::new(kind, ChangeOrigin::Webhook, fields.need("summary", TEXT_MAX_BYTES)?)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn refused(body: &str) -> String {
        match changes(body.as_bytes()) {
            Err(fault) => fault.to_string(),
            Ok(read) => read.faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
        }
    }

    #[test]
    fn a_change_is_read_with_all_that_it_names() {
        let body = br#"{"kind":"model-deployed","summary":"bert 7","service":"search",
            "model":["bert:7","resnet"],"node":"node-a","by":"ann","link":"https://ci/7",
            "key":"ci-7","started_at":"2026-11-23T14:00:00Z","before":"6","after":"7"}"#;
        let read = changes(body).unwrap();
        let told = &read.changes[0];
        let about: Vec<String> = told.about.iter().map(ToString::to_string).collect();
        assert_eq!(about, ["service search", "version bert:7", "model resnet", "node node-a"]);
        assert_eq!((told.kind.as_str(), told.by.as_str()), ("model-deployed", "ann"));
        assert_eq!(told.started_at.unwrap().to_string(), "2026-11-23T14:00:00.000Z");
    }

    #[test]
    fn of_a_list_each_is_read_by_itself() {
        let read = changes(br#"[{"summary":"a"},{"kind":"rollout"},7]"#).unwrap();
        assert_eq!(read.changes.len(), 1);
        let told: Vec<String> = read.faults.iter().map(ToString::to_string).collect();
        assert_eq!(told, ["[1].summary: is missing or blank", "[2]: should be an object"]);
    }

    #[test]
    fn a_mistake_is_told_with_its_field_and_what_would_do() {
        let many = format!("[{}7]", "7,".repeat(super::super::CHANGES_MAX));
        insta::assert_snapshot!([
            refused("no"),
            refused(r#"{"summary":"a","kind":"magic"}"#),
            refused(r#"{"summary":"a","colour":"red"}"#),
            refused(r#"{"summary":"a","about":[]}"#),
            refused(r#"{"summary":"a","model":[7]}"#),
            refused(r#"{"summary":"a","node":"a\u0007"}"#),
            refused(r#"{"summary":"a","started_at":"noon"}"#),
            refused(&many),
        ].join("\n"), @r"
        body: no JSON: expected ident at line 1 column 2
        kind: `magic` is not a change (one of: model-loaded, model-unloaded, model-deployed, server-restarted, driver-changed, agent-started, agent-stopped, config-changed, rollout, infrastructure, other)
        colour: is not a field of a change (they are: kind, summary, service, model, node, rack, zone, driver, by, link, key, started_at, finished_at, before, after)
        about: name it with service, model, node, rack, zone or driver
        model: should be a list of texts
        node: NodeId has control characters
        started_at: `noon` is not an instant from 1970 to 2554 in RFC 3339, like 2026-11-23T08:50:22.851Z
        body: 201 at one time, at most 200: send them in parts
        ");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(body in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = changes(&body);
        }

        #[test]
        fn any_values_are_read_or_refused(key in "[a-z_]{1,12}", text in ".{0,60}", n in any::<i64>()) {
            let body = serde_json::json!({ "summary": text, key: n, "model": [text] }).to_string();
            let _ = changes(body.as_bytes());
        }
    }
}
