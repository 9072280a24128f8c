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
    let shadow = "[incidents]\nquiet_period = \"10s\"\n";
    insta::assert_snapshot!(told(&log, "", shadow), @"");
    insta::assert_snapshot!(told(&log, shadow, ""), @"");
}

#[test]
fn a_shorter_window_leaves_an_effect_by_itself() {
    let log = line(10, "raised", "gpu-memory-exhausted", "gpu")
        + &line(40, "raised", "error-rate-high", "bert");
    let shadow = "[incidents]\ncause_window = \"10s\"\n";
    insta::assert_snapshot!(told(&log, "", shadow), @"");
}

#[test]
fn what_is_critical_is_more_urgent() {
    let log = line(10, "raised", "model-unavailable", "bert");
    let shadow = "[incidents]\ncritical_services = [\"bert\"]\n";
    insta::assert_snapshot!(told(&log, "", shadow), @"");
}

#[test]
fn a_persons_word_is_meant_for_the_incident_with_the_same_finding() {
    let log = line(10, "raised", "gpu-memory-exhausted", "gpu")
        + &line(40, "raised", "error-rate-high", "bert")
        + &line(41, "raised", "latency-high", "t5")
        + "{\"at\":\"2027-01-15T08:01:00Z\",\"event\":\"command\",\"incident\":2,\"command\":\"resolve\",\"by\":\"ann\",\"force\":true,\"reason\":\"known\"}\n";
    let shadow = "[incidents]\ncause_window = \"10s\"\n";
    insta::assert_snapshot!(told(&log, "", shadow), @"");
}
