//! The parts that `gpuwarden up` runs in one process. Nobody else in this crate names the library
//! of the aggregator.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use gpuwarden_aggregator::config::Config;
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
pub struct Aggregator {
    /// Where agents and the command line find it: with the port that was given, if any would do.
    pub grpc: SocketAddr,
    /// Where it serves HTTP.
    pub http: SocketAddr,
    inner: gpuwarden_aggregator::Aggregator,
}

impl Aggregator {
    /// Opens the store and listens.
    pub async fn bind(parts: AggregatorConfig) -> anyhow::Result<Self> {
        let mut config = Config {
            grpc_listen: parts.grpc,
            http_listen: parts.http,
            data_dir: parts.data,
            ..Config::default()
        };
        config.quiet_period = parts.quiet.unwrap_or(config.quiet_period);
        let inner = gpuwarden_aggregator::Aggregator::bind(config).await?;
        Ok(Self { grpc: inner.grpc_addr()?, http: inner.http_addr()?, inner })
    }

    /// Serves until it is told to stop.
    pub async fn run(self, shutdown: CancellationToken) -> anyhow::Result<()> {
        Box::pin(self.inner.run(shutdown)).await
    }
}
