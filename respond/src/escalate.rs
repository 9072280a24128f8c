//! Who is paged, when, and why: the handbook's matrix as data, and the state machine that climbs it.
//!
//! ```text
//!                      working hours begin
//!   ┌─────────┐ ──────────────────────────► ┌──────────┐  acknowledged   ┌──────────────┐
//!   │ waiting │                             │ climbing │ ──────────────► │ acknowledged │
//!   └─────────┘                             └──────────┘ ◄────────────── └──────────────┘
//!                                             │      ▲    it ends; worse;
//!                            nobody answered  ▼      │    a new failure domain
//!                            any round      ┌───────────┐
//!                                           │ exhausted │   worse, asked for: climbs again
//!                                           └───────────┘
//!   from each of them: held, mitigated, over; shown again, worse, reopened: climbs again
//! ```
//!
//! A *version* begins whenever earlier answers stop to count; an acknowledgement names the version
//! of its page, and one of an older version is noted and stops nothing. A *round* is one way up the
//! ladder; its number never comes again, so (incident, round, level, person) names a page for ever
//! and is what makes its delivery happen once.
//!
//! Nothing but [`Input::Tick`] fires timers: an answer that comes together with one wins. Every
//! decision is kept with its reason, also those not to page.

mod climb;
mod policy;
mod step;

use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::{IncidentId, PersonName, ServiceName, Severity};
use serde::{Deserialize, Serialize};

use crate::calendar::Calendar;
use crate::oncall::{Level, Override, Roster};
use crate::timer::Timers;

pub use policy::{Ladder, Pages, Policy, Rung};
pub use step::{Decision, Page, PageId, Silent, Step, Why};

/// Decisions that are kept of one incident; the oldest go first and are counted.
const DECISIONS_MAX: usize = 128;

/// What escalation goes by.
#[derive(Debug, Clone, Copy)]
pub struct Desk<'a> {
    /// Who is paged after how long.
    pub policy: &'a Policy,
    /// Who is on call.
    pub roster: &'a Roster,
    /// Who takes over.
    pub overrides: &'a [Override],
    /// When people are at work.
    pub calendar: &'a Calendar,
}

/// What escalation is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// There is an incident.
    Opened {
        /// How urgent it is.
        severity: Severity,
        /// By what all of it is held back, as people say it.
        held_by: Option<String>,
    },
    /// It is more or less urgent than it was.
    Severity(Severity),
    /// Somebody has taken it.
    Acknowledged {
        /// Who.
        by: String,
        /// The version of the page they answer, or that they saw.
        version: u32,
        /// Until when; `None` is as long as the policy says.
        until: Option<Timestamp>,
    },
    /// Something that fails by itself has joined it: a node, a rack, a zone, a service.
    DomainJoined(String),
    /// A person asks for a level.
    Jump {
        /// Which.
        to: Level,
        /// Who asks.
        by: String,
    },
    /// A page could not be delivered in any way.
    DeliveryFailed(PageId),
    /// All of it is held back.
    HeldBack {
        /// By what, as people say it.
        by: String,
    },
    /// It is not held back any more.
    ShownAgain,
    /// It does no harm any more, for now.
    Mitigated,
    /// It is over, or goes on as another.
    Resolved,
    /// It was over, and is not.
    Reopened {
        /// How urgent it is.
        severity: Severity,
        /// By what all of it is held back, as people say it.
        held_by: Option<String>,
    },
    /// Time has passed.
    Tick,
}

/// Who has taken an incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    /// Who.
    pub by: String,
    /// Until when.
    pub until: Timestamp,
}

/// What is done once an incident is shown again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Resume {
    /// People are paged.
    Climb,
    /// Somebody had taken it.
    Taken(Taken),
    /// It had been mitigated.
    Rest,
}

/// Where escalation stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Nothing was told yet.
    New,
    /// Working hours have to begin first.
    Waiting,
    /// People are paged.
    Climbing,
    /// Somebody has taken it.
    Acknowledged(Taken),
    /// Nobody answered, and nobody is left.
    Exhausted,
    /// It does no harm any more.
    Mitigated,
    /// It is held back.
    Held {
        /// By what.
        by: String,
        /// And then.
        resume: Resume,
    },
    /// It is over.
    Over,
}

/// A page of the present round.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Paged {
    person: PersonName,
    level: Level,
    failed: bool,
}

/// The escalation of one incident. Plain data: stored as it is, it goes on as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Escalation {
    incident: IncidentId,
    service: Option<ServiceName>,
    severity: Severity,
    version: u32,
    round: u32,
    /// Rounds of this version.
    tries: u32,
    round_began: Timestamp,
    /// When somebody was last paged on the way up.
    asked_at: Timestamp,
    reached: Option<Level>,
    phase: Phase,
    paged: Vec<Paged>,
    critical_since: Option<Timestamp>,
    management_told: bool,
    epoch: u32,
    timers: Timers,
    decisions: Vec<Decision>,
    decisions_dropped: u64,
}

impl Escalation {
    /// That of an incident, of which nothing was told yet.
    #[must_use]
    pub fn new(incident: IncidentId, service: Option<ServiceName>) -> Self {
        Self {
            incident,
            service,
            severity: Severity::P4,
            version: 0,
            round: 0,
            tries: 0,
            round_began: Timestamp::default(),
            asked_at: Timestamp::default(),
            reached: None,
            phase: Phase::New,
            paged: Vec::new(),
            critical_since: None,
            management_told: false,
            epoch: 0,
            timers: Timers::default(),
            decisions: Vec::new(),
            decisions_dropped: 0,
        }
    }

    /// Takes up what happened, and says what is to be done.
    pub fn apply(&mut self, input: Input, desk: Desk<'_>, now: Timestamp) -> Vec<Step> {
        climb::take_up(self, input, desk, now)
    }

    /// Where it stands.
    #[must_use]
    pub const fn phase(&self) -> &Phase {
        &self.phase
    }

    /// What an acknowledgement has to name to count.
    #[must_use]
    pub const fn version(&self) -> u32 {
        self.version
    }

    /// The highest level of this round.
    #[must_use]
    pub const fn reached(&self) -> Option<Level> {
        self.reached
    }

    /// Its timers that are set.
    #[must_use]
    pub const fn timers(&self) -> &Timers {
        &self.timers
    }

    /// What was decided, the oldest first.
    #[must_use]
    pub fn decisions(&self) -> &[Decision] {
        &self.decisions
    }

    /// Decisions that did not fit.
    #[must_use]
    pub const fn decisions_dropped(&self) -> u64 {
        self.decisions_dropped
    }

    /// Why somebody was paged, a decision each time.
    pub fn why_paged(&self, person: &PersonName) -> impl Iterator<Item = &Decision> {
        let of = |step: &Step| matches!(step, Step::Page(page) if page.id.person == *person);
        self.decisions.iter().filter(move |decision| of(&decision.step))
    }

    /// Why somebody or nobody was not paged.
    pub fn why_not_paged(&self) -> impl Iterator<Item = &Decision> {
        let silent = |step: &Step| matches!(step, Step::NotPaged { .. } | Step::Exhausted { .. });
        self.decisions.iter().filter(move |decision| silent(&decision.step))
    }
}

/// The same as [`Escalation::apply`], for those who keep the state before.
#[must_use]
pub fn next(
    state: &Escalation,
    input: Input,
    desk: Desk<'_>,
    now: Timestamp,
) -> (Escalation, Vec<Step>) {
    let mut state = state.clone();
    let steps = state.apply(input, desk, now);
    (state, steps)
}

#[cfg(test)]
mod tests;
