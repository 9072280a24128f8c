//! The work on one incident: its response clock, its escalation and its life, told the same things
//! in the same order. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use gpuwarden_proto::incident::Incident;
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::{DestinationName, IncidentId, ServiceName, Severity};
use gpuwarden_proto::work::{Actor, Command, Event, Expected, Level, Order, Stage};
use gpuwarden_respond::config::Settings;
use gpuwarden_respond::escalate::{self, Desk, Escalation, Page, PageId, Step};
use gpuwarden_respond::lifecycle::{Facts, Item, Lifecycle, Refusal, Terms, decide};
use gpuwarden_respond::oncall::Override;
use gpuwarden_respond::target::{self, Clock, Effect, Standing};
use gpuwarden_respond::timer::TimerWord;
use serde::{Deserialize, Serialize};

use super::tell::Talk;

/// Events that are kept of one incident; the oldest but for the first go first and are counted.
const HISTORY_MAX: usize = 500;

/// What holds for everybody: the settings, and who takes over.
#[derive(Debug, Clone, Copy)]
pub(super) struct Office<'a> {
    pub(super) settings: &'a Settings,
    pub(super) overrides: &'a [Override],
}

impl<'a> Office<'a> {
    fn desk(self) -> Desk<'a> {
        let Settings { policy, roster, calendar, .. } = self.settings;
        Desk { policy, roster, overrides: self.overrides, calendar }
    }

    fn clock(self) -> target::Terms<'a> {
        target::Terms { targets: &self.settings.targets, calendar: &self.settings.calendar }
    }

    fn life(self) -> Terms {
        self.settings.terms
    }
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Do {
    /// Somebody is to be told now.
    Page(Page),
    /// A word on a timer, to be written down.
    Timer(TimerWord),
    /// Those who were told before are told what is new.
    Tell(String),
    /// The same, but for those who only use what is broken.
    TellInside(String),
    /// They are told that it is over, and what ended it.
    Over(String),
}

/// What was known of the incident when it was last looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Seen {
    severity: Severity,
    held: bool,
    over: bool,
    /// What had failed by itself when somebody took it, or said that it did no harm.
    domains: BTreeSet<String>,
}

/// A page, and where it was tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Paged {
    pub(super) id: PageId,
    pub(super) tried: Vec<DestinationName>,
    pub(super) told: bool,
    pub(super) failed: bool,
}

/// The work on one incident. Plain data: stored as it is, it goes on as it was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Work {
    pub(super) clock: Clock,
    pub(super) escalation: Escalation,
    pub(super) life: Lifecycle,
    seen: Seen,
    /// Pages of the present time that it is open, by their step.
    pub(super) paged: BTreeMap<String, Paged>,
    /// Where something was told of it.
    pub(super) told: BTreeSet<DestinationName>,
    /// Things that were told so far; numbers the next.
    pub(super) tellings: u32,
    /// What is told by rule, by the rule's place in the settings.
    pub(super) talks: BTreeMap<usize, Talk>,
    pub(super) expected: Option<Expected>,
    pub(super) history: Vec<Event>,
    pub(super) history_dropped: u64,
}

impl Work {
    /// That on an incident that was just found.
    pub(super) fn open(
        incident: &Incident,
        service: Option<ServiceName>,
        office: Office<'_>,
        now: Timestamp,
    ) -> (Self, Vec<Do>) {
        let Incident { id, severity, .. } = *incident;
        let (clock, effects) = Clock::start(id, severity, now, office.clock(), now);
        let held = incident.held_since.is_some();
        let mut work = Self {
            clock,
            escalation: Escalation::new(id, service),
            life: Lifecycle::detected(id, now),
            seen: Seen { severity, held, over: false, domains: BTreeSet::new() },
            paged: BTreeMap::new(),
            told: BTreeSet::new(),
            tellings: 0,
            talks: BTreeMap::new(),
            expected: None,
            history: Vec::new(),
            history_dropped: 0,
        };
        let mut todo = done(effects);
        let reason = reason_of(incident);
        work.own(Command::Classify { severity, reason }, incident, office, now);
        if incident.held_since.is_some() {
            todo.extend(work.clock(target::Input::HeldBack, office, now));
        }
        let held_by = incident.held_since.map(|_| holder(incident));
        todo.extend(work.escalate(escalate::Input::Opened { severity, held_by }, office, now));
        (work, todo)
    }

    /// Which incident.
    #[must_use]
    pub fn id(&self) -> IncidentId {
        self.life.incident()
    }

    /// Where it stands.
    #[must_use]
    pub fn stage(&self) -> Stage {
        self.life.stage()
    }

