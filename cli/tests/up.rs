//! `gpuwarden up` as it is run: for a moment, on free ports, in a folder of its own.

use std::process::Command;

#[test]
fn a_short_demo_ends_by_itself_with_nothing_but_json_on_stdout() {
    let data = tempfile::tempdir().expect("a folder");
    let output = Command::new(env!("CARGO_BIN_EXE_gpuwarden"))
        .args(["up", "--demo", "--duration", "3s", "--output", "json"])
        .args(["--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0", "--data"])
        .arg(data.path())
        .output()
        .expect("it runs");
    let (stdout, stderr) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    let lines: Vec<serde_json::Value> = stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}")))
        .collect();
    let last = lines.last().expect("at least the summary");
    assert_eq!(last["resolved"], 0, "{stdout}");
    assert!(last["summary"].is_object(), "{stdout}");
    assert!(stderr.contains("demo fleet of 4 nodes, 16 GPUs, 6 models added"), "{stderr}");
    assert!(data.path().join("demo/agent-node-a").is_dir());
}
