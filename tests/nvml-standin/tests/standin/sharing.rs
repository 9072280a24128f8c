//! Several processes in one world.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Write, stdin};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command as Spawn, Stdio};

use nvidia_ml::{Command, Control, Model, Scenario, built_library};
use nvml_wrapper::Nvml;

use super::Node;

/// Names the library to the reader below.
const LIBRARY: &str = "STANDIN_TEST_LIBRARY";

/// The other process: [`Reader`] runs this test with [`LIBRARY`] set, and then it answers each line
/// with the memory in use. In the ordinary run there is nobody to answer.
#[test]
fn reader() {
    let Some(library) = env::var_os(LIBRARY) else { return };
    let nvml = Nvml::builder().lib_path(&library).init().unwrap();
    for _ in stdin().lines() {
        let used = nvml.device_by_index(0).unwrap().memory_info().unwrap().used;
        println!("used={used}");
    }
}

/// Another process that has loaded the stand-in.
struct Reader {
    process: Child,
    ask: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Reader {
    fn start(library: &Path, environment: &[(&str, PathBuf)]) -> Self {
        let mut process = Spawn::new(env::current_exe().unwrap())
            .args(["--exact", "sharing::reader", "--nocapture"])
            .env(LIBRARY, library)
            .envs(environment.iter().cloned())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (ask, answers) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
        Self { process, ask, answers: BufReader::new(answers) }
    }

    fn used(&mut self) -> u64 {
        writeln!(self.ask).unwrap();
        let mut line = String::new();
        loop {
            line.clear();
            assert!(self.answers.read_line(&mut line).unwrap() > 0, "the reader has ended");
            // The test harness writes to the same stream.
            if let Some((_, used)) = line.trim().split_once("used=") {
                return used.parse().unwrap();
            }
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

#[test]
fn a_process_that_comes_later_sees_what_was_commanded_before() {
    let node = Node::of(&[Model::L4]);
    node.send(&Command::SetMemory { gpu: 0, used: 3 << 30 });
    let library = node.installation.library();
    assert_eq!(Reader::start(&library, &[]).used(), 3 << 30);

    let mut respawned = Reader::start(&library, &[]);
    assert_eq!(respawned.used(), 3 << 30);
    node.send(&Command::SetMemory { gpu: 0, used: 4 << 30 });
    assert_eq!((respawned.used(), node.used(0)), (4 << 30, 4 << 30));
}

#[test]
fn the_environment_names_the_world_of_any_copy() {
    let node = Node::of(&[Model::L4]);
    node.send(&Command::SetMemory { gpu: 0, used: 6 << 30 });
    let mut reader = Reader::start(&built_library().unwrap(), &node.installation.environment());
    assert_eq!(reader.used(), 6 << 30);
}

#[test]
fn another_process_serves_when_the_one_that_did_dies() {
    let directory = tempfile::tempdir().unwrap();
    let scenario = directory.path().join("scenario.json");
    let socket = directory.path().join("control.sock");
    fs::write(&scenario, serde_json::to_vec(&Scenario::of(&[Model::L4])).unwrap()).unwrap();
    let environment =
        [("NVML_STANDIN_SCENARIO", scenario), ("NVML_STANDIN_CONTROL", socket.clone())];
    let library = built_library().unwrap();
    let control = Control::at(socket);

    let mut first = Reader::start(&library, &environment);
    control.send(&Command::SetMemory { gpu: 0, used: 1 << 30 }).unwrap();
    assert_eq!(first.used(), 1 << 30);
    let mut second = Reader::start(&library, &environment);
    assert_eq!(second.used(), 1 << 30);

    drop(first);
    control.send(&Command::SetMemory { gpu: 0, used: 2 << 30 }).unwrap();
    assert_eq!(second.used(), 2 << 30);
}
