//! A metrics page as Triton writes it, read into model samples.
//!
//! Only the families that [`ModelSample`] holds are looked at; every other line costs a prefix test.
//! A line that cannot be read is counted and the rest of the page is used.

use std::borrow::Cow;
use std::collections::HashMap;

use gpuwarden_proto::vocab::{GpuUuid, ModelName, ModelVersion};

use super::problems::Problems;
use crate::sample::{ModelCounters, ModelSample};

/// Models of one page that are used; those after them in the order of names are left out.
pub const MODELS_MAX: usize = 2_000;
/// The longest line that is read.
pub const LINE_MAX_BYTES: usize = 8 * 1024;
/// Names kept while a page is read. More than [`MODELS_MAX`], since failure rows of models that are
/// long gone must not crowd out the living.
const NAMES_MAX: usize = 4 * MODELS_MAX;
/// No server has counted this far: in microseconds it is 30,000 years.
const VALUE_MAX: f64 = 1e18;

const PREFIX: &[u8] = b"nv_inference_";

/// What a page says.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Page {
    /// The models that are there, by name and version.
    pub models: Vec<ModelSample>,
    /// Models that have nothing but failure rows: unloaded, or never loaded. By name.
    pub left_behind: Vec<ModelName>,
    /// Lines that could not be read.
    pub problems: Problems,
}

/// Whether this is all of a metrics page of a Triton; the error says in words why not. A page cut off
/// within a line would show smaller counters and fewer models than there are. An empty page is that
/// of an old server without models.
pub fn check(text: &[u8]) -> Result<(), &'static str> {
    let of_triton =
        |line: &[u8]| line.strip_prefix(b"# HELP ".as_slice()).unwrap_or(line).starts_with(b"nv_");
    match text.last() {
        None => Ok(()),
        Some(_) if !text.split(|byte| *byte == b'\n').any(of_triton) => {
            Err("not the metrics page of a Triton")
        }
        Some(b'\n') => Ok(()),
        Some(_) => Err("the metrics page ends in the middle of a line"),
    }
}

/// Reads a page. Any bytes will do; what makes no sense is counted in [`Page::problems`].
pub fn parse(text: &[u8]) -> Page {
    let mut problems = Problems::default();
    let mut rows = Rows::default();
    for line in text.split(|byte| *byte == b'\n') {
        if line.len() > LINE_MAX_BYTES {
            problems.add(|| format!("a line of {} bytes", line.len()));
        } else if let Some(rest) = line.strip_prefix(PREFIX)
            && let Err(fault) = rows.read(rest)
        {
            problems.add(|| format!("{fault}: `{}`", excerpt(line)));
        }
    }
    rows.into_page(problems)
}

/// The families that are read, by what follows [`PREFIX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    Success,
    Failure,
    Inferences,
    Executions,
    RequestUs,
    QueueUs,
    ComputeInferUs,
    Pending,
}

impl Family {
    fn of(name: &[u8]) -> Option<Self> {
        match name {
            b"request_success" => Some(Self::Success),
            b"request_failure" => Some(Self::Failure),
            b"count" => Some(Self::Inferences),
            b"exec_count" => Some(Self::Executions),
            b"request_duration_us" => Some(Self::RequestUs),
            b"queue_duration_us" => Some(Self::QueueUs),
            b"compute_infer_duration_us" => Some(Self::ComputeInferUs),
            b"pending_request_count" => Some(Self::Pending),
            _ => None,
        }
    }

    /// Rows of these prove that the model is there. Failure rows outlive it.
    fn proves_presence(self) -> bool {
        matches!(self, Self::Success | Self::Pending)
    }
}

/// All rows of one model and version, summed over its instances.
#[derive(Debug, Default)]
struct Row {
    counters: ModelCounters,
    pending: Option<f64>,
    present: bool,
    gpus: Vec<GpuUuid>,
}

/// GPUs that one model's instances are told of; more than a machine holds.
const GPUS_MAX: usize = 64;

