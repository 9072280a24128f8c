//! What people say about what belongs together and what does not. It outweighs all evidence. Pure.

use std::collections::BTreeSet;

use gpuwarden_proto::incident::{Member, Tie};
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::{IncidentId, NodeId, TieKind};

use super::{State, Touched};
use crate::classify::of_cause;
use crate::incident::{Because, Case, Command, Kind, Refusal};
use crate::node::{Key, Place};

impl State {
    /// Whether a person's word can be carried out.
    ///
    /// # Errors
    ///
    /// The refusal says why not.
    pub fn may(&self, id: IncidentId, command: &Command) -> Result<(), Refusal> {
        let known = self.cases.get(&id).or_else(|| self.resting.get(id));
        known.ok_or(Refusal::Unknown(id))?.may(command)?;
        match command {
            Command::Merge { into, .. } if *into == id => Err(Refusal::Itself(id)),
            Command::Merge { into, .. } => {
                let over = self.resting.get(*into).and_then(|case| case.incident().resolved_at);
                match (self.cases.contains_key(into), over) {
                    (true, _) => Ok(()),
                    (false, Some(at)) => Err(Refusal::Over { id: *into, at }),
                    (false, None) => Err(Refusal::Unknown(*into)),
                }
            }
            _ => Ok(()),
        }
    }

    /// Carries out a person's word. Gives the incident that is to be shown: its own, the one that it
    /// went on as, or the new one.
    ///
    /// # Errors
    ///
    /// The refusal says why nothing was done.
    pub fn command(
        &mut self,
        now: Timestamp,
        id: IncidentId,
        command: Command,
        touched: &mut Touched,
    ) -> Result<IncidentId, Refusal> {
        self.may(id, &command)?;
        match command {
            Command::Merge { by, into, reason } => {
                self.merge_as_told(now, id, into, &by, &reason, touched);
                Ok(into)
            }
            Command::Split { by, members, reason } => {
                Ok(self.split_as_told(now, id, &members, &by, &reason, touched))
            }
            command => self.carry_out(now, id, command, touched).map(|()| id),
        }
    }

    fn carry_out(
        &mut self,
        now: Timestamp,
        id: IncidentId,
        command: Command,
        touched: &mut Touched,
    ) -> Result<(), Refusal> {
        if let Some(case) = self.resting.get_mut(id) {
            case.command(command, now)?;
            touched.is_over(case);
            return Ok(());
        }
        let case = self.cases.get_mut(&id).ok_or(Refusal::Unknown(id))?;
        case.command(command, now)?;
        touched.change(id);
        if case.incident().resolved_at.is_some() {
            self.retire(id, touched);
        }
        Ok(())
    }

    fn merge_as_told(
        &mut self,
        now: Timestamp,
        from: IncidentId,
        into: IncidentId,
        by: &str,
        reason: &str,
        touched: &mut Touched,
    ) {
        if let Some(case) = self.cases.get_mut(&into) {
            case.be_apart_no_more(from);
        }
        if let Some(case) = self.cases.get_mut(&from) {
            case.be_apart_no_more(into);
            case.tie_all(Tie { kind: TieKind::Person, weight: 1.0 });
        }
        self.merge(now, from, into, &format!("{by} says so: {reason}"), touched);
    }

    fn split_as_told(
        &mut self,
        now: Timestamp,
        from: IncidentId,
        members: &[u32],
        by: &str,
        reason: &str,
        touched: &mut Touched,
    ) -> IncidentId {
        let slots: BTreeSet<usize> =
            members.iter().map(|number| (*number as usize).saturating_sub(1)).collect();
        let into = IncidentId(self.next_id);
        let reason = format!("{by} says so: {reason}");
        let Some(case) = self.cases.get_mut(&from) else { return from };
        let out = case.part(&slots, into, &reason, now);
        case.be_apart(into);
        if case.active() == 0 {
            self.quiet.insert(from);
        }
        self.replace(from);
        self.find_anew(from);
        self.unranked.insert(from);
        touched.change(from);
        self.open_split(now, from, out, &reason, touched);
        into
    }

    /// Opens the incident of members that were taken out of another.
    fn open_split(
        &mut self,
        now: Timestamp,
        from: IncidentId,
        out: Vec<Member>,
        reason: &str,
        touched: &mut Touched,
    ) {
        let id = IncidentId(self.next_id);
        self.next_id += 1;
        let mut out = out.into_iter();
        let Some(first) = out.next() else { return };
        let (severity, ground) = self.assess(&first);
        let severity = Because { what: severity, reason: ground.to_string() };
        let (kind, limits) = (of_cause(&first), self.policy.limits);
        let mut case = Case::open_with(id, first, kind, severity, limits, now);
        case.remark(Kind::Split, format!("was part of {from}: {reason}"), now);
        case.be_apart(from);
        for member in out {
            let _ = case.join(member, now);
        }
        let members = case.incident().members.iter().enumerate();
        let places: Vec<_> = members.map(|(slot, member)| home(id, slot, member)).collect();
        let (active, members) = (case.active(), places.len());
        self.cases.insert(id, case);
        for (node, key, place) in places {
            self.resettle(node.as_ref(), key, place);
        }
        (0..members).for_each(|slot| {
            self.note_member(id, slot);
            self.grade(now, id, slot, touched);
        });
        if active == 0 {
            self.quiet.insert(id);
        }
        self.unranked.insert(id);
        touched.opened(id);
    }

    /// Whether no person has said that two incidents have different causes.
    pub(super) fn may_unite(&self, a: IncidentId, b: IncidentId) -> bool {
        let kept_apart = |from: IncidentId, other: IncidentId| {
            let case = self.cases.get(&from);
            case.is_some_and(|case| {
                case.incident().apart_from.iter().any(|each| self.merged.home(*each) == other)
            })
        };
        !kept_apart(a, b) && !kept_apart(b, a)
    }
}

/// Where a member of a new incident is at home.
fn home(id: IncidentId, slot: usize, member: &Member) -> (Option<NodeId>, Key, Place) {
    let key = (member.rule, member.subject.identity());
    let (active, raised_at) = (member.cleared_at.is_none(), member.raised_at);
    let place = Place { incident: id, slot: Some(slot), active, raised_at, settled: false };
    (member.node.clone(), key, place)
}
