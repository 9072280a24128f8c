//! What can be set, and its defaults.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use gpuwarden_proto::settings::{ByteSize, Document, Problem, Section};
use gpuwarden_proto::vocab::ModelName;

use crate::correlate::{Policy, cause::Windows};

/// All settings. What a file does not name has its default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Where agents and the command line connect.
    pub grpc_listen: SocketAddr,
    /// Where health and metrics are read.
    pub http_listen: SocketAddr,
    /// Where the store is.
    pub data_dir: PathBuf,
    /// How often a node is to give a sign of life.
    pub heartbeat_interval: Duration,
    /// A node that was silent for so long is lost.
    pub node_lost_after: Duration,
    /// So long after the start no node is called lost.
    pub start_grace: Duration,
    /// Nodes spread their reconnecting over so long.
    pub reconnect_spread: Duration,
    /// So long no member may be active before an incident resolves.
    pub quiet_period: Duration,
    /// How far a cause may be before its effect.
    pub cause_window: Duration,
    /// How far a cause may be seen after its effect.
    pub late_cause_window: Duration,
    /// Models whose complete outage is always P1.
    pub critical_services: BTreeSet<ModelName>,
    /// Events that tell of an older time are refused.
    pub event_max_age: Duration,
    /// Events that tell of a later time are refused.
    pub event_max_ahead: Duration,
    /// How long events are kept.
    pub keep_events: Duration,
    /// How long resolved incidents are kept.
    pub keep_incidents: Duration,
    /// How much of everything.
    pub limits: Limits,
}

/// How much of everything there may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Nodes.
    pub nodes: usize,
    /// Events taken up and not yet on disk.
    pub pending_events: usize,
    /// Their bytes.
    pub pending_bytes: usize,
    /// Bytes of the store; the oldest events go first.
    pub store_bytes: u64,
    /// Batches that a node may have in flight.
    pub batches_in_flight: u32,
    /// Events of a batch.
    pub batch_events: usize,
    /// Bytes of a batch.
    pub batch_bytes: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            grpc_listen: SocketAddr::from(([127, 0, 0, 1], 7443)),
            http_listen: SocketAddr::from(([127, 0, 0, 1], 7080)),
            data_dir: PathBuf::from("/var/lib/gpuwarden"),
            heartbeat_interval: Duration::from_secs(2),
            node_lost_after: Duration::from_secs(10),
            start_grace: Duration::from_secs(15),
            reconnect_spread: Duration::from_secs(5),
            quiet_period: Duration::from_secs(60),
            cause_window: Duration::from_secs(60),
            late_cause_window: Duration::from_secs(30),
            critical_services: BTreeSet::new(),
            event_max_age: DAY * 7,
            event_max_ahead: Duration::from_secs(300),
            keep_events: DAY * 7,
            keep_incidents: DAY * 400,
            limits: Limits::default(),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            nodes: 20_000,
            pending_events: 65_536,
            pending_bytes: 64 * MIB,
            store_bytes: 20 * 1024 * MIB as u64,
            batches_in_flight: 4,
            batch_events: 512,
            batch_bytes: 512 * 1024,
        }
    }
}

const DAY: Duration = Duration::from_secs(86_400);
const MIB: usize = 1024 * 1024;

impl Config {
    /// Reads the text of a file.
    ///
    /// # Errors
    ///
    /// All mistakes of the file, by line.
    pub fn parse(file: &str, text: &str) -> Result<Self, Vec<Problem>> {
        let mut document = Document::parse(file, text);
        let config = Self::read(&mut document.root());
        document.finish()?;
        Ok(config)
    }

