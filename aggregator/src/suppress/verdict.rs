//! Weighs one incident: which of its findings are held back by what, and whether any is left to show.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use gpuwarden_proto::incident::{Incident, Member};
use gpuwarden_proto::silence::{Holder, Silence, SilenceId, Suppression};
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::{IncidentId, Severity, SilenceState};

use super::Suppressor;
use super::facts::Fleet;
use super::index::{Note, Role};
use super::inhibit::all;
use crate::correlate::State;
use crate::incident::{Case, Suppressed, place};

/// Which findings a holder holds back: members by their place.
type Slots = Vec<usize>;

/// What holds one incident back.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    /// Who, and which findings.
    pub(super) holds: Vec<(Suppression, Slots)>,
    /// Nothing is left to show.
    wholly: bool,
    /// The first finding that is not held back.
    left: Option<usize>,
}

/// The findings that decide: those that are active, or all once none is.
pub(super) fn deciding(incident: &Incident) -> Slots {
    let active = |slot: &usize| incident.members[*slot].cleared_at.is_none();
    let slots: Slots = (0..incident.members.len()).filter(active).collect();
    if slots.is_empty() { (0..incident.members.len()).collect() } else { slots }
}

/// A finding as it is told from others, and from itself at another time.
pub(super) fn mark(member: &Member) -> u64 {
    let mut hasher = DefaultHasher::new();
    (&member.node, member.rule, member.subject.identity(), member.raised_at).hash(&mut hasher);
    hasher.finish()
}

impl Suppressor {
    /// What an incident is to the inhibition rules; `None` when it is nothing to any.
    pub(super) fn note_of(&self, fleet: Fleet<'_>, incident: &Incident) -> Option<Note> {
        let mut roles = vec![Role::default(); self.rules.len()];
        for slot in deciding(incident) {
            let member = &incident.members[slot];
            let facts = fleet.facts(incident, member);
            for (rule, role) in self.rules.iter().zip(&mut roles) {
                if member.cleared_at.is_none() && all(&rule.source, facts) {
                    role.sources.extend(rule.keys(facts));
                }
                if all(&rule.target, facts) {
                    role.targets.extend(rule.keys(facts));
                }
            }
        }
        let nothing = roles.iter().all(|role| role.sources.is_empty() && role.targets.is_empty());
        (!nothing).then_some(Note { severity: incident.severity, roles })
    }

    /// What holds an incident back now.
    pub(super) fn verdict(&self, state: &State, id: IncidentId) -> Verdict {
        let Some(case) = state.case(id) else { return Verdict::default() };
        let (incident, fleet) = (case.incident(), Fleet::of(state));
        let slots = deciding(incident);
        let mut holds = self.silenced(fleet, incident, &slots);
        holds.extend(self.inhibited(fleet, incident, &slots));
        let held = |slot: &usize| holds.iter().any(|(_, slots)| slots.contains(slot));
        let left = slots.iter().copied().find(|slot| !held(slot));
        let total = slots.len() + case.overflow();
        for (suppression, _) in &mut holds {
            suppression.members_total = total as u64;
        }
        // What did not fit cannot be matched, so it is not held back.
        let wholly = !slots.is_empty() && left.is_none() && case.overflow() == 0;
        Verdict { holds, wholly, left }
    }

    fn silenced(
        &self,
        fleet: Fleet<'_>,
        incident: &Incident,
        slots: &[usize],
    ) -> Vec<(Suppression, Slots)> {
        let active = self.active.iter().filter_map(|id| self.orders.get(id));
        let mut holds = Vec::new();
        for order in active.filter(|order| order.critical || incident.severity != Severity::P1) {
            let taken =
                |slot: &&usize| order.takes(fleet.facts(incident, &incident.members[**slot]));
            let taken: Slots = slots.iter().filter(taken).copied().collect();
            if !taken.is_empty() {
                let Silence { author, reason, ends_at, .. } = &order.silence;
                let (author, reason, until) = (author.clone(), reason.clone(), Some(*ends_at));
                holds.push((suppression(order.holder(), author, reason, until, &taken), taken));
            }
        }
        holds
    }

