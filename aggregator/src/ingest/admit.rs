//! Which events of a batch are taken. Pure. One bad event is refused by itself with its reason.

use std::time::Duration;

use gpuwarden_proto::convert::decode_event;
use gpuwarden_proto::event::{Body, Event};
use gpuwarden_proto::time::{Timestamp, spoken};
use gpuwarden_proto::uplink::{Entry, Rejection};
use gpuwarden_proto::vocab::Seq;

use crate::status::Reject;

/// The times that events may tell of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// So far back at most.
    pub max_age: Duration,
    /// So far ahead at most.
    pub max_ahead: Duration,
}

/// A batch after the check.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Admitted {
    /// What is taken, as it came.
    pub entries: Vec<Entry>,
    /// The same, decoded.
    pub events: Vec<Event>,
    /// What is refused, with the words for the node.
    pub rejected: Vec<Rejection>,
    /// And the kind of refusal, in the same order.
    pub reasons: Vec<Reject>,
    /// The highest number of all.
    pub last_seq: Seq,
}

/// Checks each event of a batch.
#[must_use]
pub(super) fn admit(entries: Vec<Entry>, times: Times, now: Timestamp) -> Admitted {
    let mut admitted = Admitted {
        entries: Vec::with_capacity(entries.len()),
        events: Vec::with_capacity(entries.len()),
        ..Admitted::default()
    };
    for entry in entries {
        match check(&entry, admitted.last_seq, times, now) {
            Ok(event) => {
                admitted.last_seq = entry.seq;
                admitted.events.push(event);
                admitted.entries.push(entry);
            }
            Err((kind, reason)) => {
                admitted.last_seq = admitted.last_seq.max(entry.seq);
                admitted.rejected.push(Rejection { seq: entry.seq, reason });
                admitted.reasons.push(kind);
            }
        }
    }
    admitted
}

fn check(
    entry: &Entry,
    last: Seq,
    times: Times,
    now: Timestamp,
) -> Result<Event, (Reject, String)> {
    if entry.seq <= last {
        let reason = format!("number {} does not ascend: it follows {last}", entry.seq);
        return Err((Reject::OutOfOrder, reason));
    }
    let event =
        decode_event(&entry.event).map_err(|refused| (Reject::Undecodable, refused.to_string()))?;
    if let Body::Finding(finding) = &event.body
        && (finding.rule.is_central() || finding.subject.is_of_no_node())
    {
        let reason = format!("{} of {} is not for a node to find", finding.rule, finding.subject);
        return Err((Reject::NotOfNode, reason));
    }
    let (age, ahead) = (now.since(event.observed_at), event.observed_at.since(now));
    if age > times.max_age {
        let reason =
            format!("observed {} ago, at most {} are taken", spoken(age), spoken(times.max_age));
        return Err((Reject::TooOld, reason));
    }
    if ahead > times.max_ahead {
        let reason = format!(
            "observed {} in the future, at most {} are taken: set the node's clock",
            spoken(ahead),
            spoken(times.max_ahead)
        );
        return Err((Reject::Future, reason));
    }
    Ok(event)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{at, entry};

    const TIMES: Times =
        Times { max_age: Duration::from_secs(600), max_ahead: Duration::from_secs(300) };

    fn check(entries: Vec<Entry>) -> Vec<(u64, String)> {
        let admitted = admit(entries, TIMES, at(1000));
        admitted.rejected.into_iter().map(|each| (each.seq.0, each.reason)).collect()
    }

    fn seen(seq: u64, second: u64) -> Entry {
        entry(seq, at(second), "raise xid gpu0")
    }

    #[test]
    fn the_limits_themselves_are_taken() {
        assert_eq!(check(vec![seen(1, 400), seen(2, 1300)]), []);
    }

    #[test]
    fn just_beyond_the_limits_is_refused_with_the_limit() {
        let told = check(vec![seen(1, 399), seen(2, 1301)]);
        assert_eq!(told[0], (1, "observed 10 min ago, at most 10 min are taken".to_owned()));
        assert!(told[1].1.ends_with("set the node's clock"), "{told:?}");
    }

    #[test]
    fn a_number_of_0_or_a_second_time_is_refused() {
        let told = check(vec![seen(0, 1000), seen(3, 1000), seen(3, 1000), seen(4, 1000)]);
        let numbers: Vec<u64> = told.iter().map(|(seq, _)| *seq).collect();
        assert_eq!(numbers, [0, 3]);
    }

    #[test]
    fn a_node_cannot_speak_of_what_only_the_aggregator_knows() {
        let told = check(vec![
            entry(1, at(1000), "raise node-lost node"),
            entry(2, at(1000), "raise xid service:chat"),
        ]);
        assert_eq!(told[0], (1, "node-lost of node is not for a node to find".to_owned()));
        assert_eq!(told[1], (2, "xid of service chat is not for a node to find".to_owned()));
    }

    #[test]
    fn what_is_refused_still_counts_as_taken_up() {
        let bad = Entry { seq: Seq(9), event: vec![0xff].into() };
        assert_eq!(admit(vec![seen(1, 1000), bad], TIMES, at(1000)).last_seq, Seq(9));
    }
}
