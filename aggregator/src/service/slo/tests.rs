//! The whole way: from the snapshot of a node to what people are shown, and over a restart.

use std::net::SocketAddr;
use std::path::Path;

use gpuwarden_proto::inventory::{LATENCY_COUNTS, Served, Snapshot};
use gpuwarden_proto::pb::slo_service_client::SloServiceClient;
use gpuwarden_proto::slo::Objective;
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::uplink::FromNode;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::Aggregator;
use crate::clock::Clock;
use crate::config::Config;
use crate::graph::Topology;
use crate::store::SqliteStore;
use crate::testing::{Speaker, snapshot};

struct Running {
    addr: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Running {
    async fn start(folder: &Path) -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let text = "[[service]]\nname = \"search\"\nmodels = [\"bert\"]\navailability = 0.99\n\
                    latency = \"100ms\"\n";
        let topology = Topology::parse("t.toml", text).unwrap();
        let config = Config { grpc_listen: any, http_listen: any, topology, ..Config::default() };
        let store = Box::new(SqliteStore::open(folder).unwrap());
        let aggregator = Aggregator::bind_with(config, Clock::System, store).await.unwrap();
        let addr = aggregator.grpc_addr().unwrap();
        let stop = CancellationToken::new();
        let task = tokio::spawn(aggregator.run(stop.clone()));
        Self { addr, stop, task }
    }

    async fn end(self) {
        self.stop.cancel();
        self.task.await.unwrap().unwrap();
    }

    /// Good and all requests of each objective, once so many have been counted.
    async fn counted(&self, requests: u64) -> Vec<(String, u64, u64)> {
        let url = format!("http://{}", self.addr);
        let mut client = SloServiceClient::connect(url).await.unwrap();
        loop {
            let answer = client.list_objectives(pb::ListObjectivesRequest {}).await.unwrap();
            let of = |wire: pb::Objective| Objective::try_from(wire).unwrap();
            let all: Vec<Objective> = answer.into_inner().objectives.into_iter().map(of).collect();
            if all[0].total >= requests {
                let of = |each: Objective| (each.kind.to_string(), each.good, each.total);
                return all.into_iter().map(of).collect();
            }
            tokio::task::yield_now().await;
        }
    }
}

fn said(since: Timestamp, requests: u64, failures: u64) -> FromNode {
    let mut latency = vec![0; LATENCY_COUNTS];
    (latency[6], latency[7]) = (requests - failures - 1, 1);
    let mut told: Snapshot = snapshot(&["models=bert"], Clock::System.now());
    told.servers[0].models[0].served = Some(Served { since, requests, failures, latency });
    FromNode::Snapshot(told)
}

#[tokio::test]
async fn what_was_counted_is_shown_and_a_restart_loses_nothing_and_counts_nothing_twice() {
    let folder = tempfile::tempdir().unwrap();
    let of = |kind: &str, good, total| (kind.to_owned(), good, total);
    let since = Clock::System.now();
    let first = Running::start(folder.path()).await;
    let node = Speaker::connect(first.addr, "node-a", 1).await;
    node.say(said(since, 100, 0)).await;
    node.say(said(since, 150, 20)).await;
    let counted = [of("availability", 30, 50), of("latency", 30, 30)];
    assert_eq!(first.counted(50).await, counted, "what was before the first word is not counted");
    first.end().await;

    let second = Running::start(folder.path()).await;
    assert_eq!(second.counted(50).await, counted);
    let node = Speaker::connect(second.addr, "node-a", 1).await;
    node.say(said(since, 160, 20)).await;
    assert_eq!(second.counted(60).await, [of("availability", 40, 60), of("latency", 40, 40)]);
    second.end().await;
}
