//! Readers of the world: each turns what it sees into inputs of the engine, and says so when it
//! cannot see.

pub mod host;
pub mod kmsg;
pub mod nvml;
