//! The uplink: its state machine alone, and on a real stream against a double of the aggregator.

mod double;
mod protocol;
mod wire;
