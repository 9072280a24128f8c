use gpuwarden_proto::vocab::{Epoch, Seq};

use super::export::{Exported, export};
use super::*;
use crate::correlate::{Signal, Touched, apply};
use crate::incident::place;
use crate::store::{Batch, History, SqliteHistory, SqliteStore, Store, Transaction};
use crate::testing::{Stage, at, entry, node};

/// Memory runs out on a GPU and a model there fails; both end.
const STORY: &str = r#"
{"format":"gpuwarden-events","version":1}
{"at":"2027-01-15T08:00:00Z","node":"node-a","event":"snapshot","hostname":"a","sources":[{"name":"nvml","state":"seeing"},{"name":"triton/default","state":"seeing"}],"servers":[{"name":"default","availability":"ready","models":[{"name":"bert","version":"1","availability":"ready","requests_per_s":9.5}]}],"labels":{"rack":"r1"}}
{"at":"2027-01-15T08:00:01Z","node":"node-a","seq":1,"event":"change","subject":{"kind":"node"},"kind":"agent-started","summary":"0.1.0"}
{"at":"2027-01-15T08:00:10.25Z","node":"node-a","seq":2,"observed_at":"2027-01-15T08:00:10.1Z","event":"finding","rule":"gpu-memory-exhausted","subject":{"kind":"gpu","uuid":"GPU-0","index":0},"phase":"raised","grade":"degraded","summary":"memory is gone","raised_at":"2027-01-15T08:00:09Z"}
{"at":"2027-01-15T08:00:12Z","node":"node-a","seq":3,"event":"finding","rule":"error-rate-high","subject":{"kind":"model","server":"default","model":"bert","version":"1"},"phase":"raised","grade":"degraded","summary":"38 % fail","evidence":[{"signal":"share","value":0.38,"unit":"ratio"}]}
{"at":"2027-01-15T08:00:13Z","event":"command","incident":1,"command":"acknowledge","by":"ann"}
{"at":"2027-01-15T08:00:14Z","node":"node-a","seq":4,"event":"finding","rule":"error-rate-high","subject":{"kind":"model","server":"default","model":"bert","version":"1"},"phase":"cleared","grade":"degraded"}
{"at":"2027-01-15T08:00:15Z","node":"node-a","seq":5,"event":"finding","rule":"gpu-memory-exhausted","subject":{"kind":"gpu","uuid":"GPU-0"},"phase":"cleared","grade":"degraded"}
{"at":"2027-01-15T08:05:00Z","node":"node-a","seq":6,"event":"gap","count":3,"reason":"full"}
{"at":"2027-01-15T08:05:01Z","node":"node-b","event":"lost","since":"2027-01-15T08:04:51Z"}
{"at":"2027-01-15T08:05:02Z","event":"command","incident":9,"command":"resolve","by":"ann","force":true,"reason":"known"}
"#;

fn replay(text: &str) -> Replay<&[u8]> {
    let events = Log::new("story", text.as_bytes());
    let config = Config::default();
    Replay { events, config, skip_bad: false, until: None }
}

fn played(replay: Replay<&[u8]>) -> Replayed {
    replay.run().unwrap_or_else(|error| panic!("{error}"))
}

