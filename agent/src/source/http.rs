//! A small HTTP/1.1 client for servers on this machine: one kept connection per endpoint, and a limit
//! on everything: time to connect, time for a whole answer, bytes of head and body.
//!
//! It follows no redirects and speaks no TLS; what an answer means is for the caller.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{CONTENT_TYPE, HOST, HeaderValue, LOCATION, USER_AGENT};
use hyper::{Method, Request, Response, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::sample::Outage;

/// The largest body that is read.
pub const BODY_MAX_BYTES: usize = 8 * 1024 * 1024;
/// The largest head of an answer that is read.
const HEAD_MAX_BYTES: usize = 64 * 1024;
/// Bodies up to this size keep their buffer for the next answer.
const BUFFER_KEPT_BYTES: usize = 1024 * 1024;

/// Where an endpoint listens, from an `http://` URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    host: String,
    port: u16,
    path: String,
    authority: HeaderValue,
}

impl Address {
    /// Reads a URL. The error is a sentence about the URL, for whoever wrote it.
    pub fn parse(url: &str) -> Result<Self, String> {
        let uri: Uri = url.parse().map_err(|error| format!("`{url}` is no URL: {error}"))?;
        match uri.scheme_str() {
            Some("http") => {}
            Some("https") => {
                return Err(format!(
                    "`{url}`: TLS is not spoken here, use http:// on this machine"
                ));
            }
            _ => return Err(format!("`{url}` does not begin with http://")),
        }
        let authority = uri.authority().ok_or_else(|| format!("`{url}` names no host"))?;
        if authority.as_str().contains('@') {
            return Err("a URL with a user name or a password in it is not accepted".to_owned());
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() {
            return Err(format!("`{url}` names no host"));
        }
        Ok(Self {
            host: host.to_owned(),
            port: authority.port_u16().unwrap_or(80),
            path: uri.path_and_query().map_or("/", |path| path.as_str()).to_owned(),
            authority: HeaderValue::from_str(authority.as_str())
                .map_err(|_| format!("the host of `{url}` is not plain text"))?,
        })
    }

    /// Host and port, for people.
    pub fn shown(&self) -> &str {
        self.authority.to_str().unwrap_or(&self.host)
    }
}

/// How long things may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// To be connected.
    pub connect: Duration,
    /// From the call to the last byte of the answer, connecting included.
    pub answer: Duration,
    /// For an answer to begin on a kept connection; then a fresh one is tried. A server may have tied
    /// the kept one to a thread that is busy with something long: Triton does while it loads a model.
    pub kept: Duration,
}

/// An answer, whatever its status. A redirect is never one.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer<'a> {
    /// E.g. 200.
    pub status: u16,
    /// All of it.
    pub body: &'a [u8],
}

/// A server that is asked again and again.
#[derive(Debug)]
pub struct Endpoint {
    address: Address,
    patience: Patience,
    connection: Option<Connection>,
    connections: u64,
    body: Vec<u8>,
}

impl Endpoint {
    /// Nothing is connected before the first call.
    pub fn new(address: Address, patience: Patience) -> Self {
        Self { address, patience, connection: None, connections: 0, body: Vec::new() }
    }

    /// Where it is.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// How many connections have been made. When it moves, another server may be answering.
    pub fn connections(&self) -> u64 {
        self.connections
    }

