//! What one line of an event log says. Pure: any bytes are read or refused with the place and the
//! reason, never more.

use gpuwarden_proto::change::RecordedChange;
use gpuwarden_proto::event::{Body, Event, Finding};
use gpuwarden_proto::inventory::Snapshot;
use gpuwarden_proto::silence::{Silence, SilenceId};
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::{IncidentId, NodeId, Seq, Severity};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::silenced::Terms;
use crate::incident::Command;

/// The name of the format.
pub(super) const FORMAT: &str = "gpuwarden-events";
/// The newest version of the format that we read, and the one that we write.
pub(super) const VERSION: u64 = 2;

/// The optional first line of a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Header {
    /// [`FORMAT`].
    pub(super) format: String,
    /// Grows when old programs would misread what is written.
    pub(super) version: u64,
}

/// One line of a log.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// When the aggregator received it.
    pub at: Timestamp,
    /// What was received.
    pub word: Word,
}

/// What the aggregator was told.
#[derive(Debug, Clone, PartialEq)]
pub enum Word {
    /// A node tells of an event, with its number where that is known.
    Event(NodeId, Option<Seq>, Event),
    /// A node says what is true now.
    Snapshot(NodeId, Box<Snapshot>),
    /// A node is not heard of any more; since when, where that is known.
    Lost(NodeId, Option<Timestamp>),
    /// A node is heard of again.
    Back(NodeId),
    /// A stream of a node begins: events of lower numbers were held back before.
    Hello(NodeId, Seq),
    /// The aggregator begins, with what was on disk.
    Started,
    /// The aggregator ends, with all on disk.
    Stopped,
    /// So many lines that should stand here were given up.
    Missed(u64),
    /// Something is found of no node: told from elsewhere, or of a service.
    Outside {
        /// When it was so.
        observed_at: Timestamp,
        /// What.
        finding: Box<Finding>,
        /// Why it is over, where that is our own word; otherwise empty.
        why: String,
    },
    /// Somebody recorded a change.
    Recorded(Box<RecordedChange>),
    /// A person's word.
    Command(IncidentId, Command),
    /// Somebody had something held back: the silence that was made of it.
    Silenced(Box<Silence>),
    /// Somebody ended a silence before its time: which, and who.
    SilenceEnded(SilenceId, String),
}

/// Why a line cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Where in the line, counted from 1.
    pub column: usize,
    /// What is wrong and what was expected.
    pub text: String,
}

impl Fault {
    /// A fault of the line as a whole.
    pub(super) fn of_line(text: String) -> Self {
        Self { column: 1, text }
    }
}

#[derive(Debug, Deserialize)]
struct Head {
    at: Timestamp,
    node: Option<NodeId>,
    seq: Option<Seq>,
    event: Kind,
    observed_at: Option<Timestamp>,
    since: Option<Timestamp>,
    next_seq: Option<Seq>,
    count: Option<u64>,
    #[serde(default)]
    why: String,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    Finding,
    Change,
    Gap,
    Snapshot,
    Lost,
    Back,
    Hello,
    Started,
    Stopped,
    Missed,
    Outside,
    Recorded,
    Command,
    Silenced,
    SilenceEnded,
}

#[derive(Debug, Deserialize)]
struct Record {
    change: RecordedChange,
}

/// The end of a silence.
#[derive(Debug, Deserialize)]
struct Ending {
    id: SilenceId,
    by: String,
}

