//! Where an incident stands for the people who work on it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Where an incident stands for the people who work on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// It was found.
    Detected,
    /// It has a type and a severity.
    Classified,
    /// Somebody was told.
    Triaged,
    /// Somebody, or a runbook, works on it.
    Responding,
    /// It does no harm any more, and is not over.
    Mitigated,
    /// It is over.
    Resolved,
    /// Its review is being written.
    Drafting,
    /// Its review is being read.
    InReview,
    /// Its review is done.
    Reviewed,
    /// What was decided is being done.
    Improving,
    /// Nothing is left to do.
    Closed,
    /// It goes on as another.
    Merged,
    /// It was none.
    Cancelled,
}

impl Stage {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Detected,
        Self::Classified,
        Self::Triaged,
        Self::Responding,
        Self::Mitigated,
        Self::Resolved,
        Self::Drafting,
        Self::InReview,
        Self::Reviewed,
        Self::Improving,
        Self::Closed,
        Self::Merged,
        Self::Cancelled,
    ];

    /// The word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Detected => "detected",
            Self::Classified => "classified",
            Self::Triaged => "triaged",
            Self::Responding => "responding",
            Self::Mitigated => "mitigated",
            Self::Resolved => "resolved",
            Self::Drafting => "drafting",
            Self::InReview => "in-review",
            Self::Reviewed => "reviewed",
            Self::Improving => "improving",
            Self::Closed => "closed",
            Self::Merged => "merged",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether it is still going on.
    #[must_use]
    pub const fn is_open(self) -> bool {
        use Stage::{Classified, Detected, Mitigated, Responding, Triaged};
        matches!(self, Detected | Classified | Triaged | Responding | Mitigated)
    }

    /// Whether nothing more comes of it.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Closed | Self::Merged | Self::Cancelled)
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Stage {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|known| known.as_str() == word);
        known.ok_or_else(|| {
            let words = Self::ALL.map(Self::as_str).join(", ");
            format!("`{word}` is no stage (one of: {words})")
        })
    }
}
