mod again;
mod elsewhere;
mod here;
mod kept;
mod loss;
mod order;
mod properties;
mod severity;
mod twice;
mod wholes;

use std::collections::HashMap;

use gpuwarden_proto::entity::Entity;
use gpuwarden_proto::vocab::{IncidentId, ModelName, Severity};

use super::*;
use crate::testing::{Stage, at};

fn play(script: &str) -> String {
    Stage::new(Policy::default()).play(script).shown()
}

fn topology(text: &str) -> Policy {
    let topology = Topology::parse("topology.toml", text).unwrap();
    Policy { topology, ..Policy::default() }
}
