//! Under construction.

pub mod classify;
pub mod clock;
pub mod correlate;
pub mod incident;
pub mod node;
pub mod replica;
pub mod store;
