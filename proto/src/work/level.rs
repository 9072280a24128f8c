//! Whom an incident is taken to.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Whom an incident is taken to, as the handbook has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Level {
    /// Platform engineer.
    L1,
    /// Senior engineer.
    L2,
    /// Architect or lead.
    L3,
    /// Management.
    Management,
}

impl Level {
    /// All of them, from the first on.
    pub const ALL: [Self; 4] = [Self::L1, Self::L2, Self::L3, Self::Management];

    /// The one above.
    #[must_use]
    pub const fn next(self) -> Option<Self> {
        match self {
            Self::L1 => Some(Self::L2),
            Self::L2 => Some(Self::L3),
            Self::L3 => Some(Self::Management),
            Self::Management => None,
        }
    }

    /// The word in settings and commands.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::L1 => "l1",
            Self::L2 => "l2",
            Self::L3 => "l3",
            Self::Management => "management",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::L1 => "L1",
            Self::L2 => "L2",
            Self::L3 => "L3",
            Self::Management => "management",
        })
    }
}

impl FromStr for Level {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|known| known.as_str() == word);
        known.ok_or_else(|| {
            let words = Self::ALL.map(Self::as_str).join(", ");
            format!("`{word}` is no level (one of: {words})")
        })
    }
}
