//! What is told from elsewhere, held against what the same sender has told of it before. Pure.
//!
//! ```text
//!            trouble               over, or not renewed
//!   unknown ─────────► active ───────────────────────────► over ──► forgotten
//!      │                 ▲                                   │
//!      │                 └──────── trouble that is newer ────┘
//!      └───── over: it came before its trouble, which is then known to be old ──► over
//! ```
//!
//! Which of two words is newer is decided by when the trouble began, as its sender tells; where it does
//! not, by the order of arrival.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use gpuwarden_proto::event::{Finding, Subject};
use gpuwarden_proto::incident::Member;
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::{Phase, Sender};

use super::{Card, Outside, RENEWAL, finding};

/// Things that may be active at one time.
pub const ACTIVE_MAX: usize = 20_000;
/// Things that are over and still remembered.
const OVER_MAX: usize = 20_000;
/// So long what is over is remembered, so that what comes late is known to be old.
const REMEMBERED: Duration = Duration::from_secs(3600);

/// Who told it, and which of theirs it is.
pub type Name = (Sender, String);

/// What a signal was to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Trouble that was not known, or its end, or something newer of it.
    Taken,
    /// It was known, or is older than what is known.
    Duplicate,
    /// It ends what has not been told yet.
    Early,
    /// There are as many active as there may be.
    Full,
}

/// What is known of what others have told.
#[derive(Debug, Default)]
pub struct Register {
    known: BTreeMap<Name, Known>,
    /// What is over, in the order in which it was noted.
    over: VecDeque<(Timestamp, Name)>,
    active: usize,
    /// No active thing lapses before.
    quiet_until: Timestamp,
}

#[derive(Debug)]
struct Known {
    /// When the trouble began that was told last. What began no later is old once it is over.
    raised_at: Timestamp,
    /// The last end that its sender gave while it was active.
    told_until: Option<Timestamp>,
    /// The last word that ended it: of which beginning, and when it was over.
    ended: Option<(Option<Timestamp>, Timestamp)>,
    stand: Stand,
}

#[derive(Debug)]
enum Stand {
    Active(Box<Active>),
    /// Since when that is known.
    Over(Timestamp),
}

/// Trouble that is told from elsewhere and not over.
#[derive(Debug, Clone, PartialEq)]
pub struct Active {
    /// As it was told last.
    pub finding: Finding,
    /// It is over then unless it is told again.
    pub until: Option<Timestamp>,
    /// When it was told last.
    pub told_at: Timestamp,
    /// When it began by its sender's last word.
    pub since: Option<Timestamp>,
    /// As its sender describes it.
    pub card: Card,
}

/// Trouble that is over since nobody told it again.
#[derive(Debug, Clone, PartialEq)]
pub struct Lapsed {
    /// What, as it was told last.
    pub finding: Finding,
    /// Since when it is over.
    pub at: Timestamp,
    /// When it was told last.
    pub told_at: Timestamp,
}

