//! The GPU driver, through the probe: a child process that may be left behind.
//!
//! This side never calls the driver. It keeps a probe running, reads its lines, and says so when the
//! driver does not answer. It never kills a probe, because ending a process inside the driver can
//! harm the GPU; it leaves at most one behind.

mod lines;
mod reading;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use gpuwarden_proto::vocab::SourceName;
use tokio::io::AsyncRead;
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::mpsc::Sender;
use tokio::time;
use tokio_util::sync::CancellationToken;

pub use reading::{End, Reading};

use crate::config::NvmlConfig;
use crate::sample::{Input, SourceReport};

/// How long the first answer may take: without persistence mode the driver starts with the probe.
const START: Duration = Duration::from_secs(10);
/// How long after finding no GPU one is looked for again.
const ABSENT: Duration = Duration::from_secs(60);
/// How long a probe may take to end when it is asked to.
const FAREWELL: Duration = Duration::from_secs(1);
/// Pauses before a probe that has ended is started again.
const RESTART: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// Silences after which a second probe is tried beside one that is blocked.
const ORPHAN: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(600));

/// Keeps a probe running and tells what it says, until `shutdown`.
pub async fn watch(
    config: NvmlConfig,
    exe: PathBuf,
    out: Sender<Input>,
    shutdown: CancellationToken,
) {
    if !config.enabled {
        return;
    }
    let mut watch = Watch {
        config,
        exe,
        out,
        shutdown,
        orphan: None,
        restart: RESTART.0,
        orphan_after: ORPHAN.0,
    };
    while let Some(pause) = watch.run_one().await {
        if watch.pause(pause).await.is_none() {
            return;
        }
    }
}

/// Reads a probe's lines until they end: the half of [`watch`] that a simulator can feed.
pub async fn read_probe<R: AsyncRead + Unpin>(
    reader: R,
    silence: Duration,
    out: Sender<Input>,
    shutdown: CancellationToken,
) -> End {
    Reading::new(reader, silence, silence).run(&out, &shutdown, None).await
}

/// Name of this source.
pub fn name() -> SourceName {
    SourceName::new("nvml").expect("a short word is a name")
}

struct Watch {
    config: NvmlConfig,
    exe: PathBuf,
    out: Sender<Input>,
    shutdown: CancellationToken,
    /// A probe that was blocked and is left to itself.
    orphan: Option<Child>,
    restart: Duration,
    orphan_after: Duration,
}

/// A probe that runs.
struct Probe {
    child: Child,
    /// Held open: its end tells the probe to end.
    stdin: ChildStdin,
    reading: Reading<ChildStdout>,
}

impl Watch {
    /// Runs one probe to its end, and gives the pause before the next; `None` to stop.
    async fn run_one(&mut self) -> Option<Duration> {
        let mut probe = match self.spawn() {
            Ok(probe) => probe,
            Err(error) => {
                self.tell(SourceReport::Failing(format!("the probe cannot be started: {error}")))
                    .await?;
                return Some(self.next_restart());
            }
        };
        loop {
            let end = probe.reading.run(&self.out, &self.shutdown, Some(self.orphan_after)).await;
            if probe.reading.take_answered() {
                (self.restart, self.orphan_after) = (RESTART.0, ORPHAN.0);
            }
            match end {
                End::Shutdown | End::Closed => {
                    probe.leave().await;
                    return None;
                }
                End::Absent => return Some(ABSENT),
                End::Eof => return self.ended(probe).await,
                End::Blocked => {
                    self.orphan_after = (self.orphan_after * 2).min(ORPHAN.1);
                    if self.has_no_orphan() {
                        self.orphan = Some(probe.abandon());
                        return Some(Duration::ZERO);
                    }
                }
            }
        }
    }

    fn spawn(&self) -> std::io::Result<Probe> {
        let mut child = command(&self.exe, &self.config).spawn()?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(std::io::Error::other("its standard streams are missing"));
        };
        let silence = self.config.silence;
        Ok(Probe { child, stdin, reading: Reading::new(stdout, silence, START.max(silence)) })
    }

    /// A probe whose lines have ended ends itself; why is told, unless it has told it.
    async fn ended(&mut self, mut probe: Probe) -> Option<Duration> {
        drop(probe.stdin);
        let status = match time::timeout(FAREWELL, probe.child.wait()).await {
            Ok(Ok(status)) => status.to_string(),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "it has closed its output and does not end".to_owned(),
        };
        let reason = match probe.reading.last_fault() {
            Some(fault) => format!("the probe ended ({status}) after {fault}"),
            None => format!("the probe ended ({status})"),
        };
        self.tell(SourceReport::Failing(reason)).await?;
        Some(self.next_restart())
    }

    fn next_restart(&mut self) -> Duration {
        let pause = self.restart;
        self.restart = (pause * 2).min(RESTART.1);
        pause
    }

    /// Whether no blocked probe is left, or the one that was has ended after all.
    fn has_no_orphan(&mut self) -> bool {
        match self.orphan.as_mut().map(Child::try_wait) {
            None => true,
            Some(Ok(None)) => false,
            Some(Ok(Some(_)) | Err(_)) => {
                self.orphan = None;
                true
            }
        }
    }

    async fn tell(&self, report: SourceReport) -> Option<()> {
        tokio::select! {
            () = self.shutdown.cancelled() => None,
            sent = self.out.send(Input::Source(name(), report)) => sent.ok(),
        }
    }

    async fn pause(&self, duration: Duration) -> Option<()> {
        tokio::select! {
            () = self.shutdown.cancelled() => None,
            () = self.out.closed() => None,
            () = time::sleep(duration) => Some(()),
        }
    }
}

impl Probe {
    /// Asks it to end, waits a little, and leaves it if it does not.
    async fn leave(mut self) {
        drop(self.stdin);
        if time::timeout(FAREWELL, self.child.wait()).await.is_err() {
            tracing::warn!(
                pid = self.child.id(),
                "the probe is blocked in the driver and is left behind"
            );
        }
    }

    /// Asks it to end when it can, and waits for nothing.
    fn abandon(self) -> Child {
        tracing::warn!(
            pid = self.child.id(),
            "the probe is blocked in the driver; another is tried"
        );
        self.child
    }
}

/// How a probe is started. In a process group of its own, so that an interrupt from a terminal
/// reaches only the agent, which then ends it in order.
fn command(exe: &Path, config: &NvmlConfig) -> Command {
    let mut command = Command::new(exe);
    command.arg("probe").arg("--interval-ms").arg(config.interval.as_millis().to_string());
    if let Some(library) = &config.library {
        command.arg("--library").arg(library);
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0).kill_on_drop(false);
    command
}

#[cfg(test)]
mod tests;
