//! Ranking of likely causes: what explains most of an incident, began first, and is wont to be a
//! cause. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use gpuwarden_proto::change::RecordedChange;
use gpuwarden_proto::entity::{Entity, EntityKind};
use gpuwarden_proto::incident::{Incident, Member, ROOTS_MAX, Root, SuspectedChange};
use gpuwarden_proto::time::spoken;
use gpuwarden_proto::vocab::{ChangeOrigin, IncidentId, IncidentType, ModelName, RuleId};

use super::blame::{self, EFFECTS, Reach, faded};
use super::candidate::model_of;
use super::cause::{Clue, explains};
use super::evidence::ATTACH;
use super::overload::waits;
use super::{RANKED_MAX, State, Touched};
use crate::classify::type_of;
use crate::incident::Case;

/// Members that are looked at, the likely cause first.
const LOOKED_AT_MAX: usize = 24;
/// What each of the three measures counts.
const COVERAGE: f64 = 0.45;
const EARLINESS: f64 = 0.15;
const PRIOR: f64 = 0.4;

/// What speaks for one likely cause.
#[derive(Debug, Clone, Default)]
struct Claim {
    /// Which of the members looked at it explains, itself among them.
    explains: Vec<bool>,
    /// Which of the members looked at began before any that it is told by.
    earliest: usize,
    /// How often things like it are causes, 0 to 1.
    prior: f64,
    /// Something that is said of it.
    remark: String,
    /// The change that it is, where it is one.
    change: Option<Arc<RecordedChange>>,
}

/// How a claim measures up to the members.
#[derive(Debug, Clone, Copy)]
struct Measure {
    /// Members that it explains.
    explained: usize,
    /// Members that began before any that tells of it.
    earlier: usize,
    score: f64,
}

/// From this score on a change among the likely causes is named.
const SUSPECTED: f64 = 0.5;
/// What is known of a change before the members are looked at must be so much: of a change of the
/// whole fleet that is a quarter of an hour, of a model's the whole window.
const PRIOR_SUSPECTED: f64 = 0.25;
/// By so much a change that was recorded is preferred to one that agents saw.
const TOLD_BONUS: f64 = 0.05;

/// Claims by what they accuse.
type Claims = BTreeMap<Entity, Claim>;

impl State {
    /// Ranks the likely causes of an incident anew. Says whether they are others than before.
    pub(super) fn rank(&mut self, id: IncidentId) -> bool {
        let Some(case) = self.cases.get(&id) else { return false };
        let (roots, suspected) = self.roots(case);
        let others = case.incident().roots != roots;
        if let Some(case) = self.cases.get_mut(&id) {
            case.rank(roots);
            case.suspect(suspected);
        }
        others
    }

    /// Ranks the likely causes of all incidents whose members changed; to be called before they are
    /// shown. In a storm that is once for many events.
    pub fn rank_all(&mut self) {
        for id in std::mem::take(&mut self.unranked) {
            self.rank(id);
            self.shown.insert(id);
        }
    }

    /// Ranks what is unranked, or was ranked between ticks, some at a time. Only now is history
    /// written: when something is shown depends on how busy we are.
    pub(super) fn rank_on_tick(&mut self, touched: &mut Touched) {
        let due = self.unranked.union(&self.shown).take(RANKED_MAX);
        for id in due.copied().collect::<Vec<_>>() {
            self.unranked.remove(&id);
            self.shown.remove(&id);
            let others = self.rank(id);
            let told = self.cases.get_mut(&id).is_some_and(Case::tell_suspicion);
            if others || told {
                touched.ranked.insert(id);
            }
        }
    }

    /// Ranks all that still waits for a tick.
    pub fn rank_finally(&mut self, touched: &mut Touched) {
        while !self.unranked.is_empty() || !self.shown.is_empty() {
            self.rank_on_tick(touched);
        }
    }

