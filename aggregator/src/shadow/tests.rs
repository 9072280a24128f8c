use gpuwarden_proto::shadow::Report;

use crate::config::Config;
use crate::replay::Replay;
use crate::replay::log::Log;

/// What the second settings would have made otherwise of a log, in words.
fn told(log: &str, live: &str, shadow: &str) -> String {
    let config = |text: &str| Config::parse("test.toml", text).unwrap();
    let events = Log::new("log", log.as_bytes());
    let replay = Replay { events, config: config(live), skip_bad: false, until: None };
    let contrasted = replay.against(&config(shadow)).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(contrasted.remarks, Vec::<String>::new());
    let Report { live, shadow, alike, counts, differences, .. } = contrasted.report;
    let mut lines = vec![format!("{live} live, {shadow} in the shadow, {alike} the same")];
    lines.extend(differences.iter().map(|each| format!("{}: {}", each.kind, each.text)));
    assert_eq!(counts.values().sum::<u64>(), differences.len() as u64);
    lines.join("\n")
}

/// A line of a finding of node-a: second, phase, rule, subject.
fn line(second: u64, phase: &str, rule: &str, subject: &str) -> String {
    let subject = match subject {
        "gpu" => r#"{"kind":"gpu","uuid":"GPU-0","index":0}"#.to_owned(),
        model => {
            format!(r#"{{"kind":"model","server":"default","model":"{model}","version":"1"}}"#)
        }
    };
    let (minute, second) = (second / 60, second % 60);
    format!(
        r#"{{"at":"2027-01-15T08:{minute:02}:{second:02}Z","node":"node-a","event":"finding","rule":"{rule}","subject":{subject},"phase":"{phase}","grade":"degraded","summary":"seen"}}"#
    ) + "\n"
}

#[test]
fn the_same_settings_do_the_same() {
    let log =
        line(10, "raised", "queue-backup", "bert") + &line(20, "cleared", "queue-backup", "bert");
    insta::assert_snapshot!(told(&log, "", ""), @"1 live, 1 in the shadow, 1 the same");
}

#[test]
fn a_shorter_quiet_period_ends_earlier_and_splits() {
    let log = line(10, "raised", "queue-backup", "bert")
        + &line(20, "cleared", "queue-backup", "bert")
        + &line(50, "raised", "queue-backup", "bert")
        + &line(60, "cleared", "queue-backup", "bert")
        + &line(60, "raised", "xid", "gpu")
        + &line(70, "cleared", "xid", "gpu")
        + &line(300, "raised", "latency-high", "t5");
    let shadow = "[incidents]\nquiet_period = \"10s\"\nreopen_within = \"0s\"\n";
    insta::assert_snapshot!(told(&log, "", shadow), @r"
    3 live, 4 in the shadow, 1 the same
    split: one is 2 in the shadow: node-a model bert: seen
    resolved: resolved 50 s earlier in the shadow: node-a GPU 0: seen
    ");
    insta::assert_snapshot!(told(&log, shadow, ""), @r"
    4 live, 3 in the shadow, 1 the same
    merged: 2 are one in the shadow: node-a model bert: seen
    resolved: resolved 50 s later in the shadow: node-a GPU 0: seen
    ");
}

#[test]
fn a_shorter_window_leaves_an_effect_by_itself() {
    let log = line(10, "raised", "gpu-memory-exhausted", "gpu")
        + &line(13, "raised", "error-rate-high", "bert");
    let shadow = "[incidents]\ncause_window = \"2s\"\n";
    insta::assert_snapshot!(told(&log, "", shadow), @r"
    1 live, 2 in the shadow, 0 the same
    split: one is 2 in the shadow: node-a GPU 0: seen
    ");
}

#[test]
fn what_is_critical_is_more_urgent() {
    let stands = r#"{"at":"2027-01-15T08:00:01Z","node":"node-a","event":"snapshot","servers":[{"name":"default","availability":"ready","models":[{"name":"bert","version":"1","availability":"ready"}]}]}"#;
    let log = format!("{stands}\n{}", line(10, "raised", "model-unavailable", "bert"));
    let shadow = "[incidents]\ncritical_services = [\"bert\"]\n";
    insta::assert_snapshot!(told(&log, "", shadow), @r"
    1 live, 1 in the shadow, 0 the same
    severity: P2 live, P1 in the shadow: node-a model bert: seen
    ");
}

#[test]
fn a_persons_word_is_meant_for_the_incident_with_the_same_finding() {
    let log = line(10, "raised", "gpu-memory-exhausted", "gpu")
        + &line(13, "raised", "error-rate-high", "bert")
        + &line(41, "raised", "latency-high", "t5")
        + "{\"at\":\"2027-01-15T08:01:00Z\",\"event\":\"command\",\"incident\":2,\"command\":\"resolve\",\"by\":\"ann\",\"force\":true,\"reason\":\"known\"}\n";
    let shadow = "[incidents]\ncause_window = \"2s\"\n";
    // Number 2 is of t5 live, and number 3 in the shadow.
    insta::assert_snapshot!(told(&log, "", shadow), @r"
    2 live, 3 in the shadow, 1 the same
    split: one is 2 in the shadow: node-a GPU 0: seen
    ");
}
