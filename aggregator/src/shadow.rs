//! What a candidate config, the shadow, would have done otherwise than the live one: both are told
//! the same, and their incidents are compared. Pure.
//!
//! - [`compare`]: which incidents of both are the same, and how the others differ
//! - [`rival`]: two states that are driven by the same words

pub mod compare;
pub mod rival;
#[cfg(test)]
mod tests;

use gpuwarden_proto::incident::Incident;
use gpuwarden_proto::shadow::{Difference, Report};
use gpuwarden_proto::time::Timestamp;

/// Differences that a report lists; more are counted.
pub const LISTED_MAX: usize = 500;

/// Compares what both made of the same. What began before `since` is not missed on either side.
#[must_use]
pub fn report(
    live: &[&Incident],
    shadow: &[&Incident],
    since: Timestamp,
    until: Timestamp,
) -> Report {
    let compare::Compared { live, shadow, alike, mut differences } =
        compare::compare(live, shadow, since);
    let mut report = Report { since, until, live, shadow, alike, ..Report::default() };
    for Difference { kind, .. } in &differences {
        *report.counts.entry(*kind).or_default() += 1;
    }
    report.unlisted = differences.len().saturating_sub(LISTED_MAX) as u64;
    differences.truncate(LISTED_MAX);
    report.differences = differences;
    report
}
