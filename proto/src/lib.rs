//! The contract of Gpuwarden: its words as types, and the one place that names wire types.
//!
//! - [`vocab`]: ids and closed lists of words (rules, incident types, severities, states)
//! - [`time`]: wall-clock instants as they travel
//! - [`event`]: findings, changes and gaps, which is what leaves a node
//! - [`inventory`]: what a node says of itself: its GPUs, servers, models and sources
//! - [`uplink`]: the messages of the stream between node and aggregator
//! - [`incident`]: what the aggregator makes of events
//! - [`silence`]: what people hold back, and what holds an incident back
//! - [`runbook`]: the steps for a type of incident
//! - [`change`]: what was done to the fleet, whoever tells of it
//! - [`oncall`]: who is on call, and who takes over
//! - [`work`]: what people do about an incident
//! - [`trace`]: where one event went
//! - [`slo`]: what is promised of services, and what is left of it
//! - [`shadow`]: what a candidate config would have done otherwise
//! - [`fleet`]: nodes as the aggregator sees them
//! - [`topology`]: what stands where and what depends on what
//! - [`convert`]: wire to words and back; nothing else names [`pb`] but the gRPC edges
//! - [`settings`]: TOML files read with all their mistakes at once

pub mod change;
pub mod convert;
pub mod entity;
pub mod event;
pub mod fleet;
pub mod incident;
pub mod inventory;
pub mod oncall;
pub mod repeat;
pub mod runbook;
pub mod settings;
pub mod shadow;
pub mod silence;
pub mod slo;
pub mod time;
pub mod topology;
pub mod trace;
pub mod uplink;
pub mod vocab;
pub mod work;

/// Generated from `gpuwarden/v1/*.proto`.
#[allow(missing_docs, clippy::all, clippy::pedantic, unreachable_pub)]
pub mod pb {
    tonic::include_proto!("gpuwarden.v1");
}
