//! The agent: reads one GPU node, finds trouble, and tells.
//!
//! - [`clock`]: the only reader of clocks
//! - [`config`]: what the agent is told
//! - [`sample`]: what the sources read at one instant
//! - [`window`]: fixed-size history of samples

pub mod clock;
pub mod config;
pub mod sample;
pub mod window;
