//! The aggregator over HTTP, as it really listens.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::connection::CONNECTIONS_MAX;
use crate::Aggregator;
use crate::clock::Clock;
use crate::config::Config;
use crate::store::MemoryStore;

/// An aggregator that serves, with nothing on disk.
pub(crate) struct Served {
    pub(crate) http: SocketAddr,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<anyhow::Result<()>>,
}

impl Served {
    pub(crate) async fn start() -> Self {
        let local = SocketAddr::from(([127, 0, 0, 1], 0));
        let config = Config { grpc_listen: local, http_listen: local, ..Config::default() };
        let store = Box::new(MemoryStore::default());
        let aggregator = Aggregator::bind_with(config, Clock::System, store).await.unwrap();
        let http = aggregator.http_addr().unwrap();
        let stop = CancellationToken::new();
        let task = tokio::spawn(aggregator.run(stop.clone()));
        Self { http, stop, task }
    }

    /// Sends these bytes and reads all that comes back.
    pub(crate) async fn send(&self, request: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.http).await.unwrap();
        // A request that is refused early is not read to its end.
        drop(stream.write_all(request).await);
        let mut answer = Vec::new();
        drop(stream.read_to_end(&mut answer).await);
        String::from_utf8_lossy(&answer).into_owned()
    }

    pub(crate) async fn get(&self, path: &str) -> String {
        let head = format!("GET {path} HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n");
        self.send(head.as_bytes()).await
    }

    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap().unwrap();
    }
}

fn status(answer: &str) -> &str {
    answer.split("\r\n").next().unwrap_or_default()
}

#[tokio::test]
async fn health_and_metrics_tell_how_it_is_doing() {
    let served = Served::start().await;
    while status(&served.get("/healthz").await) != "HTTP/1.1 200 OK" {
        tokio::task::yield_now().await;
    }
    assert!(served.get("/metrics").await.contains("gpuwarden_aggregator_store_healthy 1"));
    assert_eq!(status(&served.get("/").await), "HTTP/1.1 404 Not Found");
    served.stop().await;
}

#[tokio::test]
async fn what_is_too_large_is_refused_with_its_reason_and_counted() {
    let served = Served::start().await;
    let head = format!("GET /{} HTTP/1.1\r\nhost: h\r\n\r\n", "x".repeat(64 * 1024));
    let answer = served.send(head.as_bytes()).await;
    assert_eq!(status(&answer), "HTTP/1.1 431 Request Header Fields Too Large");
    let page = served.get("/metrics").await;
    assert!(page.contains(r#"http_refused_total{reason="TooLarge"} 1"#), "{page}");
    served.stop().await;
}

#[tokio::test]
async fn a_connection_too_many_is_told_so() {
    let served = Served::start().await;
    let mut others = Vec::new();
    for _ in 0..CONNECTIONS_MAX {
        others.push(TcpStream::connect(served.http).await.unwrap());
    }
    let answer = served.get("/healthz").await;
    assert_eq!(status(&answer), "HTTP/1.1 503 Service Unavailable");
    assert!(answer.ends_with("ask again in a second"), "{answer}");
    drop(others);
    served.stop().await;
}
