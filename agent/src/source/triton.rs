//! stub
pub mod index;
pub mod page;
pub mod problems;
