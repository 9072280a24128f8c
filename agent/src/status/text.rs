//! Status for people: at most 100 columns, what is seen and what is not.
//!
//! Much of the text comes from servers and process lists, so control characters are taken out: a
//! model's name must not steer a terminal.

use std::fmt::Write as _;

use gpuwarden_proto::event::{Evidence, Finding, Unit};
use gpuwarden_proto::inventory::{Gpu, Model, Server, Source};
use gpuwarden_proto::time::{Timestamp, spoken};

use super::{OutboxStatus, Status, UplinkStatus};

/// Columns at most.
const COLUMNS: usize = 100;

/// The status as `gpuwarden-agent status` prints it.
pub fn render(status: &Status) -> String {
    let mut page = Page::default();
    let snapshot = &status.snapshot;
    page.line(0, &format!("gpuwarden-agent {} on {}, {}", status.version, status.node, status.at));
    page.head("SOURCES", snapshot.sources.len());
    for source in &snapshot.sources {
        page.line(2, &source_line(source));
    }
    page.head("GPUS", snapshot.gpus.len());
    for gpu in &snapshot.gpus {
        let indent = if gpu.parent.is_some() { 4 } else { 2 };
        page.line(indent, &gpu_line(gpu));
    }
    page.head("SERVERS", snapshot.servers.len());
    for server in &snapshot.servers {
        page.server(server);
    }
    page.head("FINDINGS", snapshot.active.len());
    for finding in &snapshot.active {
        page.finding(finding, status.at);
    }
    page.head("DELIVERY", 1);
    page.line(2, &outbox_line(&status.outbox, status.at));
    page.line(2, &uplink_line(&status.uplink, status.at));
    page.0
}

#[derive(Debug, Default)]
struct Page(String);

impl Page {
    fn head(&mut self, title: &str, rows: usize) {
        let none = if rows == 0 { "  none" } else { "" };
        let _ = writeln!(self.0, "\n{title}{none}");
    }

    /// Adds text, wrapped between words, the lines after the first indented by two more.
    fn line(&mut self, indent: usize, text: &str) {
        let mut line = " ".repeat(indent);
        let mut empty = true;
        for word in one_line(text).split(' ') {
            let word = shortened(word, COLUMNS - indent - 2);
            if !empty && line.chars().count() + 1 + word.chars().count() > COLUMNS {
                let _ = writeln!(self.0, "{}", line.trim_end());
                line = " ".repeat(indent + 2);
                empty = true;
            }
            if !empty {
                line.push(' ');
            }
            line.push_str(&word);
            empty = false;
        }
        let _ = writeln!(self.0, "{}", line.trim_end());
    }

    fn server(&mut self, server: &Server) {
        let version = if server.version.is_empty() { "version unknown" } else { &server.version };
        self.line(2, &format!("{:<28} {:<12} {version}", server.name, server.availability));
        for model in &server.models {
            self.line(4, &model_line(model));
        }
    }

    fn finding(&mut self, finding: &Finding, at: Timestamp) {
        let age = spoken(at.since(finding.raised_at));
        let Finding { rule, subject, grade, .. } = finding;
        self.line(2, &format!("{grade:<9} {rule} on {subject}, for {age}"));
        self.line(12, &finding.summary);
        for evidence in &finding.evidence {
            self.line(12, &evidence_line(evidence));
        }
        for suspect in &finding.suspects {
            let owner = if suspect.owner.is_empty() { "owner unknown" } else { &suspect.owner };
            let percent = suspect.confidence * 100.0;
            self.line(12, &format!("suspect {} of {owner}, {percent:.0} % sure", suspect.subject));
        }
    }
}

/// Line ends become spaces and other control characters go.
fn one_line(text: &str) -> String {
    let lines: Vec<_> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines.join(" ").chars().filter(|char| !char.is_control()).collect()
}

fn shortened(word: &str, max: usize) -> String {
    if word.chars().count() <= max {
        return word.to_owned();
    }
    word.chars().take(max - 1).chain(['…']).collect()
}

fn source_line(source: &Source) -> String {
    format!("{:<28} {:<12} {}", source.name, source.state, source.reason)
}

