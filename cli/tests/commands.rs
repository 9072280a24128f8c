//! The command as it is run, against an aggregator that says what the test wants.

mod desk;

use std::process::{Command, Output, Stdio};

use desk::Desk;
use serde_json::Value;

/// Runs `gpuwarden` to its end.
fn gpuwarden(desk: &Desk, args: &[&str]) -> Output {
    command(&desk.url, args).output().expect("it runs")
}

fn command(url: &str, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gpuwarden"));
    command.args(args).env("GPUWARDEN_AGGREGATOR", url).env("USER", "on-call");
    command
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("it is text")
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("it is text")
}

#[test]
fn incidents_are_listed_as_a_table_and_as_one_json_document() {
    let desk = Desk::open();
    let table = gpuwarden(&desk, &["incidents", "list"]);
    assert_eq!(table.status.code(), Some(0));
    let text = stdout(&table);
    assert!(text.starts_with("ID  SEV  TYPE"), "{text}");
    assert!(text.ends_with("1 open, 2 held back; --held lists them\n"), "{text}");
    assert!(!text.contains('\u{1b}'), "no colour where there is no terminal: {text}");

    let json = gpuwarden(&desk, &["incidents", "list", "--output", "json"]);
    let value: Value = serde_json::from_slice(&json.stdout).expect("one JSON document");
    assert_eq!(value["incidents"][0]["type"], "gpu-hardware");
    assert_eq!(value["incidents"][0]["opened_at"], "2026-11-23T14:02:11.000Z");
    assert_eq!((&value["truncated"], &value["held_back"]), (&false.into(), &2.into()));
}

