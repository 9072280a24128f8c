//! What can be set, and its defaults.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use gpuwarden_proto::settings::{ByteSize, Document, Problem, Section};
use gpuwarden_proto::vocab::ModelName;

use crate::correlate::{Policy, cause::Windows};
use crate::graph::Topology;
use crate::http::guard::Secret;
use crate::kubernetes::{self, IN_CLUSTER, NAMESPACES_MAX};
use crate::response;
use crate::suppress::{Inhibition, inhibit};

/// All settings. What a file does not name has its default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Where agents and the command line connect.
    pub grpc_listen: SocketAddr,
    /// Where health and metrics are read, and other systems tell what they know.
    pub http_listen: SocketAddr,
    /// The file with the token that those must give who tell of something over HTTP; `None` lets
    /// everybody.
    pub http_token_file: Option<PathBuf>,
    /// What it holds.
    pub http_token: Option<Secret>,
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
    /// So long after an incident was over the same again is the same incident.
    pub reopen_within: Duration,
    /// How far a cause may be before its effect.
    pub cause_window: Duration,
    /// How far a cause may be seen after its effect.
    pub late_cause_window: Duration,
    /// The file that says what stands where and serves what; `None` leaves that to labels.
    pub topology_file: Option<PathBuf>,
    /// What it says.
    pub topology: Topology,
    /// The longest that a silence or maintenance may last.
    pub silence_longest: Duration,
    /// What makes something else not worth showing.
    pub inhibitions: Vec<Inhibition>,
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
    /// The file of a candidate config that runs beside this one; `None` for none.
    pub shadow_file: Option<PathBuf>,
    /// The share of the time that the candidate may take, in percent.
    pub shadow_percent: u32,
    /// What the candidate's file says.
    pub shadow: Option<Candidate>,
    /// Whose rollouts are watched; `None` watches none.
    pub kubernetes: Option<kubernetes::Settings>,
    /// Who is told and asked, when and how.
    pub people: Arc<response::config::Settings>,
    /// How much of everything.
    pub limits: Limits,
}

