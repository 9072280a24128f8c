//! When enough parts of one thing fail together, the thing has failed: racks, zones, clusters, drivers.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use gpuwarden_proto::entity::{Entity, EntityKind};
use gpuwarden_proto::event::Finding;
use gpuwarden_proto::incident::Member;
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::{IncidentId, IncidentType, NodeId, RuleId};

use super::candidate::{Candidate, Candidates};
use super::cause::fade;
use super::evidence::Kind;
use super::{State, Touched};
use crate::classify::type_of;
use crate::incident::{Case, Scope};

/// Parts that fail within so long fail together.
const TOGETHER: Duration = Duration::from_secs(60);
/// A rack that is cooled no longer does not warm up everywhere at once.
const TOGETHER_WARMING: Duration = Duration::from_secs(180);
/// Nodes with a new driver come one after another.
const TOGETHER_CHANGED: Duration = Duration::from_secs(45 * 60);
/// Of a rack or a driver, so many nodes.
const NODES_MIN: usize = 3;
/// Of a zone, so many racks. A rack is not called failed lightly, so that two are enough.
const RACKS_MIN: usize = 2;
/// Of a cluster, so many zones.
const ZONES_MIN: usize = 2;
/// So long what failed as a whole takes in its parts.
const GROWTH: Duration = Duration::from_secs(30 * 60);

impl State {
    /// By the rack, the zone, the cluster or the driver version that has failed as a whole.
    pub(super) fn grouped(&self, node: &NodeId, finding: &Finding, found: &mut Candidates) {
        let cluster = self.graph.group_of(node, EntityKind::Cluster);
        let cluster = cluster.filter(|_| finding.rule == RuleId::NodeLost);
        let groups = self.groups_of(Some(node), finding.rule, finding.raised_at);
        for group in groups.into_iter().chain(cluster) {
            for id in self.index.of(&group) {
                let scope = self.cases.get(&id).and_then(Case::scope);
                let Some(scope) = scope.filter(|scope| scope.entity == group) else { continue };
                if !self.is_still_failed(id, scope) {
                    continue;
                }
                let window = match alike(scope.rule, finding.rule) {
                    true => GROWTH,
                    false if follows(scope.rule, finding.rule) => TOGETHER_WARMING,
                    false => continue,
                };
                let apart =
                    finding.raised_at.since(scope.at).max(scope.at.since(finding.raised_at));
                if let Some(weight) = fade(0.95, apart, window) {
                    let text = || format!("{node} is part of {group}, which has failed as a whole");
                    let candidate = found.entry(id).or_insert_with(|| Candidate::new(id));
                    candidate.add(Kind::Group, weight, apart, text);
                }
            }
        }
    }

    /// Whether anything of what failed as a whole is not well again.
    fn is_still_failed(&self, id: IncidentId, scope: &Scope) -> bool {
        let members = self.cases.get(&id).into_iter().flat_map(|case| &case.incident().members);
        let mut active = members.filter(|member| member.cleared_at.is_none());
        active.any(|m| m.rule == scope.rule || alike(m.rule, scope.rule))
    }

    /// Things of the fleet whose failure as a whole would explain this finding, the smallest first. A
    /// cluster is looked at only when a zone of it has failed, so that a storm does not look at all of
    /// it for each node.
    pub(super) fn groups_of(
        &self,
        node: Option<&NodeId>,
        rule: RuleId,
        at: Timestamp,
    ) -> Vec<Entity> {
        let Some(node) = node else { return Vec::new() };
        let of = |kind| self.graph.group_of(node, kind);
        if matches!(rule, RuleId::ThermalThrottle | RuleId::PowerBrake) {
            return of(EntityKind::Rack).into_iter().collect();
        }
        if rule == RuleId::NodeLost {
            return [EntityKind::Rack, EntityKind::Zone].into_iter().filter_map(of).collect();
        }
        let changed = || self.changes.of_driver(node, at);
        if type_of(rule) == IncidentType::GpuHardware && changed().is_some() {
            return of(EntityKind::Driver).into_iter().collect();
        }
        Vec::new()
    }

