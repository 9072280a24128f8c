//! What was over comes again while its incident is still open: for the same cause, or for another. Pure.
//!
//! Had the finding been alone, its incident would be over by now, and what comes again would be held
//! against all that is open. So it is here: that it was there before speaks for its own incident, the
//! less the longer it was calm.

use gpuwarden_proto::event::Finding;
use gpuwarden_proto::incident::Member;
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::NodeId;

use super::candidate::Candidate;
use super::cause::fade;
use super::evidence::ATTACH;
use super::{State, Touched};
use crate::node::{Key, Place};

/// How sure it is that what comes again at once has the cause that it had.
const SAME: f64 = 0.99;

impl State {
    /// A finding whose incident is open begins again.
    pub(super) fn comes_back(
        &mut self,
        now: Timestamp,
        node: Option<&NodeId>,
        key: Key,
        place: Place,
        finding: Finding,
        touched: &mut Touched,
    ) {
        match self.moved_on(node, place, &finding) {
            Some(candidates) => {
                self.forget(node, &key);
                self.join_one_of(now, node, key, finding, candidates, touched);
            }
            None => self.again(now, node, &key, place, finding, touched),
        }
    }

    /// Where a finding that begins again may belong, when something else than before explains it, or
    /// nothing does any more. What an incident began with, and what flaps, stays where it is.
    fn moved_on(
        &self,
        node: Option<&NodeId>,
        place: Place,
        finding: &Finding,
    ) -> Option<Vec<Candidate>> {
        let slot = place.slot.filter(|slot| *slot > 0)?;
        let member = self.member(place, slot).filter(|member| !member.flapping)?;
        let calm = finding.raised_at.since(member.cleared_at?);
        if calm <= self.policy.quiet_period {
            return None;
        }
        let mut candidates = self.candidates(node, finding);
        let again = fade(SAME, calm, self.policy.reopen_within);
        // Each kind of evidence takes its share of the doubt that is left.
        let own = candidates.iter().find(|each| each.incident == place.incident);
        let own = own.map_or(0.0, |own| own.reasons.score());
        let own = 1.0 - (1.0 - own) * (1.0 - again.unwrap_or_default());
        let others = candidates.iter().filter(|each| each.incident != place.incident);
        let best = others.map(|each| each.reasons.score()).fold(0.0, f64::max);
        if own >= ATTACH && own >= best {
            return None;
        }
        // It is not to join anew where it was.
        candidates.retain(|each| each.incident != place.incident);
        Some(candidates)
    }

    fn member(&self, place: Place, slot: usize) -> Option<&Member> {
        self.cases.get(&place.incident)?.incident().members.get(slot).map(|member| &**member)
    }
}
