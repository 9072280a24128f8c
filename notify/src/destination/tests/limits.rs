//! Whatever is told, what a destination documents as its limits is kept; whatever it answers, that is
//! judged.

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::message::Done;

fn channels() -> Vec<Channel> {
    let follow = [slack::FollowUps::Edit, slack::FollowUps::Thread].map(slack);
    let others = [slack_webhook(), pagerduty(), email(), alertmanager(), webhook()];
    follow.into_iter().chain(others).collect()
}

fn body_of(request: &Request) -> Value {
    let Request::Http(http) = request else { panic!("{request:?}") };
    serde_json::from_slice(&http.body).unwrap()
}

/// A long and nasty incident.
fn long() -> impl Strategy<Value = Message> {
    let kinds = prop::sample::select(vec![Kind::Page, Kind::Update, Kind::Resolved]);
    let audiences = prop::sample::select(Audience::ALL.to_vec());
    let nasty = || prop_oneof!["\\PC{0,80}", "[<>&|*_~`\r\n]{0,500}", "x{0,9000}"];
    (kinds, audiences, nasty(), nasty(), prop::collection::vec(nasty(), 0..120)).prop_map(
        |(kind, audience, broken, impact, done)| {
            let mut message = example::message(kind, audience);
            message.broken = broken;
            message.public.impact = impact;
            let at = message.since;
            message.done = done.into_iter().map(|what| Done { at, what }).collect();
            message
        },
    )
}

fn chars(value: &Value) -> usize {
    value.as_str().map_or(0, |text| text.chars().count())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn slack_is_never_sent_more_than_it_takes(message in long()) {
        let sent = request(&slack(slack::FollowUps::Edit), &Notice::of(message), None);
        let body = body_of(&sent);
        let blocks = body["blocks"].as_array().unwrap();
        prop_assert!(blocks.len() <= 50);
        for block in blocks {
            let limit = if block["type"] == "header" { 150 } else { 3000 };
            prop_assert!(chars(&block["text"]["text"]) <= limit);
        }
        prop_assert!(chars(&body["text"]) <= 40_000);
    }

    #[test]
    fn pagerduty_is_never_sent_more_than_it_takes(message in long()) {
        let sent = request(&pagerduty(), &Notice::of(message), None);
        let Request::Http(http) = &sent else { panic!("{sent:?}") };
        prop_assert!(http.body.len() <= 512 * 1024);
        let body = body_of(&sent);
        prop_assert!(chars(&body["payload"]["summary"]) <= 1024);
        prop_assert!(!body["dedup_key"].as_str().unwrap().is_empty());
    }

    #[test]
    fn everything_else_can_be_sent_too(message in long()) {
        for channel in channels() {
            request(&channel, &Notice::of(message.clone()), None);
        }
    }

    #[test]
    fn a_mail_has_no_header_that_a_fact_wrote(broken in "[\r\na-c:]{0,40}") {
        let mut message = message(Kind::Page);
        message.broken = format!("{broken}\r\nBcc: all@ops.example\r\n\r\nx");
        let sent = request(&email(), &Notice::of(message), None);
        let Request::Mail(mail) = &sent else { panic!("{sent:?}") };
        let raw = String::from_utf8(mail.raw.clone()).unwrap();
        let (heads, _) = raw.split_once("\r\n\r\n").unwrap();
        prop_assert!(!heads.contains("\nBcc:"));
    }

    #[test]
    fn whatever_is_answered_is_judged(status: u16, body: Vec<u8>, after in prop::option::of(".*")) {
        let notice = Notice::of(message(Kind::Page));
        for channel in channels() {
            let request = request(&channel, &notice, None);
            let body = Bytes::from(body.clone());
            let answer = Answer::Http { status, retry_after: after.clone(), body };
            let verdict = channel.judge(&request, &answer, notice.first.at);
            let fine = (200..300).contains(&status) || status == 409;
            prop_assert!(fine || !matches!(verdict, Verdict::Delivered(_)));
            let answer = Answer::Mail { code: status, text: String::new() };
            let _ = channel.judge(&request, &answer, notice.first.at);
        }
    }

    #[test]
    fn whatever_slack_says_as_json_is_judged(ok: bool, error in "\\PC{0,30}", ts in "[0-9.]{0,9}") {
        let channel = slack(slack::FollowUps::Edit);
        let notice = Notice::of(message(Kind::Page));
        let said = serde_json::json!({"ok": ok, "error": error, "ts": ts, "channel": "C1"});
        let body = Bytes::from(said.to_string());
        let answer = Answer::Http { status: 200, retry_after: None, body };
        let verdict = channel.judge(&request(&channel, &notice, None), &answer, notice.first.at);
        prop_assert_eq!(matches!(verdict, Verdict::Delivered(_)), ok);
    }
}
