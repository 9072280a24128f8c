//! # noisy-neighbour
//!
//! Another process on the same GPU slows a model.
//!
//! **Signal.** The victim: computing time per request by second, never queue or end-to-end time,
//! which its own load moves. The suspect: the share of the GPU that a process uses by second, except
//! the model's own server.
//!
//! **Threshold.** Seconds are split by whether the suspect was busy. Blamed is a process when the
//! median of the victim's computing time is 1.25 times as long while it is busy, with a correlation
//! of at least 0.35, over at least 120 s with a quarter of them on each side. A contrast of 1.5 with
//! a correlation of 0.6 needs 30 s, with 8 s on each side. Of two suspects the first must be ahead
//! of the second by a tenth. Source of the figures: a simulation of the false blame of bursty
//! suspects at a correlation of 0.35, which is 45 % with 30 samples and under 1 % with 180.
//!
//! **Not blamed** is anybody while the GPU throttles itself, while the server's own CPU quota is
//! used up, or within a minute of an XID. A process that is always busy cannot be told this way.
//!
//! **False positives.** A victim whose own inputs change in step with the suspect.
//!
//! **Runbook.** noisy-neighbour.

use std::time::Duration;

use gpuwarden_proto::event::{Evidence, Subject, Suspect, Unit};
use gpuwarden_proto::vocab::{Grade, RuleId};

use super::{Check, Context, Observation, Rule, Verdict, ms};
use crate::sample::GpuProcess;
use crate::window::{GpuWindow, ModelWindow};

pub(super) const RULE: Rule = Rule {
    id: RuleId::NoisyNeighbour,
    enter: ms(2_000),
    leave: ms(20_000),
    check: Check::Model(check),
};

/// A suspect uses at least this share of the GPU when it is busy.
const USE_MIN: f64 = 0.2;
/// Hardware slowdown, thermal slowdown (software and hardware) and power brake, as NVML has them.
const THROTTLE_BITS: u64 = 0x8 | 0x20 | 0x40 | 0x80;
/// A suspect that was not busy within this many seconds has left.
const PRESENT_SECONDS: usize = 30;
/// Seconds looked at.
const SECONDS: u64 = 180;
/// Evidence is weighed: a strong contrast needs fewer seconds than a slight one.
const DEMANDS: [Demand; 2] = [
    Demand { seconds: 30, side: 8, contrast: 1.5, correlation: 0.6 },
    Demand { seconds: 120, side: 30, contrast: 1.25, correlation: 0.35 },
];

struct Demand {
    seconds: usize,
    side: usize,
    contrast: f64,
    correlation: f64,
}

/// What a suspect's comings and goings do to the victim.
struct Contrast<'w> {
    gpu: &'w GpuWindow,
    pid: u32,
    seconds: usize,
    ratio: f64,
    correlation: f64,
    busy_s: f64,
    calm_s: f64,
    side: usize,
}

fn check(model: &ModelWindow, context: &Context<'_>) -> Verdict {
    if model.service_by_second.is_empty() {
        return Verdict::Missing;
    }
    let mut contrasts: Vec<Contrast<'_>> = context
        .window
        .gpus
        .values()
        .filter(|gpu| shares(model, gpu, context) && !excused(gpu, context))
        .flat_map(|gpu| contrasts(model, gpu, context))
        .collect();
    contrasts.sort_by(|a, b| b.ratio.total_cmp(&a.ratio));
    let Some(worst) = contrasts.first() else { return Verdict::Quiet };
    let proven = DEMANDS.iter().any(|demand| meets(worst, demand));
    let second = contrasts.get(1).map_or(1.0, |second| second.ratio);
    if !proven || worst.ratio < second * 1.1 {
        return Verdict::Quiet;
    }
    observed(model, worst)
}

/// Whether the model may run on this GPU. Where the page does not say, it may run where its server
/// holds memory, and on the only GPU there is. MIG instances of one GPU do not share their cores: what
/// is busy on another is no neighbour.
fn shares(model: &ModelWindow, gpu: &GpuWindow, context: &Context<'_>) -> bool {
    if !gpu.has_own_memory() {
        return false;
    }
    if !model.gpus.is_empty() {
        return gpu.is_among(&model.gpus);
    }
    context.window.gpus.len() == 1 || gpu.processes.iter().any(GpuProcess::is_server)
}

fn excused(gpu: &GpuWindow, context: &Context<'_>) -> bool {
    let now = context.now.moment;
    let throttled = gpu.throttle_bits.is_some_and(|bits| bits & THROTTLE_BITS != 0);
    let xid = gpu.xids.iter().any(|xid| now.since(xid.last_at) < Duration::from_secs(60));
    let host = context.window.host.as_ref();
    let quota = host.and_then(|(_, host)| host.server_throttled_ratio);
    throttled || xid || quota.is_some_and(|ratio| ratio > 0.05)
}

fn contrasts<'w>(
    model: &ModelWindow,
    gpu: &'w GpuWindow,
    context: &Context<'_>,
) -> Vec<Contrast<'w>> {
    let own =
        |pid: u32| gpu.processes.iter().any(|process| process.pid == pid && process.is_server());
    let from = context.now.moment.0.as_secs().saturating_sub(SECONDS);
    gpu.use_by_process
        .iter()
        .filter(|(pid, _)| !own(**pid))
        .filter_map(|(pid, used)| {
            let pairs: Vec<(f64, f64)> = model
                .service_by_second
                .oldest_first()
                .filter(|(second, _)| *second >= from)
                .filter_map(|(second, service)| {
                    let used = used.oldest_first().find(|(at, _)| at == second)?;
                    Some((used.1, *service))
                })
                .collect();
            contrast(gpu, *pid, &pairs)
        })
        .collect()
}

