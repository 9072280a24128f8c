//! What stands behind the node's name in a line.

use std::time::Duration;

use gpuwarden_proto::vocab::ModelName;

use super::quantity;
use super::words::Words;
use crate::fault::{Fault, GpuFault, ModelFault, Pattern, Service};

const BURST: Duration = Duration::from_secs(4);

pub(super) fn fault(words: &mut Words) -> Result<Fault, String> {
    let expected = "gpu, model, server or probe";
    let target = words.take(expected, |word| Some(word.to_owned()))?;
    match target.as_str() {
        "gpu" => {
            let index = words.take("a GPU's index, from 0", |word| word.parse().ok())?;
            Ok(Fault::Gpu(index, gpu_fault(words)?))
        }
        "model" => {
            let name = words.take("a model's name", |word| ModelName::new(word).ok())?;
            Ok(Fault::Model(name, model_fault(words)?))
        }
        "server" => Ok(Fault::Server(words.take("gone or back", service)?)),
        "probe" => Ok(Fault::Probe(words.take("gone or back", service)?)),
        other => Err(format!("`{other}` is not something of a node (expected {expected})")),
    }
}

fn service(word: &str) -> Option<Service> {
    match word {
        "gone" => Some(Service::Gone),
        "back" => Some(Service::Back),
        _ => None,
    }
}

fn gpu_fault(words: &mut Words) -> Result<GpuFault, String> {
    let expected = "leak, neighbour, xid, lost or heal";
    let what = words.take(expected, |word| Some(word.to_owned()))?;
    match what.as_str() {
        "leak" => {
            words.literal("pid")?;
            let pid = words.take("a PID", |word| word.parse().ok())?;
            let bytes_per_s = words.take("a rate such as `212MiB/s`", quantity::bytes_per_s)?;
            Ok(GpuFault::Leak { pid, bytes_per_s })
        }
        "neighbour" => {
            let name = words.take("a process's name", |word| Some(word.to_owned()))?;
            let share = words.take("a share from 0 to 1", quantity::share)?;
            Ok(GpuFault::Neighbour { name, share, pattern: pattern(words)? })
        }
        "xid" => Ok(GpuFault::Xid(words.take("an XID", |word| word.parse().ok())?)),
        "lost" => Ok(GpuFault::Lost),
        "heal" => Ok(GpuFault::Heal),
        other => Err(format!("`{other}` is not a GPU fault (expected {expected})")),
    }
}

/// `steady`, `bursts`, or `bursts ON OFF`.
fn pattern(words: &mut Words) -> Result<Pattern, String> {
    if words.take_if("steady") {
        return Ok(Pattern::Steady);
    }
    words.take("`bursts` or `steady`", |word| (word == "bursts").then_some(()))?;
    if words.is_empty() {
        return Ok(Pattern::Bursts { on: BURST, off: BURST });
    }
    let on = words.take("how long it is on, such as `4s`", quantity::duration)?;
    let off = words.take("how long it is off, such as `4s`", quantity::duration)?;
    Ok(Pattern::Bursts { on, off })
}

fn model_fault(words: &mut Words) -> Result<ModelFault, String> {
    let expected = "rate, fails, load-fails, unload, stall or heal";
    let what = words.take(expected, |word| Some(word.to_owned()))?;
    match what.as_str() {
        "rate" => {
            let factor = words.take("a factor such as `3x`", quantity::factor)?;
            let lasting = match words.take_if("for") {
                true => Some(words.take("how long, such as `10s`", quantity::duration)?),
                false => None,
            };
            Ok(ModelFault::Rate { factor, lasting })
        }
        "fails" => Ok(ModelFault::Fails(words.take("a share from 0 to 1", quantity::share)?)),
        "load-fails" => {
            let reason =
                words.take("the server's words in quotes", |word| Some(word.to_owned()))?;
            Ok(ModelFault::LoadFails(reason))
        }
        "unload" => Ok(ModelFault::Unload),
        "stall" => Ok(ModelFault::Stalls),
        "heal" => Ok(ModelFault::Heal),
        other => Err(format!("`{other}` is not a model's fault (expected {expected})")),
    }
}
