//! # xid
//!
//! The driver reported an XID error of a GPU.
//!
//! **Signal.** The driver's event, or a line `NVRM: Xid` of the kernel log, joined by PCI address.
//!
//! **Threshold.** At once, for those that NVIDIA's catalogue does not tell to ignore. Ends 10 min
//! after the last one that asks for the application, 60 min after the last one that asks for more:
//! the driver does not say when a GPU is well again.
//!
//! **False positives.** An XID of the application class (13, 31, …) is most often a bug of that
//! application and not of the GPU.
//!
//! **Runbook.** gpu-hardware.

use std::time::Duration;

use gpuwarden_proto::event::{Evidence, Unit};
use gpuwarden_proto::vocab::{Grade, RuleId};

use super::{Check, Context, Rule, Verdict, firing, ms};
use crate::window::GpuWindow;

pub(super) const RULE: Rule =
    Rule { id: RuleId::Xid, enter: ms(0), leave: ms(0), check: Check::Gpu(check) };

/// What NVIDIA's catalogue advises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Advice {
    /// Nothing.
    Ignore,
    /// Restart the application.
    RestartApplication,
    /// Look into it: not in the catalogue, or with a workflow of its own.
    Investigate,
    /// Reset the GPU.
    ResetGpu,
    /// Restart the machine.
    RestartMachine,
}

/// The advice for an XID, after NVIDIA's catalogue as of October 2025.
pub const fn advice(xid: u32) -> Advice {
    match xid {
        37 | 38 | 43 | 44 | 45 | 63 | 66 | 92 | 121 | 137 | 152 | 153 | 157 | 160 | 161 => {
            Advice::Ignore
        }
        8 | 11 | 13 | 31 | 32 | 39 | 40 | 68 | 69 | 94 => Advice::RestartApplication,
        46 | 62 | 64 | 95 | 109 | 110 | 119 | 120 | 136 | 140 | 143 | 155 | 156 | 158 => {
            Advice::ResetGpu
        }
        79 => Advice::RestartMachine,
        _ => Advice::Investigate,
    }
}

/// What the commonest ones mean, for people.
const fn meaning(xid: u32) -> &'static str {
    match xid {
        13 => "graphics engine exception",
        31 => "GPU memory page fault",
        48 => "double bit ECC error",
        62 => "internal micro-controller halt",
        64 => "row remapping failed",
        74 => "NVLink error",
        79 => "GPU has fallen off the bus",
        94 => "contained memory error",
        95 => "uncontained memory error",
        109 => "context switch time-out",
        119 | 120 => "GSP firmware error",
        154 => "GPU recovery action changed",
        _ => "see NVIDIA's catalogue",
    }
}

fn check(gpu: &GpuWindow, context: &Context<'_>) -> Verdict {
    let now = context.now.moment;
    let standing = |record: &&crate::window::XidRecord| {
        let keep_s = match advice(record.xid) {
            Advice::Ignore => 0,
            Advice::RestartApplication => 600,
            Advice::Investigate | Advice::ResetGpu | Advice::RestartMachine => 3_600,
        };
        now.since(record.last_at) < Duration::from_secs(keep_s)
    };
    let worst = gpu.xids.iter().filter(standing).max_by_key(|record| advice(record.xid));
    let Some(worst) = worst else { return Verdict::Quiet };
    let (grade, what) = match advice(worst.xid) {
        Advice::Ignore => return Verdict::Quiet,
        Advice::RestartApplication => (Grade::Warning, "the application must be restarted"),
        Advice::Investigate => (Grade::Degraded, "to be looked into"),
        Advice::ResetGpu => (Grade::Down, "the GPU must be reset"),
        Advice::RestartMachine => (Grade::Down, "the machine must be restarted"),
    };
    let summary = format!("XID {} ({}): {what}", worst.xid, meaning(worst.xid));
    let evidence = vec![
        Evidence::new("XID", worst.xid.into(), Unit::Code),
        Evidence::new("times told", worst.count as f64, Unit::Count)
            .over(worst.last_at.since(worst.first_at).as_secs_f64()),
    ];
    firing(grade, summary, evidence)
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use crate::rule::scene::check;

    #[test]
    fn fires_at_once_on_an_xid_that_asks_for_a_restart() {
        check(
            "5s mem=10
             500ms mem=10 xid=79",
            expect![[r#"
                5.0s raised xid GPU 0: XID 79 (GPU has fallen off the bus): the machine must be restarted
            "#]],
        );
    }

    #[test]
    fn the_driver_and_the_kernel_tell_of_the_same_one() {
        check(
            "5s mem=10
             500ms mem=10 xid=31
             500ms mem=10 kernel_xid=31",
            expect![[r#"
                5.0s raised xid GPU 0: XID 31 (GPU memory page fault): the application must be restarted
            "#]],
        );
    }

    #[test]
    fn stays_silent_on_those_to_be_ignored() {
        check("5s mem=10\n 500ms mem=10 xid=43\n 500ms mem=10 xid=63", expect![[r#""#]]);
    }

    #[test]
    fn clears_ten_minutes_after_the_last_of_the_application() {
        check(
            "5s mem=10
             500ms mem=10 xid=31
             605s mem=10",
            expect![[r#"
                5.0s raised xid GPU 0: XID 31 (GPU memory page fault): the application must be restarted
                605.0s cleared xid GPU 0
            "#]],
        );
    }
}
