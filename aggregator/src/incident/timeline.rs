//! The history of an incident, with a bound: the beginning and the newest are kept.

use std::sync::Arc;

use gpuwarden_proto::incident::TimelineEntry;
use gpuwarden_proto::time::Timestamp;

use super::Case;

/// The actor of what happens by itself.
pub const SELF: &str = "gpuwarden";

/// What kind of line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The first member was seen.
    Detected,
    /// The class was given.
    Classified,
    /// The severity was given or rose.
    Severity,
    /// A member came.
    Joined,
    /// Another member is the likely cause.
    Cause,
    /// A change is named that most likely brought it about.
    Suspected,
    /// A member was over and is active again.
    Again,
    /// A member is over.
    Cleared,
    /// A member comes and goes too often to be told each time.
    Flapping,
    /// It does so no more.
    Calm,
    /// A member was over before it was told.
    Late,
    /// No member is active.
    Quiet,
    /// Active again after quiet.
    Reopened,
    /// Somebody took it.
    Acknowledged,
    /// Somebody said something.
    Note,
    /// Over.
    Resolved,
    /// Members came from, or went to, another incident.
    Merged,
    /// Members have a cause of their own and went to another incident.
    Parted,
    /// A person took members out: they have a cause of their own.
    Split,
    /// Another incident may have the same cause.
    Related,
    /// Something happened to the node that bears on what is known.
    Node,
    /// All of it is held back from now on.
    Held,
    /// It is shown again.
    Released,
}

impl Kind {
    /// The word in the history.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Detected => "detected",
            Self::Classified => "classified",
            Self::Severity => "severity",
            Self::Joined => "joined",
            Self::Cause => "cause",
            Self::Suspected => "suspected",
            Self::Again => "again",
            Self::Cleared => "cleared",
            Self::Flapping => "flapping",
            Self::Calm => "calm",
            Self::Late => "late",
            Self::Quiet => "quiet",
            Self::Reopened => "reopened",
            Self::Acknowledged => "acknowledged",
            Self::Note => "note",
            Self::Resolved => "resolved",
            Self::Merged => "merged",
            Self::Parted => "parted",
            Self::Split => "split",
            Self::Related => "related",
            Self::Node => "node",
            Self::Held => "held",
            Self::Released => "released",
        }
    }
}

impl Case {
    /// Adds a line. When there is no room the oldest line of the newer half goes, and is counted,
    /// so that how it began is never forgotten.
    pub(super) fn tell(&mut self, at: Timestamp, kind: Kind, actor: &str, text: String) {
        let timeline = &mut self.incident.timeline;
        if timeline.len() >= self.limits.timeline {
            timeline.remove(self.limits.timeline / 2);
            self.incident.timeline_dropped += 1;
        }
        let kind = kind.as_str().to_owned();
        timeline.push(Arc::new(TimelineEntry { at, kind, actor: actor.to_owned(), text }));
    }
}
