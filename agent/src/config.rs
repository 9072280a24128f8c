//! What the agent is told: one validated value, made by one function that reports every mistake.

mod read;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use gpuwarden_proto::vocab::{NodeId, ServerName};

use crate::rule::Thresholds;

/// How often things are read and how sure a rule must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// Half a second, almost no cost.
    Default,
    /// A tenth of a second, for those who pay for it.
    Fast,
}

impl Profile {
    /// How often what changes fast is read.
    pub const fn interval(self) -> Duration {
        match self {
            Self::Default => Duration::from_millis(500),
            Self::Fast => Duration::from_millis(100),
        }
    }
}

/// A Triton server to watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TritonConfig {
    /// Its name in findings.
    pub name: ServerName,
    /// Base of its HTTP API, e.g. `http://127.0.0.1:8000`.
    pub http: String,
    /// Its metrics page, e.g. `http://127.0.0.1:8002/metrics`.
    pub metrics: String,
    /// How often the page is read: 100 ms to 5 s.
    pub interval: Duration,
    /// How often the repository index is read.
    pub index_interval: Duration,
    /// How long one answer may take.
    pub timeout: Duration,
}

impl TritonConfig {
    /// A Triton on this machine at its usual ports.
    pub fn usual(profile: Profile) -> Self {
        Self {
            name: ServerName::new("default").expect("\"default\" is a name"),
            http: "http://127.0.0.1:8000".to_owned(),
            metrics: "http://127.0.0.1:8002/metrics".to_owned(),
            interval: profile.interval(),
            index_interval: profile.interval() * 2,
            timeout: Duration::from_secs(1),
        }
    }
}

/// The GPU driver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NvmlConfig {
    /// Whether to look for a driver at all.
    pub enabled: bool,
    /// Path of the library; `None` lets the loader find `libnvidia-ml.so.1`.
    pub library: Option<PathBuf>,
    /// How often memory and utilisation are read.
    pub interval: Duration,
    /// Silence after which the probe is called blind.
    pub silence: Duration,
}

impl NvmlConfig {
    /// The driver where the loader finds it.
    pub const fn usual(profile: Profile) -> Self {
        Self {
            enabled: true,
            library: None,
            interval: profile.interval(),
            silence: Duration::from_millis(1_500),
        }
    }
}

/// The kernel log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KmsgConfig {
    /// Whether to read it.
    pub enabled: bool,
    /// Usually `/dev/kmsg`.
    pub path: PathBuf,
}

/// Where the aggregator is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UplinkConfig {
    /// E.g. `http://127.0.0.1:7443`; `None` keeps everything on the node.
    pub endpoint: Option<String>,
    /// How long a connection attempt may take.
    pub connect_timeout: Duration,
}

/// What the outbox may hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxConfig {
    /// Rows at most.
    pub max_rows: u64,
    /// Bytes of events at most.
    pub max_bytes: u64,
    /// Older events are given up.
    pub max_age: Duration,
}

/// Everything the agent is told.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Who this node is.
    pub node: NodeId,
    /// Where the node stands and what it is for, e.g. its rack; told to the aggregator.
    pub labels: BTreeMap<String, String>,
    /// Folder for the outbox.
    pub state_dir: PathBuf,
    /// Where metrics, health and `status` are served.
    pub status_listen: SocketAddr,
    /// Servers, in the order of the file.
    pub triton: Vec<TritonConfig>,
    /// The GPU driver.
    pub nvml: NvmlConfig,
    /// The kernel log.
    pub kmsg: KmsgConfig,
    /// The aggregator.
    pub uplink: UplinkConfig,
    /// The outbox.
    pub outbox: OutboxConfig,
    /// What values are held against.
    pub thresholds: Thresholds,
}

impl Config {
    /// What an agent does that is told nothing but its name: a Triton on this machine at its usual
    /// ports, the driver where the loader finds it.
    pub fn local(node: NodeId, state_dir: PathBuf) -> Self {
        Self {
            node,
            labels: BTreeMap::new(),
            state_dir,
            status_listen: SocketAddr::from(([127, 0, 0, 1], 7081)),
            triton: vec![TritonConfig::usual(Profile::Default)],
            nvml: NvmlConfig::usual(Profile::Default),
            kmsg: KmsgConfig { enabled: true, path: PathBuf::from("/dev/kmsg") },
            uplink: UplinkConfig { endpoint: None, connect_timeout: Duration::from_secs(5) },
            outbox: OutboxConfig {
                max_rows: 250_000,
                max_bytes: 128 * 1024 * 1024,
                max_age: Duration::from_secs(7 * 86_400),
            },
            thresholds: Thresholds::default(),
        }
    }
}