impl Row {
    /// Notes that an instance runs on a GPU.
    fn place(&mut self, uuid: &str) {
        let known = self.gpus.iter().any(|gpu| gpu.as_str() == uuid);
        if !known && self.gpus.len() < GPUS_MAX {
            self.gpus.extend(GpuUuid::new(uuid).ok());
        }
    }

    /// Adds a value; not-a-number stands for one that could not be used, and spoils the sum, since
    /// a sum that lacks an instance would look like a counter that ran backwards.
    fn add(&mut self, family: Family, reason: Option<&str>, value: f64) {
        self.present |= family.proves_presence();
        let sum = match family {
            Family::Success => &mut self.counters.success,
            Family::Failure => match reason {
                None | Some("BACKEND") => &mut self.counters.failed_backend,
                Some("REJECTED") => &mut self.counters.failed_rejected,
                Some("CANCELED") => &mut self.counters.failed_canceled,
                Some(_) => &mut self.counters.failed_other,
            },
            Family::Inferences => &mut self.counters.inferences,
            Family::Executions => &mut self.counters.executions,
            Family::RequestUs => &mut self.counters.request_us,
            Family::QueueUs => &mut self.counters.queue_us,
            Family::ComputeInferUs => &mut self.counters.compute_infer_us,
            Family::Pending => &mut self.pending,
        };
        *sum = Some(sum.unwrap_or(0.0) + value);
    }

    fn into_sample(mut self, model: ModelName, version: ModelVersion) -> ModelSample {
        let usable = |sum: Option<f64>| sum.filter(|value| value.is_finite());
        let counters = ModelCounters {
            success: usable(self.counters.success),
            failed_backend: usable(self.counters.failed_backend),
            failed_rejected: usable(self.counters.failed_rejected),
            failed_canceled: usable(self.counters.failed_canceled),
            failed_other: usable(self.counters.failed_other),
            inferences: usable(self.counters.inferences),
            executions: usable(self.counters.executions),
            request_us: usable(self.counters.request_us),
            queue_us: usable(self.counters.queue_us),
            compute_infer_us: usable(self.counters.compute_infer_us),
        };
        self.gpus.sort_unstable();
        let pending = usable(self.pending);
        ModelSample { model, version, gpus: self.gpus, counters, pending }
    }
}

/// Why a line could not be used.
type Fault = &'static str;

#[derive(Debug, Default)]
struct Rows<'a>(HashMap<(Cow<'a, str>, Cow<'a, str>), Row>);

impl<'a> Rows<'a> {
    /// Reads what follows [`PREFIX`] on a line.
    fn read(&mut self, line: &'a [u8]) -> Result<(), Fault> {
        let end = line.iter().position(|byte| matches!(byte, b'{' | b' ' | b'\t' | b'\r'));
        let (name, mut rest) = line.split_at(end.unwrap_or(line.len()));
        let Some(family) = Family::of(name) else { return Ok(()) };
        let labels = Labels::read(&mut rest)?;
        let model = labels.model.ok_or("no model")?;
        let version = labels.version.ok_or("no version")?;
        let value = read_value(rest);
        let key = (model, version);
        if self.0.len() >= NAMES_MAX && !self.0.contains_key(&key) {
            return Err("too many models");
        }
        let row = self.0.entry(key).or_default();
        row.add(family, labels.reason.as_deref(), value.unwrap_or(f64::NAN));
        if let Some(uuid) = &labels.gpu_uuid {
            row.place(uuid);
        }
        value.map(|_| ())
    }

