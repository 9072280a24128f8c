//! Whose a process is, by the path of its cgroup. Pure.

/// Shortened ids have this many digits, as in `docker ps`.
const SHORT: usize = 12;
/// Paths of containers' scopes begin with the name of what runs them.
const RUNTIMES: [(&str, &str); 5] = [
    ("docker-", "docker"),
    ("cri-containerd-", "containerd"),
    ("crio-", "crio"),
    ("libpod-", "podman"),
    ("containerd-", "containerd"),
];
/// A cgroup that is named by the id alone does not tell what runs it.
const BARE: &str = "container";

/// Whose the process is that has this `/proc/PID/cgroup`: `pod UID/CONTAINER`, `docker ID`,
/// `unit NAME.service`, or empty when the paths say nothing.
pub(crate) fn owner(cgroup: &str) -> String {
    paths(cgroup).find_map(owner_of_path).unwrap_or_default()
}

/// The paths worth asking, best first: the one hierarchy of version 2, then systemd's own, then the
/// controllers of version 1, of which some may be left at the root.
fn paths(cgroup: &str) -> impl Iterator<Item = &str> {
    let rank = |controllers: &str| match controllers {
        "" => 0,
        "name=systemd" => 1,
        _ => 2,
    };
    let mut ranked: Vec<(u8, &str)> = cgroup
        .lines()
        .filter_map(|line| {
            let mut parts = line.splitn(3, ':').skip(1);
            Some((rank(parts.next()?), parts.next()?))
        })
        .collect();
    ranked.sort_by_key(|(rank, _)| *rank);
    ranked.into_iter().map(|(_, path)| path)
}

fn owner_of_path(path: &str) -> Option<String> {
    let container = path.split('/').rev().find_map(container);
    match (path.split('/').find_map(pod), container) {
        (Some(pod), Some((_, id))) => Some(format!("pod {pod}/{id}")),
        (Some(pod), None) => Some(format!("pod {pod}")),
        (None, Some((BARE, id))) if path.contains("/docker/") => Some(format!("docker {id}")),
        (None, Some((runtime, id))) => Some(format!("{runtime} {id}")),
        (None, None) => unit(path),
    }
}

/// The UID of a pod, from `pod<uid>` or `kubepods-burstable-pod<uid with _>.slice`.
fn pod(segment: &str) -> Option<String> {
    let name = segment.strip_suffix(".slice").unwrap_or(segment);
    let uid = match name.rfind("-pod") {
        Some(at) => &name[at + 4..],
        None => name.strip_prefix("pod")?,
    };
    let is_uid = (32..=36).contains(&uid.len())
        && uid.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-' || b == b'_');
    is_uid.then(|| uid.replace('_', "-"))
}

/// Runtime and shortened id of a container, from a segment of a path.
fn container(segment: &str) -> Option<(&'static str, &str)> {
    let name = segment.strip_suffix(".scope").unwrap_or(segment);
    if let Some(id) = id(name) {
        return Some((BARE, id));
    }
    RUNTIMES.iter().find_map(|(prefix, runtime)| Some((*runtime, id(name.strip_prefix(prefix)?)?)))
}

fn id(text: &str) -> Option<&str> {
    let is_id = text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
    is_id.then(|| &text[..SHORT])
}

/// The innermost systemd unit that is a service or a scope.
fn unit(path: &str) -> Option<String> {
    path.split('/')
        .rev()
        .find(|segment| segment.ends_with(".service") || segment.ends_with(".scope"))
        .map(|segment| format!("unit {segment}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "3f4e0d5c6b7a89900112233445566778899aabbccddeeff00112233445566778";
    const UID: &str = "8da8fd05-427e-6f1d-e4aa-37df25a34307";

    fn check(cgroup: &str, expected: &str) {
        let uid_ = UID.replace('-', "_");
        let cgroup = cgroup.replace("ID", ID).replace("UID_", &uid_).replace("UUUU", UID);
        assert_eq!(owner(&cgroup), expected.replace("UUUU", UID), "{cgroup}");
    }

    #[test]
    fn pods_by_the_systemd_driver() {
        for runtime in ["cri-containerd", "crio", "docker"] {
            for path in [
                "kubepods-burstable.slice/kubepods-burstable-podP.slice",
                "kubepods-besteffort.slice/kubepods-besteffort-podP.slice",
                "kubepods-podP.slice",
            ] {
                let path = path.replace('P', &UID.replace('-', "_"));
                let cgroup = format!("0::/kubepods.slice/{path}/{runtime}-ID.scope\n");
                check(&cgroup, "pod UUUU/3f4e0d5c6b7a");
            }
        }
    }

    #[test]
    fn pods_by_cgroupfs() {
        check("0::/kubepods/burstable/podUUUU/ID", "pod UUUU/3f4e0d5c6b7a");
        check("0::/kubepods/podUUUU/ID", "pod UUUU/3f4e0d5c6b7a");
        check("11:memory:/kubepods/besteffort/podUUUU/ID", "pod UUUU/3f4e0d5c6b7a");
    }

    #[test]
    fn pods_in_a_nested_kubelet() {
        let slice = format!("kubelet-kubepods-pod{}.slice", UID.replace('-', "_"));
        let path =
            format!("0::/kubelet.slice/kubelet-kubepods.slice/{slice}/cri-containerd-ID.scope");
        check(&path, "pod UUUU/3f4e0d5c6b7a");
    }

    #[test]
    fn a_static_pod_has_a_hash_for_a_uid() {
        let hash = "0123456789abcdef0123456789abcdef";
        assert_eq!(
            owner(&format!("0::/kubepods/pod{hash}/{ID}")),
            format!("pod {hash}/{}", &ID[..12])
        );
    }

    #[test]
    fn plain_containers() {
        check("0::/system.slice/docker-ID.scope", "docker 3f4e0d5c6b7a");
        check("0::/docker/ID", "docker 3f4e0d5c6b7a");
        check("0::/default/ID", "container 3f4e0d5c6b7a");
        check("0::/machine.slice/libpod-ID.scope/container", "podman 3f4e0d5c6b7a");
    }

    #[test]
    fn units() {
        check("0::/system.slice/tritonserver.service", "unit tritonserver.service");
        check("0::/user.slice/user-1000.slice/session-3.scope", "unit session-3.scope");
        check("0::/system.slice/triton.service/worker", "unit triton.service");
    }

    #[test]
    fn version_1_leaves_some_controllers_at_the_root() {
        check("9:name=systemd:/\n4:memory:/docker/ID\n1:cpu:/\n0::/\n", "docker 3f4e0d5c6b7a");
    }

    #[test]
    fn what_says_nothing_is_nobody() {
        for cgroup in ["", "0::/", "garbage", "0::/init", "0::/kubepods/podshort/x"] {
            check(cgroup, "");
        }
    }
}
