//! What was measured, and the last line.

use std::time::Duration;

use crate::load::Shape;

/// One part of the bench.
#[derive(Debug, Default)]
pub(crate) struct Course {
    pub(crate) events: usize,
    pub(crate) lasted: Duration,
    /// From sending a batch to its acknowledgement.
    pub(crate) acks: Vec<Duration>,
}

impl Course {
    pub(crate) fn events_per_s(&self) -> f64 {
        self.events as f64 / self.lasted.as_secs_f64()
    }

    /// A quantile of the time to the acknowledgement, by nearest rank.
    pub(crate) fn ack_ms(&self, share: f64) -> f64 {
        let mut sorted = self.acks.clone();
        sorted.sort_unstable();
        let rank = ((sorted.len() as f64 * share).ceil() as usize).clamp(1, sorted.len().max(1));
        sorted.get(rank - 1).map_or(f64::NAN, |ack| ack.as_secs_f64() * 1e3)
    }
}

/// One JSON object, units in the names.
pub(crate) fn report(
    shape: &Shape,
    store: &Course,
    stream: &Course,
    ingest: &Course,
    memory_mib: f64,
) -> String {
    let round = |value: f64| (value * 100.0).round() / 100.0;
    serde_json::json!({
        "bench": "ingest",
        "nodes_count": shape.nodes,
        "connections_count": shape.connections,
        "batch_events_count": shape.batch_events,
        "event_bytes": crate::load::batch(1, 1, true)[0].event.len(),
        "ingest_events_per_s": ingest.events_per_s().round(),
        "ingest_ack_ms_p50": round(ingest.ack_ms(0.5)),
        "ingest_ack_ms_p99": round(ingest.ack_ms(0.99)),
        "aggregator_rss_mib": round(memory_mib),
        "bare_stream_events_per_s": stream.events_per_s().round(),
        "bare_store_events_per_s": store.events_per_s().round(),
        "ingest_to_bare_stream_ratio": round(ingest.events_per_s() / stream.events_per_s()),
        "ingest_to_bare_store_ratio": round(ingest.events_per_s() / store.events_per_s()),
    })
    .to_string()
}
