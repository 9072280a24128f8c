//! The work on an incident as people see it. Pure.

use gpuwarden_notify::delivery::{Row, State};
use gpuwarden_proto::incident::TimelineEntry;
use gpuwarden_proto::oncall::OnCall;
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::IncidentId;
use gpuwarden_proto::work::checklist::Item;
use gpuwarden_proto::work::{self, CheckBox, Level, Notice, Phase};
use gpuwarden_respond::escalate::{self, Step};

use super::{Response, Work};

/// Notifications of one incident that are shown, the newest.
const NOTICES_MAX: usize = 200;
/// Hand-overs that are shown.
const HAND_OVERS: usize = 3;

impl Response {
    /// The work on one incident, where it is at hand.
    #[must_use]
    pub fn shown(&self, id: IncidentId) -> Option<work::Work> {
        let work = self.works.get(&id)?;
        let rows: Vec<&Row> = self.outbox.rows().filter(|row| row.key.incident == id).collect();
        let skip = rows.len().saturating_sub(NOTICES_MAX);
        let notices = rows.into_iter().skip(skip).map(notice).collect();
        Some(work::Work { notices, ..work.shown() })
    }

    /// All that is not closed: what is open first, the most urgent of it first, then what waits for
    /// its review or its actions.
    #[must_use]
    pub fn list(&self) -> Vec<work::Work> {
        let mut works: Vec<&Work> = self.works.values().collect();
        works.sort_by_key(|work| (!work.stage().is_open(), work.life.severity(), work.id()));
        works.into_iter().map(Work::shown).collect()
    }

    /// Who is on call in each schedule.
    #[must_use]
    pub fn on_call(&self, now: Timestamp) -> Vec<OnCall> {
        let roster = &self.settings.respond.roster;
        let of = |schedule: &gpuwarden_respond::oncall::Schedule| {
            let answers =
                |level: &Level| roster.schedules_of(*level, None).contains(&schedule.name);
            let shift = schedule.on(&self.overrides, now);
            let next = schedule.hand_overs(&self.overrides, now, HAND_OVERS);
            OnCall {
                schedule: schedule.name.clone(),
                levels: Level::ALL.into_iter().filter(answers).collect(),
                sentence: shift.sentence(&schedule.zone),
                next: next.iter().map(|each| each.sentence(&schedule.zone)).collect(),
                until: shift.to,
                who: shift.who,
            }
        };
        roster.schedules.values().map(of).collect()
    }
}

impl Work {
    /// As people see it, without what was told to whom.
    #[must_use]
    pub fn shown(&self) -> work::Work {
        let Self { clock, escalation, life, .. } = self;
        work::Work {
            incident: life.incident(),
            stage: life.stage(),
            version: life.version(),
            severity: life.severity(),
            worst: life.worst(),
            owner: life.owner().map(ToOwned::to_owned),
            respond_by: clock.due(),
            standing: clock.standing(),
            paging: phase(escalation.phase()),
            reached: escalation.reached(),
            next_page_at: escalation.timers().next(),
            expected_over: self.expected.clone(),
            detected_at: life.detected_at(),
            mitigated_at: life.mitigated_at(),
            resolved_at: life.resolved_at(),
            review_at: life.review_at(),
            root_cause: life.root_cause().map(ToOwned::to_owned),
            checklist: Item::ALL.into_iter().map(|item| self.check_box(item)).collect(),
            actions: life.actions().to_vec(),
            reopened: life.reopened(),
            history: self.told_history(),
            notices: Vec::new(),
        }
    }

    fn check_box(&self, item: Item) -> CheckBox {
        let tick = self.life.checklist().get(item);
        CheckBox {
            item,
            needed: item.is_needed(self.life.worst()),
            ticked_at: tick.map(|tick| tick.at),
            proof: tick.map_or_else(String::new, |tick| tick.proof.to_string()),
        }
    }

    /// Events of its life and decisions of escalation, in order.
    fn told_history(&self) -> Vec<TimelineEntry> {
        let event = |event: &work::Event| TimelineEntry {
            at: event.at,
            kind: event.what.as_str().to_owned(),
            actor: event.by.clone(),
            text: event.what.to_string(),
        };
        let decision = |decision: &escalate::Decision| TimelineEntry {
            at: decision.at,
            kind: word(&decision.step).to_owned(),
            actor: "gpuwarden".to_owned(),
            text: decision.step.to_string(),
        };
        // That it was taken escalation tells, with until when.
        let told = |event: &&work::Event| event.what != work::What::Acknowledged;
        let decisions = self.escalation.decisions().iter().map(decision);
        let mut all: Vec<TimelineEntry> =
            decisions.chain(self.history.iter().filter(told).map(event)).collect();
        all.sort_by_key(|line| (line.at, line.kind != "classified"));
        all
    }
}

fn word(step: &Step) -> &'static str {
    match step {
        Step::Page(_) => "paged",
        Step::NotPaged { .. } => "not-paged",
        Step::Exhausted { .. } => "exhausted",
        Step::Acknowledged { .. } => "taken",
        Step::LateAcknowledgement { .. } => "late",
        Step::NotDelivered(_) => "not-delivered",
        Step::Timer(_) => "timer",
    }
}

fn phase(phase: &escalate::Phase) -> Phase {
    match phase {
        // Nothing was told of what was over before anybody could be.
        escalate::Phase::New | escalate::Phase::Over => Phase::Over,
        escalate::Phase::Waiting => Phase::Waiting,
        escalate::Phase::Climbing => Phase::Climbing,
        escalate::Phase::Acknowledged(taken) => {
            Phase::Acknowledged { by: taken.by.clone(), until: taken.until }
        }
        escalate::Phase::Exhausted => Phase::Exhausted,
        escalate::Phase::Mitigated => Phase::Mitigated,
        escalate::Phase::Held { by, .. } => Phase::Held { by: by.clone() },
    }
}

fn notice(row: &Row) -> Notice {
    let (state, fault) = match &row.state {
        State::Waiting => ("waiting", row.fault.clone()),
        State::Sent => ("sent", String::new()),
        State::Told { .. } => ("told", String::new()),
        State::Superseded { by, .. } => ("superseded", format!("by {by}")),
        State::Dead { why, .. } => ("dead", why.clone()),
    };
    Notice {
        at: row.asked_at,
        destination: row.key.destination.to_string(),
        kind: row.message.kind.to_string(),
        state: state.to_owned(),
        fault,
    }
}
