//! Settings (next).
