//! Lines to the parent.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use super::message::ProbeMessage;

/// A buffer that grew beyond this for one line is not kept.
const KEEP_BYTES: usize = 64 * 1024;

/// Writes a message a line. A lock, because a thread that is blocked in the driver must not keep the
/// others from telling so.
pub(super) struct Output {
    sink: Mutex<Sink>,
    closed: AtomicBool,
}

struct Sink {
    line: Vec<u8>,
    to: Box<dyn Write + Send>,
}

impl std::fmt::Debug for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Output").field("closed", &self.closed).finish_non_exhaustive()
    }
}

impl Output {
    /// Lines to standard output.
    pub(super) fn stdout() -> Self {
        Self::to(Box::new(std::io::stdout()))
    }

    /// Lines to anywhere.
    pub(super) fn to(to: Box<dyn Write + Send>) -> Self {
        let sink = Mutex::new(Sink { line: Vec::new(), to });
        Self { sink, closed: AtomicBool::new(false) }
    }

    /// Writes a message. Failing to is remembered in [`closed`](Self::closed).
    pub(super) fn write(&self, message: &ProbeMessage) {
        let mut sink = self.sink.lock().unwrap_or_else(PoisonError::into_inner);
        if sink.write(message).is_err() {
            self.closed.store(true, Ordering::Relaxed);
        }
    }

    /// Whether nobody reads any more.
    pub(super) fn closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }
}

impl Sink {
    fn write(&mut self, message: &ProbeMessage) -> std::io::Result<()> {
        self.line.clear();
        serde_json::to_writer(&mut self.line, message)?;
        self.line.push(b'\n');
        self.to.write_all(&self.line)?;
        self.to.flush()?;
        self.line.shrink_to(KEEP_BYTES);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Closed;

    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn remembers_that_nobody_reads() {
        let output = Output::to(Box::new(Closed));
        assert!(!output.closed());
        output.write(&ProbeMessage::Absent { reason: String::new() });
        assert!(output.closed());
    }
}
