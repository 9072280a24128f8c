//! Changes as CloudEvents 1.0, with what CDEvents tells of services. Pure.
//!
//! | of the event | what it says |
//! | --- | --- |
//! | `data.key`, else `source` and `id` | which change it is |
//! | `type` `dev.cdevents.service.deployed`, `upgraded`, `rolledback`, `removed` | a rollout of the service that `data.subject.id` names, to `data.subject.content.artifactId` |
//! | `data.kind`, else the words of `type` | how |
//! | `data.summary`, `data.title` or `data.message`, else `type` and `subject` | what people are shown |
//! | `service`, `model`, `node`, … in `data` or as extensions | what it is about |
//! | `data.started_at`, else `time`; `data.finished_at` | when |

use gpuwarden_proto::change::{ChangeKind, ChangeOrigin, Told};
use gpuwarden_proto::entity::{Entity, EntityKind};
use gpuwarden_proto::time::Timestamp;
use serde_json::Value;

use super::{ReadChanges, TEXT_MAX_BYTES, about, guessed};
use crate::outside::Fault;
use crate::outside::cloudevents::{Mode, of_heads};
use crate::outside::field::{Fields, document};

/// The longest attribute, in bytes.
const ATTRIBUTE_MAX_BYTES: usize = 1024;
const CDEVENTS: &str = "dev.cdevents.service.";

/// Reads a request. `heads` are the names, without `ce-`, and values of its heads that begin so.
///
/// # Errors
///
/// It is no JSON, not of the shape that its mode asks for, or too much. What is wrong with single
/// events of a batch is told with the others.
pub fn changes(mode: Mode, heads: &[(String, String)], body: &[u8]) -> Result<ReadChanges, Fault> {
    let one = |told| ReadChanges { changes: vec![told], faults: Vec::new() };
    match mode {
        Mode::Structured => Ok(one(change("", &document(body)?)?)),
        Mode::Binary => Ok(one(change("", &of_heads(heads, body))?)),
        Mode::Batch => match document(body)? {
            Value::Array(list) => ReadChanges::each(&list, change),
            _ => Err(Fault::new("body", "should be a list of events")),
        },
    }
}

fn change(path: &str, value: &Value) -> Result<Told, Fault> {
    let fields = Fields::of(path, value)?;
    if fields.need("specversion", 16)? != "1.0" {
        return Err(fields.fault("specversion", "should be 1.0"));
    }
    let id = fields.need("id", ATTRIBUTE_MAX_BYTES)?;
    let source = fields.need("source", ATTRIBUTE_MAX_BYTES)?;
    let kind = fields.need("type", ATTRIBUTE_MAX_BYTES)?;
    let subject = fields.text("subject", ATTRIBUTE_MAX_BYTES)?;
    let time = fields.instant("time")?;
    // Data may be of any shape.
    let data = fields.inner("data").ok().flatten();
    let own =
        |key: &str| data.as_ref().and_then(|data| data.text(key, TEXT_MAX_BYTES).ok().flatten());
    let said = ["summary", "title", "message"].iter().find_map(|key| own(key));
    let by_type = || subject.map_or(kind.to_owned(), |subject| format!("{kind}: {subject}"));
    let summary = said.map_or_else(by_type, str::to_owned);
    let word = own("kind").and_then(|word| word.parse::<ChangeKind>().ok());
    let told = Told::new(word.unwrap_or_else(|| guessed(kind)), ChangeOrigin::Webhook, &summary);
    let instant = |key: &str| data.as_ref().and_then(|data| data.instant(key).ok().flatten());
    let mut named = about(&fields)?;
    if let Some(data) = &data {
        named.extend(about(data)?);
    }
    let told = Told {
        key: Some(own("key").map_or_else(|| format!("{source}#{id}"), str::to_owned)),
        about: named,
        by: own("by").or_else(|| own("actor")).unwrap_or(source).to_owned(),
        link: own("link").or_else(|| own("url")).unwrap_or_default().to_owned(),
        started_at: instant("started_at").or(time),
        finished_at: instant("finished_at"),
        before: own("before").unwrap_or_default().to_owned(),
        after: own("after").unwrap_or_default().to_owned(),
        ..told
    };
    Ok(match kind.strip_prefix(CDEVENTS) {
        Some(verb) => of_service(told, verb, said.is_some(), data.as_ref(), time),
        None => told,
    })
}

