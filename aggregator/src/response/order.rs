//! What people ask of the work on an incident. Pure.

use std::sync::Arc;

use gpuwarden_proto::incident::Incident;
use gpuwarden_proto::oncall::TakeOver;
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::{IncidentId, PersonName, ScheduleName};
use gpuwarden_proto::work::{Actor, Ask, Command, Expected, Order, Stage};
use gpuwarden_respond::lifecycle::Refusal;
use gpuwarden_respond::oncall::Override;
use thiserror::Error;

use super::work::{Do, Office};
use super::{Response, World, domain};

/// People who may take over at one time.
const OVERRIDES_MAX: usize = 500;

/// Why nothing was done.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum WorkError {
    /// There is no such incident, or nothing is left to do about it.
    #[error("there is no work on {0}: it is unknown, closed, merged or cancelled")]
    Unknown(IncidentId),
    /// It has no meaning now.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// It names what does not exist, or lies in the past.
    #[error("{0}")]
    Bad(String),
}

impl Response {
    /// Carries out what a person asks of the work on one incident.
    ///
    /// # Errors
    ///
    /// It is refused, with what would do.
    pub fn order(
        &mut self,
        id: IncidentId,
        by: String,
        expected: Option<u64>,
        ask: Ask,
        world: World<'_>,
    ) -> Result<(), WorkError> {
        let Some(incident) = (world.incident)(id) else { return Err(WorkError::Unknown(id)) };
        if by.is_empty() {
            return Err(Refusal::Missing("the name of who asks (`by`)").into());
        }
        let todo = match ask {
            Ask::Command(command) => {
                let order = Order { by: Actor::Person(by), expected, command };
                self.command(id, order, &incident, world)?
            }
            Ask::Escalate(to) => {
                let settings = Arc::clone(&self.settings);
                let office = Office { settings: &settings.respond, overrides: &self.overrides };
                let work = self.works.get_mut(&id).ok_or(WorkError::Unknown(id))?;
                work.jump(to, by, office, world.now)
            }
            Ask::Expect(at) => self.expect(id, by, at, world.now)?,
        };
        self.carry_out(id, todo, &incident, world);
        self.touch(id);
        self.hear_of_the_dead(world);
        Ok(())
    }

    fn command(
        &mut self,
        id: IncidentId,
        order: Order,
        incident: &Incident,
        world: World<'_>,
    ) -> Result<Vec<Do>, WorkError> {
        let settings = Arc::clone(&self.settings);
        let office = Office { settings: &settings.respond, overrides: &self.overrides };
        let work = self.works.get_mut(&id).ok_or(WorkError::Unknown(id))?;
        let domains = domain::of(incident, world.graph);
        Ok(work.take(order, domains, incident, office, world.now)?)
    }

    fn expect(
        &mut self,
        id: IncidentId,
        by: String,
        at: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Vec<Do>, WorkError> {
        let work = self.works.get_mut(&id).ok_or(WorkError::Unknown(id))?;
        if !work.stage().is_open() {
            return Err(WorkError::Bad(format!("{id} is {}: nothing is waited for", work.stage())));
        }
        if let Some(at) = at.filter(|at| *at <= now) {
            return Err(WorkError::Bad(format!("{at} is over: say when {id} will be over")));
        }
        work.expected = at.map(|at| Expected { at, by, said_at: now });
        let news = match at {
            Some(at) => format!("expected to be over {at}"),
            None => "nobody knows any more when it will be over".to_owned(),
        };
        Ok(vec![Do::Tell(news)])
    }

    /// Somebody has taken an incident.
    pub fn acknowledged(
        &mut self,
        id: IncidentId,
        by: &str,
        until: Option<Timestamp>,
        world: World<'_>,
    ) {
        let Some(incident) = (world.incident)(id) else { return };
        self.see(&incident, world);
        let settings = Arc::clone(&self.settings);
        let office = Office { settings: &settings.respond, overrides: &self.overrides };
        let domains = domain::of(&incident, world.graph);
        let Some(work) = self.works.get_mut(&id) else { return };
        let todo = work.acknowledge(by, until, domains, &incident, office, world.now);
        self.carry_out(id, todo, &incident, world);
        self.touch(id);
        self.hear_of_the_dead(world);
    }

    /// Whether an order would be refused, before anything else is done for it.
    ///
    /// # Errors
    ///
    /// It would.
    pub fn may(
        &self,
        id: IncidentId,
        by: &str,
        expected: Option<u64>,
        command: Command,
        incident: &Incident,
        now: Timestamp,
    ) -> Result<(), WorkError> {
        let work = self.works.get(&id).ok_or(WorkError::Unknown(id))?;
        let order = Order { by: Actor::Person(by.to_owned()), expected, command };
        Ok(work.may(order, incident, &self.settings.respond, now)?)
    }

    /// Somebody takes over for a time.
    ///
    /// # Errors
    ///
    /// There is no such schedule or person, or it is over already.
    pub fn take_over(&mut self, asked: TakeOver, now: Timestamp) -> Result<(), WorkError> {
        let TakeOver { schedule, who, from, to, by } = asked;
        let from = from.unwrap_or(now);
        let asked = Override { schedule, who, from, to, by, made_at: now };
        let roster = &self.settings.respond.roster;
        let bad = |text: String| Err(WorkError::Bad(text));
        if !roster.schedules.contains_key(&asked.schedule) {
            let known: Vec<&str> = roster.schedules.keys().map(ScheduleName::as_str).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            return bad(format!("there is no schedule {} (there are: {known})", asked.schedule));
        }
        if !roster.people.contains_key(&asked.who) {
            let known: Vec<&str> = roster.people.keys().map(PersonName::as_str).collect();
            return bad(format!(
                "nobody is called {} (there are: {})",
                asked.who,
                known.join(", ")
            ));
        }
        if asked.to <= now || asked.to <= asked.from {
            return bad(format!("it would end {} and must end after it begins", asked.to));
        }
        self.overrides.retain(|each| each.to > now);
        if self.overrides.len() >= OVERRIDES_MAX {
            return bad(format!("there are {OVERRIDES_MAX} overrides already"));
        }
        self.overrides.push(asked);
        self.changed.overrides.clone_from(&self.overrides);
        Ok(())
    }

    /// The stage of the work on an incident, where there is any.
    #[must_use]
    pub fn stage(&self, id: IncidentId) -> Option<Stage> {
        self.works.get(&id).map(super::Work::stage)
    }
}
