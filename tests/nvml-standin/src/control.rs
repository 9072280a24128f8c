//! The client of the control socket.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use serde::Deserialize;

use crate::command::Command;

/// How long a process may take to load the library and serve the socket.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often to ask whether it does.
const RETRY: Duration = Duration::from_millis(5);

/// Changes a world at run time.
#[derive(Clone, Debug)]
pub struct Control {
    socket: PathBuf,
}

/// Why a command was not carried out.
#[derive(Debug)]
pub enum ControlError {
    /// Nothing answered at the socket.
    Unreachable(io::Error),
    /// The world refused it, for this reason.
    Refused(String),
}

impl std::fmt::Display for ControlError {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unreachable(error) => write!(to, "the control socket does not answer: {error}"),
            Self::Refused(reason) => write!(to, "the command was refused: {reason}"),
        }
    }
}

impl std::error::Error for ControlError {}

impl From<io::Error> for ControlError {
    fn from(error: io::Error) -> Self {
        Self::Unreachable(error)
    }
}

/// A reply of the socket.
#[derive(Deserialize)]
struct Reply {
    error: Option<String>,
}

impl Control {
    /// The control of the world whose socket this is. It need not be served yet.
    pub fn at(socket: impl Into<PathBuf>) -> Self {
        Self { socket: socket.into() }
    }

    /// Has a command carried out. Every NVML call that begins after this returns sees it, in every
    /// process.
    pub fn send(&self, command: &Command) -> Result<(), ControlError> {
        let mut line = serde_json::to_string(command).map_err(io::Error::from)?;
        line.push('\n');
        let stream = self.connect()?;
        (&stream).write_all(line.as_bytes())?;
        let mut reply = String::new();
        BufReader::new(&stream).read_line(&mut reply)?;
        let reply: Reply = serde_json::from_str(&reply).map_err(io::Error::from)?;
        reply.error.map_or(Ok(()), |reason| Err(ControlError::Refused(reason)))
    }

    /// Connects anew each time, as another process may serve the socket by now.
    fn connect(&self) -> io::Result<UnixStream> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match UnixStream::connect(&self.socket) {
                Err(error) if not_served(&error) && Instant::now() < deadline => {
                    thread::sleep(RETRY);
                }
                outcome => return outcome,
            }
        }
    }
}

fn not_served(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
}
