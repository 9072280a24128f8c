use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use super::*;

/// Serves the first node of the demo while `with` talks to it.
async fn served<F: Future<Output = ()>>(with: impl FnOnce(Endpoints) -> F) {
    let node = crate::fleet::healthy(1).remove(0);
    let (endpoints, server) = bind(node, Clock::start()).await.expect("a free port");
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(server.run(shutdown.clone()));
    with(endpoints).await;
    shutdown.cancel();
    tokio::time::timeout(Duration::from_secs(5), running).await.expect("stops").expect("ends well");
}

async fn ask(at: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(at).await.expect("it listens");
    let head = format!("{request} HTTP/1.1\r\nHost: sim\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await.expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("it answers");
    answer
}

#[tokio::test]
async fn it_answers_as_a_triton_would() {
    served(|endpoints| async move {
        let ask = |request| ask(endpoints.http, request);
        assert!(ask("GET /metrics").await.contains("nv_inference_pending_request_count{"));
        assert!(ask("GET /v2").await.contains("\"version\":\"2.51.0\""));
        assert!(ask("GET /v2/health/ready").await.starts_with("HTTP/1.1 200"));
        assert!(ask("POST /v2/repository/index").await.contains("\"state\":\"READY\""));
        assert!(ask("GET /v2/models/resnet50/config").await.contains("\"count\":2"));
        assert!(ask("GET /v2/models/resnet50/ready").await.starts_with("HTTP/1.1 200"));
        assert!(ask("GET /v2/models/nothing/ready").await.starts_with("HTTP/1.1 400"));
        assert!(ask("GET /nothing").await.starts_with("HTTP/1.1 404"));
    })
    .await;
}

#[tokio::test]
async fn its_probe_says_hello_and_then_reads_again_and_again() {
    served(|endpoints| async move {
        let mut lines = BufReader::new(endpoints.probe).lines();
        let mut next = async || lines.next_line().await.expect("it writes").expect("a line");
        assert!(next().await.starts_with("{\"hello\":{\"driver_version\":\"580.95.05\""));
        let first = next().await;
        assert!(first.starts_with("{\"gpus\":{"), "{first}");
        assert!(first.contains("trt-worker"), "{first}");
        assert!(next().await.contains("\"process_use\":null"));
    })
    .await;
}
