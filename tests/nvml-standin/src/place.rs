//! Where a world's files are.

use std::env;
use std::ffi::{CStr, OsStr, OsString};
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Names the scenario file.
pub(crate) const SCENARIO_VARIABLE: &str = "NVML_STANDIN_SCENARIO";
/// Names the control socket.
pub(crate) const CONTROL_VARIABLE: &str = "NVML_STANDIN_CONTROL";
/// The scenario file's name where it lies beside the library.
pub(crate) const SCENARIO_FILE: &str = "nvml-standin.json";
/// The control socket's name where the scenario lies beside the library.
pub(crate) const CONTROL_FILE: &str = "nvml-standin.sock";

/// The files of one world. Processes that name the same files share the world.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) scenario: Option<PathBuf>,
    pub(crate) control: Option<PathBuf>,
}

impl Place {
    /// The place the environment names, or else the directory the library was loaded from.
    pub(crate) fn find() -> Self {
        let named = |variable| env::var_os(variable).filter(|path| !path.is_empty());
        let scenario = named(SCENARIO_VARIABLE).map(PathBuf::from);
        let control = named(CONTROL_VARIABLE).map(PathBuf::from);
        if scenario.is_some() || control.is_some() {
            return Self { scenario, control };
        }
        let beside = library_directory().map(|directory| Self::beside(&directory));
        let there = |place: &Self| place.scenario.as_ref().is_some_and(|file| file.exists());
        beside.filter(there).unwrap_or_default()
    }

    /// The place in a directory.
    pub(crate) fn beside(directory: &Path) -> Self {
        Self {
            scenario: Some(directory.join(SCENARIO_FILE)),
            control: Some(directory.join(CONTROL_FILE)),
        }
    }

    /// The journal, where there is anything that could be written into one.
    pub(crate) fn journal(&self) -> Option<PathBuf> {
        self.scenario.as_ref().or(self.control.as_ref()).map(|path| with_suffix(path, ".journal"))
    }
}

/// `path` with more at the end of its name.
pub(crate) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

/// The directory of the shared object this code is part of.
fn library_directory() -> Option<PathBuf> {
    let mut found = MaybeUninit::<libc::Dl_info>::zeroed();
    let own_address = (library_directory as *const ()).cast();
    // SAFETY: `dladdr` takes any address and writes only into `found`, which outlives the call.
    let known = unsafe { libc::dladdr(own_address, found.as_mut_ptr()) } != 0;
    // SAFETY: all-zero bytes are a valid `Dl_info`, and `dladdr` has written nothing less.
    let name = unsafe { found.assume_init() }.dli_fname;
    if !known || name.is_null() {
        return None;
    }
    // SAFETY: the loader keeps the name, a C string, for as long as the object is loaded.
    let name = unsafe { CStr::from_ptr(name) };
    Path::new(OsStr::from_bytes(name.to_bytes())).parent().map(Path::to_path_buf)
}
