//! Files beside the outbox: the lock that keeps a second agent out, and broken outboxes set aside.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use gpuwarden_proto::time::Timestamp;

use super::trouble::Trouble;

/// The right to use an outbox. The kernel gives it back after a crash.
pub(super) struct Lock(File);

impl Drop for Lock {
    /// Closing is not enough: a child that has been forked and has not yet begun its own program
    /// holds the file open for a moment.
    fn drop(&mut self) {
        let _ = self.0.unlock();
    }
}

/// Takes the lock beside the outbox.
pub(super) fn lock(path: &Path) -> Result<Lock, Trouble> {
    let lock = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(with_suffix(path, "-lock"))?;
    match lock.try_lock() {
        Ok(()) => Ok(Lock(lock)),
        Err(fs::TryLockError::WouldBlock) => Err(Trouble::Locked),
        Err(fs::TryLockError::Error(error)) => Err(error.into()),
    }
}

/// What the file system has to say where SQLite only says that it failed: that it is read-only. A
/// kernel that found an error in it may say so to who opens a file, and nowhere else. It is asked with
/// the lock's file, since to open and close SQLite's own would let go of the locks on that.
pub(super) fn refusal(path: &Path) -> Option<io::Error> {
    let opened = OpenOptions::new().append(true).open(with_suffix(path, "-lock"));
    opened.err().filter(|error| error.kind() == io::ErrorKind::ReadOnlyFilesystem)
}

/// A file, told from any other that later has its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Inode {
    device: u64,
    number: u64,
}

impl Inode {
    /// That of a path as it is now.
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let about = fs::metadata(path)?;
        Ok(Self { device: about.dev(), number: about.ino() })
    }

    /// Whether a path leads to another file by now, as after a disk was mounted anew. One that leads
    /// to none may lead here again.
    pub(super) fn has_successor(self, path: &Path) -> bool {
        Self::of(path).is_ok_and(|now| now != self)
    }
}

/// Renames a broken outbox so that people can look at it, and drops those set aside earlier. The
/// name it has now.
pub(super) fn set_aside(path: &Path, now: Timestamp) -> io::Result<PathBuf> {
    let aside = with_suffix(path, &format!(".corrupt-{}", now.unix_ns() / 1_000_000_000));
    forget_earlier(path)?;
    fs::rename(path, &aside)?;
    // The log of a broken file must not be replayed into the new one.
    rename_if_there(&with_suffix(path, "-wal"), &with_suffix(&aside, "-wal"))?;
    match fs::remove_file(with_suffix(path, "-shm")) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(aside),
    }
}

fn rename_if_there(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn forget_earlier(path: &Path) -> io::Result<()> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return Ok(()) };
    let mut prefix = name.to_owned();
    prefix.push(".corrupt-");
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().as_encoded_bytes().starts_with(prefix.as_encoded_bytes()) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    PathBuf::from(name)
}
