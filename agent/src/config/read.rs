//! The agent's TOML file made into a [`Config`], with all its mistakes at once.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use gpuwarden_proto::convert::{LABEL_MAX_BYTES, LABELS_MAX};
use gpuwarden_proto::settings::{ByteSize, Document, Problem, Section};
use gpuwarden_proto::vocab::{NodeId, ServerName};

use super::{Config, KmsgConfig, NvmlConfig, OutboxConfig, Profile, TritonConfig, UplinkConfig};
use crate::rule::Thresholds;

/// Servers that one agent may watch.
const SERVERS_MAX: usize = 32;

impl Config {
    /// Reads `text`, which came from `file`. A file that says nothing is a node that is named by
    /// `hostname` and has a Triton at its usual ports.
    ///
    /// # Errors
    ///
    /// All mistakes, in the order of the file.
    pub fn parse(file: &str, text: &str, hostname: &NodeId) -> Result<Self, Vec<Problem>> {
        let mut document = Document::parse(file, text);
        let config = read(&mut document.root(), hostname);
        document.finish().map(|()| config)
    }
}

fn read(root: &mut Section<'_>, hostname: &NodeId) -> Config {
    let profile = root.parsed("profile", profile).unwrap_or(Profile::Default);
    let node = root
        .section("node")
        .parsed("id", |text| NodeId::new(text).map_err(|error| error.to_string()));
    let state_dir = root.section("state").parsed("dir", |text| Ok(PathBuf::from(text)));
    let mut config = Config::local(
        node.unwrap_or_else(|| hostname.clone()),
        state_dir.unwrap_or_else(|| PathBuf::from("/var/lib/gpuwarden")),
    );
    if let Some(listen) = root.section("status").parsed("listen", address) {
        config.status_listen = listen;
    }
    config.nvml = nvml(&mut root.section("nvml"), profile);
    config.kmsg = kmsg(&mut root.section("kmsg"), &config.kmsg);
    config.uplink = uplink(&mut root.section("aggregator"), &config.uplink);
    config.outbox = outbox(&mut root.section("outbox"), &config.outbox);
    config.thresholds = thresholds(&mut root.section("rules"), profile);
    config.triton = servers(root, profile);
    config.labels = labels(root);
    config
}

/// Labels have keys of the reader's own choice.
fn labels(root: &mut Section<'_>) -> BTreeMap<String, String> {
    let mut section = root.section("labels");
    let keys = section.keys();
    if keys.len() > LABELS_MAX {
        root.problem("labels", &format!("at most {LABELS_MAX} labels can be given"));
    }
    let value = |text: &str| match text.len() {
        1..=LABEL_MAX_BYTES => Ok(text.to_owned()),
        _ => Err(format!("should have 1 to {LABEL_MAX_BYTES} bytes")),
    };
    let read = |key: String| section.parsed(&key, value).map(|text| (key, text));
    keys.into_iter().filter_map(read).collect()
}

fn profile(text: &str) -> Result<Profile, String> {
    match text {
        "default" => Ok(Profile::Default),
        "fast" => Ok(Profile::Fast),
        _ => Err("not a profile (try \"default\" or \"fast\")".to_owned()),
    }
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "not an address with a port (try \"127.0.0.1:7081\")".to_owned())
}

/// An address of an HTTP service without encryption: Triton's own ports have none.
fn http_url(text: &str) -> Result<String, String> {
    let rest = text.strip_prefix("http://");
    let host = rest.and_then(|rest| rest.split('/').next()).unwrap_or_default();
    if host.is_empty() || text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err("not an http:// address (try \"http://127.0.0.1:8000\")".to_owned());
    }
    Ok(text.trim_end_matches('/').to_owned())
}

