//! Changes that other systems tell of: our own form, CloudEvents, PagerDuty's change events.

use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use gpuwarden_proto::vocab::ChangeOrigin;
use serde::Serialize;
use serde_json::json;

use super::AppState;
use super::guard::{Admitted, admit};
use super::signal::not_now;
use crate::ledger::Taken;
use crate::outside::Fault;
use crate::outside::change::{ReadChanges, enqueued, event, plain};
use crate::outside::cloudevents::Mode;

/// Mistakes that one answer names.
const FAULTS_TOLD: usize = 10;

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/api/v1/changes", post(plain_form))
        .route("/api/v1/changes/cloudevents", post(cloudevents))
        .route("/v2/change/enqueue", post(enqueue))
}

/// What became of a request, for who sent it.
#[derive(Debug, Default, Serialize)]
struct Answer {
    /// Changes that were new, or whose end was.
    recorded: usize,
    /// Changes that were known.
    known: usize,
    /// Changes that could not be recorded.
    refused: usize,
    /// The keys of those that are recorded, in order.
    keys: Vec<String>,
    /// What was wrong with those that are not.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<String>,
}

async fn plain_form(_: Admitted, State(app): State<AppState>, body: Bytes) -> Response {
    told(&app, plain::changes(&body)).await
}

async fn cloudevents(
    _: Admitted,
    State(app): State<AppState>,
    heads: HeaderMap,
    body: Bytes,
) -> Response {
    let attributes: Vec<(String, String)> = heads
        .iter()
        .filter_map(|(name, value)| {
            let name = name.as_str().strip_prefix("ce-")?.to_owned();
            Some((name, String::from_utf8_lossy(value.as_bytes()).into_owned()))
        })
        .collect();
    let kind = heads.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let mode = Mode::of(kind, attributes.iter().any(|(name, _)| name == "specversion"));
    told(&app, event::changes(mode, &attributes, &body)).await
}

/// Answers as PagerDuty does, so that its clients are content.
async fn enqueue(State(app): State<AppState>, heads: HeaderMap, body: Bytes) -> Response {
    let read = enqueued::change(&body);
    let given = read.as_ref().ok().map(|event| event.routing_key.as_str());
    if let Err(refusal) = admit(&app, &heads, given) {
        return *refusal;
    }
    let changes = read.map(|event| ReadChanges { changes: vec![event.told], faults: Vec::new() });
    let answer = match record(&app, changes).await {
        Ok(answer) => answer,
        Err(refusal) => return refusal,
    };
    if answer.refused > 0 {
        let told = json!({
            "status": "invalid event", "message": "Event object is invalid", "errors": answer.errors,
        });
        return (StatusCode::BAD_REQUEST, Json(told)).into_response();
    }
    let told = json!({ "status": "success", "message": "Change event processed" });
    (StatusCode::ACCEPTED, Json(told)).into_response()
}

async fn told(app: &AppState, read: Result<ReadChanges, Fault>) -> Response {
    match record(app, read).await {
        Ok(answer) if answer.refused > 0 => (StatusCode::BAD_REQUEST, Json(answer)).into_response(),
        Ok(answer) => Json(answer).into_response(),
        Err(refusal) => refusal,
    }
}

/// Records what was read, and answers when it is on disk.
async fn record(app: &AppState, read: Result<ReadChanges, Fault>) -> Result<Answer, Response> {
    let read =
        read.unwrap_or_else(|fault| ReadChanges { changes: Vec::new(), faults: vec![fault] });
    let mut answer = Answer::default();
    for fault in &read.faults {
        app.metrics.change_told(ChangeOrigin::Webhook, "refused");
        answer.refuse(fault.to_string());
    }
    if !read.changes.is_empty() {
        let receipts = app.desk.record(read.changes).await.map_err(|error| not_now(&error))?;
        for receipt in receipts {
            match receipt {
                Ok(taken) => answer.add(&taken),
                Err(fault) => answer.refuse(fault.to_string()),
            }
        }
    }
    Ok(answer)
}