    fn into_page(self, mut problems: Problems) -> Page {
        let mut page = Page::default();
        for ((model, version), row) in self.0 {
            match (ModelName::new(&model), ModelVersion::new(&version)) {
                (Ok(model), Ok(version)) if row.present => {
                    page.models.push(row.into_sample(model, version));
                }
                (Ok(model), Ok(_)) => page.left_behind.push(model),
                (Err(bad), _) | (_, Err(bad)) => {
                    problems.add(|| format!("{bad}: `{}`", excerpt(model.as_bytes())));
                }
            }
        }
        page.models.sort_unstable_by(|a, b| (&a.model, &a.version).cmp(&(&b.model, &b.version)));
        page.left_behind.sort_unstable();
        page.left_behind.dedup();
        for dropped in page.models.drain(MODELS_MAX.min(page.models.len())..) {
            problems.add(|| format!("more than {MODELS_MAX} models, e.g. `{}`", dropped.model));
        }
        page.problems = problems;
        page
    }
}

/// The labels that matter here; others are read over.
#[derive(Debug, Default)]
struct Labels<'a> {
    model: Option<Cow<'a, str>>,
    version: Option<Cow<'a, str>>,
    reason: Option<Cow<'a, str>>,
    gpu_uuid: Option<Cow<'a, str>>,
}

impl<'a> Labels<'a> {
    /// Reads `{…}` off the front of `rest`; no braces are no labels.
    fn read(rest: &mut &'a [u8]) -> Result<Self, Fault> {
        let mut labels = Self::default();
        *rest = rest.trim_ascii_start();
        if !eat(rest, b'{') {
            return Ok(labels);
        }
        loop {
            *rest = rest.trim_ascii_start();
            if eat(rest, b'}') {
                return Ok(labels);
            }
            let equals = rest.iter().position(|byte| *byte == b'=').ok_or("labels do not end")?;
            let name = rest[..equals].trim_ascii_end();
            *rest = rest[equals + 1..].trim_ascii_start();
            let value = read_quoted(rest)?;
            match name {
                b"model" => labels.model = Some(unescape(value)?),
                b"version" => labels.version = Some(unescape(value)?),
                b"reason" => labels.reason = Some(unescape(value)?),
                b"gpu_uuid" => labels.gpu_uuid = Some(unescape(value)?),
                _ => {}
            }
            *rest = rest.trim_ascii_start();
            if !eat(rest, b',') && rest.first() != Some(&b'}') {
                return Err("labels do not end");
            }
        }
    }
}

fn eat(rest: &mut &[u8], byte: u8) -> bool {
    match rest.split_first() {
        Some((first, tail)) if *first == byte => {
            *rest = tail;
            true
        }
        _ => false,
    }
}

/// Reads `"…"` off the front of `rest` and gives what is between the quotes, still escaped.
fn read_quoted<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], Fault> {
    if !eat(rest, b'"') {
        return Err("a label without quotes");
    }
    let mut escaped = false;
    for (at, byte) in rest.iter().enumerate() {
        match byte {
            b'"' if !escaped => {
                let value = &rest[..at];
                *rest = &rest[at + 1..];
                return Ok(value);
            }
            b'\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    Err("a label does not end")
}

/// Undoes `\\`, `\"` and `\n`; borrows where there is nothing to undo, which is almost always.
fn unescape(value: &[u8]) -> Result<Cow<'_, str>, Fault> {
    let text = str::from_utf8(value).map_err(|_| "not UTF-8")?;
    if !value.contains(&b'\\') {
        return Ok(Cow::Borrowed(text));
    }
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        match (char, (char == '\\').then(|| chars.next()).flatten()) {
            ('\\', Some('n')) => plain.push('\n'),
            ('\\', Some(other @ ('\\' | '"'))) => plain.push(other),
            ('\\', Some(other)) => plain.extend(['\\', other]),
            (char, _) => plain.push(char),
        }
    }
    Ok(Cow::Owned(plain))
}

/// Reads the value, and over a timestamp after it.
fn read_value(rest: &[u8]) -> Result<f64, Fault> {
    let mut words = rest.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let word = words.next().ok_or("no value")?;
    let text = str::from_utf8(word).map_err(|_| "not a number")?;
    let value: f64 = text.parse().map_err(|_| "not a number")?;
    match words.next().map(str::from_utf8) {
        None => {}
        Some(Ok(timestamp)) if timestamp.parse::<i64>().is_ok() => {}
        Some(_) => return Err("text after the value"),
    }
    if words.next().is_some() {
        return Err("text after the value");
    }
    match value {
        value if value.is_nan() => Err("not a number"),
        value if value < 0.0 => Err("a negative count"),
        value if value > VALUE_MAX => Err("an absurd count"),
        value => Ok(value),
    }
}

