//! From findings to few incidents: `apply(state, now, signal)`, pure and deterministic.
//!
//! A finding that is known stays where it is ([`Place`]). A new one is held against the first members
//! of the incidents of its node, its model, its services, its rack, zone and driver ([`index`]), and
//! what speaks for each is added up ([`evidence`]): the same subject, cause and effect
//! ([`cause::EDGES`]), the same model elsewhere, the same change, who asks whom, who is blamed. From
//! [`evidence::ATTACH`] on it joins; below it opens an incident, which names those it may belong to.
//!
//! When enough parts of a rack, a zone or a driver version fail together, the whole has failed, and
//! their incidents become one ([`group`]). What proves to have a cause of its own is parted again
//! ([`join`]). Likely causes are ranked after each change of members ([`root`]).

mod blame;
mod burden;
mod candidate;
pub mod cause;
pub mod change;
mod changed;
pub mod evidence;
mod group;
mod index;
mod join;
mod known;
mod late;
mod merged;
mod named;
mod overload;
mod relation;
mod resting;
mod restore;
mod returning;
mod root;
mod said;
mod shown;
pub mod sight;
mod snapshot;
mod standing;
mod touched;
mod trouble;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use gpuwarden_proto::change::{ChangeOrigin, RecordedChange};
use gpuwarden_proto::convert::PARTS_MAX;
use gpuwarden_proto::event::{Finding, Subject};
use gpuwarden_proto::incident::{Incident, Member, WatchChange};
use gpuwarden_proto::inventory::Snapshot;
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::{
    ChangeKind, GpuUuid, IncidentId, ModelName, NodeId, RuleId, Severity,
};

use crate::classify::{Ground, Stakes, assess};
use crate::graph::{Graph, Topology};
use crate::incident::{Case, Kind, Limits, Suppressed};
use crate::node::{Findings, Key, Node, Place};
use crate::replica::Replicas;

use self::burden::Burdens;
use self::change::Changes;
use self::index::Index;
use self::merged::Merged;
use self::resting::Resting;

pub use self::resting::RESTING_MAX;

/// Incidents whose likely causes are ranked in one tick.
const RANKED_MAX: usize = 500;

/// Incidents that are looked at, the newest first, when a change is told after them.
const LATE_MAX: usize = 512;

/// What correlation goes by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// So long no member may be active before an incident resolves.
    pub quiet_period: Duration,
    /// So long after an incident was over the same again is the same incident.
    pub reopen_within: Duration,
    /// How far apart cause and effect may be.
    pub windows: cause::Windows,
    /// How much one incident may hold.
    pub limits: Limits,
    /// Incidents that may be open at one time.
    pub open_max: usize,
    /// Findings that one node may have at one time.
    pub findings_max: usize,
    /// Findings of no node that there may be at one time.
    pub outside_max: usize,
    /// Models whose complete outage is always critical.
    pub critical: BTreeSet<ModelName>,
    /// What stands where and serves what, as a file says.
    pub topology: Topology,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            quiet_period: Duration::from_secs(60),
            reopen_within: Duration::from_secs(10 * 60),
            windows: cause::Windows::default(),
            limits: Limits::default(),
            open_max: 50_000,
            findings_max: 1024,
            outside_max: 20_000,
            critical: BTreeSet::new(),
            topology: Topology::default(),
        }
    }
}

/// All that is known now.
#[derive(Debug)]
pub struct State {
    /// The rules of the house.
    pub policy: Policy,
    /// The nodes.
    pub nodes: HashMap<NodeId, Node>,
    /// Findings that are of no node.
    outside: Findings,
    /// Incidents that are not over.
    cases: BTreeMap<IncidentId, Case>,
    /// Incidents that are, and may yet be heard of.
    resting: Resting,
    /// Incidents with members that come and go.
    flapping: BTreeSet<IncidentId>,
    replicas: Replicas,
    graph: Graph,
    changes: Changes,
    index: Index,
    /// Where incidents went that another has taken in.
    merged: Merged,
    /// Incidents whose likely causes are to be ranked anew.
    unranked: BTreeSet<IncidentId>,
    /// Incidents that were ranked to be shown at once. When that was depends on how busy we are, so
    /// that the next tick ranks them once more.
    shown: BTreeSet<IncidentId>,
    /// What the other replicas of models bear that lost some together.
    burdens: Burdens,
    quiet: BTreeSet<IncidentId>,
    next_id: u64,
    /// Findings that were given up because a limit was reached.
    pub dropped: u64,
}