    /// Whether something may yet come of it.
    #[must_use]
    pub fn is_live(&self) -> bool {
        !self.stage().is_final()
    }

    /// How its response clock stands.
    #[must_use]
    pub fn standing(&self) -> Standing {
        self.clock.standing()
    }

    /// When it is to be looked at again.
    pub(super) fn next_wake(&self) -> Option<Timestamp> {
        let timers = [self.clock.timers().next(), self.escalation.timers().next()];
        let talks = self.talks.values().filter_map(|talk| talk.next_at);
        timers.into_iter().flatten().chain(talks).min()
    }

    /// Takes up what has become of the incident since it was last looked at.
    pub(super) fn see(
        &mut self,
        incident: &Incident,
        domains: impl FnOnce() -> BTreeSet<String>,
        office: Office<'_>,
        now: Timestamp,
    ) -> Vec<Do> {
        let mut todo = Vec::new();
        if self.seen.over && incident.resolved_at.is_none() {
            todo.extend(self.reopened(incident, office, now));
        }
        let held = incident.held_since.is_some();
        if held != self.seen.held && incident.resolved_at.is_none() {
            todo.extend(self.hold(held, incident, office, now));
        }
        if incident.severity != self.seen.severity {
            todo.extend(self.regrade(incident, office, now));
        }
        if !self.seen.over && incident.resolved_at.is_some() {
            todo.extend(self.over(incident, office, now));
        } else if self.watches_domains() {
            todo.extend(self.widen(domains(), office, now));
        }
        todo
    }

    /// Whether a new failure domain would wake somebody.
    fn watches_domains(&self) -> bool {
        use escalate::Phase::{Acknowledged, Exhausted, Mitigated};
        matches!(self.escalation.phase(), Acknowledged(_) | Exhausted | Mitigated)
    }

    fn widen(&mut self, domains: BTreeSet<String>, office: Office<'_>, now: Timestamp) -> Vec<Do> {
        let new: Vec<String> = domains.difference(&self.seen.domains).take(2).cloned().collect();
        let Some(first) = new.first().cloned() else { return Vec::new() };
        self.seen.domains = domains;
        let more = if new.len() > 1 { " and others" } else { "" };
        let joined = escalate::Input::DomainJoined(format!("{first}{more}"));
        self.escalate(joined, office, now)
    }

    fn reopened(&mut self, incident: &Incident, office: Office<'_>, now: Timestamp) -> Vec<Do> {
        self.seen.over = false;
        self.seen.severity = incident.severity;
        self.seen.held = incident.held_since.is_some();
        self.paged.clear();
        let reason = last(incident, "reopened").unwrap_or("its findings are back").to_owned();
        if !self.own(Command::Reopen { reason: reason.clone() }, incident, office, now) {
            // Its life is over for good; what comes back is work again all the same.
            self.life = Lifecycle::detected(self.id(), now);
            let severity = incident.severity;
            self.own(Command::Classify { severity, reason }, incident, office, now);
        }
        let mut todo = self.clock(target::Input::Reopened, office, now);
        let held_by = incident.held_since.map(|_| holder(incident));
        let severity = incident.severity;
        todo.extend(self.escalate(escalate::Input::Reopened { severity, held_by }, office, now));
        todo.push(Do::Tell("it is back".to_owned()));
        todo
    }

    fn hold(
        &mut self,
        held: bool,
        incident: &Incident,
        office: Office<'_>,
        now: Timestamp,
    ) -> Vec<Do> {
        self.seen.held = held;
        let (clock, input) = if held {
            (target::Input::HeldBack, escalate::Input::HeldBack { by: holder(incident) })
        } else {
            (target::Input::ShownAgain, escalate::Input::ShownAgain)
        };
        let mut todo = self.clock(clock, office, now);
        todo.extend(self.escalate(input, office, now));
        todo
    }

    fn regrade(&mut self, incident: &Incident, office: Office<'_>, now: Timestamp) -> Vec<Do> {
        let (from, to) = (self.seen.severity, incident.severity);
        self.seen.severity = to;
        let reason = reason_of(incident);
        if to < from {
            self.own(Command::Regrade { to, reason: reason.clone() }, incident, office, now);
        }
        let mut todo = self.clock(target::Input::Severity(to), office, now);
        todo.extend(self.escalate(escalate::Input::Severity(to), office, now));
        let word = if to < from { "rose" } else { "fell" };
        todo.push(Do::Tell(format!("{word} from {from} to {to}: {reason}")));
        todo
    }

