//! What an aggregator bears: events per second, time to an incident, memory, a storm, a restart.
//!
//! Nodes are stood for by sessions of their own that share some connections; the aggregator is a
//! process of its own on SQLite. Each bench ends in one line of JSON with units in the names.

// A bench is about time, so it reads the clock.
#![allow(clippy::disallowed_methods)]

mod bare;
mod correlate;
mod figures;
mod fleet;
mod ingest;
mod live;
mod load;
mod recovery;
mod server;
mod session;
mod storm;
mod story;
mod watching;

use figures::Scale;

/// Nodes of the fleet.
const NODES: usize = 10_000;
/// Nodes of the fleet in a short run.
const NODES_QUICK: usize = 1_000;
/// Connections that they share.
const CONNECTIONS: usize = 64;

type Failure = Box<dyn std::error::Error + Send + Sync>;

const USAGE: &str =
    "usage: bench-aggregator ingest|correlate|growth|latency|storm|recovery [--quick]";

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let (name, scale) = match words[..] {
        ["bare-stream", address] => return bare::serve(address.parse()?).await,
        [name] => (name, Scale::Full),
        [name, "--quick"] => (name, Scale::Quick),
        _ => return Err(USAGE.into()),
    };
    let figures = match name {
        "ingest" => ingest::run(scale).await?,
        "correlate" => correlate::run(scale).await?,
        "growth" => correlate::growth(scale)?,
        "latency" => correlate::latency(scale).await?,
        "storm" => storm::run(scale).await?,
        "recovery" => recovery::run(scale).await?,
        _ => return Err(USAGE.into()),
    };
    println!("{figures}");
    Ok(())
}