/// What happens to the state.
#[derive(Debug, Clone, PartialEq)]
pub enum Signal {
    /// A node tells of a finding.
    Finding {
        /// When it was observed.
        observed_at: Timestamp,
        /// It tells of a time before the node's snapshot.
        backlog: bool,
        /// What.
        finding: Finding,
    },
    /// Something was done to a node, as its agent saw.
    Change(RecordedChange),
    /// A node says what is true now.
    Snapshot(Snapshot),
    /// A node is not heard of any more.
    Lost(Finding),
    /// A lost node is heard of again.
    Back,
}

/// The incidents that a signal touched.
#[derive(Debug, Default)]
pub struct Touched {
    /// They changed, and how.
    pub changed: BTreeMap<IncidentId, WatchChange>,
    /// Only their numbers are newer.
    pub refreshed: HashSet<IncidentId>,
    /// Those that are over, in their last form; they are no longer in the state.
    pub over: Vec<Incident>,
    /// Their likely causes are others than before, in the light of what came since.
    pub ranked: BTreeSet<IncidentId>,
    /// A snapshot said something that correlation remembers, whether or not an incident shows it.
    pub news: bool,
}

impl Touched {
    /// Nothing is any different from before.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        let Self { changed, refreshed, over, ranked, news } = self;
        changed.is_empty() && refreshed.is_empty() && over.is_empty() && ranked.is_empty() && !news
    }

    fn opened(&mut self, id: IncidentId) {
        self.changed.insert(id, WatchChange::Opened);
    }

    fn change(&mut self, id: IncidentId) {
        self.changed.entry(id).or_insert(WatchChange::Changed);
    }

    /// What was over goes on.
    fn reopened(&mut self, id: IncidentId) {
        self.changed.insert(id, WatchChange::Changed);
        self.over.retain(|incident| incident.id != id);
    }

    fn is_over(&mut self, case: &Case) {
        let incident = case.as_told();
        self.changed.insert(incident.id, WatchChange::Resolved);
        self.over.push(incident);
    }
}

/// Takes up one signal of one node.
pub fn apply(
    state: &mut State,
    now: Timestamp,
    node: &NodeId,
    signal: Signal,
    touched: &mut Touched,
) {
    match signal {
        Signal::Finding { observed_at, backlog, finding } => {
            state.finding(now, Some(node), finding, observed_at, backlog, touched);
        }
        Signal::Change(change) => state.change(&Arc::new(change)),
        Signal::Snapshot(snapshot) => state.snapshot(now, node, snapshot, touched),
        Signal::Lost(finding) => {
            let raised_at = finding.raised_at;
            state.finding(now, Some(node), finding, raised_at, false, touched);
            state.remark_silence(now, node, touched);
        }
        Signal::Back => {
            let key = (RuleId::NodeLost, Subject::Node);
            state.clear(now, Some(node), &key, now, "the node is heard of again", touched);
        }
    }
}

/// Takes up one finding that is of no node: of a service, or told from elsewhere. The same subject
/// again brings newer numbers.
pub fn outside(
    state: &mut State,
    now: Timestamp,
    observed_at: Timestamp,
    finding: Finding,
    touched: &mut Touched,
) {
    let others = std::mem::take(&mut touched.refreshed);
    state.finding(now, None, finding, observed_at, false, touched);
    // Who told it is not heard again after a crash, as a node is: newer numbers are written at once.
    let own = std::mem::replace(&mut touched.refreshed, others);
    state.renew(now, &own.into_iter().collect(), touched);
}

impl State {
    /// Takes up a change again that was known before a restart.
    pub fn recall(&mut self, change: RecordedChange) {
        self.change(&Arc::new(change));
    }

