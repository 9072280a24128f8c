//! The boundaries on made-up snippets.

use super::{Offence, Source, impure, paths_in, stray_sql, stray_unsafe, stray_wire_types};

/// The lines on which a check finds fault with a made-up file, each once.
fn faults(check: fn(&Source) -> Vec<Offence>, path: &str, text: &str) -> Vec<usize> {
    let mut lines: Vec<_> =
        check(&Source::new(path, text)).into_iter().map(|offence| offence.line).collect();
    lines.sort_unstable();
    lines.dedup();
    lines
}

#[test]
fn imports_are_written_out() {
    let paths = |code| paths_in(code).into_iter().map(|(_, path)| path).collect::<Vec<_>>();
    let grouped = paths("use std::{fs, net::{self, TcpStream}, sync as s};");
    for path in ["std::fs", "std::net", "std::net::TcpStream", "std::sync"] {
        assert!(grouped.iter().any(|found| found == path), "{path} in {grouped:?}");
    }
    assert_eq!(paths("let a = std::env::var(b); c"), ["std::env::var"]);
    assert_eq!(paths("fn a() -> impl B + use<'a> { c }"), Vec::<String>::new());
}

#[test]
fn a_pure_module_that_reaches_out_is_found() {
    for bad in [
        "use tokio::time::sleep;",
        "use std::{collections::BTreeMap, fs};",
        "let a = std::env::var(b);",
        "use std::sync::{Arc, Mutex};",
        "let a: RwLock<u8>;",
        "let a = Instant::now();",
        "use crate::{clock, sample};",
        "crate::clock::wall()",
        "tracing::info!(a);",
        "std::process::exit(1)",
        "use rusqlite::Connection;",
        "use tonic::Status;",
        "use std::net::IpAddr;",
        "std::thread::spawn(a)",
    ] {
        let text = format!("//! Doc.\n{bad}\n");
        assert_eq!(faults(impure, "agent/src/rules/xid.rs", &text), [2], "{bad}");
        assert_eq!(faults(impure, "aggregator/src/correlate.rs", &text), [2], "{bad}");
        assert_eq!(faults(impure, "agent/src/uplink.rs", &text), [0_usize; 0], "{bad}");
    }
}

#[test]
fn a_pure_module_that_stays_pure_is_left_alone() {
    let text = "//! No tokio::spawn here.\nuse std::time::Duration;\nuse crate::sample::Sample;\n\
                fn a(now: Tick) { b(\"std::fs\"); now.tokio_like(); }\n\
                #[cfg(test)]\nmod tests { use std::fs; fn a() { Instant::now(); } }\n";
    assert_eq!(faults(impure, "agent/src/window.rs", text), [0_usize; 0]);
    assert_eq!(faults(impure, "agent/src/sampler.rs", "use std::fs;"), [0_usize; 0]);
}

#[test]
fn the_engine_neither_logs_nor_waits() {
    assert_eq!(faults(impure, "agent/src/engine.rs", "tracing::info!(a);"), [1]);
    assert_eq!(faults(impure, "agent/src/engine.rs", "\nuse tokio::sync::mpsc;"), [2]);
    assert_eq!(faults(impure, "agent/src/engine/tick.rs", "Instant::now()"), [1]);
}

#[test]
fn sql_outside_a_store_is_found() {
    for sql in [
        "SELECT a FROM b",
        "INSERT INTO a VALUES (1)",
        "CREATE TABLE a (b)",
        "DELETE FROM a",
        "UPDATE a\n SET b = 1",
        "PRAGMA journal_mode",
    ] {
        let text = format!("fn a() {{ b(\"{sql}\") }}");
        assert_eq!(faults(stray_sql, "aggregator/src/incident.rs", &text), [1], "{sql}");
        assert_eq!(
            faults(stray_sql, "aggregator/src/store/events.rs", &text),
            [0_usize; 0],
            "{sql}"
        );
        assert_eq!(faults(stray_sql, "agent/src/outbox.rs", &text), [0_usize; 0], "{sql}");
    }
    let prose = "// SELECT a\nb(\"UPDATE \", \"all SET \", \"SELECTED one\", \"RESELECT it\")";
    assert_eq!(faults(stray_sql, "aggregator/src/incident.rs", prose), [0_usize; 0]);
}

#[test]
fn wire_types_past_the_edge_are_found() {
    for bad in ["pb::Event::default()", "use gpuwarden_proto::{pb, vocab};", "use super::pb;"] {
        assert_eq!(faults(stray_wire_types, "aggregator/src/correlate.rs", bad), [1], "{bad}");
        assert_eq!(faults(stray_wire_types, "cli/src/main.rs", bad), [1], "{bad}");
        assert_eq!(faults(stray_wire_types, "agent/src/uplink.rs", bad), [0_usize; 0], "{bad}");
        assert_eq!(
            faults(stray_wire_types, "aggregator/src/ingest/ack.rs", bad),
            [0_usize; 0],
            "{bad}"
        );
        assert_eq!(faults(stray_wire_types, "proto/src/convert.rs", bad), [0_usize; 0], "{bad}");
    }
    assert_eq!(
        faults(stray_wire_types, "agent/src/a.rs", "stub::pb_like(); let pb = 1;"),
        [0_usize; 0]
    );
}

#[test]
fn unsafe_away_from_nvml_is_found() {
    let text = "//! unsafe\nfn a() { unsafe { b() } }\n#![deny(unsafe_code)]";
    assert_eq!(faults(stray_unsafe, "agent/src/outbox.rs", text), [2]);
    assert_eq!(faults(stray_unsafe, "tests/suite/main.rs", text), [2]);
    assert_eq!(faults(stray_unsafe, "agent/src/probe/raw.rs", text), [0_usize; 0]);
    assert_eq!(faults(stray_unsafe, "agent/src/source/nvml.rs", text), [0_usize; 0]);
    assert_eq!(faults(stray_unsafe, "tests/nvml-standin/src/lib.rs", text), [0_usize; 0]);
}
