//! A node's metrics page in Triton's text form, with what is odd about the real one: both levels of
//! series export every family and leave what is not theirs at 0, failure rows outlive their model,
//! and rows of a family come in no fixed order.

use std::fmt::Write as _;

use gpuwarden_agent::sample::Moment;

use crate::fault::Service;
use crate::model::{Counters, Life, SimModel};
use crate::node::SimNode;

const REASONS: [&str; 4] = ["OTHER", "BACKEND", "CANCELED", "REJECTED"];

/// A counter that the instances of a model export, with its help.
type Family = (&'static str, &'static str, fn(&Counters) -> u64);

/// In the order of a real page; failures stand between the first two and are written apart.
const SUCCESS: Family = (
    "nv_inference_request_success",
    "Number of successful inference requests, all batch sizes",
    |c| c.success,
);
const COUNTERS: [Family; 7] = [
    (
        "nv_inference_count",
        "Number of inferences performed (does not include cached requests)",
        |c| c.success,
    ),
    (
        "nv_inference_exec_count",
        "Number of model executions performed (does not include cached requests)",
        |c| c.executions,
    ),
    (
        "nv_inference_request_duration_us",
        "Cumulative inference request duration in microseconds (includes cached requests)",
        |c| c.request_us,
    ),
    (
        "nv_inference_queue_duration_us",
        "Cumulative inference queuing duration in microseconds (includes cached requests)",
        |c| c.queue_us,
    ),
    (
        "nv_inference_compute_input_duration_us",
        "Cumulative compute input duration in microseconds (does not include cached requests)",
        |c| c.compute_input_us,
    ),
    (
        "nv_inference_compute_infer_duration_us",
        "Cumulative compute inference duration in microseconds (does not include cached requests)",
        |c| c.compute_infer_us,
    ),
    (
        "nv_inference_compute_output_duration_us",
        "Cumulative inference compute output duration in microseconds (does not include cached \
         requests)",
        |c| c.compute_output_us,
    ),
];

/// A page as it grows. Writing to a `String` cannot fail.
struct Page(String);

impl SimNode {
    /// The metrics page at `now`.
    pub fn metrics_page(&mut self, now: Moment) -> String {
        self.advance(now);
        let mut page = Page(String::new());
        page.family(self, SUCCESS);
        page.failures(self);
        for family in COUNTERS {
            page.family(self, family);
        }
        page.pending(self);
        page.gpus(self, now);
        page.host();
        page.0
    }

    /// Models whose rows are on the page, in another order for each family.
    fn shown(&self, family: &str) -> Vec<&SimModel> {
        let mut shown: Vec<_> = self.models.iter().filter(|m| m.life.on_page()).collect();
        let by = family.len() % shown.len().max(1);
        shown.rotate_left(by);
        shown
    }

    /// The label of a model's instance series.
    fn gpu_label(&self, model: &SimModel) -> String {
        let gpu = self.gpus.get(model.spec.gpu as usize);
        gpu.map_or_else(String::new, |gpu| format!("gpu_uuid=\"{}\",", gpu.uuid))
    }
}

impl Page {
    fn line(&mut self, text: std::fmt::Arguments<'_>) {
        let _ = writeln!(self.0, "{text}");
    }

    fn head(&mut self, name: &str, help: &str, kind: &str) {
        self.line(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}"));
    }

    fn family(&mut self, node: &SimNode, (name, help, read): Family) {
        self.head(name, help, "counter");
        for model in node.shown(name) {
            let (gpu, of) = (node.gpu_label(model), labels(model));
            self.line(format_args!("{name}{{{gpu}{of}}} {}", read(&model.counters)));
            self.line(format_args!("{name}{{{of}}} 0"));
        }
    }

    /// All four reasons, on both levels while the model is there and on its own level ever after.
    fn failures(&mut self, node: &SimNode) {
        let name = "nv_inference_request_failure";
        let help = "Number of failed inference requests, all batch sizes";
        self.head(name, help, "counter");
        for model in node.models.iter().filter(|m| !matches!(m.life, Life::Loading { .. })) {
            let (model_name, version) = (&model.spec.name, &model.spec.version);
            for reason in REASONS {
                let of =
                    format!("model=\"{model_name}\",reason=\"{reason}\",version=\"{version}\"");
                if model.life.on_page() {
                    let gpu = node.gpu_label(model);
                    let failed =
                        if reason == "BACKEND" { model.counters.failed_backend } else { 0 };
                    self.line(format_args!("{name}{{{gpu}{of}}} {failed}"));
                }
                self.line(format_args!("{name}{{{of}}} 0"));
            }
        }
    }

    fn pending(&mut self, node: &SimNode) {
        let name = "nv_inference_pending_request_count";
        let help = "Instantaneous number of pending requests awaiting execution per-model.";
        self.head(name, help, "gauge");
        for model in node.shown(name) {
            let (gpu, of) = (node.gpu_label(model), labels(model));
            self.line(format_args!("{name}{{{gpu}{of}}} 0"));
            self.line(format_args!("{name}{{{of}}} {}", model.pending()));
        }
    }

    /// A GPU that is lost keeps its last rows on a real page; here it has none.
    fn gpus(&mut self, node: &SimNode, now: Moment) {
        if node.probe_state == Service::Gone {
            return;
        }
        let here: Vec<_> = node.gpus.iter().filter(|gpu| !gpu.lost).collect();
        self.head("nv_gpu_utilization", "GPU utilization rate [0.0 - 1.0)", "gauge");
        for gpu in &here {
            let busy = node.server_use(gpu);
            self.line(format_args!("nv_gpu_utilization{{gpu_uuid=\"{}\"}} {busy:.2}", gpu.uuid));
        }
        self.head("nv_gpu_memory_total_bytes", "GPU total memory, in bytes", "gauge");
        for gpu in &here {
            let (uuid, bytes) = (&gpu.uuid, gpu.memory(now).total_bytes);
            self.line(format_args!("nv_gpu_memory_total_bytes{{gpu_uuid=\"{uuid}\"}} {bytes}"));
        }
        self.head("nv_gpu_memory_used_bytes", "GPU used memory, in bytes", "gauge");
        for gpu in &here {
            let (uuid, bytes) = (&gpu.uuid, gpu.memory(now).used_bytes);
            self.line(format_args!("nv_gpu_memory_used_bytes{{gpu_uuid=\"{uuid}\"}} {bytes}"));
        }
    }

    fn host(&mut self) {
        self.head(
            "nv_pinned_memory_pool_total_bytes",
            "Pinned memory pool total memory size, in bytes",
            "gauge",
        );
        self.line(format_args!("nv_pinned_memory_pool_total_bytes 268435456"));
        self.head("nv_cpu_utilization", "CPU utilization rate [0.0 - 1.0]", "gauge");
        self.line(format_args!("nv_cpu_utilization 0.2"));
        self.head("nv_cpu_memory_total_bytes", "CPU total memory (RAM), in bytes", "gauge");
        self.line(format_args!("nv_cpu_memory_total_bytes 541165879296"));
    }
}

fn labels(model: &SimModel) -> String {
    format!("model=\"{}\",version=\"{}\"", model.spec.name, model.spec.version)
}

#[cfg(test)]
mod tests;
