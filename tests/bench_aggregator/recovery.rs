//! How soon an aggregator serves again after its end, and whether it knows then what it knew before.
//!
//! The file is in the system's cache, as it is after a crash of the process; after one of the machine
//! it is not.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use gpuwarden_aggregator::correlate::{Policy, Signal, State, Touched, apply};
use gpuwarden_aggregator::node::Node;
use gpuwarden_aggregator::store::{Batch, NodeRow, SqliteStore, Store, Transaction};
use gpuwarden_proto::incident::Incident;
use gpuwarden_proto::pb;
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::uplink::Entry;
use gpuwarden_proto::vocab::{Epoch, IncidentId, NodeState, RuleId, Seq};
use serde_json::{Value, json};

use crate::Failure;
use crate::figures::{Scale, ms, round};
use crate::fleet::Fleet;
use crate::load::batch;
use crate::server::aggregator;
use crate::session::wall;
use crate::story::Told;
use crate::watching::client;

/// Events of a batch.
const BATCH_EVENTS: usize = 128;
/// Batches of a transaction.
const TRANSACTION_BATCHES: usize = 256;
/// Incidents that are asked for at one time, as many as may be.
const LISTED: u32 = 1000;
/// How soon it should serve.
const WANTED_MS: f64 = 2000.0;
/// How long the incidents may take to come.
const PATIENCE: Duration = Duration::from_secs(10);

/// Each incident as JSON.
type Known = BTreeMap<IncidentId, String>;

/// One start of the aggregator.
#[derive(Debug)]
struct Start {
    listening: Duration,
    serving: Duration,
    answered: Duration,
    right: bool,
    known: Known,
    memory_mib: f64,
}

/// Two starts after one another, the second after a kill.
pub(crate) async fn run(scale: Scale) -> Result<Value, Failure> {
    let fleet = Fleet::new(scale.nodes());
    let (events, open) = (scale.pick(1_000_000, 100_000), scale.pick(10_000, 1_000));
    let folder = tempfile::tempdir()?;
    eprintln!("recovery: a store of {events} events and {open} open incidents is made");
    let before = make(&folder.path().join("store"), &fleet, events, open)?;
    let incidents: Vec<Incident> = before.into_iter().collect();
    let known: Known = incidents.iter().map(told).collect::<Result<_, _>>()?;
    let bytes = std::fs::metadata(folder.path().join("store/aggregator.db"))?.len();
    let mut starts = Vec::new();
    for _ in 0..2 {
        let start = start(folder.path(), &incidents).await?;
        tell(&start, &known);
        starts.push(start);
    }
    let same = starts.iter().all(|start| start.known == known);
    let right = starts.iter().all(|start| start.right);
    let last = &starts[starts.len() - 1];
    Ok(json!({
        "bench": "recovery",
        "nodes_count": fleet.nodes(),
        "events_count": events,
        "store_mib": round(bytes as f64 / 1024.0 / 1024.0),
        "incidents_open_count": known.len(),
        "first_start_to_serving_ms": round(ms(starts[0].serving)),
        "start_to_listening_ms": round(ms(last.listening)),
        "start_to_serving_ms": round(ms(last.serving)),
        "start_to_serving_ms_wanted_max": WANTED_MS,
        "start_to_right_list_ms": right.then(|| round(ms(last.answered))),
        "incidents_the_same": same,
        "incidents_compared_count": last.known.len(),
        "aggregator_rss_mib": round(last.memory_mib),
        "may_differ": "nothing of the JSON; inside, quiet periods begin anew, and after start_grace \
            and lost_after nodes that stay away are called lost",
    }))
}

fn told(incident: &Incident) -> Result<(IncidentId, String), Failure> {
    Ok((incident.id, serde_json::to_string(incident)?))
}

fn tell(start: &Start, known: &Known) {
    let same = start.known.iter().filter(|(id, told)| known.get(*id) == Some(told)).count();
    eprintln!(
        "  listens after {:.0} ms, serves after {:.0} ms, {} ListIncidents after {:.0} ms; {same} of \
         {} incidents the same; {:.0} MiB",
        ms(start.listening),
        ms(start.serving),
        if start.right { "right" } else { "wrong" },
        ms(start.answered),
        known.len(),
        start.memory_mib,
    );
}

/// Starts it, asks, and ends it without a word.
async fn start(folder: &Path, before: &[Incident]) -> Result<Start, Failure> {
    let began = Instant::now();
    let (server, address) = aggregator(folder, "")?;
    let listening = began.elapsed();
    let mut client = client(address).await?;
    client.list_incidents(pb::ListIncidentsRequest { limit: 1, ..Default::default() }).await?;
    let serving = began.elapsed();
    let question = pb::ListIncidentsRequest { limit: LISTED, ..Default::default() };
    let answer = client.list_incidents(question).await?.into_inner();
    let answered = began.elapsed();
    let right = is_right(answer, before)?;
    let known = all(address, before.len()).await?;
    Ok(Start { listening, serving, answered, right, known, memory_mib: server.resident_mib() })
}

