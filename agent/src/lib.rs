//! The agent: reads one GPU node, finds trouble, and tells.
//!
//! - [`clock`]: the only reader of clocks
//! - [`config`]: what the agent is told
//! - [`sample`]: what the sources read at one instant
//! - [`source`]: the readers of the world
//! - [`status`]: what the agent tells of itself on its own node

pub mod clock;
pub mod config;
pub mod sample;
pub mod source;
pub mod status;
