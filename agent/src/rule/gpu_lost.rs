//! # gpu-lost
//!
//! The driver cannot reach a GPU any more, or it has fallen off the bus.
//!
//! **Signal.** NVML answers `GPU_IS_LOST` for it, or the kernel log says so.
//!
//! **Threshold.** At once. Ends when the driver reads it again for 10 s.
//!
//! **False positives.** A GPU that is being reset on purpose.
//!
//! **Runbook.** gpu-hardware.

use gpuwarden_proto::event::{Evidence, Unit};
use gpuwarden_proto::vocab::{Grade, RuleId};

use super::{Check, Context, Rule, Verdict, firing, ms};
use crate::window::GpuWindow;

pub(super) const RULE: Rule =
    Rule { id: RuleId::GpuLost, enter: ms(0), leave: ms(10_000), check: Check::Gpu(check) };

fn check(gpu: &GpuWindow, context: &Context<'_>) -> Verdict {
    match gpu.lost_since {
        Some(since) => {
            let lost_s = context.now.moment.since(since).as_secs_f64();
            let evidence = Evidence::new("time lost", lost_s, Unit::Seconds).against(0.0);
            let summary = format!("the driver has lost {} at {}", gpu.name, gpu.pci_bus_id);
            firing(Grade::Down, summary, vec![evidence])
        }
        None => Verdict::Quiet,
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use crate::rule::scene::check;

    #[test]
    fn fires_when_the_driver_has_lost_it_and_clears_when_it_is_back() {
        check(
            "5s mem=10
             1s lost=yes
             12s mem=10",
            expect![[r#"
                5.0s raised gpu-lost GPU 0: the driver has lost H100 at 00000000:1B:00.0
                16.0s cleared gpu-lost GPU 0
            "#]],
        );
    }

    #[test]
    fn a_gpu_that_is_not_read_is_not_lost() {
        check("5s mem=10\n 1s nvml=silent", expect![[r#""#]]);
    }
}