    fn over(&mut self, incident: &Incident, office: Office<'_>, now: Timestamp) -> Vec<Do> {
        self.seen.over = true;
        let text = last(incident, "resolved").unwrap_or("no finding is active any more").to_owned();
        let (command, clock, how) = match incident.merged_into {
            Some(into) => {
                let reason = last(incident, "merged").unwrap_or("they have one cause").to_owned();
                let how = format!("goes on as {into}");
                (Command::Merge { into, reason }, target::Input::Withdrawn, how)
            }
            None => {
                let reason = text.clone();
                (Command::Resolve { reason, force: false }, target::Input::Resolved, text)
            }
        };
        // What a person has ended already, also as no incident, is not ended again.
        if self.stage().is_open() {
            let order = Order { by: who_ended(incident), expected: None, command };
            drop(self.order(order, incident, office, now));
            self.schedule_review(incident, office, now);
        }
        let mut todo = self.clock(clock, office, now);
        todo.extend(self.escalate(escalate::Input::Resolved, office, now));
        self.talks.values_mut().for_each(|talk| talk.next_at = None);
        todo.push(Do::Over(how));
        todo
    }

    /// What was P1 or P2 is looked back upon an hour into the next business day, and in time.
    fn schedule_review(&mut self, incident: &Incident, office: Office<'_>, now: Timestamp) {
        if self.stage() == Stage::Resolved && self.life.needs_review() {
            let begins = office.settings.calendar.next_business_day(now).from;
            let latest = now.after(office.settings.terms.review_within);
            let at = begins.after(Duration::from_secs(3600)).min(latest);
            self.own(Command::ScheduleReview { at }, incident, office, now);
        }
    }

    /// Somebody has taken it.
    pub(super) fn acknowledge(
        &mut self,
        by: &str,
        until: Option<Timestamp>,
        domains: BTreeSet<String>,
        incident: &Incident,
        office: Office<'_>,
        now: Timestamp,
    ) -> Vec<Do> {
        let order = Order {
            by: Actor::Person(by.to_owned()),
            expected: None,
            command: Command::Acknowledge,
        };
        drop(self.order(order, incident, office, now));
        self.seen.domains = domains;
        let mut todo = self.clock(target::Input::Acknowledged, office, now);
        let version = self.escalation.version();
        let taken = escalate::Input::Acknowledged { by: by.to_owned(), version, until };
        todo.extend(self.escalate(taken, office, now));
        todo.push(Do::TellInside(format!("taken by {by}")));
        todo
    }

    /// A person's order that concerns this work alone.
    ///
    /// # Errors
    ///
    /// It is refused.
    pub(super) fn take(
        &mut self,
        order: Order,
        domains: BTreeSet<String>,
        incident: &Incident,
        office: Office<'_>,
        now: Timestamp,
    ) -> Result<Vec<Do>, Refusal> {
        let command = order.command.clone();
        self.order(order, incident, office, now)?;
        Ok(match command {
            Command::Mitigate { how } => {
                self.seen.domains = domains;
                let mut todo = self.escalate(escalate::Input::Mitigated, office, now);
                todo.push(Do::Tell(format!("mitigated: {how}")));
                todo
            }
            Command::Reopen { reason } => {
                let severity = incident.severity;
                let mut todo = self.clock(target::Input::Reopened, office, now);
                let input = escalate::Input::Reopened { severity, held_by: None };
                todo.extend(self.escalate(input, office, now));
                todo.push(Do::Tell(format!("opened again: {reason}")));
                todo
            }
            Command::Cancel { why, reason } => {
                let mut todo = self.clock(target::Input::Withdrawn, office, now);
                todo.extend(self.escalate(escalate::Input::Resolved, office, now));
                self.seen.over = true;
                todo.push(Do::Over(format!("no incident ({why}): {reason}")));
                todo
            }
            _ => Vec::new(),
        })
    }

    /// Somebody of a level is to be paged now.
    pub(super) fn jump(
        &mut self,
        to: Level,
        by: String,
        office: Office<'_>,
        now: Timestamp,
    ) -> Vec<Do> {
        self.escalate(escalate::Input::Jump { to, by }, office, now)
    }

    /// A page reached nobody.
    pub(super) fn not_delivered(
        &mut self,
        page: PageId,
        office: Office<'_>,
        now: Timestamp,
    ) -> Vec<Do> {
        self.escalate(escalate::Input::DeliveryFailed(page), office, now)
    }

    /// Somebody was told.
    pub(super) fn notified(
        &mut self,
        who: String,
        incident: &Incident,
        office: Office<'_>,
        now: Timestamp,
    ) {
        self.own(Command::Notify { who }, incident, office, now);
    }

