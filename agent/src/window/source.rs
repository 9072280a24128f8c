//! What is remembered of one of the agent's own sources.

use gpuwarden_proto::vocab::{SourceName, SourceState};

use crate::sample::{Moment, SourceReport};

/// Whether a source sees, and since when it does not.
#[derive(Debug, Clone)]
pub struct SourceWindow {
    /// Its name.
    pub name: SourceName,
    /// It saw at least once since the agent started.
    pub ever_seen: bool,
    /// When it last read something.
    pub last_seen: Moment,
    /// Since when it does not; `None` while it sees.
    pub failing_since: Option<Moment>,
    /// Why not, in plain words; empty while it sees.
    pub reason: String,
    /// There is nothing of its kind here, it says.
    pub absent: bool,
}

impl SourceWindow {
    /// A source that has not spoken yet.
    pub fn new(name: SourceName, now: Moment) -> Self {
        Self {
            name,
            ever_seen: false,
            last_seen: now,
            failing_since: Some(now),
            reason: "has not been read yet".to_owned(),
            absent: true,
        }
    }

    /// Takes in what the source says of itself.
    pub fn push(&mut self, now: Moment, report: SourceReport) {
        match report {
            SourceReport::Seeing => {
                self.ever_seen = true;
                self.last_seen = now;
                self.failing_since = None;
                self.reason.clear();
                self.absent = false;
            }
            SourceReport::Absent(reason) => self.fail(now, reason, true),
            SourceReport::Failing(reason) => self.fail(now, reason, false),
        }
    }

    fn fail(&mut self, now: Moment, reason: String, absent: bool) {
        self.failing_since.get_or_insert(now);
        self.reason = reason;
        self.absent = absent;
    }

    /// Whether it sees. One that never saw is absent, not blind: nothing to see is no trouble.
    pub fn state(&self) -> SourceState {
        match (self.failing_since, self.ever_seen) {
            (None, _) => SourceState::Seeing,
            (Some(_), true) => SourceState::Blind,
            (Some(_), false) => SourceState::Absent,
        }
    }
}
