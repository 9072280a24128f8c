//! What a person reports, by the API, the command line or the form. Pure.
//!
//! A report counts for four hours, since nobody comes back to say that it is over; it can be told
//! again, or taken back by its key.

use std::time::Duration;

use gpuwarden_proto::entity::EntityKind;
use gpuwarden_proto::event::Subject;
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::{Phase, Sender};
use serde::Deserialize;

use super::fingerprint::digest;
use super::label::entity;
use super::{Card, Fault, Labels, Outside, cut, finding, grade, renewal};

/// So long a report counts.
pub const COUNTS_FOR: Duration = Duration::from_secs(4 * 3600);
/// The longest summary, in bytes.
const SUMMARY_MAX_BYTES: usize = 500;
/// The longest description, in bytes.
const DESCRIPTION_MAX_BYTES: usize = 8192;
/// The longest name, in bytes.
const NAME_MAX_BYTES: usize = 128;

/// A report as it is given. What is blank is not there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Report {
    /// What is wrong, in one sentence.
    pub summary: String,
    /// More of it.
    pub description: String,
    /// The service that has trouble.
    pub service: String,
    /// The model.
    pub model: String,
    /// The node.
    pub node: String,
    /// How bad it is: critical, error, warning or info.
    pub severity: String,
    /// Who reports it.
    pub reporter: String,
    /// When it was seen, in RFC 3339; now where it is not told.
    pub occurred_at: String,
    /// Which report it is, so that it can be told twice and taken back.
    pub key: String,
    /// `resolved` takes it back.
    pub status: String,
}

impl Report {
    /// Reads a report in JSON.
    ///
    /// # Errors
    ///
    /// It is no JSON, or has fields that no report has.
    pub fn parse(body: &[u8]) -> Result<Self, Fault> {
        serde_json::from_slice(body).map_err(|error| Fault::new("body", error.to_string()))
    }

    /// The signal, and the key of the report.
    ///
    /// # Errors
    ///
    /// Something is missing, too long or cannot be.
    pub fn outside(&self, now: Timestamp) -> Result<(Outside, String), Fault> {
        let over = match self.status.trim() {
            "" | "open" | "active" => false,
            "resolved" => true,
            _ => return Err(Fault::new("status", "should be resolved, or not be there")),
        };
        if over && self.key.trim().is_empty() {
            return Err(Fault::new("key", "is missing: which report is resolved"));
        }
        self.check(over)?;
        let since = self.since(now)?;
        let key = self.identity();
        let subject = Subject::Alert {
            sender: Sender::Person,
            key: key.clone(),
            name: cut(self.reporter.trim(), NAME_MAX_BYTES),
        };
        let grade = self.grade()?;
        let phase = if over { Phase::Cleared } else { Phase::Raised };
        let until = (!over).then(|| now.after(COUNTS_FOR));
        let mut finding =
            finding(subject, phase, grade, cut(self.summary.trim(), SUMMARY_MAX_BYTES));
        finding.raised_at = since.unwrap_or(now);
        finding.about = self.about()?;
        finding.evidence = until.map(|until| renewal(until, now)).into_iter().collect();
        let annotations = [("description", self.description.trim())].into_iter();
        let annotations = annotations.filter(|(_, text)| !text.is_empty());
        let annotations: Labels =
            annotations.map(|(name, text)| (name.to_owned(), cut(text, 2048))).collect();
        let card = Card { annotations, ..Card::default() };
        Ok((Outside { observed_at: now, finding, until, told_until: None, since, card }, key))
    }

    fn check(&self, over: bool) -> Result<(), Fault> {
        let bounded = [
            ("summary", &self.summary, SUMMARY_MAX_BYTES, !over),
            ("reporter", &self.reporter, NAME_MAX_BYTES, true),
            ("description", &self.description, DESCRIPTION_MAX_BYTES, false),
            ("key", &self.key, NAME_MAX_BYTES, false),
        ];
        for (field, text, most, needed) in bounded {
            if needed && text.trim().is_empty() {
                return Err(Fault::new(field, "is missing or blank"));
            }
            if text.len() > most {
                let fault = format!("has {} bytes, at most {most} are taken", text.len());
                return Err(Fault::new(field, fault));
            }
        }
        Ok(())
    }

    fn since(&self, now: Timestamp) -> Result<Option<Timestamp>, Fault> {
        let text = self.occurred_at.trim();
        if text.is_empty() {
            return Ok(None);
        }
        let at: Timestamp =
            text.parse().map_err(|error| Fault::new("occurred_at", format!("{error}")))?;
        if at > now {
            return Err(Fault::new("occurred_at", format!("{at} is yet to come")));
        }
        Ok(Some(at))
    }

    fn grade(&self) -> Result<gpuwarden_proto::vocab::Grade, Fault> {
        let word = self.severity.trim();
        if !["", "critical", "error", "warning", "info"].contains(&word) {
            let fault = "should be critical, error, warning or info";
            return Err(Fault::new("severity", fault));
        }
        let grade = grade::of((!word.is_empty()).then_some(word));
        grade.ok_or_else(|| Fault::new("severity", "is no trouble"))
    }

    fn about(&self) -> Result<Vec<gpuwarden_proto::entity::Entity>, Fault> {
        let named = [
            ("node", EntityKind::Node, &self.node),
            ("model", EntityKind::Model, &self.model),
            ("service", EntityKind::Service, &self.service),
        ];
        let named = named.into_iter().filter(|(_, _, name)| !name.trim().is_empty());
        let read = |(field, kind, name): (&str, EntityKind, &String)| {
            entity(kind, name.trim()).ok_or_else(|| Fault::new(field, "cannot be a name"))
        };
        named.map(read).collect()
    }

    /// Its key, or one that the same words by the same person have again.
    fn identity(&self) -> String {
        let Self { reporter, summary, service, model, node, occurred_at, key, .. } = self;
        match key.trim() {
            "" => {
                let words = [reporter, summary, service, model, node, occurred_at];
                format!("{:016x}", digest(words.map(|text| text.trim())))
            }
            key => cut(key, NAME_MAX_BYTES),
        }
    }
}
