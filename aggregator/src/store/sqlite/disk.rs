//! What the file system says of a file that SQLite has open: SQLite says no more than that it failed.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// A file, told from any other that later has its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Inode {
    device: u64,
    number: u64,
}

impl Inode {
    /// That of a path as it is now.
    ///
    /// # Errors
    ///
    /// Nothing is there.
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let about = std::fs::metadata(path)?;
        Ok(Self { device: about.dev(), number: about.ino() })
    }

    /// Whether a path leads to another file by now. One that leads to none may lead here again.
    pub(super) fn has_successor(self, path: &Path) -> bool {
        Self::of(path).is_ok_and(|now| now != self)
    }
}

/// Whether the file system of a file has become read-only. A kernel that found an error in it may say
/// so to who opens a file, and nowhere else. `beside` must not be SQLite's: to close that would let
/// go of the locks on it.
pub(super) fn is_read_only(beside: &Path) -> bool {
    let opened = OpenOptions::new().append(true).open(beside);
    opened.is_err_and(|error| error.kind() == io::ErrorKind::ReadOnlyFilesystem)
}
