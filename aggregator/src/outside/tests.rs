//! Each format by what its senders really send.

use proptest::prelude::*;

use super::cloudevents::{Mode, events};
use super::pagerduty::{Action, event};
use super::report::Report;
use super::*;
use crate::testing::at;

/// 2027-01-15T08:00:00Z plus some seconds: the clock of these tests.
fn now() -> Timestamp {
    at(600)
}

/// Signals as people read them, one a line.
fn lines(signals: &[Outside]) -> String {
    let line = |told: &Outside| {
        let Outside { observed_at, finding, until, since, .. } = told;
        let Subject::Alert { sender, key, name } = &finding.subject else { panic!("{told:?}") };
        let time = |time: &Option<Timestamp>| {
            time.map_or("-".to_owned(), |time| time.since(at(0)).as_secs().to_string())
        };
        let about: Vec<String> = finding.about.iter().map(ToString::to_string).collect();
        format!(
            "{} {} {sender} {key} `{name}` at {} since {} until {} [{}]: {}",
            finding.phase,
            finding.grade,
            observed_at.since(at(0)).as_secs(),
            time(since),
            time(until),
            about.join(", "),
            finding.summary
        )
    };
    signals.iter().map(line).collect::<Vec<_>>().join("\n")
}

const WEBHOOK: &str = r#"{"receiver":"gpuwarden","status":"firing","truncatedAlerts":3,"version":"4",
  "groupKey":"{}:{alertname=\"QueueTime\"}","groupLabels":{"alertname":"QueueTime"},"routeLabels":{},
  "commonLabels":{},"commonAnnotations":{},"externalURL":"http://am:9093","notification_reason":"first",
  "alerts":[
    {"status":"firing","labels":{"alertname":"QueueTime","instance":"gpu-7:8002","model":"bert","severity":"critical"},
     "annotations":{"summary":"bert waits 2 s"},"startsAt":"2027-01-15T08:05:00.123Z",
     "endsAt":"0001-01-01T00:00:00Z","generatorURL":"http://prom:9090/graph","fingerprint":"0123456789abcdef"},
    {"status":"resolved","labels":{"alertname":"Slow","app":"chat"},"annotations":{},
     "startsAt":"2027-01-15T08:00:00Z","endsAt":"2027-01-15T08:09:00Z","fingerprint":"fedcba9876543210"},
    {"status":"firing","labels":{"alertname":"Watchdog","severity":"none"},"annotations":{},
     "startsAt":"2027-01-15T08:00:00Z","endsAt":"0001-01-01T00:00:00Z","fingerprint":"1"},
    {"status":"firing","labels":{},"annotations":{}},
    {"status":"puzzled","labels":{"alertname":"X"}}]}"#;

#[test]
fn a_webhook_of_alertmanager_is_read_and_what_is_wrong_is_named() {
    let heard = alertmanager::webhook(WEBHOOK.as_bytes(), now()).unwrap();
    insta::assert_snapshot!(lines(&heard.signals), @r"
    raised down alertmanager 0123456789abcdef `QueueTime` at 600 since 300 until - [node gpu-7, model bert]: bert waits 2 s
    cleared degraded alertmanager fedcba9876543210 `Slow` at 540 since 0 until - [service chat]: app=chat
    ");
    assert_eq!((heard.truncated, heard.ignored), (3, 1));
    let complaint = heard.complaint().unwrap();
    assert_eq!(
        complaint,
        "alerts[3].labels: should hold one label at least; \
         alerts[4].status: should be firing or resolved"
    );
}

#[test]
fn grafana_sends_its_numbers_along() {
    let body = r#"{"receiver":"g","status":"firing","orgId":1,"title":"[FIRING:1]","state":"alerting",
        "message":"m","alerts":[{"status":"firing","labels":{"alertname":"Lag","node":"gpu-1"},
        "annotations":{"description":"long"},"startsAt":"2027-01-15T09:00:00+01:00",
        "endsAt":"0001-01-01T00:00:00Z","values":{"A":1.5,"B":null},"silenceURL":"http://g/s"}]}"#;
    let heard = alertmanager::webhook(body.as_bytes(), now()).unwrap();
    assert!(lines(&heard.signals).contains("since 0 until - [node gpu-1]: long"));
    assert_eq!(heard.signals[0].finding.evidence, [Evidence::new("A", 1.5, Unit::Count)]);
}

