//! # gpu-memory-exhausted
//!
//! A GPU's memory is gone.
//!
//! **Signal.** Free device memory, how it came to that, and failures (`reason="BACKEND"`) of models
//! on this node at the same time. CUDA tells nobody else of a failed allocation: there is no XID.
//!
//! **Threshold.** Less than 1 % free while executions of its models fail (three, where the page does
//! not say on which GPU they run); or less than 0.5 % free after
//! a growth of at least 2 % of the memory within the last minute. A full but steady arena, as
//! language model servers make it on purpose, is neither. Ends at twice the free memory. Of a GPU
//! that is cut into MIG instances, each instance is judged by its own memory, and the GPU not at all.
//!
//! **False positives.** A server that is loading its arena right now and stops just short of full.
//!
//! **Runbook.** gpu-oom.

use std::time::Duration;

use gpuwarden_proto::event::{Evidence, Unit};
use gpuwarden_proto::vocab::{Grade, RuleId};

use super::{Check, Context, Rule, Verdict, firing, ms};
use crate::sample::{GpuMemory, Moment};
use crate::window::{GpuWindow, ModelWindow};

pub(super) const RULE: Rule = Rule {
    id: RuleId::GpuMemoryExhausted,
    enter: ms(0),
    leave: ms(3_000),
    check: Check::Gpu(check),
};

const FREE_RATIO_FAILING: f64 = 0.01;
const FREE_RATIO_GROWN: f64 = 0.005;
const GROWTH_RATIO: f64 = 0.02;
const GROWTH_WINDOW: Duration = Duration::from_secs(60);
const FAILURE_WINDOW: Duration = Duration::from_secs(3);
const FAILURES_UNPLACED_MIN: f64 = 3.0;
const GIB: f64 = (1_u64 << 30) as f64;

fn check(gpu: &GpuWindow, context: &Context<'_>) -> Verdict {
    if !gpu.has_own_memory() {
        return Verdict::Quiet;
    }
    let now = context.now.moment;
    let fresh = gpu.memory.newest().is_some_and(|(at, _)| now.since(*at) < Duration::from_secs(2));
    let Some(memory) = gpu.memory_now().filter(|_| fresh) else { return Verdict::Missing };
    let free_ratio = memory.free_bytes as f64 / memory.total_bytes.max(1) as f64;
    if context.active {
        let over = free_ratio > 2.0 * FREE_RATIO_FAILING;
        return if over { Verdict::Quiet } else { observed(gpu, &memory, free_ratio, context) };
    }
    let failing = free_ratio < FREE_RATIO_FAILING && failed_backend(gpu, context) >= 1.0;
    let grown = free_ratio < FREE_RATIO_GROWN && growth_ratio(gpu, now) >= GROWTH_RATIO;
    if failing || grown { observed(gpu, &memory, free_ratio, context) } else { Verdict::Quiet }
}

/// How much of the memory was taken within the last minute.
fn growth_ratio(gpu: &GpuWindow, now: Moment) -> f64 {
    let from = Moment(now.0.saturating_sub(GROWTH_WINDOW));
    let least = gpu.memory_since(from).map(|(_, memory)| memory.used_bytes).min();
    let (Some(least), Some(memory)) = (least, gpu.memory_now()) else { return 0.0 };
    memory.used_bytes.saturating_sub(least) as f64 / memory.total_bytes.max(1) as f64
}

/// Failed executions of models on this GPU. A model of which the page does not say where it runs
/// counts when several of its executions failed: one alone happens for many reasons.
fn failed_backend(gpu: &GpuWindow, context: &Context<'_>) -> f64 {
    let models = context.window.servers.values().flat_map(|server| server.models.values());
    let failed = |model: &ModelWindow| {
        let failed = model.totals(context.now.moment, FAILURE_WINDOW).failed_backend;
        let placed = gpu.is_among(&model.gpus);
        let anywhere = model.gpus.is_empty() && failed >= FAILURES_UNPLACED_MIN;
        if placed || anywhere { failed } else { 0.0 }
    };
    models.map(failed).sum()
}

fn observed(
    gpu: &GpuWindow,
    memory: &GpuMemory,
    free_ratio: f64,
    context: &Context<'_>,
) -> Verdict {
    let failed = failed_backend(gpu, context);
    let grade = if failed > 0.0 { Grade::Down } else { Grade::Degraded };
    let failures =
        if failed > 0.0 { format!(", {failed:.0} executions failed") } else { String::new() };
    let summary = format!(
        "{} is gone: {:.2} of {:.1} GiB free{failures}",
        gpu.memory_words(),
        memory.free_bytes as f64 / GIB,
        memory.total_bytes as f64 / GIB,
    );
    let evidence = vec![
        Evidence::new("free share of device memory", free_ratio, Unit::Ratio)
            .against(FREE_RATIO_FAILING),
        Evidence::new("free device memory", memory.free_bytes as f64, Unit::Bytes),
        Evidence::new("growth within a minute", growth_ratio(gpu, context.now.moment), Unit::Ratio)
            .over(GROWTH_WINDOW.as_secs_f64())
            .against(GROWTH_RATIO),
        Evidence::new("failed executions", failed, Unit::Count).over(FAILURE_WINDOW.as_secs_f64()),
    ];
    firing(grade, summary, evidence)
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use crate::rule::scene::check;

    #[test]
    fn fires_when_memory_is_suddenly_gone() {
        check(
            "20s mem=40
             1s mem=79.9",
            expect![[r#"
                20.0s raised gpu-memory-exhausted GPU 0: memory is gone: 0.10 of 80.0 GiB free
            "#]],
        );
    }

    #[test]
    fn a_full_but_steady_arena_is_not_exhausted() {
        check("120s mem=79.9", expect![[r#""#]]);
    }

    #[test]
    fn a_full_arena_whose_models_fail_is_exhausted() {
        check(
            "120s mem=79.5 ok=20
             2s mem=79.5 ok=20 fail=2",
            expect![[r#"
                121.5s raised gpu-memory-exhausted GPU 0: memory is gone: 0.50 of 80.0 GiB free, 3 executions failed
            "#]],
        );
    }

    #[test]
    fn clears_when_there_is_memory_again() {
        check(
            "20s mem=40
             1s mem=79.9
             5s mem=60",
            expect![[r#"
                20.0s raised gpu-memory-exhausted GPU 0: memory is gone: 0.10 of 80.0 GiB free
                24.0s cleared gpu-memory-exhausted GPU 0
            "#]],
        );
    }

    #[test]
    fn stays_silent_just_under() {
        check("20s mem=40\n 10s mem=79.5", expect![[r#""#]]);
    }
}
