//! # gpu-memory-exhausting
//!
//! A GPU's memory will be gone soon at the pace at which it is being taken.
//!
//! **Signal.** Growth of used device memory over the last 10 s: the median of the slopes between
//! readings (Theil and Sen), so that one step does not look like a trend.
//!
//! **Threshold.** Growth in at least four of five equal parts of the window, and less than
//! `rules.exhaustion_horizon` (60 s) to the end at this pace. Ends when the pace would take three
//! times as long. Of a GPU that is cut into MIG instances, each instance is judged, and the GPU not.
//!
//! **False positives.** A server that loads a model takes memory quickly and stops. So nothing is
//! said while a model of this node is loading, nor of a process that was first seen less than 30 s
//! ago.
//!
//! **Runbook.** gpu-oom.

use std::time::Duration;

use gpuwarden_proto::event::{Evidence, Subject, Suspect, Unit};
use gpuwarden_proto::vocab::{Grade, RuleId};

use super::{Check, Context, Observation, Rule, Verdict, ms};
use crate::sample::{GpuProcess, Moment};
use crate::window::{GpuWindow, Presence};

pub(super) const RULE: Rule = Rule {
    id: RuleId::GpuMemoryExhausting,
    enter: ms(0),
    leave: ms(5_000),
    check: Check::Gpu(check),
};

const WINDOW: Duration = Duration::from_secs(10);
const READINGS_MIN: usize = 10;
const READINGS_MAX: usize = 30;
const PARTS: usize = 5;
const YOUNG: Duration = Duration::from_secs(30);
const MIB: f64 = (1_u64 << 20) as f64;

fn check(gpu: &GpuWindow, context: &Context<'_>) -> Verdict {
    if !gpu.has_own_memory() {
        return Verdict::Quiet;
    }
    let now = context.now.moment;
    let readings = readings(gpu, now);
    let covers = readings.first().is_some_and(|(at, _)| now.0.as_secs_f64() - at >= 9.0);
    let (Some(memory), true) = (gpu.memory_now(), covers) else { return Verdict::Missing };
    if readings.len() < READINGS_MIN || (loading(context) && !context.active) {
        return Verdict::Missing;
    }
    let slope = median_slope(&readings);
    let horizon_s = context.thresholds.exhaustion_horizon.as_secs_f64();
    let limit_s = if context.active { 3.0 * horizon_s } else { horizon_s };
    let left_s = memory.free_bytes as f64 / slope;
    if slope <= 0.0
        || left_s > limit_s
        || !(context.active || growing_parts(&readings) >= PARTS - 1)
    {
        return Verdict::Quiet;
    }
    let taker = taker(gpu);
    if taker.is_some_and(|process| !context.active && young(gpu, process, now)) {
        return Verdict::Missing;
    }
    observed(gpu, taker, slope, left_s, horizon_s)
}

/// Seconds and used bytes within the window, thinned out, oldest first.
fn readings(gpu: &GpuWindow, now: Moment) -> Vec<(f64, f64)> {
    let from = Moment(now.0.saturating_sub(WINDOW));
    let all: Vec<(f64, f64)> = gpu
        .memory_since(from)
        .map(|(at, memory)| (at.0.as_secs_f64(), memory.used_bytes as f64))
        .collect();
    let every = all.len().div_ceil(READINGS_MAX).max(1);
    all.into_iter().step_by(every).collect()
}

/// Theil and Sen's slope in bytes per second: the median over all pairs of readings.
fn median_slope(readings: &[(f64, f64)]) -> f64 {
    let mut slopes = Vec::with_capacity(readings.len() * readings.len() / 2);
    for (nth, (at, used)) in readings.iter().enumerate() {
        for (later, more) in &readings[nth + 1..] {
            slopes.push((more - used) / (later - at).max(1e-3));
        }
    }
    slopes.sort_by(f64::total_cmp);
    slopes.get(slopes.len() / 2).copied().unwrap_or(0.0)
}

/// In how many of the window's parts memory grew.
fn growing_parts(readings: &[(f64, f64)]) -> usize {
    let size = (readings.len() / PARTS).max(1);
    let starts: Vec<f64> = readings.chunks(size).take(PARTS).map(|part| part[0].1).collect();
    let end = readings.last().map_or(0.0, |(_, used)| *used);
    starts.windows(2).filter(|pair| pair[1] > pair[0]).count()
        + usize::from(starts.last().is_some_and(|last| end > *last))
}

fn loading(context: &Context<'_>) -> bool {
    let mut models = context.window.servers.values().flat_map(|server| server.models.values());
    models.any(|model| model.availability.presence == Presence::Loading)
}

/// The process with most memory: the likeliest taker, as far as the last listing tells.
fn taker(gpu: &GpuWindow) -> Option<&GpuProcess> {
    gpu.processes.iter().max_by_key(|process| process.used_bytes)
}

fn young(gpu: &GpuWindow, process: &GpuProcess, now: Moment) -> bool {
    let first = gpu.first_listed.get(&process.pid);
    // A process that was there when the agent first looked may be of any age.
    first.is_some_and(|first| *first > Moment(YOUNG) && now.since(*first) < YOUNG)
}

fn observed(
    gpu: &GpuWindow,
    taker: Option<&GpuProcess>,
    slope: f64,
    left_s: f64,
    horizon_s: f64,
) -> Verdict {
    let by = taker.map_or(String::new(), |process| {
        let name = if process.name.is_empty() { "process" } else { &process.name };
        format!(" (pid {}, {name})", process.pid)
    });
    let suspect = |process: &GpuProcess| Suspect {
        subject: Subject::Process {
            gpu: gpu.uuid.clone(),
            pid: process.pid,
            start_ticks: process.start_ticks,
            name: process.name.clone(),
        },
        owner: process.owner.clone(),
        confidence: 0.5,
    };
    Verdict::Firing(Observation {
        grade: Grade::Warning,
        summary: format!(
            "{} gone in {left_s:.0} s at {:.0} MiB/s{by}",
            gpu.memory_words(),
            slope / MIB
        ),
        evidence: vec![
            Evidence::new("time to exhaustion", left_s, Unit::Seconds).against(horizon_s),
            Evidence::new("growth", slope, Unit::BytesPerSecond).over(WINDOW.as_secs_f64()),
        ],
        suspects: taker.map(suspect).into_iter().collect(),
    })
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use crate::rule::scene::check;

    #[test]
    fn fires_when_memory_will_be_gone_within_the_horizon() {
        check(
            "30s mem=66
             12s mem=+0.25",
            expect![[r#"
                36.5s raised gpu-memory-exhausting GPU 0: memory gone in 59 s at 215 MiB/s (pid 100, tritonserver)
            "#]],
        );
    }

    #[test]
    fn stays_silent_on_a_slow_growth() {
        check("30s mem=20\n 60s mem=+0.1", expect![[r#""#]]);
    }

    #[test]
    fn a_step_is_no_trend() {
        check("30s mem=20\n 30s mem=70", expect![[r#""#]]);
    }

    #[test]
    fn a_model_that_is_loading_takes_memory_and_stops() {
        check(
            "30s mem=20 index=loading page=empty\n 12s mem=+2 index=loading page=empty",
            expect![[r#""#]],
        );
    }

    #[test]
    fn clears_when_the_growth_ends() {
        check(
            "30s mem=66
             12s mem=+0.25
             20s mem=69",
            expect![[r#"
                36.5s raised gpu-memory-exhausting GPU 0: memory gone in 59 s at 215 MiB/s (pid 100, tritonserver)
                53.1s cleared gpu-memory-exhausting GPU 0
            "#]],
        );
    }
}