    fn inhibited(
        &self,
        fleet: Fleet<'_>,
        incident: &Incident,
        slots: &[usize],
    ) -> Vec<(Suppression, Slots)> {
        if incident.severity == Severity::P1 {
            return Vec::new();
        }
        let mut by: BTreeMap<(usize, IncidentId), (String, Slots)> = BTreeMap::new();
        for slot in slots {
            let facts = fleet.facts(incident, &incident.members[*slot]);
            for (nth, rule) in self.rules.iter().enumerate() {
                if !all(&rule.target, facts) {
                    continue;
                }
                let found = rule.keys(facts).into_iter().find_map(|key| {
                    Some((self.index.inhibitor(nth, &key, incident.id)?, rule.told(&key)))
                });
                if let Some((source, same)) = found {
                    let reason = || (format!("{source} is active{same}"), Vec::new());
                    by.entry((nth, source)).or_insert_with(reason).1.push(*slot);
                }
            }
        }
        let hold = |((rule, incident), (reason, taken)): (_, (String, Slots))| {
            let rule: &super::Inhibition = &self.rules[rule];
            let holder = Holder::Inhibition { rule: rule.name.clone(), incident };
            (suppression(holder, String::new(), reason, None, &taken), taken)
        };
        by.into_iter().map(hold).collect()
    }

    /// The same in the words of the incident.
    pub(super) fn told(&self, case: &Case, verdict: &Verdict, now: Timestamp) -> Suppressed {
        let by: Vec<Suppression> = verdict.holds.iter().map(|(by, _)| by.clone()).collect();
        let ends = case.held().since.is_some() && !verdict.wholly;
        let released = if ends { self.released(case, verdict, now) } else { String::new() };
        Suppressed { by, wholly: verdict.wholly, released }
    }

    /// Why an incident is shown again: what held it back does not, or something came that is not.
    fn released(&self, case: &Case, verdict: &Verdict, now: Timestamp) -> String {
        let incident = case.incident();
        let holds = |by: &Holder| verdict.holds.iter().any(|(still, _)| still.by == *by);
        let gone = case.held().by.iter().find(|before| !holds(&before.by));
        let critical = incident.severity == Severity::P1;
        match (gone.map(|gone| &gone.by), verdict.left) {
            (Some(Holder::Inhibition { .. }), _) if critical => {
                "it is P1, which is never inhibited".to_owned()
            }
            (Some(Holder::Inhibition { rule, incident }), _) => {
                format!("{incident} does not hold it back any more (inhibition {rule})")
            }
            (Some(Holder::Silence { id } | Holder::Maintenance { id }), _) => {
                self.let_go(*id, critical, now)
            }
            (None, Some(left)) => {
                let member = &incident.members[left];
                format!("{} {} is not held back", place(member), member.rule)
            }
            (None, None) => "findings that did not fit cannot be matched".to_owned(),
        }
    }

    fn let_go(&self, id: SilenceId, critical: bool, now: Timestamp) -> String {
        let order = self.orders.get(&id).filter(|o| o.silence.state(now) == SilenceState::Active);
        let ended = self.orders.get(&id).and_then(|order| order.silence.ended.as_ref());
        match (order, ended) {
            (None, Some(ended)) => format!("{} ended {id}", ended.by),
            (None, None) => format!("the time of {id} is over"),
            (Some(order), _) if critical && !order.critical => {
                format!("it is P1, which {id} does not name")
            }
            (Some(_), _) => format!("nothing active of it is as {id} wants any more"),
        }
    }
}

fn suppression(
    by: Holder,
    author: String,
    reason: String,
    until: Option<Timestamp>,
    taken: &[usize],
) -> Suppression {
    let members_held = taken.len() as u64;
    Suppression { by, author, reason, until, members_held, members_total: 0 }
}
