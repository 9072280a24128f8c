//! Findings whose incident is known: newer numbers, over, again.

use gpuwarden_proto::event::{Finding, Subject};
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::{IncidentId, NodeId, Phase, RuleId};

use super::{State, Touched};
use crate::incident::Renewed;
use crate::node::{Key, Place};

impl State {
    pub(super) fn finding(
        &mut self,
        now: Timestamp,
        node: Option<&NodeId>,
        mut finding: Finding,
        observed_at: Timestamp,
        backlog: bool,
        touched: &mut Touched,
    ) {
        // Nothing begins after it was seen; a beginning that was not told is when it was seen.
        finding.raised_at = match finding.raised_at {
            unknown if unknown == Timestamp::default() => observed_at,
            told => told.min(observed_at),
        };
        if let Some(node) = node.filter(|_| finding.gpus.is_empty()) {
            finding.gpus = self.gpus_of(node, &finding.subject);
        }
        if let Some(node) = node {
            finding.gpus = self.with_parents(node, &finding.subject, &finding.gpus);
        }
        let key: Key = (finding.rule, finding.subject.identity());
        let place = self.ledger(node).and_then(|findings| findings.get(&key)).copied();
        let place = place.map(|place| self.at_home(place));
        let place = place.filter(|place| place.settled || self.cases.contains_key(&place.incident));
        match (place, finding.phase) {
            (Some(place), _) if place.settled => {
                self.settled(now, node, &key, place, finding, touched);
            }
            (_, Phase::Cleared) if backlog => {
                self.ended_before(now, node, &key, observed_at, touched);
            }
            // The snapshot has said more of it already.
            (Some(_), _) if backlog => {}
            (Some(_), Phase::Cleared) => self.clear(now, node, &key, observed_at, "", touched),
            (Some(place), Phase::Raised | Phase::Updated) if place.active => {
                self.refresh(now, place, finding, touched);
            }
            (Some(place), Phase::Raised | Phase::Updated) => {
                self.comes_back(now, node, key, place, finding, touched);
            }
            (None, Phase::Cleared) => {}
            (None, Phase::Raised | Phase::Updated) => {
                let late = node.filter(|_| backlog);
                let over_at = late.and_then(|node| self.over_before_told(node, &finding));
                match late.zip(over_at) {
                    Some((node, over_at)) => self.late(now, node, finding, over_at, touched),
                    None => self.join(now, node, key, finding, touched),
                }
            }
        }
    }

    /// The same place, where its incident went on as another. What did not fit into an incident that
    /// is over, and was active all the same, is settled like its members.
    pub(super) fn at_home(&self, mut place: Place) -> Place {
        place.incident = self.merged.home(place.incident);
        place.settled |= place.active && !self.cases.contains_key(&place.incident);
        place
    }

    /// A finding whose incident was resolved by a person's word: it counts only when raised anew.
    fn settled(
        &mut self,
        now: Timestamp,
        node: Option<&NodeId>,
        key: &Key,
        place: Place,
        finding: Finding,
        touched: &mut Touched,
    ) {
        let anew = finding.phase != Phase::Cleared && finding.raised_at > place.raised_at;
        if finding.phase == Phase::Cleared || anew {
            self.forget(node, key);
        }
        if anew {
            self.join(now, node, key.clone(), finding, touched);
        }
    }

    fn refresh(&mut self, now: Timestamp, place: Place, finding: Finding, touched: &mut Touched) {
        let Some(case) = self.cases.get_mut(&place.incident) else { return };
        let Some(slot) = place.slot else { return };
        let graded_by_numbers = finding.rule == RuleId::ErrorRateHigh;
        let renewed = case.refresh(slot, finding);
        if renewed == Renewed::Nothing {
            return;
        }
        touched.refreshed.insert(place.incident);
        let regraded = renewed == Renewed::Grade;
        if regraded {
            touched.change(place.incident);
        }
        if regraded || graded_by_numbers {
            self.grade(now, place.incident, slot, touched);
        }
    }

    pub(super) fn again(
        &mut self,
        now: Timestamp,
        node: Option<&NodeId>,
        key: &Key,
        place: Place,
        finding: Finding,
        touched: &mut Touched,
    ) {
        let Some(case) = self.cases.get_mut(&place.incident) else { return };
        let raised_at = finding.raised_at;
        if case.again(place.slot, finding, now) {
            touched.change(place.incident);
        } else {
            touched.refreshed.insert(place.incident);
        }
        if case.is_flapping() {
            self.flapping.insert(place.incident);
        }
        if place.slot == Some(0) {
            self.note_lead(place.incident);
        }
        self.quiet.remove(&place.incident);
        self.keep(node, key.clone(), Place { active: true, raised_at, ..place });
        self.review_replicas(node, key.0, &key.1);
        if let Some(slot) = place.slot {
            self.grade(now, place.incident, slot, touched);
        }
    }

    pub(super) fn clear(
        &mut self,
        now: Timestamp,
        node: Option<&NodeId>,
        key: &Key,
        at: Timestamp,
        why: &str,
        touched: &mut Touched,
    ) {
        let Some(findings) = self.ledger_mut(node) else { return };
        let Some(place) = findings.get_mut(key).filter(|place| place.active) else { return };
        place.active = false;
        let place = *place;
        let Place { incident, slot, settled, .. } = self.at_home(place);
        if settled {
            self.forget(node, key);
            return;
        }
        self.review_replicas(node, key.0, &key.1);
        let Some(case) = self.cases.get_mut(&incident) else { return };
        if case.clear(slot, at, why, now) {
            touched.change(incident);
        } else {
            touched.refreshed.insert(incident);
        }
        if case.active() == 0 {
            self.quiet.insert(incident);
        }
        if slot == Some(0) {
            self.note_lead(incident);
        }
    }

    /// The incident that holds a finding of no node, active or over, unless a person has closed it.
    #[must_use]
    pub fn holder(&self, rule: RuleId, subject: &Subject) -> Option<IncidentId> {
        let place = self.ledger(None)?.get(&(rule, subject.identity()))?;
        let place = self.at_home(*place);
        let open = !place.settled && self.cases.contains_key(&place.incident);
        open.then_some(place.incident)
    }

    /// Whether a finding of no node that was told before changes anything when it is told again with
    /// the same words.
    #[must_use]
    pub fn is_news(&self, finding: &Finding) -> bool {
        let key = (finding.rule, finding.subject.identity());
        let place = self.ledger(None).and_then(|findings| findings.get(&key)).copied();
        match place.map(|place| self.at_home(place)) {
            None => true,
            Some(place) if place.settled => finding.raised_at > place.raised_at,
            Some(place) => !self.cases.contains_key(&place.incident),
        }
    }

    /// Ends a finding of no node that is over without its sender's word.
    pub fn lapse(
        &mut self,
        now: Timestamp,
        finding: &Finding,
        at: Timestamp,
        why: &str,
        touched: &mut Touched,
    ) {
        let key = (finding.rule, finding.subject.identity());
        self.clear(now, None, &key, at, why, touched);
    }
}
