//! The API server over HTTP: one connection a request, a limit on everything, TLS but on this machine.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, AUTHORIZATION, HOST, HeaderValue, USER_AGENT};
use hyper::{Request, Response, Uri};
use hyper_util::rt::TokioIo;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::Settings;
use super::feed::{self, Page};
use super::workload::Workload;

/// To be connected, and to be answered.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// Objects of one page of a list.
const PAGE: usize = 200;
/// The largest page that is read.
const PAGE_MAX_BYTES: usize = 32 * 1024 * 1024;
/// The most pages of one list.
const PAGES_MAX: usize = 500;
/// The longest line of a watch. No object is larger than 1.5 MiB where it is stored.
const LINE_MAX_BYTES: usize = 8 * 1024 * 1024;
/// The server ends a watch after so long, and it is begun anew.
const WATCH: Duration = Duration::from_secs(290);
/// A watch that says nothing for so much longer hangs.
const WATCH_HANGS: Duration = Duration::from_secs(330);

/// An API server.
#[derive(Clone)]
pub struct Api {
    host: String,
    port: u16,
    authority: HeaderValue,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    token_file: Option<PathBuf>,
}

/// Why an API server did not say what it was asked.
#[derive(Debug, Error)]
pub enum Broken {
    /// Nobody answers, or the connection broke.
    #[error("no answer: {0}")]
    Unreachable(String),
    /// It says no.
    #[error("refused: {0}")]
    Refused(String),
    /// It says what cannot be understood.
    #[error("not understood: {0}")]
    Garbled(String),
    /// The version that was asked for is too old: list again.
    #[error("the watch is too old")]
    Gone,
    /// The watch ended before it said anything.
    #[error("the watch ended at once")]
    Ended,
}

/// All workloads of a list, and the version to watch from.
#[derive(Debug, Default)]
pub struct List {
    /// What is there.
    pub workloads: Vec<Workload>,
    /// From here on the list is watched.
    pub version: String,
}

impl Api {
    /// An API server that was not asked yet.
    ///
    /// # Errors
    ///
    /// The address, or the file with the certificates, cannot be used; in words.
    pub fn new(settings: &Settings) -> Result<Self, String> {
        let url = &settings.api;
        let uri: Uri =
            url.parse().map_err(|error| format!("kubernetes.api = \"{url}\": {error}"))?;
        let authority = uri.authority().ok_or_else(|| format!("`{url}` names no host"))?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let secure = uri.scheme_str() == Some("https");
        let near = matches!(host.as_str(), "localhost" | "127.0.0.1" | "::1");
        if !secure && !near {
            return Err(format!("`{url}`: only on this machine may it be http://"));
        }
        let tls = match (secure, &settings.ca_file) {
            (false, _) => None,
            (true, None) => return Err("kubernetes.ca_file is missing: https needs it".to_owned()),
            (true, Some(file)) => {
                let name = ServerName::try_from(host.clone());
                let name =
                    name.map_err(|error| format!("`{host}` is no name of a host: {error}"))?;
                Some((connector(file)?, name))
            }
        };
        Ok(Self {
            port: authority.port_u16().unwrap_or(if secure { 443 } else { 80 }),
            authority: HeaderValue::from_str(authority.as_str()).map_err(|e| e.to_string())?,
            host,
            tls,
            token_file: settings.token_file.clone(),
        })
    }

    /// All that there is, page by page.
    ///
    /// # Errors
    ///
    /// The server cannot be asked, or says no.
    pub async fn list(&self, path: &str) -> Result<List, Broken> {
        let mut list = List::default();
        let mut more = String::new();
        for _ in 0..PAGES_MAX {
            let from = if more.is_empty() { String::new() } else { format!("&continue={more}") };
            let page = self.page(&format!("{path}?limit={PAGE}{from}")).await?;
            list.workloads.extend(page.workloads);
            list.version = page.version;
            more = encoded(&page.more);
            if more.is_empty() {
                return Ok(list);
            }
        }
        Err(Broken::Garbled(format!("the list has more than {PAGES_MAX} pages")))
    }

    async fn page(&self, path: &str) -> Result<Page, Broken> {
        let late = |_| Broken::Unreachable(format!("nothing for {} s", ANSWER_WITHIN.as_secs()));
        let read = async {
            let mut stream = self.get(path).await?;
            let mut body = BytesMut::new();
            while let Some(part) = stream.part().await? {
                if body.len() + part.len() > PAGE_MAX_BYTES {
                    return Err(Broken::Garbled("a page is too large".to_owned()));
                }
                body.extend_from_slice(&part);
            }
            feed::page(&body).map_err(Broken::Garbled)
        };
        timeout(ANSWER_WITHIN, read).await.map_err(late)?
    }

