//! The demo fleet: the real agent's code over simulated nodes.

use std::collections::BTreeSet;

use gpuwarden_agent::Driver;
use gpuwarden_agent::clock::Clock;
use gpuwarden_agent::config::{Config, Profile, TritonConfig};
use gpuwarden_sim::fleet;
use gpuwarden_sim::node::SimNode;
use gpuwarden_sim::serve::{self, Endpoints};
use tokio_util::sync::CancellationToken;

use super::Tasks;
use super::data::Data;

/// The same fleet each time.
const SEED: u64 = 7;

/// What was added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Demo {
    /// Nodes.
    pub nodes: usize,
    /// GPUs of all nodes.
    pub gpus: usize,
    /// Models, each counted once.
    pub models: usize,
}

/// Starts each node with its agent. Trouble begins some seconds later.
pub async fn start(
    data: &Data,
    endpoint: &str,
    tasks: &mut Tasks,
    shutdown: &CancellationToken,
) -> anyhow::Result<Demo> {
    let nodes = fleet::demo(SEED);
    let demo = Demo::of(&nodes);
    let clock = Clock::start();
    for node in nodes {
        let id = node.id.clone();
        let server = node.server.clone();
        let (endpoints, served) = serve::bind(node, clock).await?;
        let mut config = Config::local(id.clone(), data.agent(id.as_str())?);
        config.uplink.endpoint = Some(endpoint.to_owned());
        config.status_listen.set_port(0);
        config.kmsg.enabled = false;
        config.triton = vec![triton(&endpoints, server)];
        let driver = Driver::Feed(Box::new(endpoints.probe));
        let (stop, name) = (shutdown.clone(), format!("the agent of {id}"));
        tasks.spawn(async move { (name, gpuwarden_agent::run(config, driver, stop).await) });
        let (stop, name) = (shutdown.clone(), format!("the simulation of {id}"));
        tasks.spawn(async move {
            served.run(stop).await;
            (name, Ok(()))
        });
    }
    Ok(demo)
}

fn triton(endpoints: &Endpoints, name: gpuwarden_proto::vocab::ServerName) -> TritonConfig {
    let http = format!("http://{}", endpoints.http);
    let metrics = format!("{http}/metrics");
    TritonConfig { name, http, metrics, ..TritonConfig::usual(Profile::Default) }
}

impl Demo {
    fn of(nodes: &[SimNode]) -> Self {
        let models = nodes.iter().flat_map(SimNode::models).map(|model| &model.spec.name);
        Self {
            nodes: nodes.len(),
            gpus: nodes.iter().map(|node| node.gpus().len()).sum(),
            models: models.collect::<BTreeSet<_>>().len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demo_is_four_nodes_with_sixteen_gpus_and_six_models() {
        let demo = Demo::of(&fleet::demo(SEED));
        assert_eq!(demo, Demo { nodes: 4, gpus: 16, models: 6 });
    }
}
