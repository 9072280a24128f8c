//! A silence as a line of an event log tells it. What it has held back so far is not told: that comes
//! of the replay. Pure.

use gpuwarden_proto::entity::Entity;
use gpuwarden_proto::repeat::Repeat;
use gpuwarden_proto::silence::{MatchKey, MatchOp, Matcher, Silence, SilenceId};
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::SilenceKind;
use serde::{Deserialize, Serialize};

/// What was asked for, and what became of it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Terms {
    id: SilenceId,
    kind: SilenceKind,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    matchers: Vec<Term>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    entities: Vec<Entity>,
    starts_at: Timestamp,
    ends_at: Timestamp,
    author: String,
    reason: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    even_critical: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    repeat: Option<Repeat>,
}

/// A matcher in its parts: as one text, a name with a sign in it could be read in another way.
#[derive(Debug, Serialize, Deserialize)]
struct Term {
    key: MatchKey,
    op: MatchOp,
    value: String,
}

impl From<&Silence> for Terms {
    fn from(silence: &Silence) -> Self {
        let term = |Matcher { key, op, value }: &Matcher| Term {
            key: key.clone(),
            op: *op,
            value: value.clone(),
        };
        Self {
            id: silence.id,
            kind: silence.kind,
            matchers: silence.matchers.iter().map(term).collect(),
            entities: silence.entities.clone(),
            starts_at: silence.starts_at,
            ends_at: silence.ends_at,
            author: silence.author.clone(),
            reason: silence.reason.clone(),
            even_critical: silence.even_critical,
            repeat: silence.repeat.clone(),
        }
    }
}

impl Terms {
    /// The silence, which was made at an instant.
    pub(super) fn silence(self, created_at: Timestamp) -> Silence {
        let matcher = |Term { key, op, value }| Matcher { key, op, value };
        Silence {
            id: self.id,
            kind: self.kind,
            matchers: self.matchers.into_iter().map(matcher).collect(),
            entities: self.entities,
            starts_at: self.starts_at,
            ends_at: self.ends_at,
            author: self.author,
            reason: self.reason,
            even_critical: self.even_critical,
            created_at,
            ended: None,
            incidents_held: 0,
            findings_held: 0,
            repeat: self.repeat,
        }
    }
}
