//! Whether timers did what they were set for: an independent reading of the log of their words.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use gpuwarden_proto::time::{Timestamp, spoken};
use serde::{Deserialize, Serialize};

use super::{TimerId, TimerWord};

/// A line of the log: what happened to a timer, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Logged {
    /// When.
    pub at: Timestamp,
    /// What.
    pub word: TimerWord,
}

/// What is wrong with a timer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// It should have fired so long ago and has not.
    Missing(Duration),
    /// It fired so long after its instant.
    Late(Duration),
    /// It fired so long before its instant.
    Early(Duration),
    /// It fired so many times.
    Repeated(u32),
    /// It fired although it was not set, or no longer.
    NotSet,
}

/// A timer that did not do what it was set for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Which.
    pub id: TimerId,
    /// What is wrong.
    pub fault: Fault,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.id)?;
        match self.fault {
            Fault::Missing(by) => write!(f, "should have fired {} ago", spoken(by)),
            Fault::Late(by) => write!(f, "fired {} late", spoken(by)),
            Fault::Early(by) => write!(f, "fired {} early", spoken(by)),
            Fault::Repeated(times) => write!(f, "fired {times} times"),
            Fault::NotSet => f.write_str("fired without being set"),
        }
    }
}

#[derive(Default)]
struct Story {
    /// When it is due, but never before it was set.
    due: Option<Timestamp>,
    fired: u32,
}

/// Reads a log in the order in which it was written. What is at most `slack` late is in time.
///
/// The cost is one look at each line and a place for each timer that is named.
#[must_use]
pub fn audit(log: &[Logged], slack: Duration, now: Timestamp) -> Vec<Finding> {
    let mut stories: BTreeMap<TimerId, Story> = BTreeMap::new();
    let mut findings = Vec::new();
    for Logged { at, word } in log {
        match word {
            TimerWord::Set(timer) => {
                let story = stories.entry(timer.id).or_default();
                if story.fired == 0 {
                    // Set again at a restart, it is as late as it was before.
                    let before = story.due.filter(|due| *due >= timer.at);
                    story.due = Some(before.unwrap_or(timer.at.max(*at)));
                }
            }
            TimerWord::Cancelled(id) => stories.entry(*id).or_default().due = None,
            TimerWord::Fired(id) => {
                let story = stories.entry(*id).or_default();
                story.fired += 1;
                let fault = story.fired_at(*at, slack);
                findings.extend(fault.map(|fault| Finding { id: *id, fault }));
            }
        }
    }
    for (id, Story { due, fired }) in stories {
        let overdue = due.map(|due| now.since(due)).filter(|by| fired == 0 && *by > slack);
        findings.extend(overdue.map(|by| Finding { id, fault: Fault::Missing(by) }));
        if fired > 1 {
            findings.push(Finding { id, fault: Fault::Repeated(fired) });
        }
    }
    findings
}

impl Story {
    /// What is wrong with its firing, if it fires for the first time.
    fn fired_at(&self, at: Timestamp, slack: Duration) -> Option<Fault> {
        match self.due {
            _ if self.fired > 1 => None,
            None => Some(Fault::NotSet),
            Some(due) if at < due => Some(Fault::Early(due.since(at))),
            Some(due) if at.since(due) > slack => Some(Fault::Late(at.since(due))),
            Some(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use gpuwarden_proto::vocab::IncidentId;

    use super::super::{Timer, TimerKind};
    use super::*;

    fn id(epoch: u32) -> TimerId {
        TimerId { incident: IncidentId(7), epoch, kind: TimerKind::NextLevel }
    }

    /// Lines such as `10 set 1 60`: at second 10 timer 1 is set to second 60.
    fn check(log: &str, now: u64, expected: &[&str]) {
        let line = |line: &str| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let number = |nth: usize| words[nth].parse::<u64>().unwrap();
            let id = id(u32::try_from(number(2)).unwrap());
            let word = match words[1] {
                "set" => TimerWord::Set(Timer { at: Timestamp::from_unix_s(number(3)), id }),
                "cancelled" => TimerWord::Cancelled(id),
                _ => TimerWord::Fired(id),
            };
            Logged { at: Timestamp::from_unix_s(number(0)), word }
        };
        let log: Vec<Logged> = log.split(';').map(|text| line(text.trim())).collect();
        let told = audit(&log, Duration::from_secs(1), Timestamp::from_unix_s(now));
        assert_eq!(told.iter().map(ToString::to_string).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_timer_that_fires_in_time_is_no_finding() {
        check("10 set 1 60; 61 fired 1", 1000, &[]);
        check("10 set 1 60; 20 cancelled 1", 1000, &[]);
        check("10 set 1 60", 61, &[]);
    }

    #[test]
    fn a_timer_that_did_not_fire_is_told_with_how_long_ago_it_should_have() {
        check("10 set 1 60", 90, &["#7/1 next level: should have fired 30 s ago"]);
    }

    #[test]
    fn a_timer_that_fired_late_early_or_twice_is_told() {
        check("10 set 1 60; 75 fired 1", 90, &["#7/1 next level: fired 15 s late"]);
        check("10 set 1 60; 50 fired 1", 90, &["#7/1 next level: fired 10 s early"]);
        check("10 set 1 60; 60 fired 1; 60 fired 1", 90, &["#7/1 next level: fired 2 times"]);
    }

    #[test]
    fn a_timer_that_was_cancelled_may_not_fire() {
        let told = ["#7/1 next level: fired without being set"];
        check("10 set 1 60; 20 cancelled 1; 60 fired 1", 90, &told);
        check("60 fired 1", 90, &told);
    }

    #[test]
    fn a_timer_set_in_the_past_is_due_when_it_is_set() {
        check("100 set 1 60; 100 fired 1", 100, &[]);
    }

    #[test]
    fn a_restart_excuses_no_delay() {
        let told = ["#7/1 next level: fired 40 s late"];
        check("10 set 1 60; 100 set 1 60; 100 fired 1", 100, &told);
    }
}
