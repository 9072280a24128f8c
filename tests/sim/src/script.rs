//! Faults as text, one a line, so that a new scenario is a text file:
//!
//! ```text
//! # comment
//! at 10s node-a gpu 2 leak pid 4312 212MiB/s
//! at 20s node-b model resnet50 rate 3x for 10s
//! at 30s node-b gpu 0 neighbour train-job 0.9 bursts 4s 4s
//! at 30s node-b gpu 1 neighbour train-job 0.5 steady
//! at 45s node-c model bert-large fails 0.2
//! at 50s node-c model bert-large load-fails "Internal: weights missing"
//! at 60s node-d gpu 1 xid 79
//! at 61s node-d gpu 1 lost
//! at 70s node-a gpu 2 heal
//! ```
//!
//! A model can also `unload`, `stall` and `heal`; `server` and `probe` are `gone` or `back`.

mod fault;
mod quantity;
mod words;

use std::fmt;
use std::time::Duration;

use gpuwarden_agent::sample::Moment;
use gpuwarden_proto::vocab::NodeId;
use words::Words;

use crate::fault::Fault;
use crate::node::SimNode;

/// What befalls which node when.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Script {
    /// In the order of the file.
    pub steps: Vec<Step>,
}

/// One line of a script.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Its line, from 1.
    pub line: usize,
    /// When, counted from the start.
    pub at: Duration,
    /// To whom.
    pub node: NodeId,
    /// What.
    pub fault: Fault,
}

/// A line that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptError {
    /// Its line, from 1.
    pub line: usize,
    /// What is wrong and what is expected.
    pub fault: String,
}

impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.fault)
    }
}

impl std::error::Error for ScriptError {}

impl Script {
    /// Reads a script, or tells of every line that cannot be used.
    pub fn parse(text: &str) -> Result<Self, Vec<ScriptError>> {
        let (mut steps, mut errors) = (Vec::new(), Vec::new());
        for (line, text) in (1..).zip(text.lines()) {
            match step(line, text) {
                Ok(step) => steps.extend(step),
                Err(fault) => errors.push(ScriptError { line, fault }),
            }
        }
        if errors.is_empty() { Ok(Self { steps }) } else { Err(errors) }
    }

    /// The faults of one node.
    pub fn faults_of(&self, node: &NodeId) -> impl Iterator<Item = (Moment, Fault)> {
        let steps = self.steps.iter().filter(move |step| step.node == *node);
        steps.map(|step| (Moment(step.at), step.fault.clone()))
    }

    /// Lines that name what none of these nodes has.
    pub fn check(&self, nodes: &[SimNode]) -> Vec<ScriptError> {
        let missing = |step: &Step| {
            let Some(node) = nodes.iter().find(|node| node.id == step.node) else {
                return Some(format!("there is no node `{}`", step.node));
            };
            match &step.fault {
                Fault::Gpu(index, _) if node.gpus().len() <= *index as usize => {
                    Some(format!("{} has no GPU {index} (it has {})", node.id, node.gpus().len()))
                }
                Fault::Model(name, _) if !node.models().iter().any(|m| m.spec.name == *name) => {
                    Some(format!("{} has no model `{name}`", node.id))
                }
                Fault::Gpu(..) | Fault::Model(..) | Fault::Server(_) | Fault::Probe(_) => None,
            }
        };
        let error = |step| missing(step).map(|fault| ScriptError { line: step.line, fault });
        self.steps.iter().filter_map(error).collect()
    }
}

/// Reads one line; `None` for one that says nothing.
fn step(line: usize, text: &str) -> Result<Option<Step>, String> {
    let mut words = Words::new(text)?;
    if words.is_empty() {
        return Ok(None);
    }
    words.literal("at")?;
    let at = words.take("a time such as `10s`", quantity::duration)?;
    let node = words.take("a node", |word| NodeId::new(word).ok())?;
    let fault = fault::fault(&mut words)?;
    words.end()?;
    Ok(Some(Step { line, at, node, fault }))
}

#[cfg(test)]
mod tests;