fn bytes(replayed: &Replayed) -> String {
    let mut out = Vec::new();
    replayed.write(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// The incidents in few words.
fn shown(replayed: &Replayed) -> String {
    let mut lines = Vec::new();
    for each in &replayed.incidents {
        lines.push(format!(
            "{} {} {} {}: {}",
            each.id, each.severity, each.kind, each.state, each.title
        ));
        lines.extend(
            each.members.iter().map(|m| format!("  {} {}: {}", place(m), m.rule, m.reason)),
        );
        lines.extend(each.timeline.iter().map(|e| format!("  {} {} {}", e.at, e.kind, e.text)));
    }
    lines.extend(replayed.remarks.iter().cloned());
    lines.join("\n")
}

#[test]
fn a_story_gives_its_incidents_those_that_are_over_and_those_that_are_not() {
    insta::assert_snapshot!(shown(&played(replay(STORY))), @r"
    #1 P2 gpu-oom resolved: node-a GPU 0: memory is gone
      node-a GPU 0 gpu-memory-exhausted: first seen
      node-a model bert error-rate-high: memory ran out: gpu-memory-exhausted 3 s earlier, same node
      2027-01-15T08:00:10.250Z detected node-a GPU 0: memory is gone
      2027-01-15T08:00:10.250Z classified gpu-oom: its likely cause is gpu-memory-exhausted on node-a GPU 0
      2027-01-15T08:00:10.250Z severity P3: gpu-memory-exhausted: service is degraded
      2027-01-15T08:00:12.000Z joined node-a model bert: 38 % fail (memory ran out: gpu-memory-exhausted 3 s earlier, same node)
      2027-01-15T08:00:12.000Z severity P2 (was P3): model bert fails 38 % of requests
      2027-01-15T08:00:13.000Z acknowledged taken by ann
      2027-01-15T08:00:14.000Z cleared node-a model bert error-rate-high is over
      2027-01-15T08:00:15.000Z cleared node-a GPU 0 gpu-memory-exhausted is over
      2027-01-15T08:00:15.000Z quiet no member is active any more
      2027-01-15T08:01:15.000Z resolved quiet for 1 min
    #2 P2 node-unreachable open: node-b: node-b has not been heard of for 10 s
      node-b node-lost: first seen
      2027-01-15T08:05:01.000Z detected node-b: node-b has not been heard of for 10 s
      2027-01-15T08:05:01.000Z classified node-unreachable: its likely cause is node-lost on node-b
      2027-01-15T08:05:01.000Z severity P2: node-b does not answer
    commands refused: 1; the first: line 12: there is no incident #9
    ");
}

#[test]
fn incidents_are_printed_one_a_line_as_everywhere_else() {
    let lost = r#"{"at":"2027-01-15T08:00:00.000000001Z","node":"a","event":"lost","since":"2027-01-15T07:59:50Z"}"#;
    insta::assert_snapshot!(bytes(&played(replay(lost))), @r#"{"id":1,"type":"node-unreachable","type_reason":"its likely cause is node-lost on a","severity":"P2","severity_reason":"a does not answer","state":"open","title":"a: a has not been heard of for 10 s","members":[{"node":"a","rule":"node-lost","subject":{"kind":"node"},"grade":"down","summary":"a has not been heard of for 10 s","evidence":[{"signal":"silence","value":10.000000001,"unit":"s","window_s":0.0,"threshold":null,"baseline":null}],"suspects":[],"raised_at":"2027-01-15T07:59:50.000Z","cleared_at":null,"reason":"first seen","score":1.0,"ties":[],"raises":1,"flapping":false,"gpus":[]}],"timeline":[{"at":"2027-01-15T08:00:00.000000001Z","kind":"detected","actor":"gpuwarden","text":"a: a has not been heard of for 10 s"},{"at":"2027-01-15T08:00:00.000000001Z","kind":"classified","actor":"gpuwarden","text":"node-unreachable: its likely cause is node-lost on a"},{"at":"2027-01-15T08:00:00.000000001Z","kind":"severity","actor":"gpuwarden","text":"P2: a does not answer"}],"opened_at":"2027-01-15T07:59:50.000Z","updated_at":"2027-01-15T08:00:00.000000001Z","resolved_at":null,"acknowledged_by":null,"version":1,"members_dropped":0,"timeline_dropped":0,"roots":[{"entity":{"kind":"node","name":"a","node":"a"},"score":0.96,"reason":"explains 1 of 1 members, began first"}],"scope":null,"merged_into":null,"suppressed_by":[],"held_since":null,"suspected_change":null}"#);
}

#[test]
fn the_same_log_gives_the_same_bytes() {
    let mut log = String::new();
    for second in 0..60 {
        for (host, model) in [("a", "bert"), ("b", "bert"), ("c", "resnet"), ("d", "bert")] {
            for rule in ["queue-backup", "latency-high", "error-rate-high"] {
                let phase = if second % 7 == 3 { "cleared" } else { "raised" };
                log += &format!(
                    "{{\"at\":\"2027-01-15T08:00:{second:02}Z\",\"node\":\"{host}\",\
                    \"event\":\"finding\",\"rule\":\"{rule}\",\"subject\":{{\"kind\":\"model\",\
                    \"server\":\"default\",\"model\":\"{model}\",\"version\":\"1\"}},\
                    \"phase\":\"{phase}\",\"grade\":\"degraded\",\"summary\":\"at {second}\"}}\n"
                );
            }
        }
    }
    let once = bytes(&played(replay(&log)));
    assert!(once.lines().count() > 1);
    assert_eq!(once, bytes(&played(replay(&log))));
}

#[test]
fn a_bad_line_ends_the_replay_or_is_counted() {
    let text = STORY.replace("\"rule\":\"gpu-memory-exhausted\"", "\"rule\":\"spoon\"");
    let error = replay(&text).run().unwrap_err().to_string();
    assert!(error.starts_with("story:5:127: `spoon` is not a rule (one of: "), "{error}");
    let skipping = Replay { skip_bad: true, ..replay(&text) };
    let replayed = played(skipping);
    assert_eq!(replayed.incidents.len(), 2);
    let told = &replayed.remarks[0];
    assert!(told.starts_with("bad lines passed over: 2; the first: story:5:127: "), "{told}");
}

#[test]
fn time_ends_with_the_last_line_or_where_it_is_told_to() {
    let quiet_at_15 = STORY.lines().take(9).collect::<Vec<_>>().join("\n");
    let state = |until: Option<&str>| {
        let until = until.map(|text| text.parse().unwrap());
        let replayed = played(Replay { until, ..replay(&quiet_at_15) });
        let incident = &replayed.incidents[0];
        format!("{} {:?}", incident.state, incident.resolved_at)
    };
    assert_eq!(state(None), "quiet None");
    assert_eq!(state(Some("2027-01-15T08:01:14.9Z")), "quiet None");
    let over = "resolved Some(2027-01-15T08:01:15.000Z)";
    assert_eq!(state(Some("2027-01-15T08:01:15Z")), over);
    assert_eq!(
        state(Some("2554-01-01T00:00:00Z")),
        over,
        "and time that brings nothing costs none"
    );
    assert_eq!(state(Some("2027-01-15T08:00:13Z")), "acknowledged None");
}

#[test]
fn newer_numbers_reach_the_title_once_a_second() {
    let line = |second: &str, phase: &str, summary: &str| {
        format!(
            "{{\"at\":\"2027-01-15T08:00:{second}Z\",\"node\":\"a\",\"event\":\"finding\",\
            \"rule\":\"xid\",\"subject\":{{\"kind\":\"node\"}},\"phase\":\"{phase}\",\
            \"grade\":\"down\",\"summary\":\"{summary}\"}}\n"
        )
    };
    let log = line("00.1", "raised", "once") + &line("00.2", "updated", "twice");
    let title = |until: &str| {
        let until = Some(until.parse().unwrap());
        played(Replay { until, ..replay(&log) }).incidents[0].title.clone()
    };
    assert_eq!(title("2027-01-15T08:00:00.999Z"), "a: once");
    assert_eq!(title("2027-01-15T08:00:01Z"), "a: twice");
}

#[test]
fn a_lost_node_that_speaks_is_back() {
    let log = r#"
{"at":"2027-01-15T08:00:00Z","node":"a","event":"lost"}
{"at":"2027-01-15T08:00:05Z","node":"a","event":"change","subject":{"kind":"node"},"kind":"agent-started"}
"#;
    assert!(played(replay(log)).incidents[0].members[0].cleared_at.is_some());
}

#[test]
fn what_a_node_held_back_does_not_undo_its_snapshot() {
    let model = r#""subject":{"kind":"model","server":"default","model":"bert","version":"1"},"grade":"degraded","rule":"queue-backup""#;
    let log = format!("
{{\"at\":\"2027-01-15T08:00:00Z\",\"node\":\"a\",\"event\":\"snapshot\",\"active\":[{{{model},\"phase\":\"updated\"}}]}}
{{\"at\":\"2027-01-15T08:00:01Z\",\"node\":\"a\",\"seq\":3,\"observed_at\":\"2027-01-15T07:59:00Z\",\"event\":\"finding\",{model},\"phase\":\"cleared\"}}
");
    assert_eq!(played(replay(&log)).incidents[0].state.as_str(), "open");
    let told_late = log.replace("07:59:00", "08:00:00");
    assert_eq!(played(replay(&told_late)).incidents[0].state.as_str(), "quiet");
}

/// Batches of two nodes; the second was received by a clock that had been set back.
fn batches() -> Vec<Batch> {
    let batch = |name, order, received, entries| Batch {
        node: node(name),
        epoch: Epoch(1),
        received_at: at(received),
        taken_at: at(received),
        order,
        observed: (at(0), at(received)),
        entries,
    };
    let gpu = |seq, second, words| {
        entry(seq, at(second).after(std::time::Duration::from_nanos(7)), words)
    };
    vec![
        batch(
            "node-a",
            1,
            20,
            vec![
                gpu(1, 10, "raise gpu-memory-exhausted gpu0 degraded"),
                gpu(2, 12, "raise error-rate-high bert 0.38"),
            ],
        ),
        batch("node-b", 2, 19, vec![gpu(1, 13, "raise error-rate-high bert 0.1")]),
        batch("node-a", 3, 30, vec![gpu(3, 29, "clear gpu-memory-exhausted gpu0")]),
    ]
}

#[test]
fn a_store_becomes_a_log_and_its_replay_says_what_the_events_said() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = SqliteStore::open(folder.path()).unwrap();
    store.commit(&Transaction { batches: batches(), ..Transaction::default() }).unwrap();
    let mut log = Vec::new();
    let exported = export(&SqliteHistory::of(folder.path()).unwrap(), &mut log).unwrap();
    assert_eq!(exported, Exported { events: 4, told: 0, unreadable: 0 });
    let log = String::from_utf8(log).unwrap();
    insta::assert_snapshot!(log, @r#"
    {"format":"gpuwarden-events","version":2}
    {"at":"2027-01-15T08:00:20.000Z","node":"node-a","seq":1,"observed_at":"2027-01-15T08:00:10.000000007Z","event":"finding","rule":"gpu-memory-exhausted","subject":{"kind":"gpu","uuid":"GPU-0","index":0},"phase":"raised","grade":"degraded","summary":"gpu-memory-exhausted seen","evidence":[],"suspects":[],"raised_at":"2027-01-15T08:00:10.000000007Z","gpus":[]}
    {"at":"2027-01-15T08:00:20.000Z","node":"node-a","seq":2,"observed_at":"2027-01-15T08:00:12.000000007Z","event":"finding","rule":"error-rate-high","subject":{"kind":"model","server":"default","model":"bert","version":"1"},"phase":"raised","grade":"degraded","summary":"error-rate-high seen","evidence":[{"signal":"share","value":0.38,"unit":"ratio","window_s":0.0,"threshold":null,"baseline":null}],"suspects":[],"raised_at":"2027-01-15T08:00:12.000000007Z","gpus":[]}
    {"at":"2027-01-15T08:00:20.000Z","node":"node-b","seq":1,"observed_at":"2027-01-15T08:00:13.000000007Z","event":"finding","rule":"error-rate-high","subject":{"kind":"model","server":"default","model":"bert","version":"1"},"phase":"raised","grade":"degraded","summary":"error-rate-high seen","evidence":[{"signal":"share","value":0.1,"unit":"ratio","window_s":0.0,"threshold":null,"baseline":null}],"suspects":[],"raised_at":"2027-01-15T08:00:13.000000007Z","gpus":[]}
    {"at":"2027-01-15T08:00:30.000Z","node":"node-a","seq":3,"observed_at":"2027-01-15T08:00:29.000000007Z","event":"finding","rule":"gpu-memory-exhausted","subject":{"kind":"gpu","uuid":"GPU-0","index":0},"phase":"cleared","grade":"degraded","summary":"gpu-memory-exhausted seen","evidence":[],"suspects":[],"raised_at":"2027-01-15T08:00:29.000000007Z","gpus":[]}
    "#);

    let mut stage = Stage::new(Config::default().policy());
    let mut now = at(0);
    for batch in batches() {
        now = now.max(batch.received_at);
        let known = crate::node::Node::new(now);
        stage.state.nodes.entry(batch.node.clone()).or_insert(known);
        for entry in &batch.entries {
            let event = gpuwarden_proto::convert::decode_event(&entry.event).unwrap();
            let gpuwarden_proto::event::Body::Finding(finding) = event.body else { continue };
            let observed_at = event.observed_at;
            let signal = Signal::Finding { observed_at, backlog: false, finding };
            apply(&mut stage.state, now, &batch.node, signal, &mut Touched::default());
        }
    }
    stage.state.rank_all();
    let expected: Vec<Incident> = stage.state.incidents().cloned().collect();
    assert_eq!(played(replay(&log)).incidents, expected);
}

#[test]
fn what_cannot_be_decoded_is_counted_in_an_export() {
    let mut store = crate::store::MemoryStore::default();
    let mut batches = batches();
    batches[0].entries[1].event = vec![0xff].into();
    batches[0].entries[0].seq = Seq(1);
    store.commit(&Transaction { batches, ..Transaction::default() }).unwrap();
    let history: Box<dyn History> = store.history().unwrap();
    let exported = export(&*history, Vec::new()).unwrap();
    assert_eq!(exported, Exported { events: 3, told: 0, unreadable: 1 });
}

#[test]
fn what_the_last_line_holds_back_is_held_back() {
    let log = r#"
{"at":"2027-01-15T08:00:00.1Z","node":"node-a","event":"finding","rule":"thermal-throttle","subject":{"kind":"gpu","uuid":"GPU-1","index":1},"phase":"raised","grade":"degraded","summary":"hot"}
{"at":"2027-01-15T08:09:00.2Z","node":"node-b","event":"finding","rule":"gpu-lost","subject":{"kind":"gpu","uuid":"GPU-2","index":2},"phase":"raised","grade":"degraded","summary":"gone"}
"#;
    let rule = "[[inhibit]]\nname = \"lost\"\nsource = [\"rule=gpu-lost\"]\ntarget = [\"rule=thermal-throttle\"]\n";
    let config = Config::parse("test.toml", rule).unwrap();
    let replayed = played(Replay { config, ..replay(log) });
    let held = replayed.incidents.iter().map(|incident| incident.held_since.is_some());
    assert_eq!(held.collect::<Vec<_>>(), [true, false], "{}", shown(&replayed));
}

#[test]
fn what_people_hold_back_is_held_back_also_after_a_restart_and_what_cannot_be_is_counted() {
    let log = r#"
{"at":"2027-01-15T08:00:00Z","event":"silenced","id":3,"kind":"maintenance","matchers":[{"key":"node","op":"=~","value":"node-.*"}],"starts_at":"2027-01-15T08:00:10Z","ends_at":"2027-01-15T08:05:00.1Z","author":"ann","reason":"new PDU"}
{"at":"2027-01-15T08:00:00Z","event":"silenced","id":4,"kind":"silence","matchers":[{"key":"node","op":"=~","value":"("}],"starts_at":"2027-01-15T08:00:00Z","ends_at":"2027-01-15T09:00:00Z","author":"ann","reason":"x"}
{"at":"2027-01-15T08:00:01Z","event":"silence-ended","id":9,"by":"bob"}
{"at":"2027-01-15T08:00:05.1Z","node":"node-a","event":"finding","rule":"xid","subject":{"kind":"gpu","uuid":"GPU-0","index":0},"phase":"raised","grade":"degraded","summary":"XID 31"}
{"at":"2027-01-15T08:00:20Z","event":"started"}
{"at":"2027-01-15T08:06:00Z","node":"node-a","event":"gap","count":3,"reason":"full"}
"#;
    let replayed = played(replay(log));
    let ours = |line: &&str| !line.contains("classified") && !line.contains("severity");
    let shown = shown(&replayed);
    insta::assert_snapshot!(shown.lines().filter(ours).collect::<Vec<_>>().join("\n"), @r"
    #1 P3 gpu-hardware open: node-a GPU 0: XID 31
      node-a GPU 0 xid: first seen
      2027-01-15T08:00:05.100Z detected node-a GPU 0: XID 31
      2027-01-15T08:00:10.000Z held by maintenance S3 (ann) until 2027-01-15 08:05 UTC: new PDU
      2027-01-15T08:05:00.250Z released the time of S3 is over
    commands refused: 2; the first: line 3: `node=~(` is no expression: unclosed group
    ");
}