    /// What changes from a version on.
    ///
    /// # Errors
    ///
    /// The server cannot be asked, or says no; [`Broken::Gone`] where the version is too old.
    pub async fn watch(&self, path: &str, version: &str) -> Result<Lines, Broken> {
        let (version, seconds) = (encoded(version), WATCH.as_secs());
        let path = format!(
            "{path}?watch=1&allowWatchBookmarks=true&timeoutSeconds={seconds}&resourceVersion={version}"
        );
        let late = |_| Broken::Unreachable(format!("nothing for {} s", ANSWER_WITHIN.as_secs()));
        let stream = timeout(ANSWER_WITHIN, self.get(&path)).await.map_err(late)??;
        Ok(Lines { stream, buffer: BytesMut::new(), searched: 0 })
    }

    async fn get(&self, path: &str) -> Result<Stream, Broken> {
        let unreachable = |error: &dyn fmt::Display| Broken::Unreachable(error.to_string());
        let tcp = TcpStream::connect((self.host.as_str(), self.port)).await;
        let tcp = tcp.map_err(|error| unreachable(&error))?;
        let io: Box<dyn Io> = match &self.tls {
            None => Box::new(tcp),
            Some((tls, name)) => {
                let secured = tls.connect(name.clone(), tcp).await;
                Box::new(secured.map_err(|error| unreachable(&error))?)
            }
        };
        let handshake = http1::handshake(TokioIo::new(io)).await;
        let (mut sender, connection) = handshake.map_err(|error| unreachable(&error))?;
        let task = Task(tokio::spawn(async move { drop(connection.await) }));
        let request = self.request(path).await?;
        let response = sender.send_request(request).await.map_err(|error| unreachable(&error))?;
        match response.status().as_u16() {
            200 => Ok(Stream { response, _task: task }),
            410 => Err(Broken::Gone),
            401 | 403 => Err(Broken::Refused(format!(
                "{}: give the account of kubernetes.token_file the verbs list and watch on {path}",
                response.status()
            ))),
            _ => Err(Broken::Refused(response.status().to_string())),
        }
    }

    async fn request(&self, path: &str) -> Result<Request<Empty<Bytes>>, Broken> {
        let mut request = Request::get(path)
            .header(HOST, &self.authority)
            .header(ACCEPT, "application/json")
            .header(USER_AGENT, "gpuwarden-aggregator");
        if let Some(file) = &self.token_file {
            let broken = |why: String| Broken::Refused(format!("{}: {why}", file.display()));
            let token = tokio::fs::read_to_string(file).await.map_err(|e| broken(e.to_string()))?;
            let mut value = HeaderValue::from_str(&format!("Bearer {}", token.trim()))
                .map_err(|_| broken("holds no token".to_owned()))?;
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        request.body(Empty::new()).map_err(|error| Broken::Refused(error.to_string()))
    }
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Api({:?})", self.authority)
    }
}

/// Trusts what is signed by the certificates of a file, and nothing else.
fn connector(file: &Path) -> Result<TlsConnector, String> {
    let wrong =
        |error: &dyn fmt::Display| format!("kubernetes.ca_file {}: {error}", file.display());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file).map_err(|error| wrong(&error))? {
        let certificate = certificate.map_err(|error| wrong(&error))?;
        roots.add(certificate).map_err(|error| wrong(&error))?;
    }
    if roots.is_empty() {
        return Err(wrong(&"holds no certificate"));
    }
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| wrong(&error))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// What HTTP is spoken over.
trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// A connection's task, which ends with its answer.
#[derive(Debug)]
struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// An answer that is being read.
#[derive(Debug)]
struct Stream {
    response: Response<Incoming>,
    _task: Task,
}

impl Stream {
    async fn part(&mut self) -> Result<Option<Bytes>, Broken> {
        loop {
            let Some(frame) = self.response.body_mut().frame().await else { return Ok(None) };
            let frame = frame.map_err(|error| Broken::Unreachable(error.to_string()))?;
            if let Ok(data) = frame.into_data() {
                return Ok(Some(data));
            }
        }
    }
}

/// The lines of a watch.
#[derive(Debug)]
pub struct Lines {
    stream: Stream,
    buffer: BytesMut,
    /// Bytes of the buffer that have no end of a line.
    searched: usize,
}

impl Lines {
    /// The next one; `None` when the server has ended the watch.
    ///
    /// # Errors
    ///
    /// The connection broke or hangs, or a line is too long.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Broken> {
        loop {
            if let Some(end) = self.buffer[self.searched..].iter().position(|byte| *byte == b'\n') {
                let line = self.buffer.split_to(self.searched + end + 1);
                self.searched = 0;
                if line.len() > 1 {
                    return Ok(Some(line.freeze()));
                }
                continue;
            }
            self.searched = self.buffer.len();
            if self.searched > LINE_MAX_BYTES {
                return Err(Broken::Garbled("a line is too long".to_owned()));
            }
            let hangs = |_| Broken::Unreachable("the watch hangs".to_owned());
            match timeout(WATCH_HANGS, self.stream.part()).await.map_err(hangs)?? {
                Some(part) => self.buffer.extend_from_slice(&part),
                None => return Ok(None),
            }
        }
    }
}

/// A text as part of a query.
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                encoded.push(byte.into());
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}
