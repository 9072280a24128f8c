//! The node: kernel log, pressure, cgroups, clock, state folder.

use std::path::Path;

use super::{Check, Surroundings};
use crate::config::{Config, KmsgConfig};
use crate::source::kmsg;

/// What `systemd-timesyncd` touches when it has set the clock, below the root.
const SYNCHRONIZED: &str = "/run/systemd/timesync/synchronized";

pub(super) fn examine(config: &Config, around: &Surroundings) -> Vec<Check> {
    let roots = &around.roots;
    vec![
        examine_kmsg(&config.kmsg),
        examine_pressure(&roots.proc_root),
        examine_cgroups(&roots.sys_root),
        examine_clock(Path::new(SYNCHRONIZED)),
        examine_state(&config.state_dir, config.outbox.max_bytes),
    ]
}

fn examine_kmsg(config: &KmsgConfig) -> Check {
    let area = "kernel log";
    if !config.enabled {
        return Check::skipped(area, "not read: `kmsg.enabled` is false");
    }
    match kmsg::try_open(&config.path) {
        Ok(()) => Check::good(area, format!("{} can be read", config.path.display())),
        Err(error) => Check::bad(
            area,
            format!("{} cannot be read: {error}", config.path.display()),
            kmsg::remedy(&config.path, &error),
        ),
    }
}

fn examine_pressure(proc_root: &Path) -> Check {
    let area = "host";
    match std::fs::read_to_string(proc_root.join("pressure/memory")) {
        Ok(_) => Check::good(area, "pressure (PSI) can be read"),
        Err(error) => Check::bad(
            area,
            format!("pressure (PSI) cannot be read: {error}"),
            "boot the kernel with `psi=1`",
        ),
    }
}

fn examine_cgroups(sys_root: &Path) -> Check {
    let area = "host";
    let folder = sys_root.join("fs/cgroup");
    let has = |file: &str| folder.join(file).exists();
    if has("cgroup.controllers") {
        Check::good(area, "cgroups are of version 2")
    } else if has("cpu/cpu.stat") || has("cpu,cpuacct/cpu.stat") {
        Check::good(
            area,
            "cgroups are of version 1; throttling of servers can be read all the same",
        )
    } else {
        Check::bad(
            area,
            format!("{} has no cgroups: throttling of servers cannot be told", folder.display()),
            "mount the host's /sys/fs/cgroup into the container, for reading",
        )
    }
}

/// The kernel's own word takes a call that this program does not make; the file of one service can
/// be looked at.
fn examine_clock(synchronized: &Path) -> Check {
    let area = "host";
    if synchronized.exists() {
        Check::good(area, "the clock is kept by systemd-timesyncd")
    } else {
        Check::skipped(area, "whether the clock is kept cannot be told here")
            .or("`timedatectl` or `chronyc tracking` shows it")
    }
}

fn examine_state(folder: &Path, needed_bytes: u64) -> Check {
    let area = "state";
    let shown = folder.display();
    if let Err(error) = try_write(folder) {
        let remedy = "`StateDirectory=gpuwarden` in the service, or create the folder for its user";
        return Check::bad(area, format!("{shown} cannot be written: {error}"), remedy);
    }
    let free_bytes = match rustix::fs::statvfs(folder) {
        Ok(about) => about.f_bavail.saturating_mul(about.f_frsize),
        Err(error) => {
            return Check::skipped(area, format!("free space in {shown} is unknown: {error}"));
        }
    };
    let (free, needed) = (free_bytes / (1024 * 1024), needed_bytes / (1024 * 1024));
    if free_bytes < needed_bytes {
        let finding = format!("{shown} has {free} MiB free; the outbox may need {needed} MiB");
        return Check::bad(area, finding, "make room, or lower `outbox.max_bytes`");
    }
    Check::good(area, format!("{shown} can be written and has {free} MiB free"))
}

fn try_write(folder: &Path) -> std::io::Result<()> {
    let file = folder.join(format!(".doctor-{}", std::process::id()));
    std::fs::write(&file, "x")?;
    std::fs::remove_file(&file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;

    #[test]
    fn a_folder_that_is_not_there_is_bad_and_one_that_is_stays_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(examine_state(&folder.path().join("gone"), 1).verdict, Verdict::Bad);
        assert_eq!(examine_state(folder.path(), 1).verdict, Verdict::Good);
        assert_eq!(examine_state(folder.path(), u64::MAX).verdict, Verdict::Bad);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn cgroups_of_either_version_or_none() {
        let folder = tempfile::tempdir().unwrap();
        let cgroup = folder.path().join("fs/cgroup");
        assert_eq!(examine_cgroups(folder.path()).verdict, Verdict::Bad);
        std::fs::create_dir_all(cgroup.join("cpu")).unwrap();
        std::fs::write(cgroup.join("cpu/cpu.stat"), "").unwrap();
        assert!(examine_cgroups(folder.path()).finding.contains("version 1"));
        std::fs::write(cgroup.join("cgroup.controllers"), "").unwrap();
        assert!(examine_cgroups(folder.path()).finding.contains("version 2"));
    }

    #[test]
    fn a_kernel_log_that_is_not_there_says_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let check = examine_kmsg(&KmsgConfig { enabled: true, path: folder.path().join("kmsg") });
        assert_eq!(check.verdict, Verdict::Bad);
        assert!(check.remedy.unwrap().ends_with("into the container"));
    }
}
