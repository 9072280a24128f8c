//! The watcher against a small server.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::*;
use crate::clock::Clock;
use crate::sample::{PageReading, RepositoryEntry, RepositoryState};

/// So long that a test never sees it pass.
const NEVER: Duration = Duration::from_secs(3_600);
const SOON: Duration = Duration::from_millis(10);

/// Raw answers by path, which a test may change while they are served.
#[derive(Debug, Clone, Default)]
struct Answers(Arc<Mutex<HashMap<String, Vec<u8>>>>);

impl Answers {
    /// Those of a healthy server.
    fn captured() -> Self {
        let answers = Self::default();
        answers.ok("/metrics", &capture("idle.prom"));
        answers.ok("/v2", &capture("v2.json"));
        answers.ok("/v2/repository/index", &capture("repository_index.json"));
        answers.ok("/v2/models/slow/config", &capture("slow_config.json"));
        answers
    }

    fn ok(&self, path: &str, body: &str) {
        self.status(path, 200, body);
    }

    fn status(&self, path: &str, status: u16, body: &str) {
        let length = body.len();
        self.raw(path, format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\n\r\n{body}"));
    }

    fn raw(&self, path: &str, answer: String) {
        self.0.lock().unwrap().insert(path.to_owned(), answer.into_bytes());
    }

    fn to(&self, head: &str) -> Vec<u8> {
        let path = head.split(' ').nth(1).unwrap();
        let missing = b"HTTP/1.1 400 X\r\nContent-Length: 14\r\n\r\n{\"error\":\"no\"}".to_vec();
        self.0.lock().unwrap().get(path).cloned().unwrap_or(missing)
    }

    async fn serve(self, listener: TcpListener) {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(self.clone().converse(stream));
        }
    }

    /// Answers one request after another; closes after a broken answer.
    async fn converse(self, mut stream: TcpStream) {
        let mut head = Vec::new();
        while let Ok(byte) = stream.read_u8().await {
            head.push(byte);
            if head.ends_with(b"\r\n\r\n") {
                let text = String::from_utf8(std::mem::take(&mut head)).unwrap();
                if text.starts_with("POST") {
                    stream.read_exact(&mut [0; 2]).await.unwrap();
                }
                let answer = self.to(&text);
                if stream.write_all(&answer).await.is_err() || answer.ends_with(b"HALF") {
                    return;
                }
            }
        }
    }
}

fn capture(name: &str) -> String {
    std::fs::read_to_string(format!("{}/testdata/triton/{name}", env!("CARGO_MANIFEST_DIR")))
        .unwrap()
}

fn config(address: SocketAddr, interval: Duration, index_interval: Duration) -> TritonConfig {
    TritonConfig {
        name: ServerName::new("default").unwrap(),
        http: format!("http://{address}"),
        metrics: format!("http://{address}/metrics"),
        interval,
        index_interval,
        timeout: Duration::from_secs(20),
    }
}

/// A running watcher.
struct Watch {
    inputs: mpsc::Receiver<Input>,
    look: Arc<Notify>,
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

impl Watch {
    fn start(config: TritonConfig) -> Self {
        let (out, inputs) = mpsc::channel(4);
        let (look, shutdown) = (Arc::new(Notify::new()), CancellationToken::new());
        let clock = Clock::start();
        let now = move || clock.now().moment;
        let task = tokio::spawn(watch(config, now, out, Arc::clone(&look), shutdown.clone()));
        Self { inputs, look, shutdown, task }
    }

    async fn of(answers: &Answers, interval: Duration, index_interval: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(answers.clone().serve(listener));
        Self::start(config(address, interval, index_interval))
    }

    /// The first input of which `pick` makes something; others are passed over.
    async fn until<T>(&mut self, mut pick: impl FnMut(Input) -> Option<T>) -> T {
        let search = async {
            loop {
                let input = self.inputs.recv().await.expect("the watcher goes on");
                if let Some(found) = pick(input) {
                    return found;
                }
            }
        };
        timeout(Duration::from_secs(30), search).await.expect("it is seen at all")
    }

    async fn entries(&mut self) -> Vec<RepositoryEntry> {
        self.until(repository).await.entries
    }

    async fn report(&mut self) -> SourceReport {
        self.until(|input| match input {
            Input::Source(name, report) if name.as_str() == "triton/default" => Some(report),
            _ => None,
        })
        .await
    }
}

fn page(input: Input) -> Option<PageReading> {
    if let Input::Page(reading) = input { Some(reading) } else { None }
}

fn repository(input: Input) -> Option<RepositoryReading> {
    if let Input::Repository(reading) = input { Some(reading) } else { None }
}

fn names(page: &PageReading) -> Vec<&str> {
    page.models.as_ref().unwrap().iter().map(|sample| sample.model.as_str()).collect()
}

#[tokio::test]
async fn a_healthy_server_is_seen_whole() {
    let mut watch = Watch::of(&Answers::captured(), NEVER, NEVER).await;
    let (mut page_seen, mut repository_seen, mut shape_seen, mut report_seen) =
        (None, None, None, None);
    while page_seen.is_none() || repository_seen.is_none() || shape_seen.is_none() {
        match watch.until(Some).await {
            Input::Page(reading) => page_seen = Some(reading),
            Input::Repository(reading) => repository_seen = Some(reading),
            Input::Shape(shape) => shape_seen = Some(shape),
            Input::Source(_, report) => report_seen = Some(report),
            other => panic!("{other:?} is not of this source"),
        }
    }
    assert_eq!(names(&page_seen.unwrap()), ["flaky", "identity_fast", "slow", "slow_qlimit"]);
    let repository = repository_seen.unwrap();
    assert_eq!((repository.server_version.as_str(), repository.entries.len()), ("2.51.0", 5));
    let shape = shape_seen.unwrap();
    assert_eq!((shape.model.as_str(), shape.max_batch), ("slow", 4));
    assert_eq!(report_seen, Some(SourceReport::Seeing));
}

#[tokio::test]
async fn a_server_that_comes_late_is_absent_and_then_seen() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    let mut watch = Watch::start(config(address, SOON, SOON));
    let words = format!("nobody listens on {address}");
    assert_eq!(watch.report().await, SourceReport::Absent(words.clone()));
    let refused = watch.until(|input| page(input)?.models.err()).await;
    assert_eq!(refused, Outage::Refused(words));
    tokio::spawn(Answers::captured().serve(socket.listen(10).unwrap()));
    while watch.report().await != SourceReport::Seeing {}
    watch.until(|input| page(input).filter(|reading| reading.models.is_ok())).await;
}

