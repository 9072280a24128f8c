//! A rack loses its power by and by: its GPUs are braked, its nodes fall silent, the other replicas
//! of its models get more than they can do, and those who ask those models suffer. Elsewhere things
//! go wrong that have nothing to do with it. One incident for the rack is what is wanted.

mod plan;
mod shape;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use self::plan::Plan;
use self::shape::Shape;
use crate::Failure;
use crate::figures::{Scale, quantile_ms, round};
use crate::fleet::Fleet;
use crate::live::{Acked, Live, keep_time};
use crate::server::aggregator;
use crate::session::wall;
use crate::watching::watch;

/// How long after the last event the shape of things may still change.
const AFTERMATH: Duration = Duration::from_secs(6);
/// Nodes give a sign of life every two seconds, and are lost when twice that has passed.
const LOST_AFTER: &str = "4s";

/// The storm, in about 20 seconds.
pub(crate) async fn run(scale: Scale) -> Result<Value, Failure> {
    let fleet = Fleet::new(scale.nodes());
    let plan = Plan::new(&fleet, scale.pick(100_000, 10_000), scale.pick(100, 10));
    eprintln!("storm: {plan}");
    let folder = tempfile::tempdir()?;
    let topology = folder.path().join("topology.toml");
    std::fs::write(&topology, fleet.topology())?;
    let settings = format!(
        "[nodes]\nheartbeat_interval = \"2s\"\nlost_after = \"{LOST_AFTER}\"\nstart_grace = \"0s\"\n\
         [topology]\nfile = \"{}\"\n",
        topology.display()
    );
    let (server, address) = aggregator(folder.path(), &settings)?;
    let mut live = Live::connect(&fleet, address).await?;
    let began = Instant::now();
    let shape = Arc::new(Mutex::new(Shape::new(&fleet, &plan, began)));
    let seen = Arc::clone(&shape);
    let watching = watch(address, move |at, update| {
        seen.lock().unwrap_or_else(PoisonError::into_inner).note(at, update);
    })
    .await?;
    let start = wall();
    let mut silent = plan.silent.iter().peekable();
    for told in &plan.told {
        while let Some((_, node)) = silent.next_if(|(after, _)| *after <= told.after) {
            live.fall_silent(*node);
        }
        keep_time(began, told.after).await;
        live.say(told, start, "");
    }
    let sent = began.elapsed();
    tokio::time::sleep(AFTERMATH).await;
    let (acks, memory_mib) = (live.take_acks(), server.resident_mib());
    let (failed, why) = live.failed();
    if failed > 0 {
        eprintln!("  {failed} streams ended: {}", why.unwrap_or_default());
    }
    let shape = shape.lock().unwrap_or_else(PoisonError::into_inner);
    let mut figures = shape.report(&plan);
    report(&mut figures, &plan, began, sent, &acks);
    figures["nodes_count"] = json!(fleet.nodes());
    figures["watch_dropped_count"] = json!(watching.dropped());
    figures["streams_failed_count"] = json!(failed);
    figures["aggregator_rss_mib"] = json!(round(memory_mib));
    Ok(figures)
}

fn report(figures: &mut Value, plan: &Plan, began: Instant, sent: Duration, acks: &[Acked]) {
    let events: usize = acks.iter().map(|acked| acked.events).sum();
    let last = acks.iter().map(|acked| acked.at).max().map_or(Duration::MAX, |at| at - began);
    let took: Vec<Duration> = acks.iter().map(|acked| acked.took).collect();
    let per_s = events as f64 / last.as_secs_f64();
    eprintln!(
        "  {events} of {} events acknowledged in {:.1} s, sent in {:.1} s: {per_s:.0} events/s, ack \
         p50 {:.1} ms, p99 {:.1} ms",
        plan.told.len(),
        last.as_secs_f64(),
        sent.as_secs_f64(),
        quantile_ms(&took, 0.5),
        quantile_ms(&took, 0.99),
    );
    figures["events_count"] = json!(events);
    figures["events_not_acknowledged_count"] = json!(plan.told.len() - events);
    figures["sent_in_s"] = json!(round(sent.as_secs_f64()));
    figures["events_per_s"] = json!(per_s.round());
    figures["ack_ms_p50"] = json!(round(quantile_ms(&took, 0.5)));
    figures["ack_ms_p99"] = json!(round(quantile_ms(&took, 0.99)));
}