impl Register {
    /// What is known after a restart, from the members of incidents. What lives by being told again has
    /// as long for that as it had before.
    pub fn restore<'a>(members: impl Iterator<Item = &'a Member>, now: Timestamp) -> Self {
        let mut register = Self::default();
        for member in members {
            let Subject::Alert { sender, key, .. } = &member.subject else { continue };
            let name = (*sender, key.clone());
            let lives = member.evidence.iter().find(|each| each.signal == RENEWAL);
            let lives = lives.and_then(|each| Duration::try_from_secs_f64(each.value).ok());
            let stand = match member.cleared_at {
                Some(_) => register.over_at(now, &name),
                None => {
                    let until = lives.map(|lives| now.after(lives));
                    let finding = of_member(member);
                    let (told_at, since, card) = (now, None, Card::default());
                    Stand::Active(Box::new(Active { finding, until, told_at, since, card }))
                }
            };
            let (raised_at, told_until, ended) = (member.raised_at, None, None);
            register.put(name, Known { raised_at, told_until, ended, stand });
        }
        register
    }

    /// Takes one signal up. What is to be done about it comes back as a finding that correlation takes.
    pub fn take(&mut self, now: Timestamp, told: Outside) -> (Outcome, Option<Finding>) {
        let Subject::Alert { sender, key, .. } = &told.finding.subject else {
            return (Outcome::Duplicate, None);
        };
        let name = (*sender, key.clone());
        match told.finding.phase {
            Phase::Cleared => self.end(now, name, told),
            Phase::Raised | Phase::Updated => self.begin(now, name, told),
        }
    }

    fn begin(&mut self, now: Timestamp, name: Name, told: Outside) -> (Outcome, Option<Finding>) {
        match self.known.get_mut(&name) {
            Some(known) if matches!(known.stand, Stand::Active(_)) => {
                let renewed = known.renew(now, told);
                self.quiet_until = Timestamp::default();
                renewed
            }
            Some(known) if known.is_old(&told) => (Outcome::Duplicate, None),
            before => {
                let ended = before.and_then(|known| known.ended);
                if self.active >= ACTIVE_MAX {
                    return (Outcome::Full, None);
                }
                let Outside { finding, until, told_until, since, card, .. } = told;
                let (raised_at, given) = (finding.raised_at, finding.clone());
                let active = Active { finding, until, told_at: now, since, card };
                let stand = Stand::Active(Box::new(active));
                self.put(name, Known { raised_at, told_until, ended, stand });
                (Outcome::Taken, Some(given))
            }
        }
    }

    fn end(&mut self, now: Timestamp, name: Name, told: Outside) -> (Outcome, Option<Finding>) {
        let word = (told.since, told.observed_at);
        let mark = told.since.unwrap_or(told.observed_at);
        let Some(known) = self.known.get_mut(&name) else {
            let (raised_at, told_until, ended) = (mark, told.told_until, Some(word));
            let stand = self.over_at(now, &name);
            self.put(name, Known { raised_at, told_until, ended, stand });
            return (Outcome::Early, None);
        };
        if matches!(known.stand, Stand::Over(_)) {
            known.raised_at = known.raised_at.max(mark);
            return (Outcome::Duplicate, None);
        }
        let old = told.since.is_some_and(|since| since < known.raised_at);
        if old || known.ended == Some(word) {
            return (Outcome::Duplicate, None);
        }
        known.raised_at = known.raised_at.max(mark);
        known.ended = Some(word);
        self.active -= 1;
        let stand = self.over_at(now, &name);
        if let Some(known) = self.known.get_mut(&name) {
            known.stand = stand;
        }
        (Outcome::Taken, Some(told.finding))
    }

    /// What nobody has told again in time is over; what has long been over is forgotten.
    pub fn lapse(&mut self, now: Timestamp) -> Vec<Lapsed> {
        self.forget(now);
        if now < self.quiet_until {
            return Vec::new();
        }
        let due = |known: &Known| match &known.stand {
            Stand::Active(active) => active.until.is_some_and(|until| until <= now),
            Stand::Over(_) => false,
        };
        let names: Vec<Name> = self
            .known
            .iter()
            .filter(|(_, known)| due(known))
            .map(|(name, _)| name.clone())
            .collect();
        let mut lapsed = Vec::new();
        for name in names {
            let stand = self.over_at(now, &name);
            let Some(known) = self.known.get_mut(&name) else { continue };
            let before = std::mem::replace(&mut known.stand, stand);
            let Stand::Active(active) = before else { continue };
            self.active -= 1;
            let Active { finding, until, told_at, .. } = *active;
            lapsed.push(Lapsed { finding, at: until.unwrap_or(now), told_at });
        }
        let ends = self.active().filter_map(|(_, active)| active.until);
        self.quiet_until = ends.min().unwrap_or(Timestamp::from_unix_ns(u64::MAX));
        lapsed
    }

    /// What is active, by its name.
    pub fn active(&self) -> impl Iterator<Item = (&Name, &Active)> {
        self.known.iter().filter_map(|(name, known)| match &known.stand {
            Stand::Active(active) => Some((name, &**active)),
            Stand::Over(_) => None,
        })
    }

    /// How much is active.
    #[must_use]
    pub fn active_count(&self) -> usize {
        self.active
    }

    fn put(&mut self, name: Name, known: Known) {
        let is_active = |known: &Known| matches!(known.stand, Stand::Active(_));
        self.active += usize::from(is_active(&known));
        self.quiet_until = Timestamp::default();
        if self.known.insert(name, known).as_ref().is_some_and(is_active) {
            self.active -= 1;
        }
    }

    fn over_at(&mut self, now: Timestamp, name: &Name) -> Stand {
        self.over.push_back((now, name.clone()));
        Stand::Over(now)
    }

    fn forget(&mut self, now: Timestamp) {
        while let Some((noted, name)) = self.over.front() {
            if self.over.len() <= OVER_MAX && now.since(*noted) < REMEMBERED {
                return;
            }
            let is_it = |known: &Known| matches!(known.stand, Stand::Over(at) if at == *noted);
            if self.known.get(name).is_some_and(is_it) {
                self.known.remove(name);
            }
            self.over.pop_front();
        }
    }
}

impl Known {
    /// The same trouble told again: it counts for longer, with newer words.
    fn renew(&mut self, now: Timestamp, told: Outside) -> (Outcome, Option<Finding>) {
        let Stand::Active(active) = &mut self.stand else { return (Outcome::Duplicate, None) };
        self.raised_at = self.raised_at.min(told.finding.raised_at);
        self.told_until = self.told_until.max(told.told_until);
        // One way may give an end and another none: the one that does is kept to.
        let until = active.until.max(told.until);
        if told.since.is_some_and(|since| active.since.is_some_and(|last| since < last)) {
            active.until = until;
            return (Outcome::Duplicate, None);
        }
        let mut finding = told.finding;
        (finding.raised_at, finding.phase) = (self.raised_at, Phase::Updated);
        if told.until.is_none() {
            let lives = active.finding.evidence.iter().filter(|each| each.signal == RENEWAL);
            finding.evidence.splice(..0, lives.cloned());
        }
        let before = Finding { phase: Phase::Updated, ..active.finding.clone() };
        let outcome = if before == finding { Outcome::Duplicate } else { Outcome::Taken };
        let (since, card) = (told.since, told.card);
        **active = Active { finding: finding.clone(), until, told_at: now, since, card };
        (outcome, Some(finding))
    }

    /// Whether trouble is older than its end. An end that is later than all before was given after it.
    fn is_old(&self, told: &Outside) -> bool {
        let began_before = told.since.is_some_and(|since| since <= self.raised_at);
        began_before && told.told_until.is_none_or(|until| Some(until) <= self.told_until)
    }
}

/// A member as it was told.
fn of_member(member: &Member) -> Finding {
    let (subject, grade) = (member.subject.clone(), member.grade);
    let mut finding = finding(subject, Phase::Raised, grade, member.summary.clone());
    finding.evidence.clone_from(&member.evidence);
    finding.about.clone_from(&member.about);
    finding.raised_at = member.raised_at;
    finding
}
