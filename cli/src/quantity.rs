//! Numbers of evidence as people say them.

use gpuwarden_proto::event::{Evidence, Unit};
use gpuwarden_proto::time::{Timestamp, spoken};

/// One number with what it was held against, e.g. `queue wait 2.4 s over 5 s (threshold 100 ms)`.
pub fn evidence(evidence: &Evidence) -> String {
    let mut text = format!("{} {}", evidence.signal, value(evidence.value, evidence.unit));
    if evidence.window_s > 0.0 {
        text += &format!(" over {}", value(evidence.window_s, Unit::Seconds));
    }
    let beside = [("threshold", evidence.threshold), ("usually", evidence.baseline)];
    let known: Vec<String> = beside
        .iter()
        .filter_map(|(word, number)| Some(format!("{word} {}", value((*number)?, evidence.unit))))
        .collect();
    if !known.is_empty() {
        text += &format!(" ({})", known.join(", "));
    }
    text
}

/// A value in the prefix that reads best.
pub fn value(value: f64, unit: Unit) -> String {
    match unit {
        Unit::Seconds => seconds(value),
        Unit::Bytes => bytes(value),
        Unit::BytesPerSecond => format!("{}/s", bytes(value)),
        Unit::PerSecond => format!("{}/s", number(value)),
        Unit::Count | Unit::Ratio | Unit::Code => number(value),
    }
}

/// How long ago something was.
pub fn age(now: Timestamp, at: Timestamp) -> String {
    let since = now.since(at);
    if since.as_secs() == 0 { "now".to_owned() } else { spoken(since) }
}

/// How long ago something was, for the end of a sentence.
pub fn ago(now: Timestamp, at: Timestamp) -> String {
    let since = now.since(at);
    if since.as_secs() == 0 { "just now".to_owned() } else { format!("{} ago", spoken(since)) }
}

/// The time of day in UTC, e.g. `14:02:11`.
pub fn time_of_day(at: Timestamp) -> String {
    at.to_string().get(11..19).unwrap_or("--:--:--").to_owned()
}

fn seconds(s: f64) -> String {
    match s.abs() {
        0.0 => "0 s".to_owned(),
        under if under < 0.001 => format!("{} µs", number(s * 1e6)),
        under if under < 1.0 => format!("{} ms", number(s * 1e3)),
        under if under < 120.0 => format!("{} s", number(s)),
        _ => spoken(std::time::Duration::from_secs_f64(s.clamp(0.0, 1e12))),
    }
}

fn bytes(bytes: f64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let power = (bytes.abs().max(1.0).log2() / 10.0) as usize;
    let power = power.min(units.len() - 1);
    format!("{} {}", number(bytes / 1024_f64.powi(power as i32)), units[power])
}

/// Two or three digits that mean something, no zeros behind the point.
fn number(value: f64) -> String {
    let digits = match value.abs() {
        big if big >= 100.0 => 0,
        big if big >= 10.0 => 1,
        small if small > 0.0 && small < 0.1 => (1.0 - small.log10().floor()).min(9.0) as usize,
        _ => 2,
    };
    let text = format!("{value:.digits$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_the_unit_that_reads_best() {
        let gib = 1024.0 * 1024.0 * 1024.0;
        assert_eq!(value(78.345 * gib, Unit::Bytes), "78.3 GiB");
        assert_eq!(value(212.0 * 1024.0 * 1024.0, Unit::BytesPerSecond), "212 MiB/s");
        assert_eq!(value(0.0114, Unit::Seconds), "11.4 ms");
        assert_eq!(value(41.0, Unit::Seconds), "41 s");
        assert_eq!(value(0.0, Unit::Bytes), "0 B");
        assert_eq!(value(79.0, Unit::Code), "79");
        assert_eq!(value(0.384, Unit::Ratio), "0.38");
        assert_eq!(value(200.0, Unit::Count), "200");
        assert_eq!(value(0.004_236, Unit::Ratio), "0.0042");
        assert_eq!(value(0.0, Unit::Ratio), "0");
    }

    #[test]
    fn evidence_says_what_it_was_held_against() {
        let waiting =
            Evidence::new("queue wait", 2.4, Unit::Seconds).over(5.0).against(0.1).usually(0.004);
        assert_eq!(
            evidence(&waiting),
            "queue wait 2.4 s over 5 s (threshold 100 ms, usually 4 ms)"
        );
    }

    #[test]
    fn ages_are_relative() {
        let at = Timestamp::from_unix_s;
        assert_eq!(age(at(100), at(100)), "now");
        assert_eq!(age(at(141), at(100)), "41 s");
        assert_eq!(time_of_day(at(1_795_423_822)), "08:50:22");
    }
}
