//! The agent: reads one GPU node, finds trouble, and tells.
//!
//! - [`clock`]: the only reader of clocks
//! - [`config`]: what the agent is told
//! - [`doctor`]: what this node lets the agent see
//! - [`probe`]: the child process that alone calls the GPU driver
//! - [`sample`]: what the sources read at one instant
//! - [`source`]: the readers of the world

pub mod clock;
pub mod config;
pub mod doctor;
pub mod probe;
pub mod sample;
pub mod source;
