//! What can go wrong with the file, told apart by what helps.

use rusqlite::ErrorCode;
use thiserror::Error;

/// Why the file cannot be used.
#[derive(Debug, Error)]
pub(crate) enum Trouble {
    /// Its content cannot be trusted. Set it aside and begin anew.
    #[error("the file is broken: {0}")]
    Broken(rusqlite::Error),
    /// It is not ours, or not of this version. Set it aside and begin anew.
    #[error("the file cannot be used: {0}")]
    Foreign(String),
    /// Another agent has it. Try again later.
    #[error("another process uses the outbox")]
    Locked,
    /// The disk refuses. Try again later.
    #[error("the disk refuses: {0}")]
    Refused(rusqlite::Error),
    /// The file system refuses. Try again later.
    #[error("the file system refuses: {0}")]
    Io(#[from] std::io::Error),
}

impl Trouble {
    /// Whether only another file helps.
    pub(crate) fn wants_another_file(&self) -> bool {
        match self {
            Self::Broken(_) | Self::Foreign(_) => true,
            Self::Locked | Self::Refused(_) | Self::Io(_) => false,
        }
    }

    /// For statements that cannot fail on a sound file of ours, unless the disk itself refuses.
    pub(crate) fn broken(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(
                ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::DiskFull
                | ErrorCode::ReadOnly
                | ErrorCode::CannotOpen
                | ErrorCode::PermissionDenied
                | ErrorCode::OutOfMemory,
            ) => Self::Refused(error),
            _ => Self::Broken(error),
        }
    }
}

impl From<rusqlite::Error> for Trouble {
    fn from(error: rusqlite::Error) -> Self {
        let broken = match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => true,
            // A page that cannot be read will not come back; other I/O errors may pass.
            Some(ErrorCode::SystemIoFailure) => {
                matches!(error.sqlite_error(), Some(e) if e.extended_code == IOERR_READ || e.extended_code == IOERR_SHORT_READ)
            }
            // No such table, no such column, a text where a number should be: not our file's form.
            Some(ErrorCode::Unknown) | None => true,
            Some(_) => false,
        };
        if broken { Self::Broken(error) } else { Self::Refused(error) }
    }
}

const IOERR_READ: i32 = rusqlite::ffi::SQLITE_IOERR_READ;
const IOERR_SHORT_READ: i32 = rusqlite::ffi::SQLITE_IOERR_SHORT_READ;
