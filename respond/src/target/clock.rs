//! The clock of one incident.

use std::time::Duration;

use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::{IncidentId, Severity};
pub use gpuwarden_proto::work::Standing;
use serde::{Deserialize, Serialize};

use super::Targets;
use crate::calendar::Calendar;
use crate::timer::{Timer, TimerId, TimerKind, TimerWord, Timers};

/// What a clock goes by.
#[derive(Debug, Clone, Copy)]
pub struct Terms<'a> {
    /// How long people have.
    pub targets: &'a Targets,
    /// When they are at work.
    pub calendar: &'a Calendar,
}

/// What a clock is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// Time has passed.
    Tick,
    /// The incident is more or less urgent than it was.
    Severity(Severity),
    /// Somebody has taken it.
    Acknowledged,
    /// All of it is held back: nobody is asked to answer.
    HeldBack,
    /// It is not held back any more.
    ShownAgain,
    /// It is over.
    Resolved,
    /// It goes on as another, or was none.
    Withdrawn,
    /// It was over, and is not.
    Reopened,
}

/// What a clock does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// It counts.
    Running,
    /// It waits.
    Stopped {
        /// Since when.
        since: Timestamp,
    },
    /// It has its answer.
    Settled,
}

/// What ended the counting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// Somebody took the incident.
    Acknowledged,
    /// It was over before anybody took it.
    Resolved,
    /// It went on as another, or was none; counts neither for nor against anybody.
    Withdrawn,
}

/// What came of one counting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// How urgent it was.
    pub severity: Severity,
    /// From when on it was counted, later than detection by as long as it was held back.
    pub from: Timestamp,
    /// By when an answer was wanted.
    pub due: Timestamp,
    /// When it came.
    pub at: Timestamp,
    /// What it was.
    pub how: How,
}

impl Answer {
    /// Whether it came in time.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.at < self.due
    }
}

/// What is to be done or told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// A word on a timer, to be written down.
    Timer(TimerWord),
    /// The time to respond goes so from now on; never [`Standing::InTime`].
    Stands(Standing),
    /// It has come to an end.
    Answered(Answer),
}

/// Answers that are kept; the oldest go first.
const ANSWERS_MAX: usize = 32;

/// The response clock of one incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clock {
    incident: IncidentId,
    epoch: u32,
    severity: Severity,
    from: Timestamp,
    due: Timestamp,
    standing: Standing,
    phase: Phase,
    timers: Timers,
    answers: Vec<Answer>,
}

impl Clock {
    /// Starts to count from `detected_at`.
    #[must_use]
    pub fn start(
        incident: IncidentId,
        severity: Severity,
        detected_at: Timestamp,
        terms: Terms<'_>,
        now: Timestamp,
    ) -> (Self, Vec<Effect>) {
        let mut clock = Self {
            incident,
            epoch: 0,
            severity,
            from: detected_at,
            due: detected_at,
            standing: Standing::InTime,
            phase: Phase::Running,
            timers: Timers::default(),
            answers: Vec::new(),
        };
        let mut effects = clock.count(detected_at, terms);
        effects.extend(clock.apply(Input::Tick, terms, now));
        (clock, effects)
    }

    /// Takes up what happened.
    pub fn apply(&mut self, input: Input, terms: Terms<'_>, now: Timestamp) -> Vec<Effect> {
        // What was due before this happened was due before it, however late we are told.
        let mut effects = self.pass(now);
        effects.extend(match (input, self.phase) {
            (Input::Severity(severity), phase) => self.regrade(severity, phase, terms, now),
            (Input::Acknowledged, Phase::Running | Phase::Stopped { .. }) => {
                self.settle(How::Acknowledged, now)
            }
            (Input::Resolved, Phase::Running | Phase::Stopped { .. }) => {
                self.settle(How::Resolved, now)
            }
            (Input::Withdrawn, Phase::Running | Phase::Stopped { .. }) => {
                self.settle(How::Withdrawn, now)
            }
            (Input::HeldBack, Phase::Running) => {
                self.phase = Phase::Stopped { since: now };
                words(self.timers.cancel(|_| true))
            }
            (Input::ShownAgain, Phase::Stopped { since }) => self.resume(now.since(since), terms),
            (Input::Reopened, Phase::Settled) => {
                self.phase = Phase::Running;
                self.count(now, terms)
            }
            _ => Vec::new(),
        });
        effects.extend(self.pass(now));
        effects
    }

    /// How the time to respond goes.
    #[must_use]
    pub const fn standing(&self) -> Standing {
        self.standing
    }

    /// What it does.
    #[must_use]
    pub const fn phase(&self) -> Phase {
        self.phase
    }

