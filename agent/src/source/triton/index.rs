//! Triton's JSON answers: the repository index, a model's config, the server's version, readiness.

use std::borrow::Cow;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use gpuwarden_proto::vocab::{ModelName, ModelVersion, ServerName};
use serde::Deserialize;

use super::problems::Problems;
use crate::sample::{ModelShape, RepositoryEntry, RepositoryState};

/// Entries of one index that are used. Models that were never asked for are left out first.
pub const ENTRIES_MAX: usize = 2_000;
/// The longest reason that is kept; a Python traceback can be of any length.
pub const REASON_MAX_BYTES: usize = 1_024;
/// The longest version of a server that is kept.
const SERVER_VERSION_MAX_BYTES: usize = 64;

#[derive(Debug, Deserialize)]
struct RawEntry<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow, default)]
    version: Cow<'a, str>,
    #[serde(borrow, default)]
    state: Cow<'a, str>,
    #[serde(borrow, default)]
    reason: Cow<'a, str>,
}

/// Reads the answer of `POST /v2/repository/index`.
pub fn parse(body: &[u8]) -> Result<(Vec<RepositoryEntry>, Problems), String> {
    let raw: Vec<RawEntry<'_>> = serde_json::from_slice(body)
        .map_err(|error| format!("the repository index is not what was expected: {error}"))?;
    let mut problems = Problems::default();
    let mut entries: Vec<_> = raw.iter().filter_map(|raw| entry(raw, &mut problems)).collect();
    if entries.len() > ENTRIES_MAX {
        entries.sort_by_key(|entry| entry.state == RepositoryState::Untouched);
        for left_out in entries.drain(ENTRIES_MAX..) {
            problems.add(|| format!("more than {ENTRIES_MAX} models, e.g. `{}`", left_out.model));
        }
    }
    Ok((entries, problems))
}

fn entry(raw: &RawEntry<'_>, problems: &mut Problems) -> Option<RepositoryEntry> {
    let model = match ModelName::new(&raw.name) {
        Ok(model) => model,
        Err(bad) => {
            problems.add(|| format!("in the repository index, {bad}"));
            return None;
        }
    };
    let version = (!raw.version.is_empty()).then(|| ModelVersion::new(&raw.version)).transpose();
    let version = version.unwrap_or_else(|bad| {
        problems.add(|| format!("model `{model}` in the repository index: {bad}"));
        None
    });
    let mut reason = shortened(&raw.reason, REASON_MAX_BYTES).to_owned();
    let state = state(&raw.state).unwrap_or_else(|| {
        let words = shortened(&raw.state, 64);
        problems.add(|| format!("model `{model}` is in the unknown state `{words}`"));
        if reason.is_empty() {
            reason = format!("the server gives its state as {words}");
        }
        RepositoryState::Unavailable
    });
    Some(RepositoryEntry { model, version, state, reason })
}

fn state(word: &str) -> Option<RepositoryState> {
    match word {
        "READY" => Some(RepositoryState::Ready),
        "UNAVAILABLE" => Some(RepositoryState::Unavailable),
        "LOADING" => Some(RepositoryState::Loading),
        "UNLOADING" => Some(RepositoryState::Unloading),
        "" => Some(RepositoryState::Untouched),
        _ => None,
    }
}

#[derive(Debug, Deserialize, Default)]
#[serde(default)]
struct RawConfig {
    max_batch_size: i64,
    instance_group: Vec<RawGroup>,
    dynamic_batching: Option<RawBatching>,
}

#[derive(Debug, Deserialize, Default)]
#[serde(default)]
struct RawGroup {
    kind: String,
    count: u32,
    gpus: Vec<u32>,
    passive: bool,
}

impl RawGroup {
    /// `count` is per GPU of the group. Passive instances take no requests.
    fn instances(&self) -> u32 {
        let gpus = if self.kind == "KIND_GPU" { self.gpus.len().max(1) } else { 1 };
        let each = if self.passive { 0 } else { self.count };
        each.saturating_mul(u32::try_from(gpus).unwrap_or(u32::MAX))
    }
}

#[derive(Debug, Deserialize, Default)]
#[serde(default)]
struct RawBatching {
    default_queue_policy: Option<RawQueuePolicy>,
}

#[derive(Debug, Deserialize, Default)]
#[serde(default)]
struct RawQueuePolicy {
    max_queue_size: u32,
}

