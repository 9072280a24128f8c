//! The node's durable queue of events: numbered, bounded, counted when given up.
//!
//! - `file`: the SQLite file and all SQL of the agent
//! - `bounds`: what is given up when it holds too much
//! - `memory`: events on their way to the file, and their refuge while the disk is broken
//! - `gap`: lost events, counted until they can be told
//! - `recovery`: files that come back, and files that break
//! - `aside`: the lock, and broken files set aside
//! - [`thread`]: the one thread that owns an outbox
//!
//! Events are on disk before they are sent, with one exception: while the disk refuses, they are
//! sent from memory, because a node whose disk is broken is one that people want to hear from. That
//! is safe because numbers are reserved on disk ahead of their use, so a crash cannot give one twice.
//! What is lost by it: should the agent die before the disk is back, events that were in memory and
//! not yet delivered are gone without a gap. Nothing here reads a clock or stops the agent.

mod aside;
mod bounds;
mod file;
mod gap;
mod memory;
mod recovery;
#[cfg(test)]
mod tests;
pub mod thread;
mod trouble;

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use gpuwarden_proto::convert::encode_event;
use gpuwarden_proto::event::Event;
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::uplink::{EVENT_MAX_BYTES, Entry, Rejection};
use gpuwarden_proto::vocab::{Epoch, Seq};
pub use thread::{OutboxHandle, OutboxThread, Unanswered};

use self::file::{File, Ledger, Work};
use self::gap::Lost;
use self::memory::{Memory, Row};
use self::recovery::new_epoch;
use self::trouble::Trouble;
use crate::config::OutboxConfig;

/// The outbox's name in the state folder.
pub const FILE_NAME: &str = "outbox.db";

/// Bytes around an event in a batch at most: its number, and the tags and lengths.
const WRAPPING_BYTES: usize = 24;
/// A disk that refuses is tried again this often.
const RETRY: Duration = Duration::from_secs(1);
/// Refusals that wait for a commit.
const REJECTED_MAX: usize = 1_000;

/// How the outbox is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxStatus {
    /// Events not yet acknowledged, gaps among them.
    pub rows: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// When the oldest was kept.
    pub oldest: Option<Timestamp>,
    /// Events given up, each counted in a gap.
    pub dropped_total: u64,
    /// Events the aggregator refused; the newest of them are among the dead letters.
    pub rejected_total: u64,
    /// How many of `rows` are in memory only, because the disk refuses.
    pub in_memory: u64,
    /// The life of the file.
    pub epoch: Epoch,
    /// The next number it will give.
    pub next_seq: Seq,
    /// Everything up to here is on the aggregator's disk.
    pub acked_seq: Seq,
    /// What is wrong with the disk; `None` when all is well.
    pub fault: Option<String>,
    /// Grows whenever there may be something new to read.
    pub revision: u64,
}

/// Which events to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageAsk {
    /// Those after this one.
    pub after: Seq,
    /// So many at most.
    pub max_events: usize,
    /// And no more bytes of them than this, with what wraps each, unless the first alone is larger.
    pub max_bytes: usize,
}

/// The queue. One owner; see [`OutboxThread`].
pub struct Outbox {
    path: PathBuf,
    limits: OutboxConfig,
    open: Option<Open>,
    ledger: Ledger,
    memory: Memory,
    lost: Lost,
    rejected: Vec<Rejection>,
    /// The acknowledgement that the file has carried out.
    acked_on_disk: Seq,
    fault: Option<String>,
    tried_at: Timestamp,
    revision: u64,
}

/// An open file and the lock that goes with it.
struct Open {
    file: File,
    inode: aside::Inode,
    _lock: aside::Lock,
}

