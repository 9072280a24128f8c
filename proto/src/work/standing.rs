//! How the time to respond goes.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How the time to respond goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// Less than half of it is over.
    InTime,
    /// Half of it is over.
    AtRiskHalf,
    /// Four fifths of it are over.
    AtRiskFourFifths,
    /// All of it is over.
    Breached,
}

impl Standing {
    /// All of them.
    pub const ALL: [Self; 4] =
        [Self::InTime, Self::AtRiskHalf, Self::AtRiskFourFifths, Self::Breached];

    /// The word on the wire and in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InTime => "in-time",
            Self::AtRiskHalf => "at-risk-half",
            Self::AtRiskFourFifths => "at-risk-four-fifths",
            Self::Breached => "breached",
        }
    }
}

impl FromStr for Standing {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|known| known.as_str() == word);
        known.ok_or_else(|| {
            let words = Self::ALL.map(Self::as_str).join(", ");
            format!("`{word}` is no standing of a response clock (one of: {words})")
        })
    }
}
