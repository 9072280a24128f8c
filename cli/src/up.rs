//! `gpuwarden up`: aggregator, the agent of this machine and, if wanted, a simulated fleet, in one
//! process, with every incident printed as it opens, changes and resolves.

pub mod banner;
pub mod data;
pub mod demo;
pub mod machine;
pub mod parts;
pub mod print;

use std::net::{SocketAddr, TcpListener};
use std::pin::pin;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::args::{Format, Up};
use crate::client::Aggregator;
use crate::clock;
use crate::incidents::watch;
use crate::screen::Screen;
use banner::Banner;
use data::Data;
use print::Printer;

/// Demo incidents resolve soon after nothing is active any more, so that it can be seen.
const DEMO_QUIET: Duration = Duration::from_secs(5);
/// How long the parts may take to stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// Tasks of this process by what they are, for people.
type Tasks = JoinSet<(String, anyhow::Result<()>)>;

/// What runs. The nodes stop before the centre, so that their last word arrives.
struct Running {
    aggregator: Aggregator,
    nodes: Tasks,
    stop_nodes: CancellationToken,
    centre: Tasks,
    stop_centre: CancellationToken,
}

/// Runs everything until it is interrupted or the time is over.
pub async fn run(args: &Up, mut screen: Screen) -> anyhow::Result<()> {
    let started = clock::now();
    let mut over = pin!(over(args.duration));
    free(args.grpc, "gRPC", "--grpc")?;
    free(args.http, "HTTP", "--http")?;
    let data = Data::prepare(&args.data, args.demo)?;
    let mut running = Running::start(args, &data).await?;

    let mut printer = Printer::new(started);
    let followed = tokio::select! {
        followed = watch::follow(&running.aggregator, |update| {
            printer.update(update, clock::now(), &mut screen)
        }) => followed,
        ended = watch_over(&mut running.nodes, &mut running.centre) => ended,
        () = &mut over => Ok(()),
    };
    running.stop().await;
    followed?;
    printer.summary(clock::now(), &mut screen)?;
    Ok(())
}

impl Running {
    /// Starts everything and says what is running.
    async fn start(args: &Up, data: &Data) -> anyhow::Result<Self> {
        let config = parts::AggregatorConfig {
            grpc: args.grpc,
            http: args.http,
            data: data.aggregator(),
            quiet: args.demo.then_some(DEMO_QUIET),
        };
        let part = parts::Aggregator::bind(config).await.context("starting the aggregator")?;
        let endpoint = format!("http://{}", part.grpc);
        let mut banner = Banner::new(part.grpc, part.http, data.root());
        let mut running = Self {
            aggregator: endpoint.parse().map_err(anyhow::Error::msg)?,
            nodes: Tasks::new(),
            stop_nodes: CancellationToken::new(),
            centre: Tasks::new(),
            stop_centre: CancellationToken::new(),
        };
        let stop = running.stop_centre.clone();
        running.centre.spawn(async { ("the aggregator".to_owned(), part.run(stop).await) });
        let (nodes, stop) = (&mut running.nodes, &running.stop_nodes);
        banner.machine = machine::start(data, &endpoint, nodes, stop).await?;
        if args.demo {
            banner.demo = Some(demo::start(data, &endpoint, nodes, stop).await?);
        }
        // Not part of what scripts read, but of what people want to see.
        eprint!("{}", banner.render());
        Ok(running)
    }

    async fn stop(self) {
        self.stop_nodes.cancel();
        ended(self.nodes).await;
        self.stop_centre.cancel();
        ended(self.centre).await;
    }
}

/// Waits for the aggregator to end, which it should not. An agent that ends is only told.
async fn watch_over(nodes: &mut Tasks, centre: &mut Tasks) -> anyhow::Result<()> {
    loop {
        let (what, ended) = tokio::select! {
            Some(ended) = centre.join_next() => {
                let (name, result) = ended.context("the aggregator panicked")?;
                result.with_context(|| format!("{name} ended"))?;
                bail!("{name} ended");
            }
            Some(ended) = nodes.join_next() => ended.context("an agent panicked")?,
        };
        let reason = ended.err().map_or_else(|| "ended".to_owned(), |error| format!("{error:#}"));
        eprintln!("gpuwarden: {what}: {}", crate::text::clean(&reason));
    }
}

/// Waits for tasks that were told to stop.
async fn ended(mut tasks: Tasks) {
    let all = async { while tasks.join_next().await.is_some() {} };
    if tokio::time::timeout(STOP_TIMEOUT, all).await.is_err() {
        tracing::warn!("some parts did not stop in time and are cut off");
    }
}

/// Ends when the time is over or somebody interrupts.
async fn over(duration: Option<Duration>) {
    let time = async {
        match duration {
            Some(duration) => tokio::time::sleep(duration).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = time => {}
        _ = tokio::signal::ctrl_c() => {}
        () = terminated() => {}
    }
}

async fn terminated() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            terminate.recv().await;
        }
        Err(_) => std::future::pending().await,
    }
}

/// Says which port is taken and what to do, before anything is started.
fn free(address: SocketAddr, what: &str, flag: &str) -> anyhow::Result<()> {
    let Err(error) = TcpListener::bind(address) else { return Ok(()) };
    if error.kind() != std::io::ErrorKind::AddrInUse {
        bail!("cannot listen on {address} ({what}): {error}; choose another with {flag}");
    }
    let other = SocketAddr::new(address.ip(), 0);
    bail!(
        "{address} ({what}) is taken, perhaps by another gpuwarden: stop that one, or choose \
         another port with {flag} ({flag} {other} takes any that is free)"
    )
}

impl Printer {
    /// Writes what a script or a person wants last.
    fn summary(
        &self,
        now: gpuwarden_proto::time::Timestamp,
        screen: &mut Screen,
    ) -> anyhow::Result<()> {
        match screen.format {
            Format::Json => screen.json(&self.counts())?,
            Format::Table => screen.line(&self.counts().render(&self.elapsed(now)))?,
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_named_with_what_to_do() {
        let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = taken.local_addr().expect("an address");
        let error = free(address, "gRPC", "--grpc").expect_err("it is taken").to_string();
        let start = format!("{address} (gRPC) is taken, perhaps by another gpuwarden: stop that");
        assert!(error.starts_with(&start), "{error}");
        assert!(error.contains("--grpc 127.0.0.1:0"), "{error}");
        drop(taken);
        assert!(free(address, "gRPC", "--grpc").is_ok());
    }
}
