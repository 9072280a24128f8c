//! What reached correlation and is no event, written down as lines of an event log, so that a replay
//! is told all that was told live.

use std::collections::HashMap;
use std::time::Duration;

use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::NodeId;

use super::Core;
use crate::correlate::Touched;
use crate::replay::line::{Line, Word};
use crate::store::JournalRow;

/// A snapshot is written at least so often, so that a log whose beginning was forgotten still says
/// where nodes stand.
const TOLD_AGAIN: Duration = Duration::from_secs(86_400);

/// The common order of batches and journal rows, and what the journal was told last.
#[derive(Debug)]
pub(super) struct Journal {
    next_order: u64,
    /// When a node's snapshot was written last.
    told: HashMap<NodeId, Timestamp>,
    /// Rows given up since the last one that was written.
    missed: u64,
}

impl Journal {
    /// Goes on at this place in the order.
    pub(super) fn new(next_order: u64) -> Self {
        Self { next_order: next_order.max(1), told: HashMap::new(), missed: 0 }
    }

    /// The place of what is taken up now.
    pub(super) fn order(&mut self) -> u64 {
        self.next_order += 1;
        self.next_order - 1
    }

    fn is_due(&mut self, now: Timestamp, node: &NodeId, news: bool) -> bool {
        let due = news || self.told.get(node).is_none_or(|told| now.since(*told) >= TOLD_AGAIN);
        if due {
            self.told.insert(node.clone(), now);
        }
        due
    }
}

impl Core {
    /// Writes down what is about to be taken up, and tells it to the candidate. While the disk takes nothing and as much as may be is waiting, it
    /// is given up and counted, also in the journal.
    pub(super) fn journal(&mut self, at: Timestamp, word: Word) {
        if !matches!(word, Word::Snapshot(..) | Word::Started | Word::Stopped) {
            self.shadow(at, std::iter::once_with(|| word.clone()));
        }
        if self.pending.bytes >= 2 * self.config.limits.pending_bytes {
            self.journal.missed += 1;
            self.metrics.journal_missed.inc();
            return;
        }
        if self.journal.missed > 0 {
            let missed = Word::Missed(std::mem::take(&mut self.journal.missed));
            self.write_down(Line { at, word: missed });
        }
        self.write_down(Line { at, word });
    }

    fn write_down(&mut self, line: Line) {
        match line.text() {
            Ok(text) => {
                self.metrics.journal_rows.inc();
                let order = self.journal.order();
                self.pending.journal(JournalRow { at: line.at, order, line: text });
            }
            Err(error) => tracing::warn!(%error, "a line cannot be written to the journal"),
        }
    }

    /// Writes down the snapshot that a node was just heard to say, if it said anything new.
    pub(super) fn journal_snapshot(&mut self, now: Timestamp, node: &NodeId, touched: &Touched) {
        if !self.journal.is_due(now, node, !touched.is_nothing()) {
            self.metrics.snapshots_alike.inc();
            return;
        }
        let known = self.state.nodes.get(node).and_then(|known| known.snapshot.as_deref());
        if let Some(snapshot) = known.cloned() {
            self.journal(now, Word::Snapshot(node.clone(), Box::new(snapshot)));
        }
    }
}
