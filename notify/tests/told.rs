//! From an incident to Slack and PagerDuty: the outbox, the words, the requests and what is sent, by
//! stand-ins that refuse what the real ones would, in simulated time.

#![expect(clippy::unwrap_used, reason = "what builds a scene is a test, too")]

mod standin;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use gpuwarden_notify::config::Settings;
use gpuwarden_notify::delivery::{Delivery, DestinationName, Input, Key, Output, Row, Send, State};
use gpuwarden_notify::destination::{Answer, Broken, Endpoint, HttpRequest, Request, Verdict};
use gpuwarden_notify::message::{Audience, Done, Kind, Message, example};
use gpuwarden_notify::sender::{ANSWER_MAX_BYTES, Sender};
use gpuwarden_notify::teller::Teller;
use gpuwarden_proto::vocab::{IncidentId, Severity};
use serde_json::{Value, json};
use standin::{Asked, Hand, ROUTING_KEY, Said, Standin, TOKEN};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;

fn settings(port: u16, token: &'static str) -> Settings {
    let text = format!(
        r##"
[[destination]]
name = "slack"
kind = "slack"
api = "http://127.0.0.1:{port}/api"
token_file = "/token"
channel = "#incidents"
signing_secret_file = "/signing"
fall_back = "pager"
[[destination]]
name = "pager"
kind = "pagerduty"
url = "http://127.0.0.1:{port}/v2/enqueue"
routing_key_file = "/key"
"##
    );
    let read = |file: &Path| {
        Ok(match file.to_str() {
            Some("/token") => token,
            Some("/key") => ROUTING_KEY,
            _ => "signing",
        }
        .to_owned())
    };
    Settings::parse("notify.toml", &text, &read).unwrap()
}

/// Everything that tells, and who is told; time passes when nothing else is to be done.
struct Scene {
    standin: Standin,
    hand: Hand,
    teller: Teller,
    delivery: Delivery,
    kept: BTreeMap<Key, Row>,
}

impl Scene {
    async fn start() -> Self {
        Self::with_token(TOKEN).await
    }

    async fn with_token(token: &'static str) -> Self {
        let hand = Hand::at(example::since());
        let standin = Standin::start(hand.clone()).await;
        let (teller, _) = Teller::new(settings(standin.port, token)).unwrap();
        let delivery = Delivery::new(teller.policies(), 7);
        Self { standin, hand, teller, delivery, kept: BTreeMap::new() }
    }

    async fn tell(&mut self, destination: &str, step: &str, message: Message) {
        let destination = DestinationName::new(destination).unwrap();
        let key = Key { incident: message.incident, step: step.to_owned(), destination, round: 0 };
        let input = Input::Notify(key, Box::new(message));
        let out = self.delivery.apply(self.hand.now(), input);
        self.carry_out(out).await;
    }

    async fn carry_out(&mut self, out: Vec<Output>) {
        let mut sends: Vec<Send> = Vec::new();
        self.keep(out, &mut sends);
        while !sends.is_empty() {
            let send = sends.remove(0);
            let verdict = self.teller.tell(&send, || self.hand.now()).await;
            let input = Input::Answered(send.request, verdict);
            let out = self.delivery.apply(self.hand.now(), input);
            self.keep(out, &mut sends);
        }
    }

    fn keep(&mut self, out: Vec<Output>, sends: &mut Vec<Send>) {
        for output in out {
            match output {
                Output::Persist(row) => drop(self.kept.insert(row.key.clone(), *row)),
                Output::Forget(key) => drop(self.kept.remove(&key)),
                Output::Send(send) => sends.push(*send),
                Output::Dead(..) => {}
            }
        }
    }

    /// Until nothing is left to do within so long.
    async fn pass(&mut self, seconds: u64) {
        let until = self.hand.now().after(Duration::from_secs(seconds));
        while let Some(wake) = self.delivery.next_wake(self.hand.now()).filter(|at| *at <= until) {
            self.hand.set(wake.max(self.hand.now()));
            let out = self.delivery.apply(self.hand.now(), Input::Tick);
            self.carry_out(out).await;
        }
        self.hand.set(until);
    }

