//! Members come and go: over, again, flapping, late; and with them the incident rests or goes on.

use std::sync::Arc;
use std::time::Duration;

use gpuwarden_proto::event::Finding;
use gpuwarden_proto::incident::Member;
use gpuwarden_proto::time::{Timestamp, spoken};
use gpuwarden_proto::vocab::{IncidentId, IncidentState, IncidentType, Severity};

use super::{Because, Case, Kind, Limits, SELF, place};

/// A member that is raised so often, never calm for [`CALM`] between, flaps.
const FLAPPING_RAISES: u32 = 4;
/// A member that stays as it is for so long is calm.
const CALM: Duration = Duration::from_secs(10 * 60);

impl Case {
    /// A cleared member is active again. Says whether that is news: of what flaps only the beginning
    /// and the end are.
    pub fn again(&mut self, slot: Option<usize>, finding: Finding, now: Timestamp) -> bool {
        self.active += 1;
        let mut news = true;
        if let Some(slot) = slot {
            let raised_at = finding.raised_at;
            self.refresh(slot, finding);
            let member = Arc::make_mut(&mut self.incident.members[slot]);
            let calm = raised_at.since(member.raised_at) > CALM;
            member.raises = if calm { 1 } else { member.raises.saturating_add(1) };
            member.cleared_at = None;
            member.raised_at = raised_at;
            news = !member.flapping;
            if news {
                member.flapping = member.raises >= FLAPPING_RAISES;
                let (kind, text) = if member.flapping {
                    (Kind::Flapping, flaps(member))
                } else {
                    (Kind::Again, format!("{} again: {}", place(member), member.summary))
                };
                self.tell(now, kind, SELF, text);
            }
        }
        self.awake(now);
        self.touch(now);
        news
    }

    /// A member is over. `why` is empty where the node said so itself. Says whether that is news.
    pub fn clear(&mut self, slot: Option<usize>, at: Timestamp, why: &str, now: Timestamp) -> bool {
        self.active = self.active.saturating_sub(1);
        let mut news = true;
        if let Some(member) = slot.and_then(|slot| self.incident.members.get_mut(slot)) {
            let member = Arc::make_mut(member);
            member.cleared_at = Some(at);
            news = !member.flapping;
            let text = match why {
                "" => format!("{} {} is over", place(member), member.rule),
                why => format!("{} {} is over: {why}", place(member), member.rule),
            };
            if news {
                self.tell(now, Kind::Cleared, SELF, text);
            }
        }
        self.rest(now);
        self.touch(now);
        news
    }

    /// Whether a member comes and goes.
    #[must_use]
    pub fn is_flapping(&self) -> bool {
        self.incident.members.iter().any(|member| member.flapping)
    }

    /// Members that have flapped and are calm now. Says whether there were any.
    pub fn calm(&mut self, now: Timestamp) -> bool {
        let calm = |member: &&mut Arc<Member>| {
            let turned_at =
                member.cleared_at.map_or(member.raised_at, |at| at.max(member.raised_at));
            member.flapping && now.since(turned_at) >= CALM
        };
        let mut told = Vec::new();
        for member in self.incident.members.iter_mut().filter(calm) {
            let member = Arc::make_mut(member);
            member.flapping = false;
            let (is, so_long) =
                (if member.cleared_at.is_none() { "active" } else { "over" }, spoken(CALM));
            let (at, raises) = (place(member), member.raises);
            told.push(format!(
                "{at} {} flaps no more: {is} for {so_long}, after it was raised {raises} times",
                member.rule
            ));
        }
        let any = !told.is_empty();
        told.into_iter().for_each(|text| self.tell(now, Kind::Calm, SELF, text));
        if any {
            self.touch(now);
        }
        any
    }

    pub(super) fn rest(&mut self, now: Timestamp) {
        if self.active == 0 && self.enter(IncidentState::Quiet) {
            self.quiet_since = Some(now);
            if !self.is_flapping() {
                self.tell(now, Kind::Quiet, SELF, "no member is active any more".to_owned());
            }
        }
    }