/// Reads the answer of `GET /v2/models/MODEL/config`.
pub fn parse_shape(
    server: &ServerName,
    model: &ModelName,
    body: &[u8],
) -> Result<ModelShape, String> {
    let odd = |error| format!("the config of model `{model}` is not as expected: {error}");
    let whole: serde_json::Value = serde_json::from_slice(body).map_err(odd)?;
    let config = number_of(&whole);
    let raw: RawConfig = serde_json::from_value(whole).map_err(odd)?;
    let instances =
        raw.instance_group.iter().map(RawGroup::instances).fold(0, u32::saturating_add).max(1);
    let policy = raw.dynamic_batching.and_then(|batching| batching.default_queue_policy);
    let max_queue = policy.map(|policy| policy.max_queue_size).filter(|size| *size > 0);
    let max_batch = u32::try_from(raw.max_batch_size.max(1)).unwrap_or(u32::MAX);
    let (server, model) = (server.clone(), model.clone());
    Ok(ModelShape { server, model, instances, max_batch, max_queue, config })
}

/// A number for a config, in whatever order the server gives its fields. Never 0.
fn number_of(config: &serde_json::Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    config.to_string().hash(&mut hasher);
    hasher.finish().max(1)
}

#[derive(Debug, Deserialize)]
struct RawServer<'a> {
    #[serde(borrow)]
    version: Cow<'a, str>,
}

/// Reads the server's version from the answer of `GET /v2`; `None` when it is not there.
pub fn parse_version(body: &[u8]) -> Option<String> {
    let raw: RawServer<'_> = serde_json::from_slice(body).ok()?;
    let version = shortened(&raw.version, SERVER_VERSION_MAX_BYTES);
    (!version.chars().any(char::is_control)).then(|| version.to_owned())
}

#[derive(Debug, Deserialize)]
struct RawError<'a> {
    #[serde(borrow)]
    error: Cow<'a, str>,
}

/// What the answer of `GET /v2/models/MODEL/ready` means.
pub fn readiness(status: u16, body: &[u8]) -> (RepositoryState, String) {
    if status == 200 {
        return (RepositoryState::Ready, String::new());
    }
    let reason = match serde_json::from_slice::<RawError<'_>>(body) {
        Ok(raw) => shortened(&raw.error, REASON_MAX_BYTES).to_owned(),
        Err(_) => format!("the server answers {status} to whether it is ready"),
    };
    (RepositoryState::Unavailable, reason)
}

