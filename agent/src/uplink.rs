//! The node's one stream to the aggregator: it says what is true now, then every event since the
//! last acknowledgement, and comes back by itself when it is cut.
//!
//! - [`backoff`]: how long to wait before connecting again
//! - `session`: one stream's life, a pure state machine
//! - `shell`: carries out what the state machine wants, on a real stream
//! - `urgency`: which changes of the picture cannot wait
//!
//! It sends only what the outbox gives it, and forgets nothing that was not acknowledged.

pub mod backoff;
mod session;
mod shell;
#[cfg(test)]
mod tests;
mod urgency;

use std::sync::Arc;
use std::time::Duration;

use gpuwarden_proto::inventory::Snapshot;
use gpuwarden_proto::pb::uplink_service_client::UplinkServiceClient;
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::uplink::MESSAGE_MAX_BYTES;
use gpuwarden_proto::vocab::{NodeId, Seq};
use thiserror::Error;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint};

use self::backoff::Backoff;
use self::session::End;
use self::shell::Shell;
use crate::clock::Clock;
use crate::config::UplinkConfig;
use crate::outbox::{OutboxHandle, Unanswered};

/// How the uplink is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UplinkStatus {
    /// The aggregator has said Welcome, and the stream is up.
    pub connected: bool,
    /// Where the aggregator is; empty when the agent has none.
    pub endpoint: String,
    /// Since when it is connected, or is not.
    pub since: Timestamp,
    /// Why the last stream ended or did not come up; `None` while connected and before the first
    /// try.
    pub last_error: Option<String>,
    /// On the aggregator's disk up to here.
    pub acked_seq: Seq,
    /// Streams that came up after the first.
    pub reconnects: u64,
}

/// Who speaks.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The node's name.
    pub node: NodeId,
    /// The agent's version.
    pub agent_version: String,
    /// The kernel's boot id; empty when unknown.
    pub boot_id: String,
}

/// How long things may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// From the connection to the Welcome.
    pub welcome: Duration,
    /// From a batch to its acknowledgement.
    pub ack: Duration,
    /// From the wish to stop to the end.
    pub stop: Duration,
    /// Between two pictures of the node of which nothing but numbers has changed.
    pub snapshot: Duration,
    /// A stream that has been up for so long is healthy.
    pub healthy: Duration,
    /// Bound of the first wait after a failure; see [`Backoff`].
    pub step: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            welcome: Duration::from_secs(10),
            ack: Duration::from_secs(30),
            stop: Duration::from_secs(2),
            snapshot: Duration::from_secs(10),
            healthy: Duration::from_secs(60),
            step: Backoff::STEP,
        }
    }
}

/// All that an uplink is made of.
pub struct Uplink {
    /// Where the aggregator is.
    pub config: UplinkConfig,
    /// Who speaks.
    pub identity: Identity,
    /// Where events come from.
    pub outbox: OutboxHandle,
    /// What is true now.
    pub snapshots: watch::Receiver<Arc<Snapshot>>,
    /// The wall clock for heartbeats and the status.
    pub clock: Clock,
    /// Seed of the waits; differs between nodes.
    pub seed: u64,
    /// How long things may take.
    pub patience: Patience,
}