    /// Gets `path`, below the path of the URL.
    pub async fn get(&mut self, path: &str) -> Result<Answer<'_>, Outage> {
        let request = self.request(Method::GET, path, Bytes::new())?;
        self.ask(request).await
    }

    /// Posts JSON to `path`, below the path of the URL. It may be sent twice, so it must only ask.
    pub async fn post(&mut self, path: &str, json: &'static str) -> Result<Answer<'_>, Outage> {
        let request = self.request(Method::POST, path, Bytes::from_static(json.as_bytes()))?;
        self.ask(request).await
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<Request<Full<Bytes>>, Outage> {
        let path = match path {
            "" => self.address.path.clone(),
            path => format!("{}{path}", self.address.path.trim_end_matches('/')),
        };
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, &self.address.authority)
            .header(USER_AGENT, concat!("gpuwarden-agent/", env!("CARGO_PKG_VERSION")));
        if !body.is_empty() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        request
            .body(Full::new(body))
            .map_err(|error| Outage::Garbled(format!("a path that cannot be asked for: {error}")))
    }

    async fn ask(&mut self, request: Request<Full<Bytes>>) -> Result<Answer<'_>, Outage> {
        let patience = self.patience.answer;
        let outcome = timeout(patience, self.exchange(&request)).await.unwrap_or_else(|_| {
            Err(Outage::TimedOut(format!(
                "no whole answer from {} within {} ms",
                self.address.shown(),
                patience.as_millis()
            )))
        });
        match outcome {
            Ok(status) => Ok(Answer { status, body: &self.body }),
            Err(outage) => {
                // Whatever is still on its way belongs to the failed answer.
                self.connection = None;
                Err(outage)
            }
        }
    }

    /// Sends and reads, once more on a fresh connection when a kept one is silent or turns out to be
    /// closed: servers close idle connections whenever they like.
    async fn exchange(&mut self, request: &Request<Full<Bytes>>) -> Result<u16, Outage> {
        if let Some(kept) = &mut self.connection {
            match timeout(self.patience.kept, kept.send(request.clone())).await {
                Ok(Ok(response)) => return self.read(response).await,
                Ok(Err(error)) if !closed(&error) => return Err(garbled(&error)),
                Ok(Err(_)) | Err(_) => {}
            }
        }
        self.connection = None;
        let fresh = self.connect().await?;
        self.connections += 1;
        let fresh = self.connection.insert(fresh);
        let response = fresh.send(request.clone()).await.map_err(|error| garbled(&error))?;
        self.read(response).await
    }

    async fn connect(&self) -> Result<Connection, Outage> {
        let Address { host, port, .. } = &self.address;
        let shown = self.address.shown();
        let connecting = TcpStream::connect((host.as_str(), *port));
        let stream = timeout(self.patience.connect, connecting)
            .await
            .map_err(|_| Outage::TimedOut(format!("no connection to {shown} in time")))?
            .map_err(|error| not_reached(shown, &error))?;
        // Requests are one small write each; waiting to fill a segment would only delay them.
        let _ = stream.set_nodelay(true);
        let (sender, connection) = http1::Builder::new()
            .max_buf_size(HEAD_MAX_BYTES)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| garbled(&error))?;
        let driver = tokio::spawn(async move {
            // Its errors reach the request that was under way.
            let _ = connection.await;
        });
        Ok(Connection { sender, driver })
    }

    async fn read(&mut self, response: Response<Incoming>) -> Result<u16, Outage> {
        let status = response.status();
        if status.is_redirection() {
            let to = response.headers().get(LOCATION).and_then(|to| to.to_str().ok());
            return Err(Outage::Garbled(format!(
                "answered {} with a redirect to `{}`, and redirects are not followed",
                status.as_u16(),
                to.unwrap_or("nowhere").chars().take(200).collect::<String>()
            )));
        }
        self.empty_the_body();
        let mut incoming = response.into_body();
        while let Some(frame) = incoming.frame().await {
            let frame = frame.map_err(|error| garbled(&error))?;
            let Some(data) = frame.data_ref() else { continue };
            if self.body.len() + data.len() > BODY_MAX_BYTES {
                let mib = BODY_MAX_BYTES / (1024 * 1024);
                return Err(Outage::Garbled(format!("an answer of more than {mib} MiB")));
            }
            self.body.extend_from_slice(data);
        }
        Ok(status.as_u16())
    }

    fn empty_the_body(&mut self) {
        self.body.clear();
        self.body.shrink_to(BUFFER_KEPT_BYTES);
    }
}

