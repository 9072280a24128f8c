//! The models of GPU the stand-in can be.

use serde::{Deserialize, Serialize};

/// A model of GPU, by the short name a scenario gives it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Model {
    /// Turing, 16 GB, no MIG, no NVLink, retires pages.
    T4,
    /// Ada, 24 GB, no MIG, no NVLink.
    L4,
    /// Ampere, 80 GB, SXM4.
    #[default]
    A100,
    /// Hopper, 80 GB, SXM5.
    H100,
    /// Hopper, 141 GB, SXM5.
    H200,
}

/// What a model of GPU is made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Traits {
    pub(crate) name: &'static str,
    pub(crate) total_mib: u64,
    pub(crate) reserved_mib: u64,
    pub(crate) pci_device_id: u32,
    pub(crate) architecture: u32,
    pub(crate) compute_capability: (i32, i32),
    pub(crate) power_limit_mw: u32,
    pub(crate) idle_mw: u32,
    pub(crate) pcie_generation: u32,
    pub(crate) nvlinks: u32,
    pub(crate) max_sm_mhz: u32,
    pub(crate) max_memory_mhz: u32,
    pub(crate) slowdown_celsius: u32,
    pub(crate) shutdown_celsius: u32,
    pub(crate) max_mig_devices: u32,
}

impl Traits {
    /// Ampere and later remap rows; what came before retires pages.
    pub(crate) fn remaps_rows(&self) -> bool {
        self.compute_capability.0 >= 8
    }
}

const T4: Traits = Traits {
    name: "Tesla T4",
    total_mib: 15_360,
    reserved_mib: 445,
    pci_device_id: 0x1eb8_10de,
    architecture: 6,
    compute_capability: (7, 5),
    power_limit_mw: 70_000,
    idle_mw: 9_000,
    pcie_generation: 3,
    nvlinks: 0,
    max_sm_mhz: 1_590,
    max_memory_mhz: 5_001,
    slowdown_celsius: 93,
    shutdown_celsius: 96,
    max_mig_devices: 0,
};

const L4: Traits = Traits {
    name: "NVIDIA L4",
    total_mib: 23_034,
    reserved_mib: 475,
    pci_device_id: 0x27b8_10de,
    architecture: 8,
    compute_capability: (8, 9),
    power_limit_mw: 72_000,
    idle_mw: 16_000,
    pcie_generation: 4,
    nvlinks: 0,
    max_sm_mhz: 2_040,
    max_memory_mhz: 6_251,
    slowdown_celsius: 90,
    shutdown_celsius: 95,
    max_mig_devices: 0,
};

const A100: Traits = Traits {
    name: "NVIDIA A100-SXM4-80GB",
    total_mib: 81_920,
    reserved_mib: 769,
    pci_device_id: 0x20b2_10de,
    architecture: 7,
    compute_capability: (8, 0),
    power_limit_mw: 400_000,
    idle_mw: 60_000,
    pcie_generation: 4,
    nvlinks: 12,
    max_sm_mhz: 1_410,
    max_memory_mhz: 1_593,
    slowdown_celsius: 89,
    shutdown_celsius: 92,
    max_mig_devices: 7,
};

const H100: Traits = Traits {
    name: "NVIDIA H100 80GB HBM3",
    total_mib: 81_559,
    reserved_mib: 551,
    pci_device_id: 0x2330_10de,
    architecture: 9,
    compute_capability: (9, 0),
    power_limit_mw: 700_000,
    idle_mw: 70_000,
    pcie_generation: 5,
    nvlinks: 18,
    max_sm_mhz: 1_980,
    max_memory_mhz: 2_619,
    ..A100
};

const H200: Traits = Traits {
    name: "NVIDIA H200",
    total_mib: 143_771,
    reserved_mib: 608,
    pci_device_id: 0x2335_10de,
    max_memory_mhz: 3_201,
    ..H100
};

impl Model {
    /// What this model is made of.
    pub(crate) fn traits(self) -> &'static Traits {
        match self {
            Self::T4 => &T4,
            Self::L4 => &L4,
            Self::A100 => &A100,
            Self::H100 => &H100,
            Self::H200 => &H200,
        }
    }
}
