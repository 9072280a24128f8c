//! Which incident a new finding belongs to: attach it, open one, take others in, or part what has a
//! cause of its own.

use std::collections::BTreeSet;

use gpuwarden_proto::entity::{Entity, EntityKind};
use gpuwarden_proto::event::Finding;
use gpuwarden_proto::incident::Member;
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::{IncidentId, ModelName, NodeId, RuleId};

use super::blame;
use super::candidate::{Candidate, model_of};
use super::cause::{Clue, Nearness, explains};
use super::evidence::{ATTACH, Kind as Evidence, SUGGEST};
use super::{State, Touched};
use crate::classify::of_cause;
use crate::incident::{Because, Belongs, Case, Kind, member};
use crate::node::{Findings, Key, Place};

/// Incidents that are named as perhaps related to a new one.
const SUGGESTED_MAX: usize = 3;

impl State {
    /// Finds the incident for a finding that is not known, or opens one.
    pub(super) fn join(
        &mut self,
        now: Timestamp,
        node: Option<&NodeId>,
        key: Key,
        finding: Finding,
        touched: &mut Touched,
    ) {
        let candidates = self.candidates(node, &finding);
        self.join_one_of(now, node, key, finding, candidates, touched);
    }

    /// The same where it is known which incidents it may belong to.
    pub(super) fn join_one_of(
        &mut self,
        now: Timestamp,
        node: Option<&NodeId>,
        key: Key,
        finding: Finding,
        mut candidates: Vec<Candidate>,
        touched: &mut Touched,
    ) {
        let Some(known) = self.ledger(node).map(Findings::len) else { return };
        let room = node.map_or(self.policy.outside_max, |_| self.policy.findings_max);
        if known >= room {
            self.dropped += 1;
            return;
        }
        if finding.rule == RuleId::NodeLost {
            // What is older than the silence has a cause of its own.
            candidates.retain(|each| each.upstream.is_some() || each.reasons.has(Evidence::Group));
        }
        // What it is an effect of counts before what it explains: that is taken in thereafter.
        let effect = |each: &Candidate| each.upstream.is_none() && each.reasons.score() >= ATTACH;
        candidates.sort_by_key(|each| std::cmp::Reverse((effect(each), each.rank())));
        let (rule, model) = (finding.rule, model_of(&finding.subject).cloned());
        let groups = self.groups_of(node, finding.rule, finding.raised_at);
        let sure = candidates.first().is_some_and(|best| best.reasons.score() >= ATTACH);
        let id = match sure.then(|| candidates.remove(0)) {
            Some(best) if self.is_local_cause(node, &best) => {
                self.open_beside(now, node, key, &finding, &best, touched)
            }
            Some(best) => self.add(now, node, key, finding, &best, touched),
            None => match self.reopenable(now, node, &key) {
                Some(before) => self.reopen(now, node, &key, finding, before, touched),
                None => {
                    let id = self.open_for(now, node, key, finding, touched);
                    self.suggest(now, id, &candidates);
                    id
                }
            },
        };
        let Some(id) = id else { return };
        self.absorb(now, node, id, &candidates, touched);
        let id = self.unite(now, id, model.as_ref(), &candidates, touched);
        self.gather(now, id, rule, groups, touched);
        self.note_burden(Some(id), rule, model.as_ref());
        self.unranked.insert(id);
    }

    /// Whether the finding explains what its own node has of an incident that other nodes are part
    /// of: what one node has is not the cause of what all have.
    fn is_local_cause(&self, node: Option<&NodeId>, best: &Candidate) -> bool {
        let cause = best.reasons.strongest().is_some_and(|piece| piece.kind == Evidence::Cause);
        let case = self.cases.get(&best.incident);
        let elsewhere = |case: &Case| {
            case.incident().members.iter().any(|m| m.node.is_some() && m.node.as_ref() != node)
        };
        cause && !best.reasons.has(Evidence::Group) && case.is_some_and(elsewhere)
    }

