//! What each part of the product may name: pure modules no I/O and no clock, SQL in stores, wire
//! types at the edge, `unsafe` at NVML.

use super::Offence;
use super::source::{Source, closing, is_module, is_name, words};

/// Modules that decide. A trailing `*` takes every module that begins so.
const PURE: [&str; 30] = [
    "agent/src/sample",
    "agent/src/window*",
    "agent/src/rule*",
    "agent/src/hold",
    "agent/src/engine*",
    "agent/src/remedy*",
    "aggregator/src/graph*",
    "aggregator/src/node",
    "aggregator/src/replica",
    "aggregator/src/correlate*",
    "aggregator/src/classify*",
    "aggregator/src/incident*",
    "aggregator/src/intake*",
    "aggregator/src/slo*",
    "aggregator/src/resume*",
    "aggregator/src/shadow*",
    "aggregator/src/suppress*",
    "aggregator/src/trace*",
    "aggregator/src/ledger",
    "aggregator/src/runbook",
    "aggregator/src/outside*",
    "aggregator/src/kubernetes/workload",
    "aggregator/src/kubernetes/rollout",
    "aggregator/src/kubernetes/feed",
    "aggregator/src/replay/drive*",
    "aggregator/src/response*",
    "notify/src/message*",
    "notify/src/destination*",
    "notify/src/delivery*",
    "respond/src/*",
];
const IMPURE_PATHS: [&str; 10] = [
    "tokio",
    "tonic",
    "rusqlite",
    "tracing",
    "std::fs",
    "std::net",
    "std::env",
    "std::process",
    "std::thread",
    "crate::clock",
];
const IMPURE_WORDS: [&str; 2] = ["Mutex", "RwLock"];

/// The modules that may hold SQL, wherever they stand.
const STORES: [&str; 2] = ["store", "outbox"];
const SQL: [&str; 8] = [
    "SELECT ",
    "INSERT INTO",
    "INSERT OR ",
    "CREATE TABLE",
    "CREATE INDEX",
    "DELETE FROM",
    "DROP TABLE",
    "PRAGMA ",
];

/// The gRPC edge: who may name wire types. `proto` converts, these call it.
const WIRE_EDGE: [&str; 6] = [
    "proto/src/*",
    "agent/src/uplink",
    "aggregator/src/ingest",
    "aggregator/src/service",
    "aggregator/src/query",
    "cli/src/client",
];

const UNSAFE: [&str; 3] = ["tests/nvml-standin/*", "agent/src/probe*", "agent/src/source/nvml*"];

pub(super) fn impure(source: &Source) -> Vec<Offence> {
    if !is_one_of(&source.path, &PURE) {
        return Vec::new();
    }
    let advice = |what: &str| format!("`{what}` in a pure module: take it as an argument instead");
    let mut offences = Vec::new();
    for (at, path) in paths_in(&source.code) {
        let banned = |ban: &&&str| path == **ban || path.starts_with(&format!("{ban}::"));
        if let Some(ban) = IMPURE_PATHS.iter().find(banned) {
            offences.push(Offence::at(source, at, advice(ban)));
        }
    }
    for name in IMPURE_WORDS {
        offences.extend(words(&source.code, name).map(|at| Offence::at(source, at, advice(name))));
    }
    let clocks = source.code.match_indices("::now(");
    offences.extend(clocks.map(|(at, _)| Offence::at(source, at, advice("now()"))));
    offences
}

pub(super) fn stray_sql(source: &Source) -> Vec<Offence> {
    if source.modules().any(|module| STORES.contains(&module)) {
        return Vec::new();
    }
    let advice = "SQL outside a store: give `store` or `outbox` a method that says what is wanted";
    let mut found: Vec<usize> =
        SQL.iter().flat_map(|word| source.literals.match_indices(word)).map(|(at, _)| at).collect();
    found.extend(source.literals.match_indices("UPDATE ").map(|(at, _)| at).filter(|&at| {
        let literal_end = source.literals[at..].find('"').map_or(source.literals.len(), |n| at + n);
        words(&source.literals[at..literal_end], "SET").next().is_some()
    }));
    let starts =
        |at: &usize| at.checked_sub(1).is_none_or(|at| !is_name(source.text.as_bytes()[at]));
    found.into_iter().filter(starts).map(|at| Offence::at(source, at, advice)).collect()
}

pub(super) fn stray_wire_types(source: &Source) -> Vec<Offence> {
    if is_one_of(&source.path, &WIRE_EDGE) {
        return Vec::new();
    }
    let advice = "a wire type past the edge: convert it in `proto` and use the plain type";
    let named = paths_in(&source.code)
        .into_iter()
        .filter(|(_, path)| path.split("::").any(|segment| segment == "pb"));
    named.map(|(at, _)| Offence::at(source, at, advice)).collect()
}

pub(super) fn stray_unsafe(source: &Source) -> Vec<Offence> {
    if is_one_of(&source.path, &UNSAFE) {
        return Vec::new();
    }
    let advice = "`unsafe` away from NVML: use a safe call, or move it there";
    words(&source.all_code, "unsafe").map(|at| Offence::at(source, at, advice)).collect()
}

fn is_one_of(path: &str, modules: &[&str]) -> bool {
    modules.iter().any(|module| match module.strip_suffix('*') {
        Some(start) => path.starts_with(start),
        None => is_module(path, module),
    })
}

/// Every path in the code, `a::b` and `use a::{b, c}` alike, written out in full.
fn paths_in(code: &str) -> Vec<(usize, String)> {
    let mut paths = Vec::new();
    for at in words(code, "use") {
        let end = code[at..].find(';').map_or(code.len(), |length| at + length);
        // `+ use<'a>` in a type is not an import.
        if !code[at + 3..end].trim_start().starts_with('<') {
            expand(code, at + 3..end, "", &mut paths);
        }
    }
    let bytes = code.as_bytes();
    let starts = (0..bytes.len()).filter(|&at| {
        is_name(bytes[at])
            && at.checked_sub(1).is_none_or(|at| !is_name(bytes[at]) && bytes[at] != b':')
    });
    for at in starts {
        let path = |byte: &u8| is_name(*byte) || *byte == b':';
        let length = bytes[at..].iter().take_while(|byte| path(byte)).count();
        let name = code[at..at + length].trim_end_matches(':');
        if name.contains("::") || code[at + name.len()..].starts_with("::") {
            paths.push((at, name.to_owned()));
        }
    }
    paths
}

/// Writes out one import tree.
fn expand(
    code: &str,
    tree: std::ops::Range<usize>,
    prefix: &str,
    paths: &mut Vec<(usize, String)>,
) {
    let text = &code[tree.clone()];
    let at = tree.start + (text.len() - text.trim_start().len());
    let squeeze = |text: &str| text.split_whitespace().collect::<String>();
    let Some(open) = text.find('{') else {
        let name = text.split(" as ").next().unwrap_or_default();
        let path = format!("{prefix}{}", squeeze(name)).trim_start_matches("::").to_owned();
        if !path.is_empty() {
            paths.push((at, path.trim_end_matches("::self").to_owned()));
        }
        return;
    };
    let prefix = format!("{prefix}{}", squeeze(&text[..open]));
    let end = closing(code, tree.start + open) - 1;
    let mut start = tree.start + open + 1;
    let mut at = start;
    while at < end {
        match code.as_bytes()[at] {
            b'{' => at = closing(code, at),
            b',' => {
                expand(code, start..at, &prefix, paths);
                at += 1;
                start = at;
            }
            _ => at += 1,
        }
    }
    expand(code, start..end, &prefix, paths);
}

mod tests;
