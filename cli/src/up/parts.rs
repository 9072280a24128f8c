//! The parts that `gpuwarden up` runs in one process. Nobody else in this crate names the libraries
//! of aggregator and agent.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::bail;
use gpuwarden_agent::config::Config;
use tokio::io::DuplexStream;
use tokio_util::sync::CancellationToken;

/// What the aggregator is told.
#[derive(Debug, Clone)]
pub struct AggregatorConfig {
    /// Where agents and the command line find it.
    pub grpc: SocketAddr,
    /// Where it serves HTTP.
    pub http: SocketAddr,
    /// Folder for its store.
    pub data: PathBuf,
    /// How long nothing must be active before an incident resolves; `None` for the usual.
    pub quiet: Option<Duration>,
}

/// An aggregator that listens and is not yet running.
#[derive(Debug)]
pub struct Aggregator {
    /// Where it listens.
    pub grpc: SocketAddr,
}

/// Where an agent gets its GPU readings from.
#[derive(Debug)]
pub enum Driver {
    /// A child process of this executable reads the real driver.
    Probe {
        /// The executable.
        exe: PathBuf,
    },
    /// The lines of a probe, from within this process.
    Feed(DuplexStream),
}

impl Aggregator {
    /// Opens the store and listens.
    pub async fn bind(config: &AggregatorConfig) -> anyhow::Result<Self> {
        bail!("this build has no aggregator to listen on {}", config.grpc)
    }

    /// Serves until it is told to stop.
    pub async fn run(self, shutdown: CancellationToken) -> anyhow::Result<()> {
        shutdown.cancelled().await;
        Ok(())
    }
}

/// Runs an agent until it is told to stop.
pub async fn agent(
    config: Config,
    driver: Driver,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let _ = (config, driver);
    shutdown.cancelled().await;
    Ok(())
}

/// Reads the driver of this machine and writes lines until its parent goes away.
pub fn probe(_args: &[OsString]) -> anyhow::Result<()> {
    bail!("this build has no probe")
}
