//! Signals from elsewhere, over HTTP, up to the incident.

use std::time::Duration;

use gpuwarden_proto::pb;
use gpuwarden_proto::pb::incident_service_client::IncidentServiceClient;
use gpuwarden_proto::pb::signal_service_client::SignalServiceClient;
use gpuwarden_proto::pb::silence_service_client::SilenceServiceClient;
use gpuwarden_proto::time::Timestamp;
use serde_json::{Value, json};

use super::{BODY_MAX_BYTES, Served};
use crate::clock::{Clock, Simulated};
use crate::config::Config;
use crate::http::guard::Secret;
use crate::outside::RESOLVE_TIMEOUT;
use crate::store::{MemoryStore, StoreFault};
use crate::testing::at;

const OK: &str = "HTTP/1.1 200 OK";
const ALERTS: &str = "/api/v2/alerts";
const WEBHOOK: &str = "/api/v1/signals/alertmanager";

impl Served {
    async fn simulated(config: Config, store: MemoryStore) -> (Self, Simulated) {
        let (clock, hand) = Clock::simulated(at(1000));
        (Self::start_with(config, clock, store).await, hand)
    }

    /// Posts JSON and gives the answer as one line.
    async fn tell(&self, path: &str, body: &Value) -> String {
        let (status, answer) = self.post(path, "", &body.to_string()).await;
        format!("{} {answer}", status.trim_start_matches("HTTP/1.1 "))
    }

    async fn incident(&self, id: u64) -> pb::Incident {
        let mut people =
            IncidentServiceClient::connect(format!("http://{}", self.grpc)).await.unwrap();
        let answer = people.get_incident(pb::GetIncidentRequest { id }).await.unwrap();
        answer.into_inner().incident.unwrap()
    }

    /// The names of the alerts that are active.
    async fn active(&self, query: &str) -> Vec<String> {
        let answer = self.get(&format!("{ALERTS}{query}")).await;
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        let alerts: Vec<Value> = serde_json::from_str(body).unwrap();
        alerts.iter().map(|each| each["labels"]["alertname"].as_str().unwrap().to_owned()).collect()
    }
}

fn alert(name: &str, ends_at: Option<Timestamp>) -> Value {
    let labels = json!({ "alertname": name, "model": "bert", "severity": "critical" });
    let mut alert = json!({ "labels": labels, "startsAt": at(990) });
    if let Some(ends_at) = ends_at {
        alert["endsAt"] = json!(ends_at);
    }
    json!([alert])
}

#[tokio::test]
async fn an_alert_is_taken_once_told_again_and_over() {
    let (served, _) = Served::simulated(Config::default(), MemoryStore::default()).await;
    let taken = r#"200 OK {"taken":1,"duplicates":0,"ignored":0,"refused":0,"incidents":[1]}"#;
    let known = r#"200 OK {"taken":0,"duplicates":1,"ignored":0,"refused":0,"incidents":[1]}"#;
    assert_eq!(served.tell(ALERTS, &alert("Slow", Some(at(1240)))).await, taken);
    let before = served.incident(1).await;
    assert_eq!(before.title, "alert Slow: model=bert severity=critical");
    assert_eq!(served.tell(ALERTS, &alert("Slow", Some(at(1300)))).await, known);
    assert_eq!(served.incident(1).await, before, "what is told again changes nothing");
    assert_eq!(served.active("").await, ["Slow"]);
    assert_eq!(served.active("?filter=alertname%3D%22Other%22").await, [""; 0]);
    assert_eq!(served.tell(ALERTS, &alert("Slow", Some(at(999)))).await, taken);
    assert_eq!(served.tell(ALERTS, &alert("Slow", Some(at(1240)))).await, known, "it is old");
    let over = served.incident(1).await;
    assert!(over.members[0].cleared_unix_ns != 0, "{over:?}");
    assert_eq!(served.active("").await, [""; 0]);
    let page = served.get("/metrics").await;
    let counted = r#"signals_total{sender="alertmanager",outcome="Duplicate"} 2"#;
    assert!(page.contains(counted), "{page}");
    served.stop().await;
}

