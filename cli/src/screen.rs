//! Where output goes. A reader who has gone away ends the command quietly.

use std::io::{self, IsTerminal as _, Write};

use serde::Serialize;
use thiserror::Error;

use crate::args::Format;
use crate::text::Paint;

/// Why something could not be written.
#[derive(Debug, Error)]
pub enum ScreenError {
    /// Nobody reads any more.
    #[error("nobody reads the output")]
    Closed,
    /// Writing failed.
    #[error("writing the output")]
    Failed(#[source] io::Error),
    /// It could not be put into JSON.
    #[error("putting the output into JSON")]
    Json(#[source] serde_json::Error),
}

/// The output of a command.
pub struct Screen {
    /// How to write.
    pub format: Format,
    /// With or without colour.
    pub paint: Paint,
    out: Box<dyn Write + Send>,
}

impl Screen {
    /// The standard output; with colour only on a terminal, and never where `NO_COLOR` is set.
    pub fn stdout(format: Format) -> Self {
        let unset = |name| std::env::var_os(name).is_none_or(|value| value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let colour = io::stdout().is_terminal() && unset("NO_COLOR") && !dumb;
        let paint = if colour { Paint::Colour } else { Paint::Plain };
        Self { format, paint, out: Box::new(io::stdout()) }
    }

    /// Anything that can be written to, without colour.
    pub fn to(out: Box<dyn Write + Send>, format: Format) -> Self {
        Self { format, paint: Paint::Plain, out }
    }

    /// Writes text as it is, at once.
    pub fn text(&mut self, text: &str) -> Result<(), ScreenError> {
        let written = self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush());
        written.map_err(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => ScreenError::Closed,
            _ => ScreenError::Failed(error),
        })
    }

    /// Writes a line.
    pub fn line(&mut self, line: &str) -> Result<(), ScreenError> {
        self.text(&format!("{line}\n"))
    }

    /// Writes a value as one line of JSON.
    pub fn json(&mut self, value: &impl Serialize) -> Result<(), ScreenError> {
        self.line(&serde_json::to_string(value).map_err(ScreenError::Json)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Gone;

    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_who_has_gone_is_told_apart_from_a_full_disk() {
        let mut screen = Screen::to(Box::new(Gone), Format::Table);
        assert!(matches!(screen.line("x"), Err(ScreenError::Closed)));
    }
}
