//! Where things are told: one file a destination, all of the same shape. Pure.
//!
//! `render` makes one request of a [`Letter`]; `judge` says what the answer to it means. Neither
//! does any I/O: [`crate::sender`] carries requests out. What a destination documents as its limits
//! is kept here, and what is cut says so.
//!
//! Told twice after a crash, in effect once: PagerDuty (`dedup_key`), Alertmanager (labels), an edit
//! in Slack, and a webhook whose receiver looks at the id. A new message in Slack and an e-mail know
//! no such key; of the latter most mailboxes show one, since its Message-ID is the same.

pub mod alertmanager;
mod answer;
pub mod email;
pub mod interaction;
pub mod pagerduty;
mod request;
pub mod signature;
pub mod slack;
mod slack_blocks;
pub mod slack_webhook;
pub mod webhook;

use std::fmt;
use std::time::Duration;

use gpuwarden_proto::time::Timestamp;
use serde::{Deserialize, Serialize};

pub use answer::{Answer, Broken, Verdict};
pub use request::{Endpoint, HttpRequest, Mail, Request, Security};

use crate::message::template::Words;
use crate::message::{Kind, Notice};

/// What is to be sent.
#[derive(Debug, Clone, Copy)]
pub struct Letter<'a> {
    /// The same for the same words to the same place, also after a crash.
    pub key: &'a str,
    /// The facts.
    pub notice: &'a Notice,
    /// The words.
    pub words: &'a Words,
    /// What this incident is known by there, once it was told.
    pub previous: Option<&'a External>,
    /// When it is sent.
    pub now: Timestamp,
}

/// What a destination knows an incident by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct External {
    /// Its id there.
    pub id: String,
    /// What else is needed to tell more of it, such as the subject of the first mail.
    pub note: String,
}

/// A letter that a destination cannot carry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unfit(pub String);

/// A way to tell, with its settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Channel {
    /// Slack's incoming webhooks.
    SlackWebhook(slack_webhook::Settings),
    /// Slack's Web API: threads, edits, buttons.
    Slack(slack::Settings),
    /// E-mail.
    Email(Box<email::Settings>),
    /// PagerDuty's Events API v2.
    PagerDuty(pagerduty::Settings),
    /// Alertmanager, for which an incident is one more alert.
    Alertmanager(alertmanager::Settings),
    /// Whoever takes CloudEvents.
    Webhook(webhook::Settings),
}

impl Channel {
    /// The request that carries a letter.
    ///
    /// # Errors
    ///
    /// The destination cannot carry it, and says why.
    pub fn render(&self, letter: &Letter<'_>) -> Result<Request, Unfit> {
        match self {
            Self::SlackWebhook(settings) => slack_webhook::render(settings, letter),
            Self::Slack(settings) => slack::render(settings, letter),
            Self::Email(settings) => email::render(settings, letter),
            Self::PagerDuty(settings) => pagerduty::render(settings, letter),
            Self::Alertmanager(settings) => alertmanager::render(settings, letter),
            Self::Webhook(settings) => webhook::render(settings, letter),
        }
    }

    /// What the answer to a request means.
    #[must_use]
    pub fn judge(&self, request: &Request, answer: &Answer, now: Timestamp) -> Verdict {
        match self {
            Self::SlackWebhook(_) => slack_webhook::judge(request, answer, now),
            Self::Slack(_) => slack::judge(request, answer, now),
            Self::Email(_) => email::judge(request, answer),
            Self::PagerDuty(_) => pagerduty::judge(request, answer, now),
            Self::Alertmanager(_) => alertmanager::judge(request, answer, now),
            Self::Webhook(_) => webhook::judge(request, answer, now),
        }
    }

    /// The word for it in settings.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::SlackWebhook(_) => "slack-webhook",
            Self::Slack(_) => "slack",
            Self::Email(_) => "email",
            Self::PagerDuty(_) => "pagerduty",
            Self::Alertmanager(_) => "alertmanager",
            Self::Webhook(_) => "webhook",
        }
    }

    /// Whether it has something to say with a message of this kind.
    #[must_use]
    pub fn takes(&self, kind: Kind) -> bool {
        match self {
            Self::PagerDuty(_) | Self::Alertmanager(_) => kind != Kind::Broadcast,
            Self::SlackWebhook(_) | Self::Slack(_) | Self::Email(_) | Self::Webhook(_) => true,
        }
    }

    /// Whether several incidents may be told in one message: not where each is a thing of its own.
    #[must_use]
    pub const fn bundles(&self) -> bool {
        matches!(self, Self::SlackWebhook(_) | Self::Email(_))
    }

    /// After so long what was told is told again, or it would count as over.
    #[must_use]
    pub const fn renewed_every(&self) -> Option<Duration> {
        match self {
            Self::Alertmanager(settings) => Some(settings.renewed_every()),
            Self::SlackWebhook(_)
            | Self::Slack(_)
            | Self::Email(_)
            | Self::PagerDuty(_)
            | Self::Webhook(_) => None,
        }
    }

    /// Whether sending the same once more, with the same key, is in effect sending it once.
    #[must_use]
    pub const fn knows_keys(&self) -> bool {
        match self {
            Self::PagerDuty(_) | Self::Alertmanager(_) | Self::Webhook(_) => true,
            Self::SlackWebhook(_) | Self::Slack(_) | Self::Email(_) => false,
        }
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests;
