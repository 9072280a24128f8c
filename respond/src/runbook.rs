//! Runbooks: the pages read into types.
//!
//! - [`page`]: a file of `runbooks/` into a [`Page`], with all its mistakes at once
//! - [`shelf`]: the pages of all types, built in
//! - [`names`]: what is filled into braces

pub mod names;
pub mod page;
pub mod shelf;

pub use gpuwarden_proto::runbook::{Page, Step};

#[cfg(test)]
mod tests;