    /// Registers an incident for the groups of its newest member, and calls each group failed for
    /// which that was enough.
    pub(super) fn gather(
        &mut self,
        now: Timestamp,
        id: IncidentId,
        rule: RuleId,
        groups: Vec<Entity>,
        touched: &mut Touched,
    ) {
        for group in groups {
            // It may have become part of another with the group before.
            let id = self.merged.home(id);
            let own = self.cases.get(&id).and_then(Case::scope).map(|scope| scope.entity.kind);
            self.index.note(id, group.clone());
            let scoped = |id: &IncidentId| {
                let scope = self.cases.get(id).and_then(Case::scope);
                scope.is_some_and(|scope| scope.entity == group && alike(scope.rule, rule))
            };
            let covered = match own {
                Some(EntityKind::Cluster) => true,
                Some(EntityKind::Zone) => group.kind != EntityKind::Cluster,
                _ => false,
            };
            if covered || self.index.all(&group).any(|each| scoped(&each)) {
                continue;
            }
            let (parts, incidents) = self.failing(&group, rule, id);
            if parts >= self.enough(&group) {
                self.call_failed(now, &group, rule, &incidents, parts, touched);
            }
        }
    }

    /// How many parts of a thing must fail together.
    fn enough(&self, group: &Entity) -> usize {
        match group.kind {
            EntityKind::Cluster => ZONES_MIN,
            EntityKind::Zone => RACKS_MIN,
            _ => NODES_MIN.min(self.graph.size(group).max(2)),
        }
    }

    /// Parts of a thing that failed together with the newest member of an incident, and the
    /// incidents that this is told in.
    fn failing(
        &self,
        group: &Entity,
        rule: RuleId,
        newest: IncidentId,
    ) -> (usize, Vec<IncidentId>) {
        let at = self.raised_last(newest, group, rule);
        let mut parts: BTreeSet<&str> = BTreeSet::new();
        let mut incidents = Vec::new();
        for id in self.told_of(group) {
            let Some(case) = self.cases.get(&id) else { continue };
            let part = part_of(group.kind);
            let failed = match case.scope() {
                Some(scope)
                    if Some(scope.entity.kind) == part.map(|(kind, _)| kind)
                        && alike(scope.rule, rule) =>
                {
                    let within = part.map_or(TOGETHER, |(_, within)| within);
                    let soon = scope.at.since(at).max(at.since(scope.at)) <= within;
                    soon.then(|| parts.insert(&scope.entity.name)).is_some()
                }
                _ => {
                    let members = case.incident().members.iter().enumerate();
                    // What comes and goes since long before is another matter.
                    let opened_at = case.incident().opened_at;
                    let since = |(slot, member): &(usize, &Arc<Member>)| match slot {
                        0 => member.raised_at.min(opened_at),
                        _ => member.raised_at,
                    };
                    let together = members
                        .filter(|each| self.speaks_for(group, rule, (each.1, since(each)), at));
                    let nodes = together.filter_map(|(_, member)| member.node.as_ref());
                    let nodes: Vec<&str> = nodes.map(NodeId::as_str).collect();
                    // A node is no part of a zone by itself, but goes with it.
                    if part.is_none() {
                        parts.extend(&nodes);
                    }
                    !nodes.is_empty()
                }
            };
            if failed {
                incidents.push(id);
            }
        }
        (parts.len(), incidents)
    }

    /// Incidents that tell of a thing: of a cluster, those of its zones.
    fn told_of(&self, group: &Entity) -> BTreeSet<IncidentId> {
        let zones = match group.kind {
            EntityKind::Cluster => self.view().holds(group),
            _ => Vec::new(),
        };
        let all = std::iter::once(group).chain(&zones);
        all.flat_map(|each| self.index.all(each)).collect()
    }

    fn raised_last(&self, id: IncidentId, group: &Entity, rule: RuleId) -> Timestamp {
        let members = self.cases.get(&id).into_iter().flat_map(|case| &case.incident().members);
        let own = members.filter(|member| alike(member.rule, rule) && self.is_part(group, member));
        own.map(|member| member.raised_at).max().unwrap_or_default()
    }

    /// Whether a member is the kind of failure that the group's own failure looks like.
    fn speaks_for(
        &self,
        group: &Entity,
        rule: RuleId,
        (member, since): (&Member, Timestamp),
        at: Timestamp,
    ) -> bool {
        let apart = since.since(at).max(at.since(since));
        let fits = match group.kind {
            EntityKind::Driver => {
                apart <= TOGETHER_CHANGED
                    && type_of(member.rule) == IncidentType::GpuHardware
                    && self.changed_driver(member)
            }
            _ if rule == RuleId::ThermalThrottle => apart <= TOGETHER_WARMING,
            _ => apart <= TOGETHER,
        };
        fits && alike(member.rule, rule) && self.is_part(group, member)
    }

