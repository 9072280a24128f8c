//! Files that come back, and files that break: how an outbox goes on without ever failing to start.

use std::hash::{BuildHasher, RandomState};

use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::{Epoch, Seq};

use super::file::{self, File, Ledger};
use super::gap::Lost;
use super::memory::Row;
use super::trouble::Trouble;
use super::{Open, Outbox, aside};

impl Outbox {
    /// Opens the file, setting aside one that is broken.
    pub(super) fn attach(&mut self, now: Timestamp) {
        match self.open_file() {
            Ok(ledger) => self.adopt(ledger),
            Err(trouble) if trouble.wants_another_file() => {
                self.replace_file(&trouble, now);
                match self.open_file() {
                    Ok(ledger) => self.adopt(ledger),
                    Err(trouble) => self.remember_fault(&trouble),
                }
            }
            Err(trouble) => self.remember_fault(&trouble),
        }
    }

    fn open_file(&mut self) -> Result<Ledger, Trouble> {
        self.open = None;
        // The folder may not be there yet, and the lock lies in it.
        file::create_private(&self.path)?;
        let lock = aside::lock(&self.path)?;
        let (file, ledger) = File::open(&self.path, &self.ledger, &self.limits)?;
        if ledger.epoch == self.ledger.epoch {
            // A commit that failed may have reached the disk all the same.
            self.memory.forget(file.newest()?);
        }
        let inode = aside::Inode::of(&self.path)?;
        self.open = Some(Open { file, inode, _lock: lock });
        Ok(ledger)
    }

    /// Goes on with the numbers of the file. Where it has an epoch of its own, because it could not
    /// be opened when the agent began, what memory holds joins that one: what was sent and not yet
    /// acknowledged may then arrive twice, and nothing is lost.
    fn adopt(&mut self, found: Ledger) {
        let own = self.ledger;
        self.ledger = found;
        if own.epoch == found.epoch {
            // A disk that was mounted anew may hold an older copy: no number is given twice all the same.
            self.ledger.next_seq = own.next_seq.max(found.next_seq);
            self.ledger.acked_seq = own.acked_seq.max(found.acked_seq);
            self.ledger.dropped_total = own.dropped_total.max(found.dropped_total);
            self.ledger.rejected_total = own.rejected_total.max(found.rejected_total);
        } else {
            self.ledger.next_seq = self.memory.renumber(found.next_seq);
            self.ledger.dropped_total += own.dropped_total;
            self.ledger.rejected_total += own.rejected_total;
        }
        self.acked_on_disk = found.acked_seq;
        self.fault = None;
        self.revision += 1;
    }

    pub(super) fn suffer(&mut self, trouble: &Trouble, now: Timestamp) {
        if trouble.wants_another_file() {
            self.replace_file(trouble, now);
            self.attach(now);
        } else {
            self.remember_fault(trouble);
        }
    }

    fn remember_fault(&mut self, trouble: &Trouble) {
        let fault = trouble.to_string();
        if self.fault.as_ref() != Some(&fault) {
            tracing::warn!(%fault, "the outbox is kept in memory");
        }
        self.fault = Some(fault);
        // Memory can be read from now on.
        self.revision += 1;
    }

    /// Sets a broken file aside and begins a new epoch, whose first event tells what was lost.
    fn replace_file(&mut self, trouble: &Trouble, now: Timestamp) {
        let held = self.open.take().map(|open| open.file.size().rows);
        let aside = match aside::set_aside(&self.path, now) {
            Ok(aside) => aside,
            Err(error) => return self.remember_fault(&Trouble::Io(error)),
        };
        let name = aside.file_name().unwrap_or_default().to_string_lossy();
        tracing::warn!(%trouble, aside = %name, "the outbox begins anew");
        let known = if held.is_some() { "" } else { "; how many events it held is not known" };
        let mut lost = Lost::default();
        lost.unnumbered(held.unwrap_or(0), &format!("{trouble}; set aside as {name}{known}"));
        let (dropped, rejected) = (self.ledger.dropped_total, self.ledger.rejected_total);
        self.ledger = Ledger::unwritten(new_epoch());
        self.ledger.dropped_total = dropped + lost.count();
        self.ledger.rejected_total = rejected;
        self.acked_on_disk = Seq(0);
        self.rejected.clear();
        let event = lost.encode(now);
        self.memory.put_first(Row { seq: Seq(0), kept_at: now, gap: true, event });
        self.ledger.next_seq = self.memory.renumber(Seq(1));
    }
}

/// A name for the life of a file that no other has. `RandomState` draws its keys from the operating
/// system and cannot fail.
pub(super) fn new_epoch() -> Epoch {
    Epoch(RandomState::new().hash_one("epoch").max(1))
}
