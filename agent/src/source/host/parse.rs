//! Texts of `/proc` and of cgroups. Pure; what cannot be read is `None`.

use std::path::PathBuf;

/// CPU time since boot, in ticks over all CPUs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CpuTime {
    total: u64,
    idle: u64,
}

impl CpuTime {
    /// Share of the time since `earlier` in which CPUs were busy.
    pub(super) fn busy_since(self, earlier: Self) -> Option<f64> {
        // Idle time can go back a little when a CPU goes offline.
        let total = self.total.checked_sub(earlier.total)?;
        let idle = self.idle.saturating_sub(earlier.idle).min(total);
        ratio(total - idle, total)
    }
}

/// Periods of a CPU limit since a cgroup was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Periods {
    /// All, while something wanted to run.
    pub all: u64,
    /// Those in which the limit was hit.
    pub throttled: u64,
}

impl Periods {
    /// Share of the periods since `earlier` in which the limit was hit; 0 when there were none.
    pub(super) fn throttled_since(self, earlier: Self) -> Option<f64> {
        let all = self.all.checked_sub(earlier.all)?;
        let throttled = self.throttled.checked_sub(earlier.throttled)?;
        Some(ratio(throttled.min(all), all).unwrap_or(0.0))
    }
}

/// `/proc/stat`.
pub(super) fn cpu_time(stat: &str) -> Option<CpuTime> {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    // user nice system idle iowait irq softirq steal; guests are within user already.
    let ticks = line.split_ascii_whitespace().take(8).map(str::parse);
    let ticks: Vec<u64> = ticks.collect::<Result<_, _>>().ok()?;
    let idle = ticks.get(3)?.checked_add(ticks.get(4).copied().unwrap_or(0))?;
    let total = ticks.iter().try_fold(0_u64, |sum, ticks| sum.checked_add(*ticks))?;
    Some(CpuTime { total, idle })
}

/// `MemAvailable` of `/proc/meminfo`, in bytes.
pub(super) fn available_bytes(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

/// Share of the last ten seconds that `who` (`some` or `full`) of a pressure file stood still.
pub(super) fn pressure(text: &str, who: &str) -> Option<f64> {
    let mut words = text
        .lines()
        .map(str::split_ascii_whitespace)
        .find_map(|mut words| (words.next() == Some(who)).then_some(words))?;
    let percent: f64 = words.find_map(|word| word.strip_prefix("avg10="))?.parse().ok()?;
    (0.0..=100.0).contains(&percent).then_some(percent / 100.0)
}

/// `cpu.stat` of a cgroup; without a limit there are no periods.
pub(super) fn periods(cpu_stat: &str) -> Option<Periods> {
    let field =
        |name: &str| cpu_stat.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
    Some(Periods { all: field("nr_periods ")?, throttled: field("nr_throttled ")? })
}

/// Where the CPU accounts of the process may be that has this `/proc/PID/cgroup`, relative to the
/// folder that cgroups are mounted in; the best first.
pub(super) fn cpu_folders(cgroup: &str) -> Vec<PathBuf> {
    let (mut first, mut second) = (Vec::new(), Vec::new());
    for line in cgroup.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { continue };
        let path = path.trim_start_matches('/');
        // Outside of one's own cgroup namespace the path begins like this, and leads nowhere.
        if path.split('/').any(|part| part == "..") {
            continue;
        }
        let below = |mount: &str| PathBuf::from(mount).join(path);
        // Version 1 names its controllers, and where it has the CPU, version 2 does not.
        if controllers.split(',').any(|controller| controller == "cpu") {
            first.extend([below(controllers), below("cpu")]);
        } else if controllers.is_empty() {
            second.extend([below(""), below("unified")]);
        }
    }
    first.append(&mut second);
    first
}

fn ratio(part: u64, all: u64) -> Option<f64> {
    // Ticks of a second are far below the precision of a float.
    (all > 0).then(|| part as f64 / all as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_busy_but_for_idle_and_waiting() {
        let before = cpu_time("cpu  100 0 100 700 100 0 0 0 0 0\ncpu0 1 1 1 1\n").unwrap();
        let after = cpu_time("cpu  160 0 120 800 110 5 5 0 0 0\n").unwrap();
        assert_eq!(after.busy_since(before), Some(0.45));
        assert_eq!(after.busy_since(after), None, "no time has passed");
        assert_eq!(before.busy_since(after), None, "another boot");
        for garbage in ["", "cpu", "cpu  1 2 3", "cpu  a b c d e", "intr 1"] {
            assert_eq!(cpu_time(garbage), None, "{garbage}");
        }
    }

    #[test]
    fn memory_that_could_be_had() {
        let meminfo = "MemTotal:       24682416 kB\nMemAvailable:   23865836 kB\n";
        assert_eq!(available_bytes(meminfo), Some(23_865_836 * 1024));
        assert_eq!(available_bytes("MemTotal: 1 kB\n"), None);
        assert_eq!(available_bytes("MemAvailable: 99999999999999999999 kB\n"), None);
    }

    #[test]
    fn pressure_of_some_and_of_full() {
        let text = include_str!("../../../testdata/host/pressure-memory.txt");
        assert_eq!(pressure(text, "some"), Some(0.1275));
        assert_eq!(pressure(text, "full"), Some(0.0412));
        assert_eq!(pressure("some avg10=nan", "some"), None);
        assert_eq!(pressure("", "full"), None);
    }

    #[test]
    fn periods_of_version_1_and_2() {
        let v2 = include_str!("../../../testdata/host/cpu.stat-v2.txt");
        let v1 = include_str!("../../../testdata/host/cpu.stat-v1.txt");
        assert_eq!(periods(v2), Some(Periods { all: 400, throttled: 100 }));
        assert_eq!(periods(v1), Some(Periods { all: 1000, throttled: 30 }));
        assert_eq!(periods("usage_usec 7\n"), None, "the root has none");
    }

    #[test]
    fn throttling_is_a_share_of_periods() {
        let at = |all, throttled| Periods { all, throttled };
        assert_eq!(at(110, 5).throttled_since(at(100, 0)), Some(0.5));
        assert_eq!(at(100, 5).throttled_since(at(100, 5)), Some(0.0), "nothing wanted to run");
        assert_eq!(at(1, 0).throttled_since(at(100, 5)), None, "another cgroup of the same name");
    }

    #[test]
    fn where_the_cpu_accounts_are() {
        let check = |cgroup: &str, expected: &[&str]| {
            let folders = cpu_folders(cgroup);
            let folders: Vec<_> = folders.iter().map(|folder| folder.to_str().unwrap()).collect();
            assert_eq!(folders, expected, "{cgroup}");
        };
        check(
            "0::/system.slice/a.service\n",
            &["system.slice/a.service", "unified/system.slice/a.service"],
        );
        check(
            "4:memory:/x\n1:cpu,cpuacct:/docker/3f\n0::/\n",
            &["cpu,cpuacct/docker/3f", "cpu/docker/3f", "", "unified/"],
        );
        check("0::/../../system.slice/a.service\n", &[]);
        check("garbage", &[]);
    }
}