impl Outbox {
    /// Opens the outbox of a state folder, or makes it. Never fails: where the disk refuses, events
    /// are kept in memory and the disk is tried again.
    pub fn open(state_dir: &Path, limits: &OutboxConfig, now: Timestamp) -> Self {
        let mut outbox = Self {
            path: state_dir.join(FILE_NAME),
            limits: limits.clone(),
            open: None,
            ledger: Ledger::unwritten(new_epoch()),
            memory: Memory::default(),
            lost: Lost::default(),
            rejected: Vec::new(),
            acked_on_disk: Seq(0),
            fault: None,
            tried_at: now,
            revision: 0,
        };
        outbox.attach(now);
        outbox.commit(now);
        outbox
    }

    /// Numbers an event and takes it in. It is durable after the next [`Outbox::commit`].
    pub fn stage(&mut self, event: &Event, now: Timestamp) {
        let encoded = encode_event(event);
        if encoded.len() > EVENT_MAX_BYTES {
            self.lose(1, "an event was too large to be sent");
        } else {
            self.tell_lost(now);
            // What was lost before must be told before, or order would not hold.
            if !self.lost.is_empty() || !self.keep(encoded, false, now) {
                self.lose(1, "the disk refused and memory was full");
            }
        }
    }

    /// Counts events that were lost before they got here.
    pub fn lose(&mut self, count: u64, reason: &str) {
        self.lost.unnumbered(count, reason);
        self.ledger.dropped_total += count;
    }

    /// Forgets everything up to `acked` with the next commit. What was said of another epoch says
    /// nothing of this one; so below.
    pub fn ack(&mut self, epoch: Epoch, acked: Seq) {
        if epoch != self.ledger.epoch {
            return;
        }
        // Beyond what was ever given nothing can have been acknowledged.
        let acked = acked.min(Seq(self.ledger.next_seq.0 - 1));
        self.ledger.acked_seq = self.ledger.acked_seq.max(acked);
        if self.fault.is_some() {
            self.memory.forget(self.ledger.acked_seq);
        }
    }

    /// Moves what the aggregator refused to the dead letters with the next commit. What is in memory
    /// only is not kept.
    pub fn reject(&mut self, epoch: Epoch, rejected: Vec<Rejection>) {
        if epoch != self.ledger.epoch {
            return;
        }
        self.ledger.rejected_total += rejected.len() as u64;
        let room = REJECTED_MAX.saturating_sub(self.rejected.len());
        self.rejected.extend(rejected.into_iter().take(room));
    }

    /// Begins a new epoch for what is there, because the aggregator cannot go on with this one.
    pub fn renew_epoch(&mut self, epoch: Epoch, reason: &str, now: Timestamp) {
        if epoch != self.ledger.epoch {
            return;
        }
        self.ledger.epoch = new_epoch();
        self.ledger.acked_seq = Seq(0);
        self.acked_on_disk = Seq(0);
        // Of unknown size, and perhaps of none.
        self.lost.unnumbered(0, reason);
        self.tell_lost(now);
        self.commit(now);
    }

    /// Carries out everything since the last commit, in one transaction. While the disk refuses it
    /// is tried once a second, no matter how often this is called.
    pub fn commit(&mut self, now: Timestamp) {
        // A file found broken is replaced and what was lost is told: three rounds are enough.
        for _ in 0..3 {
            self.tell_lost(now);
            if !self.may_try(now) || !self.has_work(now) {
                return;
            }
            self.tried_at = now;
            if self.open.is_none() || self.is_abandoned() {
                self.attach(now);
            }
            self.write(now);
        }
    }

    /// The next events. Empty also when the file cannot be read just now.
    pub fn page(&mut self, epoch: Epoch, ask: PageAsk, now: Timestamp) -> Vec<Entry> {
        if epoch != self.ledger.epoch {
            return Vec::new();
        }
        let ask = PageAsk { after: ask.after.max(self.ledger.acked_seq), ..ask };
        let read = match &self.open {
            Some(open) => open.file.page(ask),
            None => Ok(Vec::new()),
        };
        match read {
            // What memory holds comes after all of the file: it is never read past the file's rows.
            Ok(page) if page.is_empty() && self.fault.is_some() => self.memory.page(ask),
            Ok(page) => page,
            Err(trouble) => {
                self.suffer(&trouble, now);
                Vec::new()
            }
        }
    }

