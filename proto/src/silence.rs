//! What people hold back, and what holds an incident back.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize, Serializer};
use thiserror::Error;

use crate::entity::Entity;
use crate::repeat::Repeat;
use crate::time::Timestamp;
use crate::vocab::{IncidentId, IncidentType, Severity, SilenceKind, SilenceState};

/// A silence or maintenance, counted from 1 by the aggregator.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct SilenceId(pub u64);

impl fmt::Display for SilenceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("S{}", self.0))
    }
}

/// What a matcher looks at. A finding may have none of it, one, or several, as a model has services.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum MatchKey {
    /// The node that a finding is on.
    Node,
    /// UUID, or the driver's index.
    Gpu,
    /// A model's name.
    Model,
    /// A Triton server's name.
    Server,
    /// The services that a model is part of.
    Service,
    /// Whose those services are.
    Tenant,
    /// The node's rack.
    Rack,
    /// The node's zone.
    Zone,
    /// The cluster's name.
    Cluster,
    /// The rule that found it.
    Rule,
    /// The incident's type.
    Type,
    /// The incident's severity.
    Severity,
    /// A label of the node.
    Label(String),
}

/// The keys that have a name of their own, with it.
const KEYS: &[(MatchKey, &str)] = &[
    (MatchKey::Node, "node"),
    (MatchKey::Gpu, "gpu"),
    (MatchKey::Model, "model"),
    (MatchKey::Server, "server"),
    (MatchKey::Service, "service"),
    (MatchKey::Tenant, "tenant"),
    (MatchKey::Rack, "rack"),
    (MatchKey::Zone, "zone"),
    (MatchKey::Cluster, "cluster"),
    (MatchKey::Rule, "rule"),
    (MatchKey::Type, "type"),
    (MatchKey::Severity, "severity"),
];

/// What is no matcher, and what would be.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct NoMatcher(String);

impl FromStr for MatchKey {
    type Err = NoMatcher;

    fn from_str(text: &str) -> Result<Self, NoMatcher> {
        if let Some(key) = text.strip_prefix("label.").filter(|key| !key.is_empty()) {
            return Ok(Self::Label(key.to_owned()));
        }
        let known = KEYS.iter().find(|(_, word)| *word == text);
        known.map(|(key, _)| key.clone()).ok_or_else(|| {
            let words: Vec<&str> = KEYS.iter().map(|(_, word)| *word).collect();
            NoMatcher(format!(
                "nothing can be matched by `{text}` (one of: {}, label.KEY)",
                words.join(", ")
            ))
        })
    }
}

impl fmt::Display for MatchKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self, KEYS.iter().find(|(key, _)| key == self)) {
            (Self::Label(key), _) => write!(f, "label.{key}"),
            (_, known) => f.write_str(known.map_or("", |(_, word)| word)),
        }
    }
}

impl TryFrom<String> for MatchKey {
    type Error = NoMatcher;

    fn try_from(text: String) -> Result<Self, NoMatcher> {
        text.parse()
    }
}

impl From<MatchKey> for String {
    fn from(key: MatchKey) -> Self {
        key.to_string()
    }
}

/// How a value is held against what is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum MatchOp {
    /// `=`
    #[serde(rename = "=")]
    Is,
    /// `!=`
    #[serde(rename = "!=")]
    IsNot,
    /// `=~`, an expression for all of the value.
    #[serde(rename = "=~")]
    Like,
    /// `!~`
    #[serde(rename = "!~")]
    Unlike,
}

impl MatchOp {
    /// All of them; the longer signs first, so that none is taken for the beginning of another.
    pub const ALL: &'static [Self] = &[Self::Like, Self::Unlike, Self::IsNot, Self::Is];

    /// The sign.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Is => "=",
            Self::IsNot => "!=",
            Self::Like => "=~",
            Self::Unlike => "!~",
        }
    }

    /// Whether it asks for the opposite.
    pub const fn is_negative(self) -> bool {
        matches!(self, Self::IsNot | Self::Unlike)
    }

    /// Whether it takes an expression.
    pub const fn is_expression(self) -> bool {
        matches!(self, Self::Like | Self::Unlike)
    }
}

