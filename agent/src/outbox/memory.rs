//! Events on their way to the file. While the disk is broken they wait here, within limits. Pure.

use std::collections::VecDeque;

use bytes::Bytes;
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::uplink::Entry;
use gpuwarden_proto::vocab::Seq;

use super::{PageAsk, WRAPPING_BYTES};

/// An event with what the file keeps beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    /// Its number.
    pub(crate) seq: Seq,
    /// When it was kept.
    pub(crate) kept_at: Timestamp,
    /// Whether it tells of lost events.
    pub(crate) gap: bool,
    /// The encoded event.
    pub(crate) event: Bytes,
}

impl Row {
    /// As it goes out.
    pub(crate) fn entry(&self) -> Entry {
        Entry { seq: self.seq, event: self.event.clone() }
    }
}

/// Rows in ascending order of their numbers, none of them in the file.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    rows: VecDeque<Row>,
    bytes: usize,
}

impl Memory {
    /// Rows at most.
    pub(crate) const MAX_ROWS: usize = 4_096;
    /// Bytes of events at most.
    pub(crate) const MAX_BYTES: usize = 8 * 1024 * 1024;

    /// Whether `rows` more rows of `bytes` in all have room.
    pub(crate) fn has_room(&self, rows: usize, bytes: usize) -> bool {
        self.rows.len() + rows <= Self::MAX_ROWS && self.bytes + bytes <= Self::MAX_BYTES
    }

    /// Takes a row, whose number is above all others.
    pub(crate) fn push(&mut self, row: Row) {
        debug_assert!(self.rows.back().is_none_or(|last| last.seq < row.seq));
        self.bytes += row.event.len();
        self.rows.push_back(row);
    }

    /// Puts a row before all others; numbers are to be given anew. It is taken even without room,
    /// since it tells of a loss.
    pub(crate) fn put_first(&mut self, row: Row) {
        self.bytes += row.event.len();
        self.rows.push_front(row);
    }

    /// Forgets everything up to `acked`.
    pub(crate) fn forget(&mut self, acked: Seq) {
        while let Some(row) = self.rows.pop_front_if(|row| row.seq <= acked) {
            self.bytes -= row.event.len();
        }
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.rows.clear();
        self.bytes = 0;
    }

    /// Gives all rows new numbers from `next` on; the number after the last.
    pub(crate) fn renumber(&mut self, next: Seq) -> Seq {
        let mut seq = next.0;
        for row in &mut self.rows {
            row.seq = Seq(seq);
            seq += 1;
        }
        Seq(seq)
    }

    /// The next rows.
    pub(crate) fn page(&self, ask: PageAsk) -> Vec<Entry> {
        let mut room = ask.max_bytes;
        let fits = |(n, row): &(usize, &Row)| {
            let bytes = row.event.len() + WRAPPING_BYTES;
            let fits = *n == 0 || bytes <= room;
            room = room.saturating_sub(bytes);
            fits
        };
        let rows = self.rows.iter().filter(|row| row.seq > ask.after).take(ask.max_events);
        rows.enumerate().take_while(fits).map(|(_, row)| row.entry()).collect()
    }

    /// All rows, ascending.
    pub(crate) fn rows(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter()
    }

    /// How many rows.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Bytes of their events.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}
