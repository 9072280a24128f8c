//! x
pub mod destination;
pub mod message;
pub mod secret;
