//! The journal: every command since a world began, a JSON line each.
//!
//! Only the process that serves the control socket appends; every process reads. A world is thus
//! the same for all of them, and outlives each of them.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::command::Command;

/// A command and when it was given.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) at_us: u64,
    pub(crate) command: Command,
}

/// A journal, read up to some point.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    file: File,
    read: u64,
}

impl Journal {
    /// Opens a journal at its beginning, and makes an empty one where there is none.
    pub(crate) fn open(path: PathBuf) -> io::Result<Self> {
        let made = OpenOptions::new().read(true).append(true).create(true).open(&path);
        // A process that may only read, such as a sandboxed agent, can still follow.
        let file = made.or_else(|_| File::open(&path))?;
        Ok(Self { path, file, read: 0 })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Adds an entry, in one write, so that no reader sees half of it as a whole line.
    pub(crate) fn append(&mut self, entry: &Entry) -> io::Result<()> {
        let mut line = serde_json::to_vec(entry)?;
        line.push(b'\n');
        self.file.write_all(&line)
    }

    /// The entries that have come since the last call.
    pub(crate) fn news(&mut self) -> io::Result<Vec<Entry>> {
        let there = self.file.metadata()?.len();
        let Some(more) = there.checked_sub(self.read).filter(|more| *more > 0) else {
            return Ok(Vec::new());
        };
        let mut bytes = vec![0; usize::try_from(more).map_err(io::Error::other)?];
        self.file.read_exact_at(&mut bytes, self.read)?;
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        self.read += whole as u64;
        let lines = bytes[..whole].split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines.map(|line| serde_json::from_slice(line).map_err(io::Error::from)).collect()
    }
}