/// What a finding, its incident or its node must be like, written `rule=~"xid|ecc.*"`, the quotes as
/// one likes. What has no such value counts as one that is empty.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Matcher {
    /// What is looked at.
    pub key: MatchKey,
    /// How.
    pub op: MatchOp,
    /// What is wanted.
    pub value: String,
}

impl FromStr for Matcher {
    type Err = NoMatcher;

    fn from_str(text: &str) -> Result<Self, NoMatcher> {
        let unknown =
            || NoMatcher(format!("`{text}` is no matcher (try node=gpu-node-7 or 'rule=~ecc.*')"));
        let (key, rest) = text.split_at(text.find(['=', '!']).ok_or_else(unknown)?);
        let known = |op: &&MatchOp| rest.starts_with(op.as_str());
        let op = MatchOp::ALL.iter().copied().find(|op| known(&op)).ok_or_else(unknown)?;
        let value = rest[op.as_str().len()..].trim();
        let bare = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
        Ok(Self { key: key.trim().parse()?, op, value: bare.unwrap_or(value).to_owned() })
    }
}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}{}", self.key, self.op.as_str(), self.value)
    }
}

impl Serialize for Matcher {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What a person asks to be held back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// From now on, or planned.
    pub kind: SilenceKind,
    /// All of them must match.
    pub matchers: Vec<Matcher>,
    /// A finding must be on one of them, if there is any.
    pub entities: Vec<Entity>,
    /// `None` is now.
    pub starts_at: Option<Timestamp>,
    /// When it ends.
    pub end: End,
    /// Who asks.
    pub author: String,
    /// Why.
    pub reason: String,
    /// Incidents of severity P1, too.
    pub even_critical: bool,
    /// Planned work may come again, first at `starts_at` or later.
    pub repeat: Option<Repeat>,
}

/// When something ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// At this instant.
    At(Timestamp),
    /// So long after its beginning.
    After(Duration),
}

/// A silence or maintenance. Never deleted by a person, only ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Silence {
    /// Its number.
    pub id: SilenceId,
    /// Silence or maintenance.
    pub kind: SilenceKind,
    /// All of them must match.
    pub matchers: Vec<Matcher>,
    /// A finding must be on one of them, if there is any.
    pub entities: Vec<Entity>,
    /// From when on it holds back. Of what comes again: this time, or the next.
    pub starts_at: Timestamp,
    /// Until when, of the same time.
    pub ends_at: Timestamp,
    /// Who asked for it.
    pub author: String,
    /// Why.
    pub reason: String,
    /// Incidents of severity P1, too.
    pub even_critical: bool,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// Who ended it before its time, and when.
    pub ended: Option<Ended>,
    /// Incidents that it has held back so far, each counted once for each time.
    pub incidents_held: u64,
    /// Findings that it has held back so far, each counted once for each time.
    pub findings_held: u64,
    /// How it comes again, if it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repeat: Option<Repeat>,
}

/// The end of a silence before its time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ended {
    /// Who.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

impl Silence {
    /// Where it stands at an instant.
    #[must_use]
    pub fn state(&self, now: Timestamp) -> SilenceState {
        if self.over_at() <= now {
            SilenceState::Over
        } else if self.starts_at > now {
            SilenceState::Planned
        } else {
            SilenceState::Active
        }
    }

    /// From when on it holds nothing back any more.
    #[must_use]
    pub fn over_at(&self) -> Timestamp {
        self.ended.as_ref().map_or(self.ends_at, |ended| ended.at.min(self.ends_at))
    }
}

/// What is held back at one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Hold {
    /// Incidents of which nothing is left to show.
    pub incidents: u64,
    /// Findings.
    pub findings: u64,
    /// Incidents that are shown all the same, since some of their findings are not held back.
    pub in_part: u64,
    /// Incidents that are shown all the same, since they are P1 and it does not name that.
    pub critical: u64,
}