    /// Takes up a change that somebody recorded. It may be told after trouble that it brought about.
    pub fn record(&mut self, now: Timestamp, change: &RecordedChange, touched: &mut Touched) {
        self.change(&Arc::new(change.clone()));
        let mut late = Vec::new();
        for (id, case) in self.cases.iter().rev().take(LATE_MAX) {
            let mut members = case.incident().members.iter().take(candidate::ANCHORS);
            let follows = |member: &Arc<Member>| {
                let blamed = || self.recorded_before(cause::Clue::from(member));
                blame::may_follow(change, member.raised_at)
                    && blamed().iter().any(|each| each.change.key == change.key)
            };
            if members.any(follows) {
                late.push(*id);
            }
        }
        for id in late {
            self.index.note(id, blame::entity(change));
            self.unranked.insert(id);
            if let Some(case) = self.cases.get_mut(&id) {
                case.refreshed(now);
            }
            touched.change(id);
        }
    }

    fn change(&mut self, change: &Arc<RecordedChange>) {
        self.changes.note(change);
        let told = change.about.first().filter(|_| change.origin == ChangeOrigin::Agent);
        let Some((entity, node)) = told.and_then(|entity| Some((entity, entity.node.as_ref()?)))
        else {
            return;
        };
        if change.kind == ChangeKind::DriverChanged && !change.after.is_empty() {
            self.graph.drive(node, &change.after);
        }
        if matches!(change.kind, ChangeKind::ModelDeployed | ChangeKind::ModelLoaded)
            && let Some((server, model, version)) = entity.replica()
        {
            self.replicas.adopt(node, &Subject::Model { server, model, version });
        }
    }

