//! What is told of an incident: plain facts, not yet words. Pure.
//!
//! A [`Message`] is what somebody is told at one moment. [`template`] makes words of it, each
//! [`crate::destination`] a request of those words. The facts come from the incident; nothing here
//! looks anything up.

pub mod cut;
pub mod example;
mod facts;
pub mod template;

use std::fmt;
use std::time::Duration;

use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::{IncidentId, IncidentType, Severity};
use serde::{Deserialize, Serialize};

/// Why something is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Somebody is to act now.
    Page,
    /// Something has changed for those who were told before.
    Update,
    /// It is over.
    Resolved,
    /// It is made known; nobody need act.
    Broadcast,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Page, Self::Update, Self::Resolved, Self::Broadcast];

    /// The word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Page => "page",
            Self::Update => "update",
            Self::Resolved => "resolved",
            Self::Broadcast => "broadcast",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Who is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Audience {
    /// Those who mend it: all facts.
    Engineering,
    /// Those who use it: what they notice, in their words, and no name of ours.
    Stakeholders,
    /// Those who answer for it: impact, how long, who has it, where they talk.
    Management,
}

impl Audience {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Engineering, Self::Stakeholders, Self::Management];

    /// The word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Engineering => "engineering",
            Self::Stakeholders => "stakeholders",
            Self::Management => "management",
        }
    }
}

impl fmt::Display for Audience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What is told of one incident at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// Which.
    pub incident: IncidentId,
    /// Its class; the runbook has the same name.
    #[serde(rename = "type")]
    pub incident_type: IncidentType,
    /// Why it is told.
    pub kind: Kind,
    /// To whom.
    pub audience: Audience,
    /// How urgent.
    pub severity: Severity,
    /// What is broken, as a clause: `bert-large on node-a fails 38 % of requests`.
    pub broken: String,
    /// For whom: `search (1 of 2 replicas)`; empty where nobody is known to be.
    pub whom: String,
    /// Since when.
    pub since: Timestamp,
    /// When these facts were so.
    pub at: Timestamp,
    /// The likeliest cause.
    pub cause: Option<Cause>,
    /// What was done already, the oldest first.
    pub done: Vec<Done>,
    /// The one next step.
    pub next: Option<Next>,
    /// What is new since it was last told; empty for the first time.
    pub news: String,
    /// When it is expected to be over.
    pub expected_over: Option<Timestamp>,
    /// When more will be told.
    pub next_update: Option<Timestamp>,
    /// Who has taken it.
    pub owner: Option<String>,
    /// How it ended, where it did.
    pub over: Option<Over>,
    /// What those who use it are told. Without it they hear of an unnamed part of the service.
    pub public: Public,
    /// Where to go.
    pub links: Links,
}

/// A likely cause.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cause {
    /// What, as a clause.
    pub what: String,
    /// How sure that is, 0 to 1.
    pub confidence: f64,
}

/// Something that was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// When.
    pub at: Timestamp,
    /// What, and what came of it.
    pub what: String,
}

/// The next step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Next {
    /// What to do, in a sentence.
    pub what: String,
    /// The command that does it; empty where it is none.
    pub command: String,
}

/// How an incident ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Over {
    /// When.
    pub at: Timestamp,
    /// What mended it; empty where nobody knows.
    pub by: String,
    /// When it is looked back upon.
    pub review_at: Option<Timestamp>,
}

/// What may be told to everybody: written for them, with no name of a node, a process or a person.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Public {
    /// What they know it as: `Search`.
    pub service: String,
    /// What they notice: `some searches fail`.
    pub impact: String,
}

/// Where to go; a link that is not there is not shown.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Links {
    /// The incident.
    pub incident: Option<String>,
    /// What to do about its type.
    pub runbook: Option<String>,
    /// To hold it back.
    pub silence: Option<String>,
    /// To take it.
    pub acknowledge: Option<String>,
    /// The call where it is talked about.
    pub bridge: Option<String>,
    /// What everybody may see.
    pub status_page: Option<String>,
}

impl Message {
    /// The links that its audience may have, each with its label. What is over is neither taken nor
    /// held back any more.
    #[must_use]
    pub fn shown_links(&self) -> Vec<(&'static str, &str)> {
        let links = &self.links;
        let open = self.kind != Kind::Resolved;
        let (silence, acknowledge) =
            if open { (&links.silence, &links.acknowledge) } else { (&None, &None) };
        let (incident, call) = (("incident", &links.incident), ("call", &links.bridge));
        let status = ("status page", &links.status_page);
        let shown = match self.audience {
            Audience::Engineering => vec![
                incident,
                ("runbook", &links.runbook),
                ("silence", silence),
                ("acknowledge", acknowledge),
                call,
            ],
            Audience::Stakeholders => vec![status],
            Audience::Management => vec![incident, call, status],
        };
        shown.into_iter().filter_map(|(label, link)| Some((label, link.as_deref()?))).collect()
    }
}

/// What one request is to say: one message, or several that were bundled, and what is to be said of
/// the telling itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Notice {
    /// What is told first; of several the most urgent.
    pub first: Message,
    /// What is told with it.
    pub others: Vec<Message>,
    /// By how much it is late, where that is worth a word.
    pub late: Option<Duration>,
    /// Its incident comes and goes: it is told again only when it is calm, or worse.
    pub flapping: bool,
    /// Where it should have gone, and why it did not.
    pub diverted: Option<String>,
}

impl Notice {
    /// A notice of one message of which nothing more is to be said.
    #[must_use]
    pub fn of(message: Message) -> Self {
        Self { first: message, others: Vec::new(), late: None, flapping: false, diverted: None }
    }

    /// All messages of it.
    pub fn messages(&self) -> impl Iterator<Item = &Message> {
        std::iter::once(&self.first).chain(&self.others)
    }
}
