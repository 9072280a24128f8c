//! How many events a second are committed and correlated, with the load beside the aggregator.
//!
//! `cargo run --release --example throughput -- STREAMS BATCH SECONDS CONNECTIONS`: each stream is a
//! node with 8 active findings, whose batches update them. Prints one JSON object.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use gpuwarden_aggregator::Aggregator;
use gpuwarden_aggregator::clock::Clock;
use gpuwarden_aggregator::config::Config;
use gpuwarden_proto::convert::encode_event;
use gpuwarden_proto::event::{Body, Event, Evidence, Finding, Subject, Unit};
use gpuwarden_proto::pb;
use gpuwarden_proto::pb::uplink_service_client::UplinkServiceClient;
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::uplink::{Entry, FromNode, Hello};
use gpuwarden_proto::vocab::{
    Epoch, Grade, ModelName, ModelVersion, NodeId, Phase, RuleId, Seq, ServerName,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint};

/// Batches that a stream keeps in flight, as the credit says.
const IN_FLIGHT: u64 = 4;
/// Active findings of a node.
const FINDINGS: u64 = 8;

fn main() -> anyhow::Result<()> {
    let mut numbers = std::env::args().skip(1).filter_map(|text| text.parse::<u64>().ok());
    let mut next = |default| numbers.next().unwrap_or(default);
    let (streams, batch, seconds, connections) = (next(256), next(128), next(10), next(8));
    let serving =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let loading =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let folder = std::env::temp_dir().join(format!("throughput-{}", std::process::id()));
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let config = Config {
        grpc_listen: any,
        http_listen: any,
        data_dir: folder.clone(),
        ..Config::default()
    };
    let aggregator = serving.block_on(Aggregator::bind(config))?;
    let (addr, metrics, stop) =
        (aggregator.grpc_addr()?, aggregator.metrics(), CancellationToken::new());
    let task = serving.spawn(aggregator.run(stop.clone()));
    let acked = Arc::new(AtomicU64::new(0));
    let rate = loading.block_on(async {
        let mut channels = Vec::new();
        for _ in 0..connections {
            channels.push(Endpoint::from_shared(format!("http://{addr}"))?.connect().await?);
        }
        for stream in 0..streams {
            let channel = channels[usize::try_from(stream % connections)?].clone();
            tokio::spawn(speak(channel, stream, batch, Arc::clone(&acked)));
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
        let before = acked.load(Ordering::Relaxed);
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        anyhow::Ok((acked.load(Ordering::Relaxed) - before) / seconds)
    })?;
    drop(loading);
    stop.cancel();
    serving.block_on(task)??;
    let (open, commits) = (metrics.incidents_open.get(), metrics.commits.get());
    println!(
        "{{\"streams\":{streams},\"batch_events\":{batch},\"events_per_s\":{rate},\
         \"incidents_open\":{open},\"commits\":{commits}}}"
    );
    std::fs::remove_dir_all(folder)?;
    Ok(())
}

async fn speak(
    channel: Channel,
    stream: u64,
    batch: u64,
    acked: Arc<AtomicU64>,
) -> anyhow::Result<()> {
    let (to, out) = mpsc::channel(8);
    let hello = Hello {
        node: NodeId::new(&format!("node-{stream}"))?,
        epoch: Epoch(1),
        next_seq: Seq(1),
        agent_version: String::new(),
        boot_id: String::new(),
    };
    to.send(FromNode::Hello(hello).into()).await?;
    let mut client = UplinkServiceClient::new(channel);
    let mut from = client.session(ReceiverStream::new(out)).await?.into_inner();
    let observed_at = Clock::System.now();
    let events: Vec<Vec<u8>> =
        (0..FINDINGS).map(|nth| encode_event(&event(stream, nth, observed_at)).to_vec()).collect();
    let mut seq = 1;
    for _ in 0..IN_FLIGHT {
        to.send(request(&events, &mut seq, batch)).await?;
    }
    while let Some(response) = from.message().await? {
        if let Some(pb::session_response::Message::Ack(_)) = response.message {
            acked.fetch_add(batch, Ordering::Relaxed);
            to.send(request(&events, &mut seq, batch)).await?;
        }
    }
    Ok(())
}

fn request(events: &[Vec<u8>], seq: &mut u64, batch: u64) -> pb::SessionRequest {
    let entries = (0..batch).zip(events.iter().cycle()).map(|(_, event)| {
        let entry = Entry { seq: Seq(*seq), event: event.clone().into() };
        *seq += 1;
        entry
    });
    FromNode::Batch(entries.collect()).into()
}

fn event(stream: u64, nth: u64, observed_at: Timestamp) -> Event {
    let names = |kind: &str| format!("{kind}-{stream}-{nth}");
    let subject = Subject::Model {
        server: ServerName::new("default").expect("a short name"),
        model: ModelName::new(&names("model")).expect("a short name"),
        version: ModelVersion::new("1").expect("a short name"),
    };
    let evidence = vec![
        Evidence::new("pending", 41.0, Unit::Count).over(10.0).against(30.0),
        Evidence::new("queue time", 0.21, Unit::Seconds).over(10.0).against(0.1).usually(0.02),
    ];
    let finding = Finding {
        rule: RuleId::QueueBackup,
        subject,
        phase: Phase::Updated,
        grade: Grade::Degraded,
        summary: "41 requests wait, the oldest for 210 ms; 30 may".to_owned(),
        evidence,
        suspects: Vec::new(),
        raised_at: observed_at,
    };
    Event { observed_at, body: Body::Finding(finding) }
}
