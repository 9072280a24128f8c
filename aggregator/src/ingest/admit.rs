//! Which events of a batch are taken. Pure. One bad event is refused by itself with its reason.

use std::time::Duration;

use gpuwarden_proto::convert::decode_event;
use gpuwarden_proto::event::Event;
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
