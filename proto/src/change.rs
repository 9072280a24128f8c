//! What was done to the fleet, whoever tells of it: agents, people, other systems, Kubernetes.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::entity::Entity;
use crate::event::{self, Subject};
use crate::time::Timestamp;
pub use crate::vocab::{ChangeKey, ChangeKind, ChangeOrigin};
use crate::vocab::{EntityKind, NodeId};

/// Things that one change may be about.
pub const ABOUT_MAX: usize = 32;
/// The longest summary, in bytes; what is longer is cut.
pub const SUMMARY_MAX_BYTES: usize = 1024;
/// The longest name of who did it, in bytes; what is longer is cut.
pub const BY_MAX_BYTES: usize = 256;
/// The longest link, in bytes; what is longer is left out.
pub const LINK_MAX_BYTES: usize = 2048;
/// The longest version or list of images, in bytes; what is longer is cut.
pub const VERSION_MAX_BYTES: usize = 512;
/// The longest name of what it is about, in bytes.
pub const NAME_MAX_BYTES: usize = 512;

/// So far ahead of our clock another's may be.
const AHEAD_MAX: Duration = Duration::from_secs(300);
const MINUTE_NS: u64 = 60_000_000_000;

/// One change. Two with the same key are the same change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedChange {
    /// What tells it from all others.
    pub key: ChangeKey,
    /// How.
    pub kind: ChangeKind,
    /// What was changed: services, models, versions, nodes, racks, zones, drivers. Nothing means the
    /// whole fleet.
    pub about: Vec<Entity>,
    /// One sentence for people.
    pub summary: String,
    /// Who did it; empty where nobody told.
    pub by: String,
    /// Who tells of it.
    pub origin: ChangeOrigin,
    /// Where more is written; empty where nobody told.
    pub link: String,
    /// When it began, or was seen.
    pub started_at: Timestamp,
    /// When it was done; `None` while it goes on, and where nobody tells.
    pub finished_at: Option<Timestamp>,
    /// Version or images before it; empty where nobody told.
    pub before: String,
    /// Version or images since then; empty where nobody told.
    pub after: String,
}

/// A change as somebody tells it, before it is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// What tells it from all others; without one, what it says does.
    pub key: Option<String>,
    /// How.
    pub kind: ChangeKind,
    /// What was changed; nothing means the whole fleet.
    pub about: Vec<Entity>,
    /// One sentence for people.
    pub summary: String,
    /// Who did it.
    pub by: String,
    /// Who tells of it.
    pub origin: ChangeOrigin,
    /// Where more is written.
    pub link: String,
    /// When it began; now, where that is not told.
    pub started_at: Option<Timestamp>,
    /// When it was done.
    pub finished_at: Option<Timestamp>,
    /// Version or images before it.
    pub before: String,
    /// Version or images since then.
    pub after: String,
}

/// A change that cannot be recorded as it was told.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NoChange {
    /// It says nothing.
    #[error("summary: is empty; say in one sentence what was done")]
    NoSummary,
    /// It is about too much.
    #[error("about: {0} things are named, at most {ABOUT_MAX} are taken; name a rack or a service")]
    TooMuch(usize),
    /// It is about something that has no name.
    #[error(
        "about: the name of a {0} must have 1 to {NAME_MAX_BYTES} bytes and no control characters"
    )]
    NoName(EntityKind),
    /// It is about what changes are not recorded of.
    #[error(
        "about: a change of a {0} cannot be recorded (do it for a service, model, version, node, \
         rack, zone or driver)"
    )]
    NotThis(EntityKind),
    /// A version is `MODEL:VERSION`.
    #[error("about: `{0}` is no version of a model (try bert:7)")]
    NoVersion(String),
    /// It ended before it began.
    #[error("finished_at: is before started_at")]
    Backwards,
    /// It is not done yet.
    #[error("started_at: is in the future; record it when it begins")]
    Ahead,
}

impl RecordedChange {
    /// What an agent saw on its node. The same seen thing has the same key.
    #[must_use]
    pub fn observed(node: &NodeId, observed_at: Timestamp, seen: &event::Change) -> Self {
        let entity = Entity::of(Some(node), &seen.subject);
        let key = format!("{node}/{}/{}/{}", seen.kind, entity.name, observed_at.unix_ns());
        let after = match &seen.subject {
            Subject::Model { version, .. } if seen.version.is_empty() => version.as_str(),
            _ => seen.version.as_str(),
        };
        Self {
            key: short_key(&key),
            kind: seen.kind,
            about: vec![entity],
            summary: seen.summary.clone(),
            by: String::new(),
            origin: ChangeOrigin::Agent,
            link: String::new(),
            started_at: observed_at,
            finished_at: Some(observed_at),
            before: String::new(),
            after: after.to_owned(),
        }
    }

