//! The aggregator: turns what nodes tell into few, classified incidents.
//!
//! ```text
//! ingest ─► core ─► store        a batch is checked at the edge, taken up by the core,
//!   ▲        │ │                 acknowledged once it is on disk
//!   └─ ack ──┘ └─► watch ─► service
//! ```
//!
//! - [`ingest`]: the edge to the nodes
//! - [`core`]: the one task that owns the state
//! - [`intake`], [`graph`], [`correlate`], [`incident`], [`classify`], [`replica`], [`node`]: what
//!   things mean; pure
//! - [`suppress`]: what is held back, by whom or what, and why; pure
//! - [`outside`]: what other systems and people tell; pure
//! - [`slo`]: what is promised of services, and what is left of it; pure
//! - [`response`]: who is told what and when, and what people do about it; pure
//! - [`telling`]: carries out what is to be told
//! - [`store`]: what is on disk; the only SQL
//! - [`watch`], [`query`], [`service`]: what people are shown, ask and say
//! - [`trace`]: where one event went, by what is kept; pure
//! - [`ledger`], [`runbook`]: changes, each once; the steps that take a change back; pure
//! - [`replay`]: what correlation makes of an event log
//! - [`shadow`]: what a candidate config would have done otherwise; pure
//! - [`command`]: the command line
//! - [`status`], [`http`]: how we ourselves are doing
//! - [`resume`]: the same work after a restart; pure
//! - [`config`], [`clock`]: settings, and the only reader of the clock

pub mod classify;
pub mod clock;
pub mod command;
pub mod config;
pub mod core;
pub mod correlate;
pub mod graph;
pub mod http;
pub mod incident;
pub mod ingest;
pub mod intake;
pub mod kubernetes;
pub mod ledger;
pub mod node;
pub mod outside;
pub mod query;
pub mod replay;
pub mod replica;
pub mod response;
pub mod resume;
pub mod runbook;
pub mod service;
pub mod shadow;
pub mod slo;
pub mod status;
pub mod store;
pub mod suppress;
pub mod telling;
pub mod trace;
pub mod watch;

#[cfg(test)]
mod testing;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use gpuwarden_notify::teller::Teller;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;

use crate::clock::Clock;
use crate::config::Config;
use crate::core::{Begun, Core, Inputs, Writer};
use crate::http::AppState;
use crate::ingest::{Ingest, Times};
use crate::query::Desk;
use crate::service::{Bounds, Routes};
use crate::status::Metrics;
use crate::store::{SqliteStore, Store, StoreError, StoreFault};

/// Batches between the streams and the core.
const BATCHES_MAX: usize = 128;
/// Questions between the edges and the core.
const REQUESTS_MAX: usize = 256;
/// How often a store is tried that the disk refuses at the start.
const OPEN_AGAIN: Duration = Duration::from_secs(1);
/// How long streams may take to end when we stop.
const STOP_WITHIN: Duration = Duration::from_secs(5);

/// An aggregator that listens and does not serve yet.
pub struct Aggregator {
    config: Arc<Config>,
    clock: Clock,
    metrics: Arc<Metrics>,
    store: Box<dyn Store>,
    grpc: TcpListener,
    http: TcpListener,
}

impl Aggregator {
    /// Opens the store in the folder of the settings, and listens.
    ///
    /// # Errors
    ///
    /// The store cannot be opened or an address is taken; the error says which and what to do.
    pub async fn bind(config: Config) -> anyhow::Result<Self> {
        let store = SqliteStore::open(&config.data_dir)?;
        Self::bind_with(config, Clock::System, Box::new(store)).await
    }

    /// Listens, with a clock and a store of one's own.
    ///
    /// # Errors
    ///
    /// An address is taken.
    pub async fn bind_with(
        config: Config,
        clock: Clock,
        store: Box<dyn Store>,
    ) -> anyhow::Result<Self> {
        let grpc = listen("grpc.listen", config.grpc_listen).await?;
        let http = listen("http.listen", config.http_listen).await?;
        let metrics = Arc::new(Metrics::default());
        Ok(Self { config: Arc::new(config), clock, metrics, store, grpc, http })
    }

    /// Where agents and the command line connect.
    ///
    /// # Errors
    ///
    /// The operating system does not say.
    pub fn grpc_addr(&self) -> std::io::Result<SocketAddr> {
        self.grpc.local_addr()
    }

    /// Where health and metrics are read.
    ///
    /// # Errors
    ///
    /// The operating system does not say.
    pub fn http_addr(&self) -> std::io::Result<SocketAddr> {
        self.http.local_addr()
    }

    /// Our own numbers.
    #[must_use]
    pub fn metrics(&self) -> Arc<Metrics> {
        Arc::clone(&self.metrics)
    }

