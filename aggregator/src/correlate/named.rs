//! What is told of no node, and what of the fleet it names: alerts, reports, objectives of services.
//! Pure.
//!
//! Such a finding is taken for a symptom. It joins the incident of what it names; where there is none
//! yet it opens one, and the first finding of a node that fits becomes its likely cause.

use std::collections::BTreeSet;
use std::time::Duration;

use gpuwarden_proto::entity::{Entity, EntityKind};
use gpuwarden_proto::event::{Finding, Subject};
use gpuwarden_proto::incident::{Incident, Member};
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::{GpuUuid, NodeId, RuleId};

use super::State;
use super::candidate::{ANCHORS, Candidate, Candidates, model_of};
use super::cause::{Clue, Nearness, fade};
use super::evidence::Kind;

/// So far from what it names something may be told; people and other systems are slower than nodes.
const TOLD: Duration = Duration::from_secs(10 * 60);
/// What a service fails counts against its objective for longer.
const BURN: Duration = Duration::from_secs(60 * 60);

impl State {
    /// By what a finding of no node names.
    pub(super) fn named(&self, finding: &Finding, found: &mut Candidates) {
        let names = names_of(&finding.subject, &finding.about);
        let mut ids = BTreeSet::new();
        for name in &names {
            ids.extend(self.index.of(name));
            let node = name.node.as_ref().filter(|_| name.kind == EntityKind::Node);
            let findings = node.and_then(|node| self.ledger(Some(node)));
            let there = findings.into_iter().flat_map(|findings| findings.values());
            ids.extend(there.filter(|place| !place.settled).map(|place| place.incident));
        }
        for id in ids {
            let Some(case) = self.cases.get(&id) else { continue };
            let mut candidate = found.remove(&id).unwrap_or_else(|| Candidate::new(id));
            for anchor in case.incident().members.iter().take(ANCHORS) {
                let match_ = match &anchor.node {
                    Some(node) => self.names(&names, node, Clue::from(anchor)),
                    None => alike(&names, &names_of(&anchor.subject, &anchor.about)),
                };
                let Some((weight, what)) = match_ else { continue };
                let apart = apart(finding.raised_at, anchor);
                let Some(weight) = fade(weight, apart, patience(finding.rule)) else { continue };
                let text = || format!("it names {what}, which has {}", anchor.rule);
                candidate.add(Kind::Named, weight, apart, text);
            }
            if candidate.reasons.strongest().is_some() {
                found.insert(id, candidate);
            }
        }
    }

    /// By incidents of which no node has told anything yet, and that name what this is about.
    pub(super) fn naming(&self, node: &NodeId, finding: &Finding, found: &mut Candidates) {
        if self.outside.is_empty() {
            return;
        }
        let clue = Clue::of(Some(node), finding);
        for id in self.around(clue).iter().flat_map(|entity| self.index.of(entity)) {
            let untold = |each: &&Incident| each.members.iter().all(|member| member.node.is_none());
            let Some(incident) = self.incident(id).filter(untold) else { continue };
            for anchor in incident.members.iter().take(ANCHORS) {
                let names = names_of(&anchor.subject, &anchor.about);
                let Some((weight, what)) = self.names(&names, node, clue) else { continue };
                let apart = distance(finding.raised_at, anchor.raised_at);
                let Some(weight) = fade(weight, apart, patience(anchor.rule)) else { continue };
                let text = || format!("{} names {what}", anchor.subject);
                let candidate = found.entry(id).or_insert_with(|| Candidate::new(id));
                candidate.add(Kind::Named, weight, apart, text);
                candidate.upstream = candidate.upstream.max(Some(Nearness::Node));
            }
        }
    }

    /// What a finding of a node may be named by.
    fn around(&self, clue: Clue<'_>) -> Vec<Entity> {
        let gpus = gpus_of(clue).map(|gpu| Entity::fleet(EntityKind::Gpu, gpu.as_str()));
        let mut around: Vec<Entity> = clue.node.map(Entity::node).into_iter().chain(gpus).collect();
        if let Some(model) = model_of(clue.subject) {
            around.push(Entity::fleet(EntityKind::Model, model.as_str()));
            let services = self.graph.services(model).iter();
            around.extend(services.map(|name| Entity::fleet(EntityKind::Service, name)));
        }
        if let Some(node) = clue.node {
            let rack = self.graph.rack(node).map(|name| Entity::fleet(EntityKind::Rack, name));
            let zone = self.graph.zone(node).map(|name| Entity::fleet(EntityKind::Zone, name));
            around.extend(rack.into_iter().chain(zone));
        }
        around
    }

