//! What is promised of a service, as the topology file says it.

use std::fmt;

use gpuwarden_proto::inventory::LATENCY_BOUNDS_US;
use gpuwarden_proto::settings::{Section, parse_duration};
use gpuwarden_proto::vocab::ObjectiveKind;

use super::heard::Delta;
use super::ring::Count;

/// All of a share, in millionths.
const WHOLE: u32 = 1_000_000;
/// The least that can be promised: below it nothing would ever burn fast.
const SHARE_MIN: f64 = 0.5;
/// The most: above it a budget of 30 days is a handful of requests.
const SHARE_MAX: f64 = 0.99999;
/// The share where only `latency` is given.
const LATENCY_SHARE: Target = Target(990_000);

/// A share of requests, kept in millionths so that a burn can be held against it exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target(u32);

impl Target {
    /// A share below 1; what is beyond millionths is rounded.
    #[must_use]
    pub fn new(share: f64) -> Self {
        Self(((share * f64::from(WHOLE)).round() as u32).min(WHOLE - 1))
    }

    /// As a share, 0 to 1.
    #[must_use]
    pub fn ratio(self) -> f64 {
        f64::from(self.0) / f64::from(WHOLE)
    }

    /// Bad requests that are within it, in a million.
    #[must_use]
    pub const fn bad_in_a_million(self) -> u32 {
        WHOLE - self.0
    }
}

impl fmt::Display for Target {
    /// E.g. `99.9 %`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} %", f64::from(self.0) / f64::from(WHOLE / 100))
    }
}

/// Which requests are counted, and which of them are good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// All that ended; good when answered.
    Availability,
    /// All that were answered and whose time is known; good up to this one of the counted bounds.
    Latency {
        /// Its place in [`LATENCY_BOUNDS_US`].
        bound: usize,
    },
}

impl Measure {
    /// What is promised.
    #[must_use]
    pub const fn kind(self) -> ObjectiveKind {
        match self {
            Self::Availability => ObjectiveKind::Availability,
            Self::Latency { .. } => ObjectiveKind::Latency,
        }
    }

    /// For latency: what a good request is answered within, in microseconds.
    #[must_use]
    pub fn within_us(self) -> Option<u64> {
        match self {
            Self::Availability => None,
            Self::Latency { bound } => LATENCY_BOUNDS_US.get(bound).copied(),
        }
    }

    /// Its name where counts are kept. Counts by another bound are other counts.
    #[must_use]
    pub fn key(self) -> String {
        match self.within_us() {
            None => self.kind().as_str().to_owned(),
            Some(us) => format!("{}/{us}us", self.kind()),
        }
    }

    /// The good and the bad of what was served.
    #[must_use]
    pub fn count(self, delta: &Delta) -> Count {
        match self {
            Self::Availability => {
                let good = delta.requests.saturating_sub(delta.failures);
                Count { good, bad: delta.failures }
            }
            Self::Latency { bound } => {
                let (good, bad) = delta.latency.split_at(delta.latency.len().min(bound + 1));
                Count { good: good.iter().sum(), bad: bad.iter().sum() }
            }
        }
    }
}

/// One promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Objective {
    /// What is measured.
    pub measure: Measure,
    /// The share of requests that must be good.
    pub target: Target,
}

/// Reads what a `[[service]]` promises: `availability`, `latency` and `latency_share`.
pub fn read(section: &mut Section<'_>) -> Vec<Objective> {
    let allowed = SHARE_MIN..=SHARE_MAX;
    let availability = section.share("availability", allowed.clone()).map(Target::new);
    let share = section.share("latency_share", allowed).map(Target::new);
    let bound = section.parsed("latency", bound);
    if share.is_some() && bound.is_none() {
        section.problem("latency_share", "says nothing without latency, e.g. latency = \"200ms\"");
    }
    let availability =
        availability.map(|target| Objective { measure: Measure::Availability, target });
    let latency = bound.map(|bound| {
        let measure = Measure::Latency { bound };
        Objective { measure, target: share.unwrap_or(LATENCY_SHARE) }
    });
    availability.into_iter().chain(latency).collect()
}

