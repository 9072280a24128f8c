//! A stand-in for NVIDIA's management library, `libnvidia-ml.so.1`.
//!
//! The crate has two faces. As a shared object it exports the C interface of NVML and serves any
//! user of it, in any language. As a Rust library it writes scenarios ([`Scenario`]), installs the
//! shared object for a test ([`Installation`]) and changes the world at run time ([`Control`]).
//!
//! Every process that loads the shared object with the same scenario sees one world: the scenario
//! file says how it began, and a journal beside it holds every [`Command`] since. The README says
//! what can be put into either.
// A driver keeps time of its own, and its calls block.
#![allow(clippy::disallowed_methods)]
#![allow(unsafe_code, reason = "NVML is a C interface: its callers hand over raw pointers")]

mod abi;
mod clock;
mod command;
mod control;
mod installation;
mod journal;
mod live;
mod model;
mod place;
mod scenario;
mod server;
mod status;
mod world;

pub use command::{
    AddProcess, Command, EccKind, EccLocation, Fault, ProcessKind, SetClocks, SetNvlink, SetPcie,
    SetProcess, SetRemappedRows, ThrottleReason,
};
pub use control::{Control, ControlError};
pub use installation::{Installation, built_library};
pub use model::Model;
pub use scenario::{GpuSpec, MigInstance, Scenario};