#[tokio::test]
async fn pages_that_are_none_are_outages_and_the_next_good_one_is_used() {
    let answers = Answers::captured();
    let whole = capture("idle.prom");
    let half = &whole[..whole.len() / 2];
    let mut watch = Watch::of(&answers, SOON, NEVER).await;
    let broken = [
        format!("HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n{half}HALF"),
        format!("HTTP/1.1 200 OK\r\n\r\n{half}HALF"),
        "HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n".to_owned(),
        "HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n<html>\n".to_owned(),
        "nonsense\r\n\r\nHALF".to_owned(),
    ];
    for answer in broken {
        answers.raw("/metrics", answer.clone());
        let outage = watch.until(|input| page(input)?.models.err()).await;
        assert!(matches!(outage, Outage::Garbled(_)), "{answer} gives {outage:?}");
        answers.ok("/metrics", &whole);
        watch.until(|input| page(input).filter(|reading| reading.models.is_ok())).await;
    }
}

#[tokio::test]
async fn a_page_that_never_comes_does_not_hold_up_the_index() {
    let answers = Answers::captured();
    answers.raw("/metrics", String::new());
    let mut watch = Watch::of(&answers, SOON, SOON).await;
    assert_eq!(watch.entries().await.len(), 5);
    assert_eq!(watch.entries().await.len(), 5);
}

#[tokio::test]
async fn a_model_that_comes_or_goes_has_the_index_read_at_once() {
    let answers = Answers::captured();
    let mut watch = Watch::of(&answers, SOON, NEVER).await;
    assert_eq!(watch.entries().await.len(), 5);
    answers.ok("/metrics", &capture("after_unload.prom"));
    watch.until(|input| page(input).filter(|page| !names(page).contains(&"identity_fast"))).await;
    watch.entries().await;
}

#[tokio::test]
async fn a_model_on_its_way_is_followed_until_it_is_there() {
    let answers = Answers::captured();
    answers.ok("/v2/repository/index", r#"[{"name":"slow","version":"1","state":"LOADING"}]"#);
    let mut watch = Watch::of(&answers, NEVER, NEVER).await;
    watch.entries().await;
    watch.entries().await;
    answers.ok("/v2/repository/index", r#"[{"name":"slow","version":"1","state":"READY"}]"#);
    watch.until(|input| matches!(input, Input::Shape(_)).then_some(())).await;
}

#[tokio::test]
async fn a_closer_look_reads_both_at_once_and_the_page_again() {
    let mut watch = Watch::of(&Answers::captured(), NEVER, NEVER).await;
    watch.until(|input| matches!(input, Input::Shape(_)).then_some(())).await;
    watch.look.notify_one();
    let (mut pages, mut indexes) = (0, 0);
    while pages < 3 || indexes < 1 {
        match watch.until(Some).await {
            Input::Page(_) => pages += 1,
            Input::Repository(_) => indexes += 1,
            _ => {}
        }
    }
}

#[tokio::test]
async fn where_the_index_is_forbidden_models_are_asked_one_by_one() {
    let answers = Answers::captured();
    answers.status("/v2/repository/index", 403, "");
    answers.ok("/v2/models/slow/ready", "");
    let mut watch = Watch::of(&answers, SOON, SOON).await;
    let entries = watch
        .until(|input| repository(input).filter(|reading| reading.entries.len() == 4))
        .await
        .entries;
    let shown: Vec<_> = entries.iter().map(|e| (e.model.as_str(), e.state)).collect();
    let (ready, unavailable) = (RepositoryState::Ready, RepositoryState::Unavailable);
    assert_eq!(
        shown,
        [
            ("flaky", unavailable),
            ("identity_fast", unavailable),
            ("slow", ready),
            ("slow_qlimit", unavailable)
        ]
    );
    assert_eq!(entries[0].reason, "no");
}

#[tokio::test]
async fn a_bad_url_is_said_and_ends_it() {
    let mut config = config("127.0.0.1:1".parse().unwrap(), NEVER, NEVER);
    config.http = "https://x".to_owned();
    let mut watch = Watch::start(config);
    let report = watch.report().await;
    assert!(matches!(report, SourceReport::Failing(_)), "{report:?}");
    watch.task.await.unwrap();
}

#[tokio::test]
async fn it_ends_when_it_is_told_to_even_while_nobody_reads() {
    let watch = Watch::of(&Answers::captured(), SOON, SOON).await;
    watch.shutdown.cancel();
    timeout(Duration::from_secs(30), watch.task).await.unwrap().unwrap();
}
