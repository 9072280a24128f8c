//! The life of an incident over the whole product: each state it can be in, by each way there, times
//! each thing that can happen to it.

use std::collections::{BTreeMap, BTreeSet};

use gpuwarden_proto::vocab::{EntityKind, IncidentState};

use super::*;

/// What can happen to an incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Happening {
    Acknowledge,
    Note,
    Resolve,
    ResolveWithForce,
    Join,
    JoinOver,
    Refresh,
    Again,
    Clear,
    ClearUnlisted,
    Promote,
    Widen,
    Raise,
    Part,
    Merge,
    Settle,
    SettleLater,
    Reopen,
    JoinLate,
    EndedBefore,
    Calm,
}

const ALL: &[Happening] = {
    use Happening::*;
    &[
        Acknowledge,
        Note,
        Resolve,
        ResolveWithForce,
        Join,
        JoinOver,
        Refresh,
        Again,
        Clear,
        ClearUnlisted,
        Promote,
        Widen,
        Raise,
        Part,
        Merge,
        Settle,
        SettleLater,
        Reopen,
        JoinLate,
        EndedBefore,
        Calm,
    ]
};

/// Lets it happen, where the owner of an incident would: what is over is out of its hands.
fn happen(case: &mut Case, what: Happening, second: u64) {
    use Happening::*;
    let now = at(second);
    let over = case.incident().resolved_at.is_some();
    let finding = || finding(Phase::Raised, &["latency-high", "bert"], now);
    let active = case.incident().members.iter().position(|m| m.cleared_at.is_none());
    let cleared = case.incident().members.iter().position(|m| m.cleared_at.is_some());
    let parts = case.incident().members.len() > 1;
    match what {
        Acknowledge => drop(case.command(Command::Acknowledge { by: by("ann") }, now)),
        Note => {
            let (by, text) = (by("ann"), "looking".to_owned());
            drop(case.command(Command::Note { by, text }, now));
        }
        Resolve => drop(case.command(resolve("over", false), now)),
        ResolveWithForce => drop(case.command(resolve("known", true), now)),
        Settle => {
            let _ = case.settle(std::time::Duration::ZERO, now);
        }
        SettleLater => {
            let _ = case.settle(std::time::Duration::from_secs(1_000_000), now);
        }
        Reopen if over && case.incident().merged_into.is_none() => {
            let forced = active.is_some();
            if !forced {
                case.reopen(now);
                case.again(Some(0), finding(), now);
            }
        }
        JoinLate => {
            let mut late =
                member(Some(node("node-c")), finding(), crate::incident::Belongs::first());
            late.cleared_at = Some(now);
            let _ = case.join_late(late, now);
        }
        EndedBefore => {
            let _ = cleared.map(|slot| case.ended_before(slot, at(0), now));
        }
        Calm => {
            let _ = case.calm(at(second + 1000));
        }
        Merge => drop(case.merge_into(IncidentId(2), "a test", now)),
        _ if over => {}
        Join | JoinOver => {
            let mut member =
                member(Some(node("node-b")), finding(), crate::incident::Belongs::first());
            member.cleared_at = (what == JoinOver).then_some(now);
            let _ = case.join(member, now);
        }
        Refresh => {
            if let Some(slot) = active {
                let _ = case.refresh(slot, finding());
                case.refreshed(now);
            }
        }
        Again => {
            if let Some(slot) = cleared {
                case.again(Some(slot), finding(), now);
            }
        }
        Clear | ClearUnlisted => {
            if let Some(slot) = active {
                let why = if what == Clear { "" } else { "the node no longer lists it" };
                case.clear(Some(slot), now, why, now);
            }
        }
        Promote => case.promote(0, because(IncidentType::GpuOom), now),
        Reopen => {}
        Widen => {
            let rack = gpuwarden_proto::entity::Entity::fleet(EntityKind::Rack, "r1");
            case.widen(rack, RuleId::NodeLost, "a test", now);
        }
        Raise => case.raise(Severity::P1, || "a test".to_owned(), now),
        Part => {
            if parts {
                drop(case.part(&BTreeSet::from([0]), IncidentId(3), "a test", now));
            }
        }
    }
}

/// What tells cases apart as far as their life goes.
fn kind(case: &Case) -> (IncidentState, bool, usize, usize, bool) {
    let incident = case.incident();
    let members = incident.members.len();
    let taken = incident.acknowledged_by.is_some();
    (incident.state, taken, case.active(), members, incident.merged_into.is_some())
}

#[test]
fn whatever_happens_in_whatever_state_only_legal_ways_are_taken() {
    let mut known = BTreeMap::from([(kind(&case()), (case(), 0))]);
    let mut new: Vec<_> = known.keys().copied().collect();
    let mut taken: BTreeSet<String> = BTreeSet::new();
    let mut steps = 0;
    while let Some(next) = new.pop() {
        let (from, second) = known[&next].clone();
        for what in ALL {
            let mut case = from.clone();
            happen(&mut case, *what, second + 1);
            steps += 1;
            let (before, after) = (from.incident(), case.incident());
            if before.state != after.state {
                assert!(legal(before.state, after.state), "{what:?}: {next:?}");
                taken.insert(format!("{}>{}", before.state, after.state));
            }
            if before.resolved_at.is_some() && *what != Happening::Reopen {
                assert_eq!(before.resolved_at, after.resolved_at, "over twice by {what:?}");
                let told_late = matches!(what, Happening::JoinLate | Happening::EndedBefore);
                assert!(told_late || before.members == after.members, "{what:?} after the end");
            }
            assert_eq!(after.state == IncidentState::Resolved, after.resolved_at.is_some());
            if after.resolved_at.is_none() {
                let active = after.members.iter().filter(|m| m.cleared_at.is_none()).count();
                assert_eq!(case.active(), active + case.overflow(), "{what:?}: {next:?}");
                let quiet = after.state == IncidentState::Quiet;
                assert_eq!(quiet, case.active() == 0, "{what:?}: {next:?}");
            }
            let to = kind(&case);
            // Members that do not fit are counted; so many tell all there is to see.
            if to.2 <= 4 && !known.contains_key(&to) {
                known.insert(to, (case, second + 1));
                new.push(to);
            }
        }
    }
    let legal: BTreeSet<String> = IncidentState::ALL
        .iter()
        .flat_map(|from| IncidentState::ALL.iter().map(move |to| (*from, *to)))
        .filter(|(from, to)| legal(*from, *to))
        .map(|(from, to)| format!("{from}>{to}"))
        .collect();
    assert_eq!(taken, legal, "each legal way is taken by something");
    assert!(steps >= known.len() * ALL.len());
}
