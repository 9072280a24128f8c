//! A server in a process of its own, which ends with it.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::Failure;

/// How long it may take until a port answers.
const START: Duration = Duration::from_secs(15);
/// Between two looks at a port.
const LOOK: Duration = Duration::from_millis(5);

/// A running server.
pub(crate) struct Server(Child);

/// An address that nobody uses.
pub(crate) fn free_address() -> Result<SocketAddr, Failure> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// Starts an aggregator with its store in a folder; `more` is added to its settings. It accepts
/// connections from then on.
pub(crate) fn aggregator(folder: &Path, more: &str) -> Result<(Server, SocketAddr), Failure> {
    let (grpc, http) = (free_address()?, free_address()?);
    let config = folder.join("aggregator.toml");
    let store = folder.join("store");
    let text = format!(
        "[grpc]\nlisten = \"{grpc}\"\n[http]\nlisten = \"{http}\"\n[store]\ndir = \"{}\"\n{more}",
        store.display()
    );
    std::fs::write(&config, text)?;
    let exe = std::env::current_exe()?.with_file_name("gpuwarden-aggregator");
    let args = ["run".to_owned(), "--config".to_owned(), config.display().to_string()];
    Ok((Server::start(&exe, &args, grpc)?, grpc))
}

impl Server {
    /// Starts a program and waits until it listens.
    pub(crate) fn start(exe: &Path, args: &[String], address: SocketAddr) -> Result<Self, Failure> {
        let log = std::env::temp_dir().join("gpuwarden-bench-aggregator.log");
        let child = Command::new(exe)
            .args(args)
            .env("GPUWARDEN_LOG", "warn")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&log)?)
            .spawn()?;
        let mut server = Self(child);
        let mut tries = 0;
        while std::net::TcpStream::connect(address).is_err() {
            tries += 1;
            if tries > START.as_millis() / LOOK.as_millis() || server.0.try_wait()?.is_some() {
                let (exe, log) = (exe.display(), log.display());
                return Err(format!("{exe} does not listen on {address}; see {log}").into());
            }
            std::thread::sleep(LOOK);
        }
        Ok(server)
    }

    /// Memory that it has in use, in MiB.
    pub(crate) fn resident_mib(&self) -> f64 {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.0.id()));
        let text = text.unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
        kib.unwrap_or(f64::NAN) / 1024.0
    }
}

impl Drop for Server {
    /// Without a word, as a crash would.
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
