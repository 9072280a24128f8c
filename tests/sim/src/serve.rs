//! A node in real time: Triton's HTTP endpoints on a port of this machine, and the probe's lines
//! into a pipe, so that the real agent runs over it.
//!
//! One task owns the node. Connections ask it over a channel; the clock is read once an ask.

mod http;
mod probe;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use gpuwarden_agent::clock::Clock;
use http::{Answer, Ask};
use tokio::io::DuplexStream;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::node::SimNode;

/// Connections at a time; more wait to be accepted.
const CONNECTIONS_MAX: usize = 32;
/// Questions that wait for the node.
const ASKS_MAX: usize = 64;
/// What the reader of the probe may leave unread.
const PIPE_BYTES: usize = 256 * 1024;
/// How often the simulated probe reads.
const PROBE_INTERVAL: Duration = Duration::from_millis(500);

/// Where the agent finds the node.
#[derive(Debug)]
pub struct Endpoints {
    /// Triton's HTTP API; the metrics page is at `/metrics` of the same port.
    pub http: SocketAddr,
    /// The probe's JSON Lines.
    pub probe: DuplexStream,
}

/// A node that is ready to be served.
#[derive(Debug)]
pub struct Server {
    node: SimNode,
    clock: Clock,
    listener: TcpListener,
    pipe: DuplexStream,
}

/// Binds a port of the loopback for a node. Its moment zero is the clock's.
pub async fn bind(node: SimNode, clock: Clock) -> io::Result<(Endpoints, Server)> {
    let listener = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await?;
    let http = listener.local_addr()?;
    let (pipe, probe) = tokio::io::duplex(PIPE_BYTES);
    Ok((Endpoints { http, probe }, Server { node, clock, listener, pipe }))
}

/// What the task that owns the node is woken by.
enum Event {
    Stop,
    Connected(io::Result<tokio::net::TcpStream>),
    Asked(Ask),
    ProbeDue,
}

impl Server {
    /// Serves until it is told to stop.
    pub async fn run(self, shutdown: CancellationToken) {
        let Self { mut node, clock, listener, pipe } = self;
        let (asks, mut asked) = mpsc::channel(ASKS_MAX);
        let mut tasks = JoinSet::new();
        let mut lines = probe::writer(pipe, &mut tasks);
        let mut probe_due = tokio::time::interval(PROBE_INTERVAL);
        probe_due.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut probe = probe::Probe::new(&mut lines);
        loop {
            while tasks.try_join_next().is_some() {}
            let event = tokio::select! {
                () = shutdown.cancelled() => Event::Stop,
                stream = listener.accept(), if tasks.len() <= CONNECTIONS_MAX => {
                    Event::Connected(stream.map(|(stream, _)| stream))
                }
                Some(ask) = asked.recv() => Event::Asked(ask),
                _ = probe_due.tick() => Event::ProbeDue,
            };
            let now = clock.now().moment;
            match event {
                Event::Stop => break,
                Event::Connected(Ok(stream)) => {
                    tasks.spawn(http::converse(stream, asks.clone()));
                }
                // The other side has gone already; the next accept will do.
                Event::Connected(Err(_)) => {}
                Event::Asked(ask) => {
                    let answer = Answer::of(&mut node, &ask, now);
                    ask.reply(answer);
                }
                Event::ProbeDue => probe.read(&mut node, now),
            }
        }
        tasks.shutdown().await;
    }
}

#[cfg(test)]
mod tests;