#[test]
fn prometheus_tells_alerts_that_count_until_their_end() {
    let body = r#"[
      {"labels":{"alertname":"A","service":"chat"},"annotations":{"summary":"a"},
       "startsAt":"2027-01-15T08:09:00Z","endsAt":"2027-01-15T08:14:00.5Z","generatorURL":"http://p"},
      {"labels":{"alertname":"B"},"startsAt":"2027-01-15T08:00:00Z","endsAt":"2027-01-15T08:01:00Z"},
      {"labels":{"alertname":"C"}},
      {"labels":{"alertname":"D"},"startsAt":"2027-01-15T08:02:00Z","endsAt":"2027-01-15T08:01:00Z"},
      {"labels":{"alertname":7}}, 7]"#;
    let heard = alertmanager::api(body.as_bytes(), now()).unwrap();
    insta::assert_snapshot!(lines(&heard.signals), @r"
    raised degraded alertmanager d77ba4014eb237ea `A` at 600 since 540 until 840 [service chat]: a
    cleared degraded alertmanager d2c2efc389db2050 `B` at 60 since 0 until - []: B
    raised degraded alertmanager d2beefc389d73779 `C` at 600 since - until 900 []: C
    ");
    assert_eq!(heard.signals[0].finding.evidence, [Evidence::new(RENEWAL, 240.0, Unit::Seconds)]);
    insta::assert_snapshot!(heard.complaint().unwrap(), @"[3].endsAt: is before startsAt, 2027-01-15T08:02:00.000Z; [4].labels.alertname: should be a text; [5]: should be an object");
}

