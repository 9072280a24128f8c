//! Lines of bounded length.

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};

/// A longer line is skipped.
pub(super) const LONGEST: usize = 1024 * 1024;
/// Capacity kept from line to line.
const KEEP: usize = 64 * 1024;

/// Splits bytes into lines. A line that is being read survives when the future is dropped.
#[derive(Debug)]
pub(super) struct Lines<R> {
    reader: BufReader<R>,
    line: Vec<u8>,
    /// `line` has been handed out.
    done: bool,
    /// The line being read is too long.
    overlong: bool,
}

/// What was read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// A line, without its end.
    Text(&'a [u8]),
    /// A line that was too long and has been skipped.
    Overlong,
    /// Nothing more will come.
    End,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader: BufReader::new(reader), line: Vec::new(), done: false, overlong: false }
    }

    /// The next line. What stands after the last line's end is no line.
    pub(super) async fn next(&mut self) -> std::io::Result<Line<'_>> {
        if std::mem::take(&mut self.done) {
            self.line.clear();
            self.line.shrink_to(KEEP);
        }
        loop {
            let bytes = self.reader.fill_buf().await?;
            if bytes.is_empty() {
                return Ok(Line::End);
            }
            let end = bytes.iter().position(|byte| *byte == b'\n');
            let part = &bytes[..end.unwrap_or(bytes.len())];
            self.overlong |= self.line.len() + part.len() > LONGEST;
            if !self.overlong {
                self.line.extend_from_slice(part);
            }
            let used = part.len() + usize::from(end.is_some());
            self.reader.consume(used);
            if end.is_some() {
                self.done = true;
                let overlong = std::mem::take(&mut self.overlong);
                return Ok(if overlong { Line::Overlong } else { Line::Text(&self.line) });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_are_split_and_a_rest_is_no_line() {
        let mut lines = Lines::new(&b"one\n\ntwo\nrest"[..]);
        for expected in ["one", "", "two"] {
            assert_eq!(lines.next().await.unwrap(), Line::Text(expected.as_bytes()));
        }
        assert_eq!(lines.next().await.unwrap(), Line::End);
    }

    #[tokio::test]
    async fn a_line_that_is_too_long_is_skipped_and_not_kept() {
        let mut bytes = vec![b'x'; LONGEST + 1];
        bytes.extend_from_slice(b"\nshort\n");
        let mut lines = Lines::new(bytes.as_slice());
        assert_eq!(lines.next().await.unwrap(), Line::Overlong);
        assert_eq!(lines.next().await.unwrap(), Line::Text(b"short"));
        assert!(lines.line.capacity() <= KEEP);
    }
}