    /// The GPUs of what a finding is about, where the finding does not tell them and the node's last
    /// snapshot does.
    fn gpus_of(&self, node: &NodeId, subject: &Subject) -> Vec<GpuUuid> {
        let Subject::Model { server, model, .. } = subject else { return Vec::new() };
        let snapshot = self.nodes.get(node).and_then(|known| known.snapshot.as_ref());
        let servers = snapshot.into_iter().flat_map(|snapshot| &snapshot.servers);
        let models = servers.filter(|each| each.name == *server).flat_map(|each| &each.models);
        let gpus = models.filter(|each| each.name == *model).flat_map(|each| each.gpus.clone());
        gpus.collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// The same GPUs, each MIG instance followed by the GPU that it is a part of, as far as the node's
    /// last snapshot tells: what hits the whole hits its parts.
    fn with_parents(&self, node: &NodeId, subject: &Subject, gpus: &[GpuUuid]) -> Vec<GpuUuid> {
        let snapshot = self.nodes.get(node).and_then(|known| known.snapshot.as_ref());
        let parent = |uuid: &GpuUuid| {
            let parent = snapshot.filter(|_| uuid.is_mig())?.parent_of(uuid)?;
            (!gpus.contains(parent)).then(|| parent.clone())
        };
        let own = match subject {
            Subject::Gpu { uuid, .. } | Subject::Process { gpu: uuid, .. } => parent(uuid),
            _ => None,
        };
        let of_each =
            gpus.iter().flat_map(|uuid| std::iter::once(uuid.clone()).chain(parent(uuid)));
        // No more than can be read back from disk.
        own.into_iter().chain(of_each).take(PARTS_MAX).collect()
    }

    /// Takes a node's own word for where it stands.
    fn stand(&mut self, node: &NodeId) {
        if let Some(snapshot) = self.nodes.get(node).and_then(|known| known.snapshot.as_ref()) {
            self.graph.place(node, snapshot);
        }
    }

    /// How urgent a member is by itself, and why.
    fn assess(&self, member: &Member) -> (Severity, Ground) {
        let model = |model: &ModelName| self.is_critical(model);
        let service = |name: &str| self.graph.service(name).is_some_and(|service| service.critical);
        assess(member, &self.replicas, Stakes { model: &model, service: &service })
    }

    fn is_critical(&self, model: &ModelName) -> bool {
        let services = self.graph.services(model).iter();
        self.policy.critical.contains(model)
            || services.filter_map(|name| self.graph.service(name)).any(|service| service.critical)
    }

    /// Whether time alone brings nothing about.
    #[must_use]
    pub fn rests(&self) -> bool {
        let none_waits = self.quiet.is_empty() && self.flapping.is_empty();
        none_waits && self.unranked.is_empty() && self.shown.is_empty() && self.burdens.rests()
    }

    /// An incident that is not over.
    #[must_use]
    pub fn incident(&self, id: IncidentId) -> Option<&Incident> {
        self.cases.get(&id).map(Case::incident)
    }

    /// The incident that is not over and holds a finding.
    #[must_use]
    pub fn incident_of(&self, node: Option<&NodeId>, key: &Key) -> Option<IncidentId> {
        let place = self.at_home(*self.ledger(node)?.get(key)?);
        (!place.settled && self.cases.contains_key(&place.incident)).then_some(place.incident)
    }

    /// Incidents that are not over.
    pub fn incidents(&self) -> impl Iterator<Item = &Incident> {
        self.cases.values().map(Case::incident)
    }

    /// What stands where and serves what.
    #[must_use]
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// An incident in work.
    #[must_use]
    pub fn case(&self, id: IncidentId) -> Option<&Case> {
        self.cases.get(&id)
    }

    /// Takes note of what holds an incident back, which has no other effect on it.
    pub fn suppress(
        &mut self,
        id: IncidentId,
        suppression: Suppressed,
        now: Timestamp,
        touched: &mut Touched,
    ) {
        let Some(case) = self.cases.get_mut(&id) else { return };
        if case.suppress(suppression, now) {
            touched.change(id);
        }
    }

    /// Shows what holds an incident back to those who look before the next tick.
    pub fn foresee(&mut self, id: IncidentId, suppression: Suppressed, now: Timestamp) {
        if let Some(case) = self.cases.get_mut(&id) {
            case.foresee(suppression, now);
        }
    }

    /// How many incidents are not over.
    #[must_use]
    pub fn open(&self) -> usize {
        self.cases.len()
    }

    /// The number that the next incident gets.
    #[must_use]
    pub fn next_id(&self) -> u64 {
        self.next_id
    }

    /// Incidents that a node is part of.
    #[must_use]
    pub fn incidents_of(&self, node: &NodeId) -> usize {
        let places = self.nodes.get(node).into_iter().flat_map(|node| node.findings.values());
        places.filter(|place| !place.settled).map(|p| p.incident).collect::<BTreeSet<_>>().len()
    }

    /// What time alone brings about: quiet incidents resolve, and likely causes are ranked.
    pub fn tick(&mut self, now: Timestamp, touched: &mut Touched) {
        let rested: Vec<IncidentId> = self
            .quiet
            .iter()
            .copied()
            .filter(|id| {
                let quiet_period = self.policy.quiet_period;
                self.cases.get_mut(id).is_some_and(|case| case.settle(quiet_period, now))
            })
            .collect();
        rested.into_iter().for_each(|id| self.retire(id, touched));
        self.calm(now, touched);
        self.bear_burdens(now, touched);
        self.rank_on_tick(touched);
    }

    fn calm(&mut self, now: Timestamp, touched: &mut Touched) {
        for id in self.flapping.iter().copied().collect::<Vec<_>>() {
            let case = self.cases.get_mut(&id);
            if case.is_some_and(|case| case.calm(now)) {
                touched.change(id);
            }
            if !self.cases.get(&id).is_some_and(Case::is_flapping) {
                self.flapping.remove(&id);
            }
        }
    }

    /// The numbers of these were renewed: time for people to see them.
    pub fn renew(&mut self, now: Timestamp, ids: &BTreeSet<IncidentId>, touched: &mut Touched) {
        for id in ids {
            if let Some(case) = self.cases.get_mut(id) {
                case.refreshed(now);
                touched.change(*id);
            }
        }
    }

    /// Raises the severity of an incident where one of its members asks for it.
    fn grade(&mut self, now: Timestamp, id: IncidentId, slot: usize, touched: &mut Touched) {
        let Some(member) = self.cases.get(&id).and_then(|case| case.incident().members.get(slot))
        else {
            return;
        };
        let (severity, ground) = self.assess(member);
        let Some(case) = self.cases.get_mut(&id) else { return };
        if severity < case.incident().severity {
            case.raise(severity, || ground.to_string(), now);
            touched.change(id);
        }
    }

    /// Looks again at the severity of all active findings of a node.
    fn grade_node(&mut self, now: Timestamp, node: &NodeId, touched: &mut Touched) {
        let Some(known) = self.nodes.get(node) else { return };
        let places: Vec<Place> = known
            .findings
            .values()
            .filter(|place| place.active && !place.settled)
            .copied()
            .collect();
        let slots: BTreeSet<(IncidentId, usize)> =
            places.iter().filter_map(|place| Some((place.incident, place.slot?))).collect();
        for (incident, slot) in slots {
            self.grade(now, incident, slot, touched);
        }
    }

    /// Says on the incidents of a silent node that their members stay active.
    fn remark_silence(&mut self, now: Timestamp, node: &NodeId, touched: &mut Touched) {
        let Some(known) = self.nodes.get(node) else { return };
        let others = known.findings.iter().filter(|((rule, _), place)| {
            *rule != RuleId::NodeLost && place.active && !place.settled
        });
        let ids: BTreeSet<IncidentId> = others.map(|(_, place)| place.incident).collect();
        for id in ids {
            let Some(case) = self.cases.get_mut(&id) else { continue };
            let text =
                format!("{node} does not answer; what it had found stays active till it says");
            case.remark(Kind::Node, text, now);
            touched.change(id);
        }
    }

    /// Takes an incident that is over out of the state.
    fn retire(&mut self, id: IncidentId, touched: &mut Touched) {
        self.quiet.remove(&id);
        self.flapping.remove(&id);
        let (unranked, shown) = (self.unranked.remove(&id), self.shown.remove(&id));
        if unranked || shown {
            self.rank(id);
            self.cases.get_mut(&id).map(Case::tell_suspicion);
        }
        let Some(case) = self.cases.remove(&id) else { return };
        self.index.drop(id);
        self.merged.drop(id);
        self.burdens.drop(id);
        for member in &case.incident().members {
            let key = (member.rule, member.subject.identity());
            let Some(findings) = self.ledger_mut(member.node.as_ref()) else { continue };
            let Some(place) = findings.get_mut(&key) else { continue };
            match (place.incident == id, place.active) {
                (true, true) => place.settled = true,
                (true, false) => drop(findings.remove(&key)),
                (false, _) => {}
            }
        }
        touched.is_over(&case);
        let forced = case.incident().members.iter().any(|member| member.cleared_at.is_none());
        // What went on as another is heard of there, and a person's word against what is active stands.
        if case.incident().merged_into.is_none() && !forced {
            self.resting.keep(case);
        }
    }

    /// The findings of a node that belong to an incident; with `None` those of no node.
    fn ledger(&self, node: Option<&NodeId>) -> Option<&Findings> {
        match node {
            Some(node) => self.nodes.get(node).map(|known| &known.findings),
            None => Some(&self.outside),
        }
    }

    fn ledger_mut(&mut self, node: Option<&NodeId>) -> Option<&mut Findings> {
        match node {
            Some(node) => self.nodes.get_mut(node).map(|known| &mut known.findings),
            None => Some(&mut self.outside),
        }
    }

    fn keep(&mut self, node: Option<&NodeId>, key: Key, place: Place) {
        if let Some(findings) = self.ledger_mut(node) {
            findings.insert(key, place);
        }
    }

    /// Keeps where a member that went to another incident is at home, unless its finding has begun anew
    /// in another since.
    fn resettle(&mut self, node: Option<&NodeId>, key: Key, place: Place) {
        let known = self.ledger(node).and_then(|findings| findings.get(&key));
        if known.is_none_or(|known| known.raised_at <= place.raised_at) {
            self.keep(node, key, place);
        }
    }

    fn forget(&mut self, node: Option<&NodeId>, key: &Key) {
        if let Some(findings) = self.ledger_mut(node) {
            findings.remove(key);
        }
        self.review_replicas(node, key.0, &key.1);
    }
}

#[cfg(test)]
mod change_tests;
#[cfg(test)]
mod tests;
