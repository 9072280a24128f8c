//! Timers as data: what is to happen to an incident at an instant, with a name that outlives a
//! restart. Nothing here waits; whoever owns the clock asks for [`Timers::next`] and comes back.

pub mod audit;

use std::fmt;

use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::IncidentId;
use serde::{Deserialize, Serialize};

/// What a timer is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TimerKind {
    /// Half of the time to respond is over.
    AtRiskHalf,
    /// Four fifths of it are over.
    AtRiskFourFifths,
    /// All of it is over.
    Breached,
    /// Working hours begin, and with them the first page.
    WorkBegins,
    /// The next level is paged.
    NextLevel,
    /// Nobody has answered a whole round: the next begins.
    NextRound,
    /// An acknowledgement ends.
    AcknowledgementEnds,
    /// It has been critical for so long that management is told.
    Management,
}

impl fmt::Display for TimerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AtRiskHalf => "at risk (half)",
            Self::AtRiskFourFifths => "at risk (four fifths)",
            Self::Breached => "breached",
            Self::WorkBegins => "working hours begin",
            Self::NextLevel => "next level",
            Self::NextRound => "next round",
            Self::AcknowledgementEnds => "acknowledgement ends",
            Self::Management => "management",
        })
    }
}

/// Names a timer for ever: one that is set anew for another reason has another epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TimerId {
    /// Whose it is.
    pub incident: IncidentId,
    /// Grows with each timer that the owner sets.
    pub epoch: u32,
    /// What it is for.
    pub kind: TimerKind,
}

impl fmt::Display for TimerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{} {}", self.incident, self.epoch, self.kind)
    }
}

/// A timer and its instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Timer {
    /// When it is due; may lie in the past, which means at once.
    pub at: Timestamp,
    /// Which.
    pub id: TimerId,
}

/// What happened to a timer. Written down with its time, these words are what [`audit`] reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TimerWord {
    /// It was set. Said again after a restart, it changes nothing.
    Set(Timer),
    /// It is wanted no more.
    Cancelled(TimerId),
    /// Its instant came and was acted on.
    Fired(TimerId),
}

/// The timers of one owner that are set.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timers(Vec<Timer>);

impl Timers {
    /// Sets one.
    pub fn set(&mut self, timer: Timer) -> TimerWord {
        self.0.retain(|each| each.id != timer.id);
        self.0.push(timer);
        self.0.sort_unstable();
        TimerWord::Set(timer)
    }

    /// Cancels those that `unwanted` names.
    pub fn cancel(&mut self, unwanted: impl Fn(TimerKind) -> bool) -> Vec<TimerWord> {
        let (gone, kept) = self.0.iter().partition(|timer| unwanted(timer.id.kind));
        self.0 = kept;
        let gone: Vec<Timer> = gone;
        gone.into_iter().map(|timer| TimerWord::Cancelled(timer.id)).collect()
    }

    /// Takes the first one that is due.
    pub fn take_due(&mut self, now: Timestamp) -> Option<Timer> {
        let due = self.0.first().is_some_and(|timer| timer.at <= now);
        due.then(|| self.0.remove(0))
    }

    /// When the first one is due.
    #[must_use]
    pub fn next(&self) -> Option<Timestamp> {
        self.0.first().map(|timer| timer.at)
    }

    /// All that are set, by their instants: what is set again after a restart.
    #[must_use]
    pub fn armed(&self) -> &[Timer] {
        &self.0
    }
}
