//! The kernel log: XIDs, GPUs that have fallen off the bus, processes killed for want of memory.
//!
//! What is new only: what stands in the log when the agent starts has happened to somebody else.
//! Nothing is ever written to it.

mod log;
mod record;

use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use gpuwarden_proto::vocab::SourceName;
use tokio::sync::mpsc::Sender;
use tokio::time;
use tokio_util::sync::CancellationToken;

pub use record::{Assembler, Problem, parse, sequence};

use crate::config::KmsgConfig;
use crate::sample::{Input, KernelRecord, SourceReport};
use log::{Got, Kind, Log};

/// How often the log is looked at. A read that finds nothing costs a microsecond; waiting for the
/// device instead would save ten of them a second, and take code that the compiler cannot check.
const POLL: Duration = Duration::from_millis(100);
/// How long after failing to open or to read it is tried again.
const RETRY: Duration = Duration::from_secs(60);
/// Reads before what was found is told.
const READS: usize = 64;
/// Records at most in one input.
const BATCH: usize = 64;

/// Reads the log until `shutdown`.
pub async fn watch(config: KmsgConfig, out: Sender<Input>, shutdown: CancellationToken) {
    if !config.enabled {
        return;
    }
    let follow = async {
        let mut seen = false;
        loop {
            let error = match Log::open(&config.path) {
                Ok(log) => {
                    seen = true;
                    match Follower::new(log).run(&out).await {
                        Some(error) => error,
                        None => return,
                    }
                }
                Err(error) => error,
            };
            let why = remedy(&config.path, &error);
            let report = if seen { SourceReport::Failing(why) } else { SourceReport::Absent(why) };
            if out.send(Input::Source(name(), report)).await.is_err() {
                return;
            }
            time::sleep(RETRY).await;
        }
    };
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = follow => {}
    }
}

/// Name of this source.
pub fn name() -> SourceName {
    SourceName::new("kmsg").expect("a short word is a name")
}

/// Whether the log can be read, by opening it and no more.
pub fn try_open(path: &Path) -> std::io::Result<()> {
    Log::open(path).map(|_| ())
}

/// Why the log cannot be read, and what mends it.
pub fn remedy(path: &Path, error: &std::io::Error) -> String {
    let path = path.display();
    match error.kind() {
        ErrorKind::PermissionDenied => format!(
            "needs CAP_SYSLOG to read {path}: `AmbientCapabilities=CAP_SYSLOG` in the service, or \
             `capabilities: {{add: [SYSLOG]}}` in the container"
        ),
        ErrorKind::NotFound => {
            format!("{path} is not there: mount the host's {path} into the container")
        }
        _ => format!("{path} cannot be read: {error}"),
    }
}

/// Follows one open log.
struct Follower {
    log: Log,
    assembler: Assembler,
    /// Number of the device's last record.
    last: Option<u64>,
    found: Vec<KernelRecord>,
    problems: u64,
}

impl Follower {
    fn new(log: Log) -> Self {
        Self { log, assembler: Assembler::default(), last: None, found: Vec::new(), problems: 0 }
    }

    /// Follows until it cannot be read, or (`None`) nobody takes what is found.
    async fn run(mut self, out: &Sender<Input>) -> Option<std::io::Error> {
        out.send(Input::Source(name(), SourceReport::Seeing)).await.ok()?;
        loop {
            let dry = match self.read() {
                Ok(dry) => dry,
                Err(error) => return Some(error),
            };
            while !self.found.is_empty() {
                let rest = self.found.split_off(self.found.len().min(BATCH));
                let batch = std::mem::replace(&mut self.found, rest);
                out.send(Input::Kernel(batch)).await.ok()?;
            }
            if dry {
                time::sleep(POLL).await;
            } else {
                tokio::task::yield_now().await;
            }
            if out.is_closed() {
                return None;
            }
        }
    }