/// Splits the pairs of (use, computing time) at the middle of the use and compares both sides.
fn contrast<'w>(gpu: &'w GpuWindow, pid: u32, pairs: &[(f64, f64)]) -> Option<Contrast<'w>> {
    let most = pairs.iter().map(|(used, _)| *used).fold(f64::MIN, f64::max);
    let least = pairs.iter().map(|(used, _)| *used).fold(f64::MAX, f64::min);
    if pairs.is_empty() || most - least < USE_MIN {
        return None;
    }
    let middle = f64::midpoint(most, least);
    // Who has left slows nobody any more, whatever the last minutes show.
    if !pairs.iter().rev().take(PRESENT_SECONDS).any(|(used, _)| *used >= middle) {
        return None;
    }
    let (busy, calm): (Vec<_>, Vec<_>) = pairs.iter().partition(|(used, _)| *used >= middle);
    let (busy_s, calm_s) = (median(&busy)?, median(&calm)?);
    Some(Contrast {
        gpu,
        pid,
        seconds: pairs.len(),
        ratio: busy_s / calm_s,
        correlation: correlation(pairs),
        busy_s,
        calm_s,
        side: busy.len().min(calm.len()),
    })
}

fn median(pairs: &[(f64, f64)]) -> Option<f64> {
    let mut values: Vec<f64> = pairs.iter().map(|(_, service)| *service).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().filter(|value| *value > 0.0)
}

/// Pearson's.
fn correlation(pairs: &[(f64, f64)]) -> f64 {
    let n = pairs.len() as f64;
    let mean = |pick: fn(&(f64, f64)) -> f64| pairs.iter().map(pick).sum::<f64>() / n;
    let (mean_x, mean_y) = (mean(|pair| pair.0), mean(|pair| pair.1));
    let (mut xy, mut xx, mut yy) = (0.0, 0.0, 0.0);
    for (x, y) in pairs {
        xy += (x - mean_x) * (y - mean_y);
        xx += (x - mean_x).powi(2);
        yy += (y - mean_y).powi(2);
    }
    if xx * yy > 0.0 { xy / (xx * yy).sqrt() } else { 0.0 }
}

fn meets(contrast: &Contrast<'_>, demand: &Demand) -> bool {
    contrast.seconds >= demand.seconds
        && contrast.side >= demand.side
        && contrast.ratio >= demand.contrast
        && contrast.correlation >= demand.correlation
}

fn observed(model: &ModelWindow, contrast: &Contrast<'_>) -> Verdict {
    let Contrast { gpu, pid, ratio, correlation, seconds, .. } = contrast;
    let process = gpu.processes.iter().find(|process| process.pid == *pid);
    let name = process.map_or("a process", |process| process.name.as_str());
    let summary = format!(
        "{} is {ratio:.1} times slower while {name} (pid {pid}) is busy on {} (r {correlation:.2})",
        model.key.model,
        gpu.subject(),
    );
    let window_s = *seconds as f64;
    let suspect = Suspect {
        subject: Subject::Process {
            gpu: gpu.uuid.clone(),
            pid: *pid,
            start_ticks: process.map_or(0, |process| process.start_ticks),
            name: name.to_owned(),
        },
        owner: process.map_or(String::new(), |process| process.owner.clone()),
        confidence: correlation.clamp(0.0, 1.0),
    };
    Verdict::Firing(Observation {
        grade: Grade::Degraded,
        summary,
        evidence: vec![
            Evidence::new("contrast", *ratio, Unit::Ratio)
                .over(window_s)
                .against(DEMANDS[1].contrast),
            Evidence::new("correlation", *correlation, Unit::Ratio)
                .over(window_s)
                .against(DEMANDS[1].correlation),
            Evidence::new("computing time per request", contrast.busy_s, Unit::Seconds)
                .over(window_s)
                .usually(contrast.calm_s),
        ],
        suspects: vec![suspect],
    })
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use crate::rule::scene::{check, repeat};

    const QUIET: &str = "4s ok=20 svc=10 mem=40 neighbour=0";

    #[test]
    fn blames_a_process_whose_bursts_double_the_computing_time() {
        let bursts = "4s ok=20 svc=20 mem=40 neighbour=0.9";
        check(
            &repeat(6, &[QUIET, bursts]),
            expect![[r#"
                36.0s raised noisy-neighbour model m: m is 2.0 times slower while train (pid 200) is busy on GPU 0 (r 0.92)
            "#]],
        );
    }

    #[test]
    fn nobody_is_blamed_for_slowness_of_its_own_rhythm() {
        let slow = "4s ok=20 svc=20 mem=40 neighbour=0";
        let busy = "4s ok=20 svc=10 mem=40 neighbour=0.9";
        let both = "4s ok=20 svc=20 mem=40 neighbour=0.9";
        check(&repeat(6, &[QUIET, busy, slow, both, busy, slow, QUIET, both]), expect![[r#""#]]);
    }

    #[test]
    fn a_process_that_slows_nobody_is_not_blamed() {
        check(&repeat(20, &[QUIET, "4s ok=20 svc=10 mem=40 neighbour=0.9"]), expect![[r#""#]]);
    }

    #[test]
    fn nobody_is_blamed_while_the_gpu_throttles_itself() {
        let bursts = "4s ok=20 svc=20 mem=40 neighbour=0.9 throttle=0x40";
        let quiet = "4s ok=20 svc=10 mem=40 neighbour=0 throttle=0x40";
        check(&repeat(5, &[quiet, bursts]), expect![[r#""#]]);
    }

    #[test]
    fn without_use_by_process_nothing_is_said() {
        check(&repeat(5, &["4s ok=20 svc=10 mem=40", "4s ok=20 svc=20 mem=40"]), expect![[r#""#]]);
    }
}
