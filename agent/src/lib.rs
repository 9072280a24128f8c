//! The agent: reads one GPU node, finds trouble, and tells.
//!
//! - [`clock`]: the only reader of clocks
//! - [`config`]: what the agent is told
//! - [`outbox`]: the durable queue of events
//! - [`sample`]: what the sources read at one instant
//! - [`uplink`]: the stream to the aggregator

pub mod clock;
pub mod config;
pub mod outbox;
pub mod sample;
pub mod uplink;