    /// Serves until it is told to stop; then what was taken up is on disk.
    ///
    /// # Errors
    ///
    /// The store cannot be read, or fails in a way that waiting does not mend.
    pub async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        let Self { config, clock, metrics, mut store, grpc, http } = self;
        let loaded = store.load()?;
        let history = store.history()?;
        let now = clock.now();
        if loaded.unreadable > 0 {
            let rows = loaded.unreadable;
            tracing::warn!(rows, "records that this version cannot read are left as they are");
        }
        let (batches, batches_in) = mpsc::channel(BATCHES_MAX);
        let (requests, requests_in) = mpsc::channel(REQUESTS_MAX);
        let times = Times { max_age: config.event_max_age, max_ahead: config.event_max_ahead };
        let writer = Writer::start(store, clock.clone()).context("cannot start the writer")?;
        let (sends, to_send) = mpsc::unbounded_channel();
        let teller = teller(&config)?;
        let telling = telling::run(teller, clock.clone(), to_send, requests.clone());
        let core = Core::new(
            Arc::clone(&config),
            clock.clone(),
            Arc::clone(&metrics),
            Begun { loaded, now },
            writer,
            sends,
        );
        let inputs = Inputs { batches: batches_in, requests: requests_in };
        // The edges stop when the core has stopped, whatever made it.
        let edges = CancellationToken::new();
        let core = async {
            let result = Box::pin(core.run(inputs, stop.clone())).await;
            edges.cancel();
            result
        };
        let desk = Desk::new(requests.clone(), history);
        let app = AppState {
            metrics: Arc::clone(&metrics),
            desk: desk.clone(),
            clock: clock.clone(),
            started_at: now,
            secret: config.http_token.clone(),
        };
        let router = http::router(app);
        let http = http::serve(http, router, Arc::clone(&metrics), edges.clone());
        let cluster = config.kubernetes.clone();
        let (own_desk, own_clock, own_stop) = (desk.clone(), clock.clone(), edges.clone());
        let rollouts = async {
            if let Some(settings) = cluster {
                Box::pin(kubernetes::run(settings, own_desk, own_clock, own_stop)).await;
            }
        };
        let ingest = Ingest { config, clock, metrics, times, batches, requests };
        let grpc = serve(grpc, ingest, desk, &edges);
        let (result, served, (), (), ()) = tokio::join!(core, grpc, http, rollouts, telling);
        result?;
        served
    }
}

/// What tells people, with what is wrong with their templates said.
fn teller(config: &Config) -> anyhow::Result<Teller> {
    let (teller, faults) = Teller::new(config.people.notify.clone())?;
    faults.iter().for_each(|fault| tracing::warn!("{fault}"));
    Ok(teller)
}

async fn serve(
    listener: TcpListener,
    ingest: Ingest,
    desk: Desk,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let server = Server::builder()
        .initial_stream_window_size(256 * 1024)
        .initial_connection_window_size(512 * 1024)
        .http2_keepalive_interval(Some(Duration::from_secs(30)))
        .http2_keepalive_timeout(Some(Duration::from_secs(20)))
        .max_concurrent_streams(1024);
    let routes = Routes::new(ingest, desk, Bounds::default());
    let incoming = TcpListenerStream::new(listener);
    let incoming = futures_util::StreamExt::map(incoming, |accepted| {
        // Small messages must not wait for large ones.
        accepted.inspect(|stream| drop(stream.set_nodelay(true)))
    });
    let serving = server.serve_with_incoming_shutdown(routes, incoming, stop.cancelled());
    let too_long = async {
        stop.cancelled().await;
        tokio::time::sleep(STOP_WITHIN).await;
    };
    tokio::select! {
        served = serving => served.context("the gRPC server failed"),
        () = too_long => Ok(()),
    }
}

/// Serves with these settings until it is told to stop. A disk that is full or read-only is waited
/// for, and one that was mounted anew is taken up as it is: nodes keep what is not acknowledged.
///
/// # Errors
///
/// As for [`Aggregator::bind`] and [`Aggregator::run`].
pub async fn run(config: Config, stop: CancellationToken) -> anyhow::Result<()> {
    while !stop.is_cancelled()
        && let Some(store) = opened(&config.data_dir, &stop).await?
    {
        let aggregator =
            Aggregator::bind_with(config.clone(), Clock::System, Box::new(store)).await?;
        let (grpc, http) = (aggregator.grpc_addr()?, aggregator.http_addr()?);
        tracing::info!(%grpc, %http, sqlite = store::sqlite_version(), "the aggregator serves");
        match Box::pin(aggregator.run(stop.clone())).await {
            Err(error) if is_replaced(&error) => tracing::warn!(%error, "beginning anew"),
            ended => return ended,
        }
    }
    Ok(())
}

/// The store in a folder, once its disk takes it; `None` when told to stop before.
async fn opened(
    folder: &Path,
    stop: &CancellationToken,
) -> Result<Option<SqliteStore>, StoreError> {
    let mut told = None;
    loop {
        let error = match SqliteStore::open(folder) {
            Ok(store) => return Ok(Some(store)),
            Err(error) => error,
        };
        if !matches!(error.fault, StoreFault::DiskFull | StoreFault::ReadOnly) {
            return Err(error);
        }
        if told.as_ref() != Some(&error) {
            tracing::error!(%error, "nothing is served until the store can be opened");
        }
        told = Some(error);
        tokio::select! {
            () = stop.cancelled() => return Ok(None),
            () = tokio::time::sleep(OPEN_AGAIN) => {}
        }
    }
}

fn is_replaced(error: &anyhow::Error) -> bool {
    error.downcast_ref().is_some_and(|error: &StoreError| error.fault == StoreFault::Replaced)
}

/// What is cancelled by the first SIGINT or SIGTERM.
#[must_use]
pub fn signalled() -> CancellationToken {
    use tokio::signal::unix::{SignalKind, signal};
    let stop = CancellationToken::new();
    let told = stop.clone();
    tokio::spawn(async move {
        let Ok(mut term) = signal(SignalKind::terminate()) else { return };
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = term.recv() => {}
        }
        told.cancel();
    });
    stop
}

async fn listen(key: &'static str, address: SocketAddr) -> anyhow::Result<TcpListener> {
    let help = || format!("cannot listen on {address}: stop what uses it, or set {key}");
    TcpListener::bind(address).await.with_context(help)
}
