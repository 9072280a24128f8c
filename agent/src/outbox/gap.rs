//! Lost events, counted until they can be told. Pure.

use bytes::Bytes;
use gpuwarden_proto::convert::{decode_event, encode_event};
use gpuwarden_proto::event::{Body, Event, Gap};
use gpuwarden_proto::time::Timestamp;

/// The longest reason that is kept, in bytes: merged gaps must not grow without end.
const REASON_MAX_BYTES: usize = 400;

/// Events lost and not yet told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Lost {
    count: u64,
    first_seq: u64,
    last_seq: u64,
    reason: String,
}

impl Lost {
    /// Whether there is nothing to tell.
    pub(crate) fn is_empty(&self) -> bool {
        self.reason.is_empty()
    }

    /// How many events.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// Counts events that never had a number.
    pub(crate) fn unnumbered(&mut self, count: u64, reason: &str) {
        self.merge(&Gap { count, first_seq: 0, last_seq: 0, reason: reason.to_owned() });
    }

    /// Counts what another gap told, so that one gap can stand for both.
    pub(crate) fn merge(&mut self, gap: &Gap) {
        self.count = self.count.saturating_add(gap.count);
        if gap.first_seq != 0 {
            let first = if self.first_seq == 0 { gap.first_seq } else { self.first_seq };
            self.first_seq = first.min(gap.first_seq);
            self.last_seq = self.last_seq.max(gap.last_seq);
        }
        self.add_reason(&gap.reason);
    }

    fn add_reason(&mut self, reason: &str) {
        if self.reason.is_empty() {
            self.reason = cut(reason).to_owned();
        } else if !self.reason.contains(reason)
            && self.reason.len() + reason.len() + 2 <= REASON_MAX_BYTES
        {
            self.reason.push_str("; ");
            self.reason.push_str(reason);
        }
    }

    /// The gap to tell.
    pub(crate) fn gap(&self) -> Gap {
        Gap {
            count: self.count,
            first_seq: self.first_seq,
            last_seq: self.last_seq,
            reason: self.reason.clone(),
        }
    }

    /// The gap as an encoded event.
    pub(crate) fn encode(&self, now: Timestamp) -> Bytes {
        encode_event(&Event { observed_at: now, body: Body::Gap(self.gap()) })
    }
}

/// The gap that an encoded event tells, if it is one.
pub(crate) fn decode(event: &[u8]) -> Option<Gap> {
    match decode_event(event).ok()?.body {
        Body::Gap(gap) => Some(gap),
        Body::Finding(_) | Body::Change(_) => None,
    }
}

/// As much of a reason as is kept.
pub(crate) fn cut(reason: &str) -> &str {
    &reason[..reason.floor_char_boundary(REASON_MAX_BYTES)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gap(count: u64, first_seq: u64, last_seq: u64, reason: &str) -> Gap {
        Gap { count, first_seq, last_seq, reason: reason.to_owned() }
    }

    #[test]
    fn merged_gaps_count_and_span_both() {
        let mut lost = Lost::default();
        lost.merge(&gap(3, 5, 7, "full"));
        lost.merge(&gap(4, 8, 11, "full"));
        assert_eq!(lost.gap(), gap(7, 5, 11, "full"));
    }

    #[test]
    fn a_gap_without_numbers_leaves_the_numbers_of_another_alone() {
        let mut lost = Lost::default();
        lost.unnumbered(2, "busy");
        lost.merge(&gap(1, 9, 9, "full"));
        assert_eq!(lost.gap(), gap(3, 9, 9, "busy; full"));
    }

    #[test]
    fn reasons_do_not_grow_without_end() {
        let mut lost = Lost::default();
        for n in 0..1_000 {
            lost.unnumbered(1, &format!("reason ä {n}"));
        }
        lost.unnumbered(1, &"ä".repeat(4_000));
        assert_eq!(lost.count(), 1_001);
        assert!(lost.gap().reason.len() <= REASON_MAX_BYTES);
    }

    #[test]
    fn a_gap_of_unknown_size_is_still_something_to_tell() {
        let mut lost = Lost::default();
        lost.unnumbered(0, "the file was broken");
        assert!(!lost.is_empty());
        let told = decode(&lost.encode(Timestamp::from_unix_s(1)));
        assert_eq!(told, Some(gap(0, 0, 0, "the file was broken")));
    }
}
