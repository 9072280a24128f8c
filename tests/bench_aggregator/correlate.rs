//! What correlation costs: by itself, as part of the whole path, in time to an incident, in memory,
//! and as open incidents grow.

mod alone;
mod growth;
mod latency;
mod memory;

use serde_json::json;

use crate::Failure;
use crate::figures::{Scale, round};
use crate::ingest;

/// Only what one event costs: by itself, and as open incidents grow.
pub(crate) fn growth(scale: Scale) -> Result<serde_json::Value, Failure> {
    Ok(json!({
        "bench": "growth",
        "nodes_count": scale.nodes(),
        "alone": alone::run(scale)?,
        "open_incidents_of_unrelated_models": growth::run(scale, growth::Sharing::Nothing)?,
        "open_incidents_that_share_models": growth::run(scale, growth::Sharing::Models)?,
    }))
}

/// Only the time to an incident.
pub(crate) async fn latency(scale: Scale) -> Result<serde_json::Value, Failure> {
    let latency = latency::run(scale).await?;
    Ok(json!({ "bench": "latency", "nodes_count": scale.nodes(), "latency": latency }))
}

/// All parts.
pub(crate) async fn run(scale: Scale) -> Result<serde_json::Value, Failure> {
    let alone = alone::run(scale)?;
    let unrelated = growth::run(scale, growth::Sharing::Nothing)?;
    let shared = growth::run(scale, growth::Sharing::Models)?;
    let memory = memory::run(scale).await?;
    let (whole, _) = ingest::whole_path(scale).await?;
    let latency = latency::run(scale).await?;
    Ok(json!({
        "bench": "correlate",
        "nodes_count": scale.nodes(),
        "alone": alone,
        "whole_path_events_per_s": whole.events_per_s().round(),
        "whole_path_ack_ms_p99": round(whole.ack_ms(0.99)),
        "latency": latency,
        "memory": memory,
        "open_incidents_of_unrelated_models": unrelated,
        "open_incidents_that_share_models": shared,
    }))
}