    fn read(root: &mut Section<'_>) -> Self {
        let d = Self::default();
        let s = Duration::from_secs;
        let short = Duration::from_millis(100)..=s(600);
        let long = s(3600)..=DAY * 3650;
        let address = |root: &mut Section<'_>, key, default| {
            let parse = |text: &str| {
                text.parse().map_err(|_| "should be an address and port like 127.0.0.1:7443".into())
            };
            root.parsed(key, parse).unwrap_or(default)
        };
        let config = Self {
            grpc_listen: address(root, "grpc_listen", d.grpc_listen),
            http_listen: address(root, "http_listen", d.http_listen),
            data_dir: root.parsed("data_dir", folder).unwrap_or(d.data_dir),
            heartbeat_interval: root.duration(
                "heartbeat_interval",
                d.heartbeat_interval,
                short.clone(),
            ),
            node_lost_after: root.duration("node_lost_after", d.node_lost_after, s(1)..=s(3600)),
            start_grace: root.duration("start_grace", d.start_grace, Duration::ZERO..=s(3600)),
            reconnect_spread: root.duration("reconnect_spread", d.reconnect_spread, short.clone()),
            quiet_period: root.duration("quiet_period", d.quiet_period, s(1)..=DAY),
            cause_window: root.duration("cause_window", d.cause_window, s(1)..=s(3600)),
            late_cause_window: root.duration(
                "late_cause_window",
                d.late_cause_window,
                s(1)..=s(3600),
            ),
            critical_services: root.list("critical_services", model).into_iter().collect(),
            event_max_age: root.duration("event_max_age", d.event_max_age, long.clone()),
            event_max_ahead: root.duration("event_max_ahead", d.event_max_ahead, s(1)..=DAY),
            keep_events: root.duration("keep_events", d.keep_events, long.clone()),
            keep_incidents: root.duration("keep_incidents", d.keep_incidents, long),
            limits: Limits::read(&mut root.section("limits")),
        };
        if config.node_lost_after < config.heartbeat_interval * 2 {
            let fault = "should be at least two heartbeat_intervals, or every node is lost";
            root.problem("node_lost_after", fault);
        }
        config
    }

    /// What correlation goes by.
    #[must_use]
    pub fn policy(&self) -> Policy {
        Policy {
            quiet_period: self.quiet_period,
            windows: Windows { after: self.cause_window, before: self.late_cause_window },
            critical: self.critical_services.clone(),
            ..Policy::default()
        }
    }
}

impl Limits {
    fn read(section: &mut Section<'_>) -> Self {
        let d = Self::default();
        let size = |section: &mut Section<'_>, key, default: u64| {
            section.parsed(key, ByteSize::parse).map_or(default, |size| size.0)
        };
        let nodes = section.number("nodes", d.nodes as u64, 1..=1_000_000);
        let events = section.number("pending_events", d.pending_events as u64, 1000..=10_000_000);
        let bytes = size(section, "pending_bytes", d.pending_bytes as u64);
        Self {
            nodes: usize::try_from(nodes).unwrap_or(d.nodes),
            pending_events: usize::try_from(events).unwrap_or(d.pending_events),
            pending_bytes: usize::try_from(bytes).unwrap_or(d.pending_bytes).max(MIB),
            store_bytes: size(section, "store_bytes", d.store_bytes),
            ..d
        }
    }
}

fn folder(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() { Err("should be a folder".to_owned()) } else { Ok(text.into()) }
}

fn model(text: &str) -> Result<ModelName, String> {
    ModelName::new(text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_gives_the_defaults() {
        assert_eq!(Config::parse("aggregator.toml", ""), Ok(Config::default()));
    }

    #[test]
    fn all_mistakes_are_told_at_once() {
        let text = "grpc_listen = \"nowhere\"\nquiet_period = \"0s\"\nspoon = 1\n\
            [limits]\nnodes = 0\n";
        let problems = Config::parse("aggregator.toml", text).unwrap_err();
        let told: Vec<String> = problems.iter().map(|p| format!("{}:{}", p.line, p.key)).collect();
        assert_eq!(
            told,
            [
                "1:grpc_listen = \"nowhere\"",
                "2:quiet_period = \"0s\"",
                "3:spoon",
                "5:limits.nodes = 0"
            ]
        );
    }
}
