//! A silence as it is asked for, checked, and asked whom it takes.

use std::time::Duration;

use gpuwarden_proto::silence::{Draft, End, Ended, Holder, Silence, SilenceId};
use gpuwarden_proto::time::{Timestamp, spoken};
use gpuwarden_proto::vocab::SilenceKind;
use thiserror::Error;

use super::facts::Facts;
use super::inhibit::all;
use super::rounds::Rounds;
use super::test::Test;

/// Silences that are kept, with those that are over.
pub(super) const KEPT_MAX: usize = 10_000;
/// Silences that may be planned or active at one time.
pub(super) const LIVE_MAX: usize = 1000;
/// Matchers and entities of one silence.
const TERMS_MAX: usize = 32;
/// How far ahead maintenance may be planned.
const AHEAD_MAX: Duration = Duration::from_secs(366 * 86_400);
/// The longest name of a person, in bytes.
const BY_MAX_BYTES: usize = 128;
/// The longest reason, in bytes.
const REASON_MAX_BYTES: usize = 1024;

/// Why a silence was not made or ended.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refusal {
    /// What is asked for cannot be; all that is wrong with it.
    #[error("{}", .0.join("; "))]
    Bad(Vec<String>),
    /// There are too many.
    #[error("{0}")]
    Crowded(String),
    /// There is no such silence.
    #[error("there is no silence {0}; those that are over are kept for 30 days")]
    Unknown(SilenceId),
    /// It is over.
    #[error("{id} has been over since {at}")]
    Over {
        /// Which.
        id: SilenceId,
        /// Since when.
        at: Timestamp,
    },
}

/// A silence that can be asked whom it takes.
#[derive(Debug, Clone)]
pub(super) struct Order {
    /// As it was asked for.
    pub(super) silence: Silence,
    tests: Vec<Test>,
    rounds: Option<Rounds>,
    /// It takes incidents of severity P1, too.
    pub(super) critical: bool,
}

impl Order {
    /// Makes what was stored ready to be asked. `None` when this version cannot read a matcher of
    /// it: it then holds nothing back.
    pub(super) fn restore(silence: Silence) -> Option<Self> {
        Self::of(silence).ok()
    }

    /// A silence that was made elsewhere, by whatever settings.
    pub(super) fn of(silence: Silence) -> Result<Self, Refusal> {
        let tests: Result<Vec<Test>, String> =
            silence.matchers.iter().cloned().map(Test::new).collect();
        let bad = |fault| Refusal::Bad(vec![fault]);
        let mut tests = tests.map_err(bad)?;
        let rounds = silence.repeat.clone().map(Rounds::new).transpose().map_err(bad)?;
        // What is cheap is asked first.
        tests.sort_by_key(|test| test.matcher().op.is_expression());
        let critical = silence.even_critical || tests.iter().any(Test::names_critical);
        Ok(Self { silence, tests, rounds, critical })
    }

    /// Checks what was asked for.
    pub(super) fn new(
        draft: Draft,
        id: SilenceId,
        longest: Duration,
        now: Timestamp,
    ) -> Result<Self, Refusal> {
        let mut faults = Vec::new();
        let mut starts_at = whole(draft.starts_at.unwrap_or(now).max(now));
        match draft.repeat.clone().map(Rounds::new) {
            Some(Ok(rounds)) => match coming(&draft, &rounds, starts_at, now) {
                Ok(first) => starts_at = first,
                Err(fault) => faults.push(fault),
            },
            Some(Err(fault)) => faults.push(fault),
            None => {}
        }
        let ends_at = whole(match draft.end {
            End::At(at) => at,
            End::After(lasts) => starts_at.after(lasts),
        });
        faults.extend(said(&draft));
        faults.extend(times(draft.kind, starts_at, ends_at, longest, now));
        faults.extend(terms(&draft));
        let silence = Silence {
            id,
            kind: draft.kind,
            matchers: draft.matchers,
            entities: draft.entities,
            starts_at,
            ends_at,
            author: draft.author,
            reason: draft.reason,
            even_critical: draft.even_critical,
            created_at: now,
            ended: None,
            incidents_held: 0,
            findings_held: 0,
            repeat: draft.repeat,
        };
        match Self::restore(silence) {
            Some(order) if faults.is_empty() => Ok(order),
            Some(_) | None => Err(Refusal::Bad(faults)),
        }
    }

    /// Whether it can be ended before its time.
    pub(super) fn may_end(&self, by: &str, now: Timestamp) -> Result<(), Refusal> {
        let (id, at) = (self.silence.id, self.silence.over_at());
        if at <= now {
            return Err(Refusal::Over { id, at });
        }
        let fault = bounded("who ends it", by, BY_MAX_BYTES);
        fault.map_or(Ok(()), |fault| Err(Refusal::Bad(vec![fault])))
    }