/// The longest beginning of `text` that fits into `max` bytes and ends between characters.
fn shortened(text: &str, max: usize) -> &str {
    &text[..text.floor_char_boundary(max)]
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use proptest::prelude::*;

    use super::*;

    fn capture(name: &str) -> Vec<u8> {
        let path = format!("{}/testdata/triton/{name}", env!("CARGO_MANIFEST_DIR"));
        std::fs::read(path).unwrap()
    }

    fn table(body: &[u8]) -> String {
        let (entries, problems) = parse(body).unwrap();
        let mut lines: Vec<String> = entries
            .iter()
            .map(|entry| {
                let version = entry.version.as_ref().map_or("-", ModelVersion::as_str);
                format!("{} {version} {:?} {:?}", entry.model, entry.state, entry.reason)
            })
            .collect();
        lines.extend(problems.first.map(|first| format!("{} problems: {first}", problems.count)));
        lines.join("\n")
    }

    fn shape(body: &str) -> (u32, u32, Option<u32>) {
        let server = ServerName::new("s").unwrap();
        let model = ModelName::new("m").unwrap();
        let shape = parse_shape(&server, &model, body.as_bytes()).unwrap();
        (shape.instances, shape.max_batch, shape.max_queue)
    }

    #[test]
    fn an_index_is_read() {
        assert_snapshot!(table(&capture("repository_index.json")), @r#"
        bad - Untouched ""
        flaky 1 Ready ""
        identity_fast 1 Ready ""
        slow 1 Ready ""
        slow_qlimit 1 Ready ""
        "#);
    }

    #[test]
    fn unloaded_and_failed_models_keep_their_reasons() {
        assert_snapshot!(table(&capture("repository_index_after_load_failure.json")), @r#"
        bad 1 Unavailable "Internal: RuntimeError: injected load failure: weights missing\n\nAt:\n  /models/model_repository/bad/1/model.py(3): initialize\n"
        flaky 1 Ready ""
        identity_fast 1 Unavailable "unloaded"
        slow 1 Ready ""
        slow_qlimit 1 Ready ""
        "#);
    }

    #[test]
    fn models_on_their_way_and_unknown_states_are_read() {
        let body = br#"[{"name":"a","version":"1","state":"LOADING"},
            {"name":"b","version":"2","state":"UNLOADING","reason":""},
            {"name":"c","version":"1","state":"UNKNOWN"},
            {"name":"d","version":"1","state":"FLYING","reason":"why"},
            {"name":"","version":"1","state":"READY"}]"#;
        assert_snapshot!(table(body), @r#"
        a 1 Loading ""
        b 2 Unloading ""
        c 1 Unavailable "the server gives its state as UNKNOWN"
        d 1 Unavailable "why"
        3 problems: model `c` is in the unknown state `UNKNOWN`
        "#);
    }

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        let body =
            format!(r#"[{{"name":"a","state":"UNAVAILABLE","reason":"x{}"}}]"#, "é".repeat(900));
        let (entries, _) = parse(body.as_bytes()).unwrap();
        assert_eq!(entries[0].reason.len(), REASON_MAX_BYTES - 1);
    }

    #[test]
    fn of_too_many_models_those_that_serve_are_kept() {
        let untouched = r#"{"name":"a"},"#.repeat(ENTRIES_MAX);
        let body = format!(r#"[{untouched}{{"name":"b","version":"1","state":"READY"}}]"#);
        let (entries, problems) = parse(body.as_bytes()).unwrap();
        assert_eq!((entries.len(), problems.count), (ENTRIES_MAX, 1));
        assert_eq!(entries[0].model.as_str(), "b");
    }

    #[test]
    fn what_is_no_index_is_refused() {
        for body in [&b""[..], b"{}", b"<html>", b"[1]", b"[{}]", b"[{\"name\":null}]"] {
            assert!(parse(body).is_err());
        }
    }

    #[test]
    fn a_config_gives_instances_batch_and_queue() {
        let capture = String::from_utf8(capture("slow_config.json")).unwrap();
        assert_eq!(shape(&capture), (1, 4, None));
        assert_eq!(shape("{}"), (1, 1, None));
        let body = r#"{"max_batch_size":0,"instance_group":[
            {"kind":"KIND_GPU","count":2,"gpus":[0,1]},
            {"kind":"KIND_CPU","count":3,"gpus":[]},
            {"kind":"KIND_GPU","count":9,"gpus":[0],"passive":true}],
            "dynamic_batching":{"default_queue_policy":{"max_queue_size":16}}}"#;
        assert_eq!(shape(body), (7, 1, Some(16)));
    }

    #[test]
    fn another_config_has_another_number_and_another_order_has_not() {
        let number = |body: &str| {
            let (server, model) = (ServerName::new("s").unwrap(), ModelName::new("m").unwrap());
            parse_shape(&server, &model, body.as_bytes()).unwrap().config
        };
        assert_eq!(number(r#"{"a":1,"b":{"c":2,"d":3}}"#), number(r#"{"b":{"d":3,"c":2},"a":1}"#));
        assert_ne!(number(r#"{"parameters":{"x":"1"}}"#), number(r#"{"parameters":{"x":"2"}}"#));
    }

    #[test]
    fn a_version_is_read_or_not_there() {
        assert_eq!(parse_version(&capture("v2.json")).as_deref(), Some("2.51.0"));
        assert_eq!(parse_version(b"{}"), None);
        assert_eq!(parse_version(br#"{"version":"\u001b[2J"}"#), None);
    }

    #[test]
    fn readiness_carries_the_servers_words() {
        let ready = (RepositoryState::Ready, String::new());
        assert_eq!(readiness(200, b""), ready);
        let (state, reason) = readiness(400, br#"{"error":"Request for unknown model"}"#);
        assert_eq!(
            (state, reason.as_str()),
            (RepositoryState::Unavailable, "Request for unknown model")
        );
        assert_eq!(readiness(400, b"").1, "the server answers 400 to whether it is ready");
    }

    proptest! {
        #[test]
        fn any_text_is_refused_or_read(text in ".{0,300}") {
            let _ = parse(text.as_bytes());
            let _ = parse_version(text.as_bytes());
        }
    }
}
