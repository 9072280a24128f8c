//! The kernel log as it comes: of the device, or of a file or a pipe that has the same lines.

use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

/// The device gives a record a read, and never a longer one.
const CHUNK: usize = 8 * 1024;
/// A longer line of a file is cut.
const LONGEST: usize = 8 * 1024;

/// What is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `/dev/kmsg`: a record a read, and each has a number.
    Device,
    /// A file, which may be rotated or cut.
    File,
    /// A named pipe.
    Pipe,
}

/// What a read brought.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Got {
    /// Bytes; lines may have been handed out.
    Bytes,
    /// Nothing for now.
    Nothing,
    /// Records were overwritten before they could be read.
    Overrun,
}

/// An open log.
#[derive(Debug)]
pub(super) struct Log {
    path: PathBuf,
    file: File,
    kind: Kind,
    /// A line of a file whose end has not come yet.
    partial: Vec<u8>,
    /// Bytes of the file read so far; less on disk means it was cut.
    position: u64,
}

impl Log {
    /// Opens a log at its end: what happened before is not news.
    pub(super) fn open(path: &Path) -> std::io::Result<Self> {
        let mut log = Self::open_at_start(path)?;
        if log.kind != Kind::Pipe {
            log.position = log.file.seek(SeekFrom::End(0))?;
        }
        Ok(log)
    }

    fn open_at_start(path: &Path) -> std::io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
        let file_type = file.metadata()?.file_type();
        let kind = if file_type.is_char_device() {
            Kind::Device
        } else if file_type.is_fifo() {
            Kind::Pipe
        } else {
            Kind::File
        };
        Ok(Self { path: path.to_owned(), file, kind, partial: Vec::new(), position: 0 })
    }

    /// What it is.
    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    /// Reads once, and hands whole lines out.
    pub(super) fn read(&mut self, line: impl FnMut(&str)) -> std::io::Result<Got> {
        let mut chunk = [0; CHUNK];
        match self.file.read(&mut chunk) {
            Ok(0) if self.kind == Kind::File => self.follow(),
            Ok(0) => Ok(Got::Nothing),
            Ok(count) => {
                self.position += count as u64;
                self.split(&chunk[..count], line);
                Ok(Got::Bytes)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(Got::Nothing),
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(Got::Bytes),
            Err(error) if error.raw_os_error() == Some(Errno::PIPE.raw_os_error()) => {
                Ok(Got::Overrun)
            }
            Err(error) => Err(error),
        }
    }

    /// At the end of a file: whether it was cut, or another has taken its name.
    fn follow(&mut self) -> std::io::Result<Got> {
        let open = self.file.metadata()?;
        if open.len() < self.position {
            self.position = self.file.seek(SeekFrom::Start(0))?;
            self.partial.clear();
            return Ok(Got::Bytes);
        }
        // Between the two steps of a rotation there may be no file of this name.
        let Ok(named) = std::fs::metadata(&self.path) else { return Ok(Got::Nothing) };
        if (named.dev(), named.ino()) == (open.dev(), open.ino()) {
            return Ok(Got::Nothing);
        }
        *self = Self::open_at_start(&self.path)?;
        Ok(Got::Bytes)
    }

    fn split(&mut self, bytes: &[u8], mut line: impl FnMut(&str)) {
        if self.kind == Kind::Device {
            // After the message may stand lines about the device that it came from.
            let message = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
            return line(&String::from_utf8_lossy(message));
        }
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (text, ends) = match part.strip_suffix(b"\n") {
                Some(text) => (text, true),
                None => (part, false),
            };
            let room = LONGEST.saturating_sub(self.partial.len());
            self.partial.extend_from_slice(&text[..text.len().min(room)]);
            if ends {
                line(&String::from_utf8_lossy(&self.partial));
                self.partial.clear();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn lines(log: &mut Log) -> Vec<String> {
        let mut lines = Vec::new();
        while log.read(|line| lines.push(line.to_owned())).unwrap() != Got::Nothing {}
        lines
    }

    #[test]
    fn a_file_is_read_from_its_end_by_whole_lines() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kern.log");
        std::fs::write(&path, "old\n").unwrap();
        let mut log = Log::open(&path).unwrap();
        let mut file = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
        assert!(lines(&mut log).is_empty());
        file.write_all(b"new\nha").unwrap();
        assert_eq!(lines(&mut log), ["new"]);
        file.write_all(b"lf\n").unwrap();
        assert_eq!(lines(&mut log), ["half"]);
    }

    #[test]
    fn a_file_that_is_rotated_or_cut_is_followed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kern.log");
        std::fs::write(&path, "old and long\n").unwrap();
        let mut log = Log::open(&path).unwrap();
        std::fs::write(&path, "cut\n").unwrap();
        assert_eq!(lines(&mut log), ["cut"]);
        std::fs::rename(&path, folder.path().join("kern.log.1")).unwrap();
        assert!(lines(&mut log).is_empty());
        std::fs::write(&path, "another\n").unwrap();
        assert_eq!(lines(&mut log), ["another"]);
    }

    #[test]
    fn a_line_without_end_is_cut() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kern.log");
        std::fs::write(&path, "").unwrap();
        let mut log = Log::open(&path).unwrap();
        std::fs::write(&path, vec![b'x'; 5 * LONGEST]).unwrap();
        assert!(lines(&mut log).is_empty());
        assert_eq!(log.partial.len(), LONGEST);
    }
}