    /// Resolves when it has been quiet for long enough and nothing flaps. Says whether it has.
    pub fn settle(&mut self, quiet_period: Duration, now: Timestamp) -> bool {
        let rested = self.quiet_since.is_some_and(|since| now.since(since) >= quiet_period);
        let done = rested && self.active == 0 && !self.is_flapping();
        if !done || !self.enter(IncidentState::Resolved) {
            return false;
        }
        self.incident.resolved_at = Some(now);
        self.tell(now, Kind::Resolved, SELF, format!("quiet for {}", spoken(quiet_period)));
        self.touch(now);
        true
    }

    pub(super) fn awake(&mut self, now: Timestamp) {
        self.quiet_since = None;
        let to = match self.incident.acknowledged_by {
            Some(_) => IncidentState::Acknowledged,
            None => IncidentState::Open,
        };
        if self.incident.state == IncidentState::Quiet && self.enter(to) && !self.is_flapping() {
            self.tell(now, Kind::Reopened, SELF, "a member is active again".to_owned());
        }
    }

    /// What was over goes on. Who had taken it is asked anew.
    pub fn reopen(&mut self, now: Timestamp) {
        let Some(end) = self.incident.resolved_at else { return };
        if self.enter(IncidentState::Open) {
            self.incident.resolved_at = None;
            self.incident.acknowledged_by = None;
            let text = format!("the same again {} after it was over", spoken(now.since(end)));
            self.tell(now, Kind::Reopened, SELF, text);
            self.touch(now);
        }
    }

    /// Adds a member that was over before it was told. `None` when it is counted only.
    pub fn join_late(&mut self, member: Member, now: Timestamp) -> Option<usize> {
        let text = late(&member, now);
        let room = self.incident.members.len() < self.limits.members;
        self.incident.opened_at = self.incident.opened_at.min(member.raised_at);
        self.touch(now);
        if !room {
            self.incident.members_dropped += 1;
            return None;
        }
        self.incident.members.push(Arc::new(member));
        self.tell(now, Kind::Late, SELF, text);
        self.entitle();
        Some(self.incident.members.len() - 1)
    }

    /// An incident that was over before it was told: there is nothing to be done about it.
    #[must_use]
    pub fn open_over(
        id: IncidentId,
        late_cause: Member,
        kind: Because<IncidentType>,
        severity: Because<Severity>,
        limits: Limits,
        now: Timestamp,
    ) -> Self {
        let text = late(&late_cause, now);
        let mut case = Self::open(id, late_cause, kind, severity, limits, now);
        case.active = 0;
        case.tell(now, Kind::Late, SELF, text);
        if case.enter(IncidentState::Resolved) {
            case.incident.resolved_at = Some(now);
            case.tell(now, Kind::Resolved, SELF, "it was over before it was told".to_owned());
        }
        case
    }

    /// A member that was told late was over earlier than was known. Says whether that is so.
    pub fn ended_before(&mut self, slot: usize, at: Timestamp, now: Timestamp) -> bool {
        let Some(member) = self.incident.members.get_mut(slot) else { return false };
        let earlier = member.cleared_at.is_some_and(|known| at < known) && at >= member.raised_at;
        if earlier {
            let member = Arc::make_mut(member);
            member.cleared_at = Some(at);
            self.touch(now);
        }
        earlier
    }
}

fn flaps(member: &Member) -> String {
    format!(
        "{} {} flaps: raised {} times, never calm for {} between; told again when it is",
        place(member),
        member.rule,
        member.raises,
        spoken(CALM)
    )
}

fn late(member: &Member, now: Timestamp) -> String {
    let age = spoken(now.since(member.raised_at));
    format!(
        "{} {} came {age} late: {} ({})",
        place(member),
        member.rule,
        member.summary,
        member.reason
    )
}
