//! A page: what to do about incidents of one type.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Serialize, Serializer};
use thiserror::Error;

use super::Question;
use crate::settings::{parse_duration, written};
use crate::vocab::{IncidentType, RiskClass, RuleId, StepKind};

/// What to do about incidents of one type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Page {
    /// Of which type.
    #[serde(rename = "type")]
    pub kind: IncidentType,
    /// What it says, in a few words.
    pub title: String,
    /// The rules whose findings lead to it.
    pub rules: Vec<RuleId>,
    /// Who is paged first.
    pub first_responder: String,
    /// How long an incident waits for somebody before the next level is paged.
    pub escalate_after: EscalateAfter,
    /// What nodes may do for it.
    pub safe_actions: Vec<SafeAction>,
    /// The number of the step that takes a change back.
    pub rollback: Option<u32>,
    /// What incidents of the type are.
    pub means: String,
    /// What people see of them.
    pub sees: String,
    /// What stands before the steps.
    pub before: String,
    /// The steps, numbered from 1 without holes.
    pub steps: Vec<Step>,
    /// When more people must be told.
    pub escalate_if: Vec<String>,
    /// When it is over.
    pub done_when: String,
}

impl Page {
    /// The step of a number.
    #[must_use]
    pub fn step(&self, number: u32) -> Option<&Step> {
        self.steps.iter().find(|step| step.number == number)
    }

    /// It in a few words.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let of = |kind| self.steps.iter().filter(|step| step.kind == kind).count();
        Summary {
            kind: self.kind,
            title: self.title.clone(),
            rules: self.rules.clone(),
            checks: of(StepKind::Check),
            seen: self.steps.iter().filter(|step| !step.reads.is_empty()).count(),
            remedies: of(StepKind::Remedy),
            persons: of(StepKind::Person),
        }
    }
}

/// A page in a few words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Of which type.
    #[serde(rename = "type")]
    pub kind: IncidentType,
    /// What it says.
    pub title: String,
    /// The rules whose findings lead to it.
    pub rules: Vec<RuleId>,
    /// How many of its steps look.
    pub checks: usize,
    /// For how many of these Gpuwarden sees something.
    pub seen: usize,
    /// How many change something.
    pub remedies: usize,
    /// How many need a person's judgement.
    pub persons: usize,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// Counted from 1.
    pub number: u32,
    /// What it is.
    pub kind: StepKind,
    /// What it does, in a few words.
    pub title: String,
    /// What of it Gpuwarden sees; the first decides, the others add what they show.
    pub reads: Vec<Question>,
    /// The action of a node that does it.
    pub action: Option<String>,
    /// Blocks of commands for people.
    pub commands: Vec<String>,
    /// What people should know.
    pub text: String,
    /// Where it may lead.
    pub branches: Vec<Branch>,
}

/// Where a step may lead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Branch {
    /// When.
    pub when: When,
    /// What that means and what to do.
    pub text: String,
    /// And then.
    pub to: Goto,
}

/// When a branch is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum When {
    /// A check found what it looked for.
    Found,
    /// A check found nothing.
    Clear,
    /// A check could not see.
    Unknown,
    /// A remedy helped.
    Worked,
    /// A remedy did not help.
    Failed,
    /// A remedy was not allowed.
    Refused,
    /// A person did what was asked.
    Done,
    /// A person sees this.
    Saying(String),
}

/// Those that are the same on all pages, with their words.
const WHENS: &[(When, &str)] = &[
    (When::Found, "found"),
    (When::Clear, "clear"),
    (When::Unknown, "unknown"),
    (When::Worked, "worked"),
    (When::Failed, "failed"),
    (When::Refused, "refused"),
    (When::Done, "done"),
];

impl FromStr for When {
    type Err = Infallible;

    fn from_str(word: &str) -> Result<Self, Infallible> {
        let known = WHENS.iter().find(|(_, known)| *known == word);
        Ok(known.map_or_else(|| Self::Saying(word.to_owned()), |(when, _)| when.clone()))
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Saying(word) => f.write_str(word),
            known => {
                let word = WHENS.iter().find(|(when, _)| when == known);
                f.write_str(word.map_or("", |(_, word)| word))
            }
        }
    }
}

/// Where to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goto {
    /// With the next step.
    Next,
    /// With this one; always a later one.
    Step(u32),
    /// With another runbook: the incident is probably of that type.
    Runbook(IncidentType),
    /// Nowhere: what is left need not be done.
    End,
}

impl fmt::Display for Goto {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Next => f.write_str("next"),
            Self::Step(number) => write!(f, "step {number}"),
            Self::Runbook(kind) => write!(f, "runbook {kind}"),
            Self::End => f.write_str("end"),
        }
    }
}

/// How long something waits for a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// So long.
    After(Duration),
    /// Until the next business day is over.
    NextBusinessDay,
}

/// What says of no time how long it is.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is no time to wait (try 20m, 2h or next-business-day)")]
pub struct NoPatience(String);

impl FromStr for Patience {
    type Err = NoPatience;

    fn from_str(text: &str) -> Result<Self, NoPatience> {
        match text {
            "next-business-day" => Ok(Self::NextBusinessDay),
            text => parse_duration(text)
                .map(Self::After)
                .map_err(|_| NoPatience(text.chars().take(60).collect())),
        }
    }
}

impl fmt::Display for Patience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::After(duration) => f.write_str(&written(*duration)),
            Self::NextBusinessDay => f.write_str("next-business-day"),
        }
    }
}

/// How long an incident waits for somebody before the next level is paged, for each severity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the fields are the severities")]
#[serde(rename_all = "UPPERCASE")]
pub struct EscalateAfter {
    pub p1: Patience,
    pub p2: Patience,
    pub p3: Patience,
    pub p4: Patience,
}

/// What a node may do, and what it may cost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SafeAction {
    /// What it may cost.
    pub risk: RiskClass,
    /// Its name.
    pub action: String,
}

/// What has words of its own is these words in JSON.
macro_rules! as_text {
    ($($name:ident)+) => {$(
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    )+};
}

as_text! { When Goto Patience }

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_branch_has_a_word_of_all_pages_or_one_of_its_own() {
        for word in ["found", "clear", "unknown", "worked", "failed", "refused", "done", "exit 137"]
        {
            let when: When = word.parse().unwrap();
            assert_eq!(when.to_string(), word);
            assert_eq!(matches!(when, When::Saying(_)), word == "exit 137");
        }
    }

    #[test]
    fn patience_is_a_time_or_the_next_business_day() {
        for text in ["5m", "2h", "next-business-day"] {
            assert_eq!(text.parse::<Patience>().unwrap().to_string(), text);
        }
        assert!("soon".parse::<Patience>().unwrap_err().to_string().contains("next-business-day"));
    }
}
