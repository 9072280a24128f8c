//! Single values, and the rules of a destination.

use std::path::PathBuf;
use std::time::Duration;

use gpuwarden_proto::settings::Section;
use gpuwarden_proto::vocab::Severity;

use crate::delivery::{DestinationName, Policy, Quiet, Rate};
use crate::destination::Channel;
use crate::message::{Audience, Kind};

const SECOND: Duration = Duration::from_secs(1);

/// A word that others see: printable, of 64 characters at most.
pub(super) fn word(text: &str) -> Result<String, String> {
    let good = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if text.is_empty() || text.len() > 64 || !text.chars().all(good) {
        return Err("should be a word of letters, digits, `-`, `_` and `.`, 64 at most".to_owned());
    }
    Ok(text.to_owned())
}

/// The name of a destination: it stands in keys and commands.
pub(super) fn destination(text: &str) -> Result<DestinationName, String> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let fits = !text.is_empty() && text.len() <= 64 && text.bytes().all(good);
    let name = fits.then(|| DestinationName::new(text).ok()).flatten();
    name.ok_or_else(|| "should be a name of at most 64 letters, digits, `-` and `_`".to_owned())
}

pub(super) fn path(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() { Err("should be a path".to_owned()) } else { Ok(text.into()) }
}

pub(super) fn audience(text: &str) -> Result<Audience, String> {
    let known = Audience::ALL.into_iter().find(|audience| audience.as_str() == text);
    known.ok_or_else(|| "should be engineering, stakeholders or management".to_owned())
}

/// How much, how often and when; what the section does not say goes by the channel.
pub(super) fn policy(section: &mut Section<'_>, channel: Option<&Channel>) -> Policy {
    let usual = usual(channel);
    let burst = section.number("burst", u64::from(usual.rate.burst), 1..=100);
    let seconds = |n: u64| Duration::from_secs(n);
    let every = section.duration("rate", usual.rate.every, SECOND / 100..=seconds(3600));
    let bundle = usual
        .bundle
        .map(|bundle| section.duration("bundle", bundle, Duration::ZERO..=seconds(600)));
    let hour = seconds(3600);
    Policy {
        rate: Rate { every, burst: u32::try_from(burst).unwrap_or(1) },
        bundle: bundle.filter(|bundle| !bundle.is_zero()),
        quiet: quiet(section),
        late_after: section.duration("late_after", usual.late_after, SECOND..=24 * hour),
        spread_after: section.duration("spread_after", usual.spread_after, SECOND..=24 * hour),
        give_up_after: section.duration(
            "give_up_after",
            usual.give_up_after,
            60 * SECOND..=7 * 24 * hour,
        ),
        fall_back: section.parsed("fall_back", destination),
        ..usual
    }
}

/// What goes for a channel whose section says nothing: within what it documents.
fn usual(channel: Option<&Channel>) -> Policy {
    let rate = |millis, burst| Rate { every: Duration::from_millis(millis), burst };
    let rate = match channel {
        None | Some(Channel::Slack(_) | Channel::SlackWebhook(_)) => rate(1000, 1),
        Some(Channel::Email(_)) => rate(1000, 5),
        Some(Channel::PagerDuty(_)) => rate(500, 10),
        Some(Channel::Alertmanager(_)) => rate(20, 50),
        Some(Channel::Webhook(_)) => rate(100, 20),
    };
    let bundles = channel.is_none_or(Channel::bundles);
    Policy {
        rate,
        bundle: bundles.then_some(20 * SECOND),
        renew: channel.and_then(Channel::renewed_every),
        takes_broadcasts: channel.is_none_or(|channel| channel.takes(Kind::Broadcast)),
        ..Policy::default()
    }
}

fn quiet(section: &mut Section<'_>) -> Option<Quiet> {
    let severities = section.list("quiet", |text| match text.parse() {
        Ok(Severity::P1) => Err("P1 is never held back".to_owned()),
        Ok(severity) => Ok(severity),
        Err(_) => Err("should be P2, P3 or P4".to_owned()),
    });
    let from = section.parsed("quiet_from", minute);
    let until = section.parsed("quiet_until", minute);
    if severities.is_empty() {
        if from.is_some() || until.is_some() {
            section.problem("quiet", "is missing: which severities are held, like [\"P4\"]");
        }
        return None;
    }
    let (Some(from), Some(until)) = (from, until) else {
        section.problem("quiet", "needs quiet_from and quiet_until, like \"22:00\", in UTC");
        return None;
    };
    Some(Quiet::new(&severities, from, until))
}

/// A minute of the day.
fn minute(text: &str) -> Result<u64, String> {
    let read = || {
        let (hours, minutes) = text.split_once(':')?;
        let two = |part: &str| (part.len() == 2).then(|| part.parse::<u64>().ok())?;
        let (hours, minutes) = (two(hours)?, two(minutes)?);
        (hours < 24 && minutes < 60).then_some(hours * 60 + minutes)
    };
    read().ok_or_else(|| "should be a time of day in UTC, like \"22:00\"".to_owned())
}
