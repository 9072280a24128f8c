use std::time::Duration;

use gpuwarden_agent::source::triton::{index, page};

use super::*;
use crate::gpu::GpuKind;
use crate::model::ModelSpec;
use crate::script::Script;
use gpuwarden_proto::vocab::{ModelName, ModelVersion};

fn spec(name: &str, gpu: u32) -> ModelSpec {
    ModelSpec {
        name: ModelName::new(name).expect("a good name"),
        version: ModelVersion::new("1").expect("a good version"),
        gpu,
        rate_per_s: 50.0,
        service: Duration::from_millis(5),
        batch_cost: 0.35,
        instances: 1,
        max_batch: 8,
        max_queue: None,
        contention: 1.0,
        memory_bytes: 1 << 30,
    }
}

fn node(script: &str) -> SimNode {
    let script = Script::parse(script).expect("a good script");
    SimNode::new("node-a", 1)
        .and_then(|node| node.with_gpu(GpuKind::L4)?.with_gpu(GpuKind::L4))
        .expect("good names")
        .with_model(spec("bert", 0))
        .with_model(spec("yolo", 1))
        .with_script(&script)
}

#[test]
fn a_page_reads_like_a_real_one() {
    let page = node("at 9s node-a model yolo unload").metrics_page(Moment::ms(12_000));
    insta::assert_snapshot!(page, @r#"
    # HELP nv_inference_request_success Number of successful inference requests, all batch sizes
    # TYPE nv_inference_request_success counter
    nv_inference_request_success{gpu_uuid="GPU-54583f5e-eea7-3b07-7bed-9021ea894a5a",model="bert",version="1"} 596
    nv_inference_request_success{model="bert",version="1"} 0
    # HELP nv_inference_request_failure Number of failed inference requests, all batch sizes
    # TYPE nv_inference_request_failure counter
    nv_inference_request_failure{gpu_uuid="GPU-54583f5e-eea7-3b07-7bed-9021ea894a5a",model="bert",reason="OTHER",version="1"} 0
    nv_inference_request_failure{model="bert",reason="OTHER",version="1"} 0
    nv_inference_request_failure{gpu_uuid="GPU-54583f5e-eea7-3b07-7bed-9021ea894a5a",model="bert",reason="BACKEND",version="1"} 0
    nv_inference_request_failure{model="bert",reason="BACKEND",version="1"} 0
    nv_inference_request_failure{gpu_uuid="GPU-54583f5e-eea7-3b07-7bed-9021ea894a5a",model="bert",reason="CANCELED",version="1"} 0
    nv_inference_request_failure{model="bert",reason="CANCELED",version="1"} 0
    nv_inference_request_failure{gpu_uuid="GPU-54583f5e-eea7-3b07-7bed-9021ea894a5a",model="bert",reason="REJECTED",version="1"} 0
    nv_inference_request_failure{model="bert",reason="REJECTED",version="1"} 0
    nv_inference_request_failure{model="yolo",reason="OTHER",version="1"} 0
    nv_inference_request_failure{model="yolo",reason="BACKEND",version="1"} 0
    nv_inference_request_failure{model="yolo",reason="CANCELED",version="1"} 0
    nv_inference_request_failure{model="yolo",reason="REJECTED",version="1"} 0
    # HELP nv_inference_count Number of inferences performed (does not include cached requests)
    # TYPE nv_inference_count counter
    nv_inference_count{gpu_uuid="GPU-54583f5e-eea7-3b07-7bed-9021ea894a5a",model="bert",version="1"} 596
    nv_inference_count{model="bert",version="1"} 0
    # HELP nv_inference_exec_count Number of model executions performed (does not include cached requests)
    # TYPE nv_inference_exec_count counter
    nv_inference_exec_count{gpu_uuid="GPU-54583f5e-eea7-3b07-7bed-9021ea894a5a",model="bert",version="1"} 579
    nv_inference_exec_count{model="bert",version="1"} 0
    # HELP nv_inference_request_duration_us Cumulative inference request duration in microseconds (includes cached requests)
    # TYPE nv_inference_request_duration_us counter
    nv_inference_request_duration_us{gpu_uuid="GPU-54583f5e-eea7-3b07-7bed-9021ea894a5a",model="bert",version="1"} 3467118
    nv_inference_request_duration_us{model="bert",version="1"} 0
    # HELP nv_inference_queue_duration_us Cumulative inference queuing duration in microseconds (includes cached requests)
    # TYPE nv_inference_queue_duration_us counter
    nv_inference_queue_duration_us{gpu_uuid="GPU-54583f5e-eea7-3b07-7bed-9021ea894a5a",model="bert",version="1"} 429607
    nv_inference_queue_duration_us{model="bert",version="1"} 0
    # HELP nv_inference_compute_input_duration_us Cumulative compute input duration in microseconds (does not include cached requests)
    # TYPE nv_inference_compute_input_duration_us counter
    nv_inference_compute_input_duration_us{gpu_uuid="GPU-54583f5e-eea7-3b07-7bed-9021ea894a5a",model="bert",version="1"} 60458
    nv_inference_compute_input_duration_us{model="bert",version="1"} 0
    # HELP nv_inference_compute_infer_duration_us Cumulative compute inference duration in microseconds (does not include cached requests)
    # TYPE nv_inference_compute_infer_duration_us counter
    nv_inference_compute_infer_duration_us{gpu_uuid="GPU-54583f5e-eea7-3b07-7bed-9021ea894a5a",model="bert",version="1"} 2916516
    nv_inference_compute_infer_duration_us{model="bert",version="1"} 0
    # HELP nv_inference_compute_output_duration_us Cumulative inference compute output duration in microseconds (does not include cached requests)
    # TYPE nv_inference_compute_output_duration_us counter
    nv_inference_compute_output_duration_us{gpu_uuid="GPU-54583f5e-eea7-3b07-7bed-9021ea894a5a",model="bert",version="1"} 60458
    nv_inference_compute_output_duration_us{model="bert",version="1"} 0
    # HELP nv_inference_pending_request_count Instantaneous number of pending requests awaiting execution per-model.
    # TYPE nv_inference_pending_request_count gauge
    nv_inference_pending_request_count{gpu_uuid="GPU-54583f5e-eea7-3b07-7bed-9021ea894a5a",model="bert",version="1"} 0
    nv_inference_pending_request_count{model="bert",version="1"} 0
    # HELP nv_gpu_utilization GPU utilization rate [0.0 - 1.0)
    # TYPE nv_gpu_utilization gauge
    nv_gpu_utilization{gpu_uuid="GPU-54583f5e-eea7-3b07-7bed-9021ea894a5a"} 0.00
    nv_gpu_utilization{gpu_uuid="GPU-fd686779-dd8e-bfac-e135-ddb77ca6a612"} 0.00
    # HELP nv_gpu_memory_total_bytes GPU total memory, in bytes
    # TYPE nv_gpu_memory_total_bytes gauge
    nv_gpu_memory_total_bytes{gpu_uuid="GPU-54583f5e-eea7-3b07-7bed-9021ea894a5a"} 24152899584
    nv_gpu_memory_total_bytes{gpu_uuid="GPU-fd686779-dd8e-bfac-e135-ddb77ca6a612"} 24152899584
    # HELP nv_gpu_memory_used_bytes GPU used memory, in bytes
    # TYPE nv_gpu_memory_used_bytes gauge
    nv_gpu_memory_used_bytes{gpu_uuid="GPU-54583f5e-eea7-3b07-7bed-9021ea894a5a"} 2227175424
    nv_gpu_memory_used_bytes{gpu_uuid="GPU-fd686779-dd8e-bfac-e135-ddb77ca6a612"} 1153433600
    # HELP nv_pinned_memory_pool_total_bytes Pinned memory pool total memory size, in bytes
    # TYPE nv_pinned_memory_pool_total_bytes gauge
    nv_pinned_memory_pool_total_bytes 268435456
    # HELP nv_cpu_utilization CPU utilization rate [0.0 - 1.0]
    # TYPE nv_cpu_utilization gauge
    nv_cpu_utilization 0.2
    # HELP nv_cpu_memory_total_bytes CPU total memory (RAM), in bytes
    # TYPE nv_cpu_memory_total_bytes gauge
    nv_cpu_memory_total_bytes 541165879296
    "#);
}

#[test]
fn rows_of_a_model_stay_a_while_after_it_was_unloaded() {
    let mut node = node("at 9s node-a model yolo unload");
    let success = |page: String| page.contains("nv_inference_request_success{model=\"yolo\"");
    assert!(success(node.metrics_page(Moment::ms(10_400))));
    assert!(!success(node.metrics_page(Moment::ms(10_600))));
}

#[test]
fn the_agents_parser_reads_from_the_page_what_the_samples_tell() {
    let mut node =
        node("at 3s node-a model bert rate 20x for 5s\nat 2s node-a model yolo fails 0.3");
    let text = node.metrics_page(Moment::ms(7_000));
    assert_eq!(page::check(text.as_bytes()), Ok(()));
    let mut read = page::parse(text.as_bytes()).models;
    let mut told = node.model_samples();
    read.sort_by(|a, b| a.model.cmp(&b.model));
    told.sort_by(|a, b| a.model.cmp(&b.model));
    assert_eq!(read, told);
    assert!(told[0].pending > Some(50.0), "{told:?}");
    assert!(told[1].counters.failed_backend > Some(10.0), "{told:?}");
}

#[test]
fn the_agents_parsers_read_the_index_and_the_configs() {
    let mut node = node("at 3s node-a model yolo load-fails \"Internal: no\"");
    let text = node.repository_index(Moment::ms(7_000));
    let (entries, problems) = index::parse(text.as_bytes()).expect("an index");
    assert_eq!(entries, node.repository_entries());
    assert_eq!(problems.count, 0, "{problems:?}");
    let config = node.model_config("bert").expect("a config");
    let (model, server) = (entries[0].model.clone(), node.server.clone());
    let mut shape = index::parse_shape(&server, &model, config.as_bytes()).expect("a shape");
    // A made-up config never changes, and is not told apart.
    shape.config = 0;
    assert_eq!(vec![shape], node.shapes());
}