/// Settings that are tried beside the live ones: of them only correlation's and the rules of
/// inhibition are used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// What correlation goes by.
    pub policy: Policy,
    /// Which incident holds back which.
    pub inhibitions: Vec<Inhibition>,
    /// The share of the time that it may take, in percent.
    pub percent: u32,
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
            http_token_file: None,
            http_token: None,
            data_dir: PathBuf::from("/var/lib/gpuwarden"),
            heartbeat_interval: Duration::from_secs(2),
            node_lost_after: Duration::from_secs(10),
            start_grace: Duration::from_secs(15),
            reconnect_spread: Duration::from_secs(5),
            quiet_period: Duration::from_secs(60),
            reopen_within: Duration::from_secs(600),
            cause_window: Duration::from_secs(60),
            late_cause_window: Duration::from_secs(30),
            topology_file: None,
            topology: Topology::default(),
            silence_longest: DAY * 30,
            inhibitions: Vec::new(),
            critical_services: BTreeSet::new(),
            event_max_age: DAY * 7,
            event_max_ahead: Duration::from_secs(300),
            keep_events: DAY * 7,
            keep_incidents: DAY * 400,
            shadow_file: None,
            shadow_percent: 20,
            shadow: None,
            kubernetes: None,
            people: Arc::default(),
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
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// All mistakes of the file, by line; or that it cannot be read.
    pub fn load(path: &Path) -> Result<Self, Vec<Problem>> {
        let file = path.display().to_string();
        let mut config = Self::parse(&file, &text_of(path, "--config")?)?;
        if let Some(file) = config.topology_file.clone() {
            config.load_topology(&file)?;
        }
        config.load_token()?;
        if let Some(file) = config.shadow_file.clone() {
            config.load_shadow(&file)?;
        }
        Ok(config)
    }

    /// Reads a candidate's settings in place of those that are named in the settings.
    ///
    /// # Errors
    ///
    /// All mistakes of the file, by line; or that it cannot be read.
    pub fn load_shadow(&mut self, path: &Path) -> Result<(), Vec<Problem>> {
        let file = path.display().to_string();
        let mut config = Self::parse(&file, &text_of(path, "--shadow or shadow.config")?)?;
        match config.topology_file.clone() {
            Some(file) => config.load_topology(&file)?,
            None => config.topology = self.topology.clone(),
        }
        let (policy, inhibitions) = (config.policy(), config.inhibitions);
        self.shadow = Some(Candidate { policy, inhibitions, percent: self.shadow_percent });
        Ok(())
    }

    /// Reads a topology file in place of the one that is named in the settings.
    ///
    /// # Errors
    ///
    /// All mistakes of the file, by line; or that it cannot be read.
    pub fn load_topology(&mut self, path: &Path) -> Result<(), Vec<Problem>> {
        let file = path.display().to_string();
        self.topology = Topology::parse(&file, &text_of(path, "--topology or topology.file")?)?;
        Ok(())
    }

    fn load_token(&mut self) -> Result<(), Vec<Problem>> {
        let Some(path) = &self.http_token_file else { return Ok(()) };
        let secret = Secret::of_file(&text_of(path, "http.token_file")?);
        let problem = |fault| {
            let file = path.display().to_string();
            vec![Problem { file, line: 1, key: String::new(), fault }]
        };
        self.http_token = Some(secret.map_err(problem)?);
        Ok(())
    }

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
        let mut config = Self::default();
        config.grpc_listen = address(&mut root.section("grpc"), config.grpc_listen);
        config.read_http(&mut root.section("http"));
        config.read_store(&mut root.section("store"));
        config.read_nodes(&mut root.section("nodes"));
        config.read_incidents(&mut root.section("incidents"));
        config.limits.read(&mut root.section("limits"));
        let mut shadow = root.section("shadow");
        config.shadow_file = shadow.parsed("config", folder);
        let percent = shadow.number("percent", u64::from(config.shadow_percent), 1..=100);
        config.shadow_percent = u32::try_from(percent).unwrap_or(config.shadow_percent);
        config.kubernetes = cluster(&mut root.section("kubernetes"));
        config.topology_file = root.section("topology").parsed("file", folder);
        let (longest, allowed) = (config.silence_longest, Duration::from_secs(60)..=DAY * 366);
        config.silence_longest = root.section("silences").duration("longest", longest, allowed);
        config.inhibitions = inhibit::read(root);
        config.people = Arc::new(response::config::Settings::read(root));
        config
    }

    fn read_http(&mut self, section: &mut Section<'_>) {
        self.http_listen = address(section, self.http_listen);
        self.http_token_file = section.parsed("token_file", folder);
    }

    fn read_store(&mut self, section: &mut Section<'_>) {
        if let Some(dir) = section.parsed("dir", folder) {
            self.data_dir = dir;
        }
        let long = Duration::from_secs(3600)..=DAY * 3650;
        self.keep_events = section.duration("keep_events", self.keep_events, long.clone());
        self.keep_incidents = section.duration("keep_incidents", self.keep_incidents, long);
        if let Some(size) = section.parsed("max_size", ByteSize::parse) {
            self.limits.store_bytes = size.0;
        }
    }

    fn read_nodes(&mut self, section: &mut Section<'_>) {
        let s = Duration::from_secs;
        let short = Duration::from_millis(100)..=s(600);
        let mut read = |key, value: &mut Duration, allowed| {
            *value = section.duration(key, *value, allowed);
        };
        read("heartbeat_interval", &mut self.heartbeat_interval, short.clone());
        read("reconnect_spread", &mut self.reconnect_spread, short);
        read("lost_after", &mut self.node_lost_after, s(1)..=s(3600));
        read("start_grace", &mut self.start_grace, Duration::ZERO..=s(3600));
        read("event_max_age", &mut self.event_max_age, s(3600)..=DAY * 3650);
        read("event_max_ahead", &mut self.event_max_ahead, s(1)..=DAY);
        if self.node_lost_after < self.heartbeat_interval * 2 {
            let fault = "should be at least two heartbeat_intervals, or every node is lost";
            section.problem("lost_after", fault);
        }
    }

    fn read_incidents(&mut self, section: &mut Section<'_>) {
        let s = Duration::from_secs;
        let mut read = |key, value: &mut Duration, allowed| {
            *value = section.duration(key, *value, allowed);
        };
        read("quiet_period", &mut self.quiet_period, s(1)..=DAY);
        read("reopen_within", &mut self.reopen_within, Duration::ZERO..=DAY);
        read("cause_window", &mut self.cause_window, s(1)..=s(3600));
        read("late_cause_window", &mut self.late_cause_window, s(1)..=s(3600));
        self.critical_services = section.list("critical_services", model).into_iter().collect();
    }

    /// What correlation goes by.
    #[must_use]
    pub fn policy(&self) -> Policy {
        Policy {
            quiet_period: self.quiet_period,
            reopen_within: self.reopen_within,
            windows: Windows { after: self.cause_window, before: self.late_cause_window },
            critical: self.critical_services.clone(),
            topology: self.topology.clone(),
            ..Policy::default()
        }
    }
}

