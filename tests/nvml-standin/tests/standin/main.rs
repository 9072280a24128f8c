//! The stand-in as other programs meet it: loaded by `nvml-wrapper`, as the agent loads it.
//!
//! Each test installs a copy of its own, and the loader takes each copy for a library of its own,
//! so that tests in one process share nothing.
#![allow(unsafe_code, reason = "the raw calls of NVML are what is tested")]
#![allow(clippy::unwrap_used, reason = "a test may end by a panic")]
#![allow(clippy::disallowed_methods, reason = "how long a call takes is what is tested")]

mod events;
mod faults;
mod health;
mod load;
mod mig;
mod processes;
mod sharing;

use nvidia_ml::{Command, Installation, Model, Scenario, built_library};
use nvml_wrapper::Nvml;
use nvml_wrapper::error::NvmlError;
use tempfile::TempDir;

/// An installed stand-in, loaded.
struct Node {
    nvml: Nvml,
    installation: Installation,
    _directory: TempDir,
}

impl Node {
    fn of(models: &[Model]) -> Self {
        Self::with(&Scenario::of(models))
    }

    fn with(scenario: &Scenario) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let library = built_library().unwrap();
        let installation = Installation::new(directory.path(), &library, scenario).unwrap();
        let nvml = load(&installation).unwrap();
        Self { nvml, installation, _directory: directory }
    }

    fn send(&self, command: &Command) {
        self.installation.control().send(command).unwrap();
    }

    fn used(&self, gpu: u32) -> u64 {
        self.nvml.device_by_index(gpu).unwrap().memory_info().unwrap().used
    }
}

fn load(installation: &Installation) -> Result<Nvml, NvmlError> {
    Nvml::builder().lib_path(installation.library().as_os_str()).init()
}
