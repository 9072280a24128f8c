//! Where one event went, as people and scripts see it.

use serde::Serialize;

use crate::event::Event;
use crate::time::Timestamp;
pub use crate::vocab::Fate;
use crate::vocab::{Epoch, IncidentId, NodeId, Seq};

/// Where one event went, and why.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Trace {
    /// The node that gave it its number.
    pub node: NodeId,
    /// The outbox it is from: numbers are given anew in each.
    pub epoch: Epoch,
    /// Its number.
    pub seq: Seq,
    /// When it came, or the gap that stands in its place.
    pub received_at: Timestamp,
    /// What it says; `None` for one that never came, or that this version cannot read.
    pub event: Option<Event>,
    /// What became of it.
    pub fate: Fate,
    /// The incident that its finding went to in the end.
    pub incident: Option<IncidentId>,
    /// The incidents that held it before and went on as another, the first one first.
    pub through: Vec<IncidentId>,
    /// How sure it is that it belongs there, 0 to 1; `None` where it is in no incident.
    pub score: Option<f64>,
    /// Why, in sentences.
    pub reason: String,
    /// What cannot be told from what is kept, a sentence each.
    pub unsure: Vec<String>,
}