/// The beginning of a line, for a person.
fn excerpt(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(&line[..line.len().min(160)]);
    text.chars().filter(|char| !char.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use insta::assert_snapshot;
    use proptest::prelude::*;

    use super::*;

    /// A page as a table: a model a line, `-` for what is missing.
    fn table(text: &[u8]) -> String {
        let page = parse(text);
        let mut out = String::new();
        for sample in &page.models {
            let c = &sample.counters;
            let show = |value: Option<f64>| value.map_or("-".to_owned(), |v| v.to_string());
            let failed = [c.failed_backend, c.failed_rejected, c.failed_canceled, c.failed_other];
            let _ = writeln!(
                out,
                "{}/{} ok {} failed {} inf {} exec {} us {} queue {} compute {} pending {}",
                sample.model,
                sample.version,
                show(c.success),
                failed.map(show).join(","),
                show(c.inferences),
                show(c.executions),
                show(c.request_us),
                show(c.queue_us),
                show(c.compute_infer_us),
                show(sample.pending),
            );
        }
        for model in &page.left_behind {
            let _ = writeln!(out, "left behind: {model}");
        }
        if let Some(first) = &page.problems.first {
            let _ = writeln!(out, "{} problems: {first}", page.problems.count);
        }
        out
    }

    fn capture(name: &str) -> Vec<u8> {
        let path = format!("{}/testdata/triton/{name}", env!("CARGO_MANIFEST_DIR"));
        std::fs::read(path).unwrap()
    }

    #[test]
    fn an_idle_server_is_read() {
        assert_snapshot!(table(&capture("idle.prom")), @r"
        flaky/1 ok 0 failed 0,0,0,0 inf 0 exec 0 us 0 queue 0 compute 0 pending 0
        identity_fast/1 ok 0 failed 0,0,0,0 inf 0 exec 0 us 0 queue 0 compute 0 pending 0
        slow/1 ok 0 failed 0,0,0,0 inf 0 exec 0 us 0 queue 0 compute 0 pending 0
        slow_qlimit/1 ok 0 failed 0,0,0,0 inf 0 exec 0 us 0 queue 0 compute 0 pending 0
        ");
    }

    #[test]
    fn a_backed_up_queue_is_read() {
        assert_snapshot!(table(&capture("queue_backed_up.prom")), @r"
        flaky/1 ok 160 failed 0,0,0,0 inf 160 exec 160 us 134264 queue 11115 compute 107571 pending 0
        identity_fast/1 ok 2400 failed 0,0,0,0 inf 2400 exec 2390 us 1171775 queue 356835 compute 525335 pending 0
        slow/1 ok 77 failed 0,0,0,0 inf 77 exec 50 us 63731104 queue 45067382 compute 18645131 pending 114
        slow_qlimit/1 ok 0 failed 0,0,0,0 inf 0 exec 0 us 0 queue 0 compute 0 pending 0
        ");
    }

    #[test]
    fn failures_are_told_apart() {
        assert_snapshot!(table(&capture("failures.prom")), @r"
        flaky/1 ok 719 failed 124,0,0,0 inf 719 exec 780 us 706454 queue 52055 compute 530830 pending 116
        identity_fast/1 ok 0 failed 0,0,0,0 inf 0 exec 0 us 0 queue 0 compute 0 pending 0
        slow/1 ok 286 failed 0,0,0,0 inf 286 exec 104 us 2239262102 queue 2137291188 compute 101853405 pending 0
        slow_qlimit/1 ok 52 failed 0,150,0,0 inf 52 exec 52 us 18356445 queue 13075997 compute 5264918 pending 0
        left behind: bad
        ");
    }

    #[test]
    fn an_unloaded_model_is_gone_though_its_failure_rows_stay() {
        assert_snapshot!(table(&capture("after_unload.prom")), @r"
        flaky/1 ok 0 failed 0,0,0,0 inf 0 exec 0 us 0 queue 0 compute 0 pending 0
        slow/1 ok 285 failed 0,0,0,0 inf 285 exec 209 us 351576841 queue 293022318 compute 58461657 pending 0
        slow_qlimit/1 ok 0 failed 0,0,0,0 inf 0 exec 0 us 0 queue 0 compute 0 pending 0
        left behind: identity_fast
        ");
    }

    #[test]
    fn a_model_that_failed_to_load_was_never_there() {
        assert_snapshot!(table(&capture("after_load_failure.prom")), @r"
        flaky/1 ok 360 failed 0,0,0,0 inf 360 exec 360 us 336434 queue 23415 compute 257683 pending 0
        slow/1 ok 286 failed 0,0,0,0 inf 286 exec 104 us 2239262102 queue 2137291188 compute 101853405 pending 0
        slow_qlimit/1 ok 52 failed 0,150,0,0 inf 52 exec 52 us 18356445 queue 13075997 compute 5264918 pending 0
        left behind: bad
        left behind: identity_fast
        ");
    }

    #[test]
    fn only_whole_pages_of_a_triton_pass() {
        let text = capture("idle.prom");
        assert_eq!(check(&text), Ok(()));
        assert_eq!(check(b""), Ok(()));
        let half = check(&text[..text.len() / 2]);
        assert_eq!(half, Err("the metrics page ends in the middle of a line"));
        assert_eq!(check(b"<html>\n"), Err("not the metrics page of a Triton"));
    }

    #[test]
    fn rows_are_summed_over_gpus_in_any_label_order() {
        let text =
            b"nv_inference_request_success{gpu_uuid=\"GPU-1\",model=\"m\",version=\"1\"} 3\n\
            nv_inference_request_success{version=\"1\",model=\"m\",gpu_uuid=\"GPU-0\"} 4\n\
            nv_inference_request_success{model=\"m\",version=\"1\"} 0\n";
        assert_snapshot!(table(text), @"m/1 ok 7 failed -,-,-,- inf - exec - us - queue - compute - pending -");
    }

    #[test]
    fn a_failure_without_a_reason_is_the_backends() {
        let text = b"nv_inference_request_success{model=\"m\",version=\"1\"} 3\n\
            nv_inference_request_failure{model=\"m\",version=\"1\"} 2\n";
        assert_snapshot!(table(text), @"m/1 ok 3 failed 2,-,-,- inf - exec - us - queue - compute - pending -");
    }

    #[test]
    fn reasons_that_are_not_known_are_other() {
        let text = b"nv_inference_pending_request_count{model=\"m\",version=\"1\"} 3\n\
            nv_inference_request_failure{model=\"m\",version=\"1\",reason=\"NEW\"} 2\n";
        assert_snapshot!(table(text), @"m/1 ok - failed -,-,-,2 inf - exec - us - queue - compute - pending 3");
    }

    #[test]
    fn label_values_are_unescaped() {
        let text = br#"nv_inference_request_success{model="a\\b\"c}, d=\"",version="1"} 3"#;
        assert_eq!(parse(text).models[0].model.as_str(), r#"a\b"c}, d=""#);
    }

    #[test]
    fn spaces_timestamps_and_line_ends_of_any_kind_do() {
        let text = b"nv_inference_count { model = \"m\" , version=\"1\", } 3 1795423822851\r\n\
            nv_inference_request_success{model=\"m\",version=\"1\"}\t1.5e3\r\n";
        assert_snapshot!(table(text), @"m/1 ok 1500 failed -,-,-,- inf 3 exec - us - queue - compute - pending -");
    }

    #[test]
    fn a_value_that_cannot_be_spoils_its_sum_and_nothing_else() {
        for (value, fault) in [
            ("Nan", "not a number"),
            ("NaN", "not a number"),
            ("+Inf", "an absurd count"),
            ("1e19", "an absurd count"),
            ("-1", "a negative count"),
            ("x", "not a number"),
            ("", "no value"),
            ("1 2 3", "text after the value"),
            ("1 soon", "text after the value"),
        ] {
            let text = format!(
                "nv_inference_request_success{{model=\"m\",version=\"1\"}} 3\n\
                 nv_inference_request_success{{model=\"m\",version=\"1\",gpu_uuid=\"g\"}} {value}\n\
                 nv_inference_count{{model=\"m\",version=\"1\"}} 5\n"
            );
            let page = parse(text.as_bytes());
            assert_eq!(page.models[0].counters.success, None, "{value}");
            assert_eq!(page.models[0].counters.inferences, Some(5.0), "{value}");
            assert_eq!(page.problems.count, 1, "{value}");
            assert!(page.problems.first.unwrap().starts_with(fault), "{value}");
        }
    }

    #[test]
    fn broken_lines_are_counted_and_the_rest_is_used() {
        let text = b"nv_inference_request_success{model=\"m\",version=\"1\"} 3\n\
            nv_inference_request_success 3\n\
            nv_inference_request_success{model=\"m\"} 3\n\
            nv_inference_request_success{model=\"m\n\
            nv_inference_request_success{model=m,version=\"1\"} 3\n\
            nv_inference_request_success{model=\"\xff\",version=\"1\"} 3\n\
            nv_inference_request_success{model=\"\",version=\"1\"} 3\n\
            nv_inference_request_success{model=\"n\" version=\"1\"} 3\n";
        assert_snapshot!(table(text), @r#"
        m/1 ok 3 failed -,-,-,- inf - exec - us - queue - compute - pending -
        7 problems: no model: `nv_inference_request_success 3`
        "#);
    }

    #[test]
    fn names_and_lines_have_limits() {
        let line = |name: &str| {
            format!("nv_inference_request_success{{model=\"{name}\",version=\"1\"}} 3\n")
        };
        let text = line(&"n".repeat(ModelName::MAX_BYTES + 1)) + &line(&"n".repeat(LINE_MAX_BYTES));
        let page = parse(text.as_bytes());
        assert_eq!((page.models.len(), page.problems.count), (0, 2));
    }

    #[test]
    fn models_have_a_limit_and_the_dead_do_not_crowd_out_the_living() {
        let mut text = String::new();
        for n in 0..MODELS_MAX + 3 {
            let _ =
                writeln!(text, "nv_inference_request_failure{{model=\"d{n}\",version=\"1\"}} 0");
        }
        for n in 0..MODELS_MAX + 3 {
            let _ =
                writeln!(text, "nv_inference_request_success{{model=\"m{n}\",version=\"1\"}} 3");
        }
        let page = parse(text.as_bytes());
        assert_eq!((page.models.len(), page.problems.count), (MODELS_MAX, 3));
        assert_eq!(page.left_behind.len(), MODELS_MAX + 3);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_to_the_end(bytes in prop::collection::vec(any::<u8>(), 0..2_000)) {
            parse(&bytes);
        }

        #[test]
        fn any_mutilated_page_is_read_to_the_end(
            cuts in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..40),
        ) {
            let mut text = capture("idle.prom");
            for (at, byte) in cuts {
                let at = at.index(text.len());
                text[at] = byte;
            }
            parse(&text);
        }

        #[test]
        fn the_order_of_rows_does_not_matter(seed in any::<u64>()) {
            let text = capture("failures.prom");
            let mut lines: Vec<_> = text.split(|byte| *byte == b'\n').collect();
            fastrand::Rng::with_seed(seed).shuffle(&mut lines);
            prop_assert_eq!(parse(&lines.join(&b'\n')), parse(&text));
        }
    }
}