impl Limits {
    fn read(&mut self, section: &mut Section<'_>) {
        let mut read = |key, value: &mut usize, allowed| {
            let number = section.number(key, *value as u64, allowed);
            *value = usize::try_from(number).unwrap_or(*value);
        };
        read("nodes", &mut self.nodes, 1..=1_000_000);
        read("pending_events", &mut self.pending_events, 1000..=10_000_000);
        if let Some(size) = section.parsed("pending_size", ByteSize::parse) {
            self.pending_bytes = usize::try_from(size.0).unwrap_or(usize::MAX).max(MIB);
        }
    }
}

/// Whose rollouts are watched, where an API server is named.
fn cluster(section: &mut Section<'_>) -> Option<kubernetes::Settings> {
    let api = |text: &str| {
        let known =
            text == IN_CLUSTER || text.starts_with("https://") || text.starts_with("http://");
        let fault =
            || format!("should be \"{IN_CLUSTER}\" or an address like https://10.0.0.1:6443");
        known.then(|| text.to_owned()).ok_or_else(fault)
    };
    let api = section.parsed("api", api);
    let (token_file, ca_file) =
        (section.parsed("token_file", folder), section.parsed("ca_file", folder));
    let namespaces = section.list("namespaces", namespace);
    if namespaces.len() > NAMESPACES_MAX {
        section.problem(
            "namespaces",
            &format!("at most {NAMESPACES_MAX} can be named; or none, for all"),
        );
    }
    let word = |text: &str| match text.len() {
        1..=317 => Ok(text.to_owned()),
        _ => Err("should be the name of a label".to_owned()),
    };
    let label = section.parsed("label", word).unwrap_or_else(|| "gpuwarden.io/service".to_owned());
    Some(kubernetes::Settings { api: api?, token_file, ca_file, namespaces, label })
}

fn namespace(text: &str) -> Result<String, String> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    match text.len() {
        1..=63 if text.bytes().all(plain) => Ok(text.to_owned()),
        _ => Err("should be the name of a namespace".to_owned()),
    }
}

/// The text of a file; `option` is what names another.
fn text_of(path: &Path, option: &str) -> Result<String, Vec<Problem>> {
    std::fs::read_to_string(path).map_err(|error| {
        let fault = format!("cannot be read: {error} (give another with {option})");
        vec![Problem { file: path.display().to_string(), line: 1, key: String::new(), fault }]
    })
}

fn address(section: &mut Section<'_>, default: SocketAddr) -> SocketAddr {
    let parse = |text: &str| {
        text.parse().map_err(|_| "should be an address and port like 127.0.0.1:7443".to_owned())
    };
    section.parsed("listen", parse).unwrap_or(default)
}