/// The place of a bound. One between two of them is refused and not rounded: how many requests are
/// within it is not known.
fn bound(text: &str) -> Result<usize, String> {
    let duration = parse_duration(text).map_err(|fault| format!("{fault} (try \"200ms\")"))?;
    let us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    LATENCY_BOUNDS_US.binary_search(&us).map_err(|place| {
        let (below, above) = (place.checked_sub(1), Some(place));
        let near = [below, above].into_iter().flatten().filter_map(|at| LATENCY_BOUNDS_US.get(at));
        let near: Vec<String> = near.map(|us| format!("\"{}\"", written(*us))).collect();
        format!("requests are not counted by this bound; take {}", near.join(" or "))
    })
}

/// As it is written in the file.
fn written(us: u64) -> String {
    if us.is_multiple_of(1_000_000) {
        format!("{}s", us / 1_000_000)
    } else {
        format!("{}ms", us / 1_000)
    }
}

#[cfg(test)]
mod tests {
    use gpuwarden_proto::settings::Document;

    use super::*;

    fn read_text(text: &str) -> Result<Vec<(String, String)>, String> {
        let mut document = Document::parse("t.toml", text);
        let objectives = read(&mut document.root());
        let said = |problems: Vec<gpuwarden_proto::settings::Problem>| {
            problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
        };
        document.finish().map_err(said)?;
        Ok(objectives.iter().map(|each| (each.measure.key(), each.target.to_string())).collect())
    }

    #[test]
    fn what_is_promised_is_read_and_nothing_is_promised_unasked() {
        let both = "availability = 0.9995\nlatency = \"1500ms\"\nlatency_share = 0.95";
        let told = |key: &str, target: &str| (key.to_owned(), target.to_owned());
        assert_eq!(
            read_text(both),
            Ok(vec![told("availability", "99.95 %"), told("latency/1500000us", "95 %")])
        );
        assert_eq!(
            read_text("latency = \"2s\""),
            Ok(vec![told("latency/2000000us", "99 %")]),
            "the share has a default"
        );
        assert_eq!(read_text(""), Ok(Vec::new()));
    }

    #[test]
    fn what_cannot_be_held_is_refused_with_what_could_be() {
        let text = "availability = 1\nlatency = \"180ms\"\nlatency_share = \"most\"";
        insta::assert_snapshot!(read_text(text).unwrap_err(), @r#"
        t.toml:1: availability = 1: should be a share from 0.5 to 0.99999
        t.toml:2: latency = "180ms": requests are not counted by this bound; take "150ms" or "200ms"
        t.toml:3: latency_share = "most": should be a share from 0.5 to 0.99999
        "#);
        insta::assert_snapshot!(read_text("latency_share = 0.9").unwrap_err(), @r#"t.toml:1: latency_share: says nothing without latency, e.g. latency = "200ms""#);
        insta::assert_snapshot!(read_text("latency = \"60s\"").unwrap_err(), @r#"t.toml:1: latency = "60s": requests are not counted by this bound; take "30s""#);
        insta::assert_snapshot!(read_text("latency = \"0ms\"").unwrap_err(), @r#"t.toml:1: latency = "0ms": requests are not counted by this bound; take "1ms""#);
    }

    #[test]
    fn good_is_what_was_answered_or_was_answered_in_time() {
        let mut latency = vec![0; gpuwarden_proto::inventory::LATENCY_COUNTS];
        (latency[0], latency[5], latency[6], latency[21]) = (1, 2, 4, 8);
        let delta = Delta { requests: 20, failures: 5, latency };
        assert_eq!(Measure::Availability.count(&delta), Count { good: 15, bad: 5 });
        assert_eq!(Measure::Latency { bound: 5 }.count(&delta), Count { good: 3, bad: 12 });
        let untimed = Delta { latency: Vec::new(), ..delta };
        assert_eq!(Measure::Latency { bound: 5 }.count(&untimed), Count::default());
    }
}
