//! The GPU driver.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::Access;
use tokio::sync::mpsc::channel;
use tokio::time;
use tokio_util::sync::CancellationToken;

use super::{Check, Surroundings};
use crate::config::Config;
use crate::sample::{GpuReading, Input, SourceReport};
use crate::source::nvml;

const AREA: &str = "gpu";
/// How long the driver may take.
const LIMIT: Duration = Duration::from_secs(3);

pub(super) async fn examine(config: &Config, around: &Surroundings) -> Vec<Check> {
    if !config.nvml.enabled {
        return vec![Check::skipped(AREA, "not looked for: `nvml.enabled` is false")];
    }
    let mut checks = Vec::new();
    let devices = devices(&around.dev_root);
    checks.extend(examine_devices(&devices));
    checks.extend(examine_answer(ask(config, around).await, !devices.is_empty()));
    checks.push(examine_namespace(&around.roots.proc_root));
    checks
}

/// What the driver said.
enum Answer {
    Read(GpuReading),
    Absent(String),
    Failing(String),
    Silent,
}

/// One reading through a probe, as the agent itself takes them.
async fn ask(config: &Config, around: &Surroundings) -> Answer {
    let (out, mut inputs) = channel(8);
    let shutdown = CancellationToken::new();
    let probe = nvml::watch(config.nvml.clone(), around.exe.clone(), out, shutdown.clone());
    let probe = tokio::spawn(probe);
    let first = async {
        loop {
            match inputs.recv().await {
                Some(Input::Gpus(reading)) => return Answer::Read(reading),
                Some(Input::Source(_, SourceReport::Absent(why))) => return Answer::Absent(why),
                Some(Input::Source(_, SourceReport::Failing(why))) => return Answer::Failing(why),
                Some(_) => {}
                None => return Answer::Failing("the probe ended".to_owned()),
            }
        }
    };
    let answer = time::timeout(LIMIT, first).await.unwrap_or(Answer::Silent);
    shutdown.cancel();
    // It ends within a second, or is left behind as the agent would leave it.
    let _ = probe.await;
    answer
}

fn examine_answer(answer: Answer, has_devices: bool) -> Vec<Check> {
    match answer {
        Answer::Read(reading) => examine_reading(&reading),
        Answer::Absent(why) if has_devices => {
            let remedy = "set `nvml.library` to the path of libnvidia-ml.so.1; in a container, set \
                          NVIDIA_DRIVER_CAPABILITIES=utility and use the NVIDIA runtime";
            vec![Check::bad(AREA, why, remedy)]
        }
        Answer::Absent(why) => vec![Check::skipped(AREA, why)],
        Answer::Failing(why) => {
            vec![Check::bad(AREA, why, "`nvidia-smi` shows if it is the driver")]
        }
        Answer::Silent => vec![Check::bad(
            AREA,
            format!("the driver has not answered within {} s", LIMIT.as_secs()),
            "`nvidia-smi -pm 1` if the driver only starts slowly; `dmesg | grep NVRM` if it is sick",
        )],
    }
}

fn examine_reading(reading: &GpuReading) -> Vec<Check> {
    let instances = reading.gpus.iter().filter(|gpu| gpu.parent.is_some()).count();
    let count = reading.gpus.len() - instances;
    let plural = if count == 1 { "" } else { "s" };
    let cut = if instances == 0 { String::new() } else { format!(", {instances} MIG instances") };
    let found = format!("driver {} answers: {count} GPU{plural}{cut}", reading.driver_version);
    let mut checks = vec![Check::good(AREA, found)];
    for gpu in &reading.gpus {
        for fault in &gpu.faults {
            let finding = format!("GPU {} ({}): {fault}", gpu.index, gpu.uuid);
            checks.push(Check::bad(AREA, finding, "`dmesg | grep NVRM` shows what happened to it"));
        }
    }
    checks
}

/// The driver's own device files; `nvidia-uvm` and the like are for those who compute.
fn devices(dev_root: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dev_root).into_iter().flatten().flatten();
    let mut devices: Vec<PathBuf> = entries
        .filter(|entry| {
            let name = entry.file_name();
            let rest = name.to_str().and_then(|name| name.strip_prefix("nvidia"));
            rest.is_some_and(|rest| rest == "ctl" || rest.parse::<u32>().is_ok())
        })
        .map(|entry| entry.path())
        .collect();
    devices.sort();
    devices
}

fn examine_devices(devices: &[PathBuf]) -> Vec<Check> {
    if devices.is_empty() {
        return vec![Check::skipped(AREA, "there are no device files of an NVIDIA driver")];
    }
    let both = Access::READ_OK | Access::WRITE_OK;
    let denied = |device: &&PathBuf| rustix::fs::access(device.as_path(), both).is_err();
    let denied: Vec<String> =
        devices.iter().filter(denied).map(|device| device.display().to_string()).collect();
    if denied.is_empty() {
        return vec![Check::good(AREA, format!("{} device files can be opened", devices.len()))];
    }
    let remedy = "`DeviceAllow=char-nvidia* rw` in the service, or NVIDIA_VISIBLE_DEVICES=all in the \
                  container; `ls -l /dev/nvidia*` shows who may";
    vec![Check::bad(AREA, format!("cannot be opened: {}", denied.join(", ")), remedy)]
}

/// The driver tells PIDs of the host, wherever it is asked.
fn examine_namespace(proc_root: &Path) -> Check {
    let remedy = "`hostPID: true` in the pod, or `--pid=host` for docker";
    match std::fs::read_link(proc_root.join("self/ns/pid")) {
        Ok(link) if link != Path::new("pid:[4026531836]") => {
            let finding = "not in the host's PID namespace: processes on GPUs stay nameless";
            return Check::bad(AREA, finding, remedy);
        }
        _ => {}
    }
    match std::fs::read(proc_root.join("1/cgroup")) {
        Ok(_) => Check::good(AREA, "processes of others can be seen in /proc"),
        Err(error) => Check::bad(
            AREA,
            format!("processes of others cannot be seen in /proc: {error}"),
            "mount /proc without `hidepid`, or give the agent's user the group in `gid=`",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;

    #[test]
    fn only_the_drivers_own_devices_count() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["nvidia0", "nvidia11", "nvidiactl", "nvidia-uvm", "nvidiax", "null"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let devices = devices(folder.path());
        let names: Vec<_> =
            devices.iter().map(|d| d.file_name().unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["nvidia0", "nvidia11", "nvidiactl"]);
        assert_eq!(examine_devices(&devices)[0].verdict, Verdict::Good);
        assert_eq!(examine_devices(&[folder.path().join("gone")])[0].verdict, Verdict::Bad);
        assert_eq!(examine_devices(&[])[0].verdict, Verdict::Skipped);
    }

    #[test]
    fn no_driver_is_only_wrong_where_there_are_devices() {
        let absent = || Answer::Absent("the library is not there".to_owned());
        assert_eq!(examine_answer(absent(), true)[0].verdict, Verdict::Bad);
        assert_eq!(examine_answer(absent(), false)[0].verdict, Verdict::Skipped);
    }

    #[test]
    fn another_pid_namespace_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("self/ns")).unwrap();
        std::os::unix::fs::symlink("pid:[4026532999]", folder.path().join("self/ns/pid")).unwrap();
        assert_eq!(examine_namespace(folder.path()).verdict, Verdict::Bad);
    }
}
