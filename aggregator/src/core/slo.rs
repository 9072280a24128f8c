//! When objectives are looked at, told of, shown and kept.

use gpuwarden_proto::time::Timestamp;

use super::Core;
use crate::config::Config;
use crate::correlate::{State, Touched, outside};
use crate::slo::Slo;
use crate::slo::kept::Kept;

/// Ticks between two looks at what burns: 5 s. Snapshots come every 10 s.
const TICKS_PER_JUDGEMENT: u64 = 20;
/// Ticks after which numbers are shown anew: 15 s, as often as they are usually scraped.
const TICKS_PER_SHOW: u64 = 60;
/// Ticks after which counts are kept: a minute, which is all that a crash can lose.
const TICKS_PER_KEEP: u64 = 240;

/// The objectives, with what was counted before a restart.
pub(super) fn resume(config: &Config, kept: Kept, state: &State, now: Timestamp) -> Slo {
    let mut slo = Slo::new(&config.topology).recalling(kept);
    for (node, known) in &state.nodes {
        if let Some(snapshot) = &known.snapshot {
            slo.recall(now, node, snapshot);
        }
    }
    slo
}

impl Core {
    /// What a tick brings about for objectives.
    pub(super) fn objectives(&mut self, now: Timestamp) {
        if self.ticks.is_multiple_of(TICKS_PER_JUDGEMENT) {
            let mut touched = Touched::default();
            for finding in self.slo.judge(now) {
                outside(&mut self.state, now, now, finding, &mut touched);
            }
            self.note(touched);
            // Together with the incidents that they led to.
            let alarms = self.slo.take_alarms();
            self.pending.slo(alarms);
        }
        if self.ticks.is_multiple_of(TICKS_PER_SHOW) {
            self.metrics.slo.show(&self.slo.standings(now), self.slo.counted());
        }
        if self.ticks.is_multiple_of(TICKS_PER_KEEP) {
            self.keep_objectives(now);
        }
    }

    /// Has all counts written that are not.
    pub(super) fn keep_objectives(&mut self, now: Timestamp) {
        let changed = self.slo.take_changed(now);
        self.pending.slo(changed);
    }
}