    /// Goes on to its next time, where this one is over and there is one. Says whether it did.
    pub(super) fn go_on(&mut self, now: Timestamp) -> bool {
        let Silence { starts_at, ends_at, ended, .. } = &self.silence;
        let lasts = ends_at.since(*starts_at);
        let over = *ends_at <= now && ended.is_none();
        let next = self.rounds.as_ref().filter(|_| over);
        let Some(next) = next.and_then(|rounds| rounds.next(lasts, now)) else { return false };
        (self.silence.starts_at, self.silence.ends_at) = (next, next.after(lasts));
        true
    }

    /// Ends it.
    pub(super) fn end(&mut self, by: String, now: Timestamp) {
        self.silence.ended = Some(Ended { by, at: now });
    }

    /// Whether it takes a finding, severity aside.
    pub(super) fn takes(&self, facts: Facts<'_>) -> bool {
        let entities = &self.silence.entities;
        (entities.is_empty() || entities.iter().any(|entity| facts.on(entity)))
            && all(&self.tests, facts)
    }

    /// As what it holds back.
    pub(super) fn holder(&self) -> Holder {
        let id = self.silence.id;
        match self.silence.kind {
            SilenceKind::Silence => Holder::Silence { id },
            SilenceKind::Maintenance => Holder::Maintenance { id },
        }
    }
}

/// To the millisecond, as people are shown it.
fn whole(at: Timestamp) -> Timestamp {
    Timestamp::from_unix_ns(at.unix_ns() / 1_000_000 * 1_000_000)
}

/// When what comes again begins for the first time.
fn coming(
    draft: &Draft,
    rounds: &Rounds,
    from: Timestamp,
    now: Timestamp,
) -> Result<Timestamp, String> {
    if draft.kind != SilenceKind::Maintenance {
        return Err("a silence does not come again; what is planned is maintenance".to_owned());
    }
    let End::After(lasts) = draft.end else {
        return Err("say how long it lasts each time, as it comes again".to_owned());
    };
    if let Some(fault) = rounds.fault(lasts) {
        return Err(fault);
    }
    if rounds.ends().since(now) > AHEAD_MAX {
        return Err("it would still come in more than a year: name an earlier last day".to_owned());
    }
    let never = || "it would never begin: its last day comes before its first time".to_owned();
    rounds.first(from).ok_or_else(never)
}

fn said(draft: &Draft) -> Vec<String> {
    let author = bounded("who asks for it", &draft.author, BY_MAX_BYTES);
    let reason = bounded("why", &draft.reason, REASON_MAX_BYTES);
    author.into_iter().chain(reason).collect()
}

fn bounded(what: &str, text: &str, most: usize) -> Option<String> {
    match text.trim().len() {
        0 => Some(format!("say {what}")),
        bytes if bytes > most => Some(format!("{what} has {bytes} bytes, at most {most} are kept")),
        _ => None,
    }
}

fn times(
    kind: SilenceKind,
    starts_at: Timestamp,
    ends_at: Timestamp,
    longest: Duration,
    now: Timestamp,
) -> Vec<String> {
    let mut faults = Vec::new();
    if ends_at <= starts_at {
        faults.push(format!("it would end at {ends_at}, before it begins"));
    }
    if ends_at.since(starts_at) > longest {
        faults.push(format!(
            "it would last {}, at most {} are allowed",
            spoken(ends_at.since(starts_at)),
            spoken(longest)
        ));
    }
    if kind == SilenceKind::Silence && starts_at > now {
        faults.push("a silence begins at once; what is planned is maintenance".to_owned());
    }
    if starts_at.since(now) > AHEAD_MAX {
        faults.push("it would begin in more than a year".to_owned());
    }
    faults
}

fn terms(draft: &Draft) -> Vec<String> {
    let count = draft.matchers.len() + draft.entities.len();
    if count == 0 {
        return vec![
            "say what is to be held back: a matcher at least, like node=gpu-node-7".to_owned(),
        ];
    }
    if count > TERMS_MAX {
        return vec![format!("{count} matchers and entities, at most {TERMS_MAX} are allowed")];
    }
    let mut faults = Vec::new();
    let mut tests = Vec::new();
    for matcher in &draft.matchers {
        match Test::new(matcher.clone()) {
            Ok(test) => tests.push(test),
            Err(fault) => faults.push(fault),
        }
    }
    if draft.entities.is_empty() && faults.is_empty() && tests.iter().all(|test| test.takes("")) {
        let written: Vec<String> = tests.iter().map(|test| test.matcher().to_string()).collect();
        faults.push(format!(
            "{} would also match what has no such value, which is nearly everything: name a value \
             in one of them",
            written.join(" ")
        ));
    }
    faults
}