    /// How it is.
    pub fn status(&self) -> OutboxStatus {
        let size = self.open.as_ref().map(|open| open.file.size()).unwrap_or_default();
        let oldest_on_disk = self.open.as_ref().and_then(|open| open.file.oldest().ok()?);
        OutboxStatus {
            rows: size.rows + self.memory.len() as u64,
            bytes: size.bytes + self.memory.bytes() as u64,
            oldest: oldest_on_disk.or_else(|| self.memory.rows().next().map(|row| row.kept_at)),
            dropped_total: self.ledger.dropped_total,
            rejected_total: self.ledger.rejected_total,
            in_memory: self.memory.len() as u64,
            epoch: self.ledger.epoch,
            next_seq: self.ledger.next_seq,
            acked_seq: self.ledger.acked_seq,
            fault: self.fault.clone(),
            revision: self.revision,
        }
    }

    /// Commits what is left and closes the file.
    pub fn close(mut self, now: Timestamp) {
        self.commit(now);
        if let Some(open) = self.open
            && self.fault.is_none()
            && let Err(trouble) = open.file.close(self.ledger)
        {
            tracing::warn!(%trouble, "the outbox could not be closed cleanly");
        }
    }

    /// Takes a row into memory, if there is room and a number for it.
    fn keep(&mut self, event: Bytes, gap: bool, now: Timestamp) -> bool {
        if !self.memory.has_room(1, event.len()) && self.fault.is_none() {
            self.write(now);
        }
        let seq = self.ledger.next_seq;
        if !self.memory.has_room(1, event.len()) || seq >= self.ledger.reserved_seq {
            return false;
        }
        self.ledger.next_seq = Seq(seq.0 + 1);
        self.memory.push(Row { seq, kept_at: now, gap, event });
        self.revision += 1;
        true
    }

    /// Puts a gap for what was lost behind everything else, if there is room.
    fn tell_lost(&mut self, now: Timestamp) {
        if !self.lost.is_empty() && self.keep(self.lost.encode(now), true, now) {
            self.lost = Lost::default();
        }
    }

    fn may_try(&self, now: Timestamp) -> bool {
        // A wall clock that was set back must not keep the disk from being tried.
        self.fault.is_none() || now < self.tried_at || now.since(self.tried_at) >= RETRY
    }

    /// Whether the disk refuses, and was meanwhile mounted anew: the file that is open will never be
    /// written again, and the one to go on with is another.
    fn is_abandoned(&self) -> bool {
        let moved = |open: &Open| open.inode.has_successor(&self.path);
        self.fault.is_some() && self.open.as_ref().is_some_and(moved)
    }

    fn has_work(&self, now: Timestamp) -> bool {
        let Some(open) = &self.open else { return true };
        self.fault.is_some()
            || self.memory.len() > 0
            || !self.rejected.is_empty()
            || self.acked_on_disk < self.ledger.acked_seq
            || open.file.has_expired(&self.limits, now).unwrap_or(true)
    }

    fn write(&mut self, now: Timestamp) {
        let Some(open) = &mut self.open else { return };
        let work = Work {
            add: &self.memory,
            rejected: &self.rejected,
            ledger: self.ledger,
            limits: &self.limits,
            now,
        };
        match open.file.commit(&work) {
            Ok(ledger) => {
                self.ledger = ledger;
                self.acked_on_disk = ledger.acked_seq;
                self.memory.clear();
                self.rejected.clear();
                self.fault = None;
                self.revision += 1;
            }
            Err(trouble) => {
                let said = aside::refusal(&self.path).map(Trouble::Io);
                self.suffer(&said.unwrap_or(trouble), now);
            }
        }
    }
}
