//! What stands where and what depends on what, as people and scripts are shown it.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use crate::entity::{Entity, EntityKind};
use crate::time::Timestamp;
use crate::vocab::{EdgeKind, IncidentId, IncidentType, Severity};

/// How one thing stands to another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Edge {
    /// The first.
    pub from: Entity,
    /// How.
    pub kind: EdgeKind,
    /// The second.
    pub to: Entity,
    /// Since when, where it is known: of a change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
}

impl fmt::Display for Edge {
    /// As people say it, e.g. `rack r7 contains node node-a`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.from, self.kind, self.to)
    }
}

/// What there is in a part of the fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Totals {
    /// Nodes that have been heard of, or that the topology file names.
    pub nodes: u64,
    /// Of them, those that only the file names.
    pub unheard: u64,
    /// Of them, those that do not answer.
    pub lost: u64,
    /// GPUs; MIG instances do not count.
    pub gpus: u64,
    /// MIG instances.
    pub mig_instances: u64,
    /// Triton servers.
    pub servers: u64,
    /// Models on servers.
    pub replicas: u64,
    /// Incidents that are not over and have a member there.
    pub open_incidents: u64,
}

/// A line of the tree of the fleet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Branch {
    /// How deep it stands; a cluster is at 0.
    pub depth: u32,
    /// What it is: a cluster, a zone, a rack or a node.
    pub kind: EntityKind,
    /// Its name; `None` for all of which it is not known.
    pub name: Option<Arc<str>>,
    /// What there is in it.
    pub totals: Totals,
}

/// An incident that is not over, in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OpenIncident {
    /// Its number.
    pub id: IncidentId,
    /// How urgent.
    pub severity: Severity,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: IncidentType,
    /// In one line.
    pub title: String,
}

/// All that is known of one thing of the fleet.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Portrait {
    /// Of what.
    pub entity: Entity,
    /// What it is in, the nearest first.
    pub ancestors: Vec<Entity>,
    /// What is not known of it, a sentence each, with the reason.
    pub unknown: Vec<String>,
    /// What there is in it; `None` for what no nodes are in.
    pub totals: Option<Totals>,
    /// Edges that begin or end at it, the most telling first; as many as fit.
    pub edges: Vec<Edge>,
    /// How many edges there are in truth.
    pub edges_total: u64,
    /// Incidents on it that are not over, the most urgent first; as many as fit.
    pub open: Vec<OpenIncident>,
    /// How many there are in truth.
    pub open_total: u64,
}
