//! The HTTP side of the status: a few read-only pages for this node.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gpuwarden_proto::time::spoken;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::{Status, StatusView, metrics, text};
use crate::sample::Moment;

/// Connections served at once; more wait.
const CONNECTIONS_MAX: usize = 16;
/// How long a client may take to say what it wants.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection may last.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(10);
/// The largest head of a request.
const HEAD_MAX_BYTES: usize = 16 * 1024;
/// The engine publishes every second or so; without a word for longer than this it has stopped.
const HEARTBEAT_MAX: Duration = Duration::from_secs(5);
/// Wait after a failed accept, which is usually for want of file descriptors.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

const PAGES: &str = "/healthz\n/metrics\n/status\n/status.txt\n";

/// Serves the latest status until `shutdown`. `now` is held against the engine's heartbeat.
pub async fn serve(
    listener: TcpListener,
    view: StatusView,
    now: impl Fn() -> Moment + Copy + Send + 'static,
    shutdown: CancellationToken,
) {
    let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    let accepting = async {
        loop {
            // Nobody closes the semaphore, so there is always a permit in the end.
            let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { return };
            while connections.try_join_next().is_some() {}
            match listener.accept().await {
                Ok((stream, _)) => {
                    let conversation = converse(stream, view.clone(), now);
                    connections.spawn(async move {
                        let _ = timeout(CONNECTION_TIMEOUT, conversation).await;
                        drop(permit);
                    });
                }
                Err(error) => {
                    tracing::warn!("status: cannot accept a connection: {error}");
                    sleep(ACCEPT_AGAIN).await;
                }
            }
        }
    };
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = accepting => {}
    }
}

async fn converse(stream: TcpStream, view: StatusView, now: impl Fn() -> Moment) {
    let service = service_fn(move |request: Request<Incoming>| {
        let status = Arc::clone(&view.borrow());
        let response = answer(request.method(), request.uri().path(), status, now());
        std::future::ready(Ok::<_, Infallible>(response))
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_MAX_BYTES)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!("status: {error}");
    }
}

fn answer(method: &Method, path: &str, status: Arc<Status>, now: Moment) -> Response<Full<Bytes>> {
    if method != Method::GET {
        let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "only GET\n");
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET"));
        return response;
    }
    match path {
        "/healthz" => health(&status, now),
        "/metrics" => match metrics::encode(status) {
            Ok(text) => page(StatusCode::OK, metrics::CONTENT_TYPE, text),
            Err(error) => plain(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
        },
        "/status" => match serde_json::to_string_pretty(&*status) {
            Ok(json) => page(StatusCode::OK, "application/json", json + "\n"),
            Err(error) => plain(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
        },
        "/status.txt" => plain(StatusCode::OK, text::render(&status)),
        "/" => plain(StatusCode::OK, PAGES),
        _ => plain(StatusCode::NOT_FOUND, format!("there is only\n{PAGES}")),
    }
}

fn health(status: &Status, now: Moment) -> Response<Full<Bytes>> {
    let silence = now.since(status.moment);
    if silence <= HEARTBEAT_MAX {
        return plain(StatusCode::OK, "ok\n");
    }
    let words = format!("the engine has not moved for {}\n", spoken(silence));
    plain(StatusCode::SERVICE_UNAVAILABLE, words)
}

fn plain(status: StatusCode, text: impl Into<Bytes>) -> Response<Full<Bytes>> {
    page(status, "text/plain; charset=utf-8", text)
}

fn page(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Bytes>,
) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