    /// How much it says that these names are of what a node has found; the most exact name decides.
    fn names<'a>(
        &self,
        names: &'a [Entity],
        node: &NodeId,
        clue: Clue<'_>,
    ) -> Option<(f64, &'a Entity)> {
        let of = |kind| names.iter().find(move |name| name.kind == kind);
        let here = of(EntityKind::Node);
        let elsewhere = here.is_some_and(|named| *named.name != *node.as_str());
        if elsewhere {
            return None;
        }
        if let Some(gpu) = of(EntityKind::Gpu) {
            let own = gpus_of(clue).any(|each| *each.as_str() == *gpu.name);
            let whole = here.is_some() && clue.rule == RuleId::NodeLost;
            return (own || whole).then_some((0.92, gpu));
        }
        if let Some(model) = of(EntityKind::Model) {
            let own = model_of(clue.subject).is_some_and(|own| *own.as_str() == *model.name);
            return own.then_some((if here.is_some() { 0.92 } else { 0.85 }, model));
        }
        if let Some(service) = of(EntityKind::Service) {
            let services = model_of(clue.subject).map_or(&[][..], |own| self.graph.services(own));
            return services.contains(&service.name).then_some((0.85, service));
        }
        if let Some(named) = here {
            return Some((0.75, named));
        }
        let group = of(EntityKind::Rack).or_else(|| of(EntityKind::Zone))?;
        self.graph.holds(group, node).then_some((0.7, group))
    }

    /// Where an incident with this member is to be looked for.
    pub(super) fn names_to_find(&self, member: &Member) -> Vec<Entity> {
        match member.node {
            Some(_) => {
                let gpus = gpus_of(Clue::from(member));
                gpus.map(|gpu| Entity::fleet(EntityKind::Gpu, gpu.as_str())).collect()
            }
            None => names_of(&member.subject, &member.about),
        }
    }
}

/// What a finding of no node names; an alert that names nothing goes by its own name.
pub(super) fn names_of(subject: &Subject, about: &[Entity]) -> Vec<Entity> {
    let service = match subject {
        Subject::Service { service } => Some(Entity::fleet(EntityKind::Service, service.as_str())),
        _ => None,
    };
    let fleet_wide = |entity: &Entity| match entity.kind {
        EntityKind::Gpu => Entity::fleet(EntityKind::Gpu, &entity.name),
        _ => entity.clone(),
    };
    let mut names: Vec<Entity> = service.into_iter().chain(about.iter().map(fleet_wide)).collect();
    if let (true, Subject::Alert { sender, name, .. }) = (names.is_empty(), subject)
        && !name.is_empty()
    {
        names.push(Entity::fleet(EntityKind::Alert, &format!("{sender}/{name}")));
    }
    names
}

/// How much it says that two findings of no node name the same.
fn alike<'a>(ours: &'a [Entity], theirs: &[Entity]) -> Option<(f64, &'a Entity)> {
    let weight = |entity: &Entity| -> f64 {
        match entity.kind {
            EntityKind::Gpu | EntityKind::Model => 0.85,
            EntityKind::Service => 0.75,
            EntityKind::Node => 0.7,
            EntityKind::Alert => 0.65,
            _ => 0.5,
        }
    };
    let shared = ours.iter().filter(|entity| theirs.contains(entity));
    shared.map(|entity| (weight(entity), entity)).max_by(|a, b| a.0.total_cmp(&b.0))
}

fn gpus_of<'a>(clue: Clue<'a>) -> impl Iterator<Item = &'a GpuUuid> {
    let own = match clue.subject {
        Subject::Gpu { uuid, .. } => Some(uuid),
        Subject::Process { gpu, .. } => Some(gpu),
        _ => None,
    };
    own.into_iter().chain(clue.gpus)
}

/// How far a moment is from the time in which a member was active.
fn apart(at: Timestamp, member: &Member) -> Duration {
    let after = member.cleared_at.map_or(Duration::ZERO, |over_at| at.since(over_at));
    member.raised_at.since(at).max(after)
}

fn distance(a: Timestamp, b: Timestamp) -> Duration {
    a.since(b).max(b.since(a))
}

const fn patience(rule: RuleId) -> Duration {
    match rule {
        RuleId::AvailabilityBurn | RuleId::LatencyBurn => BURN,
        _ => TOLD,
    }
}

#[cfg(test)]
mod tests {
    use crate::correlate::Policy;
    use crate::graph::Topology;
    use crate::testing::Stage;