#[tokio::test]
async fn what_can_be_read_is_taken_and_what_cannot_is_named() {
    let (served, _) = Served::simulated(Config::default(), MemoryStore::default()).await;
    let body = json!({ "alerts": [
        { "status": "firing", "labels": { "alertname": "Slow" } },
        { "status": "firing", "labels": {} },
    ]});
    let answer = served.tell(WEBHOOK, &body).await;
    assert_eq!(
        answer,
        r#"400 Bad Request {"taken":1,"duplicates":0,"ignored":0,"refused":1,"error":"alerts[1].labels: should hold one label at least","incidents":[1]}"#
    );
    let (status, told) = served.post(WEBHOOK, "", "spoon").await;
    assert_eq!(status, "HTTP/1.1 400 Bad Request");
    assert!(told.contains("body: no JSON"), "{told}");
    let (status, _) = served.post(WEBHOOK, "", &" ".repeat(BODY_MAX_BYTES + 1)).await;
    assert_eq!(status, "HTTP/1.1 413 Payload Too Large");
    served.stop().await;
}

#[tokio::test]
async fn an_alert_that_is_not_renewed_is_over_and_says_why_also_after_a_restart() {
    let store = MemoryStore::default();
    let (served, _) = Served::simulated(Config::default(), store.clone()).await;
    served.tell(ALERTS, &alert("Slow", None)).await;
    served.stop().await;
    let (served, hand) = Served::simulated(Config::default(), store).await;
    assert_eq!(served.active("").await.len(), 1);
    hand.advance(RESOLVE_TIMEOUT - Duration::from_secs(1));
    served.tell(ALERTS, &alert("Other", None)).await;
    assert_eq!(served.active("").await.len(), 2);
    hand.advance(Duration::from_secs(2));
    let why = loop {
        let timeline = served.incident(1).await.timeline;
        if let Some(entry) = timeline.into_iter().find(|entry| entry.kind == "cleared") {
            break entry.text;
        }
        tokio::task::yield_now().await;
    };
    assert!(why.contains("not renewed by its sender since"), "{why}");
    assert_eq!(served.active("").await, ["Other"]);
    served.stop().await;
}