/// Why a stream ended or did not come up.
#[derive(Debug, Error)]
enum Fault {
    #[error("`{endpoint}` is no endpoint: {source}")]
    BadEndpoint { endpoint: String, source: tonic::transport::Error },
    #[error("cannot connect: {0}")]
    Connect(String),
    #[error("the stream failed: {0}")]
    Stream(#[from] tonic::Status),
    #[error("the aggregator closed the stream")]
    Closed,
    #[error("the aggregator said something that means nothing: {0}")]
    Garbled(#[from] gpuwarden_proto::convert::Refused),
    #[error("the aggregator did not say Welcome in time")]
    NoWelcome,
    #[error("the aggregator did not acknowledge {0} in time")]
    NoAck(Seq),
    #[error("the aggregator does not read")]
    NotRead,
    #[error("the agent stopped before everything was acknowledged")]
    Unfinished,
    #[error(transparent)]
    Outbox(#[from] Unanswered),
}

/// What a stream leaves behind.
struct Ended {
    /// It came up, and this is the spread that the aggregator asked for.
    spread: Option<Duration>,
    /// It was up for long enough.
    healthy: bool,
    /// How it ended.
    how: Result<End, Fault>,
}

impl Uplink {
    /// A status for before the first try.
    pub fn initial_status(config: &UplinkConfig, now: Timestamp) -> UplinkStatus {
        UplinkStatus {
            connected: false,
            endpoint: config.endpoint.clone().unwrap_or_default(),
            since: now,
            last_error: None,
            acked_seq: Seq(0),
            reconnects: 0,
        }
    }

    /// Streams until `stop`, then says what is left, for a short while at most. Whatever is to be
    /// said last must be in the outbox before `stop` is called.
    pub async fn run(mut self, status: watch::Sender<UplinkStatus>, stop: CancellationToken) {
        if self.config.endpoint.is_none() {
            return stop.cancelled().await;
        }
        let mut backoff = Backoff::new(self.seed, self.patience.step);
        while !stop.is_cancelled() {
            let ended = self.stream(&mut backoff, &status, &stop).await;
            let wait = wait_after(&ended, &mut backoff);
            note_end(&status, reason(ended.how), self.clock.now().wall);
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = stop.cancelled() => {}
            }
        }
    }

    /// One stream from its first word to its end.
    async fn stream(
        &mut self,
        backoff: &mut Backoff,
        status: &watch::Sender<UplinkStatus>,
        stop: &CancellationToken,
    ) -> Ended {
        let connected = tokio::select! {
            connected = connect(&self.config) => connected,
            // Nothing has been said yet that would have to be finished.
            () = stop.cancelled() => Ok(None),
        };
        match connected {
            Ok(Some(client)) => Shell::new(self, status, backoff).run(client, stop).await,
            Ok(None) => Ended { spread: None, healthy: false, how: Ok(End::Stopped) },
            Err(fault) => Ended { spread: None, healthy: false, how: Err(fault) },
        }
    }
}

/// Why a stream ended, if that is worth telling.
fn reason(how: Result<End, Fault>) -> Option<String> {
    match how {
        Ok(End::Stopped | End::EpochChanged) => None,
        Ok(End::Drained(_)) => Some("the aggregator asked to connect again".to_owned()),
        Ok(End::Broken(reason) | End::EpochRefused(reason)) => Some(reason),
        Err(fault) => Some(fault.to_string()),
    }
}

fn wait_after(ended: &Ended, backoff: &mut Backoff) -> Duration {
    match (&ended.how, ended.spread) {
        (Ok(End::Drained(spread)), _) => backoff.lost(*spread, true),
        (Ok(End::EpochChanged), Some(_)) => backoff.lost(Duration::ZERO, ended.healthy),
        (_, Some(spread)) => backoff.lost(spread, ended.healthy),
        (_, None) => backoff.failed(),
    }
}

async fn connect(config: &UplinkConfig) -> Result<Option<UplinkServiceClient<Channel>>, Fault> {
    let address = config.endpoint.clone().unwrap_or_default();
    let endpoint = Endpoint::from_shared(address.clone())
        .map_err(|source| Fault::BadEndpoint { endpoint: address, source })?
        .connect_timeout(config.connect_timeout)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(20))
        .keep_alive_while_idle(true);
    // The outer limit also holds where the handshake hangs after the connection is made.
    let channel = tokio::time::timeout(config.connect_timeout, endpoint.connect())
        .await
        .map_err(|_| Fault::Connect("no answer in time".to_owned()))?
        .map_err(|error| Fault::Connect(causes(&error)))?;
    let client = UplinkServiceClient::new(channel)
        .max_decoding_message_size(MESSAGE_MAX_BYTES)
        .max_encoding_message_size(MESSAGE_MAX_BYTES);
    Ok(Some(client))
}

/// The innermost cause of an error, which is the one that tells something.
fn causes(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

fn note_end(status: &watch::Sender<UplinkStatus>, error: Option<String>, now: Timestamp) {
    status.send_modify(|status| {
        if status.connected {
            status.connected = false;
            status.since = now;
        }
        if status.last_error != error {
            match &error {
                Some(error) => tracing::warn!(%error, "no stream to the aggregator"),
                None => tracing::info!("the stream to the aggregator is closed"),
            }
        }
        status.last_error = error;
    });
}
