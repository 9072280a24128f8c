//! The agent: reads one GPU node, finds trouble, and tells.
//!
//! - [`config`]: what the agent is told
//! - [`clock`]: the only reader of clocks
//! - [`probe`]: the child process that calls NVML
//! - [`source`]: the readers of the world
//! - [`sample`]: what the sources read at one instant
//! - [`window`]: fixed-size history of samples
//! - [`rule`]: what is trouble, one rule a file
//! - [`hold`]: above for so long, below for so long
//! - [`engine`]: owns what is remembered, judges it, says what should be told
//! - [`outbox`]: the durable queue of what is told
//! - [`uplink`]: the one stream to the aggregator
//! - [`status`]: what the agent tells of itself on its own node
//! - [`doctor`]: what can be seen on this node, and what mends the rest
//! - [`mod@run`]: all of it at work
//! - [`command`]: the command line

pub mod clock;
pub mod command;
pub mod config;
pub mod doctor;
pub mod engine;
pub mod hold;
pub mod outbox;
pub mod probe;
pub mod rule;
pub mod run;
pub mod sample;
pub mod source;
pub mod status;
pub mod uplink;
pub mod window;

pub use run::{Driver, run};