#[test]
fn more_than_may_be_told_at_one_time_is_refused() {
    let many = format!("[{}]", vec![r#"{"labels":{"a":"b"}}"#; ALERTS_MAX + 1].join(","));
    let told = alertmanager::api(many.as_bytes(), now()).unwrap_err().to_string();
    assert_eq!(told, "body: 2001 at one time, at most 2000: send them in parts");
}

const TRIGGER: &str = r#"{"routing_key":"0123456789abcdef0123456789abcdef","event_action":"trigger",
  "dedup_key":"disk/7","client":"Zabbix","payload":{"summary":"disk is full","source":"gpu-7.example.org",
  "severity":"error","timestamp":"2027-01-15T08:05:00.000+0000","component":"disk",
  "custom_details":{"model":"bert","free":0,"nested":{}}},"links":[],"images":[]}"#;

#[test]
fn an_event_of_pagerdutys_format_is_read() {
    let enqueued = event(TRIGGER.as_bytes(), now()).unwrap();
    assert_eq!(enqueued.dedup_key, "disk/7");
    let Action::Tell(told) = enqueued.action else { panic!("{:?}", enqueued.action) };
    insta::assert_snapshot!(lines(&[*told]), @"raised degraded pagerduty dc826dde/disk/7 `disk is full` at 600 since 300 until - [node gpu-7.example.org, model bert]: disk is full");
    let resolve = r#"{"routing_key":"0123456789abcdef0123456789abcdef","event_action":"resolve","dedup_key":"disk/7"}"#;
    let Action::Tell(told) = event(resolve.as_bytes(), now()).unwrap().action else { panic!() };
    assert!(lines(&[*told]).starts_with("cleared warning pagerduty dc826dde/disk/7"));
    let acknowledge = resolve.replace("resolve", "acknowledge");
    let action = event(acknowledge.as_bytes(), now()).unwrap().action;
    assert!(matches!(action, Action::Acknowledge { by, .. } if by == "pagerduty"));
}

#[test]
fn a_trigger_without_a_key_is_given_one() {
    let trigger = TRIGGER.replace(r#""dedup_key":"disk/7","#, "");
    let key = |now| event(trigger.as_bytes(), now).unwrap().dedup_key;
    assert_eq!(key(now()).len(), 32);
    assert_ne!(key(now()), key(at(601)));
}

#[test]
fn all_that_is_wrong_with_an_event_of_pagerdutys_format_is_told() {
    let told = |text: &str| {
        let faults = event(text.as_bytes(), now()).unwrap_err();
        faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    };
    let texts = [
        "{",
        "{}",
        r#"{"routing_key":"k","event_action":"shrug"}"#,
        r#"{"routing_key":"k","event_action":"resolve"}"#,
        r#"{"routing_key":"k","event_action":"trigger"}"#,
        r#"{"routing_key":"k","event_action":"trigger","payload":{"severity":"bad","timestamp":"noon"}}"#,
    ];
    insta::assert_snapshot!(texts.map(told).join("\n"), @r"
    body: no JSON: EOF while parsing an object at line 1 column 1
    routing_key: is missing or blank; event_action: is missing or blank
    event_action: should be trigger, acknowledge or resolve; dedup_key: is missing or blank; only a trigger goes without
    dedup_key: is missing or blank; only a trigger goes without
    payload: is missing
    payload.summary: is missing or blank; payload.source: is missing or blank; payload.severity: should be one of: critical, error, warning, info; payload.timestamp: `noon` is not an instant from 1970 to 2554 in RFC 3339, like 2026-11-23T08:50:22.851Z
    ");
}

#[test]
fn cloudevents_are_read_in_all_their_forms() {
    let opened = r#"{"specversion":"1.0","id":"e1","source":"/apm/eu","type":"com.example.problem.opened",
        "subject":"chat","time":"2027-01-15T08:05:00Z","dedupkey":"p-9","severity":"critical",
        "data":{"title":"Slow","summary":"p99 is 4 s","service":"chat","labels":{"zone":"a"}}}"#;
    let closed = r#"{"specversion":"1.0","id":"e2","source":"/apm/eu","type":"com.example.problem.closed",
        "dedupkey":"p-9","time":"2027-01-15T08:06:00Z","data":null}"#;
    let structured = events(Mode::Structured, &[], opened.as_bytes(), now()).unwrap();
    let batch = format!("[{opened},{closed},{{}}]");
    let batch = events(Mode::Batch, &[], batch.as_bytes(), now()).unwrap();
    assert_eq!(batch.signals[0], structured.signals[0]);
    insta::assert_snapshot!(lines(&batch.signals), @r"
    raised down cloudevents /apm/eu#p-9 `Slow` at 300 since 300 until - [service chat, zone a]: p99 is 4 s
    cleared degraded cloudevents /apm/eu#p-9 `com.example.problem.closed` at 360 since 360 until - []: com.example.problem.closed
    ");
    assert_eq!(batch.complaint().unwrap(), "[2].specversion: is missing or blank");
    let heads = [
        ("specversion", "1.0"),
        ("id", "e3"),
        ("source", "/apm"),
        ("type", "x"),
        ("subject", "caf%C3%A9"),
    ];
    let heads = heads.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let body = br#"{"status":"open","model":"bert"}"#;
    let binary = events(Mode::Binary, &heads, body, now()).unwrap();
    insta::assert_snapshot!(lines(&binary.signals), @"raised degraded cloudevents /apm#e3 `x` at 600 since - until - [model bert]: x: café");
}

#[test]
fn the_form_of_a_cloudevent_is_told_by_its_heads() {
    assert_eq!(Mode::of("application/cloudevents+json; charset=utf-8", true), Mode::Structured);
    assert_eq!(Mode::of("application/cloudevents-batch+json", false), Mode::Batch);
    assert_eq!(Mode::of("application/json", true), Mode::Binary);
    assert_eq!(Mode::of("application/json", false), Mode::Structured);
}

#[test]
fn a_report_counts_for_a_while_and_says_the_same_when_it_is_told_again() {
    let body =
        r#"{"summary":"chat is slow","service":"chat","reporter":"ann","severity":"critical"}"#;
    let report = Report::parse(body.as_bytes()).unwrap();
    let (told, key) = report.outside(now()).unwrap();
    assert_eq!(report.outside(at(700)).unwrap().1, key);
    assert_eq!(told.finding.rule, RuleId::UserReport);
    insta::assert_snapshot!(lines(&[told]), @"raised down person 97ccca5d3b4a17d5 `ann` at 600 since - until 15000 [service chat]: chat is slow");
}

#[test]
fn what_is_wrong_with_a_report_is_told() {
    let told = |text: &str| match Report::parse(text.as_bytes()).and_then(|r| r.outside(now())) {
        Ok(taken) => panic!("{taken:?}"),
        Err(fault) => fault.to_string(),
    };
    let texts = [
        r#"{"summary":"x"}"#,
        r#"{"summary":" ","reporter":"ann"}"#,
        r#"{"summary":"x","reporter":"ann","severity":"bad"}"#,
        r#"{"summary":"x","reporter":"ann","occurred_at":"2027-01-15T09:00:00Z"}"#,
        r#"{"summary":"x","reporter":"ann","status":"resolved"}"#,
        r#"{"summary":"x","reporter":"ann","spoon":1}"#,
    ];
    insta::assert_snapshot!(texts.map(told).join("\n"), @r"
    reporter: is missing or blank
    summary: is missing or blank
    severity: should be critical, error, warning or info
    occurred_at: 2027-01-15T09:00:00.000Z is yet to come
    key: is missing: which report is resolved
    body: unknown field `spoon`, expected one of `summary`, `description`, `service`, `model`, `node`, `severity`, `reporter`, `occurred_at`, `key`, `status` at line 1 column 39
    ");
}

fn any_reader_takes(bytes: &[u8]) {
    let _ = alertmanager::webhook(bytes, now());
    let _ = alertmanager::api(bytes, now());
    let _ = event(bytes, now());
    for mode in [Mode::Structured, Mode::Batch, Mode::Binary] {
        let _ = events(mode, &[("id".to_owned(), "%zz%".to_owned())], bytes, now());
    }
    let _ = Report::parse(bytes).and_then(|report| report.outside(now()));
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
        any_reader_takes(&bytes);
    }

    #[test]
    fn good_words_with_bytes_changed_are_read_or_refused(
        sample in 0_usize..2,
        changes in proptest::collection::vec((0_usize..2000, any::<u8>()), 1..12),
    ) {
        let mut bytes = [WEBHOOK, TRIGGER][sample].as_bytes().to_vec();
        for (place, byte) in changes {
            let place = place % bytes.len();
            bytes[place] = byte;
        }
        any_reader_takes(&bytes);
    }
}