    /// Reads for a while; whether nothing is left for now.
    fn read(&mut self) -> std::io::Result<bool> {
        let Self { log, assembler, last, found, problems } = self;
        for _ in 0..READS {
            let is_device = log.kind() == Kind::Device;
            let got = log.read(|line| {
                if is_device {
                    found.extend(lost(last, sequence(line)));
                }
                match assembler.take(line) {
                    Ok(record) => found.extend(record),
                    Err(problem) => {
                        *problems += 1;
                        tracing::warn!(%problem, problems, "a line of the kernel log is not understood");
                    }
                }
            })?;
            if got == Got::Nothing {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Records that were overwritten between the last one and this one.
fn lost(last: &mut Option<u64>, this: Option<u64>) -> Option<KernelRecord> {
    let this = this?;
    let before = last.replace(this)?;
    let count = this.saturating_sub(before).saturating_sub(1);
    (count > 0).then_some(KernelRecord::Lost { count })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::Mode;
    use std::io::Write;
    use tokio::sync::mpsc::{Receiver, channel};

    const XID: &str = "4,1,1,-;NVRM: Xid (PCI:0000:1b:00): 79, GPU has fallen off the bus.";

    fn watch_path(path: &Path) -> (Receiver<Input>, CancellationToken) {
        let (out, inputs) = channel(16);
        let shutdown = CancellationToken::new();
        let config = KmsgConfig { enabled: true, path: path.to_owned() };
        tokio::spawn(watch(config, out, shutdown.clone()));
        (inputs, shutdown)
    }

    #[test]
    fn a_gap_in_the_numbers_is_so_many_lost() {
        let mut last = None;
        assert_eq!(lost(&mut last, Some(7)), None);
        assert_eq!(lost(&mut last, Some(8)), None);
        assert_eq!(lost(&mut last, Some(12)), Some(KernelRecord::Lost { count: 3 }));
        assert_eq!(lost(&mut last, None), None);
        assert_eq!(lost(&mut last, Some(2)), None, "another boot");
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_is_followed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kern.log");
        std::fs::write(&path, format!("{XID}\n")).unwrap();
        let (mut inputs, _shutdown) = watch_path(&path);
        assert_eq!(inputs.recv().await, Some(Input::Source(name(), SourceReport::Seeing)));
        let mut file = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
        for _ in 0..100 {
            writeln!(file, "{XID}").unwrap();
        }
        for expected in [BATCH, 100 - BATCH] {
            let Some(Input::Kernel(records)) = inputs.recv().await else { panic!("records") };
            assert_eq!(records.len(), expected);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_pipe_is_followed_over_its_writers() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kmsg");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &path,
            rustix::fs::FileType::Fifo,
            Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
        let (mut inputs, _shutdown) = watch_path(&path);
        assert_eq!(inputs.recv().await, Some(Input::Source(name(), SourceReport::Seeing)));
        for _ in 0..2 {
            let mut writer = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
            writeln!(writer, "{XID}").unwrap();
            drop(writer);
            assert!(
                matches!(inputs.recv().await, Some(Input::Kernel(records)) if records.len() == 1)
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_log_that_is_not_there_is_absent_and_found_when_it_comes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kern.log");
        let (mut inputs, _shutdown) = watch_path(&path);
        let Some(Input::Source(_, SourceReport::Absent(why))) = inputs.recv().await else {
            panic!("absent")
        };
        assert!(why.ends_with("into the container"), "{why}");
        std::fs::write(&path, "").unwrap();
        assert_eq!(inputs.recv().await, Some(Input::Source(name(), SourceReport::Seeing)));
    }

    #[test]
    fn the_remedy_is_exact() {
        let denied = std::io::Error::from(ErrorKind::PermissionDenied);
        let remedy = remedy(Path::new("/dev/kmsg"), &denied);
        assert!(remedy.starts_with("needs CAP_SYSLOG to read /dev/kmsg: "), "{remedy}");
    }
}
