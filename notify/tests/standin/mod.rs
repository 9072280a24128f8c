//! Stand-ins of Slack and PagerDuty that refuse what these would refuse, by what they document.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use gpuwarden_proto::time::Timestamp;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// The token that Slack gave.
pub(crate) const TOKEN: &str = "xoxb-right";
/// The key that PagerDuty gave.
pub(crate) const ROUTING_KEY: &str = "R0123456789abcdef0123456789abcde";

/// What was asked of a stand-in, as far as it looks at it.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) path: String,
    pub(crate) authorization: String,
    pub(crate) body: Value,
    pub(crate) bytes: usize,
}

/// What a stand-in answers.
#[derive(Debug, Clone)]
pub(crate) struct Said {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<u64>,
    pub(crate) body: String,
}

impl Said {
    pub(crate) fn new(status: u16, body: &Value) -> Self {
        Self { status, retry_after: None, body: body.to_string() }
    }
}

/// A clock that is moved by whoever tests. The stand-ins go by it.
#[derive(Debug, Clone)]
pub(crate) struct Hand(Arc<AtomicU64>);

impl Hand {
    pub(crate) fn at(start: Timestamp) -> Self {
        Self(Arc::new(AtomicU64::new(start.unix_ns())))
    }

    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_unix_ns(self.0.load(Ordering::SeqCst))
    }

    pub(crate) fn set(&self, now: Timestamp) {
        self.0.store(now.unix_ns(), Ordering::SeqCst);
    }
}

/// Slack and PagerDuty at one address.
pub(crate) struct Standin {
    pub(crate) port: u16,
    state: Arc<Mutex<State>>,
}

/// What the stand-ins remember.
#[derive(Default)]
pub(crate) struct State {
    /// All that was asked, with what was answered.
    pub(crate) log: Vec<(Asked, u16)>,
    /// Slack's messages by channel and time.
    pub(crate) messages: BTreeMap<(String, String), Value>,
    /// PagerDuty's open alerts, and how often each rang.
    pub(crate) alerts: BTreeMap<String, u32>,
    pub(crate) resolved: BTreeSet<String>,
    /// Answers that come before all rules.
    pub(crate) outage: Vec<Said>,
    last_in_channel: BTreeMap<String, Timestamp>,
    next_ts: u64,
}

impl Standin {
    pub(crate) async fn start(hand: Hand) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (shared, hand) = (Arc::clone(&shared), hand.clone());
                tokio::spawn(async move {
                    let service = service_fn(move |request| {
                        let (shared, hand) = (Arc::clone(&shared), hand.clone());
                        async move { answer(request, &shared, &hand).await }
                    });
                    let http = hyper::server::conn::http1::Builder::new();
                    drop(http.serve_connection(TokioIo::new(stream), service).await);
                });
            }
        });
        Self { port, state }
    }

    pub(crate) fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.state.lock().unwrap())
    }
}

async fn answer(
    request: Request<Incoming>,
    state: &Mutex<State>,
    hand: &Hand,
) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let path = request.uri().path().to_owned();
    let heads = request.headers();
    let authorization = heads.get("authorization").map_or("", |v| v.to_str().unwrap()).to_owned();
    let body = request.into_body().collect().await?.to_bytes();
    let bytes = body.len();
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let asked = Asked { path, authorization, body, bytes };
    let mut state = state.lock().unwrap();
    let said = if state.outage.is_empty() {
        judge(&asked, &mut state, hand.now())
    } else {
        state.outage.remove(0)
    };
    state.log.push((asked, said.status));
    let mut response = Response::builder().status(said.status);
    if let Some(seconds) = said.retry_after {
        response = response.header("retry-after", seconds.to_string());
    }
    Ok(response.body(Full::new(Bytes::from(said.body))).unwrap())
}

/// What the real ones would answer.
pub(crate) fn judge(asked: &Asked, state: &mut State, now: Timestamp) -> Said {
    match asked.path.as_str() {
        "/api/chat.postMessage" | "/api/chat.update" => slack(asked, state, now),
        "/v2/enqueue" => pagerduty(asked, state),
        _ => Said::new(404, &json!("no such place")),
    }
}

