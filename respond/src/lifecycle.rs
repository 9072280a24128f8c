//! An incident as people work on it, from detection to what was learned. Event-sourced: [`decide`]
//! makes events of a command or refuses it, [`Lifecycle::evolve`] is the only thing that assigns.
//!
//! ```text
//!  detected ─► classified ─► triaged ─► responding ─► mitigated
//!      │           │            │         │    ▲          │        any of these: merged, cancelled
//!      └───────────┴────────────┴────┬────┴────│──────────┘
//!                                    ▼         │ reopened, within the window
//!                                resolved ─────┤
//!                      P1, P2: must  │         │
//!                                    ▼         │
//!                  drafting ◄─► in-review ─────┤
//!                                    ▼         │
//!                                reviewed ─────┤
//!                                    ▼         │
//!                  P3, P4 too:   improving ────┘
//!                                    ▼
//!                                 closed
//! ```
//!
//! It stands beside the correlator's own state of an incident, which knows what is active; of that
//! it is told in [`Facts`]. Acknowledgement, escalation level and what is held back are no stages.

mod decide;
mod refusal;

use std::time::Duration;

use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::{IncidentId, Severity};
use serde::{Deserialize, Serialize};

pub use gpuwarden_proto::work::checklist::{Checklist, Item, Proof};
pub use gpuwarden_proto::work::{
    ActionItem, ActionKind, Actor, Command, Event, NotOne, Order, Stage, What,
};

pub use decide::decide;
pub use refusal::Refusal;

/// What the correlator knows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts {
    /// Members that are active.
    pub active: usize,
    /// One of them, in a few words; empty where none is.
    pub first: String,
}

/// How long people have for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// What is over is opened again within so long; later it is a new incident.
    pub reopen_within: Duration,
    /// The review is to be held within so long of the end.
    pub review_within: Duration,
}

impl Default for Terms {
    fn default() -> Self {
        let hours = |hours: u64| Duration::from_secs(hours * 3600);
        Self { reopen_within: hours(1) / 2, review_within: hours(48) }
    }
}

/// The work on one incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lifecycle {
    incident: IncidentId,
    stage: Stage,
    version: u64,
    severity: Severity,
    worst: Severity,
    owner: Option<String>,
    detected_at: Timestamp,
    mitigated_at: Option<Timestamp>,
    resolved_at: Option<Timestamp>,
    review_at: Option<Timestamp>,
    submitted_by: Option<String>,
    root_cause: Option<String>,
    checklist: Checklist,
    actions: Vec<ActionItem>,
    reopened: u32,
}

impl Lifecycle {
    /// An incident that was just detected. Its severity counts once it is classified.
    #[must_use]
    pub fn detected(incident: IncidentId, detected_at: Timestamp) -> Self {
        Self {
            incident,
            stage: Stage::Detected,
            version: 0,
            severity: Severity::P4,
            worst: Severity::P4,
            owner: None,
            detected_at,
            mitigated_at: None,
            resolved_at: None,
            review_at: None,
            submitted_by: None,
            root_cause: None,
            checklist: Checklist::default(),
            actions: Vec::new(),
            reopened: 0,
        }
    }

    /// Decides on an order and takes up what it makes happen.
    ///
    /// # Errors
    ///
    /// When it is refused; then nothing has changed.
    pub fn take(
        &mut self,
        order: Order,
        facts: &Facts,
        terms: &Terms,
        now: Timestamp,
    ) -> Result<Vec<Event>, Refusal> {
        let events = decide(self, order, facts, terms, now)?;
        for event in &events {
            self.evolve(event);
        }
        Ok(events)
    }

