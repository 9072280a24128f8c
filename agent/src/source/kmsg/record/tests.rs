use proptest::prelude::*;

use super::*;

/// Reads lines as they come, and says in short what they mean.
fn check(log: &str, expected: &str) {
    let mut assembler = Assembler::default();
    let mut said = Vec::new();
    for line in log.lines() {
        said.extend(match assembler.take(line) {
            Ok(None) => None,
            Ok(Some(KernelRecord::Xid(x))) => Some(format!("xid {} at {}", x.xid, x.pci_bus_id)),
            Ok(Some(KernelRecord::FallenOffBus { pci_bus_id })) => {
                Some(format!("gone {pci_bus_id}"))
            }
            Ok(Some(KernelRecord::OomKill { pid, name, cgroup })) => {
                Some(format!("oom {pid} `{name}` in `{cgroup}`"))
            }
            Ok(Some(KernelRecord::Lost { count })) => Some(format!("lost {count}")),
            Err(problem) => Some(format!("problem with {}", problem.what)),
        });
    }
    assert_eq!(said.join("; "), expected, "{log}");
}

#[test]
fn xid_of_the_device() {
    check(
        "4,1182,7461837001,-;NVRM: Xid (PCI:0000:1b:00): 79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus.",
        "xid 79 at 0000:1b:00",
    );
    check(
        "4,9,1,-;NVRM: Xid (PCI:0000:b7:00): 13, pid=4242, name=python, Graphics Exception on (GPC 2, TPC 0, SM 1): Out Of Range Address",
        "xid 13 at 0000:b7:00",
    );
}

#[test]
fn xid_of_dmesg_and_of_syslog() {
    check("[1052.493729] NVRM: Xid (PCI:0000:05:00): 31, pid=7, name=x", "xid 31 at 0000:05:00");
    check(
        "Nov 23 11:34:00 node-a kernel: [ 1052.493729] NVRM: Xid (0000:03:00): 14, Channel 00000001",
        "xid 14 at 0000:03:00",
    );
    check(
        "2026-11-23T11:34:00+00:00 node-a kernel: NVRM: Xid (PCI:0000:03:00): 48, DBE",
        "xid 48 at 0000:03:00",
    );
}

#[test]
fn xid_of_nvlink_5_and_of_a_mig_instance() {
    check(
        "3,1,1,-;NVRM: Xid (PCI:0018:01:00): 149, NETIR_LINK_EVT  Fatal   XC0 i0 Link 08 (0x004505c6 0x00000000)",
        "xid 149 at 0018:01:00",
    );
    check("3,1,1,-;NVRM: Xid (PCI:0000:05:00 GPU-I:05): 94, Contained", "xid 94 at 0000:05:00");
}

#[test]
fn the_text_of_an_xid_is_the_message() {
    let line = "3,1,1,-;NVRM: Xid (PCI:0000:05:00): 62, 32a5 (ca8)";
    let Ok(Some(KernelRecord::Xid(xid))) = parse(line) else { panic!("an XID") };
    assert_eq!(xid.text, "NVRM: Xid (PCI:0000:05:00): 62, 32a5 (ca8)");
}

#[test]
fn an_xid_in_another_shape_is_a_problem() {
    for line in [
        "3,1,1,-;NVRM: Xid 79",
        "3,1,1,-;NVRM: Xid (PCI:0000:05:00) 79",
        "3,1,1,-;NVRM: Xid (PCI:0000:05:00): many",
        "3,1,1,-;NVRM: Xid (nowhere): 79,",
        "3,1,1,-;NVRM: Xid (PCI:0000:05:00): 99999999999999999999,",
    ] {
        check(line, "problem with XID");
    }
}

#[test]
fn nobody_can_name_a_process_or_a_cgroup_so_that_it_reads_as_an_xid() {
    check(
        "6,1,1,-;oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=a,mems_allowed=0,\
         oom_memcg=/NVRM: Xid (PCI:0000:01:00): 79, x,task_memcg=/b,task=NVRM: Xid (PCI,pid=7,uid=0",
        "oom 7 `NVRM: Xid (PCI` in `/NVRM: Xid (PCI:0000:01:00): 79, x`",
    );
    check("2026-11-23T11:34:00 node app[7]: kernel: NVRM: Xid (PCI:0000:01:00): 79, x", "");
    check("Nov 23 11:34:00 node app[7]: x kernel: NVRM: Xid (PCI:0000:01:00): 79, x", "");
    check("12,1,1,-;app[7]: NVRM: Xid (PCI:0000:01:00): 79, x", "");
}