    /// Whether those who use what is broken were told.
    pub(super) fn is_ticked_informed(&self) -> bool {
        self.life.checklist().get(Item::StakeholdersInformed).is_some()
    }

    /// Those who use what is broken were told.
    pub(super) fn informed(
        &mut self,
        whom: String,
        incident: &Incident,
        office: Office<'_>,
        now: Timestamp,
    ) {
        self.own(Command::Inform { whom }, incident, office, now);
    }

    /// Whether an order would be refused.
    ///
    /// # Errors
    ///
    /// It would.
    pub(super) fn may(
        &self,
        order: Order,
        incident: &Incident,
        settings: &Settings,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        decide(&self.life, order, &facts(incident), &settings.terms, now).map(drop)
    }

    /// Time has passed.
    pub(super) fn pass(&mut self, office: Office<'_>, now: Timestamp) -> Vec<Do> {
        let before = self.clock.standing();
        let mut todo = self.clock(target::Input::Tick, office, now);
        let standing = self.clock.standing();
        if standing > before {
            let text = format!("the time to respond is {}", spoken(standing));
            todo.push(Do::TellInside(text));
        }
        todo.extend(self.escalate(escalate::Input::Tick, office, now));
        todo
    }

    fn clock(&mut self, input: target::Input, office: Office<'_>, now: Timestamp) -> Vec<Do> {
        done(self.clock.apply(input, office.clock(), now))
    }

    fn escalate(&mut self, input: escalate::Input, office: Office<'_>, now: Timestamp) -> Vec<Do> {
        let steps = self.escalation.apply(input, office.desk(), now);
        let todo = steps.into_iter().filter_map(|step| match step {
            Step::Page(page) => Some(Do::Page(page)),
            Step::Timer(word) => Some(Do::Timer(word)),
            // The rest is kept among its decisions.
            _ => None,
        });
        todo.collect()
    }

    /// What we ourselves observed. Says whether it had a meaning.
    fn own(
        &mut self,
        command: Command,
        incident: &Incident,
        office: Office<'_>,
        now: Timestamp,
    ) -> bool {
        let order = Order { by: Actor::Gpuwarden, expected: None, command };
        self.order(order, incident, office, now).is_ok()
    }

    fn order(
        &mut self,
        order: Order,
        incident: &Incident,
        office: Office<'_>,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let events = self.life.take(order, &facts(incident), &office.life(), now)?;
        for event in events {
            if self.history.len() >= HISTORY_MAX {
                self.history.remove(1);
                self.history_dropped += 1;
            }
            self.history.push(event);
        }
        Ok(())
    }
}

fn done(effects: Vec<Effect>) -> Vec<Do> {
    let timer = |effect| match effect {
        Effect::Timer(word) => Some(Do::Timer(word)),
        Effect::Stands(_) | Effect::Answered(_) => None,
    };
    effects.into_iter().filter_map(timer).collect()
}

/// What the correlator knows. A merged incident's members are active elsewhere.
fn facts(incident: &Incident) -> Facts {
    let over = incident.resolved_at.is_some();
    let mut active = incident.members.iter().filter(|m| m.cleared_at.is_none() && !over);
    let first = active.clone().next().map(|member| member.summary.clone());
    Facts { active: active.by_ref().count(), first: first.unwrap_or_default() }
}

fn reason_of(incident: &Incident) -> String {
    match incident.severity_reason.as_str() {
        "" => "as its findings say".to_owned(),
        reason => reason.to_owned(),
    }
}

/// By what all of it is held back, as people say it.
fn holder(incident: &Incident) -> String {
    let first = incident.suppressed_by.first();
    first.map_or_else(|| "a silence".to_owned(), ToString::to_string)
}

/// The newest line of such a kind.
fn last<'a>(incident: &'a Incident, kind: &str) -> Option<&'a str> {
    let line = incident.timeline.iter().rev().find(|line| line.kind == kind)?;
    (!line.text.is_empty()).then_some(line.text.as_str())
}

fn who_ended(incident: &Incident) -> Actor {
    let ended = incident.timeline.iter().rev().find(|l| l.kind == "resolved" || l.kind == "merged");
    match ended.map(|line| line.actor.as_str()) {
        None | Some("gpuwarden") => Actor::Gpuwarden,
        Some(person) => Actor::Person(person.to_owned()),
    }
}

/// How the time to respond goes, as people say it.
pub(super) const fn spoken(standing: Standing) -> &'static str {
    match standing {
        Standing::InTime => "in time",
        Standing::AtRiskHalf => "half over",
        Standing::AtRiskFourFifths => "four fifths over",
        Standing::Breached => "over: nobody answered in time",
    }
}
