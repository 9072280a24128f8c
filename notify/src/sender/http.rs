//! A POST over HTTP/1.1, on a connection of its own.

use std::io;

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{
    AUTHORIZATION, CONTENT_TYPE, HOST, HeaderName, HeaderValue, RETRY_AFTER, USER_AGENT,
};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use super::{ANSWER_MAX_BYTES, ANSWER_WITHIN, CONNECT_WITHIN, REQUEST_MAX_BYTES};
use crate::destination::{Answer, Broken, Endpoint, HttpRequest};

/// What HTTP is spoken over.
trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// A connection's task, which ends with its answer.
struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Posts a request.
pub(super) async fn post(tls: &TlsConnector, request: &HttpRequest) -> Answer {
    let posted = timeout(ANSWER_WITHIN, exchange(tls, request)).await;
    posted.unwrap_or(Err(Broken::Late(ANSWER_WITHIN))).unwrap_or_else(Answer::Nothing)
}

async fn exchange(tls: &TlsConnector, request: &HttpRequest) -> Result<Answer, Broken> {
    let prepared = prepared(request)?;
    let connected = timeout(CONNECT_WITHIN, connect(tls, &request.to)).await;
    let io = connected.map_err(|_| Broken::Late(CONNECT_WITHIN))??;
    let broken = |error: hyper::Error| Broken::Unreachable(error.to_string());
    let (mut sender, connection) = http1::handshake(TokioIo::new(io)).await.map_err(broken)?;
    let _task = Task(tokio::spawn(async move { drop(connection.await) }));
    let response = sender.send_request(prepared).await.map_err(|error| {
        let garbled = error.is_parse();
        let why = error.to_string();
        if garbled { Broken::Garbled(why) } else { Broken::Unreachable(why) }
    })?;
    read(response).await
}

fn prepared(request: &HttpRequest) -> Result<Request<Full<Bytes>>, Broken> {
    let unsendable = |what: &str| Broken::Unsendable(what.to_owned());
    if request.body.len() > REQUEST_MAX_BYTES {
        return Err(Broken::Unsendable(format!("more than {REQUEST_MAX_BYTES} bytes")));
    }
    let mut builder = Request::post(request.to.path())
        .header(HOST, request.to.authority())
        .header(CONTENT_TYPE, request.content_type)
        .header(USER_AGENT, concat!("gpuwarden/", env!("CARGO_PKG_VERSION")));
    if let Some(bearer) = &request.bearer {
        let mut value = HeaderValue::from_str(&format!("Bearer {}", bearer.reveal()))
            .map_err(|_| unsendable("the token has characters that no header may have"))?;
        value.set_sensitive(true);
        builder = builder.header(AUTHORIZATION, value);
    }
    for (name, value) in &request.headers {
        let value = HeaderValue::from_str(value)
            .map_err(|_| Broken::Unsendable(format!("the header {name} cannot be written")))?;
        builder = builder.header(HeaderName::from_static(name), value);
    }
    let body = Full::new(Bytes::from(request.body.clone()));
    builder.body(body).map_err(|_| unsendable("the address cannot be asked for"))
}

async fn connect(tls: &TlsConnector, to: &Endpoint) -> Result<Box<dyn Io>, Broken> {
    let addresses = tokio::net::lookup_host((to.host(), to.port())).await;
    let addresses: Vec<_> =
        addresses.map_err(|error| Broken::Unresolved(format!("{}: {error}", to.host())))?.collect();
    let tcp = TcpStream::connect(&addresses[..]).await;
    let tcp = tcp.map_err(|error| Broken::Unreachable(format!("{to}: {error}")))?;
    if to.is_plain() {
        return Ok(Box::new(tcp));
    }
    let name = ServerName::try_from(to.host().to_owned())
        .map_err(|_| Broken::Unsendable(format!("`{}` is no name of a host", to.host())))?;
    let secured = tls.connect(name, tcp).await;
    Ok(Box::new(secured.map_err(|error| secured_not(to, &error))?))
}

fn secured_not(to: &Endpoint, error: &io::Error) -> Broken {
    let why = format!("{to}: {error}");
    if error.get_ref().is_some() { Broken::Tls(why) } else { Broken::Unreachable(why) }
}

/// The answer, of its body as much as is allowed.
async fn read(response: Response<Incoming>) -> Result<Answer, Broken> {
    let status = response.status().as_u16();
    let retry_after = response.headers().get(RETRY_AFTER);
    let retry_after = retry_after.and_then(|value| value.to_str().ok()).map(str::to_owned);
    let mut body = response.into_body();
    let mut read = BytesMut::new();
    while let Some(frame) = body.frame().await {
        // The status has said what counts; a body that breaks off is one that ends there.
        let Ok(frame) = frame else { break };
        if let Ok(data) = frame.into_data() {
            let room = ANSWER_MAX_BYTES - read.len();
            read.extend_from_slice(&data[..data.len().min(room)]);
        }
        if read.len() >= ANSWER_MAX_BYTES {
            break;
        }
    }
    Ok(Answer::Http { status, retry_after, body: read.freeze() })
}
