//! The simulated node: GPUs, events and faults, and how a command changes them.

mod change;
mod ecc;
mod events;
mod faults;
mod gpu;
mod process;
mod ramp;

use std::collections::BTreeMap;

pub(crate) use ecc::Counter;
pub(crate) use events::Event;
pub(crate) use gpu::{Gpu, Memory};
pub(crate) use process::{Account, Process};

use crate::command::Fault;
use crate::scenario::Scenario;

/// Everything the stand-in knows; a pure function of a scenario and the commands since.
#[derive(Clone, Debug)]
pub(crate) struct World {
    scenario: Scenario,
    born_us: u64,
    pub(crate) driver_version: String,
    pub(crate) cuda_version: i32,
    pub(crate) sample_period_us: u64,
    pub(crate) gpus: Vec<Gpu>,
    events: Vec<Event>,
    faults: Vec<Fault>,
}

impl World {
    /// The world a scenario begins with, at the time it begins.
    pub(crate) fn begin(scenario: Scenario, born_us: u64) -> Result<Self, String> {
        let mut world = Self {
            born_us,
            driver_version: scenario.driver_version.clone(),
            cuda_version: scenario.cuda_version,
            sample_period_us: scenario.sample_period_ms.max(1).saturating_mul(1000),
            gpus: gpus_of(&scenario, born_us)?,
            events: Vec::new(),
            faults: Vec::new(),
            scenario,
        };
        for command in world.scenario.commands.clone() {
            world.apply(&command, born_us)?;
        }
        Ok(world)
    }

    /// The world as it began, but with the events since, whose numbers must never be used twice.
    fn reset(&mut self) -> Result<(), String> {
        let events = std::mem::take(&mut self.events);
        *self = Self::begin(self.scenario.clone(), self.born_us)?;
        self.events = events;
        Ok(())
    }

    fn gpu_mut(&mut self, index: usize) -> Result<&mut Gpu, String> {
        let count = self.gpus.len();
        self.gpus.get_mut(index).ok_or_else(|| format!("no GPU {index}: there are {count}"))
    }

    /// The moment of the driver's last periodic sample.
    pub(crate) fn last_tick_us(&self, now_us: u64) -> u64 {
        now_us - now_us % self.sample_period_us
    }
}

fn gpus_of(scenario: &Scenario, born_us: u64) -> Result<Vec<Gpu>, String> {
    let specs = scenario.gpus.iter().enumerate();
    specs.map(|(index, spec)| Gpu::begin(index, spec, born_us)).collect()
}

/// Field overrides, by canonical field id.
type Fields = BTreeMap<u32, Option<u64>>;
