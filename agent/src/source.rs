//! The sources: each reads one part of the world and tells the engine what it saw.

pub mod host;
pub mod http;
pub mod kmsg;
pub mod nvml;
pub mod triton;
