//! Signals from elsewhere: what Alertmanager, PagerDuty's format, CloudEvents and people tell of the
//! fleet. Pure.
//!
//! Each format is read by a module of its own into [`Outside`], a finding of no node that names what it
//! is about. The [`register::Register`] then holds it against what the same sender has told of the same
//! thing: only what is new reaches correlation, so that telling a thing twice does nothing.
//!
//! - [`alertmanager`]: Alertmanager's webhook (Grafana's too) and its API, as Prometheus uses it
//! - [`pagerduty`]: Events API v2
//! - [`cloudevents`]: CloudEvents 1.0, as an APM sends them
//! - [`report`]: what a person reports
//! - [`change`]: what was changed, in three formats; it goes to the ledger of changes
//! - [`label`], [`grade`]: the tables from labels to things of the fleet, and from words to grades
//! - [`register`]: what is told, known, over, and for how long

pub mod alertmanager;
pub mod change;
pub mod cloudevents;
mod field;
pub mod fingerprint;
pub mod grade;
pub mod label;
pub mod pagerduty;
pub mod register;
pub mod report;

use std::collections::BTreeMap;
use std::time::Duration;

use gpuwarden_proto::event::{Evidence, Finding, Subject, Unit};
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::{Grade, Phase, RuleId, Sender};
use thiserror::Error;

/// Alerts that one request may hold.
pub const ALERTS_MAX: usize = 2000;
/// So long an alert of Alertmanager's API counts whose sender gives no end.
pub const RESOLVE_TIMEOUT: Duration = Duration::from_secs(300);
/// The signal of the evidence that says how long an alert counts without being told again.
pub const RENEWAL: &str = "holds without being told again";
/// Mistakes that one answer names.
const FAULTS_TOLD: usize = 10;

/// Names and values as senders give them.
pub type Labels = BTreeMap<String, String>;

/// One thing that was told from elsewhere.
#[derive(Debug, Clone, PartialEq)]
pub struct Outside {
    /// When it was so.
    pub observed_at: Timestamp,
    /// What, as a finding of no node.
    pub finding: Finding,
    /// It is over then unless it is told again; `None` where it stays until it is said to be over.
    pub until: Option<Timestamp>,
    /// The end that its sender itself gave; a later one was given later.
    pub told_until: Option<Timestamp>,
    /// When it began, by its sender; of two words of one sender that decides which is the newer.
    /// `None` where the sender does not say, and the order of arrival decides.
    pub since: Option<Timestamp>,
    /// As its sender describes it.
    pub card: Card,
}

/// How a sender describes an alert; kept for those who ask for alerts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Card {
    /// What it is.
    pub labels: Labels,
    /// What is said of it.
    pub annotations: Labels,
    /// Where it comes from.
    pub link: String,
}

/// What one request told.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Heard {
    /// What can be taken.
    pub signals: Vec<Outside>,
    /// What cannot, and why.
    pub faults: Vec<Fault>,
    /// Alerts that their sender left out, by its own count.
    pub truncated: u64,
    /// Alerts that tell of no trouble, such as one that always fires.
    pub ignored: usize,
}

impl Heard {
    fn add(&mut self, read: Result<Option<Outside>, Fault>) {
        match read {
            Ok(Some(signal)) => self.signals.push(signal),
            Ok(None) => self.ignored += 1,
            Err(fault) => self.faults.push(fault),
        }
    }

    /// What was wrong, for who sent it; `None` where nothing was.
    #[must_use]
    pub fn complaint(&self) -> Option<String> {
        let first: Vec<String> =
            self.faults.iter().take(FAULTS_TOLD).map(ToString::to_string).collect();
        let more = self.faults.len().saturating_sub(FAULTS_TOLD);
        match (first.is_empty(), more) {
            (true, _) => None,
            (false, 0) => Some(first.join("; ")),
            (false, more) => Some(format!("{}; and {more} more", first.join("; "))),
        }
    }
}

/// Why something cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{field}: {fault}")]
pub struct Fault {
    /// Where, e.g. `alerts[3].labels`.
    pub field: String,
    /// What is wrong and what would do.
    pub fault: String,
}

impl Fault {
    fn new(field: impl Into<String>, fault: impl Into<String>) -> Self {
        Self { field: field.into(), fault: fault.into() }
    }
}

/// A request that holds more than may be told at one time.
fn too_many(field: &str, count: usize) -> Option<Fault> {
    let told = || format!("{count} at one time, at most {ALERTS_MAX}: send them in parts");
    (count > ALERTS_MAX).then(|| Fault::new(field, told()))
}

/// A finding of no node; what it names is added by its reader.
fn finding(subject: Subject, phase: Phase, grade: Grade, summary: String) -> Finding {
    let rule = match subject {
        Subject::Alert { sender: Sender::Person, .. } => RuleId::UserReport,
        _ => RuleId::ExternalAlert,
    };
    Finding {
        rule,
        subject,
        phase,
        grade,
        summary,
        evidence: Vec::new(),
        suspects: Vec::new(),
        raised_at: Timestamp::default(),
        gpus: Vec::new(),
        about: Vec::new(),
    }
}

/// Says for how long it counts without being told again, in whole minutes, so that it reads the same
/// each time. It is kept with the finding and holds after a restart, too.
fn renewal(until: Timestamp, now: Timestamp) -> Evidence {
    let minutes = until.since(now).as_secs().div_ceil(60).max(1);
    Evidence::new(RENEWAL, (minutes * 60) as f64, Unit::Seconds)
}

/// At most so many bytes of a text, whole characters of it, without control characters.
fn cut(text: &str, bytes: usize) -> String {
    let end = text.floor_char_boundary(bytes.min(text.len()));
    text[..end].chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests;
