//! How a world begins: the scenario file.

use serde::{Deserialize, Serialize};

use crate::command::{AddProcess, Command};
use crate::model::Model;

/// The world as it begins; what a scenario file holds, as JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Scenario {
    /// The driver's version; from 580.82 on, field ids 251 to 273 are numbered anew.
    pub driver_version: String,
    /// CUDA's version as NVML encodes it: 1000 times major plus 10 times minor.
    pub cuda_version: i32,
    /// How often the driver takes a sample of utilisation.
    pub sample_period_ms: u64,
    /// The GPUs, by index.
    pub gpus: Vec<GpuSpec>,
    /// Commands that are carried out before the first call.
    pub commands: Vec<Command>,
}

impl Default for Scenario {
    fn default() -> Self {
        Self {
            driver_version: "580.95.05".into(),
            cuda_version: 13_000,
            sample_period_ms: 167,
            gpus: vec![GpuSpec::default()],
            commands: Vec::new(),
        }
    }
}

impl Scenario {
    /// A world of the given GPUs.
    pub fn of(models: &[Model]) -> Self {
        Self { gpus: models.iter().copied().map(GpuSpec::of).collect(), ..Self::default() }
    }

    /// The same world under another driver.
    #[must_use]
    pub fn with_driver(mut self, version: &str) -> Self {
        self.driver_version = version.into();
        self
    }

    /// The same world with another period between samples of utilisation.
    #[must_use]
    pub fn with_sample_period_ms(mut self, period: u64) -> Self {
        self.sample_period_ms = period;
        self
    }

    /// The same world with one more command carried out before the first call.
    #[must_use]
    pub fn with_command(mut self, command: Command) -> Self {
        self.commands.push(command);
        self
    }
}

/// One GPU as it begins. What is left out follows from its model and index.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GpuSpec {
    /// The model, which decides everything below that is left out.
    pub model: Model,
    /// The name NVML reports.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The UUID, with its `GPU-`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uuid: Option<String>,
    /// The PCI bus number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pci_bus: Option<u32>,
    /// Memory there is, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_total: Option<u64>,
    /// Memory the driver keeps, in bytes; part of what is used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_reserved: Option<u64>,
    /// Memory in use, in bytes; without it, what is reserved plus what the processes hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_used: Option<u64>,
    /// Whether ECC is on.
    pub ecc: bool,
    /// Whether the driver stays loaded without a client.
    pub persistence: bool,
    /// Whether the driver keeps accounts of processes.
    pub accounting: bool,
    /// The processes that run from the start; their `gpu` is ignored.
    pub processes: Vec<AddProcess>,
    /// The MIG devices; MIG mode is on when there is at least one.
    pub mig: Vec<MigInstance>,
}

impl Default for GpuSpec {
    fn default() -> Self {
        Self {
            model: Model::default(),
            name: None,
            uuid: None,
            pci_bus: None,
            memory_total: None,
            memory_reserved: None,
            memory_used: None,
            ecc: true,
            persistence: true,
            accounting: false,
            processes: Vec::new(),
            mig: Vec::new(),
        }
    }
}

impl GpuSpec {
    /// A GPU of this model, idle.
    pub fn of(model: Model) -> Self {
        Self { model, ..Self::default() }
    }
}

/// One MIG device of a GPU.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MigInstance {
    /// The profile, as in `1g.10gb`.
    pub profile: String,
    /// The UUID, with its `MIG-`; left out, it follows from the GPU's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uuid: Option<String>,
    /// The id of the GPU instance.
    pub gpu_instance: u32,
    /// The id of the compute instance.
    #[serde(default)]
    pub compute_instance: u32,
    /// Memory of the instance, in bytes.
    pub memory_total: u64,
}

#[cfg(test)]
mod tests {
    use super::Scenario;
    use crate::model::Model;
    use crate::world::World;

    const README: &str = include_str!("../README.md");

    #[test]
    fn the_scenario_of_the_readme_begins_a_world() {
        let (_, rest) = README.split_once("```json").expect("a scenario");
        let (scenario, _) = rest.split_once("```").expect("the end of it");
        let scenario: Scenario = serde_json::from_str(scenario).expect("a valid scenario");
        World::begin(scenario, 0).expect("a possible world");
    }

    #[test]
    fn an_empty_scenario_is_one_idle_a100() {
        let scenario: Scenario = serde_json::from_str("{}").expect("a valid scenario");
        assert_eq!(scenario.gpus.len(), 1);
        assert_eq!(scenario.gpus[0].model, Model::A100);
    }

    #[test]
    fn a_word_nobody_knows_is_refused() {
        assert!(serde_json::from_str::<Scenario>(r#"{ "gpu": [] }"#).is_err());
    }
}
