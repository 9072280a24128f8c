//! How a destination is told: one function a kind.

use std::path::Path;
use std::time::Duration;

use gpuwarden_proto::settings::Section;
use lettre::message::Mailbox;

use super::ReadFile;
use super::rules::word;
use crate::destination::{
    Channel, Endpoint, Security, alertmanager, email, pagerduty, slack, slack_webhook, webhook,
};
use crate::secret::Secret;

const KINDS: &str = "slack-webhook, slack, email, pagerduty, alertmanager or webhook";
/// Recipients of one mail at most.
const RECIPIENTS_MAX: usize = 50;

/// Reads a section by its `kind`.
pub(super) fn read(
    section: &mut Section<'_>,
    installation: &str,
    files: ReadFile<'_>,
) -> Option<Channel> {
    let kind = section.required("kind", |text| match text {
        "slack-webhook" | "slack" | "email" | "pagerduty" | "alertmanager" | "webhook" => {
            Ok(text.to_owned())
        }
        _ => Err(format!("should be {KINDS}")),
    });
    let installation = installation.to_owned();
    match kind.as_deref()? {
        "slack-webhook" => {
            let url = section.required("url_file", |file| private(&secret(files, file)?))?;
            Some(Channel::SlackWebhook(slack_webhook::Settings { url }))
        }
        "slack" => slack(section, files),
        "email" => email(section, files),
        "pagerduty" => {
            let url = section.parsed("url", private);
            let routing_key = section.required("routing_key_file", |file| token(files, file));
            let url = url.or_else(|| Endpoint::parse(pagerduty::EVENTS).ok())?;
            let routing_key = routing_key?;
            Some(Channel::PagerDuty(pagerduty::Settings { url, routing_key, installation }))
        }
        "alertmanager" => alertmanager(section, installation, files),
        _ => webhook(section, installation, files),
    }
}

fn slack(section: &mut Section<'_>, files: ReadFile<'_>) -> Option<Channel> {
    let api = section.parsed("api", private);
    let bot = section.required("token_file", |file| token(files, file));
    let channel = section.required("channel", |text| {
        word(text.trim_start_matches('#'))
            .map(|word| if text.starts_with('#') { format!("#{word}") } else { word })
    });
    let signing_secret = section.parsed("signing_secret_file", |file| token(files, file));
    let follow_ups = section.parsed("follow_ups", |text| match text {
        "edit" => Ok(slack::FollowUps::Edit),
        "thread" => Ok(slack::FollowUps::Thread),
        _ => Err("should be edit or thread".to_owned()),
    });
    Some(Channel::Slack(slack::Settings {
        api: api.or_else(|| Endpoint::parse(slack::API).ok())?,
        token: bot?,
        channel: channel?,
        signing_secret,
        follow_ups: follow_ups.unwrap_or(slack::FollowUps::Edit),
    }))
}

fn email(section: &mut Section<'_>, files: ReadFile<'_>) -> Option<Channel> {
    let host = section.required("host", word);
    let security = section.parsed("security", |text| match text {
        "tls" => Ok(Security::Tls),
        "starttls" => Ok(Security::StartTls),
        "none" => Ok(Security::Plain),
        _ => Err("should be tls, starttls, or none on this machine".to_owned()),
    });
    let security = security.unwrap_or(Security::StartTls);
    let usual = match security {
        Security::Tls => 465,
        Security::StartTls => 587,
        Security::Plain => 25,
    };
    let port = section.number("port", usual, 1..=65_535);
    let user = section.parsed("user", |text| Ok(text.to_owned()));
    let password = section.parsed("password_file", |file| Secret::of_file(&secret(files, file)?));
    let from = section.required("from", mailbox);
    let to = section.list("to", mailbox);
    if to.is_empty() || to.len() > RECIPIENTS_MAX {
        section.problem("to", &format!("should name 1 to {RECIPIENTS_MAX} recipients"));
    }
    if user.is_some() != password.is_some() {
        section.problem("user", "and password_file go together");
    }
    let host = host?;
    if security == Security::Plain && !["localhost", "127.0.0.1", "::1"].contains(&host.as_str()) {
        section.problem("security", "none is for a server on this machine only");
    }
    Some(Channel::Email(Box::new(email::Settings {
        host,
        port: u16::try_from(port).ok()?,
        security,
        login: user.zip(password),
        from: from?,
        to,
    })))
}

fn alertmanager(
    section: &mut Section<'_>,
    installation: String,
    files: ReadFile<'_>,
) -> Option<Channel> {
    let url = section.required("url", Endpoint::parse);
    let token = section.parsed("token_file", |file| token(files, file));
    let usual = Duration::from_secs(300);
    let lasts = section.duration("lasts", usual, Duration::from_secs(3)..=12 * usual);
    let url = url?;
    exposed(section, &url, token.is_some());
    Some(Channel::Alertmanager(alertmanager::Settings { url, token, installation, lasts }))
}

fn webhook(
    section: &mut Section<'_>,
    installation: String,
    files: ReadFile<'_>,
) -> Option<Channel> {
    let plain = section.parsed("url", Endpoint::parse);
    let hidden = section.parsed("url_file", |file| private(&secret(files, file)?));
    let signing = section.parsed("secret_file", |file| token(files, file));
    let token = section.parsed("token_file", |file| token(files, file));
    if plain.is_some() == hidden.is_some() {
        section.problem("url", "or url_file: one of them says where to");
    }
    let url = plain.or(hidden)?;
    exposed(section, &url, token.is_some());
    Some(Channel::Webhook(webhook::Settings { url, secret: signing, token, installation }))
}

/// A token that could be read on the way is a mistake.
fn exposed(section: &Section<'_>, url: &Endpoint, token: bool) {
    if token && url.is_plain() && !url.is_near() {
        section.problem("token_file", "would be sent readably: use an https:// address");
    }
}

/// An address to which secrets go.
fn private(text: &str) -> Result<Endpoint, String> {
    let endpoint = Endpoint::parse(text)?;
    if endpoint.is_plain() && !endpoint.is_near() {
        return Err("should be an https:// address, since secrets go there".to_owned());
    }
    Ok(endpoint)
}

fn secret(files: ReadFile<'_>, file: &str) -> Result<String, String> {
    Ok(Secret::of_file(&files(Path::new(file))?)?.reveal().to_owned())
}

fn token(files: ReadFile<'_>, file: &str) -> Result<Secret, String> {
    let secret = Secret::of_file(&files(Path::new(file))?)?;
    if secret.reveal().bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(secret);
    }
    Err("should hold one word of plain letters, digits and signs".to_owned())
}

fn mailbox(text: &str) -> Result<Mailbox, String> {
    text.parse().map_err(|_| {
        "should be an address like `oncall@example.org` or `Name <oncall@example.org>`".to_owned()
    })
}
