//! The agent: reads one GPU node, finds trouble, and tells.
//!
//! - [`clock`]: the only reader of clocks
//! - [`config`]: what the agent is told
//! - [`engine`]: owns what is remembered, judges it, says what should be told
//! - [`hold`]: above for so long, below for so long
//! - [`rule`]: what is trouble, one rule a file
//! - [`sample`]: what the sources read at one instant
//! - [`source`]: the readers of the world
//! - [`window`]: fixed-size history of samples

pub mod clock;
pub mod config;
pub mod engine;
pub mod hold;
pub mod rule;
pub mod sample;
pub mod source;
pub mod window;
