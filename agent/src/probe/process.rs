//! What `/proc` says of a process on a GPU.

use std::path::{Path, PathBuf};

use super::owner::owner;
use crate::sample::GpuProcess;

/// The kernel gives the first PID namespace this number, the same on every machine.
const FIRST_PID_NAMESPACE: &str = "pid:[4026531836]";

/// Looks processes up.
#[derive(Debug, Clone)]
pub(super) struct Processes {
    proc_root: PathBuf,
    /// Whether PIDs here are PIDs of the host. The driver tells host PIDs, and in another namespace
    /// the same number is somebody else.
    host_pids: bool,
}

impl Processes {
    /// Looks processes up below `proc_root`.
    pub(super) fn new(proc_root: &Path) -> Self {
        let namespace = std::fs::read_link(proc_root.join("self/ns/pid"));
        let host_pids = namespace.map_or(true, |link| link == Path::new(FIRST_PID_NAMESPACE));
        Self { proc_root: proc_root.to_owned(), host_pids }
    }

    /// A process of the driver's list, with what can be known of it.
    pub(super) fn look_up(&self, pid: u32, used_bytes: Option<u64>) -> GpuProcess {
        let unknown = GpuProcess {
            pid,
            start_ticks: 0,
            name: String::new(),
            owner: String::new(),
            used_bytes,
        };
        if !self.host_pids {
            return unknown;
        }
        let folder = self.proc_root.join(pid.to_string());
        let read = |file| {
            std::fs::read(folder.join(file)).map(|b| String::from_utf8_lossy(&b).into_owned())
        };
        let Some((name, start_ticks)) = read("stat").ok().as_deref().and_then(parse_stat) else {
            return unknown;
        };
        GpuProcess {
            start_ticks,
            name,
            owner: read("cgroup").map(|text| owner(&text)).unwrap_or_default(),
            ..unknown
        }
    }
}

/// Name and start of a process, from `/proc/PID/stat`. The name stands in parentheses and may itself
/// have some, and spaces.
fn parse_stat(stat: &str) -> Option<(String, u64)> {
    let (open, close) = (stat.find('(')?, stat.rfind(')')?);
    let name = stat.get(open + 1..close)?;
    // Field 22, and field 3 is the first after the name.
    let start_ticks = stat[close + 1..].split_ascii_whitespace().nth(19)?.parse().ok()?;
    Some((name.to_owned(), start_ticks))
}

#[cfg(test)]
mod tests {
    use super::*;

    const AFTER: &str = "S 1 4242 4242 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 10 11 12";

    #[test]
    fn a_name_may_have_anything_in_it() {
        for name in ["tritonserver", "a b", "x) S 1 (y", ""] {
            let stat = format!("4242 ({name}) {AFTER}\n");
            assert_eq!(parse_stat(&stat), Some((name.to_owned(), 987_654)));
        }
    }

    #[test]
    fn a_stat_that_is_none_gives_nothing() {
        for stat in ["", "4242", "4242 (x", ")(", "4242 (x) S 1 2"] {
            assert_eq!(parse_stat(stat), None, "{stat}");
        }
    }

    #[test]
    fn a_process_is_found_or_left_unknown() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("4242");
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("stat"), format!("4242 (python) {AFTER}")).unwrap();
        std::fs::write(folder.join("cgroup"), "0::/system.slice/train.service").unwrap();
        let processes = Processes::new(root.path());
        let found = processes.look_up(4242, Some(7));
        assert_eq!((found.name.as_str(), found.owner.as_str()), ("python", "unit train.service"));
        assert_eq!((found.start_ticks, found.used_bytes), (987_654, Some(7)));
        let gone = processes.look_up(4243, None);
        assert_eq!((gone.start_ticks, gone.name.as_str()), (0, ""));
    }

    #[test]
    fn in_another_namespace_nobody_is_named() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("self/ns")).unwrap();
        std::os::unix::fs::symlink("pid:[4026532999]", root.path().join("self/ns/pid")).unwrap();
        std::fs::create_dir(root.path().join("1")).unwrap();
        std::fs::write(root.path().join("1/stat"), format!("1 (agent) {AFTER}")).unwrap();
        assert_eq!(Processes::new(root.path()).look_up(1, None).name, "");
    }
}
