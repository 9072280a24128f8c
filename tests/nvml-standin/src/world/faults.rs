//! Calls that are slow, fail or never return.

use super::World;
use crate::command::Fault;

/// What the faults that match one call come to together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) latency_ms: u64,
    pub(crate) error: Option<u32>,
    pub(crate) block: bool,
}

impl World {
    /// Adds a fault in place of the one of the same call and GPU.
    pub(super) fn set_fault(&mut self, fault: &Fault) -> Result<(), String> {
        if fault.call.is_empty() {
            return Err("a fault names its call".into());
        }
        if let Some(gpu) = fault.gpu {
            self.gpu_mut(gpu)?;
        }
        self.faults.retain(|old| old.call != fault.call || old.gpu != fault.gpu);
        self.faults.push(fault.clone());
        Ok(())
    }

    /// Ends the faults that match; what is not given matches all.
    pub(super) fn clear_faults(&mut self, call: Option<&str>, gpu: Option<usize>) {
        self.faults.retain(|fault| {
            call.is_some_and(|call| call != fault.call)
                || gpu.is_some_and(|gpu| Some(gpu) != fault.gpu)
        });
    }

    /// What becomes of a call.
    pub(crate) fn verdict(&self, call: &str, gpu: Option<usize>) -> Verdict {
        let matching = self.faults.iter().filter(|fault| matches(fault, call, gpu));
        matching.fold(Verdict::default(), |verdict, fault| Verdict {
            latency_ms: verdict.latency_ms.saturating_add(fault.latency_ms.unwrap_or(0)),
            error: verdict.error.or(fault.error.filter(|code| *code != 0)),
            block: verdict.block || fault.block,
        })
    }
}

fn matches(fault: &Fault, call: &str, gpu: Option<usize>) -> bool {
    (fault.call == "*" || fault.call == call) && (fault.gpu.is_none() || fault.gpu == gpu)
}

#[cfg(test)]
mod tests {
    use super::Verdict;
    use crate::command::{Command, Fault};
    use crate::scenario::Scenario;
    use crate::world::World;

    fn world(faults: &[Fault]) -> World {
        let commands = faults.iter().cloned().map(Command::Fault).collect();
        World::begin(Scenario { commands, ..Scenario::default() }, 0).expect("a possible world")
    }

    fn fault(call: &str) -> Fault {
        Fault { call: call.into(), ..Fault::default() }
    }

    #[test]
    fn faults_of_a_call_add_up() {
        let slow = Fault { latency_ms: Some(20), ..fault("*") };
        let failing = Fault { gpu: Some(0), error: Some(15), ..fault("a") };
        let world = world(&[slow, failing]);
        let slow = Verdict { latency_ms: 20, ..Verdict::default() };
        assert_eq!(world.verdict("a", Some(0)), Verdict { error: Some(15), ..slow });
        assert_eq!(world.verdict("a", None), slow);
        assert_eq!(world.verdict("b", Some(0)), slow);
    }

    #[test]
    fn a_fault_replaces_that_of_the_same_call() {
        let first = Fault { error: Some(15), ..fault("a") };
        let second = Fault { block: true, ..fault("a") };
        let verdict = world(&[first, second]).verdict("a", None);
        assert_eq!(verdict, Verdict { block: true, ..Verdict::default() });
    }

    #[test]
    fn clearing_a_call_leaves_the_others() {
        let failing = |call| Fault { error: Some(999), ..fault(call) };
        let mut world = world(&[failing("a"), failing("b")]);
        world.clear_faults(Some("a"), None);
        assert_eq!(world.verdict("a", None), Verdict::default());
        assert_eq!(world.verdict("b", None).error, Some(999));
    }
}