    /// Opens an incident for a cause on one node, and takes along what it surely explains of an
    /// incident that other nodes are part of.
    fn open_beside(
        &mut self,
        now: Timestamp,
        node: Option<&NodeId>,
        key: Key,
        finding: &Finding,
        beside: &Candidate,
        touched: &mut Touched,
    ) -> Option<IncidentId> {
        let id = self.open_for(now, node, key, finding.clone(), touched)?;
        let windows = self.policy.windows;
        let taken = |member: &Member| {
            let link = explains(Clue::of(node, finding), Clue::from(member), windows);
            // A node that is gone takes all with it that it had.
            let near = |nearness| nearness >= Nearness::Gpu || finding.rule == RuleId::NodeLost;
            link.is_some_and(|link| near(link.nearness) && link.weight >= ATTACH)
        };
        let case = self.cases.get_mut(&beside.incident)?;
        let slots: BTreeSet<usize> = (0..case.incident().members.len())
            .filter(|s| taken(&case.incident().members[*s]))
            .collect();
        if slots.is_empty() || slots.len() == case.incident().members.len() {
            return Some(id);
        }
        let reason = beside.reasons.to_string();
        let members = case.part(&slots, id, &reason, now);
        if case.active() == 0 {
            self.quiet.insert(beside.incident);
        }
        self.replace(beside.incident);
        self.find_anew(beside.incident);
        touched.change(beside.incident);
        self.unranked.insert(beside.incident);
        self.hand_over(now, beside.incident, id, members, &reason, touched);
        Some(id)
    }

    fn add(
        &mut self,
        now: Timestamp,
        node: Option<&NodeId>,
        key: Key,
        finding: Finding,
        best: &Candidate,
        touched: &mut Touched,
    ) -> Option<IncidentId> {
        let id = best.incident;
        let case = self.cases.get_mut(&id)?;
        let (raised_at, subject) = (finding.raised_at, finding.subject.clone());
        let rule = finding.rule;
        let slot = case.join(member(node.cloned(), finding, (&best.reasons).into()), now);
        touched.change(id);
        self.quiet.remove(&id);
        let place = Place { incident: id, slot, active: true, raised_at, settled: false };
        self.keep(node, key, place);
        self.review_replicas(node, rule, &subject);
        if let Some(slot) = slot {
            self.note_member(id, slot);
            self.grade(now, id, slot, touched);
            if best.upstream.is_some() && !best.reasons.has(Evidence::Group) {
                self.lead(now, id, slot);
            }
        }
        if let Some(case) = self.cases.get_mut(&id) {
            case.reclassify(now);
        }
        Some(id)
    }

    /// Makes a member the likely cause.
    pub(super) fn lead(&mut self, now: Timestamp, id: IncidentId, slot: usize) {
        let Some(case) = self.cases.get_mut(&id) else { return };
        let kind = of_cause(&case.incident().members[slot]);
        case.promote(slot, kind, now);
        self.note_lead(id);
        self.replace_slots(id, &[0, slot]);
    }

    /// Other incidents that the newcomer explains become part of its own.
    fn absorb(
        &mut self,
        now: Timestamp,
        node: Option<&NodeId>,
        into: IncidentId,
        others: &[Candidate],
        touched: &mut Touched,
    ) {
        let explained = |each: &&Candidate| {
            each.upstream.is_some() && each.incident != into && each.reasons.score() >= ATTACH
        };
        for other in others.iter().filter(explained) {
            let Some(case) = self.cases.get(&other.incident) else { continue };
            let own = |member: &Member| member.node.is_none() || member.node.as_ref() == node;
            let here = case.incident().members.iter().all(|member| own(member));
            let may = self.may_unite(other.incident, into);
            let far =
                other.reasons.has(Evidence::Dependency) || other.reasons.has(Evidence::Overload);
            if (here || far) && may && case.scope().is_none() {
                self.merge(now, other.incident, into, &other.reasons.to_string(), touched);
            }
        }
    }