    /// By when an answer is wanted. Moves on while it is stopped, once it goes on.
    #[must_use]
    pub const fn due(&self) -> Timestamp {
        self.due
    }

    /// What came of it so far, the oldest first.
    #[must_use]
    pub fn answers(&self) -> &[Answer] {
        &self.answers
    }

    /// Its timers that are set.
    #[must_use]
    pub const fn timers(&self) -> &Timers {
        &self.timers
    }

    /// Counts anew from `from`, and forgets how it stood.
    fn count(&mut self, from: Timestamp, terms: Terms<'_>) -> Vec<Effect> {
        let target = *terms.targets.get(self.severity);
        self.from = from;
        self.rearm(target.due(from, terms.calendar), terms)
    }

    fn rearm(&mut self, due: Timestamp, terms: Terms<'_>) -> Vec<Effect> {
        let target = *terms.targets.get(self.severity);
        let mut effects = words(self.timers.cancel(|_| true));
        self.epoch += 1;
        self.due = due;
        self.standing = Standing::InTime;
        let tenths = |tenths| target.tenths(tenths, self.from, due, terms.calendar);
        let marks = [
            (TimerKind::AtRiskHalf, tenths(5)),
            (TimerKind::AtRiskFourFifths, tenths(8)),
            (TimerKind::Breached, due),
        ];
        for (kind, at) in marks {
            let id = TimerId { incident: self.incident, epoch: self.epoch, kind };
            effects.push(Effect::Timer(self.timers.set(Timer { at, id })));
        }
        effects
    }

    /// A rise takes the shorter of both targets, counted from detection; once there was an answer,
    /// it is a new question, counted from the rise. A fall takes the new target, counted from
    /// detection, but what is late already stays late.
    fn regrade(
        &mut self,
        severity: Severity,
        phase: Phase,
        terms: Terms<'_>,
        now: Timestamp,
    ) -> Vec<Effect> {
        let rose = severity < self.severity;
        if severity == self.severity {
            return Vec::new();
        }
        self.severity = severity;
        let wanted = terms.targets.get(severity).due(self.from, terms.calendar);
        match phase {
            Phase::Settled if rose && self.was_acknowledged() => {
                self.phase = Phase::Running;
                self.count(now, terms)
            }
            Phase::Running if rose => self.rearm(self.due.min(wanted), terms),
            Phase::Running if self.standing != Standing::Breached => self.rearm(wanted, terms),
            Phase::Stopped { .. } if rose => {
                self.due = self.due.min(wanted);
                Vec::new()
            }
            Phase::Running | Phase::Stopped { .. } | Phase::Settled => Vec::new(),
        }
    }

    /// Goes on after it stood for `stopped`. What was told already is not told again.
    fn resume(&mut self, stopped: Duration, terms: Terms<'_>) -> Vec<Effect> {
        self.phase = Phase::Running;
        let from = self.from.after(stopped);
        if self.standing == Standing::Breached {
            (self.from, self.due) = (from, self.due.after(stopped));
            return Vec::new();
        }
        let told = self.standing;
        let effects = self.count(from, terms);
        self.standing = told;
        effects
    }

    fn was_acknowledged(&self) -> bool {
        self.answers.last().is_some_and(|answer| answer.how == How::Acknowledged)
    }

    fn settle(&mut self, how: How, now: Timestamp) -> Vec<Effect> {
        let stopped = match self.phase {
            Phase::Stopped { since } => now.since(since),
            Phase::Running | Phase::Settled => Duration::ZERO,
        };
        let (from, due) = (self.from.after(stopped), self.due.after(stopped));
        let answer = Answer { severity: self.severity, from, due, at: now, how };
        if self.answers.len() == ANSWERS_MAX {
            self.answers.remove(0);
        }
        self.answers.push(answer);
        self.phase = Phase::Settled;
        let mut effects = words(self.timers.cancel(|_| true));
        effects.push(Effect::Answered(answer));
        effects
    }

    /// Acts on all timers that are due. Of marks that were passed together the last is told.
    fn pass(&mut self, now: Timestamp) -> Vec<Effect> {
        let mut effects = Vec::new();
        let before = self.standing;
        while let Some(timer) = self.timers.take_due(now) {
            effects.push(Effect::Timer(TimerWord::Fired(timer.id)));
            self.standing = self.standing.max(match timer.id.kind {
                TimerKind::AtRiskHalf => Standing::AtRiskHalf,
                TimerKind::AtRiskFourFifths => Standing::AtRiskFourFifths,
                _ => Standing::Breached,
            });
        }
        if self.standing > before {
            effects.push(Effect::Stands(self.standing));
        }
        effects
    }
}

fn words(words: Vec<TimerWord>) -> Vec<Effect> {
    words.into_iter().map(Effect::Timer).collect()
}
