//! The shared object, installed for a test.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::control::Control;
use crate::live::Live;
use crate::place::{CONTROL_VARIABLE, Place, SCENARIO_VARIABLE};
use crate::scenario::Scenario;
use crate::server;

/// The name under which every user of NVML looks for it.
const LIBRARY: &str = "libnvidia-ml.so.1";

/// The name under which cargo builds it.
const BUILT: &str = "libnvidia_ml.so";

/// A copy of the shared object in a directory of its own, with its scenario beside it.
///
/// The process that installs it serves the control socket, so a test can command the world before
/// any process has loaded the library and after all have died.
#[derive(Debug)]
pub struct Installation {
    directory: PathBuf,
    place: Place,
    control: Control,
}

impl Installation {
    /// Installs `library`, as [`built_library`] finds it, into an empty directory.
    pub fn new(
        directory: impl Into<PathBuf>,
        library: &Path,
        scenario: &Scenario,
    ) -> io::Result<Self> {
        let directory = directory.into();
        let place = Place::beside(&directory);
        fs::copy(library, directory.join(LIBRARY))?;
        if let Some(path) = &place.scenario {
            fs::write(path, serde_json::to_vec_pretty(scenario)?)?;
        }
        let socket = place.control.clone().unwrap_or_default();
        server::serve(Live::open(&place)?, socket.clone())?;
        Ok(Self { directory, place, control: Control::at(socket) })
    }

    /// The shared object: what `nvml.library` of an agent's configuration names.
    pub fn library(&self) -> PathBuf {
        self.directory.join(LIBRARY)
    }

    /// The directory it is in, for `LD_LIBRARY_PATH`.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Commands the world.
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// The environment of a process that loads another copy of the library and is to share this
    /// world. A process that loads [`Self::library`] needs none of it.
    pub fn environment(&self) -> Vec<(&'static str, PathBuf)> {
        let scenario = self.place.scenario.clone().map(|path| (SCENARIO_VARIABLE, path));
        let control = self.place.control.clone().map(|path| (CONTROL_VARIABLE, path));
        scenario.into_iter().chain(control).collect()
    }
}

/// The shared object cargo has built, found from the directory of the running test.
pub fn built_library() -> io::Result<PathBuf> {
    let test = env::current_exe()?;
    let near = test.ancestors().skip(1).take(2);
    let places =
        near.flat_map(|directory| [directory.join(BUILT), directory.join("deps").join(BUILT)]);
    let built = places.filter_map(|path| Some((fs::metadata(&path).ok()?.modified().ok()?, path)));
    // Cargo leaves an older one behind in either place, depending on what it was asked to build.
    let newest = built.max();
    newest.map(|(_, path)| path).ok_or_else(|| {
        io::Error::new(io::ErrorKind::NotFound, format!("no {BUILT} near {}", test.display()))
    })
}