    /// The trouble of a model as a whole becomes part of that of its service, or of a service that it
    /// asks, once enough of both is seen.
    fn unite(
        &mut self,
        now: Timestamp,
        id: IncidentId,
        model: Option<&ModelName>,
        others: &[Candidate],
        touched: &mut Touched,
    ) -> IncidentId {
        let first = self.cases.get(&id).map(|case| &case.incident().members[0].subject);
        let whole = model.is_some() && first.and_then(model_of) == model;
        let tied = |each: &&Candidate| {
            let far = each.reasons.has(Evidence::Service) || each.reasons.has(Evidence::Dependency);
            far && each.incident != id
                && each.reasons.score() >= ATTACH
                && self.cases.contains_key(&each.incident)
                && self.may_unite(id, each.incident)
        };
        let Some(other) = others.iter().find(tied).filter(|_| whole) else { return id };
        let (from, into) = match other.reasons.has(Evidence::Dependency) {
            true => (id, other.incident),
            false => (id.max(other.incident), id.min(other.incident)),
        };
        self.merge(now, from, into, &other.reasons.to_string(), touched);
        into
    }

    /// One incident goes on as part of another.
    pub(super) fn merge(
        &mut self,
        now: Timestamp,
        from: IncidentId,
        into: IncidentId,
        reason: &str,
        touched: &mut Touched,
    ) {
        let Some(case) = self.cases.get_mut(&from) else { return };
        let overflow = case.overflow();
        let members = case.merge_into(into, reason, now);
        self.merged.note(from, into);
        if let Some(case) = self.cases.get_mut(&into) {
            case.take_overflow(overflow);
        }
        self.hand_over(now, from, into, members, reason, touched);
        self.retire(from, touched);
        self.unranked.insert(into);
        self.burdens.review(into);
    }

    fn hand_over(
        &mut self,
        now: Timestamp,
        from: IncidentId,
        into: IncidentId,
        members: Vec<Member>,
        reason: &str,
        touched: &mut Touched,
    ) {
        let severity = self.cases.get(&from).map(|case| {
            let incident = case.incident();
            (incident.severity, incident.severity_reason.clone())
        });
        let whole = self.cases.get(&from).is_some_and(|case| case.incident().merged_into.is_some());
        let Some(case) = self.cases.get_mut(&into) else { return };
        case.remark(Kind::Merged, format!("takes in {from}: {reason}"), now);
        // What is parted takes no more than its own urgency along.
        if let Some((severity, ground)) = severity.filter(|_| whole) {
            case.raise(severity, || ground, now);
        }
        for mut member in members {
            let (key, node) = ((member.rule, member.subject.identity()), member.node.clone());
            member.reason = format!("{} (from {from})", member.reason);
            let Some(case) = self.cases.get_mut(&into) else { return };
            let (active, raised_at) = (member.cleared_at.is_none(), member.raised_at);
            let slot = case.join(member, now);
            let place = Place { incident: into, slot, active, raised_at, settled: false };
            self.resettle(node.as_ref(), key, place);
            if let Some(slot) = slot {
                self.note_member(into, slot);
                self.grade(now, into, slot, touched);
            }
        }
        self.quiet.remove(&into);
        if self.cases.get(&into).is_some_and(|case| case.active() == 0) {
            self.quiet.insert(into);
        }
        touched.change(into);
    }