    /// What was asked of the stand-ins: the path, and the status of the answer.
    fn log(&self) -> Vec<(String, u16)> {
        self.standin.with(|state| {
            state.log.iter().map(|(asked, status)| (asked.path.clone(), *status)).collect()
        })
    }

    fn on_their_way(&self) -> usize {
        self.kept.values().filter(|row| row.is_on_its_way()).count()
    }
}

fn message(incident: u64, severity: Severity, kind: Kind) -> Message {
    let message = example::message(kind, Audience::Engineering);
    Message { incident: IncidentId(incident), severity, ..message }
}

#[tokio::test]
async fn slack_has_one_message_for_an_incident_that_says_what_is_so_now() {
    let mut scene = Scene::start().await;
    for (step, kind) in [("page", Kind::Page), ("u", Kind::Update), ("over", Kind::Resolved)] {
        scene.tell("slack", step, message(2, Severity::P1, kind)).await;
        scene.pass(5).await;
    }
    scene.standin.with(|state| {
        assert_eq!(state.messages.len(), 1);
        let text = state.messages.values().next().unwrap()["text"].to_string();
        assert!(text.starts_with("\"Resolved: P1 bert-large"), "{text}");
    });
    assert_eq!(scene.on_their_way(), 0);
}

#[tokio::test]
async fn a_storm_reaches_slack_at_its_rate_and_the_most_urgent_first() {
    let mut scene = Scene::start().await;
    for incident in 1..=20 {
        let severity = if incident == 20 { Severity::P1 } else { Severity::P4 };
        scene.tell("slack", "page", message(incident, severity, Kind::Page)).await;
    }
    scene.pass(60).await;
    let log = scene.log();
    assert_eq!(log.len(), 20);
    assert!(log.iter().all(|(_, status)| *status == 200), "{log:?}");
    let second = scene.standin.with(|state| state.log[1].0.body["text"].to_string());
    assert!(second.starts_with("\"P1 "), "{second}");
}

#[tokio::test]
async fn what_slack_asks_to_wait_is_waited_for() {
    let mut scene = Scene::start().await;
    let busy = Said { status: 429, retry_after: Some(30), body: String::new() };
    scene.standin.with(|state| state.outage.push(busy));
    let asked = scene.hand.now();
    scene.tell("slack", "page", message(2, Severity::P1, Kind::Page)).await;
    scene.pass(29).await;
    assert_eq!(scene.log().len(), 1);
    scene.pass(10).await;
    assert_eq!(scene.log().len(), 2);
    let row = scene.kept.values().next().unwrap();
    let State::Told { at, .. } = &row.state else { panic!("{row:?}") };
    assert!(at.since(asked) >= Duration::from_secs(30));
}

#[tokio::test]
async fn a_message_that_somebody_deleted_in_slack_is_told_anew() {
    let mut scene = Scene::start().await;
    scene.tell("slack", "page", message(2, Severity::P1, Kind::Page)).await;
    scene.pass(5).await;
    scene.standin.with(|state| state.messages.clear());
    scene.tell("slack", "u", message(2, Severity::P1, Kind::Update)).await;
    scene.pass(5).await;
    assert_eq!(scene.standin.with(|state| state.messages.len()), 1);
    assert_eq!(scene.on_their_way(), 0);
}

#[tokio::test]
async fn a_token_that_was_revoked_sends_the_page_to_the_fall_back() {
    let mut scene = Scene::with_token("xoxb-revoked").await;
    scene.tell("slack", "page", message(2, Severity::P1, Kind::Page)).await;
    scene.pass(5).await;
    let alerts = scene.standin.with(|state| state.alerts.clone());
    assert_eq!(alerts, BTreeMap::from([("gpuwarden/gpuwarden/2".to_owned(), 1)]));
}

#[tokio::test]
async fn pagerduty_rings_once_is_acknowledged_and_ends() {
    let mut scene = Scene::start().await;
    for (step, kind) in [("page", Kind::Page), ("u", Kind::Update), ("over", Kind::Resolved)] {
        scene.tell("pager", step, message(2, Severity::P1, kind)).await;
        scene.pass(5).await;
    }
    scene.standin.with(|state| {
        assert_eq!(state.alerts.values().copied().collect::<Vec<_>>(), [1]);
        assert!(state.resolved.contains("gpuwarden/gpuwarden/2"));
        assert!(state.log.iter().all(|(_, status)| *status == 202));
    });
}

