//! Connections: so many at one time, so large a head, so long to send it.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1::Builder;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::status::{Metrics, Refused};

/// Connections at one time. With the longest body each, that is what they may cost in memory.
pub(super) const CONNECTIONS_MAX: usize = 64;
/// Connections beyond, at one time, that are still told so.
const TURNED_AWAY_MAX: usize = 64;
/// How long one of them is waited for.
const TURNED_AWAY_WITHIN: Duration = Duration::from_secs(1);
/// The longest head of a request.
const HEAD_MAX_BYTES: usize = 16 * 1024;
/// What is read ahead of one connection, heads and parts of bodies.
const READ_AHEAD_BYTES: usize = 64 * 1024;
/// How long a head may take; a connection that is kept open and says nothing ends by it too.
const HEAD_WITHIN: Duration = Duration::from_secs(30);
/// How long requests may take to end when we stop.
const STOP_WITHIN: Duration = Duration::from_secs(5);

const CROWDED: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\n\
    content-type: text/plain; charset=utf-8\r\ncontent-length: 43\r\nconnection: close\r\n\r\n\
    too many connections; ask again in a second";

/// Answers until it is told to stop.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let doorstep = Arc::new(Semaphore::new(TURNED_AWAY_MAX));
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = accepted else {
            // Usually too many open files: others need them more.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        if let Ok(place) = Arc::clone(&places).try_acquire_owned() {
            let (router, metrics, stop) = (router.clone(), Arc::clone(&metrics), stop.clone());
            tokio::spawn(async move {
                answer(stream, router, &metrics, &stop).await;
                drop(place);
            });
            continue;
        }
        metrics.refuse_http(Refused::Crowded);
        if let Ok(place) = Arc::clone(&doorstep).try_acquire_owned() {
            tokio::spawn(async move {
                // Who asked and went away has lost nothing.
                drop(tokio::time::timeout(TURNED_AWAY_WITHIN, turn_away(stream)).await);
                drop(place);
            });
        }
    }
}

/// Answers the requests of one connection, one after another.
async fn answer(stream: TcpStream, router: Router, metrics: &Metrics, stop: &CancellationToken) {
    let service = TowerToHyperService::new(router);
    let mut builder = Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_WITHIN);
    builder.max_header_size(HEAD_MAX_BYTES).max_buf_size(READ_AHEAD_BYTES);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            tokio::time::timeout(STOP_WITHIN, connection).await.unwrap_or(Ok(()))
        }
    };
    if ended.is_err_and(|error| error.is_parse_too_large()) {
        metrics.refuse_http(Refused::TooLarge);
    }
}

/// Says that there are too many. What was asked is read first, or the answer would be lost with it.
async fn turn_away(mut stream: TcpStream) -> std::io::Result<()> {
    let mut asked = vec![0; HEAD_MAX_BYTES];
    // However much of it has come is enough.
    let _ = stream.read(&mut asked).await?;
    stream.write_all(CROWDED).await?;
    stream.shutdown().await
}