impl Answer {
    fn add(&mut self, taken: &Taken) {
        match taken.is_news() {
            true => self.recorded += 1,
            false => self.known += 1,
        }
        self.keys.push(taken.change().key.to_string());
    }

    fn refuse(&mut self, fault: String) {
        self.refused += 1;
        if self.errors.len() < FAULTS_TOLD {
            self.errors.push(fault);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::http::tests::Served;

    async fn post(served: &Served, path: &str, heads: &str, body: &str) -> String {
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: h\r\nconnection: close\r\ncontent-length: {}\r\n{heads}\r\n",
            body.len()
        );
        let answer = served.send(format!("{head}{body}").as_bytes()).await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        format!("{} {body}", head.split(' ').nth(1).unwrap())
    }

    #[tokio::test]
    async fn a_change_is_recorded_once_however_often_it_is_delivered() {
        let served = Served::start().await;
        let body = r#"{"kind":"rollout","summary":"search 7","service":"search","key":"ci-7"}"#;
        let told = post(&served, "/api/v1/changes", "", body).await;
        assert_eq!(told, r#"200 {"recorded":1,"known":0,"refused":0,"keys":["ci-7"]}"#);
        let again = post(&served, "/api/v1/changes", "", body).await;
        assert_eq!(again, r#"200 {"recorded":0,"known":1,"refused":0,"keys":["ci-7"]}"#);
        let page = served.get("/metrics").await;
        let counted = r#"changes_total{origin="webhook",outcome="recorded"} 1"#;
        assert!(page.contains(counted), "{page}");
        served.stop().await;
    }

    #[tokio::test]
    async fn of_a_list_what_is_good_is_recorded_and_what_is_not_is_told() {
        let served = Served::start().await;
        let body = r#"[{"summary":"a","key":"a"},{"summary":""},{"summary":"c","model":"x:"}]"#;
        let told = post(&served, "/api/v1/changes", "", body).await;
        insta::assert_snapshot!(told, @r#"400 {"recorded":1,"known":0,"refused":2,"keys":["a"],"errors":["[1].summary: is missing or blank","about: `x:` is no version of a model (try bert:7)"]}"#);
        served.stop().await;
    }

    #[tokio::test]
    async fn events_of_both_formats_are_taken_as_their_senders_expect() {
        let served = Served::start().await;
        let body = r#"{"specversion":"1.0","id":"1","source":"/argo","type":"dev.cdevents.service.deployed.0.2.0",
            "data":{"subject":{"id":"search","content":{"artifactId":"pkg:oci/search@sha256:9"}}}}"#;
        let heads = "content-type: application/cloudevents+json\r\n";
        let told = post(&served, "/api/v1/changes/cloudevents", heads, body).await;
        assert_eq!(told, r#"200 {"recorded":1,"known":0,"refused":0,"keys":["/argo#1"]}"#);
        let body = r#"{"routing_key":"k","payload":{"summary":"deploy of search"}}"#;
        let told = post(&served, "/v2/change/enqueue", "", body).await;
        assert_eq!(told, r#"202 {"message":"Change event processed","status":"success"}"#);
        let told = post(&served, "/v2/change/enqueue", "", "{}").await;
        assert!(told.starts_with("400 ") && told.contains("routing_key: is missing"), "{told}");
        served.stop().await;
    }

    #[tokio::test]
    async fn a_page_of_another_site_may_not_tell_of_changes() {
        let served = Served::start().await;
        let heads = "origin: https://elsewhere\r\n";
        for path in ["/api/v1/changes", "/api/v1/changes/cloudevents", "/v2/change/enqueue"] {
            assert!(post(&served, path, heads, "{}").await.starts_with("403 "), "{path}");
        }
        served.stop().await;
    }
}
