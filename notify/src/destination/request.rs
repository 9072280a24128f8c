//! A request as it goes out, before anything is sent. What is secret of it is never shown.

use std::fmt;

use hyper::Uri;

use super::External;
use crate::secret::Secret;

/// Where HTTP is spoken. The path may be as good as a password, so only the host is shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    https: bool,
    host: String,
    port: u16,
    authority: String,
    path: String,
}

impl Endpoint {
    /// The endpoint of an address.
    ///
    /// # Errors
    ///
    /// It is no `http://` or `https://` address. What is wrong is said without the address.
    pub fn parse(url: &str) -> Result<Self, String> {
        let wrong = || "is no address (they look like https://HOST/PATH)".to_owned();
        let uri: Uri = url.parse().map_err(|_| wrong())?;
        let https = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(wrong()),
        };
        let authority = uri.authority().ok_or_else(wrong)?;
        if authority.as_str().contains('@') {
            return Err("should have no user or password in it".to_owned());
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = authority.port_u16().unwrap_or(if https { 443 } else { 80 });
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        Ok(Self { https, host, port, authority: authority.as_str().to_owned(), path })
    }

    /// The same host with something below the path.
    #[must_use]
    pub fn join(&self, below: &str) -> Self {
        let path = format!("{}/{below}", self.path.trim_end_matches('/'));
        Self { path, ..self.clone() }
    }

    /// Whether what is said there can be read on the way.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        !self.https
    }

    /// Whether it is on this machine.
    #[must_use]
    pub fn is_near(&self) -> bool {
        matches!(self.host.as_str(), "localhost" | "127.0.0.1" | "::1")
    }

    /// The name or address to connect to.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Host and port as a request names them.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// What is asked for there. Not to be shown.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.https { "https" } else { "http" };
        write!(f, "{scheme}://{}/…", self.authority)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A request of a destination.
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    /// Over HTTP.
    Http(HttpRequest),
    /// By mail.
    Mail(Box<Mail>),
}

impl Request {
    /// What the incident is known by there once this is delivered, where that is known before.
    #[must_use]
    pub fn leaves(&self) -> Option<&External> {
        match self {
            Self::Http(request) => request.leaves.as_ref(),
            Self::Mail(mail) => Some(&mail.leaves),
        }
    }
}

/// A POST.
#[derive(Clone, PartialEq)]
pub struct HttpRequest {
    /// Where.
    pub to: Endpoint,
    /// What the body is.
    pub content_type: &'static str,
    /// Who asks.
    pub bearer: Option<Secret>,
    /// Other headers. Of these only the names are shown.
    pub headers: Vec<(&'static str, String)>,
    /// What is posted.
    pub body: Vec<u8>,
    /// See [`Request::leaves`].
    pub leaves: Option<External>,
}

impl HttpRequest {
    /// A POST of JSON.
    #[must_use]
    pub fn json(to: Endpoint, body: &serde_json::Value) -> Self {
        let body = body.to_string().into_bytes();
        let content_type = "application/json; charset=utf-8";
        Self { to, content_type, bearer: None, headers: Vec::new(), body, leaves: None }
    }
}

impl fmt::Debug for HttpRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.headers.iter().map(|(name, _)| *name).collect();
        let bytes = self.body.len();
        write!(f, "HttpRequest({:?}, {bytes} bytes, {:?}, {names:?})", self.to, self.bearer)
    }
}

/// How a mail server is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// TLS from the first byte.
    Tls,
    /// TLS after `STARTTLS`, or nothing is sent.
    StartTls,
    /// None: on this machine only.
    Plain,
}

/// A mail.
#[derive(Clone, PartialEq)]
pub struct Mail {
    /// The server.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How it is spoken to.
    pub security: Security,
    /// As whom.
    pub login: Option<(String, Secret)>,
    /// From whom.
    pub from: String,
    /// To whom; the server takes it for all of them or for none.
    pub to: Vec<String>,
    /// Headers and body as they are sent.
    pub raw: Vec<u8>,
    /// See [`Request::leaves`].
    pub leaves: External,
}

impl fmt::Debug for Mail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port, security, to, raw, .. } = self;
        write!(f, "Mail({host}:{port} {security:?}, to {}, {} bytes)", to.len(), raw.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_shows_its_host_and_nothing_of_its_path() {
        let endpoint = Endpoint::parse("https://hooks.example/services/T0/B0/secret?x=1").unwrap();
        assert_eq!(format!("{endpoint} {endpoint:?}").matches("secret").count(), 0);
        assert_eq!(endpoint.path(), "/services/T0/B0/secret?x=1");
        assert_eq!((endpoint.host(), endpoint.port()), ("hooks.example", 443));
    }

    #[test]
    fn what_is_no_address_is_refused_without_being_shown() {
        for url in ["", "hooks/secret", "ftp://h/secret", "https://user:secret@h/", "https://"] {
            let fault = Endpoint::parse(url).unwrap_err();
            assert!(!fault.contains("secret"), "{fault}");
        }
    }

    #[test]
    fn a_request_shows_neither_token_nor_header_nor_body() {
        let endpoint = Endpoint::parse("https://h/token-1").unwrap();
        let mut request =
            HttpRequest::json(endpoint, &serde_json::json!({"routing_key": "token-2"}));
        request.bearer = Secret::of_file("token-3").ok();
        request.headers.push(("signature", "token-4".to_owned()));
        let shown = format!("{:?}", Request::Http(request));
        assert!(!shown.contains("token"), "{shown}");
    }
}