/// What CDEvents tells of a service: it is told when it is done.
fn of_service(
    told: Told,
    verb: &str,
    has_summary: bool,
    data: Option<&Fields<'_>>,
    time: Option<Timestamp>,
) -> Told {
    let verb = verb.split('.').next().unwrap_or_default();
    let subject = data.and_then(|data| data.inner("subject").ok().flatten());
    let content = subject.as_ref().and_then(|subject| subject.inner("content").ok().flatten());
    let text = |fields: Option<&Fields<'_>>, key: &str| {
        let found = fields.and_then(|fields| fields.text(key, ATTRIBUTE_MAX_BYTES).ok().flatten());
        found.map(str::to_owned)
    };
    let id = text(subject.as_ref(), "id").unwrap_or_default();
    let service = id.rsplit('/').next().unwrap_or_default();
    let mut about = told.about;
    if about.is_empty() && !service.is_empty() {
        about.push(Entity::fleet(EntityKind::Service, service));
    }
    let artifact = text(content.as_ref(), "artifactId").unwrap_or_default();
    let summary = if has_summary {
        told.summary
    } else if artifact.is_empty() {
        format!("service {service} {verb}")
    } else {
        format!("service {service} {verb}: {artifact}")
    };
    let after = if told.after.is_empty() { artifact } else { told.after };
    let finished_at = told.finished_at.or(time).filter(|_| verb != "published");
    Told { kind: ChangeKind::Rollout, about, summary, after, finished_at, ..told }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn told(body: &str) -> Told {
        changes(Mode::Structured, &[], body.as_bytes()).unwrap().changes.remove(0)
    }

    #[test]
    fn a_service_that_was_upgraded_is_a_rollout_that_is_done() {
        let told = told(
            r#"{"specversion":"1.0","id":"271069a8","source":"/ci/argo",
            "type":"dev.cdevents.service.upgraded.0.2.0","time":"2026-11-23T14:00:00Z",
            "data":{"context":{"version":"0.4.1"},"subject":{"id":"prod/search","type":"service",
            "content":{"environment":{"id":"prod"},"artifactId":"pkg:oci/search@sha256:9"}}}}"#,
        );
        insta::assert_debug_snapshot!(told, @r#"
        Told {
            key: Some(
                "/ci/argo#271069a8",
            ),
            kind: Rollout,
            about: [
                Entity {
                    kind: Service,
                    name: "search",
                    node: None,
                },
            ],
            summary: "service search upgraded: pkg:oci/search@sha256:9",
            by: "/ci/argo",
            origin: Webhook,
            link: "",
            started_at: Some(
                2026-11-23T14:00:00.000Z,
            ),
            finished_at: Some(
                2026-11-23T14:00:00.000Z,
            ),
            before: "",
            after: "pkg:oci/search@sha256:9",
        }
        "#);
    }

    #[test]
    fn any_event_may_say_what_it_is_about_in_its_data_or_its_extensions() {
        let heads = [
            ("specversion", "1.0"),
            ("id", "7"),
            ("source", "ci"),
            ("type", "org.ci.deploy"),
            ("service", "search"),
        ];
        let heads = heads.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let body = br#"{"summary":"bert 7","model":"bert:7","key":"ci-7","url":"https://ci/7"}"#;
        let read = changes(Mode::Binary, &heads, body).unwrap();
        let told = &read.changes[0];
        assert_eq!((told.kind, told.key.as_deref()), (ChangeKind::Rollout, Some("ci-7")));
        assert_eq!((told.link.as_str(), told.by.as_str()), ("https://ci/7", "ci"));
        let about: Vec<String> = told.about.iter().map(ToString::to_string).collect();
        assert_eq!(about, ["service search", "version bert:7"]);
    }

    #[test]
    fn of_a_batch_each_is_read_by_itself() {
        let body = br#"[{"specversion":"1.0","id":"1","source":"s","type":"config.changed"},
            {"specversion":"0.3","id":"1","source":"s","type":"t"},{}]"#;
        let read = changes(Mode::Batch, &[], body).unwrap();
        assert_eq!(read.changes[0].kind, ChangeKind::ConfigChanged);
        assert_eq!(read.changes[0].key.as_deref(), Some("s#1"));
        let told: Vec<String> = read.faults.iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            ["[1].specversion: should be 1.0", "[2].specversion: is missing or blank"]
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(
            body in prop::collection::vec(any::<u8>(), 0..300),
            head in ".{0,40}",
        ) {
            for mode in [Mode::Structured, Mode::Batch, Mode::Binary] {
                let _ = changes(mode, &[("type".to_owned(), head.clone())], &body);
            }
        }

        #[test]
        fn any_service_is_read_or_refused(id in ".{0,60}", verb in "[a-z.]{0,20}", n in any::<i64>()) {
            let body = serde_json::json!({
                "specversion": "1.0", "id": "1", "source": "s", "type": format!("{CDEVENTS}{verb}"),
                "data": { "subject": { "id": id, "content": { "artifactId": n } } },
            });
            let _ = changes(Mode::Structured, &[], body.to_string().as_bytes());
        }
    }
}
