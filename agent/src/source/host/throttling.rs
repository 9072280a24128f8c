//! How much the servers' own CPU limit holds them up.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::parse::{Periods, cpu_folders, periods};

/// A limit can be on a parent: that of a pod, of a slice. So many are looked at.
const DEPTH: usize = 8;

/// Periods of the cgroups that were seen last.
#[derive(Debug, Default)]
pub(super) struct Throttling {
    last: BTreeMap<PathBuf, Periods>,
}

impl Throttling {
    /// Share of the periods since the last call in which a limit held one of `pids` up: that of the
    /// limit that was hit most. `None` when no cgroup can be read, or at first.
    pub(super) fn read(
        &mut self,
        proc_root: &Path,
        cgroup_root: &Path,
        pids: &[u32],
    ) -> Option<f64> {
        let mut now = BTreeMap::new();
        for pid in pids {
            let cgroup = std::fs::read_to_string(proc_root.join(pid.to_string()).join("cgroup"));
            now.extend(cgroup.ok().and_then(|text| limits(cgroup_root, &text)).unwrap_or_default());
        }
        let last = std::mem::replace(&mut self.last, now);
        let ratios =
            self.last.iter().filter_map(|(folder, now)| now.throttled_since(*last.get(folder)?));
        ratios.reduce(f64::max)
    }
}

/// Periods of a process's cgroup and of those above it.
fn limits(root: &Path, cgroup: &str) -> Option<Vec<(PathBuf, Periods)>> {
    let folder = cpu_folders(cgroup).into_iter().find(|folder| {
        // The root of version 2 has accounts and no limit; below it stand the other hierarchies.
        folder.components().count() > 0 && root.join(folder).join("cpu.stat").exists()
    })?;
    let above = folder.ancestors().take(DEPTH).filter(|folder| folder.components().count() > 0);
    let read = |folder: &Path| {
        let text = std::fs::read_to_string(root.join(folder).join("cpu.stat")).ok()?;
        Some((folder.to_owned(), periods(&text)?))
    };
    Some(above.filter_map(read).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A made-up `/proc` and cgroup folder.
    struct Host(tempfile::TempDir);

    impl Host {
        fn new(cgroup: &str) -> Self {
            let host = Self(tempfile::tempdir().unwrap());
            host.write("proc/7/cgroup", cgroup);
            host
        }

        fn write(&self, path: &str, text: &str) {
            let path = self.0.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }

        fn read(&self, throttling: &mut Throttling) -> Option<f64> {
            let root = self.0.path();
            throttling.read(&root.join("proc"), &root.join("cgroup"), &[7, 8])
        }
    }

    fn check(host: &Host, path: &str) {
        let mut throttling = Throttling::default();
        host.write(path, "nr_periods 100\nnr_throttled 10\n");
        assert_eq!(host.read(&mut throttling), None, "there is nothing to compare with");
        host.write(path, "nr_periods 120\nnr_throttled 15\n");
        assert_eq!(host.read(&mut throttling), Some(0.25));
        std::fs::remove_file(host.0.path().join(path)).unwrap();
        assert_eq!(host.read(&mut throttling), None);
    }

    #[test]
    fn of_version_2() {
        let host = Host::new("0::/kubepods.slice/pod.slice/c.scope\n");
        check(&host, "cgroup/kubepods.slice/pod.slice/c.scope/cpu.stat");
    }

    #[test]
    fn of_version_1() {
        let host = Host::new("4:memory:/docker/3f\n2:cpu,cpuacct:/docker/3f\n0::/\n");
        check(&host, "cgroup/cpu,cpuacct/docker/3f/cpu.stat");
        check(&host, "cgroup/cpu/docker/3f/cpu.stat");
    }

    #[test]
    fn of_a_limit_on_the_pod_above() {
        let host = Host::new("0::/pod.slice/c.scope\n");
        host.write("cgroup/pod.slice/c.scope/cpu.stat", "nr_periods 0\nnr_throttled 0\n");
        let mut throttling = Throttling::default();
        host.write("cgroup/pod.slice/cpu.stat", "nr_periods 0\nnr_throttled 0\n");
        assert_eq!(host.read(&mut throttling), None);
        host.write("cgroup/pod.slice/cpu.stat", "nr_periods 10\nnr_throttled 9\n");
        assert_eq!(host.read(&mut throttling), Some(0.9));
    }

    #[test]
    fn of_nobody() {
        let host = Host::new("0::/../../c.scope\n");
        let mut throttling = Throttling::default();
        assert_eq!(host.read(&mut throttling), None);
        assert_eq!(host.read(&mut throttling), None);
    }
}
