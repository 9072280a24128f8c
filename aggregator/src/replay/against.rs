//! Replays one log by two configs, and says what the second would have done otherwise. Pure but for
//! the log.

use std::io::BufRead;

use gpuwarden_proto::incident::Incident;
use gpuwarden_proto::shadow::Report;
use gpuwarden_proto::time::Timestamp;

use super::drive::Drive;
use super::line::Line;
use super::log::LogError;
use super::{Replay, Tally};
use crate::config::Config;
use crate::shadow::{report, rival};

/// What came of it.
#[derive(Debug, Default, PartialEq)]
pub struct Contrasted {
    /// The differences.
    pub report: Report,
    /// What people should know of the log, one sentence each.
    pub remarks: Vec<String>,
}

impl<R: BufRead> Replay<R> {
    /// Replays the log to its end by its own config, which takes the place of the live one, and by
    /// another.
    ///
    /// # Errors
    ///
    /// The log cannot be read, or a line is bad and bad lines are not passed over.
    pub fn against(mut self, other: &Config) -> Result<Contrasted, LogError> {
        let drive = |config: &Config| Drive::new(config.policy(), config.inhibitions.clone());
        let (mut live, mut shadow) = (drive(&self.config), drive(other));
        let (mut refused, mut astray) = (Tally::default(), Tally::default());
        let mut times: Option<(Timestamp, Timestamp)> = None;
        let bad = self.each(|Line { at, word }, place| {
            times = Some((times.map_or(at, |(first, _)| first), at));
            live.pass(at);
            shadow.pass(at);
            match rival::meant(&word, live.state(), shadow.state()) {
                Some(word) => {
                    if let Err(refusal) = shadow.line(Line { at, word }) {
                        astray.add(|| format!("{place}: {refusal}"));
                    }
                }
                None => astray.add(|| format!("{place}: the shadow has no such incident")),
            }
            if let Err(refusal) = live.line(Line { at, word }) {
                refused.add(|| format!("{place}: {refusal}"));
            }
        })?;
        if let Some(until) = self.until {
            live.pass(until);
            shadow.pass(until);
        }
        let remarks = [
            bad.told("bad lines passed over"),
            refused.told("commands refused"),
            astray.told("commands refused by the shadow"),
            live.missing(),
        ];
        let (since, last) = times.unwrap_or_default();
        let until = self.until.unwrap_or(last);
        let (live, shadow) = (live.finish(), shadow.finish());
        let (live, shadow): (Vec<&Incident>, Vec<&Incident>) =
            (live.iter().collect(), shadow.iter().collect());
        // Both began with nothing: whatever one has alone is a difference.
        let report = Report { since, ..report(&live, &shadow, Timestamp::default(), until) };
        Ok(Contrasted { report, remarks: remarks.into_iter().flatten().collect() })
    }
}
