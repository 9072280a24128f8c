//! A process on a GPU: the memory it wants and when its kernels run.

use gpuwarden_agent::sample::Moment;

use crate::fault::Pattern;

/// A process that shares a GPU.
#[derive(Debug, Clone, PartialEq)]
pub struct Process {
    /// Host PID.
    pub pid: u32,
    /// When it was started, in clock ticks since boot.
    pub start_ticks: u64,
    /// Its name.
    pub name: String,
    /// Its pod, container or unit.
    pub owner: String,
    /// Memory it holds when it does not leak.
    pub base_bytes: u64,
    /// Since when it leaks, and how many bytes a second.
    pub leak: Option<(Moment, f64)>,
    /// How it uses the GPU; `None` for one that only holds memory, and for the server, whose use
    /// follows from its models.
    pub load: Option<Load>,
}

/// How a process uses a GPU.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Load {
    /// Since when.
    pub since: Moment,
    /// Share of time that its kernels run while it is on.
    pub share: f64,
    /// When it is on.
    pub pattern: Pattern,
}

impl Process {
    /// A process that holds memory and does nothing else.
    pub fn holding(pid: u32, name: &str, owner: &str, base_bytes: u64) -> Self {
        Self {
            pid,
            start_ticks: 100_000 + u64::from(pid),
            name: name.to_owned(),
            owner: owner.to_owned(),
            base_bytes,
            leak: None,
            load: None,
        }
    }

    /// Memory it leaks up to `now`, if there is that much to be had.
    pub fn leaked_bytes(&self, now: Moment) -> u64 {
        self.leak.map_or(0, |(since, rate)| (now.since(since).as_secs_f64() * rate) as u64)
    }

    /// Share of time that its kernels run at `now`.
    pub fn sm_ratio(&self, now: Moment) -> f64 {
        self.load.map_or(0.0, |load| if load.is_on(now) { load.share } else { 0.0 })
    }

    /// Starts it anew: another identity under the same PID, and nothing leaked.
    pub fn restart(&mut self, now: Moment) {
        self.leak = None;
        self.start_ticks += 1 + now.0.as_millis() as u64 / 10;
    }
}

impl Load {
    fn is_on(&self, now: Moment) -> bool {
        match self.pattern {
            Pattern::Steady => now >= self.since,
            Pattern::Bursts { on, off } => {
                let period = (on + off).as_nanos().max(1);
                now >= self.since && now.since(self.since).as_nanos() % period < on.as_nanos()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn bursts_are_on_then_off_again_and_again() {
        let pattern = Pattern::Bursts { on: Duration::from_secs(4), off: Duration::from_secs(4) };
        let load = Load { since: Moment::ms(8_000), share: 0.9, pattern };
        let on: Vec<bool> = (0..6).map(|i| load.is_on(Moment::ms(6_000 + i * 4_000))).collect();
        assert_eq!(on, [false, true, false, true, false, true]);
    }

    #[test]
    fn a_restart_gives_the_memory_back_and_changes_the_identity() {
        let mut process = Process::holding(7, "worker", "", 1_000);
        process.leak = Some((Moment::ms(1_000), 500.0));
        assert_eq!(process.leaked_bytes(Moment::ms(3_000)), 1_000);
        let before = process.start_ticks;
        process.restart(Moment::ms(3_000));
        assert_eq!(process.leaked_bytes(Moment::ms(9_000)), 0);
        assert_ne!(process.start_ticks, before);
    }
}
