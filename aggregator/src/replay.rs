//! Replays an event log through correlation: which incidents it makes of it. No clock, no store, no
//! network; the same log gives the same bytes.
//!
//! - [`line`], [`log`], [`tell`], [`silenced`]: the format, one JSON object a line, read and written
//! - [`drive`]: correlation with the times of the log
//! - [`export`]: a store's history as such a log
//! - [`against`]: one log by two configs

pub mod against;
pub mod drive;
pub mod export;
pub mod line;
pub mod log;
mod silenced;
mod tell;
#[cfg(test)]
mod tests;

use std::io::{BufRead, Write};

use gpuwarden_proto::incident::Incident;
use gpuwarden_proto::time::Timestamp;

use self::drive::Drive;
use self::line::Line;
use self::log::{Log, LogError};
use crate::config::Config;

/// What is replayed, and by what.
#[derive(Debug)]
pub struct Replay<R> {
    /// The log.
    pub events: Log<R>,
    /// The settings, of which correlation's and the inhibition rules are used.
    pub config: Config,
    /// Bad lines are counted and passed over.
    pub skip_bad: bool,
    /// Where time ends: lines after it are left, and it is reached when the log ends before.
    /// Without it time ends with the last line.
    pub until: Option<Timestamp>,
}

/// What came of a replay.
#[derive(Debug, Default, PartialEq)]
pub struct Replayed {
    /// All incidents, by number.
    pub incidents: Vec<Incident>,
    /// What people should know of the log, one sentence each.
    pub remarks: Vec<String>,
}

/// Where a line stands in a log.
#[derive(Debug, Clone, Copy)]
struct Place(u64);

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {}", self.0)
    }
}

/// Things that went wrong without ending the replay: how many, and the first of them.
#[derive(Debug, Default)]
struct Tally {
    count: u64,
    first: String,
}

impl<R: BufRead> Replay<R> {
    /// Replays the log to its end.
    ///
    /// # Errors
    ///
    /// The log cannot be read, or a line is bad and bad lines are not passed over.
    pub fn run(mut self) -> Result<Replayed, LogError> {
        let mut drive = Drive::new(self.config.policy(), self.config.inhibitions.clone());
        let mut refused = Tally::default();
        let mut last = Timestamp::default();
        let bad = self.each(|line, place| {
            last = line.at;
            if let Err(refusal) = drive.line(line) {
                refused.add(|| format!("{place}: {refusal}"));
            }
        })?;
        if let Some(until) = self.until {
            drive.pass(until);
        }
        drive.end(self.until.unwrap_or(last));
        let remarks =
            [bad.told("bad lines passed over"), refused.told("commands refused"), drive.missing()];
        let remarks = remarks.into_iter().flatten().collect();
        Ok(Replayed { incidents: drive.finish(), remarks })
    }

    /// Takes up each line up to where time ends, with its place for messages. Gives the bad lines
    /// that were passed over.
    fn each(&mut self, mut take: impl FnMut(Line, Place)) -> Result<Tally, LogError> {
        let mut bad = Tally::default();
        loop {
            let line = match self.events.next_line() {
                Ok(Some(line)) => line,
                Ok(None) => return Ok(bad),
                Err(LogError::Bad(line)) if self.skip_bad => {
                    bad.add(|| line.to_string());
                    continue;
                }
                Err(error) => return Err(error),
            };
            if self.until.is_some_and(|until| line.at > until) {
                return Ok(bad);
            }
            take(line, Place(self.events.number()));
        }
    }
}

impl Replayed {
    /// Writes the incidents, one JSON object a line.
    ///
    /// # Errors
    ///
    /// They cannot be written.
    pub fn write(&self, mut out: impl Write) -> std::io::Result<()> {
        for incident in &self.incidents {
            serde_json::to_writer(&mut out, incident)?;
            out.write_all(b"\n")?;
        }
        out.flush()
    }
}

impl Tally {
    fn add(&mut self, told: impl FnOnce() -> String) {
        if self.count == 0 {
            self.first = told();
        }
        self.count += 1;
    }

    fn told(self, what: &str) -> Option<String> {
        (self.count > 0).then(|| format!("{what}: {}; the first: {}", self.count, self.first))
    }
}