#[tokio::test]
async fn an_endless_incident_is_taken_by_both() {
    let mut scene = Scene::start().await;
    let mut long = message(2, Severity::P1, Kind::Page);
    long.broken = "<&> & more ".repeat(2000);
    let at = long.since;
    long.done = vec![Done { at, what: "tried & failed ".repeat(2000) }; 300];
    scene.tell("slack", "page", long.clone()).await;
    scene.tell("pager", "page", long).await;
    scene.pass(5).await;
    let log = scene.log();
    let statuses: Vec<u16> = log.iter().map(|(_, status)| *status).collect();
    assert_eq!(statuses, [200, 202]);
    assert_eq!(scene.standin.with(|state| state.messages.len()), 1);
}

#[tokio::test]
async fn an_outage_and_a_crash_lose_nothing_and_pagerduty_rings_for_one_alert() {
    let mut scene = Scene::start().await;
    let down = Said { status: 503, retry_after: None, body: String::new() };
    scene.standin.with(|state| state.outage.extend(vec![down; 4]));
    scene.tell("pager", "page", message(2, Severity::P1, Kind::Page)).await;
    // Handed over and not confirmed: the process dies while the request is out.
    let out = scene.delivery.apply(scene.hand.now().after(Duration::from_secs(300)), Input::Tick);
    scene.keep(out, &mut Vec::new());
    let rows = scene.kept.values().cloned().collect();
    let policies = scene.teller.policies();
    let (delivery, out) = Delivery::restore(policies, 7, rows, scene.hand.now());
    scene.delivery = delivery;
    scene.carry_out(out).await;
    scene.pass(600).await;
    assert_eq!(scene.on_their_way(), 0);
    let alerts = scene.standin.with(|state| state.alerts.clone());
    assert_eq!(alerts.keys().map(String::as_str).collect::<Vec<_>>(), ["gpuwarden/gpuwarden/2"]);
}

fn asked(path: &str, body: Value) -> Asked {
    let bytes = body.to_string().len();
    Asked { path: path.to_owned(), authorization: format!("Bearer {TOKEN}"), body, bytes }
}

fn refusal(path: &str, body: Value) -> String {
    let said = standin::judge(&asked(path, body), &mut standin::State::default(), example::since());
    format!("{} {}", said.status, said.body)
}

#[test]
fn the_stand_in_of_slack_refuses_what_slack_would() {
    let section = |length| json!({"type": "section", "text": {"text": "x".repeat(length)}});
    let post = |blocks: Vec<Value>, channel: &str| {
        let body = json!({"channel": channel, "text": "t", "blocks": blocks});
        refusal("/api/chat.postMessage", body)
    };
    assert!(post(vec![section(3000)], "#incidents").contains(r#""ok":true"#));
    assert!(post(vec![section(3001)], "#incidents").contains("invalid_blocks"));
    assert!(post(vec![section(1); 51], "#incidents").contains("invalid_blocks"));
    assert!(post(vec![section(1)], "#other").contains("channel_not_found"));
    let gone = json!({"channel": "C-incidents", "text": "t", "ts": "1.2", "blocks": []});
    assert!(refusal("/api/chat.update", gone).contains("message_not_found"));
}

#[test]
fn the_stand_in_of_pagerduty_refuses_what_pagerduty_would() {
    let enqueue = |change: fn(&mut Value)| {
        let mut event = json!({
            "routing_key": ROUTING_KEY, "event_action": "trigger", "dedup_key": "k",
            "payload": {"summary": "s", "source": "s", "severity": "critical"},
        });
        change(&mut event);
        refusal("/v2/enqueue", event)
    };
    assert!(enqueue(|_| {}).starts_with("202"));
    assert!(enqueue(|event| event["dedup_key"] = json!("")).starts_with("400"));
    assert!(enqueue(|event| event["routing_key"] = json!("x")).starts_with("400"));
    assert!(enqueue(|event| event["payload"]["severity"] = json!("P1")).starts_with("400"));
    let long = |event: &mut Value| event["payload"]["summary"] = json!("x".repeat(1025));
    assert!(enqueue(long).starts_with("400"));
    let large = |event: &mut Value| event["payload"]["custom_details"] = json!("x".repeat(524_288));
    assert!(enqueue(large).starts_with("413"));
}

fn post(url: &str) -> Request {
    Request::Http(HttpRequest::json(Endpoint::parse(url).unwrap(), &json!({})))
}

#[tokio::test]
async fn of_an_answer_without_end_only_so_much_is_read() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        drop(stream.write_all(head).await);
        let chunk = format!("1000\r\n{}\r\n", "x".repeat(4096));
        while stream.write_all(chunk.as_bytes()).await.is_ok() {}
    });
    let sender = Sender::new(None).unwrap();
    let answer = sender.send(&post(&format!("http://127.0.0.1:{port}/"))).await;
    let Answer::Http { body, .. } = answer else { panic!("{answer:?}") };
    assert_eq!(body.len(), ANSWER_MAX_BYTES);
}