fn gpu_line(gpu: &Gpu) -> String {
    if gpu.lost {
        return format!("{} {:<26} LOST, the driver cannot reach it", gpu.index, gpu.name);
    }
    if gpu.parent.is_some() {
        return instance_line(gpu);
    }
    let used = gpu.memory_used_bytes.map_or("?".to_owned(), bytes);
    let busy = gpu.utilization_ratio.map_or("?".to_owned(), |r| format!("{:.0}", r * 100.0));
    let total = bytes(gpu.memory_total_bytes);
    format!("{} {:<26} {used} of {total} used, {busy} % busy", gpu.index, gpu.name)
}

fn instance_line(instance: &Gpu) -> String {
    let used = instance.memory_used_bytes.map_or("?".to_owned(), bytes);
    let total = bytes(instance.memory_total_bytes);
    let profile = if instance.profile.is_empty() { "profile unknown" } else { &instance.profile };
    format!("MIG {profile:<10} {used} of {total} used, {}", instance.uuid)
}

fn model_line(model: &Model) -> String {
    let name = format!("{}/{}", model.name, model.version);
    let rate = model.requests_per_s.map(|rate| format!("{rate:.1} requests/s"));
    let pending = model.pending.map(|pending| format!("{pending} waiting"));
    let reason = (!model.reason.is_empty()).then(|| model.reason.clone());
    let rest: Vec<_> = [rate, pending, reason].into_iter().flatten().collect();
    format!("{name:<26} {:<12} {}", model.availability, rest.join(", "))
}

fn evidence_line(evidence: &Evidence) -> String {
    let show = |value: f64| quantity(value, evidence.unit);
    let mut line = format!("{} {}", evidence.signal, show(evidence.value));
    if evidence.window_s > 0.0 {
        let _ = write!(line, " over {} s", evidence.window_s);
    }
    if let Some(threshold) = evidence.threshold {
        let _ = write!(line, ", limit {}", show(threshold));
    }
    if let Some(baseline) = evidence.baseline {
        let _ = write!(line, ", usually {}", show(baseline));
    }
    line
}

fn quantity(value: f64, unit: Unit) -> String {
    match unit {
        Unit::Bytes => scaled(value),
        Unit::BytesPerSecond => format!("{}/s", scaled(value)),
        Unit::Seconds => format!("{value:.3} s"),
        Unit::PerSecond => format!("{value:.1}/s"),
        Unit::Ratio => format!("{value:.2}"),
        Unit::Count | Unit::Code => format!("{value}"),
    }
}

#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
fn bytes(bytes: u64) -> String {
    scaled(bytes as f64)
}

fn scaled(bytes: f64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes;
    let mut unit = 0;
    while value.abs() >= 1024.0 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{value:.0} B") } else { format!("{value:.1} {}", units[unit]) }
}

fn outbox_line(outbox: &OutboxStatus, at: Timestamp) -> String {
    let mut line = match outbox.oldest_at {
        None => "outbox: nothing waits".to_owned(),
        Some(oldest) => {
            let (rows, size, age) = (outbox.rows, bytes(outbox.bytes), spoken(at.since(oldest)));
            format!("outbox: {rows} events ({size}) wait, the oldest for {age} (since {oldest})")
        }
    };
    if outbox.dropped > 0 {
        let _ = write!(line, "; {} given up since the agent began", outbox.dropped);
    }
    if let Some(fault) = &outbox.fault {
        let _ = write!(line, "; NOT ON DISK: {fault}");
    }
    line
}

fn uplink_line(uplink: &UplinkStatus, at: Timestamp) -> String {
    let Some(endpoint) = &uplink.endpoint else {
        return "aggregator: none is set, everything stays on this node".to_owned();
    };
    let since = uplink.since.map(|since| format!(" for {}", spoken(at.since(since))));
    let since = since.unwrap_or_default();
    if uplink.connected {
        let acked = uplink.acked;
        return format!("aggregator: {endpoint}, connected{since}, acknowledged up to {acked}");
    }
    let because = if uplink.reason.is_empty() { "" } else { ": " };
    format!("aggregator: {endpoint}, NOT CONNECTED{since}{because}{}", uplink.reason)
}