#[test]
fn a_silence_arrives_with_its_author_time_and_reason() {
    let desk = Desk::open();
    let words = ["silence", "add", "node=gpu-7", "rule=~xid|ecc.*", "--for", "2h"];
    let output = gpuwarden(&desk, &[&words[..], &["--by", "ann", "--reason", "RMA"]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stdout(&output).starts_with("S7 holds back nothing"), "{}", stdout(&output));
    let json = gpuwarden(&desk, &[&words[..], &["--dry-run", "--output", "json"]].concat());
    let value: Value = serde_json::from_slice(&json.stdout).expect("one JSON document");
    assert_eq!(value["matchers"], serde_json::json!(["node=gpu-7", "rule=~xid|ecc.*"]));
    assert_eq!((&value["id"], &value["now"]["incidents"]), (&0.into(), &0.into()));
    let asked = r#"silence ["node=gpu-7", "rule=~xid|ecc.*"] After(7200s)"#;
    assert_eq!(
        desk.words(),
        [
            format!("0 ann: {asked} RMA dry run false"),
            format!("0 on-call: {asked} a dry run dry run true")
        ]
    );
    let output = gpuwarden(&desk, &["silence", "end", "S9"]);
    assert_eq!(
        (output.status.code(), stderr(&output).as_str()),
        (Some(1), "gpuwarden: there is no silence S9\n")
    );
    assert_eq!(stdout(&gpuwarden(&desk, &["silence", "held"])), "Nothing is held back.\n");
    let list = gpuwarden(&desk, &["silence", "list", "--output", "json"]);
    assert_eq!(stdout(&list), "{\"silences\":[]}\n");
}

#[test]
fn one_incident_is_shown_by_its_number_with_or_without_its_sign() {
    let desk = Desk::open();
    for id in ["7", "#7"] {
        let text = stdout(&gpuwarden(&desk, &["incidents", "show", id]));
        assert!(text.starts_with("#7  P2  gpu-hardware"), "{text}");
        assert!(text.contains("runbook gpu-hardware"), "{text}");
    }
}

#[test]
fn the_topology_is_a_tree_down_to_racks_or_one_thing_of_it() {
    let desk = Desk::open();
    let text = stdout(&gpuwarden(&desk, &["topology"]));
    assert_eq!(
        text,
        "PLACE    NODES  GPUS  MIG  SERVERS  MODELS  OPEN\nrack r1  1      8     -    -        -       -\n"
    );
    let json = gpuwarden(&desk, &["topology", "--depth", "node", "--output", "json"]);
    let value: Value = serde_json::from_slice(&json.stdout).expect("one JSON document");
    assert_eq!(value["branches"][0]["kind"], "node");
    let text = stdout(&gpuwarden(&desk, &["topology", "r1"]));
    assert_eq!(text, "rack r1\n  open      no incident\n");
    let json = gpuwarden(&desk, &["topology", "r1", "--output", "json"]);
    let value: Value = serde_json::from_slice(&json.stdout).expect("one JSON document");
    assert_eq!(value["entity"]["name"], "r1");
    let output = gpuwarden(&desk, &["topology", "r2"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(stderr(&output), "gpuwarden: nothing is called `r2`\n");
    let output = gpuwarden(&desk, &["topology", "r1", "--depth", "zone"]);
    assert_eq!(output.status.code(), Some(2), "the tree is of all");
}

#[test]
fn what_is_not_there_is_exit_code_one_with_the_words_of_the_aggregator() {
    let desk = Desk::open();
    let output = gpuwarden(&desk, &["incidents", "show", "8"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(stdout(&output), "");
    assert_eq!(stderr(&output), "gpuwarden: there is no incident #8\n");
}

#[test]
fn an_explanation_is_the_incident_itself_as_data() {
    let desk = Desk::open();
    let text = stdout(&gpuwarden(&desk, &["incidents", "explain", "7"]));
    assert!(text.contains("Why its severity is P2"), "{text}");
    let json = |verb| gpuwarden(&desk, &["incidents", verb, "7", "--output", "json"]).stdout;
    assert_eq!(json("explain"), json("show"));
    assert_eq!(gpuwarden(&desk, &["incidents", "explain", "8"]).status.code(), Some(1));
}

#[test]
fn a_persons_word_arrives_with_their_name() {
    let desk = Desk::open();
    let output = gpuwarden(&desk, &["incidents", "ack", "7"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    gpuwarden(&desk, &["incidents", "note", "7", "cable reseated", "--by", "night shift"]);
    gpuwarden(&desk, &["incidents", "resolve", "7", "--reason", "rebooted", "--force"]);
    assert_eq!(
        desk.words(),
        [
            "7 on-call: ack",
            "7 night shift: note cable reseated",
            "7 on-call: resolve rebooted true"
        ]
    );
}

#[test]
fn a_report_goes_out_and_comes_back_with_its_incident() {
    let desk = Desk::open();
    let words = ["incidents", "report", "chat is slow", "--service", "chat", "--by", "ann"];
    let output = gpuwarden(&desk, &words);
    assert_eq!(stdout(&output), "reported; it is part of #7 (key k1)\n", "{}", stderr(&output));
    assert_eq!(desk.words(), ["7 ann: chat is slow (chat, error)"]);
    let json = gpuwarden(&desk, &[&words[..], &["--output", "json"]].concat()).stdout;
    let value: Value = serde_json::from_slice(&json).expect("one JSON document");
    assert_eq!(value["incident"], 7);
    let bad = gpuwarden(&desk, &["incidents", "report", "x", "--severity", "bad"]);
    assert_eq!(bad.status.code(), Some(2));
}

#[test]
fn bad_usage_is_exit_code_two_and_names_what_is_missing() {
    let desk = Desk::open();
    let output = gpuwarden(&desk, &["incidents", "resolve", "7"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("--reason"), "{}", stderr(&output));
}

#[test]
fn nobody_there_is_exit_code_one_and_says_what_to_do() {
    let output = command("http://127.0.0.1:1", &["nodes"]).output().expect("it runs");
    assert_eq!(output.status.code(), Some(1));
    let error = stderr(&output);
    assert!(error.contains("no aggregator answers at http://127.0.0.1:1"), "{error}");
    assert!(error.contains("--aggregator"), "{error}");
}

#[test]
fn nodes_and_changes_have_stable_json() {
    let desk = Desk::open();
    let nodes = gpuwarden(&desk, &["nodes", "--output", "json"]);
    let nodes: Value = serde_json::from_slice(&nodes.stdout).expect("one JSON document");
    assert_eq!(nodes["nodes"][0]["id"], "node-b");
    assert_eq!(nodes["nodes"][0]["state"], "connected");
    let changes = gpuwarden(&desk, &["change", "list", "--output", "json"]);
    let changes: Value = serde_json::from_slice(&changes.stdout).expect("one JSON document");
    assert_eq!(changes["changes"][0]["kind"], "driver-changed");
}

#[test]
fn a_watch_shows_what_is_open_then_what_changes_and_nothing_twice() {
    let desk = Desk::open();
    // The desk ends each watch after its two updates, so the command makes a second one.
    let mut child = command(&desk.url, &["incidents", "watch", "--output", "json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it runs");
    desk.wait_for_watches(3);
    child.kill().expect("it can be ended");
    let output = child.wait_with_output().expect("it ended");
    let text = stdout(&output);
    let changes: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("a JSON line")).collect();
    let changes: Vec<&str> = changes.iter().filter_map(|line| line["change"].as_str()).collect();
    assert_eq!(changes, ["snapshot", "changed"]);
    assert!(stderr(&output).contains("trying again"), "{}", stderr(&output));
}

#[test]
fn a_reader_who_has_read_enough_ends_it_quietly() {
    let desk = Desk::open();
    let mut child = command(&desk.url, &["incidents", "list"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it runs");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ended");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(stderr(&output), "");
}

#[test]
fn a_change_is_recorded_with_all_that_the_command_line_says_of_it() {
    let desk = Desk::open();
    let line = [
        "change",
        "record",
        "rollout",
        "search 7",
        "--service",
        "search",
        "--model",
        "bert:7",
        "--node",
        "node-a",
        "--link",
        "https://ci/7",
        "--key",
        "ci-7",
        "--to",
        "7",
        "--at",
        "2026-11-23T14:00:00Z",
    ];
    let output = gpuwarden(&desk, &line);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(
        stdout(&output),
        "recorded: rollout of node node-a, version bert:7, service search, key ci-7\n"
    );
    let told = desk.words().remove(0);
    for word in
        ["by: \"on-call\"", "origin: Person", "https://ci/7", "14:00:00.000Z", "after: \"7\""]
    {
        assert!(told.contains(word), "{word} in {told}");
    }
    let mistaken = gpuwarden(&desk, &["change", "record", "rollout", " "]);
    assert_eq!(
        stderr(&mistaken),
        "gpuwarden: summary: is empty; say in one sentence what was done\n"
    );
    assert_eq!(gpuwarden(&desk, &["change", "record", "magic", "x"]).status.code(), Some(2));
}
