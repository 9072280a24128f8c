//! Events per second that an aggregator commits and correlates, beside what the bare stream and the
//! bare store can do in the same run.

use std::net::SocketAddr;
use std::time::Duration;

use crate::figures::{Course, Scale, round};
use crate::load::{Load, Shape, batch};
use crate::server::{Server, aggregator, free_address};
use crate::{CONNECTIONS, Failure, bare};

/// Events of a batch.
const BATCH_EVENTS: usize = 128;
/// Batches under way at once.
const IN_FLIGHT: usize = 128;
/// How long each part is measured.
const MEASURED: Duration = Duration::from_secs(10);
/// The same in a short run.
const MEASURED_QUICK: Duration = Duration::from_secs(2);

/// All three parts.
pub(crate) async fn run(scale: Scale) -> Result<serde_json::Value, Failure> {
    let shape = shape(scale);
    let lasting = scale.pick(MEASURED, MEASURED_QUICK);
    let folder = tempfile::tempdir()?;

    eprintln!("bare store: {BATCH_EVENTS} events a row, a synced transaction for what is queued");
    let store = bare::store(folder.path(), shape, lasting)?;
    eprintln!("  {:.0} events/s", store.events_per_s());

    eprintln!("bare stream: batches are acknowledged unread");
    let address = free_address()?;
    let exe = std::env::current_exe()?;
    let server = Server::start(&exe, &["bare-stream".to_owned(), address.to_string()], address)?;
    let stream = measure(shape, address, lasting).await?;
    drop(server);

    let (ingest, memory_mib) = whole_path(scale).await?;
    Ok(serde_json::json!({
        "bench": "ingest",
        "nodes_count": shape.nodes,
        "connections_count": shape.connections,
        "batch_events_count": shape.batch_events,
        "event_bytes": batch(1, true)[0].len(),
        "ingest_events_per_s": ingest.events_per_s().round(),
        "ingest_ack_ms_p50": round(ingest.ack_ms(0.5)),
        "ingest_ack_ms_p99": round(ingest.ack_ms(0.99)),
        "aggregator_rss_mib": round(memory_mib),
        "bare_stream_events_per_s": stream.events_per_s().round(),
        "bare_store_events_per_s": store.events_per_s().round(),
        "ingest_to_bare_stream_ratio": round(ingest.events_per_s() / stream.events_per_s()),
        "ingest_to_bare_store_ratio": round(ingest.events_per_s() / store.events_per_s()),
    }))
}

/// What a whole aggregator bears, and the memory that it takes then, in MiB.
pub(crate) async fn whole_path(scale: Scale) -> Result<(Course, f64), Failure> {
    eprintln!("gpuwarden-aggregator: committed, then acknowledged; correlated");
    let folder = tempfile::tempdir()?;
    let (server, address) = aggregator(folder.path(), "")?;
    let course = measure(shape(scale), address, scale.pick(MEASURED, MEASURED_QUICK)).await?;
    Ok((course, server.resident_mib()))
}

fn shape(scale: Scale) -> Shape {
    Shape { nodes: scale.nodes(), connections: CONNECTIONS, batch_events: BATCH_EVENTS }
}

async fn measure(shape: Shape, address: SocketAddr, lasting: Duration) -> Result<Course, Failure> {
    let load = Load::connect(shape, address).await?;
    let course = load.run(IN_FLIGHT, lasting).await?;
    eprintln!(
        "  {:.0} events/s, ack p50 {:.1} ms, p99 {:.1} ms",
        course.events_per_s(),
        course.ack_ms(0.5),
        course.ack_ms(0.99)
    );
    Ok(course)
}
