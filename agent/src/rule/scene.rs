//! A small language for tests of rules: each line is a stretch of time in which everything stays as
//! the line says, played through the engine in the steps of the default settings; what it emits is
//! compared as text.
//!
//! `DURATION KEY=VALUE …` with `ok=` and `fail=` (requests per second), `pend=` (waiting), `svc=`
//! (milliseconds of computing), `page=empty|refused|garbled`, `index=ready|loading|unloaded|none|
//! failed:REASON`, `mem=` (GiB used of 80, `+N` for so many GiB more each second), `lost=yes`,
//! `xid=`, `kernel_xid=`, `neighbour=` (share of the GPU), `throttle=` (bits), `nvml=silent`.

use std::time::Duration;

use gpuwarden_proto::event::{Body, Event};
use gpuwarden_proto::settings::parse_duration;
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::{GpuUuid, ModelName, ModelVersion, Phase, ServerName, SourceName};

use super::Thresholds;
use crate::engine::{Effect, Engine};
use crate::sample::*;

const GIB: f64 = (1_u64 << 30) as f64;
const TICK_MS: u64 = 100;

/// Plays the scene and compares what was told, findings and changes, with what is expected. To take
/// over what is told now: `UPDATE_EXPECT=1 cargo test`.
// By value, so that the expectation can be written where it is passed.
#[allow(clippy::needless_pass_by_value)]
pub(crate) fn check(scene: &str, expected: expect_test::Expect) {
    let told: String = play(scene).iter().map(|line| format!("{line}\n")).collect();
    expected.assert_eq(&told);
}

/// The same stretches several times.
pub(crate) fn repeat(times: usize, lines: &[&str]) -> String {
    vec![lines.join("\n"); times].join("\n")
}

/// One line of a scene.
#[derive(Debug, Clone, Default)]
struct Stretch {
    duration: Duration,
    values: Vec<(String, String)>,
}

impl Stretch {
    fn parse(line: &str) -> Self {
        let mut words = line.split_whitespace();
        let duration = parse_duration(words.next().unwrap()).unwrap();
        let value = |word: &str| {
            let (key, value) = word.split_once('=').unwrap();
            (key.to_owned(), value.to_owned())
        };
        Self { duration, values: words.map(value).collect() }
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.values.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str())
    }

    fn number(&self, key: &str) -> Option<f64> {
        self.text(key).map(|text| text.parse().unwrap())
    }
}

struct Player {
    engine: Engine,
    now_ms: u64,
    counters: [f64; 4],
    used_gib: f64,
    look_until_ms: u64,
    told: Vec<String>,
}

/// Plays a scene and returns what was told.
pub(crate) fn play(scene: &str) -> Vec<String> {
    let engine = Engine::new(Thresholds::default(), &[ServerName::new("s").unwrap()]);
    let mut player = Player {
        engine,
        now_ms: 0,
        counters: [0.0; 4],
        used_gib: 0.0,
        look_until_ms: 0,
        told: Vec::new(),
    };
    for line in scene.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let stretch = Stretch::parse(line);
        let end_ms = player.now_ms + stretch.duration.as_millis() as u64;
        let start_ms = player.now_ms;
        while player.now_ms < end_ms {
            player.tick(&stretch, player.now_ms == start_ms);
            player.now_ms += TICK_MS;
        }
    }
    player.told
}

impl Player {
    fn tick(&mut self, stretch: &Stretch, first: bool) {
        self.traffic(stretch);
        let half_second = self.now_ms.is_multiple_of(500);
        if half_second || self.now_ms < self.look_until_ms {
            self.server(stretch);
        }
        if self.now_ms.is_multiple_of(1_000) || first {
            self.index(stretch);
        }
        if half_second {
            self.gpu(stretch);
        }
        if first {
            self.xid(stretch);
        }
        self.apply(Input::Tick);
    }

    fn traffic(&mut self, stretch: &Stretch) {
        let dt_s = TICK_MS as f64 / 1e3;
        let ok = stretch.number("ok").unwrap_or(0.0) * dt_s;
        let service_us = stretch.number("svc").unwrap_or(10.0) * 1e3;
        self.counters[0] += ok;
        self.counters[1] += stretch.number("fail").unwrap_or(0.0) * dt_s;
        self.counters[2] += ok * service_us;
        if let Some(mem) = stretch.text("mem") {
            match mem.strip_prefix('+') {
                Some(more) => self.used_gib += more.parse::<f64>().unwrap() * dt_s,
                None => self.used_gib = mem.parse().unwrap(),
            }
        }
    }

    fn server(&mut self, stretch: &Stretch) {
        let models = match stretch.text("page") {
            Some("refused") => Err(Outage::Refused("connection refused".to_owned())),
            Some("garbled") => Err(Outage::Garbled("not a metrics page".to_owned())),
            Some("empty") => Ok(Vec::new()),
            Some(other) => panic!("page={other}"),
            None if stretch.number("ok").is_none() => return,
            None => Ok(vec![self.model(stretch)]),
        };
        let server = ServerName::new("s").unwrap();
        self.apply(Input::Page(PageReading { server, models, problems: 0, first_problem: None }));
    }