#[test]
fn a_gpu_that_falls_off_the_bus_without_an_xid() {
    check("3,1,1,-;NVRM: GPU 0000:bb:00.0: GPU has fallen off the bus.", "gone 0000:bb:00.0");
    check("3,1,1,-;NVRM: GPU at PCI:0000:bb:00: has fallen off the bus.", "gone 0000:bb:00");
}

#[test]
fn a_gpu_that_falls_off_the_bus_over_three_lines() {
    check(
        "3,1,1,-;NVRM: The NVIDIA GPU 0000:18:00.0\n\
         3,2,1,-;NVRM: (PCI ID: 10de:20b0) installed in this system has\n\
         3,3,1,-;NVRM: fallen off the bus and is not responding to commands.",
        "gone 0000:18:00.0",
    );
    check("3,3,1,-;NVRM: fallen off the bus and is not responding to commands.", "gone ");
}

#[test]
fn a_gpu_that_falls_off_the_bus_in_one_record_of_three_lines() {
    check(
        r"3,1,1,-;NVRM: The NVIDIA GPU 0000:18:00.0\x0aNVRM: (PCI ID: 10de:20b0) installed in this system has\x0aNVRM: fallen off the bus and is not responding to commands.",
        "gone 0000:18:00.0",
    );
}

#[test]
fn a_kill_is_told_in_two_lines_and_counts_once() {
    check(
        include_str!("../../../../testdata/kmsg/oom-cgroup.txt"),
        "oom 1482 `python3` in `/docker/3f4e`",
    );
    check(include_str!("../../../../testdata/kmsg/oom-host.txt"), "oom 9001 `tritonserver` in ``");
}

#[test]
fn a_kill_of_an_older_kernel() {
    check(
        "3,1,1,-;Killed process 77 (a) (b), UID 0, total-vm:1kB, anon-rss:1kB, file-rss:0kB",
        "oom 77 `a) (b` in ``",
    );
    check(
        "3,1,1,-;Memory cgroup out of memory: Killed process 77 (x) total-vm:1kB",
        "oom 77 `x` in `(unnamed)`",
    );
    check("3,1,1,-;Out of memory: Killed process none", "problem with OOM kill");
}

#[test]
fn everything_else_is_of_no_interest() {
    for line in [
        "",
        ";",
        " SUBSYSTEM=pci",
        "5,0,0,-;Linux version 6.18",
        "6,1,1,-;NVRM: loading NVIDIA UNIX x86_64 Kernel Module  580.95.05",
        "[not a time] NVRM",
    ] {
        check(line, "");
    }
}

#[test]
fn the_device_numbers_its_records() {
    assert_eq!(sequence("4,1182,7461837001,-;x"), Some(1182));
    assert_eq!(sequence("4,1182,7461837001,-,caller=T1;x"), Some(1182));
    assert_eq!(sequence("[12.3] x"), None);
    assert_eq!(sequence("a, b, c, d; e"), None);
}

proptest! {
    #[test]
    fn no_line_is_too_much(line in any::<String>()) {
        let _ = Assembler::default().take(&line);
        let _ = sequence(&line);
    }

    #[test]
    fn no_line_that_begins_well_is_too_much(
        start in prop::sample::select(vec![
            "NVRM: Xid ", "NVRM: Xid (PCI:0000:", "NVRM: The NVIDIA GPU ", "NVRM: fallen off the bus",
            "oom-kill:constraint=", "Out of memory: Killed process 7 (",
        ]),
        rest in "[(),:=a-f0-9\\\\ x_é-]{0,60}(,task=|,pid=|,uid=|total-vm:)?.{0,600}",
    ) {
        let line = format!("4,1,1,-;{start}{rest}");
        if let Ok(Some(KernelRecord::Xid(xid))) = Assembler::default().take(&line) {
            prop_assert!(xid.text.len() <= TEXT && xid.pci_bus_id.len() <= 32);
        }
    }
}
