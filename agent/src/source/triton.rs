//! A Triton server: its metrics page and its repository.
pub mod index;
pub mod page;
pub mod problems;