/// A connection and the task that drives it, which ends with it.
#[derive(Debug)]
struct Connection {
    sender: SendRequest<Full<Bytes>>,
    driver: JoinHandle<()>,
}

impl Connection {
    async fn send(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, hyper::Error> {
        self.sender.ready().await?;
        self.sender.send_request(request).await
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// Whether a kept connection ended before anything of this answer came.
fn closed(error: &hyper::Error) -> bool {
    error.is_canceled() || error.is_closed() || error.is_incomplete_message() || cut(error)
}

fn cut(error: &hyper::Error) -> bool {
    use std::error::Error as _;
    let cause = error.source().and_then(|cause| cause.downcast_ref::<io::Error>());
    let kinds =
        [io::ErrorKind::ConnectionReset, io::ErrorKind::BrokenPipe, io::ErrorKind::UnexpectedEof];
    cause.is_some_and(|io| kinds.contains(&io.kind()))
}

fn garbled(error: &hyper::Error) -> Outage {
    if error.is_incomplete_message() || cut(error) {
        return Outage::Garbled("the connection was closed half way through the answer".to_owned());
    }
    Outage::Garbled(format!("not an HTTP answer: {error}"))
}

fn not_reached(shown: &str, error: &io::Error) -> Outage {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Outage::Refused(format!("nobody listens on {shown}")),
        io::ErrorKind::TimedOut => Outage::TimedOut(format!("no connection to {shown} in time")),
        _ => Outage::Refused(format!("{shown} cannot be reached: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpSocket};
    use tokio::sync::mpsc;

    use super::*;

    const LONG: Duration = Duration::from_secs(30);

    fn endpoint(url: &str, answer: Duration) -> Endpoint {
        Endpoint::new(
            Address::parse(url).unwrap(),
            Patience { connect: LONG, answer, kept: answer },
        )
    }

    /// Reads a request's head; `None` when the client has gone.
    async fn request(stream: &mut TcpStream) -> Option<String> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.ok()?);
        }
        Some(String::from_utf8(head).unwrap())
    }

    /// Serves each connection by writing each of `answers` to one request, then closes it.
    async fn serve(answers: &'static [&'static str]) -> (String, mpsc::Receiver<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (heads, seen) = mpsc::channel(100);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                for answer in answers {
                    let Some(head) = request(&mut stream).await else { break };
                    let _ = heads.send(head).await;
                    let _ = stream.write_all(answer.as_bytes()).await;
                }
            }
        });
        (url, seen)
    }

    async fn outage(answer: &'static str) -> Outage {
        let answers: &'static [&'static str] = Box::leak(Box::new([answer]));
        let (url, _seen) = serve(answers).await;
        endpoint(&url, LONG).get("/metrics").await.unwrap_err()
    }

    #[tokio::test]
    async fn a_connection_is_kept_and_made_anew_when_it_was_closed() {
        let (url, mut seen) = serve(&[
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none",
            "HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n3\r\ntwo\r\n0\r\n\r\n",
        ])
        .await;
        let mut endpoint = endpoint(&format!("{url}/base/"), LONG);
        let one = endpoint.get("/x").await.unwrap();
        assert_eq!((one.status, one.body), (200, &b"one"[..]));
        let two = endpoint.get("").await.unwrap();
        assert_eq!((two.status, two.body), (404, &b"two"[..]));
        assert_eq!(endpoint.connections(), 1);
        assert_eq!(endpoint.get("").await.unwrap().body, b"one");
        assert_eq!(endpoint.connections(), 2);
        assert!(seen.recv().await.unwrap().starts_with("GET /base/x HTTP/1.1\r\n"));
        assert!(seen.recv().await.unwrap().starts_with("GET /base/ HTTP/1.1\r\n"));
    }

    #[tokio::test]
    async fn a_silent_kept_connection_is_given_up_for_a_fresh_one() {
        let (url, _seen) =
            serve(&["HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none", "", ""]).await;
        let patience = Patience { connect: LONG, answer: LONG, kept: Duration::from_millis(50) };
        let mut endpoint = Endpoint::new(Address::parse(&url).unwrap(), patience);
        assert_eq!(endpoint.get("").await.unwrap().body, b"one");
        assert_eq!(endpoint.get("").await.unwrap().body, b"one");
        assert_eq!(endpoint.connections(), 2);
    }

    #[tokio::test]
    async fn nobody_listening_is_refused() {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = socket.local_addr().unwrap();
        let outage = endpoint(&format!("http://{address}"), LONG).get("").await.unwrap_err();
        assert_eq!(outage, Outage::Refused(format!("nobody listens on {address}")));
    }

    #[tokio::test]
    async fn half_an_answer_is_garbled() {
        let half = outage("HTTP/1.1 200 OK\r\nContent-Length: 300\r\n\r\nnv_inf").await;
        let words = "the connection was closed half way through the answer";
        assert_eq!(half, Outage::Garbled(words.to_owned()));
    }

    #[tokio::test]
    async fn another_protocol_is_garbled() {
        let words = format!("{:?}", outage("SSH-2.0-OpenSSH_9.2p1\r\n").await);
        assert!(words.starts_with("Garbled(\"not an HTTP answer"), "{words}");
    }

    #[tokio::test]
    async fn a_head_without_end_is_garbled() {
        let head = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(4 * HEAD_MAX_BYTES));
        let outage = outage(head.leak()).await;
        assert!(matches!(outage, Outage::Garbled(_)), "{outage:?}");
    }

    #[tokio::test]
    async fn a_redirect_is_garbled_and_not_followed() {
        let answer =
            "HTTP/1.1 302 Found\r\nLocation: http://elsewhere/\r\nContent-Length: 0\r\n\r\n";
        let words =
            "answered 302 with a redirect to `http://elsewhere/`, and redirects are not followed";
        assert_eq!(outage(answer).await, Outage::Garbled(words.to_owned()));
    }

    /// Serves one connection an answer that never ends, `part` after `part`.
    async fn serve_for_ever(part: &'static [u8], pause: Duration) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            request(&mut stream).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
            while stream.write_all(part).await.is_ok() {
                tokio::time::sleep(pause).await;
            }
        });
        url
    }

    #[tokio::test]
    async fn a_page_without_end_is_cut_off_at_the_limit() {
        let url = serve_for_ever(&[b'x'; 65_536], Duration::ZERO).await;
        let mut endpoint = endpoint(&url, LONG);
        let outage = endpoint.get("").await.unwrap_err();
        assert_eq!(outage, Outage::Garbled("an answer of more than 8 MiB".to_owned()));
        assert!(endpoint.body.capacity() <= 2 * BODY_MAX_BYTES);
    }

    #[tokio::test]
    async fn a_dripping_answer_is_cut_off_in_time() {
        let url = serve_for_ever(b"x", Duration::from_millis(20)).await;
        let outage = endpoint(&url, Duration::from_millis(200)).get("").await.unwrap_err();
        assert!(matches!(outage, Outage::TimedOut(_)), "{outage:?}");
    }

    #[test]
    fn urls_are_read_or_refused_in_words() {
        let at = |url| Address::parse(url).map(|a| format!("{} {} {}", a.host, a.port, a.path));
        assert_eq!(at("http://127.0.0.1:8002/metrics").as_deref(), Ok("127.0.0.1 8002 /metrics"));
        assert_eq!(at("http://[::1]:8000").as_deref(), Ok("::1 8000 /"));
        assert_eq!(at("http://triton").as_deref(), Ok("triton 80 /"));
        for bad in ["https://x", "ftp://x", "x", "", "http://", "http://u:p@x/", "/metrics"] {
            assert!(at(bad).is_err(), "{bad}");
        }
    }
}