    /// Takes up what happened. The same events give the same state.
    pub fn evolve(&mut self, event: &Event) {
        self.version += 1;
        let at = event.at;
        match &event.what {
            What::Classified { severity, reason } => {
                self.grade(*severity);
                self.stage = Stage::Classified;
                self.prove(Item::SeverityAssigned, format!("{severity}: {reason}"), at);
            }
            What::SeverityChanged { to, .. } => self.grade(*to),
            What::Notified { who } => {
                if self.stage == Stage::Classified {
                    self.stage = Stage::Triaged;
                }
                self.prove(Item::OnCallNotified, format!("{who} was told"), at);
            }
            What::Informed { whom } => {
                self.prove(Item::StakeholdersInformed, format!("{whom} was told"), at);
            }
            What::Acknowledged => self.take_on(&event.by, at),
            What::RunbookStarted { runbook } => {
                self.respond();
                self.prove(Item::RunbookExecuted, format!("{runbook} was run"), at);
            }
            What::Mitigated { .. } => {
                (self.stage, self.mitigated_at) = (Stage::Mitigated, Some(at));
            }
            What::Resolved { .. } => (self.stage, self.resolved_at) = (Stage::Resolved, Some(at)),
            What::Reopened { .. } => self.reopen(),
            What::ReviewScheduled { at: when } => {
                self.review_at = Some(*when);
                self.prove(Item::ReviewScheduled, format!("for {when}"), at);
            }
            What::ReviewOpened | What::ReviewReturned { .. } => self.stage = Stage::Drafting,
            What::ReviewSubmitted => {
                self.stage = Stage::InReview;
                self.submitted_by = Some(event.by.clone());
            }
            What::ReviewApproved => self.stage = Stage::Reviewed,
            What::Improving => self.stage = Stage::Improving,
            What::Closed => self.stage = Stage::Closed,
            What::Merged { .. } => self.stage = Stage::Merged,
            What::Cancelled { .. } => self.stage = Stage::Cancelled,
            What::RootCause { text } => {
                self.root_cause = Some(text.clone());
                self.prove(Item::RootCauseDocumented, format!("by {}", event.by), at);
            }
            What::ActionAdded(action) => {
                self.actions.push(action.clone());
                self.track(at);
            }
            What::ActionAssigned { number, owner, due } => {
                for action in self.action(*number) {
                    (action.owner, action.due) = (Some(owner.clone()), Some(*due));
                }
                self.track(at);
            }
            What::ActionDone { number } => {
                self.action(*number).for_each(|action| action.done_at = Some(at));
            }
            What::Checked { item, note } => {
                let proof = Proof::Person { name: event.by.clone(), note: note.clone() };
                self.checklist.tick(*item, proof, at);
            }
            What::Noted { .. } => {}
        }
    }

    fn action(&mut self, number: u32) -> impl Iterator<Item = &mut ActionItem> {
        self.actions.iter_mut().filter(move |action| action.number == number)
    }

    fn grade(&mut self, severity: Severity) {
        self.severity = severity;
        self.worst = self.worst.min(severity);
    }

    fn take_on(&mut self, by: &str, at: Timestamp) {
        self.owner = Some(by.to_owned());
        self.respond();
        self.prove(Item::OnCallNotified, format!("{by} has taken it"), at);
    }

    fn respond(&mut self) {
        if matches!(self.stage, Stage::Classified | Stage::Triaged) {
            self.stage = Stage::Responding;
        }
    }

    /// A review that was agreed on was of another end.
    fn reopen(&mut self) {
        self.stage = Stage::Responding;
        self.reopened += 1;
        (self.resolved_at, self.mitigated_at, self.review_at) = (None, None, None);
        self.checklist.open(Item::ReviewScheduled);
    }

    fn prove(&mut self, item: Item, what: String, at: Timestamp) {
        self.checklist.tick(item, Proof::Evidence { what }, at);
    }

    /// Actions are tracked while each has an owner and a date.
    fn track(&mut self, at: Timestamp) {
        self.checklist.open(Item::ActionsTracked);
        if self.actions.iter().all(ActionItem::is_tracked) {
            let what = format!("{} with owner and date", self.actions.len());
            self.prove(Item::ActionsTracked, what, at);
        }
    }

    /// Which incident.
    #[must_use]
    pub const fn incident(&self) -> IncidentId {
        self.incident
    }

    /// Where it stands.
    #[must_use]
    pub const fn stage(&self) -> Stage {
        self.stage
    }

    /// Grows by one with each event; a person's order names the one they saw.
    #[must_use]
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// How urgent it is.
    #[must_use]
    pub const fn severity(&self) -> Severity {
        self.severity
    }

    /// The most urgent it ever was. That decides whether there is a review.
    #[must_use]
    pub const fn worst(&self) -> Severity {
        self.worst
    }

    /// Who has taken it.
    #[must_use]
    pub fn owner(&self) -> Option<&str> {
        self.owner.as_deref()
    }

    /// When it was detected.
    #[must_use]
    pub const fn detected_at(&self) -> Timestamp {
        self.detected_at
    }

    /// Since when it does no harm, as far as somebody said so.
    #[must_use]
    pub const fn mitigated_at(&self) -> Option<Timestamp> {
        self.mitigated_at
    }

    /// Since when it is over.
    #[must_use]
    pub const fn resolved_at(&self) -> Option<Timestamp> {
        self.resolved_at
    }

    /// When its review is held.
    #[must_use]
    pub const fn review_at(&self) -> Option<Timestamp> {
        self.review_at
    }

    /// Why it happened.
    #[must_use]
    pub fn root_cause(&self) -> Option<&str> {
        self.root_cause.as_deref()
    }

    /// The seven boxes.
    #[must_use]
    pub const fn checklist(&self) -> &Checklist {
        &self.checklist
    }

    /// What is to be done so that it does not happen again.
    #[must_use]
    pub fn actions(&self) -> &[ActionItem] {
        &self.actions
    }

    /// How often it was opened again.
    #[must_use]
    pub const fn reopened(&self) -> u32 {
        self.reopened
    }

    /// Whether it is not closed without a review.
    #[must_use]
    pub const fn needs_review(&self) -> bool {
        matches!(self.worst, Severity::P1 | Severity::P2)
    }
}

#[cfg(test)]
mod tests;
