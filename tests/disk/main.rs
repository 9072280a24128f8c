//! Both sides on disks that are really full or read-only: what they say, what they hold meanwhile,
//! and that they go on by themselves.
//!
//! The kernel does not let anybody make a file system read-only while a file on it is open for
//! writing, neither as a whole nor one mount of it, and both sides keep theirs open. So a tmpfs is
//! read-only when they start, and is made writable under them. A disk that turns read-only in use is
//! an ext4 in which the kernel finds an error; the way back from that is to mount it anew.

mod agent;
mod aggregator;
mod mounts;
