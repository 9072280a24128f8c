use std::os::unix::fs::PermissionsExt;

use tokio::io::{AsyncWriteExt, DuplexStream};
use tokio::sync::mpsc::{Receiver, channel};
use tokio::task::JoinHandle;

use super::*;
use crate::sample::XidReading;

const SILENCE: Duration = Duration::from_millis(1_500);
const GPUS: &str = r#"{"gpus":{"driver_version":"580.95.05","gpus":[]}}"#;
const XID: &str = r#"{"xid":{"uuid":"GPU-1","pci_bus_id":"","xid":79,"text":""}}"#;
const BLOCKED: &str = r#"{"fault":{"call":"nvmlDeviceGetMemoryInfo_v2","gpu":3,"error":"has not returned for 750 ms"}}"#;

/// A probe made of text, and what comes of it.
struct Fixture {
    to: DuplexStream,
    inputs: Receiver<Input>,
    shutdown: CancellationToken,
    end: JoinHandle<End>,
}

impl Fixture {
    fn new() -> Self {
        let (to, from) = tokio::io::duplex(4 * 1024 * 1024);
        let (out, inputs) = channel(64);
        let shutdown = CancellationToken::new();
        let end = tokio::spawn(read_probe(from, SILENCE, out, shutdown.clone()));
        Self { to, inputs, shutdown, end }
    }

    async fn line(&mut self, line: &str) {
        self.to.write_all(format!("{line}\n").as_bytes()).await.unwrap();
    }

    /// What the next input says, in short.
    async fn told(&mut self) -> String {
        told(&mut self.inputs).await
    }
}