    fn roots(&self, case: &Case) -> (Vec<Root>, Option<SuspectedChange>) {
        let members = &case.incident().members;
        let members = &members[..members.len().min(LOOKED_AT_MAX)];
        let reach = self.reach(members);
        let mut docket = Docket { members, reach: &reach, claims: Claims::new() };
        (0..members.len()).for_each(|nth| self.accuse(&mut docket, nth));
        let mut claims = docket.claims;
        if let Some(scope) = case.scope() {
            let mut explains = vec![false; members.len()];
            let parts = members.iter().zip(&reach);
            for (_, row) in parts.filter(|(m, _)| self.is_part(&scope.entity, m)) {
                explains.iter_mut().zip(row).for_each(|(all, own)| *all |= own);
            }
            let remark = "its parts failed together".to_owned();
            let claim = Claim { explains, earliest: 0, prior: 1.0, remark, change: None };
            claims.insert(scope.entity.clone(), claim);
        }
        let suspected = suspected(&claims, case.incident());
        let mut roots: Vec<Root> =
            claims.into_iter().map(|(entity, claim)| claim.root(entity, members)).collect();
        roots.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.entity.cmp(&b.entity)));
        roots.truncate(ROOTS_MAX);
        (roots, suspected)
    }

    /// For each member, which members it explains, over any number of steps.
    fn reach(&self, members: &[Arc<Member>]) -> Vec<Vec<bool>> {
        let leads = |a: &Member, b: &Member| {
            let (cause, effect) = (Clue::from(a), Clue::from(b));
            let here = explains(cause, effect, self.policy.windows);
            let direct = here.is_some_and(|link| link.weight >= ATTACH);
            let same = a.node == b.node
                && a.subject.identity() == b.subject.identity()
                && type_of(a.rule) == type_of(b.rule);
            direct || same || self.is_asked(a, b) || self.overloads(a, b)
        };
        let count = members.len();
        let mut reach: Vec<Vec<bool>> = (0..count)
            .map(|a| (0..count).map(|b| a == b || leads(&members[a], &members[b])).collect())
            .collect();
        for via in 0..count {
            let through = reach[via].clone();
            for row in &mut reach {
                if row[via] {
                    row.iter_mut().zip(&through).for_each(|(own, far)| *own |= far);
                }
            }
        }
        reach
    }

    /// Whether the model of `a` is asked by the model of `b`.
    fn is_asked(&self, a: &Member, b: &Member) -> bool {
        let (Some(a), Some(b)) = (model_of(&a.subject), model_of(&b.subject)) else { return false };
        a != b && self.graph.hops(a, b).is_some_and(|hops| hops > 0)
    }

    /// Whether `a` takes a replica away whose work `b` has to do.
    fn overloads(&self, a: &Member, b: &Member) -> bool {
        let Some(model) = model_of(&b.subject).filter(|_| waits(b.rule)) else { return false };
        a.node != b.node && b.node.is_some() && self.loses(a, model)
    }

    /// Everything that one member gives cause to suspect.
    fn accuse(&self, docket: &mut Docket<'_>, nth: usize) {
        let member = &docket.members[nth];
        let own = Entity::of(member.node.as_ref(), &member.subject);
        docket.claim(nth, own, Since::Itself, prior(member.rule), String::new());
        for suspect in &member.suspects {
            let remark = format!("blamed for {}", member.rule);
            // Who blames somebody says that it is no cause itself.
            let prior = prior(member.rule) + 0.25 * suspect.confidence;
            let suspect = Entity::of(member.node.as_ref(), &suspect.subject);
            docket.claim(nth, suspect, Since::Before, prior, remark);
        }
        for (model, recent) in self.changed_before(Clue::from(member)) {
            let Some(version) = &recent.version else { continue };
            let age = member.raised_at.since(recent.at);
            let prior = 0.97 * faded(age);
            let remark = format!("{} {} before", recent.kind, spoken(age));
            let changed = Entity::fleet(EntityKind::Version, &format!("{model}:{version}"));
            docket.claim(nth, changed.clone(), Since::Before, prior, remark);
            docket.is_change(&changed, &recent.change);
        }
        self.accuse_driver(docket, nth);
        for blamed in self.recorded_before(Clue::from(member)) {
            let (what, ago) = (blame::named(&blamed.change), spoken(blamed.age));
            let changed = blame::entity(&blamed.change);
            let remark = format!("{what} {ago} before");
            docket.claim(nth, changed.clone(), Since::Before, blamed.prior(), remark);
            docket.is_change(&changed, &blamed.change);
        }
        if let Some(model) = model_of(&member.subject) {
            self.accuse_fleet(docket, nth, model);
        }
    }

    /// A GPU that fails soon after its node got another driver.
    fn accuse_driver(&self, docket: &mut Docket<'_>, nth: usize) {
        let member = &docket.members[nth];
        let hardware = type_of(member.rule) == IncidentType::GpuHardware;
        let Some(node) = member.node.as_ref().filter(|_| hardware) else { return };
        let Some(recent) = self.changes.of_driver(node, member.raised_at) else { return };
        let age = member.raised_at.since(recent.at);
        if age > EFFECTS || recent.change.after.is_empty() {
            return;
        }
        let prior = 0.97 * Reach::Driver.suspicion() * faded(age);
        let remark = format!("{} {} before", recent.kind, spoken(age));
        let changed = Entity::fleet(EntityKind::Driver, &recent.change.after);
        docket.claim(nth, changed.clone(), Since::Before, prior, remark);
        docket.is_change(&changed, &recent.change);
    }

    /// What more than one node or model makes suspect: the model as a whole, its services.
    fn accuse_fleet(&self, docket: &mut Docket<'_>, nth: usize, model: &ModelName) {
        let members = docket.members;
        let member = &members[nth];
        let elsewhere = members
            .iter()
            .any(|each| each.node != member.node && model_of(&each.subject) == Some(model));
        if elsewhere {
            let entity = Entity::fleet(EntityKind::Model, model.as_str());
            let remark = "several nodes have it".to_owned();
            docket.claim(nth, entity, Since::Itself, prior(member.rule) + 0.1, remark);
        }
        for service in self.graph.services(model) {
            let of_service = |each: &&ModelName| self.graph.services(each).contains(service);
            let models: BTreeSet<&ModelName> = members
                .iter()
                .filter_map(|each| model_of(&each.subject))
                .filter(of_service)
                .collect();
            if models.len() > 1 {
                let remark = format!("{} of its models have it", models.len());
                let entity = Entity::fleet(EntityKind::Service, service);
                docket.claim(nth, entity, Since::Itself, prior(member.rule) + 0.15, remark);
            }
        }
    }
}

