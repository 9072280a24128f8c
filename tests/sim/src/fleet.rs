//! The four nodes of the demo, 16 GPUs and 6 models with replicas, and what befalls them.

use std::time::Duration;

use gpuwarden_proto::vocab::{ModelName, ModelVersion};

use crate::gpu::GpuKind;
use crate::model::ModelSpec;
use crate::node::SimNode;
use crate::process::Process;
use crate::script::Script;

/// The demo's script: five kinds of trouble within 80 seconds.
pub const DEMO_SCRIPT: &str = include_str!("fleet/demo.txt");

const GIB: u64 = 1024 * 1024 * 1024;
const GPUS: u32 = 4;

/// A replica of a model: which, where.
type Replica = (&'static Kind, u32);

/// A model of the demo.
struct Kind {
    name: &'static str,
    rate_per_s: f64,
    service_ms: u64,
    instances: u32,
    max_batch: u32,
    memory_gib: u64,
}

const BERT: Kind = Kind {
    name: "bert-large",
    rate_per_s: 60.0,
    service_ms: 9,
    instances: 2,
    max_batch: 8,
    memory_gib: 6,
};
const RESNET: Kind = Kind {
    name: "resnet50",
    rate_per_s: 80.0,
    service_ms: 6,
    instances: 2,
    max_batch: 8,
    memory_gib: 3,
};
const WHISPER: Kind = Kind {
    name: "whisper-small",
    rate_per_s: 25.0,
    service_ms: 45,
    instances: 2,
    max_batch: 4,
    memory_gib: 8,
};
const T5: Kind = Kind {
    name: "t5-summarizer",
    rate_per_s: 20.0,
    service_ms: 30,
    instances: 2,
    max_batch: 4,
    memory_gib: 12,
};
const YOLO: Kind = Kind {
    name: "yolo-v8",
    rate_per_s: 120.0,
    service_ms: 4,
    instances: 2,
    max_batch: 16,
    memory_gib: 4,
};
const RERANKER: Kind = Kind {
    name: "reranker",
    rate_per_s: 40.0,
    service_ms: 8,
    instances: 1,
    max_batch: 16,
    memory_gib: 5,
};

/// The demo's nodes with the demo's script ahead of them.
pub fn demo(seed: u64) -> Vec<SimNode> {
    let script = Script::parse(DEMO_SCRIPT).expect("the demo's script is tested");
    healthy(seed).into_iter().map(|node| node.with_script(&script)).collect()
}

/// The demo's nodes with nothing ahead of them.
pub fn healthy(seed: u64) -> Vec<SimNode> {
    let worker = Process::holding(4_312, "trt-worker", "bert-large.service", 64 * GIB);
    vec![
        node(
            "node-a",
            GpuKind::H100,
            seed,
            &[(&RESNET, 0), (&YOLO, 1), (&BERT, 2), (&RERANKER, 3)],
        )
        .with_process(2, worker),
        node("node-b", GpuKind::A100, seed, &[(&RESNET, 0), (&T5, 2), (&YOLO, 3)]),
        node("node-c", GpuKind::L4, seed, &[(&BERT, 0), (&WHISPER, 2), (&RERANKER, 3)]),
        node("node-d", GpuKind::H100, seed, &[(&RESNET, 0), (&T5, 1), (&WHISPER, 3)]),
    ]
}

fn node(name: &str, kind: GpuKind, seed: u64, replicas: &[Replica]) -> SimNode {
    let empty = SimNode::new(name, seed).expect("a constant name is good");
    let add = |node: SimNode, _| node.with_gpu(kind).expect("a UUID made of hex digits is good");
    let racked = (0..GPUS).fold(empty, add);
    replicas.iter().fold(racked, |node, (kind, gpu)| node.with_model(spec(kind, *gpu)))
}

fn spec(kind: &Kind, gpu: u32) -> ModelSpec {
    ModelSpec {
        name: ModelName::new(kind.name).expect("a constant name is good"),
        version: ModelVersion::new("1").expect("a constant version is good"),
        gpu,
        rate_per_s: kind.rate_per_s,
        service: Duration::from_millis(kind.service_ms),
        batch_cost: 0.35,
        instances: kind.instances,
        max_batch: kind.max_batch,
        max_queue: None,
        contention: 1.0,
        memory_bytes: kind.memory_gib * GIB,
    }
}

#[cfg(test)]
mod tests;
