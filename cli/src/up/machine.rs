//! The agent of this machine, and in plain words what it will find.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use gpuwarden_agent::Driver;
use gpuwarden_agent::config::{Config, Profile, TritonConfig};
use gpuwarden_proto::vocab::NodeId;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use super::Tasks;
use super::data::Data;

/// Where Triton serves its metrics unless it is told otherwise.
const TRITON_METRICS: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8002);
const LOOK_TIMEOUT: Duration = Duration::from_millis(300);

/// What was found on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Machine {
    /// The NVIDIA driver's version, if there is one.
    pub driver: Option<String>,
    /// Whether something listens where Triton serves its metrics.
    pub triton: bool,
}

/// Starts the agent. It looks for driver and Triton itself and goes on without them; what is said
/// here is what was there at the start.
pub async fn start(
    data: &Data,
    endpoint: &str,
    tasks: &mut Tasks,
    shutdown: &CancellationToken,
) -> anyhow::Result<Machine> {
    let node = NodeId::new(&hostname()).or_else(|_| NodeId::new("localhost"))?;
    let mut config = Config::local(node.clone(), data.agent(node.as_str())?);
    config.triton = vec![TritonConfig::usual(Profile::Default)];
    config.uplink.endpoint = Some(endpoint.to_owned());
    if TcpListener::bind(config.status_listen).await.is_err() {
        // Another agent runs here already; this one takes any port.
        config.status_listen.set_port(0);
    }
    let driver = Driver::Probe { exe: std::env::current_exe()? };
    let stop = shutdown.clone();
    let name = "the agent of this machine".to_owned();
    tasks.spawn(async move { (name, gpuwarden_agent::run(config, driver, stop).await) });
    Ok(Machine { driver: driver_version(), triton: listens(TRITON_METRICS).await })
}

fn hostname() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().to_owned()
}

fn driver_version() -> Option<String> {
    version_in(&std::fs::read_to_string(Path::new("/proc/driver/nvidia/version")).ok()?)
}

/// The first word that looks like a version, e.g. of `NVRM version: NVIDIA UNIX x86_64 Kernel
/// Module  580.95.05  Tue …`.
fn version_in(text: &str) -> Option<String> {
    let looks =
        |word: &&str| word.contains('.') && word.chars().all(|c| c.is_ascii_digit() || c == '.');
    text.split_whitespace().find(looks).map(str::to_owned)
}

async fn listens(address: SocketAddr) -> bool {
    let connected = tokio::time::timeout(LOOK_TIMEOUT, TcpStream::connect(address)).await;
    matches!(connected, Ok(Ok(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_the_driver_is_found_in_its_own_words() {
        let text = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.95.05  Release \
                    Build\nGCC version:  gcc version 12.2.0";
        assert_eq!(version_in(text).as_deref(), Some("580.95.05"));
        assert_eq!(version_in("nothing"), None);
    }
}
