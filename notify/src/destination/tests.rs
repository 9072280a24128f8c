//! What each destination is sent, to the letter, and what is kept of its limits whatever is told.

mod limits;

use expect_test::{Expect, expect};
use gpuwarden_proto::vocab::Severity;
use serde_json::Value;

use super::*;
use crate::message::template::Templates;
use crate::message::{Audience, Message, Notice, example};
use crate::secret::Secret;

pub(super) fn secret(text: &str) -> Secret {
    Secret::of_file(text).unwrap()
}

pub(super) fn endpoint(url: &str) -> Endpoint {
    Endpoint::parse(url).unwrap()
}

pub(super) fn slack(follow_ups: slack::FollowUps) -> Channel {
    Channel::Slack(slack::Settings {
        api: endpoint(slack::API),
        token: secret("xoxb-1"),
        channel: "#incidents".to_owned(),
        signing_secret: Some(secret("signing")),
        follow_ups,
    })
}

pub(super) fn slack_webhook() -> Channel {
    let url = endpoint("https://hooks.slack.example/services/T/B/x");
    Channel::SlackWebhook(slack_webhook::Settings { url })
}

pub(super) fn pagerduty() -> Channel {
    Channel::PagerDuty(pagerduty::Settings {
        url: endpoint(pagerduty::EVENTS),
        routing_key: secret("R0123456789abcdef0123456789abcde"),
        installation: "berlin".to_owned(),
    })
}

pub(super) fn email() -> Channel {
    Channel::Email(Box::new(email::Settings {
        host: "mail.example".to_owned(),
        port: 587,
        security: Security::StartTls,
        login: None,
        from: "Gpuwarden <gpuwarden@ops.example>".parse().unwrap(),
        to: vec!["oncall@ops.example".parse().unwrap()],
    }))
}

pub(super) fn alertmanager() -> Channel {
    Channel::Alertmanager(alertmanager::Settings {
        url: endpoint("http://alertmanager:9093"),
        token: None,
        installation: "berlin".to_owned(),
        lasts: Duration::from_secs(300),
    })
}

pub(super) fn webhook() -> Channel {
    Channel::Webhook(webhook::Settings {
        url: endpoint("https://hooks.example/gpuwarden"),
        secret: Some(secret("key")),
        token: None,
        installation: "berlin".to_owned(),
    })
}

pub(super) fn request(channel: &Channel, notice: &Notice, previous: Option<&External>) -> Request {
    let words = Templates::default().words(notice);
    let now = notice.first.at;
    let letter = Letter { key: "2/page-L1/ops/1", notice, words: &words, previous, now };
    channel.render(&letter).unwrap()
}

fn told(id: &str, note: &str) -> External {
    External { id: id.to_owned(), note: note.to_owned() }
}

fn message(kind: Kind) -> Message {
    example::message(kind, Audience::Engineering)
}

/// The request with its JSON laid out.
fn check(channel: &Channel, message: Message, previous: Option<&External>, expected: &Expect) {
    let request = request(channel, &Notice::of(message), previous);
    let shown = match &request {
        Request::Http(http) => {
            let body: Value = serde_json::from_slice(&http.body).unwrap();
            let path = http.to.path();
            let heads: Vec<_> = http.headers.iter().map(|(n, v)| format!("{n}: {v}\n")).collect();
            format!("POST {path}\n{}{body:#}", heads.concat())
        }
        Request::Mail(mail) => String::from_utf8(mail.raw.clone()).unwrap().replace('\r', ""),
    };
    expected.assert_eq(&shown);
}

