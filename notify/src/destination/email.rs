//! E-mail: plain text and simple HTML, one thread for each incident. Pure.
//!
//! A mail's Message-ID is made of its key, so that one that is sent twice after a crash can be told
//! from two. What follows a first mail answers it and keeps its subject, since mailboxes thread by
//! both.

use std::time::{Duration, SystemTime};

use lettre::Message;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart, SinglePart};

use super::signature::digest;
use super::{Answer, External, Letter, Mail, Request, Security, Unfit, Verdict};
use crate::message::cut;
use crate::secret::Secret;

/// Characters of a subject.
const SUBJECT_MAX: usize = 180;

/// Settings of one mail server and those who are told through it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The server.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How it is spoken to.
    pub security: Security,
    /// As whom.
    pub login: Option<(String, Secret)>,
    /// From whom.
    pub from: Mailbox,
    /// To whom. The server takes a mail for all of them or for none.
    pub to: Vec<Mailbox>,
}

/// The request that carries a letter.
pub(super) fn render(settings: &Settings, letter: &Letter<'_>) -> Result<Request, Unfit> {
    let first = letter.previous;
    let mark = digest(letter.key);
    let id = format!("<{mark}@{}>", settings.from.email.domain());
    let subject = cut::to_chars(&letter.words.headline, SUBJECT_MAX);
    let subject = format!("[{}] {subject}", letter.notice.first.incident);
    let leaves = first.cloned().unwrap_or(External { id: id.clone(), note: subject });
    let subject =
        if first.is_some() { format!("Re: {}", leaves.note) } else { leaves.note.clone() };

    let sent_at = SystemTime::UNIX_EPOCH + Duration::from_nanos(letter.now.unix_ns());
    let mut builder = Message::builder()
        .from(settings.from.clone())
        .subject(subject)
        .date(sent_at)
        .message_id(Some(id))
        .raw_header(header("Auto-Submitted", "auto-generated"))
        .raw_header(header("X-Gpuwarden-Key", &mark));
    for to in &settings.to {
        builder = builder.to(to.clone());
    }
    if first.is_some() {
        builder = builder.in_reply_to(leaves.id.clone()).references(leaves.id.clone());
    }
    let part = |kind, text| SinglePart::builder().header(kind).body(text);
    let body = MultiPart::alternative()
        .boundary(format!("=_{mark}"))
        .singlepart(part(ContentType::TEXT_PLAIN, plain(letter)))
        .singlepart(part(ContentType::TEXT_HTML, html(letter)));
    let message = builder.multipart(body).map_err(|error| Unfit(format!("no mail: {error}")))?;
    Ok(Request::Mail(Box::new(Mail {
        host: settings.host.clone(),
        port: settings.port,
        security: settings.security,
        login: settings.login.clone(),
        from: settings.from.email.to_string(),
        to: settings.to.iter().map(|to| to.email.to_string()).collect(),
        raw: message.formatted(),
        leaves,
    })))
}

fn header(name: &'static str, value: &str) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned())
}

/// The links that a mail of this notice may show.
fn links<'a>(letter: &Letter<'a>) -> Vec<(&'static str, &'a str)> {
    letter.notice.first.shown_links()
}

fn plain(letter: &Letter<'_>) -> String {
    let mut text = format!("{}\n\n{}\n", letter.words.headline, letter.words.body);
    for (label, link) in links(letter) {
        text.push_str(&format!("\n{label}: {link}"));
    }
    text.push('\n');
    text
}

fn html(letter: &Letter<'_>) -> String {
    let (headline, body) = (escaped(&letter.words.headline), escaped(&letter.words.body));
    let mut html = format!(
        "<!doctype html><html><body><p><strong>{headline}</strong></p>\n\
         <pre style=\"white-space:pre-wrap\">{body}</pre>\n<p>"
    );
    for (label, link) in links(letter) {
        html.push_str(&format!("<a href=\"{}\">{label}</a> ", escaped(link)));
    }
    html.push_str("</p></body></html>\n");
    html
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// What the server said last. 5 is for good, 4 is for now.
pub(super) fn judge(request: &Request, answer: &Answer) -> Verdict {
    match answer {
        Answer::Mail { code, text } => {
            let why = cut::to_chars(&format!("{code} {text}"), 300);
            match code {
                200..300 => Verdict::Delivered(request.leaves().cloned()),
                // The login, the sender or all of us are not wanted; 552 and 554 are about the mail.
                530 | 534 | 535 | 538 | 550 | 551 | 553 => Verdict::FallBack(why),
                500.. => Verdict::Refused(why),
                _ => Verdict::Retry { after: None, why },
            }
        }
        Answer::Http { .. } => Verdict::Refused("a web server's answer".to_owned()),
        Answer::Nothing(broken) => Verdict::of_broken(broken),
    }
}
