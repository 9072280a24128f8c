//! One notification on its way, as a store keeps it. Pure.

use std::fmt;

use gpuwarden_proto::time::Timestamp;
pub use gpuwarden_proto::vocab::DestinationName;
use gpuwarden_proto::vocab::IncidentId;
use serde::{Deserialize, Serialize};

use crate::destination::External;
use crate::message::{Kind, Message};

/// What makes a notification the same: asked for twice, it is told once.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Key {
    /// Of which incident.
    pub incident: IncidentId,
    /// At what step: `page-L1`, `update-17`, `resolved`.
    pub step: String,
    /// To where.
    pub destination: DestinationName,
    /// Which time, where a step is told again.
    pub round: u32,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { incident, step, destination, round } = self;
        write!(f, "{}/{step}/{destination}/{round}", incident.0)
    }
}

/// Where a notification stands.
///
/// ```text
/// Waiting ──► Sent ──► Told
///    ▲  │      │ └────► Dead
///    │  │      └─ retry, or a crash ─► Waiting
///    │  └─ newer words ─► Superseded
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum State {
    /// It is to be handed over.
    Waiting,
    /// It is handed over, and nobody knows yet what became of it.
    Sent,
    /// It was taken.
    Told {
        /// When.
        at: Timestamp,
        /// What it is known by there.
        external: Option<External>,
        /// When it is told again, or it would lapse there.
        renew_at: Option<Timestamp>,
    },
    /// Something newer is told in its place.
    Superseded {
        /// When.
        at: Timestamp,
        /// By what.
        by: Key,
    },
    /// It is given up.
    Dead {
        /// When.
        at: Timestamp,
        /// Why.
        why: String,
    },
}

/// A notification on its way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Its place in the order in which they were asked for.
    pub number: u64,
    /// What makes it the same.
    pub key: Key,
    /// What is told.
    pub message: Message,
    /// When it was asked for.
    pub asked_at: Timestamp,
    /// How often it was tried in vain.
    pub attempts: u32,
    /// Not to be handed over before.
    pub not_before: Timestamp,
    /// The notification that it was first handed over with: its own key, or that of the first of a
    /// bundle. Tried again, also after a crash, it goes with the same.
    pub with: Option<Key>,
    /// It says that its incident comes and goes.
    pub flapping: bool,
    /// It is held until its incident is calm.
    pub held: bool,
    /// It is told as something new, since what was told before is gone there.
    pub anew: bool,
    /// It is told by the fall-back as well.
    pub spread: bool,
    /// Where it should have gone, and why it did not.
    pub diverted: Option<String>,
    /// What was said when it was last tried in vain.
    pub fault: String,
    /// Where it stands.
    #[serde(flatten)]
    pub state: State,
}

impl Row {
    /// Whether it is still to be told, or nobody knows whether it was.
    #[must_use]
    pub fn is_on_its_way(&self) -> bool {
        matches!(self.state, State::Waiting | State::Sent)
    }

    /// Whether nobody can have heard it yet.
    pub(super) fn is_unheard(&self) -> bool {
        self.state == State::Waiting && self.attempts == 0 && self.with.is_none()
    }

    /// Whether newer words of this kind make it needless. What may have been heard already is told
    /// to the end, so that nobody is left with half of a story; but of updates only the newest counts.
    pub(super) fn gives_way_to(&self, newer: Kind) -> bool {
        let waiting = self.state == State::Waiting;
        match (self.message.kind, newer) {
            (Kind::Update, Kind::Page | Kind::Update | Kind::Resolved) => waiting,
            (Kind::Broadcast, Kind::Broadcast) => waiting,
            (Kind::Page | Kind::Resolved, Kind::Page | Kind::Resolved) => self.is_unheard(),
            (Kind::Update, Kind::Broadcast)
            | (Kind::Broadcast, Kind::Page | Kind::Update | Kind::Resolved)
            | (Kind::Page | Kind::Resolved, Kind::Update | Kind::Broadcast) => false,
        }
    }
}
