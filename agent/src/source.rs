//! The sources: each reads one part of the world and tells the engine what it saw.

pub mod http;
pub mod nvml;
pub mod triton;