#[derive(Debug, Deserialize)]
struct Said {
    incident: IncidentId,
    command: Verb,
    by: String,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    text: String,
    #[serde(default)]
    force: bool,
    into: Option<IncidentId>,
    to: Option<Severity>,
    #[serde(default)]
    members: Vec<u32>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Verb {
    Acknowledge,
    Note,
    Resolve,
    Merge,
    Split,
    Regrade,
}

impl Line {
    /// Reads a line.
    ///
    /// # Errors
    ///
    /// It is not JSON, or says what no line can say.
    pub fn parse(text: &[u8]) -> Result<Self, Fault> {
        // The head is read first and the rest afterwards from the same text, so that a mistake is
        // told with its own place; a flattened record would only know where the line ends.
        let head: Head = json(text)?;
        let at = head.at;
        if let Some(word) = head.of_no_node(text)? {
            return Ok(Self { at, word });
        }
        let missing = || Fault::of_line("missing field `node`, who told it".to_owned());
        let node = head.node.ok_or_else(missing)?;
        let observed_at = head.observed_at.unwrap_or(at);
        let event = |body| Word::Event(node.clone(), head.seq, Event { observed_at, body });
        let word = match head.event {
            Kind::Finding => event(Body::Finding(json(text)?)),
            Kind::Change => event(Body::Change(json(text)?)),
            Kind::Gap => event(Body::Gap(json(text)?)),
            Kind::Snapshot => {
                let snapshot: Snapshot = json(text)?;
                Word::Snapshot(node, Box::new(Snapshot { observed_at, ..snapshot }))
            }
            Kind::Lost => Word::Lost(node, head.since),
            Kind::Hello => Word::Hello(node, head.next_seq.unwrap_or_default()),
            Kind::Back
            | Kind::Started
            | Kind::Stopped
            | Kind::Missed
            | Kind::Outside
            | Kind::Recorded
            | Kind::Command
            | Kind::Silenced
            | Kind::SilenceEnded => Word::Back(node),
        };
        Ok(Self { at, word })
    }
}

impl Head {
    /// What is said of no node; `None` where this is of one.
    fn of_no_node(&self, text: &[u8]) -> Result<Option<Word>, Fault> {
        Ok(match self.event {
            Kind::Command => {
                let said: Said = json(text)?;
                Some(Word::Command(said.incident, said.command()?))
            }
            Kind::Recorded => {
                let record: Record = json(text)?;
                Some(Word::Recorded(Box::new(record.change)))
            }
            Kind::Silenced => {
                let terms: Terms = json(text)?;
                Some(Word::Silenced(Box::new(terms.silence(self.at))))
            }
            Kind::SilenceEnded => {
                let Ending { id, by } = json(text)?;
                Some(Word::SilenceEnded(id, by))
            }
            Kind::Started => Some(Word::Started),
            Kind::Stopped => Some(Word::Stopped),
            Kind::Missed => Some(Word::Missed(self.count.unwrap_or_default())),
            Kind::Outside => Some(Word::Outside {
                observed_at: self.observed_at.unwrap_or(self.at),
                finding: Box::new(json(text)?),
                why: self.why.clone(),
            }),
            Kind::Finding
            | Kind::Change
            | Kind::Gap
            | Kind::Snapshot
            | Kind::Lost
            | Kind::Back
            | Kind::Hello => None,
        })
    }
}

impl Said {
    fn command(self) -> Result<Command, Fault> {
        let Self { by, reason, text, force, into, to, members, .. } = self;
        Ok(match self.command {
            Verb::Acknowledge => Command::Acknowledge { by },
            Verb::Note => Command::Note { by, text },
            Verb::Resolve => Command::Resolve { by, reason, force },
            Verb::Merge => {
                let missing =
                    || Fault::of_line("missing field `into`, as which it goes on".to_owned());
                Command::Merge { by, into: into.ok_or_else(missing)?, reason }
            }
            Verb::Split => Command::Split { by, members, reason },
            Verb::Regrade => {
                let missing =
                    || Fault::of_line("missing field `to`, which severity it has".to_owned());
                Command::Regrade { by, to: to.ok_or_else(missing)?, reason }
            }
        })
    }
}

/// Reads JSON, with the place of a mistake apart from its words.
pub(super) fn json<T: DeserializeOwned>(text: &[u8]) -> Result<T, Fault> {
    serde_json::from_slice(text).map_err(|error| {
        let (told, column) = (error.to_string(), error.column().max(1));
        let place = format!(" at line {} column {}", error.line(), error.column());
        Fault { column, text: told.strip_suffix(&place).unwrap_or(&told).to_owned() }
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn refused(text: &str) -> String {
        let Fault { column, text } = Line::parse(text.as_bytes()).unwrap_err();
        format!("{column}: {text}")
    }

    #[test]
    fn a_mistake_is_told_with_its_place_and_what_would_do() {
        let lines = [
            "oops",
            r#"{"at":"noon","node":"a","event":"back"}"#,
            r#"{"at":"2027-01-15T08:00:00Z","event":"back"}"#,
            r#"{"at":"2027-01-15T08:00:00Z","node":"a","event":"spoon"}"#,
            r#"{"at":"2027-01-15T08:00:00Z","node":"","event":"back"}"#,
            r#"{"at":"2027-01-15T08:00:00Z","node":"a","event":"finding","rule":"xid"}"#,
            r#"{"at":"2027-01-15T08:00:00Z","node":"a","event":"gap","count":-1}"#,
            r#"{"at":"2027-01-15T08:00:00Z","event":"command","incident":1,"command":"shrug","by":"a"}"#,
            r#"{"at":"2027-01-15T08:00:00Z","node":"a","event":"back"} {}"#,
            r#"{"at":"2027-01-15T08:00:00Z","event":"silenced","id":7,"kind":"maintenance"}"#,
            r#"{"at":"2027-01-15T08:00:00Z","event":"silenced","id":7,"kind":"silence","matchers":[{"key":"nodes","op":"=","value":"a"}]}"#,
            r#"{"at":"2027-01-15T08:00:00Z","event":"silenced","id":7,"kind":"silence","matchers":[{"key":"node","op":"==","value":"a"}]}"#,
            r#"{"at":"2027-01-15T08:00:00Z","event":"silence-ended","id":"S7","by":"ann"}"#,
        ];
        insta::assert_snapshot!(lines.map(refused).join("\n"), @r#"
        1: expected value
        12: `noon` is not an instant from 1970 to 2554 in RFC 3339, like 2026-11-23T08:50:22.851Z
        1: missing field `node`, who told it
        55: unknown variant `spoon`, expected one of `finding`, `change`, `gap`, `snapshot`, `lost`, `back`, `hello`, `started`, `stopped`, `missed`, `outside`, `recorded`, `command`, `silenced`, `silence-ended`
        38: NodeId is empty
        71: missing field `subject`
        64: invalid value: integer `-1`, expected u64
        77: unknown variant `shrug`, expected one of `acknowledge`, `note`, `resolve`, `merge`, `split`, `regrade`
        57: trailing characters
        76: missing field `starts_at`
        98: nothing can be matched by `nodes` (one of: node, gpu, model, server, service, tenant, rack, zone, cluster, rule, type, severity, label.KEY)
        107: unknown variant `==`, expected one of `=`, `!=`, `=~`, `!~`
        62: invalid type: string "S7", expected u64
        "#);
    }

    #[test]
    fn what_was_not_told_is_as_of_receipt() {
        let line = Line::parse(
            br#"{"at":"2027-01-15T08:00:00Z","node":"a","event":"snapshot","labels":{"rack":"r1"}}"#,
        );
        let Ok(Line { at, word: Word::Snapshot(_, snapshot) }) = line else { panic!("{line:?}") };
        assert_eq!(snapshot.observed_at, at);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
            let _ = Line::parse(&bytes);
        }

        #[test]
        fn a_good_line_with_bytes_changed_is_read_or_refused(
            changes in proptest::collection::vec((0_usize..160, any::<u8>()), 1..8),
        ) {
            let mut line = br#"{"at":"2027-01-15T08:00:00Z","node":"a","event":"finding","rule":"xid","subject":{"kind":"gpu","uuid":"GPU-1"},"phase":"raised","grade":"down","evidence":[]}"#.to_vec();
            for (at, byte) in changes {
                let place = at % line.len();
                line[place] = byte;
            }
            let _ = Line::parse(&line);
        }
    }
}
