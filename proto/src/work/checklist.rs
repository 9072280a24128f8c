//! The handbook's seven boxes: ticked by evidence or by a named person, open until true.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crate::time::Timestamp;
use crate::vocab::Severity;
use serde::{Deserialize, Serialize};

/// A box of the checklist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Item {
    /// Severity assigned.
    SeverityAssigned,
    /// On-call notified.
    OnCallNotified,
    /// Runbook executed.
    RunbookExecuted,
    /// Stakeholders informed.
    StakeholdersInformed,
    /// Root cause documented.
    RootCauseDocumented,
    /// Review scheduled within 48 hours.
    ReviewScheduled,
    /// Action items tracked.
    ActionsTracked,
}

impl Item {
    /// All of them, in the order of the handbook.
    pub const ALL: [Self; 7] = [
        Self::SeverityAssigned,
        Self::OnCallNotified,
        Self::RunbookExecuted,
        Self::StakeholdersInformed,
        Self::RootCauseDocumented,
        Self::ReviewScheduled,
        Self::ActionsTracked,
    ];

    /// The word in commands.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SeverityAssigned => "severity-assigned",
            Self::OnCallNotified => "on-call-notified",
            Self::RunbookExecuted => "runbook-executed",
            Self::StakeholdersInformed => "stakeholders-informed",
            Self::RootCauseDocumented => "root-cause-documented",
            Self::ReviewScheduled => "review-scheduled",
            Self::ActionsTracked => "actions-tracked",
        }
    }

    /// Whether an incident that was `worst` at its worst is not closed without it: stakeholders and
    /// a review are for P1 and P2.
    #[must_use]
    pub const fn is_needed(self, worst: Severity) -> bool {
        match self {
            Self::StakeholdersInformed | Self::ReviewScheduled => {
                matches!(worst, Severity::P1 | Severity::P2)
            }
            _ => true,
        }
    }
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Item {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|item| item.as_str() == word).ok_or_else(|| {
            let words: Vec<&str> = Self::ALL.iter().map(|item| item.as_str()).collect();
            format!("`{word}` is no box of the checklist (one of: {})", words.join(", "))
        })
    }
}

/// What makes a box true.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "kebab-case")]
pub enum Proof {
    /// What happened here.
    Evidence {
        /// What.
        what: String,
    },
    /// Somebody's word.
    Person {
        /// Who.
        name: String,
        /// What they say.
        note: String,
    },
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Evidence { what } => f.write_str(what),
            Self::Person { name, note } if note.is_empty() => write!(f, "said by {name}"),
            Self::Person { name, note } => write!(f, "said by {name}: {note}"),
        }
    }
}

/// A box that is true.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tick {
    /// Since when.
    pub at: Timestamp,
    /// Why.
    pub proof: Proof,
}

/// The boxes of one incident.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Checklist(BTreeMap<Item, Tick>);

impl Checklist {
    /// It is true. What was true before keeps its first proof.
    pub fn tick(&mut self, item: Item, proof: Proof, at: Timestamp) {
        self.0.entry(item).or_insert(Tick { at, proof });
    }

    /// It is not true any more.
    pub fn open(&mut self, item: Item) {
        self.0.remove(&item);
    }

    /// Why it is true; `None` while it is not.
    #[must_use]
    pub fn get(&self, item: Item) -> Option<&Tick> {
        self.0.get(&item)
    }

    /// What is needed and not true.
    pub fn missing(&self, worst: Severity) -> impl Iterator<Item = Item> {
        Item::ALL.into_iter().filter(move |item| item.is_needed(worst) && self.get(*item).is_none())
    }

    /// As people read it, a line a box.
    #[must_use]
    pub fn lines(&self, worst: Severity) -> Vec<String> {
        let line = |item: Item| match self.get(item) {
            Some(tick) => format!("[x] {item}: {}", tick.proof),
            None if item.is_needed(worst) => format!("[ ] {item}"),
            None => format!("[-] {item}: not needed for {worst}"),
        };
        Item::ALL.into_iter().map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_box_is_open_until_it_is_true_and_keeps_its_first_proof() {
        let mut list = Checklist::default();
        let (early, late) = (Timestamp::from_unix_s(1), Timestamp::from_unix_s(2));
        list.tick(Item::SeverityAssigned, Proof::Evidence { what: "P2: half fail".into() }, early);
        let said = Proof::Person { name: "ann".into(), note: "told sales".into() };
        list.tick(Item::StakeholdersInformed, said.clone(), early);
        list.tick(Item::SeverityAssigned, said, late);
        list.tick(Item::ActionsTracked, Proof::Evidence { what: "2 actions".into() }, early);
        list.open(Item::ActionsTracked);
        expect_test::expect![[r#"
            [x] severity-assigned: P2: half fail
            [ ] on-call-notified
            [ ] runbook-executed
            [x] stakeholders-informed: said by ann: told sales
            [ ] root-cause-documented
            [ ] review-scheduled
            [ ] actions-tracked"#]]
        .assert_eq(&list.lines(Severity::P2).join("\n"));
        assert_eq!(list.missing(Severity::P4).count(), 4);
    }

    #[test]
    fn every_box_parses_back_to_itself() {
        for item in Item::ALL {
            assert_eq!(item.as_str().parse(), Ok(item));
        }
        assert!("spoon".parse::<Item>().unwrap_err().contains("severity-assigned"));
    }
}