    fn play(script: &str) -> String {
        let services = "[[service]]\nname = \"chat\"\nmodels = [\"bert\", \"rank\"]\ncritical = true\n\
            [[service]]\nname = \"mail\"\nmodels = [\"spam\"]";
        let topology = Topology::parse("t.toml", services).unwrap();
        Stage::new(Policy { topology, ..Policy::default() }).play(script).shown()
    }

    #[test]
    fn an_alert_joins_the_incident_of_what_it_names_and_no_other() {
        insta::assert_snapshot!(play("
            0 node-a raise error-rate-high bert 0.1
            1 node-b raise error-rate-high spam 0.1
            90 - raise external-alert alert:Errors about=model:bert
            95 - raise external-alert alert:Other about=model:gpt
        "), @r"
        #1 P3 high-error-rate open: model bert fails 10 % of requests, and the model is critical
          node-a model bert error-rate-high: first seen
          alert Errors external-alert: it names model bert, which has error-rate-high
        #2 P3 high-error-rate open: model spam fails 10 % of requests
          node-b model spam error-rate-high: first seen
        #3 P3 external open: external-alert: service is degraded
          alert Other external-alert: first seen
        ");
    }

    #[test]
    fn the_most_exact_name_decides() {
        insta::assert_snapshot!(play("
            0 node-a raise queue-backup bert
            1 node-a raise thermal-throttle gpu3
            30 - raise external-alert alert:Slow about=node:node-a,model:spam
            31 - raise external-alert alert:Hot about=node:node-a,gpu:GPU-3
        "), @r"
        #1 P3 gpu-hardware open: queue-backup: service is degraded
          node-a GPU 3 thermal-throttle: explains queue-backup, same node: a GPU of the node is slowed
          node-a model bert queue-backup: first seen
          alert Hot external-alert: it names gpu GPU-3, which has thermal-throttle
        #2 P3 external open: external-alert: service is degraded
          alert Slow external-alert: first seen
        ");
    }

    #[test]
    fn a_node_that_tells_later_names_the_cause() {
        insta::assert_snapshot!(play("
            0 - raise user-report report:ann about=service:chat
            60 - raise user-report report:bob about=service:chat
            90 node-a raise model-unavailable bert down
            91 node-b raise model-unavailable spam down
        "), @r"
        #1 P2 model-unavailable open: bert is down, and no snapshot tells how many replicas it has
          node-a model bert model-unavailable: report by bob names service chat
          report by bob user-report: it names service chat, which has user-report
          report by ann user-report: first seen
        #2 P2 model-unavailable open: spam is down, and no snapshot tells how many replicas it has
          node-b model spam model-unavailable: first seen
        ");
    }

    #[test]
    fn what_nothing_names_opens_an_incident_of_its_own_and_one_alert_is_one_finding() {
        insta::assert_snapshot!(play("
            0 - raise external-alert alert:Disk/1
            1 - raise external-alert alert:Disk/1
            2 - raise external-alert alert:Disk/2
            3 - raise external-alert alert:Fan down about=service:chat
            9 - clear external-alert alert:Disk/1
        "), @r"
        #1 P3 external open: external-alert: service is degraded
          alert Disk external-alert (over): first seen
          alert Disk external-alert: it names alert alertmanager/Disk, which has external-alert
        #2 P1 external open: who tells of it calls it critical, and the service is critical
          alert Fan external-alert: first seen
        ");
    }

    #[test]
    fn an_objective_that_burns_is_an_effect_of_the_trouble_of_its_models() {
        insta::assert_snapshot!(play("
            0 node-a raise error-rate-high rank 0.3
            1 node-b raise error-rate-high spam 0.3
            200 - raise availability-burn service:chat
            400 node-a clear error-rate-high rank
            700 - clear availability-burn service:chat
            760 tick
        "), @r"
        #1 P1 high-error-rate resolved: model rank fails 30 % of requests, and the model is critical
          node-a model rank error-rate-high (over): first seen
          service chat availability-burn (over): it names service chat, which has error-rate-high
        #2 P2 high-error-rate open: model spam fails 30 % of requests
          node-b model spam error-rate-high: first seen
        ");
    }

    #[test]
    fn a_cause_that_comes_long_after_is_another() {
        insta::assert_snapshot!(play("
            0 - raise external-alert alert:Slow about=service:chat
            700 node-a raise queue-backup bert
        "), @r"
        #1 P3 external open: external-alert: service is degraded
          alert Slow external-alert: first seen
        #2 P3 high-latency open: queue-backup: service is degraded
          node-a model bert queue-backup: first seen
        ");
    }
}