/// Since when what is accused was at work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Since {
    /// Since the finding that tells of it began.
    Itself,
    /// Since before all that it explains.
    Before,
}

/// The claims about one incident, while they are gathered.
struct Docket<'a> {
    members: &'a [Arc<Member>],
    reach: &'a [Vec<bool>],
    claims: Claims,
}

impl Docket<'_> {
    fn claim(&mut self, nth: usize, accused: Entity, since: Since, prior: f64, remark: String) {
        let (members, own) = (self.members, &self.reach[nth]);
        let claim = self.claims.entry(accused).or_insert_with(|| Claim {
            explains: vec![false; members.len()],
            earliest: nth,
            prior: 0.0,
            remark: String::new(),
            change: None,
        });
        claim.explains.iter_mut().zip(own).for_each(|(all, own)| *all |= own);
        let reached =
            (0..members.len()).filter(|each| *each == nth || since == Since::Before && own[*each]);
        let told = reached.min_by_key(|each| members[*each].raised_at).unwrap_or(nth);
        if members[told].raised_at < members[claim.earliest].raised_at {
            claim.earliest = told;
        }
        if prior > claim.prior {
            claim.prior = prior;
            claim.remark = remark;
        }
    }

    /// What is accused is this change, or the newest of some.
    fn is_change(&mut self, accused: &Entity, change: &Arc<RecordedChange>) {
        let Some(claim) = self.claims.get_mut(accused) else { return };
        let older = |known: &Arc<RecordedChange>| known.started_at < change.started_at;
        if claim.change.as_ref().is_none_or(older) {
            claim.change = Some(Arc::clone(change));
        }
    }
}

impl Claim {
    fn measure(&self, members: &[Arc<Member>]) -> Measure {
        let explained = self.explains.iter().filter(|each| **each).count();
        let coverage = explained as f64 / members.len().max(1) as f64;
        let first = members[self.earliest].raised_at;
        let earlier = members.iter().filter(|member| member.raised_at < first).count();
        let earliness = 1.0 - earlier as f64 / members.len().max(1) as f64;
        let score = COVERAGE * coverage + EARLINESS * earliness + PRIOR * self.prior.min(1.0);
        Measure { explained, earlier, score: (score * 1000.0).round() / 1000.0 }
    }

    fn root(self, entity: Entity, members: &[Arc<Member>]) -> Root {
        let Measure { explained, earlier, score } = self.measure(members);
        let mut reason = format!("explains {explained} of {} members", members.len());
        if earlier == 0 {
            reason.push_str(", began first");
        }
        if !self.remark.is_empty() {
            reason.push_str(", ");
            reason.push_str(&self.remark);
        }
        Root { entity, score, reason }
    }
}

/// The change that is to be named: it explains what began first and half of the members, and is near
/// and close enough to them.
fn suspected(claims: &Claims, incident: &Incident) -> Option<SuspectedChange> {
    let members = &incident.members[..incident.members.len().min(LOOKED_AT_MAX)];
    let weighed = claims.iter().filter_map(|(entity, claim)| {
        let change = claim.change.as_ref()?;
        let measure = claim.measure(members);
        let half = measure.explained * 2 >= members.len();
        let sure = half && measure.earlier == 0 && measure.score >= SUSPECTED;
        // Who recorded a change says more of it than who saw its effect on a node.
        let told = if change.origin == ChangeOrigin::Agent { 0.0 } else { TOLD_BONUS };
        (sure && claim.prior >= PRIOR_SUSPECTED).then_some((
            measure.score + told,
            entity,
            claim,
            change,
            measure,
        ))
    });
    let (_, entity, claim, change, measure) =
        weighed.max_by(|a, b| a.0.total_cmp(&b.0).then_with(|| b.1.cmp(a.1)))?;
    Some(SuspectedChange {
        what: entity.clone(),
        kind: change.kind,
        summary: change.summary.clone(),
        at: change.started_at,
        by: change.by.clone(),
        origin: change.origin,
        link: change.link.clone(),
        score: measure.score,
        reason: claim.clone().root(entity.clone(), members).reason,
        rollback: crate::runbook::rollback(incident.kind, change, &incident.members[0]),
    })
}

/// How often what a rule finds is a cause rather than an effect, 0 to 1.
const fn prior(rule: RuleId) -> f64 {
    match type_of(rule) {
        IncidentType::NodeUnreachable => 0.9,
        IncidentType::GpuHardware => 0.85,
        IncidentType::GpuOom => 0.75,
        IncidentType::NoisyNeighbour => 0.6,
        IncidentType::ModelUnavailable => match rule {
            RuleId::ServerUnavailable => 0.7,
            _ => 0.55,
        },
        IncidentType::HighErrorRate => 0.4,
        IncidentType::HighLatency => 0.35,
        IncidentType::TelemetryBlind | IncidentType::External => 0.3,
    }
}
