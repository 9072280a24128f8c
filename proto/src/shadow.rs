//! What a candidate config would have done otherwise with the same signals: plain data, and how it
//! is written for people.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::time::Timestamp;
use crate::vocab::{DifferenceKind, IncidentId, IncidentState, IncidentType, Severity};

/// How the incidents of a candidate config, the shadow, differ from those of the live one.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Report {
    /// Both were told the same from here on. What began before is compared, but not missed.
    pub since: Timestamp,
    /// As of when.
    pub until: Timestamp,
    /// Incidents of the live config.
    pub live: u64,
    /// Incidents of the shadow.
    pub shadow: u64,
    /// Incidents that are the same in both.
    pub alike: u64,
    /// Differences of each kind.
    pub counts: BTreeMap<DifferenceKind, u64>,
    /// The differences, in the order of the incidents.
    pub differences: Vec<Difference>,
    /// Differences that are counted above and not listed.
    pub unlisted: u64,
    /// Signals that the shadow was not told, since it cost too much.
    pub skipped: u64,
    /// How often it began anew after that.
    pub lapses: u64,
    /// It is not told anything at present.
    pub paused: bool,
}

/// One thing that the shadow would have done otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// What kind.
    pub kind: DifferenceKind,
    /// Incidents of the live config.
    pub live: Vec<Side>,
    /// Incidents of the shadow; their numbers are its own.
    pub shadow: Vec<Side>,
    /// In words.
    pub text: String,
}

/// An incident in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Side {
    /// Its number.
    pub id: IncidentId,
    /// Its class.
    #[serde(rename = "type")]
    pub kind: IncidentType,
    /// How urgent it is.
    pub severity: Severity,
    /// Where it stands.
    pub state: IncidentState,
    /// What it is called.
    pub title: String,
    /// How many members it has.
    pub members: u64,
    /// When it was opened.
    pub detected_at: Timestamp,
    /// When it was over, if it is.
    pub resolved_at: Option<Timestamp>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { since, until, live, shadow, alike, .. } = self;
        writeln!(f, "{live} incidents live, {shadow} in the shadow, {alike} of them the same")?;
        writeln!(f, "from {since} to {until}")?;
        if self.paused || self.lapses > 0 || self.skipped > 0 {
            let now = if self.paused { "; it is told nothing at present" } else { "" };
            let Self { skipped, lapses, .. } = self;
            writeln!(
                f,
                "the shadow was not told {skipped} signals, began anew {lapses} times{now}"
            )?;
        }
        for Difference { kind, live, shadow, text } in &self.differences {
            let ids = |sides: &[Side]| match sides {
                [] => "-".to_owned(),
                sides => sides.iter().map(|s| s.id.to_string()).collect::<Vec<_>>().join(" "),
            };
            writeln!(f, "{kind:<12} {:<10} {:<10} {text}", ids(live), ids(shadow))?;
        }
        match self.unlisted {
            0 => Ok(()),
            more => writeln!(f, "and {more} more"),
        }
    }
}
