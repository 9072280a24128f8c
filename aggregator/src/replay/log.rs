//! Reads an event log line by line: bounded memory, the format's version, and time that never goes
//! back.

use std::io::{BufRead, Read as _};

use gpuwarden_proto::time::Timestamp;
use thiserror::Error;

use super::line::{FORMAT, Fault, Header, Line, VERSION, json};

/// The longest line that is read, in bytes.
const LINE_MAX_BYTES: usize = 16 * 1024 * 1024;

/// A log being read.
#[derive(Debug)]
pub struct Log<R> {
    file: String,
    reader: R,
    buffer: Vec<u8>,
    number: u64,
    /// A line with something on it has been read.
    begun: bool,
    last: Option<(u64, Timestamp)>,
}

/// Why a log cannot be read on.
#[derive(Debug, Error)]
pub enum LogError {
    /// A line is bad; those after it can be read.
    #[error(transparent)]
    Bad(#[from] BadLine),
    /// It is not a log that this version reads.
    #[error("{file}:1: {fault}")]
    Format {
        /// The log.
        file: String,
        /// What it is instead.
        fault: String,
    },
    /// It cannot be read.
    #[error("cannot read {file}: {error}")]
    Io {
        /// The log.
        file: String,
        /// Why.
        error: std::io::Error,
    },
}

/// A line that says nothing we can use.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{file}:{line}:{column}: {fault}")]
pub struct BadLine {
    /// The log.
    pub file: String,
    /// Counted from 1.
    pub line: u64,
    /// Counted from 1.
    pub column: usize,
    /// What is wrong and what was expected.
    pub fault: String,
}

enum Filled {
    Line,
    TooLong,
    End,
}

impl<R: BufRead> Log<R> {
    /// The log in `reader`, called `file` in messages.
    pub fn new(file: impl Into<String>, reader: R) -> Self {
        let file = file.into();
        Self { file, reader, buffer: Vec::new(), number: 0, begun: false, last: None }
    }

    /// The number of the line that was read last, counted from 1.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The next line; `None` at the end.
    ///
    /// # Errors
    ///
    /// The line is bad, or nothing more can be read.
    pub fn next_line(&mut self) -> Result<Option<Line>, LogError> {
        loop {
            match self.fill()? {
                Filled::End => return Ok(None),
                Filled::TooLong => {
                    let text = format!("longer than {LINE_MAX_BYTES} bytes");
                    return Err(self.bad(Fault::of_line(text)).into());
                }
                Filled::Line if self.buffer.iter().all(u8::is_ascii_whitespace) => {}
                Filled::Line => {
                    let first = !std::mem::replace(&mut self.begun, true);
                    if !(first && self.is_header()?) {
                        return Ok(Some(self.line()?));
                    }
                }
            }
        }
    }

    fn line(&mut self) -> Result<Line, BadLine> {
        let line = Line::parse(&self.buffer).map_err(|fault| self.bad(fault))?;
        if let Some((number, last)) = self.last.filter(|(_, last)| line.at < *last) {
            let text = format!(
                "goes back in time: {} follows {last} of line {number}; sort the log by `at`",
                line.at
            );
            return Err(self.bad(Fault::of_line(text)));
        }
        self.last = Some((self.number, line.at));
        Ok(line)
    }

    fn is_header(&self) -> Result<bool, LogError> {
        let Ok(Header { format, version }) = json(&self.buffer) else { return Ok(false) };
        let refused = |fault| Err(LogError::Format { file: self.file.clone(), fault });
        if format != FORMAT {
            return refused(format!("the format is {format:?}, expected {FORMAT:?}"));
        }
        if version > VERSION {
            return refused(format!(
                "the log has version {version}, this program reads up to {VERSION}: use a newer one"
            ));
        }
        Ok(true)
    }

    fn fill(&mut self) -> Result<Filled, LogError> {
        self.read_line().map_err(|error| LogError::Io { file: self.file.clone(), error })
    }

    fn read_line(&mut self) -> std::io::Result<Filled> {
        self.buffer.clear();
        self.number += 1;
        let mut bounded = self.reader.by_ref().take(LINE_MAX_BYTES as u64 + 1);
        if bounded.read_until(b'\n', &mut self.buffer)? == 0 {
            return Ok(Filled::End);
        }
        let whole = self.buffer.pop_if(|last| *last == b'\n').is_some();
        if whole || self.buffer.len() <= LINE_MAX_BYTES {
            return Ok(Filled::Line);
        }
        self.reader.skip_until(b'\n')?;
        Ok(Filled::TooLong)
    }

    fn bad(&self, fault: Fault) -> BadLine {
        let Fault { column, text } = fault;
        BadLine { file: self.file.clone(), line: self.number, column, fault: text }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<String> {
        let mut log = Log::new("log", text.as_bytes());
        let mut told = Vec::new();
        loop {
            match log.next_line() {
                Ok(None) => return told,
                Ok(Some(line)) => told.push(line.at.to_string()),
                Err(LogError::Bad(bad)) => told.push(bad.to_string()),
                Err(error) => {
                    told.push(error.to_string());
                    return told;
                }
            }
        }
    }

    #[test]
    fn a_log_may_begin_with_its_format_and_need_not_end_its_last_line() {
        let told = read(
            "\n{\"format\":\"gpuwarden-events\",\"version\":1}\r\n\n\
             {\"at\":\"2027-01-15T08:00:00Z\",\"node\":\"a\",\"event\":\"back\"}",
        );
        assert_eq!(told, ["2027-01-15T08:00:00.000Z"]);
    }

    #[test]
    fn a_newer_or_another_format_is_refused() {
        let header =
            |format, version| read(&format!("{{\"format\":{format:?},\"version\":{version}}}\n"));
        insta::assert_snapshot!(header("gpuwarden-events", 3).join("\n"), @"log:1: the log has version 3, this program reads up to 2: use a newer one");
        insta::assert_snapshot!(header("spoons", 1).join("\n"), @r#"log:1: the format is "spoons", expected "gpuwarden-events""#);
    }

    #[test]
    fn a_line_that_goes_back_in_time_is_named_and_the_next_is_held_against_the_last_good_one() {
        let line = |second| {
            format!("{{\"at\":\"2027-01-15T08:00:0{second}Z\",\"node\":\"a\",\"event\":\"back\"}}")
        };
        insta::assert_snapshot!(read(&[5, 4, 5].map(line).join("\n")).join("\n"), @r"
        2027-01-15T08:00:05.000Z
        log:2:1: goes back in time: 2027-01-15T08:00:04.000Z follows 2027-01-15T08:00:05.000Z of line 1; sort the log by `at`
        2027-01-15T08:00:05.000Z
        ");
    }

    #[test]
    fn a_line_without_end_is_not_held_in_memory() {
        let long = "x".repeat(LINE_MAX_BYTES + 9);
        let told = read(&format!("{long}\nshort"));
        assert_eq!(told[0], "log:1:1: longer than 16777216 bytes");
        assert!(told[1].starts_with("log:2:1: "), "{told:?}");
    }
}
