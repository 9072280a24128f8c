//! What a command makes happen, or why it does not.

use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::Severity;

use super::{
    ActionItem, Actor, Command, Event, Facts, Item, Lifecycle, Order, Refusal, Stage, Terms, What,
};

/// The longest text that is kept, in bytes.
const TEXT_MAX_BYTES: usize = 4096;
/// The longest name of a person or a runbook, in bytes.
const NAME_MAX_BYTES: usize = 128;
/// Actions that one incident may have.
const ACTIONS_MAX: usize = 100;

/// What an order makes happen; no events mean that it is so already.
///
/// # Errors
///
/// When it is refused.
pub fn decide(
    state: &Lifecycle,
    order: Order,
    facts: &Facts,
    terms: &Terms,
    now: Timestamp,
) -> Result<Vec<Event>, Refusal> {
    let Order { by, expected, command } = order;
    bounded("the name of whoever asks", by.name(), NAME_MAX_BYTES)?;
    if let Some(expected) = expected.filter(|expected| *expected != state.version) {
        let (id, version, stage) = (state.incident, state.version, state.stage);
        return Err(Refusal::Moved { id, expected, version, stage });
    }
    let asked = Asked { state, by: &by, facts, terms, now };
    let happened = asked.decide(command)?;
    let event = |what| Event { at: now, by: by.name().to_owned(), what };
    Ok(happened.into_iter().map(event).collect())
}

struct Asked<'a> {
    state: &'a Lifecycle,
    by: &'a Actor,
    facts: &'a Facts,
    terms: &'a Terms,
    now: Timestamp,
}

type Decided = Result<Vec<What>, Refusal>;

