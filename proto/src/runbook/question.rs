//! What a check asks of which Gpuwarden sees something.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Serialize, Serializer};
use thiserror::Error;

use crate::settings::{parse_duration, written};
use crate::vocab::RuleId;

/// Changes are looked for so far back, where a page does not say how far.
const CHANGES_WITHIN: Duration = Duration::from_secs(2 * 3600);

/// What a check asks. A closed list: of what is not on it Gpuwarden sees nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// Does one of these rules find something now?
    FindingsActive(Vec<RuleId>),
    /// Was something changed so long before the incident began?
    RecentChanges(Duration),
    /// Is a GPU lost?
    GpuState,
    /// Is a GPU's memory all but gone?
    FreeMemory,
    /// Is a GPU busy all the time?
    Utilisation,
    /// Do requests wait?
    QueueDepth,
    /// Is a server or a model not there?
    ModelStates,
    /// Does a model fail requests?
    FailuresByModel,
    /// Does somebody else use the same GPU?
    Neighbours,
    /// Is a source of a node blind?
    SourcesSeen,
    /// Is a node not connected?
    NodeLink,
}

/// Those that are one word.
const WORDS: &[(Question, &str)] = &[
    (Question::GpuState, "gpu-state"),
    (Question::FreeMemory, "gpu-memory"),
    (Question::Utilisation, "utilisation"),
    (Question::QueueDepth, "queue-depth"),
    (Question::ModelStates, "models"),
    (Question::FailuresByModel, "failures"),
    (Question::Neighbours, "neighbours"),
    (Question::SourcesSeen, "sources"),
    (Question::NodeLink, "nodes"),
];

/// What is no question of which Gpuwarden sees something.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "`{0}` is no rule and nothing that Gpuwarden sees (one of: {words}, changes, \
     changes 2h)",
    words = words()
)]
pub struct NoQuestion(String);

fn words() -> String {
    WORDS.iter().map(|(_, word)| *word).collect::<Vec<_>>().join(", ")
}

impl FromStr for Question {
    type Err = NoQuestion;

    /// One item of a list; rules are put together by [`parse_reads`].
    fn from_str(item: &str) -> Result<Self, NoQuestion> {
        let fault = || NoQuestion(item.chars().take(60).collect());
        if let Some((question, _)) = WORDS.iter().find(|(_, word)| *word == item) {
            return Ok(question.clone());
        }
        match item.strip_prefix("changes") {
            Some("") => Ok(Self::RecentChanges(CHANGES_WITHIN)),
            Some(within) => {
                let within = parse_duration(within.trim()).map_err(|_| fault())?;
                Ok(Self::RecentChanges(within))
            }
            None => Ok(Self::FindingsActive(vec![item.parse().map_err(|_| fault())?])),
        }
    }
}

impl fmt::Display for Question {
    /// As a page has it, e.g. `xid, gpu-lost`, `changes 2h`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FindingsActive(rules) => {
                let rules: Vec<&str> = rules.iter().map(|rule| rule.as_str()).collect();
                f.write_str(&rules.join(", "))
            }
            Self::RecentChanges(within) => write!(f, "changes {}", written(*within)),
            word => {
                let known = WORDS.iter().find(|(question, _)| question == word);
                f.write_str(known.map_or("", |(_, word)| word))
            }
        }
    }
}

/// Reads a list such as `xid, gpu-lost, changes 2h`: all rules of it are one question, which stands
/// where the first of them does.
///
/// # Errors
///
/// Each item that is no question.
pub fn parse_reads(list: &str) -> Result<Vec<Question>, Vec<NoQuestion>> {
    let mut questions: Vec<Question> = Vec::new();
    let mut faults = Vec::new();
    let items = list.split(',').map(str::trim).filter(|item| !item.is_empty());
    for item in items {
        match item.parse() {
            Ok(Question::FindingsActive(rules)) => add_rules(&mut questions, rules),
            Ok(question) => questions.push(question),
            Err(fault) => faults.push(fault),
        }
    }
    if faults.is_empty() { Ok(questions) } else { Err(faults) }
}

fn add_rules(questions: &mut Vec<Question>, rules: Vec<RuleId>) {
    let first = questions.iter_mut().find_map(|question| match question {
        Question::FindingsActive(known) => Some(known),
        _ => None,
    });
    match first {
        Some(known) => known.extend(rules),
        None => questions.push(Question::FindingsActive(rules)),
    }
}

/// The list that reads as these.
#[must_use]
pub fn written_reads(questions: &[Question]) -> String {
    questions.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

impl Serialize for Question {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_reads_as_it_is_written_with_its_rules_put_together() {
        let read = |list: &str| written_reads(&parse_reads(list).unwrap());
        assert_eq!(
            read("xid, gpu-state, gpu-lost, changes"),
            "xid, gpu-lost, gpu-state, changes 2h"
        );
        for (_, word) in WORDS {
            assert_eq!(read(word), *word);
        }
        assert_eq!(read("changes 45m"), "changes 45m");
        assert_eq!(parse_reads(""), Ok(Vec::new()));
    }

    #[test]
    fn each_item_that_is_no_question_is_told_what_would_be() {
        let faults = parse_reads("xid, stars, changes soon").unwrap_err();
        let told: Vec<String> = faults.iter().map(ToString::to_string).collect();
        insta::assert_snapshot!(told.join("\n"), @r"
        `stars` is no rule and nothing that Gpuwarden sees (one of: gpu-state, gpu-memory, utilisation, queue-depth, models, failures, neighbours, sources, nodes, changes, changes 2h)
        `changes soon` is no rule and nothing that Gpuwarden sees (one of: gpu-state, gpu-memory, utilisation, queue-depth, models, failures, neighbours, sources, nodes, changes, changes 2h)
        ");
    }
}