#[tokio::test]
async fn nothing_is_answered_before_it_is_on_disk() {
    let store = MemoryStore::default();
    let fault = store.fault();
    let (served, _) = Served::simulated(Config::default(), store).await;
    fault.set(Some(StoreFault::DiskFull));
    let answer = served.tell(ALERTS, &alert("Slow", None)).await;
    assert!(answer.starts_with("503 Service Unavailable"), "{answer}");
    assert!(answer.contains("not on disk yet"), "{answer}");
    fault.set(None);
    let mut answer = served.tell(ALERTS, &alert("Slow", None)).await;
    while answer.starts_with("503") {
        answer = served.tell(ALERTS, &alert("Slow", None)).await;
    }
    assert!(answer.contains(r#""duplicates":1"#), "{answer}");
    served.stop().await;
}

fn event(action: &str) -> Value {
    json!({
        "routing_key": "a-long-routing-key", "event_action": action, "dedup_key": "d",
        "payload": { "summary": "disk is full", "source": "gpu-7", "severity": "error" },
    })
}

#[tokio::test]
async fn an_event_of_pagerdutys_format_is_triggered_acknowledged_and_resolved() {
    let (served, _) = Served::simulated(Config::default(), MemoryStore::default()).await;
    let done = r#"202 Accepted {"dedup_key":"d","message":"Event processed","status":"success"}"#;
    let unknown = served.tell("/v2/enqueue", &event("acknowledge")).await;
    assert!(unknown.contains("no incident holds this alert"), "{unknown}");
    assert_eq!(served.tell("/v2/enqueue", &event("trigger")).await, done);
    assert_eq!(served.tell("/v2/enqueue", &event("acknowledge")).await, done);
    let taken = served.incident(1).await;
    assert_eq!(taken.acknowledged_by, "pagerduty");
    assert_eq!(served.tell("/v2/enqueue", &event("acknowledge")).await, done);
    assert_eq!(served.incident(1).await, taken, "once is enough");
    assert_eq!(served.tell("/v2/enqueue", &event("resolve")).await, done);
    assert!(served.incident(1).await.members[0].cleared_unix_ns != 0);
    let bad = served.tell("/v2/enqueue", &json!({ "routing_key": "k" })).await;
    assert_eq!(
        bad,
        r#"400 Bad Request {"errors":["event_action: is missing or blank"],"message":"Event object is invalid","status":"invalid event"}"#
    );
    served.stop().await;
}

#[tokio::test]
async fn a_cloudevent_in_heads_is_taken() {
    let (served, _) = Served::simulated(Config::default(), MemoryStore::default()).await;
    let heads = "ce-specversion: 1.0\r\nce-id: 1\r\nce-source: /apm\r\nce-type: problem\r\n\
        content-type: application/json\r\n";
    let path = "/api/v1/signals/cloudevents";
    let (status, answer) = served.post(path, heads, r#"{"service":"chat"}"#).await;
    assert_eq!((status.as_str(), answer.contains(r#""taken":1"#)), (OK, true), "{answer}");
    let (_, answer) = served.post(path, heads, r#"{"service":"chat"}"#).await;
    assert!(answer.contains(r#""duplicates":1"#), "{answer}");
    served.stop().await;
}

#[tokio::test]
async fn a_person_reports_by_api_by_the_form_and_by_the_command_line_and_it_is_one_report() {
    let (served, _) = Served::simulated(Config::default(), MemoryStore::default()).await;
    let report = json!({ "summary": "chat is <slow>", "service": "chat", "reporter": "ann" });
    let answer = served.tell("/api/v1/reports", &report).await;
    assert_eq!(answer, r#"200 OK {"duplicate":false,"incident":1,"key":"2bf6d3eebdcd067d"}"#);
    let form = "summary=chat+is+%3Cslow%3E&service=chat&reporter=ann&severity=error";
    let heads = "content-type: application/x-www-form-urlencoded\r\n";
    let (status, page) = served.post("/report", heads, form).await;
    assert_eq!(status, OK);
    assert!(page.contains("part of incident #1"), "{page}");
    let mut people = SignalServiceClient::connect(format!("http://{}", served.grpc)).await.unwrap();
    let text = |text: &str| text.to_owned();
    let (summary, service, reporter) = (text("chat is <slow>"), text("chat"), text("ann"));
    let told = pb::ReportRequest { summary, service, reporter, ..Default::default() };
    let filed = people.report(told).await.unwrap().into_inner();
    assert_eq!((filed.incident, filed.duplicate), (1, true));
    assert_eq!(served.incident(1).await.members.len(), 1);
    let error = people.report(pb::ReportRequest::default()).await.unwrap_err();
    assert_eq!(error.message(), "summary: is missing or blank");
    served.stop().await;
}

#[tokio::test]
async fn a_report_of_what_a_person_has_closed_opens_it_anew() {
    use pb::ResolveIncidentRequest;
    let (served, hand) = Served::simulated(Config::default(), MemoryStore::default()).await;
    let report = json!({ "summary": "slow", "service": "chat", "reporter": "ann" });
    served.tell("/api/v1/reports", &report).await;
    let mut people =
        IncidentServiceClient::connect(format!("http://{}", served.grpc)).await.unwrap();
    let (id, by, reason, force) = (1, "bob".to_owned(), "looks fine".to_owned(), true);
    people.resolve_incident(ResolveIncidentRequest { id, by, reason, force }).await.unwrap();
    hand.advance(Duration::from_secs(60));
    let answer = served.tell("/api/v1/reports", &report).await;
    assert!(answer.contains(r#""incident":2"#), "{answer}");
    served.stop().await;
}

#[tokio::test]
async fn the_form_shows_what_was_entered_without_believing_it() {
    let served = Served::start().await;
    assert!(served.get("/report").await.contains("<form method=post"));
    let heads = "content-type: application/x-www-form-urlencoded\r\n";
    let (status, page) =
        served.post("/report", heads, "summary=%22%3E%3Cscript%3E&reporter=").await;
    assert_eq!(status, "HTTP/1.1 400 Bad Request");
    assert!(
        page.contains("reporter: is missing") && page.contains("&quot;&gt;&lt;script&gt;"),
        "{page}"
    );
    assert!(!page.contains("<script"), "{page}");
    served.stop().await;
}

#[tokio::test]
async fn who_does_not_know_the_token_may_not_tell() {
    let http_token = Some(Secret::of_file("a-long-routing-key\n").unwrap());
    let config = Config { http_token, ..Config::default() };
    let (served, _) = Served::simulated(config, MemoryStore::default()).await;
    let body = alert("Slow", None).to_string();
    let (status, told) = served.post(ALERTS, "", &body).await;
    assert_eq!(status, "HTTP/1.1 401 Unauthorized");
    assert!(told.contains("Authorization: Bearer"), "{told}");
    let (status, _) = served.post(ALERTS, "authorization: Bearer wrong\r\n", &body).await;
    assert_eq!(status, "HTTP/1.1 401 Unauthorized");
    let (status, _) =
        served.post(ALERTS, "authorization: Bearer a-long-routing-key\r\n", &body).await;
    assert_eq!(status, OK);
    assert!(served.tell("/v2/enqueue", &event("trigger")).await.starts_with("202"));
    let mut stranger = event("trigger");
    stranger["routing_key"] = json!("another");
    assert!(served.tell("/v2/enqueue", &stranger).await.starts_with("401"));
    let form = |token: &str| format!("summary=x&reporter=ann&token={token}");
    let heads = "content-type: application/x-www-form-urlencoded\r\n";
    let (status, page) = served.post("/report", heads, &form("wrong")).await;
    assert_eq!(status, "HTTP/1.1 401 Unauthorized", "{page}");
    let (status, page) = served.post("/report", heads, &form("a-long-routing-key")).await;
    assert_eq!(status, OK, "{page}");
    assert_eq!(served.active("").await, ["Slow"], "asking needs no token");
    served.stop().await;
}

#[tokio::test]
async fn a_page_of_another_site_may_not_tell() {
    let served = Served::start().await;
    let body = alert("Slow", None).to_string();
    let status = async |head: &str| served.post(ALERTS, head, &body).await.0;
    assert_eq!(status("origin: http://evil.example\r\n").await, "HTTP/1.1 403 Forbidden");
    assert_eq!(status("origin: null\r\n").await, "HTTP/1.1 403 Forbidden");
    assert_eq!(status("sec-fetch-site: cross-site\r\n").await, "HTTP/1.1 403 Forbidden");
    assert_eq!(status("origin: http://gpuwarden\r\n").await, OK);
    served.stop().await;
}

#[tokio::test]
async fn prometheus_and_amtool_find_an_alertmanager() {
    let served = Served::start().await;
    let answer = served.get("/api/v2/status").await;
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    let page: Value = serde_json::from_str(body).unwrap();
    assert_eq!(page["cluster"]["status"], "disabled");
    for path in [ALERTS, "/api/v2/silences"] {
        let refused = served.get(&format!("{path}?filter=a%3D~%28")).await;
        assert!(refused.starts_with("HTTP/1.1 400"), "{refused}");
        assert!(refused.contains("unclosed group"), "{refused}");
    }
    served.stop().await;
}

#[tokio::test]
async fn amtool_asks_for_alerts_by_expressions_for_all_of_a_value() {
    let (served, _) = Served::simulated(Config::default(), MemoryStore::default()).await;
    served.tell(ALERTS, &alert("Slow", Some(at(1240)))).await;
    for (filter, found) in [
        ("alertname%3D~%22Sl.*%22", true),
        ("alertname%3D~%22Sl%22", false),
        ("alertname%21~%22Sl%22", true),
        ("alertname%21%3D%22Slow%22", false),
        ("alertname%3D~%22Slow%7CFast%22&filter=model%3Dbert", true),
    ] {
        let names = served.active(&format!("?filter={filter}")).await;
        assert_eq!(names, vec!["Slow"; usize::from(found)], "{filter}");
    }
    served.stop().await;
}

#[tokio::test]
async fn amtool_lists_our_silences() {
    let (served, _) = Served::simulated(Config::default(), MemoryStore::default()).await;
    let matcher = |key: &str, op: &str, value: &str| pb::Matcher {
        key: key.to_owned(),
        op: op.to_owned(),
        value: value.to_owned(),
    };
    let matchers = vec![matcher("node", "=", "gpu-7"), matcher("rule", "!~", "xid|ecc.*")];
    let (author, reason) = ("ann".to_owned(), "RMA".to_owned());
    let asked = pb::CreateSilenceRequest {
        matchers,
        author,
        reason,
        lasts_ms: 60_000,
        ..Default::default()
    };
    let address = format!("http://{}", served.grpc);
    let mut people = SilenceServiceClient::connect(address).await.unwrap();
    people.create_silence(asked).await.unwrap();
    let list = async |query: &str| -> Value {
        let answer = served.get(&format!("/api/v2/silences{query}")).await;
        serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
    };
    let wanted = json!([{
        "id": "S1",
        "matchers": [
            { "name": "node", "value": "gpu-7", "isRegex": false, "isEqual": true },
            { "name": "rule", "value": "xid|ecc.*", "isRegex": true, "isEqual": false },
        ],
        "startsAt": at(1000), "endsAt": at(1060), "updatedAt": at(1000),
        "createdBy": "ann", "comment": "RMA", "annotations": {}, "status": { "state": "active" },
    }]);
    assert_eq!(list("").await, wanted);
    assert_eq!(list("?filter=node%3D~%22gpu-.%22").await, wanted);
    assert_eq!(list("?filter=node%3Dother").await, json!([]));
    served.stop().await;
}
