//! What was over comes again while its incident is still open: for the same cause, or for another. Pure.
//!
//! Had the finding been alone, its incident would be over by now, and what comes again would be held
//! against all that is open. So it is here: that it was there before speaks for its own incident, the
//! less the longer it was calm.

use gpuwarden_proto::event::Finding;
use gpuwarden_proto::incident::Member;
use gpuwarden_proto::time::{Timestamp, spoken};
use gpuwarden_proto::vocab::{NodeId, TieKind};

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
        if self.has_moved_on(node, place, &finding) {
            self.forget(node, &key);
            self.join(now, node, key, finding, touched);
        } else {
            self.again(now, node, &key, place, finding, touched);
        }
    }

    /// Whether something else than before explains a finding that begins again, or nothing does any
    /// more. What an incident began with, and what flaps, stays where it is.
    fn has_moved_on(&self, node: Option<&NodeId>, place: Place, finding: &Finding) -> bool {
        let calm = place.slot.filter(|slot| *slot > 0).and_then(|slot| {
            let member = self.member(place, slot).filter(|member| !member.flapping)?;
            Some(finding.raised_at.since(member.cleared_at?))
        });
        let Some(calm) = calm.filter(|calm| *calm > self.policy.quiet_period) else {
            return false;
        };
        let mut candidates = self.candidates(node, finding);
        if let Some(weight) = fade(SAME, calm, self.policy.reopen_within) {
            let text = || format!("the same again after {} of calm", spoken(calm));
            let own = candidates.iter().position(|each| each.incident == place.incident);
            let own = own.unwrap_or_else(|| {
                candidates.push(Candidate::new(place.incident));
                candidates.len() - 1
            });
            candidates[own].add(TieKind::SameSubject, weight, calm, text);
        }
        let sure = candidates.iter().filter(|each| each.reasons.score() >= ATTACH);
        sure.max_by_key(|each| each.rank()).is_none_or(|best| best.incident != place.incident)
    }

    fn member(&self, place: Place, slot: usize) -> Option<&Member> {
        self.cases.get(&place.incident)?.incident().members.get(slot).map(|member| &**member)
    }
}
