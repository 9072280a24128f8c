//! A simulated GPU node behind the same interfaces as a real one: seeded, and with time as an
//! argument, so that the same script gives the same history every time.
//!
//! - [`fault`]: what can go wrong
//! - [`script`]: faults as text, one a line
//! - [`gpu`], [`process`]: memory and use of a GPU by those who share it
//! - [`model`]: a model as a small queueing system with Triton's counters
//! - [`node`]: GPUs, models and faults put together
//! - [`reading`]: a node as the agent's sources would read it
//! - [`page`], [`repository`]: a node as Triton's HTTP endpoints would show it
//! - [`fleet`]: the four nodes of the demo
//! - [`serve`]: a node in real time; the only part that does I/O
//!
//! Nothing here reads a clock.

pub mod fault;
pub mod fleet;
pub mod gpu;
pub mod model;
pub mod node;
pub mod page;
pub mod process;
pub mod reading;
pub mod repository;
pub mod script;
pub mod serve;
