//! When each kind of reading is taken from a GPU. Pure: the caller brings the time.
//!
//! Calls into the driver are not free: listing processes takes milliseconds under a lock that
//! running work needs too. So what is cheap and urgent is read often, what is dear or slow rarely.

use std::time::Duration;

use crate::sample::{GpuMemory, Moment};

/// Never read faster than this.
pub(super) const FASTEST: Duration = Duration::from_millis(100);
/// How fast a process can fill device memory, in bytes a second.
const FILL_BYTES_PER_S: u64 = 20_000_000_000;
/// Readings due this soon are taken at once, so that GPUs do not drift apart into a line each.
const COALESCE: Duration = Duration::from_millis(20);

const PROCESS_USE: Duration = Duration::from_secs(1);
const PROCESSES: Duration = Duration::from_secs(10);
const PROCESSES_AT_MOST: Duration = Duration::from_secs(2);
const CONDITION: Duration = Duration::from_secs(5);
const ECC: Duration = Duration::from_secs(60);

/// What is to be read from one GPU now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Tier {
    /// Memory.
    Memory,
    /// Utilisation.
    Utilization,
    /// Use by process.
    ProcessUse,
    /// Throttle reasons, temperature and power.
    Condition,
    /// Uncorrected errors.
    Ecc,
}

/// When each tier of one GPU is due. All are due at first.
#[derive(Debug, Clone)]
pub(super) struct Schedule {
    interval: Duration,
    memory: Moment,
    utilization: Moment,
    process_use: Moment,
    condition: Moment,
    ecc: Moment,
    processes: Moment,
    listed: Option<Listed>,
}

/// The last list of processes: when, and with how much memory in use.
#[derive(Debug, Clone, Copy)]
struct Listed {
    at: Moment,
    used_bytes: u64,
}

impl Schedule {
    /// Everything is due; memory and utilisation from then on each `interval`.
    pub(super) fn new(interval: Duration) -> Self {
        let start = Moment::default();
        Self {
            interval: interval.max(FASTEST),
            memory: start,
            utilization: start,
            process_use: start,
            condition: start,
            ecc: start,
            processes: start,
            listed: None,
        }
    }

    /// Whether memory is due, and with it the GPU.
    pub(super) fn is_due(&self, now: Moment) -> bool {
        self.memory <= now.after(COALESCE)
    }

    /// Whether a tier is due, and if so puts it off to its next time.
    pub(super) fn take(&mut self, tier: Tier, now: Moment) -> bool {
        let interval = self.interval;
        let (due, period) = match tier {
            Tier::Memory => (&mut self.memory, interval),
            Tier::Utilization => (&mut self.utilization, interval),
            Tier::ProcessUse => (&mut self.process_use, PROCESS_USE.max(interval)),
            Tier::Condition => (&mut self.condition, CONDITION),
            Tier::Ecc => (&mut self.ecc, ECC),
        };
        take(due, period, now)
    }

    /// Whether processes are to be listed: in its turn, or early because memory has moved, but never
    /// twice in [`PROCESSES_AT_MOST`].
    pub(super) fn take_processes(&mut self, memory: Option<GpuMemory>, now: Moment) -> bool {
        let rested = self.listed.is_none_or(|l| now.since(l.at) >= PROCESSES_AT_MOST);
        let due = self.processes <= now.after(COALESCE) || self.has_moved(memory);
        if !(rested && due) {
            return false;
        }
        self.processes = now.after(PROCESSES);
        let used_bytes = memory.map_or(0, |m| m.used_bytes);
        self.listed = Some(Listed { at: now, used_bytes });
        true
    }

    /// Brings the next reading of memory forward where little of it is left.
    pub(super) fn hasten(&mut self, memory: GpuMemory, now: Moment) {
        let to_fill = memory.free_bytes.saturating_mul(1_000) / FILL_BYTES_PER_S;
        let pace = Duration::from_millis(to_fill).clamp(FASTEST, self.interval);
        self.memory = now.after(pace);
    }

    /// When memory is due next; whatever else is due goes with it.
    pub(super) fn next(&self) -> Moment {
        self.memory
    }

    fn has_moved(&self, memory: Option<GpuMemory>) -> bool {
        match (self.listed, memory) {
            (Some(listed), Some(memory)) => {
                memory.used_bytes.abs_diff(listed.used_bytes) > memory.total_bytes / 50
            }
            _ => false,
        }
    }
}

fn take(due: &mut Moment, period: Duration, now: Moment) -> bool {
    let taken = *due <= now.after(COALESCE);
    if taken {
        *due = now.after(period);
    }
    taken
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;
    const INTERVAL: Duration = Duration::from_millis(500);

    fn memory(free: u64) -> GpuMemory {
        GpuMemory { total_bytes: 80 * GIB, used_bytes: 80 * GIB - free, free_bytes: free }
    }

    #[test]
    fn everything_is_due_at_first_and_then_in_its_turn() {
        let mut schedule = Schedule::new(INTERVAL);
        let tiers = [Tier::Memory, Tier::Utilization, Tier::ProcessUse, Tier::Condition, Tier::Ecc];
        let mut taken = [0; 5];
        for ms in (0..60_000).step_by(10) {
            for (tier, count) in tiers.into_iter().zip(&mut taken) {
                *count += u32::from(schedule.take(tier, Moment::ms(ms)));
            }
        }
        // The window for taking readings together lets each come a little early.
        assert_eq!(taken, [125, 125, 62, 13, 2]);
    }

    #[test]
    fn memory_is_read_faster_as_it_runs_out() {
        let pace = |free| {
            let mut schedule = Schedule::new(INTERVAL);
            schedule.hasten(memory(free), Moment::ms(1_000));
            schedule.memory.since(Moment::ms(1_000)).as_millis()
        };
        assert_eq!(pace(40 * GIB), 500);
        assert_eq!(pace(5 * GIB), 268);
        assert_eq!(pace(GIB), 100);
        assert_eq!(pace(0), 100);
    }

    #[test]
    fn an_interval_below_the_fastest_is_the_fastest() {
        let mut schedule = Schedule::new(Duration::from_millis(1));
        schedule.hasten(memory(40 * GIB), Moment::ms(0));
        assert_eq!(schedule.memory, Moment::ms(100));
    }

    #[test]
    fn processes_are_listed_every_ten_seconds() {
        let mut schedule = Schedule::new(INTERVAL);
        let times: Vec<u64> = (0..30_000)
            .step_by(500)
            .filter(|ms| schedule.take_processes(Some(memory(GIB)), Moment::ms(*ms)))
            .collect();
        assert_eq!(times, [0, 10_000, 20_000]);
    }

    #[test]
    fn processes_are_listed_at_once_when_memory_moves_but_not_all_the_time() {
        let mut schedule = Schedule::new(INTERVAL);
        let times: Vec<u64> = (0_u64..9_000)
            .step_by(500)
            .filter(|ms| {
                // A gigabyte every half second, from three seconds on.
                let taken = GIB * ms.saturating_sub(3_000) / 500;
                schedule.take_processes(Some(memory(40 * GIB - taken)), Moment::ms(*ms))
            })
            .collect();
        assert_eq!(times, [0, 4_000, 6_000, 8_000]);
    }

    #[test]
    fn memory_that_was_not_read_has_not_moved() {
        let mut schedule = Schedule::new(INTERVAL);
        assert!(schedule.take_processes(Some(memory(GIB)), Moment::ms(0)));
        assert!(!schedule.take_processes(None, Moment::ms(5_000)));
    }
}