impl Asked<'_> {
    fn decide(&self, command: Command) -> Decided {
        let name = command.to_string();
        match command {
            Command::Classify { severity, reason } => self.classify(&name, severity, reason),
            Command::Regrade { to, reason } => self.regrade(&name, to, reason),
            Command::Notify { who } => self.notify(&name, who),
            Command::Inform { whom } => {
                self.not_final(&name)?;
                bounded("whoever was told", &whom, NAME_MAX_BYTES)?;
                Ok(vec![What::Informed { whom }])
            }
            Command::Acknowledge => self.acknowledge(&name),
            Command::StartRunbook { runbook } => self.start_runbook(&name, runbook),
            Command::Mitigate { how } => self.mitigate(&name, how),
            Command::Resolve { reason, force } => self.resolve(&name, reason, force),
            Command::Reopen { reason } => self.reopen(&name, reason),
            Command::ScheduleReview { at } => self.schedule_review(&name, at),
            Command::OpenReview | Command::SubmitReview | Command::ApproveReview => {
                self.review(&name, &command)
            }
            Command::ReturnReview { reason } => {
                self.at(&name, &[Stage::InReview], "only a review that was submitted is returned")?;
                bounded("what is missing in it", &reason, TEXT_MAX_BYTES)?;
                Ok(vec![What::ReviewReturned { reason }])
            }
            Command::Improve => self.improve(&name),
            Command::Close => self.close(&name),
            Command::Merge { into, reason } => {
                self.open(&name, "what is over is not merged")?;
                bounded("the reason", &reason, TEXT_MAX_BYTES)?;
                match into == self.state.incident {
                    true => Err(Refusal::Itself(into)),
                    false => Ok(vec![What::Merged { into, reason }]),
                }
            }
            Command::Cancel { why, reason } => {
                self.open(&name, "what is over is closed, not cancelled")?;
                self.person("cancel an incident")?;
                bounded("the reason", &reason, TEXT_MAX_BYTES)?;
                Ok(vec![What::Cancelled { why, reason }])
            }
            Command::SetRootCause { text } => {
                self.not_final(&name)?;
                bounded("the root cause", &text, TEXT_MAX_BYTES)?;
                Ok(vec![What::RootCause { text }])
            }
            Command::AddAction { .. }
            | Command::AssignAction { .. }
            | Command::FinishAction { .. } => self.action(&name, command),
            Command::Check { item, note } => {
                self.not_final(&name)?;
                self.person("say that a box is true")?;
                within("the note", &note, TEXT_MAX_BYTES)?;
                Ok(vec![What::Checked { item, note }])
            }
        }
    }

    fn classify(&self, name: &str, severity: Severity, reason: String) -> Decided {
        self.at(name, &[Stage::Detected], "regrade it to give it another severity")?;
        bounded("the reason", &reason, TEXT_MAX_BYTES)?;
        Ok(vec![What::Classified { severity, reason }])
    }

    fn regrade(&self, name: &str, to: Severity, reason: String) -> Decided {
        self.open(name, "its severity stays what it was")?;
        if self.state.stage == Stage::Detected {
            return Err(self.not_now(name, "classify it first"));
        }
        if to == self.state.severity {
            return Ok(Vec::new());
        }
        if to > self.state.severity {
            self.person("lower a severity")?;
        }
        bounded("the reason", &reason, TEXT_MAX_BYTES)?;
        Ok(vec![What::SeverityChanged { to, reason }])
    }

    fn notify(&self, name: &str, who: String) -> Decided {
        self.open(name, "nobody has to be told any more")?;
        if self.state.stage == Stage::Detected {
            return Err(self.not_now(name, "classify it first"));
        }
        bounded("whoever was told", &who, NAME_MAX_BYTES)?;
        Ok(vec![What::Notified { who }])
    }

    fn acknowledge(&self, name: &str) -> Decided {
        self.person("take an incident")?;
        match self.state.stage {
            Stage::Detected => Err(self.not_now(name, "classify it first")),
            Stage::Merged | Stage::Cancelled => Err(self.not_now(name, "nothing is left to take")),
            stage if stage.is_open() => Ok(vec![What::Acknowledged]),
            // Two people at one time: whoever is later opens nothing again.
            stage => {
                let text = format!("{} acknowledged when it was {stage}", self.by.name());
                Ok(vec![What::Noted { text }])
            }
        }
    }

    fn start_runbook(&self, name: &str, runbook: String) -> Decided {
        let instead = match self.state.stage.is_open() {
            true => "somebody has to be told first: notify, or acknowledge",
            false => "it is over",
        };
        let stages = [Stage::Triaged, Stage::Responding, Stage::Mitigated];
        self.at(name, &stages, instead)?;
        bounded("the runbook", &runbook, NAME_MAX_BYTES)?;
        Ok(vec![What::RunbookStarted { runbook }])
    }

    fn mitigate(&self, name: &str, how: String) -> Decided {
        let instead = match self.state.stage.is_open() {
            true => "acknowledge it or start its runbook first",
            false => "it is over",
        };
        self.at(name, &[Stage::Responding], instead)?;
        bounded("what mitigated it", &how, TEXT_MAX_BYTES)?;
        Ok(vec![What::Mitigated { how }])
    }

    fn resolve(&self, name: &str, reason: String, force: bool) -> Decided {
        self.open(name, "it is over already")?;
        within("the reason", &reason, TEXT_MAX_BYTES)?;
        if self.facts.active == 0 {
            return Ok(vec![What::Resolved { reason, forced: false }]);
        }
        if !force {
            let (id, active) = (self.state.incident, self.facts.active);
            return Err(Refusal::StillActive { id, active, first: self.facts.first.clone() });
        }
        self.person("resolve what is still active")?;
        bounded("the reason for resolving with force", &reason, TEXT_MAX_BYTES)?;
        Ok(vec![What::Resolved { reason, forced: true }])
    }

    fn reopen(&self, name: &str, reason: String) -> Decided {
        let Some(since) = self.state.resolved_at.filter(|_| !self.state.stage.is_final()) else {
            let instead = match self.state.stage.is_open() {
                true => "it is still going on",
                false => "open a new incident and note this one there",
            };
            return Err(self.not_now(name, instead));
        };
        if self.now.since(since) > self.terms.reopen_within {
            return Err(Refusal::TooLate { id: self.state.incident, since });
        }
        bounded("the reason", &reason, TEXT_MAX_BYTES)?;
        Ok(vec![What::Reopened { reason }])
    }

    fn schedule_review(&self, name: &str, at: Timestamp) -> Decided {
        let stages = [Stage::Resolved, Stage::Drafting, Stage::InReview];
        self.at(name, &stages, "a review is held between the end and the improvements")?;
        let until = self.state.resolved_at.unwrap_or(self.now).after(self.terms.review_within);
        match (self.now..=until).contains(&at) {
            true => Ok(vec![What::ReviewScheduled { at }]),
            // What is too late by now is held as soon as may be, and the report shows how late.
            false if until < self.now && at >= self.now => Ok(vec![What::ReviewScheduled { at }]),
            false => Err(Refusal::NotThen { from: self.now, until }),
        }
    }

    fn review(&self, name: &str, command: &Command) -> Decided {
        match command {
            Command::OpenReview => {
                let instead = match self.state.stage.is_open() {
                    true => "resolve it first",
                    false => "it is past that",
                };
                self.at(name, &[Stage::Resolved], instead)?;
                Ok(vec![What::ReviewOpened])
            }
            Command::SubmitReview => {
                self.at(name, &[Stage::Drafting], "only a review that is being written is")?;
                self.complete(name, self.cause())?;
                Ok(vec![What::ReviewSubmitted])
            }
            _ => {
                self.at(name, &[Stage::InReview], "only a review that was submitted is approved")?;
                self.person("approve a review")?;
                match self.state.submitted_by.as_deref() == Some(self.by.name()) {
                    true => Err(Refusal::OwnReview(self.by.name().to_owned())),
                    false => Ok(vec![What::ReviewApproved]),
                }
            }
        }
    }

    fn improve(&self, name: &str) -> Decided {
        self.reviewed(name)?;
        self.at(name, &[Stage::Resolved, Stage::Reviewed], "it follows the review")?;
        Ok(vec![What::Improving])
    }

    fn close(&self, name: &str) -> Decided {
        self.reviewed(name)?;
        let stages = [Stage::Resolved, Stage::Reviewed, Stage::Improving];
        let instead = match self.state.stage.is_open() {
            true => "resolve it first",
            false => "finish its review first",
        };
        self.at(name, &stages, instead)?;
        let mut missing = self.cause();
        let actions = !self.state.actions.is_empty();
        // Of these two more is told below than that their box is open.
        let told = |item: &Item| match item {
            Item::RootCauseDocumented => true,
            Item::ActionsTracked => actions,
            _ => false,
        };
        let open = self.state.checklist.missing(self.state.worst).filter(|item| !told(item));
        missing.extend(open.map(|item| format!("{item} is not ticked (check {item})")));
        let untracked = self.state.actions.iter().filter(|action| !action.is_tracked());
        missing.extend(untracked.map(|action| {
            let number = action.number;
            format!("action {number} has no owner and date (assign-action {number})")
        }));
        self.complete(name, missing)?;
        Ok(vec![What::Closed])
    }

    fn action(&self, name: &str, command: Command) -> Decided {
        let count = self.state.actions.len();
        match command {
            Command::AddAction { kind, text } => {
                self.not_final(name)?;
                bounded("what is to be done", &text, TEXT_MAX_BYTES)?;
                if count >= ACTIONS_MAX {
                    return Err(Refusal::TooManyActions { id: self.state.incident, count });
                }
                let number = u32::try_from(count + 1).unwrap_or(u32::MAX);
                let (owner, due, done_at) = (None, None, None);
                let item = ActionItem { number, kind, text, owner, due, done_at };
                Ok(vec![What::ActionAdded(item)])
            }
            Command::AssignAction { number, owner, due } => {
                self.not_final(name)?;
                self.known_action(number)?;
                bounded("the owner", &owner, NAME_MAX_BYTES)?;
                Ok(vec![What::ActionAssigned { number, owner, due }])
            }
            // What was decided is often done when all else is long closed.
            Command::FinishAction { number } => {
                self.known_action(number)?;
                Ok(vec![What::ActionDone { number }])
            }
            _ => Ok(Vec::new()),
        }
    }

    fn known_action(&self, number: u32) -> Result<(), Refusal> {
        let (id, count) = (self.state.incident, self.state.actions.len());
        match self.state.actions.iter().any(|action| action.number == number) {
            true => Ok(()),
            false => Err(Refusal::NoAction { id, number, count }),
        }
    }

    fn cause(&self) -> Vec<String> {
        let missing = "the root cause is not said (set-root-cause)".to_owned();
        self.state.root_cause.is_none().then_some(missing).into_iter().collect()
    }

    fn complete(&self, command: &str, missing: Vec<String>) -> Result<(), Refusal> {
        if missing.is_empty() {
            return Ok(());
        }
        Err(Refusal::Incomplete { id: self.state.incident, command: command.to_owned(), missing })
    }

    /// P1 and P2 do not pass from their end to improvements without a review.
    fn reviewed(&self, name: &str) -> Result<(), Refusal> {
        let waits = matches!(self.state.stage, Stage::Resolved | Stage::Drafting | Stage::InReview);
        let (id, worst) = (self.state.incident, self.state.worst);
        match (waits && self.state.needs_review(), self.state.stage) {
            (true, Stage::Resolved) => Err(Refusal::ReviewFirst { id, worst }),
            (true, _) => Err(self.not_now(name, "finish its review first")),
            (false, _) => Ok(()),
        }
    }

    fn person(&self, what: &'static str) -> Result<(), Refusal> {
        if self.by.is_person() { Ok(()) } else { Err(Refusal::PersonsOnly(what)) }
    }

    fn at(&self, name: &str, stages: &[Stage], instead: &'static str) -> Result<(), Refusal> {
        if stages.contains(&self.state.stage) { Ok(()) } else { Err(self.not_now(name, instead)) }
    }

    fn open(&self, name: &str, instead: &'static str) -> Result<(), Refusal> {
        if self.state.stage.is_open() { Ok(()) } else { Err(self.not_now(name, instead)) }
    }

    fn not_final(&self, name: &str) -> Result<(), Refusal> {
        match self.state.stage.is_final() {
            true => Err(self.not_now(name, "nothing of it changes any more")),
            false => Ok(()),
        }
    }

    fn not_now(&self, command: &str, instead: &'static str) -> Refusal {
        let (id, stage) = (self.state.incident, self.state.stage);
        Refusal::NotNow { id, stage, command: command.to_owned(), instead }
    }
}

fn bounded(what: &'static str, text: &str, most: usize) -> Result<(), Refusal> {
    if text.is_empty() { Err(Refusal::Missing(what)) } else { within(what, text, most) }
}

fn within(what: &'static str, text: &str, most: usize) -> Result<(), Refusal> {
    match text.len() {
        bytes if bytes > most => Err(Refusal::TooLong { what, bytes, most }),
        _ => Ok(()),
    }
}
