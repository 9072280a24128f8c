//! `/healthz` and `/metrics`, for machines that look whether we are well.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::status::Metrics;

/// Connections at one time.
const CONNECTIONS_MAX: usize = 16;
/// The longest head of a request.
const HEAD_MAX_BYTES: usize = 8 * 1024;
/// How long one request may take.
const REQUEST_WITHIN: Duration = Duration::from_secs(5);

/// Answers until it is told to stop.
pub async fn serve(listener: TcpListener, metrics: Arc<Metrics>, stop: CancellationToken) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
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
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
        let metrics = Arc::clone(&metrics);
        tokio::spawn(async move {
            // Who asked and went away has lost nothing.
            drop(tokio::time::timeout(REQUEST_WITHIN, answer(stream, &metrics)).await);
            drop(place);
        });
    }
}

async fn answer(mut stream: TcpStream, metrics: &Metrics) -> std::io::Result<()> {
    let mut head = Vec::with_capacity(1024);
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if head.len() > HEAD_MAX_BYTES || stream.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    }
    let (status, kind, body) = page(&head, metrics);
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    stream.shutdown().await
}

fn page(head: &[u8], metrics: &Metrics) -> (&'static str, &'static str, String) {
    let text = "text/plain; charset=utf-8";
    if head.starts_with(b"GET /healthz ") {
        return match metrics.store_healthy.get() {
            1 => ("200 OK", text, "ok\n".to_owned()),
            _ => ("503 Service Unavailable", text, "the store fails; see the log\n".to_owned()),
        };
    }
    if head.starts_with(b"GET /metrics ") {
        let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
        return ("200 OK", kind, metrics.page().unwrap_or_default());
    }
    ("404 Not Found", text, "here are /healthz and /metrics\n".to_owned())
}
