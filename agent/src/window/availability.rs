//! Whether a model is there, by what its server's index and page say.
//!
//! ```text
//!            ready                     not ready (unloaded, unloading, gone)
//!  Unknown ─────────► Ready ◄──────────────────────────────────────► Away
//!     │                 ▲  ▲                                          │
//!     │ failed          │  └───────────── ready ── Loading ◄──────────┤ loading
//!     ▼                 │ ready                       │               │
//!   Failed ─────────────┘◄────────────────────────────┴───────────────┘ failed
//! ```
//!
//! A model that was never ready is not missed. One that was, and is away, is missed when its grace is
//! over: a deploy is a change.

use std::time::Duration;

use crate::sample::{Moment, RepositoryState};

/// Where a model stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Presence {
    /// Nothing was heard of it, or it was never asked for.
    Unknown,
    /// It serves.
    Ready,
    /// On its way in.
    Loading,
    /// It was ready and is not.
    Away,
    /// It could not be loaded, for this reason.
    Failed(String),
}

/// A change worth telling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Turn {
    /// Back after so long, within its grace.
    Deployed(Duration),
    /// There now, after longer than its grace or for the first time.
    Loaded,
    /// Away for longer than its grace.
    Unloaded,
}

/// The history of a model's presence.
#[derive(Debug, Clone)]
pub struct Availability {
    /// Where it stands.
    pub presence: Presence,
    /// Since when.
    pub since: Moment,
    /// It served at least once since the agent started.
    pub ever_ready: bool,
    /// Since when it does not serve; `None` while it does, or when it never did.
    pub away_since: Option<Moment>,
    told_unloaded: bool,
    /// The index spoke of it at least once.
    heard: bool,
}

impl Availability {
    /// A model of which nothing was heard.
    pub const fn new(now: Moment) -> Self {
        Self {
            presence: Presence::Unknown,
            since: now,
            ever_ready: false,
            away_since: None,
            told_unloaded: false,
            heard: false,
        }
    }

    /// Takes in what the index says.
    pub fn push(
        &mut self,
        now: Moment,
        state: RepositoryState,
        reason: &str,
        grace: Duration,
    ) -> Option<Turn> {
        let unloaded = reason.is_empty() || reason.contains("unloaded");
        let next = match state {
            RepositoryState::Ready => Presence::Ready,
            RepositoryState::Loading => Presence::Loading,
            RepositoryState::Unavailable if !unloaded => Presence::Failed(reason.to_owned()),
            RepositoryState::Unavailable
            | RepositoryState::Unloading
            | RepositoryState::Untouched => {
                if self.ever_ready {
                    Presence::Away
                } else {
                    Presence::Unknown
                }
            }
        };
        self.turn_to(now, next, grace)
    }

    fn turn_to(&mut self, now: Moment, next: Presence, grace: Duration) -> Option<Turn> {
        let first = !std::mem::replace(&mut self.heard, true);
        if self.presence != next {
            self.presence = next;
            self.since = now;
        }
        if self.presence == Presence::Ready {
            return self.arrive(now, grace, first);
        }
        if self.ever_ready {
            self.away_since.get_or_insert(now);
        }
        None
    }

    fn arrive(&mut self, now: Moment, grace: Duration, first: bool) -> Option<Turn> {
        let away = self.away_since.take();
        let known = std::mem::replace(&mut self.ever_ready, true);
        let told = std::mem::take(&mut self.told_unloaded);
        match away {
            Some(since) if !told && now.since(since) <= grace => {
                Some(Turn::Deployed(now.since(since)))
            }
            Some(_) => Some(Turn::Loaded),
            None if !known && !first => Some(Turn::Loaded),
            None => None,
        }
    }

    /// Tells once that the grace is over.
    pub fn tick(&mut self, now: Moment, grace: Duration) -> Option<Turn> {
        let over = self.presence == Presence::Away && self.away_for(now) >= grace;
        (over && !std::mem::replace(&mut self.told_unloaded, true)).then_some(Turn::Unloaded)
    }

    /// How long it has not been serving; zero while it does.
    pub fn away_for(&self, now: Moment) -> Duration {
        self.away_since.map_or(Duration::ZERO, |since| now.since(since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: Duration = Duration::from_secs(5);

    /// Plays `TIME_MS STATE REASON` lines and tells each turn.
    fn play(script: &str) -> Vec<String> {
        let mut told = Vec::new();
        let mut model = Availability::new(Moment::ms(0));
        for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let mut words = line.splitn(3, ' ');
            let now = Moment::ms(words.next().unwrap().parse().unwrap());
            let state = words.next().unwrap();
            let reason = words.next().unwrap_or("");
            let turn = match state {
                "ready" => model.push(now, RepositoryState::Ready, reason, GRACE),
                "loading" => model.push(now, RepositoryState::Loading, reason, GRACE),
                "unavailable" => model.push(now, RepositoryState::Unavailable, reason, GRACE),
                "unloading" => model.push(now, RepositoryState::Unloading, reason, GRACE),
                "untouched" => model.push(now, RepositoryState::Untouched, reason, GRACE),
                "tick" => model.tick(now, GRACE),
                other => panic!("{other}"),
            };
            told.extend(turn.map(|turn| format!("{} {turn:?}", now.0.as_millis())));
        }
        told.push(format!("{:?}", model.presence));
        told
    }

    #[test]
    fn a_model_that_is_back_within_its_grace_was_deployed() {
        let told = play(
            "0 ready\n 1000 unloading\n 2000 unavailable unloaded\n 3500 loading\n 4000 ready",
        );
        assert_eq!(told, ["4000 Deployed(3s)", "Ready"]);
    }

    #[test]
    fn a_model_that_stays_away_is_told_once() {
        let told = play("0 ready\n 1000 unavailable unloaded\n 5900 tick\n 6000 tick\n 6100 tick");
        assert_eq!(told, ["6000 Unloaded", "Away"]);
    }

    #[test]
    fn a_model_that_returns_after_its_grace_was_loaded() {
        let told = play("0 ready\n 1000 unavailable unloaded\n 6000 tick\n 9000 ready");
        assert_eq!(told, ["6000 Unloaded", "9000 Loaded", "Ready"]);
    }

    #[test]
    fn a_model_that_was_never_there_is_not_missed() {
        assert_eq!(play("0 untouched\n 9000 tick"), ["Unknown"]);
    }

    #[test]
    fn a_model_that_was_there_at_the_start_did_not_just_arrive() {
        assert_eq!(play("300 ready\n 500 ready"), ["Ready"]);
    }

    #[test]
    fn a_model_that_was_untouched_before_has_arrived() {
        assert_eq!(play("300 untouched\n 500 ready"), ["500 Loaded", "Ready"]);
    }

    #[test]
    fn a_restart_that_forgets_a_model_leaves_it_away() {
        assert_eq!(play("0 ready\n 1000 untouched\n 6000 tick"), ["6000 Unloaded", "Away"]);
    }
}