    /// The node that an agent speaks for.
    #[must_use]
    pub fn node(&self) -> Option<&NodeId> {
        self.about.first().and_then(|entity| entity.node.as_ref())
    }
}

impl Told {
    /// Says no more than this yet.
    #[must_use]
    pub fn new(kind: ChangeKind, origin: ChangeOrigin, summary: &str) -> Self {
        Self {
            key: None,
            kind,
            about: Vec::new(),
            summary: summary.to_owned(),
            by: String::new(),
            origin,
            link: String::new(),
            started_at: None,
            finished_at: None,
            before: String::new(),
            after: String::new(),
        }
    }

    /// The record of it, in bounds: what is too long is cut, a link that is none is left out.
    ///
    /// # Errors
    ///
    /// What cannot be mended by that, in words for who told it.
    pub fn recorded(mut self, now: Timestamp) -> Result<RecordedChange, NoChange> {
        let started_at = self.started_at.unwrap_or(now);
        if started_at > now.after(AHEAD_MAX) {
            return Err(NoChange::Ahead);
        }
        if self.finished_at.is_some_and(|at| at < started_at) {
            return Err(NoChange::Backwards);
        }
        self.about.sort();
        self.about.dedup();
        if self.about.len() > ABOUT_MAX {
            return Err(NoChange::TooMuch(self.about.len()));
        }
        self.about.iter().try_for_each(nameable)?;
        let summary = line(&self.summary, SUMMARY_MAX_BYTES);
        if summary.is_empty() {
            return Err(NoChange::NoSummary);
        }
        Ok(RecordedChange {
            key: self.own_key(now),
            kind: self.kind,
            summary,
            by: line(&self.by, BY_MAX_BYTES),
            origin: self.origin,
            link: if is_link(&self.link) { self.link } else { String::new() },
            started_at,
            finished_at: self.finished_at,
            before: line(&self.before, VERSION_MAX_BYTES),
            after: line(&self.after, VERSION_MAX_BYTES),
            about: self.about,
        })
    }

    /// Without a key, what it says is its key, so that who is not sure whether it arrived can tell it
    /// again; without a start, within the same minute.
    fn own_key(&self, now: Timestamp) -> ChangeKey {
        if let Some(key) = self.key.as_deref().filter(|key| !key.is_empty()) {
            return short_key(key);
        }
        let at = self.started_at.map_or(now.unix_ns() / MINUTE_NS, Timestamp::unix_ns);
        let Self { kind, about, summary, by, origin, .. } = self;
        let about: Vec<String> = about.iter().map(ToString::to_string).collect();
        let text = format!("{kind}\n{}\n{summary}\n{by}\n{at}", about.join("\n"));
        hashed(origin.as_str(), &text)
    }
}

/// A key of any text: where it is too long, or has what a key may not have, its hash stands for it.
#[must_use]
pub fn short_key(text: &str) -> ChangeKey {
    ChangeKey::new(text).unwrap_or_else(|_| {
        let start: String = text.chars().filter(|c| !c.is_control()).take(40).collect();
        hashed(&start, text)
    })
}

/// A key of a short beginning and the hash of a text.
fn hashed(start: &str, text: &str) -> ChangeKey {
    let key = format!("{start}#{:016x}{:016x}", fnv(text, 0), fnv(text, 1));
    ChangeKey::new(&key).expect("a short text without control characters")
}