    fn changed_driver(&self, member: &Member) -> bool {
        let changed = |node| self.changes.of_driver(node, member.raised_at).is_some();
        member.node.as_ref().is_some_and(changed)
    }

    /// Whether a member is on a node that belongs to a thing of the fleet.
    pub(super) fn is_part(&self, group: &Entity, member: &Member) -> bool {
        member.node.as_ref().is_some_and(|node| self.graph.holds(group, node))
    }

    /// The thing has failed as a whole: what its parts have is one incident, the oldest.
    fn call_failed(
        &mut self,
        now: Timestamp,
        group: &Entity,
        rule: RuleId,
        incidents: &[IncidentId],
        parts: usize,
        touched: &mut Touched,
    ) {
        let (before, rule_of_all) = self.failed_before(group, rule, incidents);
        let incidents: BTreeSet<IncidentId> = incidents.iter().copied().chain(before).collect();
        let Some(into) = incidents.first().copied() else { return };
        let what = match group.kind {
            EntityKind::Cluster => "zones",
            EntityKind::Zone => "racks",
            _ => "nodes",
        };
        let reason = format!("{parts} {what} of {group} failed together");
        let others = incidents.into_iter().filter(|id| *id != into);
        let others: Vec<IncidentId> = others.filter(|id| self.may_unite(*id, into)).collect();
        for from in others {
            self.merge(now, from, into, &reason, touched);
        }
        if let Some(case) = self.cases.get_mut(&into) {
            case.widen(group.clone(), rule_of_all, &reason, now);
        }
        // A part may have been known as the effect of something smaller.
        let slot = self.cases.get(&into).and_then(|case| {
            let members = &case.incident().members;
            let own = |m: &Arc<Member>| self.speaks_for(group, rule, (m, m.raised_at), m.raised_at);
            members.iter().position(own)
        });
        if let Some(slot) = slot.filter(|slot| *slot > 0) {
            self.lead(now, into, slot);
        }
        self.index.note(into, group.clone());
        if let Some(larger) = self.graph.larger(group).filter(|_| rule == RuleId::NodeLost) {
            self.gather(now, into, rule, vec![larger], touched);
        }
        touched.change(into);
        self.unranked.insert(into);
    }
}

impl State {
    /// The incident in which the same thing is known to have failed shortly before or after in another
    /// way that goes with this one, and what the failure of it all is then: that it is lost counts for
    /// more than that it was slowed.
    fn failed_before(
        &self,
        group: &Entity,
        rule: RuleId,
        incidents: &[IncidentId],
    ) -> (Option<IncidentId>, RuleId) {
        let began = incidents.iter().map(|id| self.raised_last(*id, group, rule)).max();
        let at = began.unwrap_or_default();
        let scope = |id: &IncidentId| self.cases.get(id).and_then(Case::scope);
        let goes_with = |id: &IncidentId| {
            scope(id).is_some_and(|scope| {
                let apart = scope.at.since(at).max(at.since(scope.at));
                scope.entity == *group && follows(scope.rule, rule) && apart <= TOGETHER_WARMING
            })
        };
        match self.index.all(group).find(goes_with) {
            Some(id) => (Some(id), RuleId::NodeLost),
            None => (None, rule),
        }
    }
}

/// What a larger thing is made of, and within how long so many of these must fail; `None` for what is
/// made of nodes.
const fn part_of(kind: EntityKind) -> Option<(EntityKind, Duration)> {
    match kind {
        EntityKind::Cluster => {
            Some((EntityKind::Zone, Duration::from_secs(3 * TOGETHER.as_secs())))
        }
        EntityKind::Zone => Some((EntityKind::Rack, Duration::from_secs(2 * TOGETHER.as_secs()))),
        _ => None,
    }
}

/// Whether two failures of one whole are one after the other: what is slowed for want of power or of
/// cold air may be gone soon.
fn follows(a: RuleId, b: RuleId) -> bool {
    let slowed = |rule| matches!(rule, RuleId::ThermalThrottle | RuleId::PowerBrake);
    (slowed(a) && b == RuleId::NodeLost) || (slowed(b) && a == RuleId::NodeLost)
}

/// Whether two findings are the same failure of parts of one thing.
fn alike(a: RuleId, b: RuleId) -> bool {
    let slowed = |rule| matches!(rule, RuleId::ThermalThrottle | RuleId::PowerBrake);
    a == b
        || (type_of(a) == IncidentType::GpuHardware && type_of(b) == IncidentType::GpuHardware)
            && !slowed(a)
            && !slowed(b)
}