fn servers(root: &mut Section<'_>, profile: Profile) -> Vec<TritonConfig> {
    let sections = root.sections("triton");
    if sections.is_empty() {
        return vec![TritonConfig::usual(profile)];
    }
    if sections.len() > SERVERS_MAX {
        root.problem("triton", &format!("at most {SERVERS_MAX} servers can be watched"));
    }
    let mut servers: Vec<TritonConfig> = Vec::new();
    for mut section in sections {
        let server = server(&mut section, profile);
        if servers.iter().any(|known| known.name == server.name) {
            section.problem("name", &format!("\"{}\" is given to two servers", server.name));
        }
        servers.push(server);
    }
    servers
}

fn server(section: &mut Section<'_>, profile: Profile) -> TritonConfig {
    let usual = TritonConfig::usual(profile);
    let name = |text: &str| ServerName::new(text).map_err(|error| error.to_string());
    let (least, most) = (Duration::from_millis(100), Duration::from_secs(5));
    TritonConfig {
        name: section.parsed("name", name).unwrap_or(usual.name),
        http: section.parsed("http", http_url).unwrap_or(usual.http),
        metrics: section.parsed("metrics", http_url).unwrap_or(usual.metrics),
        interval: section.duration("interval", usual.interval, least..=most),
        index_interval: section.duration("index_interval", usual.index_interval, least..=most * 12),
        timeout: section.duration("timeout", usual.timeout, least..=most * 2),
    }
}

fn nvml(section: &mut Section<'_>, profile: Profile) -> NvmlConfig {
    let usual = NvmlConfig::usual(profile);
    let (least, most) = (Duration::from_millis(100), Duration::from_secs(5));
    NvmlConfig {
        enabled: section.flag("enabled", usual.enabled),
        library: section.parsed("library", |text| Ok(PathBuf::from(text))),
        interval: section.duration("interval", usual.interval, least..=most),
        silence: section.duration("silence", usual.silence, least * 5..=most * 12),
    }
}

fn kmsg(section: &mut Section<'_>, usual: &KmsgConfig) -> KmsgConfig {
    KmsgConfig {
        enabled: section.flag("enabled", usual.enabled),
        path: section
            .parsed("path", |text| Ok(PathBuf::from(text)))
            .unwrap_or_else(|| usual.path.clone()),
    }
}

fn uplink(section: &mut Section<'_>, usual: &UplinkConfig) -> UplinkConfig {
    let (least, most) = (Duration::from_millis(100), Duration::from_secs(60));
    UplinkConfig {
        endpoint: section.parsed("endpoint", http_url),
        connect_timeout: section.duration("connect_timeout", usual.connect_timeout, least..=most),
    }
}

fn outbox(section: &mut Section<'_>, usual: &OutboxConfig) -> OutboxConfig {
    let size = |text: &str| match ByteSize::parse(text)?.0 {
        bytes if bytes >= 1 << 20 => Ok(bytes),
        _ => Err("too small (at least \"1MiB\")".to_owned()),
    };
    let (least, most) = (Duration::from_secs(60), Duration::from_secs(90 * 86_400));
    OutboxConfig {
        max_rows: section.number("max_rows", usual.max_rows, 100..=10_000_000),
        max_bytes: section.parsed("max_bytes", size).unwrap_or(usual.max_bytes),
        max_age: section.duration("max_age", usual.max_age, least..=most),
    }
}

