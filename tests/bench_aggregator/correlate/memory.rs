//! What an aggregator keeps in memory of each node.

use gpuwarden_proto::convert::{encode_event, encode_snapshot};
use gpuwarden_proto::event::{Body, Event};
use gpuwarden_proto::vocab::{Epoch, RuleId};
use serde_json::{Value, json};

use crate::figures::{Scale, round};
use crate::fleet::Fleet;
use crate::server::{Server, aggregator};
use crate::session::{Session, channels, wall};
use crate::story::Told;
use crate::{CONNECTIONS, Failure};

pub(super) async fn run(scale: Scale) -> Result<Value, Failure> {
    let fleet = Fleet::new(scale.nodes());
    let folder = tempfile::tempdir()?;
    // Connecting takes longer on a busy machine than silence may last.
    let (server, address) = aggregator(folder.path(), "[nodes]\nlost_after = \"10m\"\n")?;
    let mut sessions = Vec::new();
    let started = server.resident_mib();
    let channels = channels(address, CONNECTIONS).await?;
    for (nth, id) in fleet.ids.iter().enumerate() {
        let channel = channels[nth % channels.len()].clone();
        sessions.push(Session::open(channel, id.clone(), Epoch(1 + nth as u64)).await?);
    }
    let connected = server.resident_mib();
    for (nth, session) in sessions.iter_mut().enumerate() {
        session.snapshot(fleet.snapshot(nth, wall())).await?;
    }
    // Events are read after the snapshot of their stream: once acknowledged, both are taken up.
    raise(&fleet, &mut sessions, 0, 1).await?;
    let placed = server.resident_mib();
    raise(&fleet, &mut sessions, 1, 3).await?;
    report(&fleet, &server, [started, connected, placed])
}

/// Every node tells of a neighbour on some of its models, which is a matter of the node.
async fn raise(
    fleet: &Fleet,
    sessions: &mut [Session],
    from: usize,
    to: usize,
) -> Result<(), Failure> {
    for (node, session) in sessions.iter_mut().enumerate() {
        let start = wall();
        let event = |slot| {
            let trouble = fleet.with_model(node, slot, RuleId::NoisyNeighbour);
            let finding = Told::raised(std::time::Duration::ZERO, trouble).finding(start, "");
            encode_event(&Event { observed_at: start, body: Body::Finding(finding) })
        };
        session.round_trip((from..to).map(event).collect()).await?;
    }
    Ok(())
}

fn report(fleet: &Fleet, server: &Server, before: [f64; 3]) -> Result<Value, Failure> {
    let [started, connected, placed] = before;
    let troubled = server.resident_mib();
    let each = |mib: f64| round(mib / fleet.nodes() as f64 * 1000.0);
    let snapshot_bytes = encode_snapshot(&fleet.snapshot(0, wall())).len();
    eprintln!(
        "memory: {started:.0} MiB at the start; per 1,000 nodes {:.1} MiB for streams, {:.1} for \
         snapshots of {snapshot_bytes} bytes and a finding each, {:.1} for two more findings each",
        each(connected - started),
        each(placed - connected),
        each(troubled - placed),
    );
    Ok(json!({
        "at_start_mib": round(started),
        "streams_mib_per_1000_nodes": each(connected - started),
        "snapshots_and_one_finding_mib_per_1000_nodes": each(placed - connected),
        "two_more_findings_mib_per_1000_nodes": each(troubled - placed),
        "all_mib_per_1000_nodes": each(troubled - started),
        "snapshot_bytes": snapshot_bytes,
    }))
}