/// A silence and what it does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Listed {
    /// It.
    #[serde(flatten)]
    pub silence: Silence,
    /// Where it stands.
    pub state: SilenceState,
    /// What it holds back now.
    pub now: Hold,
}

/// Who or what holds back.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Holder {
    /// A silence.
    Silence {
        /// Which.
        id: SilenceId,
    },
    /// Planned work.
    Maintenance {
        /// Which.
        id: SilenceId,
    },
    /// Another incident, by a rule of the settings.
    Inhibition {
        /// The rule's name.
        rule: String,
        /// The incident that makes it so.
        incident: IncidentId,
    },
}

impl fmt::Display for Holder {
    /// As people say it, e.g. `maintenance S7`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silence { id } => write!(f, "silence {id}"),
            Self::Maintenance { id } => write!(f, "maintenance {id}"),
            Self::Inhibition { rule, incident } => write!(f, "{incident} (inhibition {rule})"),
        }
    }
}

/// What holds an incident back, in whole or in part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Suppression {
    /// Who or what.
    pub by: Holder,
    /// Who asked for it; empty for an inhibition.
    pub author: String,
    /// Why.
    pub reason: String,
    /// Until when; `None` for an inhibition, which lasts as long as its incident is active.
    pub until: Option<Timestamp>,
    /// Active findings that it holds back. Once none is active, of all.
    pub members_held: u64,
    /// Out of so many.
    pub members_total: u64,
}

impl fmt::Display for Suppression {
    /// As people say it, e.g. `silence S7 (ann) until 2026-11-23 20:31 UTC: new PDU`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { by, author, reason, until, .. } = self;
        write!(f, "{by}")?;
        if !author.is_empty() {
            write!(f, " ({author})")?;
        }
        if let Some(until) = until {
            write!(f, " until {}", minute(*until))?;
        }
        write!(f, ": {reason}")
    }
}

/// An instant to the minute, e.g. `2026-11-23 20:31 UTC`.
#[must_use]
pub fn minute(at: Timestamp) -> String {
    let text = at.to_string();
    match (text.get(..10), text.get(11..16)) {
        (Some(day), Some(time)) => format!("{day} {time} UTC"),
        _ => text,
    }
}

/// An incident that is held back, in whole or in part, by one thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Held {
    /// The incident.
    pub incident: IncidentId,
    /// Its class.
    #[serde(rename = "type")]
    pub kind: IncidentType,
    /// How urgent it is.
    pub severity: Severity,
    /// What is broken, where.
    pub title: String,
    /// Since when nothing of it is shown; `None` while some of it is.
    pub held_since: Option<Timestamp>,
    /// What holds it back.
    pub suppression: Suppression,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_matcher_is_read_as_it_is_written() {
        for text in ["node=gpu-node-7", "rule=~xid|ecc.*", "severity!=P1", "label.pool!~a=b"] {
            assert_eq!(text.parse::<Matcher>().unwrap().to_string(), text);
        }
        let quoted: Matcher = "model = \"bert large\"".parse().unwrap();
        assert_eq!(quoted.to_string(), "model=bert large");
        assert_eq!("service=".parse::<Matcher>().unwrap().value, "");
    }

    #[test]
    fn what_is_no_matcher_is_told_what_would_be() {
        let refused = |text: &str| text.parse::<Matcher>().unwrap_err().to_string();
        insta::assert_snapshot!([refused("node"), refused("nodes=a"), refused("label.=a")].join("\n"), @r"
        `node` is no matcher (try node=gpu-node-7 or 'rule=~ecc.*')
        nothing can be matched by `nodes` (one of: node, gpu, model, server, service, tenant, rack, zone, cluster, rule, type, severity, label.KEY)
        nothing can be matched by `label.` (one of: node, gpu, model, server, service, tenant, rack, zone, cluster, rule, type, severity, label.KEY)
        ");
    }
}
