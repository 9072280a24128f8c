//! PagerDuty's change events: `/v2/change/enqueue`. Pure.
//!
//! The format has no key: the same words at the same time under the same routing key are the same
//! change. What it is about is said in `custom_details`.

use gpuwarden_proto::change::{ChangeKind, ChangeOrigin, Told};
use serde_json::Value;

use super::{TEXT_MAX_BYTES, about, guessed};
use crate::outside::Fault;
use crate::outside::field::{Fields, document};
use crate::outside::fingerprint::digest;

/// A change, and under which key it was sent.
#[derive(Debug, Clone, PartialEq)]
pub struct ChangeEvent {
    /// Whose change; a secret.
    pub routing_key: String,
    /// What was done.
    pub told: Told,
}

/// Reads a change event.
///
/// # Errors
///
/// What is wrong with it.
pub fn change(body: &[u8]) -> Result<ChangeEvent, Fault> {
    let document = document(body)?;
    let whole = Fields::of("", &document)?;
    let routing_key = whole.need("routing_key", TEXT_MAX_BYTES)?.to_owned();
    let payload = whole.inner("payload")?.ok_or_else(|| whole.fault("payload", "is missing"))?;
    let summary = payload.need("summary", TEXT_MAX_BYTES)?;
    let started_at = payload.instant("timestamp")?;
    let source = payload.text("source", TEXT_MAX_BYTES)?.unwrap_or_default();
    // Details may be of any shape.
    let details = payload.inner("custom_details").ok().flatten();
    let own = |key: &str| {
        let text = |details: &Fields<'_>| {
            details.text(key, TEXT_MAX_BYTES).ok().flatten().map(str::to_owned)
        };
        details.as_ref().and_then(text)
    };
    let word = own("kind").and_then(|word| word.parse::<ChangeKind>().ok());
    let told = Told::new(word.unwrap_or_else(|| guessed(summary)), ChangeOrigin::Webhook, summary);
    let key = started_at.map(|at| {
        let at = at.to_string();
        format!("change/{:016x}", digest([&*routing_key, summary, source, &at]))
    });
    let told = Told {
        key: own("key").or(key),
        about: details.as_ref().map(about).transpose()?.unwrap_or_default(),
        by: own("by").unwrap_or_else(|| source.to_owned()),
        link: first_link(&whole),
        started_at,
        before: own("before").unwrap_or_default(),
        after: own("after").unwrap_or_default(),
        ..told
    };
    Ok(ChangeEvent { routing_key, told })
}

fn first_link(whole: &Fields<'_>) -> String {
    let Some(Value::Array(links)) = whole.get("links") else { return String::new() };
    let first = links.iter().find_map(|link| link.get("href").and_then(Value::as_str));
    first.unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_change_event_is_read() {
        let body = br#"{"routing_key":"samplekeyhere","payload":{
            "summary":"Build Success - deploy of search","timestamp":"2026-11-23T14:00:00Z",
            "source":"ci-runner","custom_details":{"service":"search","build_number":"220"}},
            "links":[{"href":"https://ci/220","text":"build"}]}"#;
        let ChangeEvent { routing_key, told } = change(body).unwrap();
        assert_eq!(routing_key, "samplekeyhere");
        insta::assert_debug_snapshot!(told, @r#"
        Told {
            key: Some(
                "change/e6f401ba00e17fe7",
            ),
            kind: Rollout,
            about: [
                Entity {
                    kind: Service,
                    name: "search",
                    node: None,
                },
            ],
            summary: "Build Success - deploy of search",
            by: "ci-runner",
            origin: Webhook,
            link: "https://ci/220",
            started_at: Some(
                2026-11-23T14:00:00.000Z,
            ),
            finished_at: None,
            before: "",
            after: "",
        }
        "#);
    }

    #[test]
    fn a_mistake_is_told_with_its_field() {
        let refused = |body: &[u8]| change(body).unwrap_err().to_string();
        assert_eq!(refused(b"{}"), "routing_key: is missing or blank");
        assert_eq!(refused(br#"{"routing_key":"k"}"#), "payload: is missing");
        let blank = br#"{"routing_key":"k","payload":{"summary":" "}}"#;
        assert_eq!(refused(blank), "payload.summary: is missing or blank");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(body in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = change(&body);
        }

        #[test]
        fn any_details_are_read_or_refused(name in "[a-z]{1,8}", text in ".{0,40}", n in any::<i64>()) {
            let body = serde_json::json!({
                "routing_key": "k", "links": [n, { "href": text }],
                "payload": { "summary": "s", "custom_details": { name: n, "model": text } },
            });
            let _ = change(body.to_string().as_bytes());
        }
    }
}
