//! Who is on, from when until when, and why; and when that changes.

use std::fmt;

use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::PersonName;
use serde::{Deserialize, Serialize};

use crate::zone::Zone;

/// Why somebody is on call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Because {
    /// It is their turn.
    Layer {
        /// In this layer.
        layer: String,
    },
    /// They take over.
    Override {
        /// Who said so.
        by: String,
    },
    /// No layer has anybody, and nobody takes over.
    Nobody,
}

impl fmt::Display for Because {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Layer { layer } => write!(f, "layer {layer}"),
            Self::Override { by } => write!(f, "override by {by}"),
            Self::Nobody => f.write_str("no layer and no override has anybody"),
        }
    }
}

/// A stretch of time with one person on call, or with nobody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Shift {
    /// Who; `None` where nobody is.
    pub who: Option<PersonName>,
    /// Why.
    pub because: Because,
    /// From when on it was looked at.
    pub from: Timestamp,
    /// Until when; `None` where no end is near.
    pub to: Option<Timestamp>,
}

impl Shift {
    /// As people read it: `ann until Mon 2026-11-30 09:00 (layer weeks)`.
    #[must_use]
    pub fn sentence(&self, zone: &Zone) -> String {
        let until = self.to.map_or_else(String::new, |to| format!(" until {}", zone.shown(to)));
        format!("{}{until} ({})", name(self.who.as_ref()), self.because)
    }
}

/// Another person is on call from now on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HandOver {
    /// When.
    pub at: Timestamp,
    /// Who was.
    pub from: Option<PersonName>,
    /// Who is.
    pub to: Option<PersonName>,
    /// Why.
    pub because: Because,
}

impl HandOver {
    /// As people read it: `Mon 2026-11-30 09:00 ann → ben (layer weeks)`.
    #[must_use]
    pub fn sentence(&self, zone: &Zone) -> String {
        let (from, to) = (name(self.from.as_ref()), name(self.to.as_ref()));
        format!("{} {from} → {to} ({})", zone.shown(self.at), self.because)
    }
}

fn name(who: Option<&PersonName>) -> &str {
    who.map_or("nobody", PersonName::as_str)
}