fn slack(asked: &Asked, state: &mut State, now: Timestamp) -> Said {
    let error = |word: &str| Said::new(200, &json!({"ok": false, "error": word}));
    let channel = asked.body["channel"].as_str().unwrap_or_default().trim_start_matches('#');
    if asked.authorization != format!("Bearer {TOKEN}") {
        return error("invalid_auth");
    }
    if asked.body["text"].as_str().is_none_or(|text| text.is_empty() || text.len() > 40_000) {
        return error("no_text");
    }
    if let Err(word) = blocks(&asked.body["blocks"]) {
        return error(word);
    }
    if !["incidents", "C-incidents"].contains(&channel) {
        return error("channel_not_found");
    }
    let second = Duration::from_secs(1);
    let last = state.last_in_channel.get("C-incidents");
    if last.is_some_and(|last| now.since(*last) < second) {
        let body = json!({"ok": false, "error": "ratelimited"}).to_string();
        return Said { status: 429, retry_after: Some(1), body };
    }
    state.last_in_channel.insert("C-incidents".to_owned(), now);
    let exists = |ts: &Value| {
        let ts = ts.as_str().unwrap_or_default().to_owned();
        state.messages.contains_key(&("C-incidents".to_owned(), ts))
    };
    let ts = if asked.path.ends_with("update") {
        if channel != "C-incidents" {
            return error("channel_not_found");
        }
        if !exists(&asked.body["ts"]) {
            return error("message_not_found");
        }
        asked.body["ts"].as_str().unwrap_or_default().to_owned()
    } else {
        if asked.body.get("thread_ts").is_some_and(|ts| !exists(ts)) {
            return error("thread_not_found");
        }
        state.next_ts += 1;
        format!("1795442531.{:06}", state.next_ts)
    };
    state.messages.insert(("C-incidents".to_owned(), ts.clone()), asked.body.clone());
    Said::new(200, &json!({"ok": true, "channel": "C-incidents", "ts": ts}))
}

/// The limits of Block Kit.
fn blocks(blocks: &Value) -> Result<(), &'static str> {
    let blocks = blocks.as_array().ok_or("invalid_blocks_format")?;
    let length = |value: &Value| value.as_str().map_or(0, |text| text.chars().count());
    let fits = blocks.iter().all(|block| match block["type"].as_str() {
        Some("header") => (1..=150).contains(&length(&block["text"]["text"])),
        Some("section") => (1..=3000).contains(&length(&block["text"]["text"])),
        Some("context") => {
            let elements = block["elements"].as_array().map_or(0, Vec::len);
            (1..=10).contains(&elements)
        }
        Some("actions") => block["elements"].as_array().is_some_and(|elements| {
            let mut ids = BTreeSet::new();
            let button = |button: &Value| {
                length(&button["text"]["text"]) <= 75
                    && length(&button["value"]) <= 2000
                    && ids.insert(button["action_id"].to_string())
            };
            (1..=25).contains(&elements.len()) && elements.iter().all(button)
        }),
        _ => false,
    });
    if fits && blocks.len() <= 50 { Ok(()) } else { Err("invalid_blocks") }
}

fn pagerduty(asked: &Asked, state: &mut State) -> Said {
    let invalid = |what: &str| {
        let errors = [what];
        let body = json!({"status": "invalid event", "message": "Event object is invalid",
            "errors": errors});
        Said::new(400, &body)
    };
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    if asked.bytes > 512 * 1024 {
        return Said::new(413, &json!({"status": "too large"}));
    }
    if text(&asked.body["routing_key"]) != ROUTING_KEY {
        return invalid("'routing_key' is invalid");
    }
    let key = text(&asked.body["dedup_key"]);
    if key.is_empty() || key.len() > 255 {
        return invalid("'dedup_key' is missing or blank");
    }
    match asked.body["event_action"].as_str() {
        Some("trigger") => {
            let payload = &asked.body["payload"];
            let summary = text(&payload["summary"]);
            if summary.is_empty() || summary.chars().count() > 1024 {
                return invalid("'payload.summary' is missing or too long");
            }
            let severity = text(&payload["severity"]);
            if !["critical", "error", "warning", "info"].contains(&severity.as_str()) {
                return invalid("'payload.severity' is invalid (must be one of ...)");
            }
            if text(&payload["source"]).is_empty() {
                return invalid("'payload.source' is missing or blank");
            }
            *state.alerts.entry(key.clone()).or_default() += 1;
        }
        Some("acknowledge") => {}
        Some("resolve") => drop(state.resolved.insert(key.clone())),
        _ => return invalid("'event_action' is invalid"),
    }
    let body = json!({"status": "success", "message": "Event processed", "dedup_key": key});
    Said::new(202, &body)
}
