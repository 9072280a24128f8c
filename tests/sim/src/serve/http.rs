//! Triton's HTTP endpoints over a simulated node.

use std::io;

use bytes::Bytes;
use gpuwarden_agent::sample::Moment;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::CONTENT_TYPE;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};

use crate::fault::Service;
use crate::node::SimNode;

/// A request on its way to the task that owns the node.
#[derive(Debug)]
pub(super) struct Ask {
    method: Method,
    path: String,
    answer: oneshot::Sender<Option<Answer>>,
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    status: StatusCode,
    kind: &'static str,
    body: String,
}

impl Ask {
    /// Sends the answer. Who asked may have hung up.
    pub(super) fn reply(self, answer: Option<Answer>) {
        let _ = self.answer.send(answer);
    }
}

impl Answer {
    /// What the node answers at `now`; `None` when nobody is there to answer.
    pub(super) fn of(node: &mut SimNode, ask: &Ask, now: Moment) -> Option<Self> {
        node.advance(now);
        if node.server_state() == Service::Gone {
            return None;
        }
        let path: Vec<&str> = ask.path.trim_matches('/').split('/').collect();
        Some(match (&ask.method, path.as_slice()) {
            (&Method::GET, ["metrics"]) => Self::text(node.metrics_page(now)),
            (&Method::GET, ["v2"]) => Self::json(node.server_metadata()),
            (&Method::GET, ["v2", "health", "live"]) => Self::ready(true),
            (&Method::GET, ["v2", "health", "ready"]) => Self::ready(node.server_ready()),
            (&Method::POST, ["v2", "repository", "index"]) => {
                Self::json(node.repository_index(now))
            }
            (&Method::GET, ["v2", "models", name, "ready"])
            | (&Method::GET, ["v2", "models", name, "versions", _, "ready"]) => {
                Self::ready(node.model_ready(name))
            }
            (&Method::GET, ["v2", "models", name, "config"])
            | (&Method::GET, ["v2", "models", name, "versions", _, "config"]) => {
                node.model_config(name).map_or_else(|| Self::unknown_model(name), Self::json)
            }
            _ => Self::error(StatusCode::NOT_FOUND, "Not Found"),
        })
    }

    fn text(body: String) -> Self {
        Self { status: StatusCode::OK, kind: "text/plain; charset=utf-8", body }
    }

    fn json(body: String) -> Self {
        Self { status: StatusCode::OK, kind: "application/json", body }
    }

    /// Triton says 400 and not 503 where it is not ready.
    fn ready(ready: bool) -> Self {
        let status = if ready { StatusCode::OK } else { StatusCode::BAD_REQUEST };
        Self { status, ..Self::text(String::new()) }
    }

    fn unknown_model(name: &str) -> Self {
        let error = format!("Request for unknown model: '{name}' is not found");
        Self::error(StatusCode::BAD_REQUEST, &error)
    }

    fn error(status: StatusCode, error: &str) -> Self {
        Self { status, ..Self::json(serde_json::json!({ "error": error }).to_string()) }
    }

    fn into_response(self) -> Result<Response<Full<Bytes>>, hyper::http::Error> {
        Response::builder()
            .status(self.status)
            .header(CONTENT_TYPE, self.kind)
            .body(Full::new(Bytes::from(self.body)))
    }
}

/// Serves one connection to its end. How it ends is the client's business.
pub(super) async fn converse(stream: TcpStream, asks: mpsc::Sender<Ask>) {
    let service = service_fn(move |request| respond(request, asks.clone()));
    let http = hyper::server::conn::http1::Builder::new();
    let _ = http.serve_connection(TokioIo::new(stream), service).await;
}

/// An error closes the connection without an answer, as a server does that is not there.
async fn respond(
    request: Request<Incoming>,
    asks: mpsc::Sender<Ask>,
) -> io::Result<Response<Full<Bytes>>> {
    let (answer, answered) = oneshot::channel();
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let gone = |_| io::Error::from(io::ErrorKind::ConnectionReset);
    asks.send(Ask { method, path, answer }).await.map_err(|_| io::ErrorKind::ConnectionReset)?;
    let answer = answered.await.map_err(gone)?.ok_or(io::ErrorKind::ConnectionReset)?;
    answer.into_response().map_err(io::Error::other)
}
