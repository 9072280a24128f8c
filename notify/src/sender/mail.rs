//! A mail over SMTP, on a connection of its own.

use std::error::Error as _;
use std::time::Duration;

use lettre::address::Envelope;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
use tokio::time::timeout;
use tokio_rustls::rustls::pki_types::CertificateDer;

use super::{ANSWER_WITHIN, REQUEST_MAX_BYTES};
use crate::destination::{Answer, Broken, Mail, Security};

/// For each answer of the server, of which a mail needs about eight.
const REPLY_WITHIN: Duration = Duration::from_secs(10);

/// What is trusted, in the form that mails need.
pub(super) fn roots(trusted: &[CertificateDer<'static>]) -> Vec<Certificate> {
    trusted.iter().filter_map(|root| Certificate::from_der(root.to_vec()).ok()).collect()
}

/// Sends a mail.
pub(super) async fn send(roots: &[Certificate], mail: &Mail) -> Answer {
    let sent = timeout(ANSWER_WITHIN, exchange(roots, mail)).await;
    sent.unwrap_or(Err(Broken::Late(ANSWER_WITHIN))).unwrap_or_else(Answer::Nothing)
}

async fn exchange(roots: &[Certificate], mail: &Mail) -> Result<Answer, Broken> {
    if mail.raw.len() > REQUEST_MAX_BYTES {
        return Err(Broken::Unsendable(format!("more than {REQUEST_MAX_BYTES} bytes")));
    }
    let unsendable = |what: String| Broken::Unsendable(what);
    let from = mail.from.parse().map_err(|_| unsendable(format!("`{}`", mail.from)))?;
    let to: Result<Vec<_>, _> = mail.to.iter().map(|to| to.parse()).collect();
    let to = to.map_err(|_| unsendable("a recipient is no address".to_owned()))?;
    let envelope = Envelope::new(Some(from), to).map_err(|error| unsendable(error.to_string()))?;
    let tls = match mail.security {
        Security::Tls => Tls::Wrapper(parameters(roots, mail)?),
        Security::StartTls => Tls::Required(parameters(roots, mail)?),
        Security::Plain => Tls::None,
    };
    let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&mail.host)
        .port(mail.port)
        .timeout(Some(REPLY_WITHIN))
        .tls(tls);
    if let Some((user, password)) = &mail.login {
        let login = Credentials::new(user.clone(), password.reveal().to_owned());
        builder = builder.credentials(login);
    }
    match builder.build::<Tokio1Executor>().send_raw(&envelope, &mail.raw).await {
        Ok(response) => {
            let text: Vec<&str> = response.message().collect();
            Ok(Answer::Mail { code: code(response.code()), text: text.join(" ") })
        }
        Err(error) => answered(mail, &error),
    }
}

/// A no of the server is an answer, too.
fn answered(mail: &Mail, error: &Error) -> Result<Answer, Broken> {
    let said = error.source().map_or_else(|| error.to_string(), ToString::to_string);
    if let Some(status) = error.status() {
        return Ok(Answer::Mail { code: code(status), text: said });
    }
    let why = format!("{}:{}: {said}", mail.host, mail.port);
    Err(if error.is_timeout() {
        Broken::Late(REPLY_WITHIN)
    } else if error.is_tls() || is_handshake(error) {
        Broken::Tls(why)
    } else if error.is_response() {
        Broken::Garbled(why)
    } else {
        Broken::Unreachable(why)
    })
}

/// Whether TLS could not be agreed on, which counts as a broken connection to the library.
fn is_handshake(error: &Error) -> bool {
    let mut source = error.source();
    while let Some(error) = source {
        let io = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        if matches!(io, Some(inner) if inner.is::<tokio_rustls::rustls::Error>()) {
            return true;
        }
        source = error.source();
    }
    false
}

fn code(code: lettre::transport::smtp::response::Code) -> u16 {
    code.into()
}

fn parameters(roots: &[Certificate], mail: &Mail) -> Result<TlsParameters, Broken> {
    let mut builder = TlsParameters::builder(mail.host.clone());
    builder = builder.certificate_store(CertificateStore::None);
    for root in roots {
        builder = builder.add_root_certificate(root.clone());
    }
    builder.build_rustls().map_err(|error| Broken::Tls(error.to_string()))
}