#[tokio::test(start_paused = true)]
async fn who_never_answers_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let sender = Sender::new(None).unwrap();
    let answer = sender.send(&post(&format!("http://127.0.0.1:{port}/"))).await;
    assert!(matches!(answer, Answer::Nothing(Broken::Late(_))), "{answer:?}");
}

#[tokio::test]
async fn who_is_not_there_or_speaks_no_http_is_tried_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let accept = async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        drop(stream.write_all(b"220 mail.example ESMTP\r\n").await);
        drop((stream, listener));
    };
    let sender = Sender::new(None).unwrap();
    let request = post(&format!("http://127.0.0.1:{port}/"));
    let (_, answer) = tokio::join!(accept, sender.send(&request));
    let Answer::Nothing(broken) = &answer else { panic!("{answer:?}") };
    assert!(matches!(Verdict::of_broken(broken), Verdict::Retry { .. }));
    let answer = sender.send(&request).await;
    assert!(matches!(answer, Answer::Nothing(Broken::Unreachable(_))), "{answer:?}");
}

#[tokio::test]
async fn who_cannot_prove_its_name_is_told_nothing() {
    let pair = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let ca_file = folder.path().join("ca.crt");
    std::fs::write(&ca_file, pem(pair.cert.der())).unwrap();
    let port = tls_server(&pair).await;

    let url = format!("https://localhost:{port}/");
    let answer = Sender::new(None).unwrap().send(&post(&url)).await;
    assert!(matches!(answer, Answer::Nothing(Broken::Tls(_))), "{answer:?}");
    let trusting = Sender::new(Some(&ca_file)).unwrap();
    let answer = trusting.send(&post(&url)).await;
    assert!(matches!(answer, Answer::Http { status: 204, .. }), "{answer:?}");
    let other_name = trusting.send(&post(&format!("https://127.0.0.1:{port}/"))).await;
    assert!(matches!(other_name, Answer::Nothing(Broken::Tls(_))), "{other_name:?}");
}

/// A certificate as it stands in a file.
fn pem(certificate: &[u8]) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in certificate.chunks(3) {
        let byte = |nth| three.get(nth).copied().map_or(0, u32::from);
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        let digit = |nth: u32| char::from(DIGITS[(bits >> (18 - 6 * nth)) as usize & 63]);
        let padded = |nth: u32| if nth as usize > three.len() { '=' } else { digit(nth) };
        text.extend((0..4).map(padded));
    }
    format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
}

/// Answers 204 to whoever completes a handshake and asks.
async fn tls_server(pair: &rcgen::CertifiedKey<rcgen::KeyPair>) -> u16 {
    use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
    use tokio_rustls::rustls::{ServerConfig, crypto::ring};
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(pair.signing_key.serialize_der()));
    let config = ServerConfig::builder_with_provider(std::sync::Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![pair.cert.der().clone()], key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if let Ok(mut stream) = acceptor.accept(stream).await {
                let mut head = [0; 1024];
                drop(tokio::io::AsyncReadExt::read(&mut stream, &mut head).await);
                drop(stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await);
                drop(stream.shutdown().await);
            }
        }
    });
    port
}