async fn told(inputs: &mut Receiver<Input>) -> String {
    match inputs.recv().await {
        Some(Input::Gpus(_)) => "gpus".to_owned(),
        Some(Input::Xid(XidReading { xid, .. })) => format!("xid {xid}"),
        Some(Input::Source(name, SourceReport::Seeing)) => format!("{name} sees"),
        Some(Input::Source(name, SourceReport::Absent(why))) => format!("{name} absent: {why}"),
        Some(Input::Source(name, SourceReport::Failing(why))) => format!("{name} fails: {why}"),
        other => format!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn says_once_that_it_sees() {
    let mut probe = Fixture::new();
    probe.line(r#"{"hello":{"driver_version":"580","nvml_version":"13","gpus":0}}"#).await;
    probe.line(GPUS).await;
    probe.line(GPUS).await;
    probe.line(XID).await;
    assert_eq!(probe.told().await, "nvml sees");
    assert_eq!(probe.told().await, "gpus");
    assert_eq!(probe.told().await, "gpus");
    assert_eq!(probe.told().await, "xid 79");
}

#[tokio::test(start_paused = true)]
async fn silence_is_told_with_the_call_that_is_blocked_and_so_is_its_end() {
    let mut probe = Fixture::new();
    probe.line(GPUS).await;
    assert_eq!(probe.told().await, "nvml sees");
    assert_eq!(probe.told().await, "gpus");
    time::sleep(Duration::from_millis(800)).await;
    probe.line(BLOCKED).await;
    assert_eq!(
        probe.told().await,
        "nvml fails: the driver has not answered for 1.5 s: \
         nvmlDeviceGetMemoryInfo_v2 on GPU 3: has not returned for 750 ms"
    );
    time::sleep(Duration::from_secs(3_600)).await;
    assert!(probe.inputs.try_recv().is_err(), "told once");
    probe.line(GPUS).await;
    assert_eq!(probe.told().await, "nvml sees");
    assert_eq!(probe.told().await, "gpus");
    assert_eq!(
        probe.told().await,
        "nvml fails: the driver has not answered for 1.5 s: a call may be blocked"
    );
}

#[tokio::test(start_paused = true)]
async fn what_the_driver_tells_by_itself_is_no_answer() {
    let mut probe = Fixture::new();
    probe.line(GPUS).await;
    assert_eq!(probe.told().await, "nvml sees");
    assert_eq!(probe.told().await, "gpus");
    for _ in 0..2 {
        time::sleep(Duration::from_millis(700)).await;
        probe.line(XID).await;
        assert_eq!(probe.told().await, "xid 79");
    }
    assert!(probe.told().await.starts_with("nvml fails"));
}

#[tokio::test(start_paused = true)]
async fn a_line_in_time_is_no_silence_however_late_it_is_taken() {
    let (mut to, from) = tokio::io::duplex(64 * 1024);
    let (out, mut inputs) = channel(1);
    let _end = tokio::spawn(read_probe(from, SILENCE, out, CancellationToken::new()));
    for _ in 0..3 {
        to.write_all(format!("{GPUS}\n").as_bytes()).await.unwrap();
    }
    time::sleep(Duration::from_secs(10)).await;
    for expected in ["nvml sees", "gpus", "gpus", "gpus"] {
        assert_eq!(told(&mut inputs).await, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn garbage_is_forgiven_twice() {
    let mut probe = Fixture::new();
    probe.line("garbage").await;
    probe.line("{}").await;
    probe.line(GPUS).await;
    assert_eq!(probe.told().await, "nvml sees");
    assert_eq!(probe.told().await, "gpus");
    for _ in 0..4 {
        probe.line("garbage").await;
    }
    let told = probe.told().await;
    assert!(told.starts_with("nvml fails: 3 lines of the probe could not be read"), "{told}");
    probe.line(GPUS).await;
    assert_eq!(probe.told().await, "nvml sees");
}

#[tokio::test(start_paused = true)]
async fn an_endless_line_is_garbage() {
    let mut probe = Fixture::new();
    for _ in 0..3 {
        probe.line(&"x".repeat(lines::LONGEST + 1)).await;
    }
    let told = probe.told().await;
    assert!(told.ends_with("the last: a line without end"), "{told}");
}

#[tokio::test(start_paused = true)]
async fn ends_with_its_reasons() {
    let probe = Fixture::new();
    drop(probe.to);
    assert_eq!(probe.end.await.unwrap(), End::Eof);

    let mut probe = Fixture::new();
    probe.line(r#"{"absent":{"reason":"the driver is not loaded"}}"#).await;
    assert_eq!(probe.told().await, "nvml absent: the driver is not loaded");
    assert_eq!(probe.end.await.unwrap(), End::Absent);

    let probe = Fixture::new();
    probe.shutdown.cancel();
    assert_eq!(probe.end.await.unwrap(), End::Shutdown);

    let mut probe = Fixture::new();
    probe.inputs.close();
    probe.line(GPUS).await;
    assert_eq!(probe.end.await.unwrap(), End::Closed);
}

#[tokio::test(start_paused = true)]
async fn patience_ends_and_the_same_probe_can_be_read_on() {
    let (mut to, from) = tokio::io::duplex(64 * 1024);
    let (out, mut inputs) = channel(8);
    let shutdown = CancellationToken::new();
    let mut reading = Reading::new(from, SILENCE, SILENCE);
    let patience = Some(Duration::from_secs(30));
    assert_eq!(reading.run(&out, &shutdown, patience).await, End::Blocked);
    assert_eq!(reading.run(&out, &shutdown, patience).await, End::Blocked);
    assert!(told(&mut inputs).await.starts_with("nvml fails"));
    to.write_all(format!("{GPUS}\n").as_bytes()).await.unwrap();
    drop(to);
    assert_eq!(reading.run(&out, &shutdown, patience).await, End::Eof);
    assert!(reading.take_answered());
    assert_eq!(told(&mut inputs).await, "nvml sees");
}

/// Watches a probe that is a shell script.
fn watch_script(
    folder: &Path,
    script: &str,
) -> (Receiver<Input>, CancellationToken, JoinHandle<()>) {
    let (text, exe) = (folder.join("probe.sh"), folder.join("probe"));
    std::fs::write(&text, format!("#!/bin/sh\n{script}\n")).unwrap();
    // Copied by a child: a program that this process has had open for writing may still be so in a
    // child that another test is just forking, and cannot be run then.
    assert!(std::process::Command::new("cp").arg(&text).arg(&exe).status().unwrap().success());
    std::fs::set_permissions(&exe, std::fs::Permissions::from_mode(0o755)).unwrap();
    let config = NvmlConfig {
        enabled: true,
        library: None,
        interval: Duration::from_millis(500),
        silence: Duration::from_millis(200),
    };
    let (out, inputs) = channel(64);
    let shutdown = CancellationToken::new();
    let task = tokio::spawn(watch(config, exe, out, shutdown.clone()));
    (inputs, shutdown, task)
}

#[tokio::test]
async fn a_probe_that_dies_is_told_and_started_again() {
    let folder = tempfile::tempdir().unwrap();
    let (mut inputs, shutdown, task) =
        watch_script(folder.path(), &format!("echo '{GPUS}'; exit 3"));
    for _ in 0..2 {
        assert_eq!(told(&mut inputs).await, "nvml sees");
        assert_eq!(told(&mut inputs).await, "gpus");
        assert_eq!(told(&mut inputs).await, "nvml fails: the probe ended (exit status: 3)");
    }
    shutdown.cancel();
    task.await.unwrap();
}

#[tokio::test]
async fn at_shutdown_the_probe_is_asked_to_end_by_closing_its_input() {
    let folder = tempfile::tempdir().unwrap();
    let ended = folder.path().join("ended");
    let script = format!("echo '{GPUS}'; cat > /dev/null; touch '{}'", ended.display());
    let (mut inputs, shutdown, task) = watch_script(folder.path(), &script);
    assert_eq!(told(&mut inputs).await, "nvml sees");
    shutdown.cancel();
    task.await.unwrap();
    // On a busy machine it may take longer than the watch waits for it.
    for _ in 0..100 {
        if ended.exists() {
            return;
        }
        time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the probe has not ended");
}

#[tokio::test]
async fn a_probe_that_cannot_be_started_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let (mut inputs, shutdown, task) = watch_script(folder.path(), "");
    assert_eq!(told(&mut inputs).await, "nvml fails: the probe ended (exit status: 0)");
    std::fs::remove_file(folder.path().join("probe")).unwrap();
    let told = told(&mut inputs).await;
    assert!(told.starts_with("nvml fails: the probe cannot be started"), "{told}");
    shutdown.cancel();
    task.await.unwrap();
}
