//! How much, how often and when a destination is told. Pure.

use std::time::Duration;

use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::Severity;

use super::row::DestinationName;

const DAY_S: u64 = 86_400;

/// What holds for a destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// How many requests it takes.
    pub rate: Rate,
    /// After a message others wait so long for each other and are told as one; `None` tells each by
    /// itself. What is more urgent than all that was told does not wait.
    pub bundle: Option<Duration>,
    /// What was told is told again after so long.
    pub renew: Option<Duration>,
    /// Hours in which not everything is told.
    pub quiet: Option<Quiet>,
    /// When an incident comes and goes too often.
    pub flap: Flap,
    /// What is told so long after it was so says that it is late.
    pub late_after: Duration,
    /// A page that failed for so long is told by the fall-back as well.
    pub spread_after: Duration,
    /// What could not be told for so long is given up.
    pub give_up_after: Duration,
    /// The bound of the first wait after a failure; it doubles with each.
    pub retry_step: Duration,
    /// The longest of these.
    pub retry_max: Duration,
    /// Who is told what cannot be told here.
    pub fall_back: Option<DestinationName>,
    /// Whether it takes what is only made known.
    pub takes_broadcasts: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            rate: Rate { every: Duration::from_secs(1), burst: 1 },
            bundle: None,
            renew: None,
            quiet: None,
            flap: Flap::default(),
            late_after: Duration::from_secs(600),
            spread_after: Duration::from_secs(120),
            give_up_after: Duration::from_secs(DAY_S),
            retry_step: Duration::from_secs(2),
            retry_max: Duration::from_secs(120),
            fall_back: None,
            takes_broadcasts: true,
        }
    }
}

/// So many requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// One every so often.
    pub every: Duration,
    /// So many at once after a rest.
    pub burst: u32,
}

/// When an incident comes and goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flap {
    /// It came back so often.
    pub after: u32,
    /// Within so long.
    pub within: Duration,
    /// It is calm when nothing was to be told of it for so long.
    pub calm: Duration,
}

impl Default for Flap {
    fn default() -> Self {
        let ten_minutes = Duration::from_secs(600);
        Self { after: 3, within: 3 * ten_minutes, calm: ten_minutes }
    }
}

/// Hours in which what is not urgent waits. P1 is never among it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quiet {
    severities: Vec<Severity>,
    /// Minutes of the day, UTC.
    from: u64,
    until: u64,
}

impl Quiet {
    /// Quiet hours from a minute of the day to another, which may be of the next day, both in UTC.
    /// P1 is left out of the severities whoever names it.
    #[must_use]
    pub fn new(severities: &[Severity], from: u64, until: u64) -> Self {
        let severities = severities.iter().copied().filter(|it| *it != Severity::P1).collect();
        Self { severities, from: from % 1440, until: until % 1440 }
    }

    /// When what is of this severity may be told: now, or when the quiet hours end.
    #[must_use]
    pub fn over_at(&self, severity: Severity, now: Timestamp) -> Timestamp {
        let seconds = now.unix_ns() / 1_000_000_000;
        let (from, until) = (self.from * 60, self.until * 60);
        let today = seconds % DAY_S;
        let length = (until + DAY_S - from) % DAY_S;
        let into = (today + DAY_S - from) % DAY_S;
        if severity == Severity::P1 || !self.severities.contains(&severity) || into >= length {
            return now;
        }
        Timestamp::from_unix_s(seconds - into + length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(clock: &str) -> Timestamp {
        format!("2026-11-23T{clock}:00Z").parse().unwrap()
    }

    fn check(severity: Severity, clock: &str) -> String {
        let quiet = Quiet::new(&[Severity::P1, Severity::P3, Severity::P4], 22 * 60, 7 * 60);
        quiet.over_at(severity, at(clock)).to_string()
    }

    #[test]
    fn what_is_not_urgent_waits_for_the_morning() {
        assert_eq!(check(Severity::P3, "23:30"), "2026-11-24T07:00:00.000Z");
        assert_eq!(check(Severity::P4, "06:59"), "2026-11-23T07:00:00.000Z");
        assert_eq!(check(Severity::P3, "07:00"), "2026-11-23T07:00:00.000Z");
        assert_eq!(check(Severity::P3, "21:59"), "2026-11-23T21:59:00.000Z");
    }

    #[test]
    fn what_is_urgent_never_waits_whatever_the_settings_say() {
        assert_eq!(check(Severity::P1, "23:30"), "2026-11-23T23:30:00.000Z");
        assert_eq!(check(Severity::P2, "23:30"), "2026-11-23T23:30:00.000Z");
    }
}
