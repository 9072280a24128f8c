//! How incidents reach the people's half, what is asked of it, and what it has to send.

use std::sync::Arc;

use gpuwarden_notify::delivery::{RequestId, Send};
use gpuwarden_notify::destination::Verdict;
use gpuwarden_proto::incident::Incident;
use gpuwarden_proto::oncall::{OnCall, TakeOver};
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::IncidentId;
use gpuwarden_proto::work::{self, Ask};
use tokio::sync::oneshot;

use super::apply::reply;
use super::pending::Pending;
use super::{CommandError, Core};
use crate::correlate::{State, Touched};
use crate::incident::Command;
use crate::replay::line::Word;
use crate::response::{WorkError, World};
use crate::store::StoreError;
use crate::watch::Board;

/// What is asked of the work on incidents.
#[derive(Debug)]
pub enum WorkRequest {
    /// How it stands.
    Get(IncidentId, oneshot::Sender<Option<work::Work>>),
    /// All that is not closed.
    List(oneshot::Sender<Vec<work::Work>>),
    /// A person's order: on which incident, whose, on which version.
    Order(IncidentId, String, Option<u64>, Ask, WorkAnswer),
    /// Who is on call.
    OnCall(oneshot::Sender<Vec<OnCall>>),
    /// Somebody takes over for a time.
    TakeOver(TakeOver, oneshot::Sender<Result<Vec<OnCall>, CommandError>>),
    /// A notification was answered, or failed.
    Answered(RequestId, Verdict),
}

/// What an answer to an order looks like.
pub type WorkAnswer = oneshot::Sender<Result<work::Work, CommandError>>;

/// An answer that is given once what it tells is on disk.
#[derive(Debug)]
pub enum WorkOwed {
    /// To an order.
    Work(Box<work::Work>, WorkAnswer),
    /// To somebody who takes over.
    OnCall(Vec<OnCall>, oneshot::Sender<Result<Vec<OnCall>, CommandError>>),
}

impl WorkOwed {
    /// It is on disk. Who asked may have gone.
    pub(super) fn give(self) {
        match self {
            Self::Work(told, to) => reply(to, Ok(*told)),
            Self::OnCall(told, to) => reply(to, Ok(told)),
        }
    }

    /// Nothing reaches the disk.
    pub(super) fn excuse(self, error: &StoreError) {
        let error = CommandError::NotStored(error.clone());
        match self {
            Self::Work(_, to) => reply(to, Err(error)),
            Self::OnCall(_, to) => reply(to, Err(error)),
        }
    }
}

/// Where incidents are found as they are, those that are over included.
fn look<'a>(
    state: &'a State,
    pending: &'a Pending,
    board: &'a Board,
) -> impl Fn(IncidentId) -> Option<Arc<Incident>> + 'a {
    let open = |id| state.incident(id).map(|incident| Arc::new(incident.clone()));
    move |id| pending.over(id).or_else(|| open(id)).or_else(|| board.incident(id))
}

impl Core {
    pub(super) fn work(&mut self, now: Timestamp, request: WorkRequest) {
        match request {
            WorkRequest::Get(id, answer) => {
                self.respond(now);
                reply(answer, self.response.shown(id));
            }
            WorkRequest::List(answer) => {
                self.respond(now);
                reply(answer, self.response.list());
            }
            WorkRequest::Order(id, by, expected, ask, answer) => {
                self.respond(now);
                match self.order(now, id, by, expected, ask) {
                    Ok(told) => self.pending.owe_work(WorkOwed::Work(Box::new(told), answer)),
                    Err(error) => reply(answer, Err(error)),
                }
            }
            WorkRequest::OnCall(answer) => reply(answer, self.response.on_call(now)),
            WorkRequest::TakeOver(asked, answer) => match self.response.take_over(asked, now) {
                Ok(()) => {
                    let told = self.response.on_call(now);
                    self.pending.owe_work(WorkOwed::OnCall(told, answer));
                }
                Err(error) => reply(answer, Err(error.into())),
            },
            WorkRequest::Answered(id, verdict) => {
                let incident = look(&self.state, &self.pending, &self.board);
                let world = World { incident: &incident, graph: self.state.graph(), now };
                self.response.answered(id, verdict, world);
            }
        }
    }

    fn order(
        &mut self,
        now: Timestamp,
        id: IncidentId,
        by: String,
        expected: Option<u64>,
        ask: Ask,
    ) -> Result<work::Work, CommandError> {
        let bearing = bearing(&ask, &by);
        if let Some(command) = &bearing {
            // What correlation would refuse is not half done.
            self.state.may(id, command)?;
        }
        {
            let incident = look(&self.state, &self.pending, &self.board);
            let world = World { incident: &incident, graph: self.state.graph(), now };
            self.response.order(id, by, expected, ask, world)?;
        }
        if let Some(command) = bearing {
            self.journal(now, Word::Command(id, command.clone()));
            let mut touched = Touched::default();
            self.state.command(now, id, command, &mut touched)?;
            self.note(touched);
        }
        self.respond(now);
        self.response.shown(id).ok_or(CommandError::Work(WorkError::Unknown(id)))
    }

    /// Somebody has taken an incident.
    pub(super) fn taken(
        &mut self,
        now: Timestamp,
        id: IncidentId,
        by: &str,
        until: Option<Timestamp>,
    ) {
        let incident = look(&self.state, &self.pending, &self.board);
        let world = World { incident: &incident, graph: self.state.graph(), now };
        self.response.acknowledged(id, by, until, world);
    }

    /// Shows what has changed to the people's half, and takes what comes of it.
    pub(super) fn respond(&mut self, now: Timestamp) {
        let ids = self.pending.take_unanswered();
        {
            let incident = look(&self.state, &self.pending, &self.board);
            let world = World { incident: &incident, graph: self.state.graph(), now };
            for id in ids {
                if let Some(over) = self.pending.over(id) {
                    self.response.see(&over, world);
                } else if let Some(incident) = self.state.incident(id) {
                    self.response.see(incident, world);
                }
            }
        }
        self.take_response();
    }

    /// Does what time has brought about.
    pub(super) fn respond_to_time(&mut self, now: Timestamp) {
        {
            let incident = look(&self.state, &self.pending, &self.board);
            let world = World { incident: &incident, graph: self.state.graph(), now };
            self.response.pass(world);
        }
        self.take_response();
    }

    fn take_response(&mut self) {
        if self.response.is_changed() {
            let kept = self.response.take_changed();
            self.pending.response(kept);
        }
        let sends = self.response.take_sends();
        self.pending.send(sends);
    }

    /// Hands requests over; what carries them out may have ended, at the end of all.
    pub(super) fn send(&self, sends: Vec<Send>) {
        sends.into_iter().for_each(|send| drop(self.sends.send(send)));
    }
}

/// What an order means for correlation.
fn bearing(ask: &Ask, by: &str) -> Option<Command> {
    let by = by.to_owned();
    match ask {
        Ask::Command(work::Command::Cancel { why, reason }) => {
            let reason = format!("no incident ({why}): {reason}");
            Some(Command::Resolve { by, reason, force: true })
        }
        Ask::Command(work::Command::Regrade { to, reason }) => {
            Some(Command::Regrade { by, to: *to, reason: reason.clone() })
        }
        _ => None,
    }
}
