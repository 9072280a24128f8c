//! The control socket: a JSON command a line in, a JSON reply a line out.
//!
//! Of all the processes that could serve it, the one with the lock does. The kernel takes the lock
//! from a process that dies, so the next one serves at once and nothing has to poll.

use std::fs::{self, File, TryLockError};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use serde_json::{Value, json};

use crate::live::Live;
use crate::place::with_suffix;

/// Serves the socket from now on if no process does, or else from when that process ends.
pub(crate) fn serve(live: Arc<Live>, socket: PathBuf) -> io::Result<()> {
    let lock = File::create(with_suffix(&socket, ".lock"))?;
    match lock.try_lock() {
        Ok(()) => {
            let listener = bind(&socket)?;
            spawn(move || accept(&live, &listener, lock))
        }
        Err(TryLockError::WouldBlock) => spawn(move || succeed(&live, &socket, lock)),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn spawn(work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new().name("nvml-control".into()).spawn(work).map(drop)
}

fn bind(socket: &Path) -> io::Result<UnixListener> {
    match fs::remove_file(socket) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => UnixListener::bind(socket),
    }
}

fn succeed(live: &Arc<Live>, socket: &Path, lock: File) {
    match lock.lock().and_then(|()| bind(socket)) {
        Ok(listener) => accept(live, &listener, lock),
        Err(error) => eprintln!("nvml-standin: control socket: {error}"),
    }
}

/// Answers every connection; the lock is held for as long as this goes on.
fn accept(live: &Arc<Live>, listener: &UnixListener, lock: File) {
    for stream in listener.incoming().map_while(Result::ok) {
        let live = Arc::clone(live);
        // A client that goes away in the middle is no concern of anyone else's.
        let answering = spawn(move || drop(answer(&live, &stream)));
        if let Err(error) = answering {
            eprintln!("nvml-standin: control socket: {error}");
        }
    }
    drop(lock);
}

fn answer(live: &Live, stream: &UnixStream) -> io::Result<()> {
    let mut back = stream;
    for line in BufReader::new(stream).lines() {
        let reply = reply(live, &line?);
        back.write_all(format!("{reply}\n").as_bytes())?;
    }
    Ok(())
}

fn reply(live: &Live, line: &str) -> Value {
    let parsed = serde_json::from_str(line).map_err(|error| error.to_string());
    match parsed.and_then(|command| live.command(command)) {
        Ok(()) => json!({ "ok": true }),
        Err(reason) => json!({ "error": reason }),
    }
}