/// FNV-1a, begun with a seed: the same text gives the same number in every version and on every
/// machine.
fn fnv(text: &str, seed: u64) -> u64 {
    let begin = 0xcbf2_9ce4_8422_2325_u64 ^ seed;
    text.bytes()
        .fold(begin, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

fn nameable(entity: &Entity) -> Result<(), NoChange> {
    let name = &*entity.name;
    if name.is_empty() || name.len() > NAME_MAX_BYTES || name.chars().any(char::is_control) {
        return Err(NoChange::NoName(entity.kind));
    }
    match entity.kind {
        EntityKind::Version if entity.model().is_none() => {
            Err(NoChange::NoVersion(name.chars().take(60).collect()))
        }
        EntityKind::Zone
        | EntityKind::Rack
        | EntityKind::Node
        | EntityKind::Model
        | EntityKind::Version
        | EntityKind::Driver
        | EntityKind::Service => Ok(()),
        other => Err(NoChange::NotThis(other)),
    }
}

/// The beginning of a text as one line.
fn line(text: &str, max_bytes: usize) -> String {
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    let mut text: String = text.trim().chars().map(clean).collect();
    if text.len() > max_bytes {
        text.truncate(text.floor_char_boundary(max_bytes - '…'.len_utf8()));
        text.push('…');
    }
    text
}

fn is_link(text: &str) -> bool {
    let web = text.starts_with("https://") || text.starts_with("http://");
    web && text.len() <= LINK_MAX_BYTES && !text.chars().any(|c| c.is_control() || c == ' ')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocab::{ModelName, ModelVersion, ServerName};

    const NOW: Timestamp = Timestamp::from_unix_s(100);

    fn told() -> Told {
        Told::new(ChangeKind::Rollout, ChangeOrigin::Webhook, "search 7")
    }

    fn about(kind: EntityKind, name: &str) -> Result<RecordedChange, NoChange> {
        Told { about: vec![Entity::fleet(kind, name)], ..told() }.recorded(NOW)
    }

    #[test]
    fn what_an_agent_sees_twice_has_one_key_and_names_its_replica() {
        let subject = Subject::Model {
            server: ServerName::new("eu/default").unwrap(),
            model: ModelName::new("bert").unwrap(),
            version: ModelVersion::new("7").unwrap(),
        };
        let (kind, summary) = (ChangeKind::ModelDeployed, "serves".to_owned());
        let seen = event::Change { subject, kind, summary, version: String::new() };
        let node = NodeId::new("node-a").unwrap();
        let read = || RecordedChange::observed(&node, Timestamp::from_unix_s(5), &seen);
        assert_eq!(read().key.as_str(), "node-a/model-deployed/eu/default/bert:7/5000000000");
        assert_eq!(read(), read());
        assert_eq!(read().after, "7");
        let (server, model, version) = read().about[0].replica().unwrap();
        assert_eq!(
            (server.as_str(), model.as_str(), version.as_str()),
            ("eu/default", "bert", "7")
        );
    }

    #[test]
    fn a_long_key_keeps_its_beginning_and_two_of_them_differ() {
        let (a, b) = ("x".repeat(300), "x".repeat(301));
        assert_eq!(short_key(&a), short_key(&a));
        assert_ne!(short_key(&a), short_key(&b));
        assert!(short_key("").as_str().starts_with('#'));
    }

    #[test]
    fn what_has_no_key_is_the_same_when_it_says_the_same_in_the_same_minute() {
        let key = |told: Told, s| told.recorded(Timestamp::from_unix_s(s)).unwrap().key;
        assert_eq!(key(told(), 120), key(told(), 179));
        assert_ne!(key(told(), 120), key(told(), 180));
        let at = Some(Timestamp::from_unix_s(50));
        let dated = || Told { started_at: at, ..told() };
        assert_eq!(key(dated(), 120), key(dated(), 9000));
        assert_ne!(key(dated(), 120), key(Told { by: "ann".to_owned(), ..dated() }, 120));
        let named = Told { key: Some("ci-1".to_owned()), ..told() };
        assert_eq!(key(named, 0).as_str(), "ci-1");
    }

    #[test]
    fn what_is_too_long_is_cut_and_a_link_that_is_none_is_left_out() {
        let summary = "é".repeat(SUMMARY_MAX_BYTES);
        let (by, link) = ("an\u{1b}[31mn".to_owned(), "javascript:alert(1)".to_owned());
        let read = Told { summary, by, link, ..told() }.recorded(NOW).unwrap();
        assert!(read.summary.len() <= SUMMARY_MAX_BYTES && read.summary.ends_with('…'));
        assert_eq!((read.by.as_str(), read.link.as_str()), ("an [31mn", ""));
    }

    #[test]
    fn what_cannot_be_recorded_is_refused_in_words() {
        let refused = |told: Told| told.recorded(NOW).unwrap_err().to_string();
        let node = |nth| Entity::fleet(EntityKind::Node, &format!("n{nth}"));
        let at = |s| Some(Timestamp::from_unix_s(s));
        let words = [
            refused(Told { summary: " \n".to_owned(), ..told() }),
            refused(Told { about: (0..=ABOUT_MAX).map(node).collect(), ..told() }),
            about(EntityKind::Service, "").unwrap_err().to_string(),
            about(EntityKind::Process, "7@1").unwrap_err().to_string(),
            about(EntityKind::Version, "bert").unwrap_err().to_string(),
            refused(Told { finished_at: at(99), ..told() }),
            refused(Told { started_at: at(401), ..told() }),
        ];
        insta::assert_snapshot!(words.join("\n"), @r"
        summary: is empty; say in one sentence what was done
        about: 33 things are named, at most 32 are taken; name a rack or a service
        about: the name of a service must have 1 to 512 bytes and no control characters
        about: a change of a process cannot be recorded (do it for a service, model, version, node, rack, zone or driver)
        about: `bert` is no version of a model (try bert:7)
        finished_at: is before started_at
        started_at: is in the future; record it when it begins
        ");
        assert!(about(EntityKind::Version, "bert:7").is_ok());
    }
}
