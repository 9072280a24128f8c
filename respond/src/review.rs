//! The draft of a post-incident review: what is known is filled in, what people must say is marked.
//!
//! Facts are gathered by the caller and frozen; the draft is a pure function of them, so that it
//! can be made anew at any time without losing what people wrote, which is part of the facts.

mod markdown;

use std::time::Duration;

use gpuwarden_proto::time::{Timestamp, spoken};
use gpuwarden_proto::vocab::{IncidentId, IncidentType, Severity};
use serde::{Deserialize, Serialize};

use crate::lifecycle::ActionItem;
use crate::target::Answer;

pub use markdown::markdown;

/// A line of what happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// When.
    pub at: Timestamp,
    /// Who, or `gpuwarden`.
    pub actor: String,
    /// What.
    pub text: String,
}

/// When things happened; `None` where they did not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Course {
    /// The trouble began.
    pub began_at: Timestamp,
    /// We said so.
    pub detected_at: Timestamp,
    /// Somebody took it.
    pub acknowledged_at: Option<Timestamp>,
    /// It did no harm any more.
    pub mitigated_at: Option<Timestamp>,
    /// It was over.
    pub resolved_at: Option<Timestamp>,
}

impl Course {
    /// From when it began to when we said so.
    #[must_use]
    pub fn to_detect(self) -> Duration {
        self.detected_at.since(self.began_at)
    }

    /// From detection to acknowledgement.
    #[must_use]
    pub fn to_acknowledge(self) -> Option<Duration> {
        self.acknowledged_at.map(|at| at.since(self.detected_at))
    }

    /// From detection to mitigation, or to the end where nobody said that it was mitigated.
    #[must_use]
    pub fn to_mitigate(self) -> Option<Duration> {
        self.mitigated_at.or(self.resolved_at).map(|at| at.since(self.detected_at))
    }

    /// From detection to the end.
    #[must_use]
    pub fn to_resolve(self) -> Option<Duration> {
        self.resolved_at.map(|at| at.since(self.detected_at))
    }
}

/// What it cost those who use the services, as far as it was counted.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Impact {
    /// Requests that failed.
    pub requests_failed: u64,
    /// Requests that were slower than promised.
    pub requests_slow: u64,
    /// Requests in all.
    pub requests_total: u64,
    /// Share of the month's error budget that it used, 0 to 1 and above; `None` without objective.
    pub budget_spent: Option<f64>,
    /// Users who met it; `None` where nobody said.
    pub users: Option<u64>,
}

/// What a failure is worth, as the operator sets it. Nothing is set by default: money that nobody
/// stands for is not written into a review.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Worth {
    /// In which currency.
    pub currency: String,
    /// Of a request that failed.
    pub per_failed_request: f64,
    /// Of a request that was slow.
    pub per_slow_request: f64,
    /// Of each minute from its beginning to its mitigation.
    pub per_minute: f64,
}

impl Worth {
    /// What it cost, with the sum as people can check it.
    #[must_use]
    pub fn of(&self, impact: &Impact, lasted: Duration) -> (f64, String) {
        let minutes = lasted.as_secs_f64() / 60.0;
        let (failed, slow) = (impact.requests_failed as f64, impact.requests_slow as f64);
        let cost = failed * self.per_failed_request
            + slow * self.per_slow_request
            + minutes * self.per_minute;
        let sum = format!(
            "{} failed × {} + {} slow × {} + {minutes:.0} min × {}",
            impact.requests_failed,
            self.per_failed_request,
            impact.requests_slow,
            self.per_slow_request,
            self.per_minute
        );
        (cost, sum)
    }
}

/// What people said.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Words {
    /// Why it happened.
    pub root_cause: String,
    /// What went well.
    pub well: Vec<String>,
    /// What went wrong.
    pub wrong: Vec<String>,
    /// Where there was luck.
    pub luck: Vec<String>,
}

/// All that a review is made of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// Which incident.
    pub incident: IncidentId,
    /// What was broken, where.
    pub title: String,
    /// Its class.
    pub kind: IncidentType,
    /// The most urgent it was.
    pub worst: Severity,
    /// When what happened.
    pub course: Course,
    /// What came of its response clock.
    pub answers: Vec<Answer>,
    /// Who worked on it.
    pub responders: Vec<String>,
    /// Its history, in order.
    pub timeline: Vec<Line>,
    /// Likely causes with their reasons, the likeliest first, and the change it followed.
    pub factors: Vec<String>,
    /// What it cost.
    pub impact: Impact,
    /// What that is worth, where the operator says.
    pub worth: Option<Worth>,
    /// Pages that were sent, and those that were not delivered.
    pub pages: (u32, u32),
    /// What people said.
    pub words: Words,
    /// What is to be done.
    pub actions: Vec<ActionItem>,
    /// When it is held.
    pub review_at: Option<Timestamp>,
}

impl Facts {
    /// What the facts themselves say went well.
    #[must_use]
    pub fn went_well(&self) -> Vec<String> {
        let kept = self.answers.iter().filter(|answer| answer.is_kept());
        let mut list: Vec<String> = kept
            .map(|answer| {
                let Answer { severity, from, at, .. } = answer;
                format!("{severity} was answered in {}, within its target", spoken(at.since(*from)))
            })
            .collect();
        if self.course.to_detect() <= Duration::from_secs(5) {
            list.push(format!(
                "it was detected {} after it began",
                spoken(self.course.to_detect())
            ));
        }
        list
    }

    /// What the facts themselves say went wrong.
    #[must_use]
    pub fn went_wrong(&self) -> Vec<String> {
        let late = self.answers.iter().filter(|answer| !answer.is_kept());
        let mut list: Vec<String> = late
            .map(|answer| {
                let by = spoken(answer.at.since(answer.due));
                format!("{} was answered {by} after its target", answer.severity)
            })
            .collect();
        if self.pages.1 > 0 {
            list.push(format!("{} of {} pages were not delivered", self.pages.1, self.pages.0));
        }
        if self.course.acknowledged_at.is_none() {
            list.push("nobody acknowledged it".to_owned());
        }
        list
    }
}

#[cfg(test)]
mod tests;
