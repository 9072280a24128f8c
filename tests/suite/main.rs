//! Suite.

mod tidy;
