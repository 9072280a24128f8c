//! The one place that sends: a request goes out, an answer or the reason for none comes back.
//!
//! Everything has a limit: the time for a connection and for an answer, the size of a request and of
//! what is read of an answer. Redirects are not followed. Of a secret nothing is said.

mod http;
mod mail;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::destination::{Answer, Request};

/// To be connected.
pub const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// To be answered, all in all.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// The largest body of a request, in bytes.
pub const REQUEST_MAX_BYTES: usize = 1024 * 1024;
/// What is read of an answer, in bytes.
pub const ANSWER_MAX_BYTES: usize = 64 * 1024;

/// Why nothing can be sent at all.
#[derive(Debug, Error)]
pub enum NoSender {
    /// The file with the certificates cannot be used.
    #[error("notify.ca_file {file}: {fault}")]
    CaFile {
        /// The file.
        file: String,
        /// What is wrong with it.
        fault: String,
    },
    /// TLS cannot be set up.
    #[error("TLS cannot be set up: {0}")]
    NoTls(String),
}

/// Sends requests. Clones share what is trusted.
#[derive(Clone)]
pub struct Sender {
    tls: TlsConnector,
    trusted: usize,
    mail_roots: Arc<Vec<lettre::transport::smtp::client::Certificate>>,
}

impl Sender {
    /// One that trusts what this system trusts, and what is signed by the certificates of a file.
    ///
    /// # Errors
    ///
    /// The file cannot be used.
    pub fn new(ca_file: Option<&Path>) -> Result<Self, NoSender> {
        let mut trusted = rustls_native_certs::load_native_certs().certs;
        if let Some(file) = ca_file {
            trusted.extend(certificates(file)?);
        }
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(trusted.iter().cloned());
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| NoSender::NoTls(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self {
            tls: TlsConnector::from(Arc::new(config)),
            trusted: trusted.len(),
            mail_roots: Arc::new(mail::roots(&trusted)),
        })
    }

    /// Whether there is nobody to trust, so that nothing can be told over TLS.
    #[must_use]
    pub fn trusts_nobody(&self) -> bool {
        self.trusted == 0
    }

    /// Sends a request; what came back, within [`ANSWER_WITHIN`].
    pub async fn send(&self, request: &Request) -> Answer {
        match request {
            Request::Http(request) => http::post(&self.tls, request).await,
            Request::Mail(mail) => mail::send(&self.mail_roots, mail).await,
        }
    }
}

impl std::fmt::Debug for Sender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sender")
    }
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, NoSender> {
    let wrong = |fault: String| NoSender::CaFile { file: file.display().to_string(), fault };
    let read = CertificateDer::pem_file_iter(file).map_err(|error| wrong(error.to_string()))?;
    let read: Result<Vec<_>, _> = read.collect();
    let read = read.map_err(|error| wrong(error.to_string()))?;
    if read.is_empty() {
        return Err(wrong("holds no certificate".to_owned()));
    }
    Ok(read)
}