#[test]
fn slack_is_sent_a_page_with_buttons() {
    let channel = slack(slack::FollowUps::Edit);
    check(
        &channel,
        message(Kind::Page),
        None,
        &expect![[r##"
        POST /api/chat.postMessage
        {
          "blocks": [
            {
              "text": {
                "emoji": false,
                "text": "P1 bert-large on node-a fails 38 % of requests for search (1 of 2 replicas), since 14:02 UTC (3 min)",
                "type": "plain_text"
              },
              "type": "header"
            },
            {
              "text": {
                "text": "cause     memory of trt-worker (pid 4312) grew by 212 MiB/s on GPU 2 of node-a (93 % sure)\ndid       14:03 UTC queue of bert-large limited to 64 (kept, ends 14:32)\nnext      gpu-oom step 4: move a replica to another node\n          gpuwarden runbook step done 2 4\nexpected  over by 14:32 UTC",
                "type": "mrkdwn"
              },
              "type": "section"
            },
            {
              "elements": [
                {
                  "text": "<https://gpuwarden.example/incidents/2|incident> · <https://gpuwarden.example/runbooks/gpu-oom|runbook> · <https://gpuwarden.example/incidents/2/silence|silence> · <https://gpuwarden.example/incidents/2/acknowledge|acknowledge> · <https://call.example/bridge|call>",
                  "type": "mrkdwn"
                }
              ],
              "type": "context"
            },
            {
              "elements": [
                {
                  "action_id": "gpuwarden-acknowledge",
                  "style": "primary",
                  "text": {
                    "emoji": false,
                    "text": "Acknowledge",
                    "type": "plain_text"
                  },
                  "type": "button",
                  "value": "2"
                },
                {
                  "action_id": "gpuwarden-escalate",
                  "text": {
                    "emoji": false,
                    "text": "Escalate",
                    "type": "plain_text"
                  },
                  "type": "button",
                  "value": "2"
                },
                {
                  "action_id": "gpuwarden-resolve",
                  "text": {
                    "emoji": false,
                    "text": "Resolve",
                    "type": "plain_text"
                  },
                  "type": "button",
                  "value": "2"
                }
              ],
              "type": "actions"
            }
          ],
          "channel": "#incidents",
          "text": "P1 bert-large on node-a fails 38 % of requests for search (1 of 2 replicas), since 14:02 UTC (3 min)",
          "unfurl_links": false,
          "unfurl_media": false
        }"##]],
    );
}

#[test]
fn slack_is_sent_an_update_as_an_edit_of_the_first_message() {
    let previous = Some(told("C1/1.2", ""));
    let channel = slack(slack::FollowUps::Edit);
    check(
        &channel,
        message(Kind::Update),
        previous.as_ref(),
        &expect![[r#"
        POST /api/chat.update
        {
          "blocks": [
            {
              "text": {
                "emoji": false,
                "text": "P1 still: bert-large on node-a fails 38 % of requests for search (1 of 2 replicas), since 14:02 UTC (3 min)",
                "type": "plain_text"
              },
              "type": "header"
            },
            {
              "text": {
                "text": "new       maria took it; errors 38 % → 12 %\ncause     memory of trt-worker (pid 4312) grew by 212 MiB/s on GPU 2 of node-a (93 % sure)\ndid       14:03 UTC queue of bert-large limited to 64 (kept, ends 14:32)\nnext      gpu-oom step 4: move a replica to another node\n          gpuwarden runbook step done 2 4\nowner     maria\nexpected  over by 14:32 UTC",
                "type": "mrkdwn"
              },
              "type": "section"
            },
            {
              "elements": [
                {
                  "text": "<https://gpuwarden.example/incidents/2|incident> · <https://gpuwarden.example/runbooks/gpu-oom|runbook> · <https://gpuwarden.example/incidents/2/silence|silence> · <https://gpuwarden.example/incidents/2/acknowledge|acknowledge> · <https://call.example/bridge|call>",
                  "type": "mrkdwn"
                }
              ],
              "type": "context"
            },
            {
              "elements": [
                {
                  "action_id": "gpuwarden-escalate",
                  "text": {
                    "emoji": false,
                    "text": "Escalate",
                    "type": "plain_text"
                  },
                  "type": "button",
                  "value": "2"
                },
                {
                  "action_id": "gpuwarden-resolve",
                  "text": {
                    "emoji": false,
                    "text": "Resolve",
                    "type": "plain_text"
                  },
                  "type": "button",
                  "value": "2"
                }
              ],
              "type": "actions"
            }
          ],
          "channel": "C1",
          "text": "P1 still: bert-large on node-a fails 38 % of requests for search (1 of 2 replicas), since 14:02 UTC (3 min)",
          "ts": "1.2",
          "unfurl_links": false,
          "unfurl_media": false
        }"#]],
    );
}

#[test]
fn slack_is_sent_an_end_in_the_thread_where_that_is_wanted() {
    let previous = Some(told("C1/1.2", ""));
    let channel = slack(slack::FollowUps::Thread);
    check(
        &channel,
        message(Kind::Resolved),
        previous.as_ref(),
        &expect![[r#"
        POST /api/chat.postMessage
        {
          "blocks": [
            {
              "text": {
                "emoji": false,
                "text": "Resolved: P1 bert-large on node-a fails 38 % of requests for search (1 of 2 replicas), lasted 47 min",
                "type": "plain_text"
              },
              "type": "header"
            },
            {
              "text": {
                "text": "fixed by  trt-worker restarted with a smaller batch\ncause     memory of trt-worker (pid 4312) grew by 212 MiB/s on GPU 2 of node-a (93 % sure)\ndid       14:03 UTC queue of bert-large limited to 64 (kept, ends 14:32)\nreview    2026-11-24 14:02 UTC",
                "type": "mrkdwn"
              },
              "type": "section"
            },
            {
              "elements": [
                {
                  "text": "<https://gpuwarden.example/incidents/2|incident> · <https://gpuwarden.example/runbooks/gpu-oom|runbook> · <https://call.example/bridge|call>",
                  "type": "mrkdwn"
                }
              ],
              "type": "context"
            }
          ],
          "channel": "C1",
          "reply_broadcast": true,
          "text": "Resolved: P1 bert-large on node-a fails 38 % of requests for search (1 of 2 replicas), lasted 47 min",
          "thread_ts": "1.2",
          "unfurl_links": false,
          "unfurl_media": false
        }"#]],
    );
}

#[test]
fn slack_is_paged_again_in_the_thread_and_the_channel_since_an_edit_wakes_nobody() {
    let previous = Some(told("C1/1.2", ""));
    let notice = Notice::of(message(Kind::Page));
    let sent = request(&slack(slack::FollowUps::Edit), &notice, previous.as_ref());
    let Request::Http(http) = &sent else { panic!("{sent:?}") };
    let body: Value = serde_json::from_slice(&http.body).unwrap();
    assert_eq!((&body["thread_ts"], &body["reply_broadcast"]), (&"1.2".into(), &true.into()));
    assert_eq!(sent.leaves(), previous.as_ref());
}

#[test]
fn a_webhook_of_slack_is_sent_what_stakeholders_may_hear() {
    let page = example::message(Kind::Page, Audience::Stakeholders);
    check(
        &slack_webhook(),
        page,
        None,
        &expect![[r#"
        POST /services/T/B/x
        {
          "blocks": [
            {
              "text": {
                "emoji": false,
                "text": "Outage: Search: some searches fail or take long, since 14:02 UTC",
                "type": "plain_text"
              },
              "type": "header"
            },
            {
              "text": {
                "text": "We are working on it.\nExpected to be over by 14:32 UTC.\nNext update by 14:35 UTC.",
                "type": "mrkdwn"
              },
              "type": "section"
            },
            {
              "elements": [
                {
                  "text": "<https://status.example/|status page>",
                  "type": "mrkdwn"
                }
              ],
              "type": "context"
            }
          ],
          "text": "Outage: Search: some searches fail or take long, since 14:02 UTC",
          "unfurl_links": false,
          "unfurl_media": false
        }"#]],
    );
}

#[test]
fn a_first_mail_can_be_answered() {
    check(
        &email(),
        message(Kind::Page),
        None,
        &expect![[r#"
        From: Gpuwarden <gpuwarden@ops.example>
        Subject: [#2] P1 bert-large on node-a fails 38 % of requests for search (1
         of 2 replicas), since 14:02 UTC (3 min)
        Date: Mon, 23 Nov 2026 14:05:11 +0000
        Message-ID: <b589ade5bd505eb1a683eb9b907d4881@ops.example>
        Auto-Submitted: auto-generated
        X-Gpuwarden-Key: b589ade5bd505eb1a683eb9b907d4881
        To: oncall@ops.example
        MIME-Version: 1.0
        Content-Type: multipart/alternative;
         boundary="=_b589ade5bd505eb1a683eb9b907d4881"

        --=_b589ade5bd505eb1a683eb9b907d4881
        Content-Type: text/plain; charset=utf-8
        Content-Transfer-Encoding: quoted-printable

        P1 bert-large on node-a fails 38 % of requests for search (1 of 2 replicas)=
        , since 14:02 UTC (3 min)

        cause     memory of trt-worker (pid 4312) grew by 212 MiB/s on GPU 2 of nod=
        e-a (93 % sure)
        did       14:03 UTC queue of bert-large limited to 64 (kept, ends 14:32)
        next      gpu-oom step 4: move a replica to another node
                  gpuwarden runbook step done 2 4
        expected  over by 14:32 UTC

        incident: https://gpuwarden.example/incidents/2
        runbook: https://gpuwarden.example/runbooks/gpu-oom
        silence: https://gpuwarden.example/incidents/2/silence
        acknowledge: https://gpuwarden.example/incidents/2/acknowledge
        call: https://call.example/bridge

        --=_b589ade5bd505eb1a683eb9b907d4881
        Content-Type: text/html; charset=utf-8
        Content-Transfer-Encoding: quoted-printable

        <!doctype html><html><body><p><strong>P1 bert-large on node-a fails 38 % of=
         requests for search (1 of 2 replicas), since 14:02 UTC (3 min)</strong></p>
        <pre style=3D"white-space:pre-wrap">cause     memory of trt-worker (pid 431=
        2) grew by 212 MiB/s on GPU 2 of node-a (93 % sure)
        did       14:03 UTC queue of bert-large limited to 64 (kept, ends 14:32)
        next      gpu-oom step 4: move a replica to another node
                  gpuwarden runbook step done 2 4
        expected  over by 14:32 UTC</pre>
        <p><a href=3D"https://gpuwarden.example/incidents/2">incident</a> <a href=
        =3D"https://gpuwarden.example/runbooks/gpu-oom">runbook</a> <a href=3D"http=
        s://gpuwarden.example/incidents/2/silence">silence</a> <a href=3D"https://g=
        puwarden.example/incidents/2/acknowledge">acknowledge</a> <a href=3D"https:=
        //call.example/bridge">call</a> </p></body></html>

        --=_b589ade5bd505eb1a683eb9b907d4881--
    "#]],
    );
}

#[test]
fn a_mail_of_an_end_answers_the_first_one() {
    let previous = Some(told("<first@ops.example>", "[#2] P1 bert-large on node-a"));
    check(
        &email(),
        message(Kind::Resolved),
        previous.as_ref(),
        &expect![[r#"
        From: Gpuwarden <gpuwarden@ops.example>
        Subject: Re: [#2] P1 bert-large on node-a
        Date: Mon, 23 Nov 2026 14:49:11 +0000
        Message-ID: <b589ade5bd505eb1a683eb9b907d4881@ops.example>
        Auto-Submitted: auto-generated
        X-Gpuwarden-Key: b589ade5bd505eb1a683eb9b907d4881
        To: oncall@ops.example
        In-Reply-To: <first@ops.example>
        References: <first@ops.example>
        MIME-Version: 1.0
        Content-Type: multipart/alternative;
         boundary="=_b589ade5bd505eb1a683eb9b907d4881"

        --=_b589ade5bd505eb1a683eb9b907d4881
        Content-Type: text/plain; charset=utf-8
        Content-Transfer-Encoding: quoted-printable

        Resolved: P1 bert-large on node-a fails 38 % of requests for search (1 of 2=
         replicas), lasted 47 min

        fixed by  trt-worker restarted with a smaller batch
        cause     memory of trt-worker (pid 4312) grew by 212 MiB/s on GPU 2 of nod=
        e-a (93 % sure)
        did       14:03 UTC queue of bert-large limited to 64 (kept, ends 14:32)
        review    2026-11-24 14:02 UTC

        incident: https://gpuwarden.example/incidents/2
        runbook: https://gpuwarden.example/runbooks/gpu-oom
        call: https://call.example/bridge

        --=_b589ade5bd505eb1a683eb9b907d4881
        Content-Type: text/html; charset=utf-8
        Content-Transfer-Encoding: quoted-printable

        <!doctype html><html><body><p><strong>Resolved: P1 bert-large on node-a fai=
        ls 38 % of requests for search (1 of 2 replicas), lasted 47 min</strong></p>
        <pre style=3D"white-space:pre-wrap">fixed by  trt-worker restarted with a s=
        maller batch
        cause     memory of trt-worker (pid 4312) grew by 212 MiB/s on GPU 2 of nod=
        e-a (93 % sure)
        did       14:03 UTC queue of bert-large limited to 64 (kept, ends 14:32)
        review    2026-11-24 14:02 UTC</pre>
        <p><a href=3D"https://gpuwarden.example/incidents/2">incident</a> <a href=
        =3D"https://gpuwarden.example/runbooks/gpu-oom">runbook</a> <a href=3D"http=
        s://call.example/bridge">call</a> </p></body></html>

        --=_b589ade5bd505eb1a683eb9b907d4881--
    "#]],
    );
}

#[test]
fn a_mail_to_stakeholders_names_nothing_of_ours() {
    let update = example::message(Kind::Update, Audience::Stakeholders);
    check(
        &email(),
        update,
        None,
        &expect![[r#"
        From: Gpuwarden <gpuwarden@ops.example>
        Subject: [#2] Update: Search: some searches fail or take long, since 14:02
         UTC (3 min)
        Date: Mon, 23 Nov 2026 14:05:11 +0000
        Message-ID: <b589ade5bd505eb1a683eb9b907d4881@ops.example>
        Auto-Submitted: auto-generated
        X-Gpuwarden-Key: b589ade5bd505eb1a683eb9b907d4881
        To: oncall@ops.example
        MIME-Version: 1.0
        Content-Type: multipart/alternative;
         boundary="=_b589ade5bd505eb1a683eb9b907d4881"

        --=_b589ade5bd505eb1a683eb9b907d4881
        Content-Type: text/plain; charset=utf-8
        Content-Transfer-Encoding: 7bit

        Update: Search: some searches fail or take long, since 14:02 UTC (3 min)

        We are still working on it.
        Expected to be over by 14:32 UTC.
        Next update by 14:35 UTC.

        status page: https://status.example/

        --=_b589ade5bd505eb1a683eb9b907d4881
        Content-Type: text/html; charset=utf-8
        Content-Transfer-Encoding: quoted-printable

        <!doctype html><html><body><p><strong>Update: Search: some searches fail or=
         take long, since 14:02 UTC (3 min)</strong></p>
        <pre style=3D"white-space:pre-wrap">We are still working on it.
        Expected to be over by 14:32 UTC.
        Next update by 14:35 UTC.</pre>
        <p><a href=3D"https://status.example/">status page</a> </p></body></html>

        --=_b589ade5bd505eb1a683eb9b907d4881--
    "#]],
    );
}

#[test]
fn pagerduty_is_sent_a_trigger() {
    check(
        &pagerduty(),
        message(Kind::Page),
        None,
        &expect![[r#"
        POST /v2/enqueue
        {
          "client": "Gpuwarden",
          "client_url": "https://gpuwarden.example/incidents/2",
          "dedup_key": "gpuwarden/berlin/2",
          "event_action": "trigger",
          "links": [
            {
              "href": "https://gpuwarden.example/incidents/2",
              "text": "incident"
            },
            {
              "href": "https://gpuwarden.example/runbooks/gpu-oom",
              "text": "runbook"
            },
            {
              "href": "https://gpuwarden.example/incidents/2/silence",
              "text": "silence"
            },
            {
              "href": "https://gpuwarden.example/incidents/2/acknowledge",
              "text": "acknowledge"
            },
            {
              "href": "https://call.example/bridge",
              "text": "call"
            }
          ],
          "payload": {
            "class": "gpu-oom",
            "component": "Search",
            "custom_details": {
              "cause": "memory of trt-worker (pid 4312) grew by 212 MiB/s on GPU 2 of node-a",
              "done": [
                "queue of bert-large limited to 64 (kept, ends 14:32)"
              ],
              "incident": 2,
              "next": "gpu-oom step 4: move a replica to another node",
              "severity": "P1",
              "text": "cause     memory of trt-worker (pid 4312) grew by 212 MiB/s on GPU 2 of node-a (93 % sure)\ndid       14:03 UTC queue of bert-large limited to 64 (kept, ends 14:32)\nnext      gpu-oom step 4: move a replica to another node\n          gpuwarden runbook step done 2 4\nexpected  over by 14:32 UTC"
            },
            "severity": "critical",
            "source": "berlin",
            "summary": "P1 bert-large on node-a fails 38 % of requests for search (1 of 2 replicas), since 14:02 UTC (3 min)",
            "timestamp": "2026-11-23T14:02:11.000Z"
          },
          "routing_key": "R0123456789abcdef0123456789abcde"
        }"#]],
    );
}

#[test]
fn pagerduty_is_sent_who_took_it_and_that_it_is_over_by_the_same_key() {
    check(
        &pagerduty(),
        message(Kind::Update),
        None,
        &expect![[r#"
        POST /v2/enqueue
        {
          "dedup_key": "gpuwarden/berlin/2",
          "event_action": "acknowledge",
          "routing_key": "R0123456789abcdef0123456789abcde"
        }"#]],
    );
    check(
        &pagerduty(),
        message(Kind::Resolved),
        None,
        &expect![[r#"
        POST /v2/enqueue
        {
          "dedup_key": "gpuwarden/berlin/2",
          "event_action": "resolve",
          "routing_key": "R0123456789abcdef0123456789abcde"
        }"#]],
    );
}

#[test]
fn alertmanager_is_sent_an_alert_that_lasts_a_while() {
    check(
        &alertmanager(),
        message(Kind::Page),
        None,
        &expect![[r#"
        POST /api/v2/alerts
        [
          {
            "annotations": {
              "description": "cause     memory of trt-worker (pid 4312) grew by 212 MiB/s on GPU 2 of node-a (93 % sure)\ndid       14:03 UTC queue of bert-large limited to 64 (kept, ends 14:32)\nnext      gpu-oom step 4: move a replica to another node\n          gpuwarden runbook step done 2 4\nexpected  over by 14:32 UTC",
              "runbook_url": "https://gpuwarden.example/runbooks/gpu-oom",
              "summary": "P1 bert-large on node-a fails 38 % of requests for search (1 of 2 replicas), since 14:02 UTC (3 min)"
            },
            "endsAt": "2026-11-23T14:10:11.000Z",
            "generatorURL": "https://gpuwarden.example/incidents/2",
            "labels": {
              "alertname": "GpuwardenIncident",
              "incident": "2",
              "installation": "berlin",
              "severity": "P1",
              "type": "gpu-oom"
            },
            "startsAt": "2026-11-23T14:02:11.000Z"
          }
        ]"#]],
    );
}

#[test]
fn alertmanager_is_told_that_the_alert_of_the_severity_of_before_is_over() {
    let previous = Some(told("2", "P2"));
    let notice = Notice::of(message(Kind::Update));
    let sent = request(&alertmanager(), &notice, previous.as_ref());
    let Request::Http(http) = &sent else { panic!("{sent:?}") };
    let body: Value = serde_json::from_slice(&http.body).unwrap();
    assert_eq!(body[0]["labels"]["severity"], "P1");
    assert_eq!(body[1]["labels"]["severity"], "P2");
    assert_eq!(body[1]["endsAt"], notice.first.at.to_string());
    assert_eq!(sent.leaves().unwrap().note, Severity::P1.to_string());
}

#[test]
fn an_end_reaches_alertmanager_as_one() {
    check(
        &alertmanager(),
        message(Kind::Resolved),
        Some(&told("2", "P1")),
        &expect![[r#"
        POST /api/v2/alerts
        [
          {
            "annotations": {
              "description": "fixed by  trt-worker restarted with a smaller batch\ncause     memory of trt-worker (pid 4312) grew by 212 MiB/s on GPU 2 of node-a (93 % sure)\ndid       14:03 UTC queue of bert-large limited to 64 (kept, ends 14:32)\nreview    2026-11-24 14:02 UTC",
              "runbook_url": "https://gpuwarden.example/runbooks/gpu-oom",
              "summary": "Resolved: P1 bert-large on node-a fails 38 % of requests for search (1 of 2 replicas), lasted 47 min"
            },
            "endsAt": "2026-11-23T14:49:11.000Z",
            "generatorURL": "https://gpuwarden.example/incidents/2",
            "labels": {
              "alertname": "GpuwardenIncident",
              "incident": "2",
              "installation": "berlin",
              "severity": "P1",
              "type": "gpu-oom"
            },
            "startsAt": "2026-11-23T14:02:11.000Z"
          }
        ]"#]],
    );
}

#[test]
fn a_webhook_is_sent_a_signed_event() {
    check(
        &webhook(),
        message(Kind::Page),
        None,
        &expect![[r#"
        POST /gpuwarden
        idempotency-key: 2/page-L1/ops/1
        x-gpuwarden-signature: t=1795442711,v1=210119e9d79bd8c6bc36003c186586a95211540067edb3e3233a2fc63ce32fb6
        {
          "data": {
            "audience": "engineering",
            "facts": {
              "at": "2026-11-23T14:05:11.000Z",
              "audience": "engineering",
              "broken": "bert-large on node-a fails 38 % of requests",
              "cause": {
                "confidence": 0.93,
                "what": "memory of trt-worker (pid 4312) grew by 212 MiB/s on GPU 2 of node-a"
              },
              "done": [
                {
                  "at": "2026-11-23T14:03:11.000Z",
                  "what": "queue of bert-large limited to 64 (kept, ends 14:32)"
                }
              ],
              "expected_over": "2026-11-23T14:32:11.000Z",
              "incident": 2,
              "kind": "page",
              "links": {
                "acknowledge": "https://gpuwarden.example/incidents/2/acknowledge",
                "bridge": "https://call.example/bridge",
                "incident": "https://gpuwarden.example/incidents/2",
                "runbook": "https://gpuwarden.example/runbooks/gpu-oom",
                "silence": "https://gpuwarden.example/incidents/2/silence",
                "status_page": "https://status.example/"
              },
              "news": "",
              "next": {
                "command": "gpuwarden runbook step done 2 4",
                "what": "gpu-oom step 4: move a replica to another node"
              },
              "next_update": "2026-11-23T14:35:11.000Z",
              "over": null,
              "owner": null,
              "public": {
                "impact": "some searches fail or take long",
                "service": "Search"
              },
              "severity": "P1",
              "since": "2026-11-23T14:02:11.000Z",
              "type": "gpu-oom",
              "whom": "search (1 of 2 replicas)"
            },
            "headline": "P1 bert-large on node-a fails 38 % of requests for search (1 of 2 replicas), since 14:02 UTC (3 min)",
            "incident": 2,
            "kind": "page",
            "links": {
              "acknowledge": "https://gpuwarden.example/incidents/2/acknowledge",
              "call": "https://call.example/bridge",
              "incident": "https://gpuwarden.example/incidents/2",
              "runbook": "https://gpuwarden.example/runbooks/gpu-oom",
              "silence": "https://gpuwarden.example/incidents/2/silence"
            },
            "service": "Search",
            "severity": "P1",
            "since": "2026-11-23T14:02:11.000Z",
            "text": "cause     memory of trt-worker (pid 4312) grew by 212 MiB/s on GPU 2 of node-a (93 % sure)\ndid       14:03 UTC queue of bert-large limited to 64 (kept, ends 14:32)\nnext      gpu-oom step 4: move a replica to another node\n          gpuwarden runbook step done 2 4\nexpected  over by 14:32 UTC"
          },
          "datacontenttype": "application/json",
          "id": "2/page-L1/ops/1",
          "source": "/gpuwarden/berlin",
          "specversion": "1.0",
          "subject": "2",
          "time": "2026-11-23T14:05:11.000Z",
          "type": "gpuwarden.incident.v1.page"
        }"#]],
    );
}

#[test]
fn a_webhook_for_stakeholders_is_sent_no_facts() {
    let page = example::message(Kind::Page, Audience::Stakeholders);
    check(
        &webhook(),
        page,
        None,
        &expect![[r#"
        POST /gpuwarden
        idempotency-key: 2/page-L1/ops/1
        x-gpuwarden-signature: t=1795442711,v1=96a60842df44e32b4617b55b5203950e91b52cbb3266e8b2e13c14c477afac22
        {
          "data": {
            "audience": "stakeholders",
            "headline": "Outage: Search: some searches fail or take long, since 14:02 UTC",
            "incident": 2,
            "kind": "page",
            "links": {
              "status page": "https://status.example/"
            },
            "service": "Search",
            "severity": "P1",
            "since": "2026-11-23T14:02:11.000Z",
            "text": "We are working on it.\nExpected to be over by 14:32 UTC.\nNext update by 14:35 UTC."
          },
          "datacontenttype": "application/json",
          "id": "2/page-L1/ops/1",
          "source": "/gpuwarden/berlin",
          "specversion": "1.0",
          "subject": "2",
          "time": "2026-11-23T14:05:11.000Z",
          "type": "gpuwarden.incident.v1.page"
        }"#]],
    );
}

#[test]
fn pagerduty_and_alertmanager_have_nothing_to_say_to_everybody() {
    for channel in [pagerduty(), alertmanager()] {
        assert!(!channel.takes(Kind::Broadcast));
        let notice = Notice::of(message(Kind::Broadcast));
        let words = Templates::default().words(&notice);
        let now = notice.first.at;
        let letter = Letter { key: "k", notice: &notice, words: &words, previous: None, now };
        assert!(channel.render(&letter).is_err());
    }
}