fn folder(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() { Err("should be a path".to_owned()) } else { Ok(text.into()) }
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
    fn the_sample_says_what_is_the_default_anyway() {
        let sample = include_str!("../../packaging/aggregator.toml");
        assert_eq!(Config::parse("aggregator.toml", sample), Ok(Config::default()));
    }

    #[test]
    fn all_mistakes_are_told_at_once() {
        let text = "[grpc]\nlisten = \"nowhere\"\n[incidents]\nquiet_period = \"0s\"\n\
            spoon = 1\n[limits]\nnodes = 0\n[nodes]\nlost_after = \"3s\"\n";
        let problems = Config::parse("aggregator.toml", text).unwrap_err();
        let told: Vec<String> = problems.iter().map(|p| format!("{}:{}", p.line, p.key)).collect();
        assert_eq!(
            told,
            [
                "2:grpc.listen = \"nowhere\"",
                "4:incidents.quiet_period = \"0s\"",
                "5:incidents.spoon",
                "7:limits.nodes = 0",
                "8:nodes.lost_after",
            ]
        );
    }

    #[test]
    fn rollouts_are_watched_where_an_api_server_is_named() {
        let read = |text: &str| Config::parse("a.toml", text).map(|config| config.kubernetes);
        let given = "[kubernetes]\napi = \"in-cluster\"\nnamespaces = [\"prod\"]";
        let settings = read(given).unwrap().unwrap();
        assert_eq!(
            (settings.label.as_str(), settings.namespaces.len()),
            ("gpuwarden.io/service", 1)
        );
        assert_eq!(read("[kubernetes]\nlabel = \"a\"").unwrap(), None);
        assert!(read("[kubernetes]\napi = \"nowhere\"").is_err());
        assert!(read("[kubernetes]\napi = \"in-cluster\"\nnamespaces = [\"a/b\"]").is_err());
    }

    #[test]
    fn the_topology_file_is_read_with_the_settings_and_its_mistakes_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let (settings, topology) = (folder.path().join("a.toml"), folder.path().join("t.toml"));
        std::fs::write(&settings, format!("[topology]\nfile = \"{}\"", topology.display()))
            .unwrap();
        let problems = Config::load(&settings).unwrap_err();
        assert!(problems[0].to_string().ends_with("topology.file)"), "{problems:?}");
        std::fs::write(&topology, "[[rack]]\nname = \"r1\"\nnodes = [\"n1\"]").unwrap();
        assert_eq!(Config::load(&settings).unwrap().topology.nodes.len(), 1);
        std::fs::write(&topology, "[[rack]]\nname = \n").unwrap();
        assert_eq!(Config::load(&settings).unwrap_err()[0].line, 2);
    }

    #[test]
    fn a_token_that_is_none_is_told_and_one_that_is_one_is_never_shown() {
        let folder = tempfile::tempdir().unwrap();
        let (settings, token) = (folder.path().join("a.toml"), folder.path().join("token"));
        let text = format!("[http]\ntoken_file = \"{}\"", token.display());
        std::fs::write(&settings, text).unwrap();
        let told = Config::load(&settings).unwrap_err()[0].to_string();
        assert!(told.ends_with("(give another with http.token_file)"), "{told}");
        std::fs::write(&token, "short\n").unwrap();
        let told = Config::load(&settings).unwrap_err()[0].to_string();
        assert!(told.contains("should hold one word of 8 bytes at least"), "{told}");
        std::fs::write(&token, "long-enough\n").unwrap();
        let config = Config::load(&settings).unwrap();
        assert!(config.http_token.is_some() && !format!("{config:?}").contains("long-enough"));
    }

    #[test]
    fn a_file_that_is_not_there_is_told_with_what_to_do() {
        let problems = Config::load(Path::new("nowhere.toml")).unwrap_err();
        assert!(problems[0].to_string().ends_with("(give another with --config)"), "{problems:?}");
    }
}