fn thresholds(section: &mut Section<'_>, profile: Profile) -> Thresholds {
    let usual = Thresholds::of(profile);
    let (ms, hour) = (Duration::from_millis(1), Duration::from_secs(3_600));
    let mut duration = |key: &str, default: Duration| section.duration(key, default, ms..=hour);
    let mut thresholds = Thresholds {
        queue_wait_limit: duration("queue_wait_limit", usual.queue_wait_limit),
        queue_wait_sustained: duration("queue_wait_sustained", usual.queue_wait_sustained),
        queue_wait_sustained_for: duration(
            "queue_wait_sustained_for",
            usual.queue_wait_sustained_for,
        ),
        stall_after: duration("stall_after", usual.stall_after),
        unload_grace: duration("unload_grace", usual.unload_grace),
        load_limit: duration("load_limit", usual.load_limit),
        exhaustion_horizon: duration("exhaustion_horizon", usual.exhaustion_horizon),
        blind_after: duration("blind_after", usual.blind_after),
        ..usual
    };
    let percent = |text: &str| {
        let number = text.strip_suffix('%').and_then(|text| text.trim().parse::<f64>().ok());
        let fault = || "not a share (try \"1%\", allowed 0.01% to 50%)".to_owned();
        number.filter(|n| (0.01..=50.0).contains(n)).map(|n| n / 100.0).ok_or_else(fault)
    };
    if let Some(share) = section.parsed("error_objective", percent) {
        thresholds.error_objective = share;
    }
    if let Some(share) = section.parsed("error_share_min", percent) {
        thresholds.error_share_min = share;
    }
    thresholds.latency_limit =
        section.parsed("latency_limit", gpuwarden_proto::settings::parse_duration);
    thresholds
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, String> {
        let hostname = NodeId::new("this-host").unwrap();
        Config::parse("agent.toml", text, &hostname).map_err(|problems| {
            problems.iter().map(|problem| format!("{problem}\n")).collect::<String>()
        })
    }

    #[test]
    fn an_empty_file_watches_this_machine() {
        let config = parse("").unwrap();
        assert_eq!(config.node.as_str(), "this-host");
        assert_eq!(config.triton[0].metrics, "http://127.0.0.1:8002/metrics");
        assert_eq!(config.triton[0].interval, Duration::from_millis(500));
    }

    #[test]
    fn the_fast_profile_reads_ten_times_a_second() {
        let config = parse("profile = \"fast\"").unwrap();
        assert_eq!(config.triton[0].interval, Duration::from_millis(100));
        assert_eq!(config.nvml.interval, Duration::from_millis(100));
    }

    #[test]
    fn labels_have_any_key_and_are_bounded() {
        let config = parse("[labels]\nrack = \"r7\"\n\"team.owner\" = \"search\"").unwrap();
        let labels: Vec<(&str, &str)> =
            config.labels.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        assert_eq!(labels, [("rack", "r7"), ("team.owner", "search")]);
        let many: String = (0..=LABELS_MAX).map(|nth| format!("l{nth} = \"x\"\n")).collect();
        let told = parse(&format!("[labels]\nrack = \"\"\nzone = 7\n{many}")).unwrap_err();
        for part in ["labels: at most 32", "labels.rack = \"\": should have", "labels.zone = 7: "] {
            assert!(told.contains(part), "{told}");
        }
    }

    #[test]
    fn the_sample_says_what_is_the_default_anyway() {
        let sample = include_str!("../../../packaging/agent.toml");
        let mut sample = parse(sample).unwrap();
        sample.node = NodeId::new("this-host").unwrap();
        sample.uplink.endpoint = None;
        assert_eq!(sample, parse("").unwrap());
    }

    #[test]
    fn all_mistakes_are_told_at_once() {
        let text = r#"
profile = "swift"
[[triton]]
interval = "never"
metrics = "https://127.0.0.1:8002/metrics"
[[triton]]
http = "127.0.0.1:8000"
[node]
id = ""
[outbox]
max_bytes = "1KiB"
rows = 5
"#;
        expect_test::expect![[r#"
            agent.toml:2: profile = "swift": not a profile (try "default" or "fast")
            agent.toml:4: triton[0].interval = "never": not a duration (try "500ms", allowed 100ms to 5s)
            agent.toml:5: triton[0].metrics = "https://127.0.0.1:8002/metrics": not an http:// address (try "http://127.0.0.1:8000")
            agent.toml:6: triton[1].name: "default" is given to two servers
            agent.toml:7: triton[1].http = "127.0.0.1:8000": not an http:// address (try "http://127.0.0.1:8000")
            agent.toml:9: node.id = "": NodeId is empty
            agent.toml:11: outbox.max_bytes = "1KiB": too small (at least "1MiB")
            agent.toml:12: outbox.rows: is not a key of this section
        "#]]
        .assert_eq(&parse(text).unwrap_err());
    }
}