/// The most urgent incidents come first, and then the oldest; what did not fit is said.
fn is_right(answer: pb::ListIncidentsResponse, before: &[Incident]) -> Result<bool, Failure> {
    let mut wanted: Vec<&Incident> = before.iter().collect();
    wanted.sort_by_key(|incident| (incident.severity, incident.id));
    let truncated = answer.incidents.len() < before.len();
    let count = answer.incidents.len();
    for (wanted, got) in wanted.iter().zip(answer.incidents) {
        if told(&got.try_into()?)? != told(wanted)? {
            return Ok(false);
        }
    }
    Ok(answer.truncated == truncated && count > 0)
}

/// All open incidents, by way of a watch, which begins with them.
async fn all(address: SocketAddr, count: usize) -> Result<Known, Failure> {
    let request = pb::WatchIncidentsRequest {};
    let mut updates = client(address).await?.watch_incidents(request).await?.into_inner();
    let mut known = Known::new();
    let reading = async {
        while known.len() < count {
            let Some(incident) = updates.message().await?.and_then(|update| update.incident) else {
                break;
            };
            known.extend([told(&incident.try_into()?)?]);
        }
        Ok::<(), Failure>(())
    };
    if let Ok(result) = tokio::time::timeout(PATIENCE, reading).await {
        result?;
    }
    Ok(known)
}

/// Makes the store, and tells the incidents in it.
fn make(
    folder: &Path,
    fleet: &Fleet,
    events: usize,
    open: usize,
) -> Result<Vec<Incident>, Failure> {
    let now = wall();
    let mut store = SqliteStore::open(folder)?;
    let mut state = troubled(fleet, now, open);
    // An aggregator writes no incident before its likely causes are ranked.
    state.rank_all();
    let incidents: Vec<Incident> = state.incidents().cloned().collect();
    store.commit(&Transaction {
        nodes: (0..fleet.nodes()).map(|node| row(fleet, node, now)).collect(),
        incidents: incidents.iter().cloned().map(Arc::new).collect(),
        next_incident: state.next_id(),
        ..Transaction::default()
    })?;
    let payload = batch(BATCH_EVENTS, true);
    let batches: Vec<usize> = (0..events.div_ceil(BATCH_EVENTS)).collect();
    for some in batches.chunks(TRANSACTION_BATCHES) {
        let mut transaction =
            Transaction { next_incident: state.next_id(), ..Transaction::default() };
        for nth in some {
            let batch = stored(fleet, *nth, now, &payload);
            let last = batch.entries.last().map_or(Seq(0), |entry| entry.seq);
            transaction.marks.push((batch.node.clone(), batch.epoch, last));
            transaction.batches.push(batch);
        }
        store.commit(&transaction)?;
    }
    Ok(incidents)
}

fn row(fleet: &Fleet, node: usize, now: Timestamp) -> NodeRow {
    NodeRow {
        id: fleet.ids[node].clone(),
        state: NodeState::Connected,
        last_seen_at: now,
        agent_version: "bench".to_owned(),
        snapshot: Some(Arc::new(fleet.snapshot(node, now))),
        busy: Vec::new(),
    }
}

fn stored(fleet: &Fleet, nth: usize, now: Timestamp, payload: &[Bytes]) -> Batch {
    let (node, round) = (nth % fleet.nodes(), nth / fleet.nodes());
    let first = 1 + round * payload.len();
    let entry = |(at, event): (usize, &Bytes)| Entry {
        seq: Seq((first + at) as u64),
        event: event.clone(),
    };
    Batch {
        node: fleet.ids[node].clone(),
        epoch: Epoch(1 + node as u64),
        received_at: now,
        taken_at: now,
        order: nth as u64 + 1,
        observed: (now, now),
        entries: payload.iter().enumerate().map(entry).collect(),
    }
}

/// Correlation with so many incidents, of one or two members each.
fn troubled(fleet: &Fleet, now: Timestamp, open: usize) -> State {
    use RuleId as R;
    let mut state = State::restore(Policy::default(), [].into(), Vec::new(), 1, now);
    for (nth, id) in fleet.ids.iter().enumerate() {
        state.nodes.insert(id.clone(), Node::new(now));
        let said = Signal::Snapshot(fleet.snapshot(nth, now));
        apply(&mut state, now, id, said, &mut Touched::default());
    }
    for nth in 0.. {
        if state.open() >= open {
            break;
        }
        let (node, index) = (nth % fleet.nodes(), nth / fleet.nodes());
        let troubles = match node % 3 {
            0 => vec![
                fleet.with_model(node, index, R::NoisyNeighbour),
                fleet.with_model(node, index, R::LatencyHigh),
            ],
            1 => vec![fleet.with_gpu(node, index, R::Xid), fleet.with_gpu(node, index, R::GpuLost)],
            _ => vec![fleet.with_gpu(node, index, R::ThermalThrottle)],
        };
        for trouble in troubles {
            let finding = Told::raised(Duration::ZERO, trouble).finding(now, "");
            let signal = Signal::Finding { observed_at: now, backlog: false, finding };
            apply(&mut state, now, &fleet.ids[node], signal, &mut Touched::default());
        }
    }
    state
}
