//! MIG instances from the driver to the node's picture: the probe as it is run, on a driver that is a
//! stand-in, and what the engine makes of its lines.
#![allow(clippy::unwrap_used, reason = "a test may end by a panic")]

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Lines};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use gpuwarden_agent::engine::{Effect, Engine};
use gpuwarden_agent::probe::ProbeMessage;
use gpuwarden_agent::rule::Thresholds;
use gpuwarden_agent::sample::{Input, Moment, Now};
use gpuwarden_proto::event::Body;
use gpuwarden_proto::time::Timestamp;
use nvidia_ml::{
    AddProcess, Command as Order, GpuSpec, Installation, MigInstance, Model, Scenario, SetProcess,
    built_library,
};
use tempfile::TempDir;

const GIB: u64 = 1 << 30;

/// A node with one cut GPU and one whole one, its probe and its engine.
struct Node {
    installation: Installation,
    lines: Lines<BufReader<ChildStdout>>,
    child: Child,
    _stdin: ChildStdin,
    engine: Engine,
    ms: u64,
    told: String,
    _folder: TempDir,
}

fn instance(profile: &str, gpu_instance: u32, gib: u64) -> MigInstance {
    MigInstance {
        profile: profile.to_owned(),
        uuid: Some(format!("MIG-{gpu_instance}")),
        gpu_instance,
        compute_instance: 0,
        memory_total: gib * GIB,
    }
}

fn gpu(uuid: &str, mig: Vec<MigInstance>) -> GpuSpec {
    GpuSpec { uuid: Some(uuid.to_owned()), mig, ..GpuSpec::of(Model::H100) }
}

impl Node {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let cut = gpu("GPU-0", vec![instance("3g.40gb", 1, 40), instance("1g.10gb", 9, 10)]);
        let gpus = vec![cut, gpu("GPU-1", Vec::new())];
        let scenario = Scenario { gpus, ..Scenario::default() };
        let library = built_library().unwrap();
        let installation = Installation::new(folder.path(), &library, &scenario).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_gpuwarden-agent"))
            .args(["probe", "--interval-ms", "100", "--library"])
            .arg(installation.library())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let stdin = child.stdin.take().unwrap();
        let engine = Engine::new(Thresholds::default(), &[]);
        let told = String::new();
        Self { installation, lines, child, _stdin: stdin, engine, ms: 0, told, _folder: folder }
    }

    fn order(&self, order: &Order) {
        self.installation.control().send(order).unwrap();
    }

    /// Reads until the picture is as wanted; half a second passes from line to line.
    fn until(&mut self, wanted: &str) {
        let mut shown = String::new();
        for _ in 0..200 {
            let line = self.lines.next().unwrap().unwrap();
            if let ProbeMessage::Gpus(reading) = serde_json::from_str(&line).unwrap() {
                self.ms += 500;
                let now = self.now();
                for effect in self.engine.apply(now, Input::Gpus(reading)) {
                    self.hear(&effect);
                }
            }
            shown = self.picture();
            if shown.trim() == wanted.trim() {
                return;
            }
        }
        assert_eq!(shown.trim(), wanted.trim());
    }

    fn now(&self) -> Now {
        Now { moment: Moment::ms(self.ms), wall: Timestamp::from_unix_ns(self.ms * 1_000_000) }
    }

    fn hear(&mut self, effect: &Effect) {
        let Effect::Emit(event) = effect else { return };
        let Body::Finding(finding) = &event.body else { return };
        let (phase, rule, subject) = (finding.phase, finding.rule, &finding.subject);
        writeln!(self.told, "{phase} {rule} {subject}: {}", finding.summary).unwrap();
    }

    fn picture(&self) -> String {
        let mut text = String::new();
        for gpu in self.engine.snapshot(self.now()).gpus {
            let used = gpu.memory_used_bytes.map_or("?".to_owned(), |b| (b / GIB).to_string());
            let of = gpu.parent.map_or(String::new(), |parent| format!(" of {parent}"));
            let total = gpu.memory_total_bytes / GIB;
            writeln!(text, "{}{of} {} {used}/{total}", gpu.uuid, gpu.profile).unwrap();
        }
        text
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn instances_are_read_and_only_the_full_one_is_found() {
    let mut node = Node::start();
    let (memory, mig) = (Some(5 * GIB), Some(1));
    node.order(&Order::AddProcess(AddProcess { pid: 44, memory, mig, ..AddProcess::default() }));
    node.until(
        "GPU-0  5/79\nMIG-1 of GPU-0 3g.40gb 0/40\nMIG-9 of GPU-0 1g.10gb 5/10\nGPU-1  0/79",
    );
    let full = SetProcess { pid: 44, memory: Some(10 * GIB - 1), ..SetProcess::default() };
    node.order(&Order::SetProcess(full));
    node.until(
        "GPU-0  10/79\nMIG-1 of GPU-0 3g.40gb 0/40\nMIG-9 of GPU-0 1g.10gb 9/10\nGPU-1  0/79",
    );
    let expected = "raised gpu-memory-exhausted MIG-9 of GPU 0: \
                    memory of a 1g.10gb instance is gone: 0.00 of 10.0 GiB free\n";
    assert_eq!(node.told, expected);

    node.order(&Order::RemoveProcess { gpu: 0, pid: 44 });
    node.order(&Order::SetMig { gpu: 0, mig: vec![instance("3g.40gb", 1, 40)] });
    node.until("GPU-0  0/79\nMIG-1 of GPU-0 3g.40gb 0/40\nGPU-1  0/79");
    for _ in 0..10 {
        node.ms += 500;
        let now = node.now();
        for effect in node.engine.apply(now, Input::Tick) {
            node.hear(&effect);
        }
    }
    let last = node.told.lines().last().unwrap();
    assert!(last.starts_with("cleared gpu-memory-exhausted MIG-9 of GPU 0"), "{}", node.told);
}