    fn open_for(
        &mut self,
        now: Timestamp,
        node: Option<&NodeId>,
        key: Key,
        finding: Finding,
        touched: &mut Touched,
    ) -> Option<IncidentId> {
        if self.cases.len() >= self.policy.open_max {
            self.dropped += 1;
            return None;
        }
        let id = IncidentId(self.next_id);
        self.next_id += 1;
        let first = member(node.cloned(), finding, Belongs::first());
        let (rule, raised_at, subject) = (first.rule, first.raised_at, first.subject.clone());
        let place = Place { incident: id, slot: Some(0), active: true, raised_at, settled: false };
        self.keep(node, key, place);
        self.review_replicas(node, rule, &subject);
        let (severity, ground) = self.assess(&first);
        let severity = Because { what: severity, reason: ground.to_string() };
        let kind = of_cause(&first);
        let case = Case::open(id, first, kind, severity, self.policy.limits, now);
        self.cases.insert(id, case);
        self.note_member(id, 0);
        touched.opened(id);
        Some(id)
    }

    /// Says on a new incident which others it may belong to.
    fn suggest(&mut self, now: Timestamp, id: Option<IncidentId>, candidates: &[Candidate]) {
        let Some(case) = id.and_then(|id| self.cases.get_mut(&id)) else { return };
        let near = candidates.iter().filter(|each| each.reasons.score() >= SUGGEST);
        for each in near.take(SUGGESTED_MAX) {
            let (other, percent) = (each.incident, each.reasons.score() * 100.0);
            let text = format!("may belong to {other} ({percent:.0} %): {}", each.reasons);
            case.remark(Kind::Related, text, now);
        }
    }

    /// Makes a member findable from other nodes.
    pub(super) fn note_member(&mut self, id: IncidentId, slot: usize) {
        if slot == 0 {
            self.note_lead(id);
        }
        let Some(case) = self.cases.get(&id) else { return };
        let member = &case.incident().members[slot];
        self.index.trouble(id, member);
        let changed = self.changed_before(Clue::from(member));
        let models: BTreeSet<&ModelName> =
            changed.iter().map(|(model, _)| *model).chain(model_of(&member.subject)).collect();
        let followed = self.recorded_before(Clue::from(member));
        let entities: Vec<Entity> = models
            .into_iter()
            .map(|model| Entity::fleet(EntityKind::Model, model.as_str()))
            .chain(followed.iter().map(|each| blame::entity(&each.change)))
            .collect();
        let own = model_of(&member.subject).cloned();
        let entities = entities.into_iter().chain(self.names_to_find(member)).collect::<Vec<_>>();
        entities.into_iter().for_each(|entity| self.index.note(id, entity));
        let Some(model) = &own else { return };
        for service in self.graph.services(model) {
            self.index.note(id, Entity::fleet(EntityKind::Service, service));
        }
    }

    /// Makes an incident findable by the members that it has left.
    pub(super) fn find_anew(&mut self, id: IncidentId) {
        self.index.drop(id);
        let Some(case) = self.cases.get(&id) else { return };
        let scope = case.scope().map(|scope| scope.entity.clone());
        scope.into_iter().for_each(|group| self.index.note(id, group));
        let members = case.incident().members.clone();
        for (slot, member) in members.iter().enumerate() {
            self.note_member(id, slot);
            for group in self.groups_of(member.node.as_ref(), member.rule, member.raised_at) {
                self.index.note(id, group);
            }
        }
    }

    /// Renews where the members of an incident are to be found.
    pub(super) fn replace(&mut self, id: IncidentId) {
        let members = self.cases.get(&id).map_or(0, |case| case.incident().members.len());
        self.replace_slots(id, &(0..members).collect::<Vec<_>>());
    }

    fn replace_slots(&mut self, id: IncidentId, slots: &[usize]) {
        let Some(case) = self.cases.get(&id) else { return };
        for slot in slots {
            let Some(member) = case.incident().members.get(*slot) else { continue };
            let key = (member.rule, member.subject.identity());
            let findings = match &member.node {
                Some(node) => self.nodes.get_mut(node).map(|known| &mut known.findings),
                None => Some(&mut self.outside),
            };
            let place = findings.and_then(|findings| findings.get_mut(&key));
            if let Some(place) = place.filter(|place| place.incident == id) {
                place.slot = Some(*slot);
            }
        }
    }
}