    fn model(&self, stretch: &Stretch) -> ModelSample {
        let [ok, fail, service_us, _] = self.counters;
        ModelSample {
            model: ModelName::new("m").unwrap(),
            version: ModelVersion::new("1").unwrap(),
            gpus: Vec::new(),
            counters: ModelCounters {
                success: Some(ok.floor()),
                failed_backend: Some(fail.floor()),
                executions: Some(ok.floor()),
                request_us: Some(service_us),
                compute_infer_us: Some(ok.floor() * service_us / ok.max(1e-9)),
                ..ModelCounters::default()
            },
            pending: Some(stretch.number("pend").unwrap_or(0.0)),
        }
    }

    fn index(&mut self, stretch: &Stretch) {
        let serving = stretch.number("ok").is_some();
        let (state, reason) = match stretch.text("index") {
            Some("none") => return,
            None if !serving => return,
            None | Some("ready") => (RepositoryState::Ready, String::new()),
            Some("loading") => (RepositoryState::Loading, String::new()),
            Some("unloaded") => (RepositoryState::Unavailable, "unloaded".to_owned()),
            Some(other) => {
                let reason = other.strip_prefix("failed:").expect("index=failed:REASON");
                (RepositoryState::Unavailable, reason.replace('_', " "))
            }
        };
        let server = ServerName::new("s").unwrap();
        let model = ModelName::new("m").unwrap();
        let version = ModelVersion::new("1").ok();
        let entries = vec![RepositoryEntry { model: model.clone(), version, state, reason }];
        let shape = ModelShape {
            server: server.clone(),
            model,
            instances: 1,
            max_batch: 1,
            max_queue: None,
            config: 0,
        };
        self.apply(Input::Repository(RepositoryReading {
            server,
            server_version: String::new(),
            entries,
        }));
        self.apply(Input::Shape(shape));
    }

    fn gpu(&mut self, stretch: &Stretch) {
        if stretch.text("nvml") == Some("silent") {
            let reason = "the driver does not answer".to_owned();
            let source = SourceName::new("nvml").unwrap();
            return self.apply(Input::Source(source, SourceReport::Failing(reason)));
        }
        if stretch.text("mem").is_none() && stretch.text("lost").is_none() {
            return;
        }
        let uuid = GpuUuid::new("GPU-0").unwrap();
        let mut gpu = GpuSample::unread(uuid, 0, "H100", "00000000:1B:00.0");
        gpu.lost = stretch.text("lost").is_some();
        let used_bytes = (self.used_gib * GIB) as u64;
        let total_bytes = 80_u64 << 30;
        let free_bytes = total_bytes.saturating_sub(used_bytes);
        gpu.memory = (!gpu.lost).then_some(GpuMemory { total_bytes, used_bytes, free_bytes });
        let throttle = stretch.text("throttle");
        gpu.throttle_bits =
            throttle.map(|bits| u64::from_str_radix(bits.trim_start_matches("0x"), 16).unwrap());
        let process = |pid: u32, name: &str, used_bytes: u64| GpuProcess {
            pid,
            start_ticks: 1,
            name: name.to_owned(),
            owner: String::new(),
            used_bytes: Some(used_bytes),
        };
        gpu.processes =
            Some(vec![process(100, "tritonserver", used_bytes), process(200, "train", 1)]);
        gpu.process_use = stretch
            .number("neighbour")
            .map(|sm_ratio| vec![ProcessUse { pid: 200, sm_ratio, memory_ratio: 0.0 }]);
        let driver_version = "580.95.05".to_owned();
        self.apply(Input::Gpus(GpuReading { driver_version, gpus: vec![gpu] }));
    }

    fn xid(&mut self, stretch: &Stretch) {
        let xid = |key| stretch.number(key).map(|xid| xid as u32);
        if let Some(xid) = xid("xid") {
            let uuid = GpuUuid::new("GPU-0").ok();
            let reading = XidReading { uuid, pci_bus_id: String::new(), xid, text: String::new() };
            self.apply(Input::Xid(reading));
        }
        if let Some(xid) = xid("kernel_xid") {
            let pci_bus_id = "0000:1b:00".to_owned();
            let text = "NVRM: Xid".to_owned();
            let reading = XidReading { uuid: None, pci_bus_id, xid, text };
            self.apply(Input::Kernel(vec![KernelRecord::Xid(reading)]));
        }
    }

    fn apply(&mut self, input: Input) {
        let now = Now {
            moment: Moment::ms(self.now_ms),
            wall: Timestamp::from_unix_ns(self.now_ms * 1_000_000),
        };
        for effect in self.engine.apply(now, input) {
            match effect {
                Effect::Emit(event) => self.told.extend(told(&event)),
                Effect::LookAgain(_) => self.look_until_ms = self.now_ms + 2_000,
            }
        }
    }
}

/// A line of what is told. Updates are left out.
fn told(event: &Event) -> Option<String> {
    let at_s = event.observed_at.unix_ns() as f64 / 1e9;
    Some(match &event.body {
        Body::Finding(finding) => match finding.phase {
            Phase::Raised => {
                format!(
                    "{at_s:.1}s raised {} {}: {}",
                    finding.rule, finding.subject, finding.summary
                )
            }
            Phase::Cleared => format!("{at_s:.1}s cleared {} {}", finding.rule, finding.subject),
            Phase::Updated => return None,
        },
        Body::Change(change) => {
            format!("{at_s:.1}s change {} {}: {}", change.kind, change.subject, change.summary)
        }
        Body::Gap(gap) => format!("{at_s:.1}s gap of {}", gap.count),
    })
}
