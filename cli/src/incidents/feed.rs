//! Updates of incidents as lines for people: one for each thing that happened, none for a number
//! that moved, and none while an incident is held back.

use std::collections::BTreeMap;

use gpuwarden_proto::incident::{Incident, WatchChange, WatchUpdate};
use gpuwarden_proto::time::{Timestamp, spoken};
use gpuwarden_proto::vocab::{IncidentId, IncidentState};

use crate::quantity::age;
use crate::text::{Paint, WIDTH, clean, cut};

/// Incidents remembered at a time; those resolved first are forgotten first.
const KNOWN_MAX: usize = 10_000;

/// What was already told.
#[derive(Debug, Default)]
pub struct Feed {
    known: BTreeMap<IncidentId, Told>,
    /// What is held back is told, too.
    with_held: bool,
}

#[derive(Debug, Clone, Copy)]
struct Told {
    version: u64,
    lines: u64,
    resolved: bool,
    held: bool,
}

/// Something that happened to an incident.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// When.
    pub at: Timestamp,
    /// What, in words from anywhere.
    pub text: String,
}

impl Feed {
    /// Nothing has been told yet; `with_held` also tells what is held back.
    pub fn new(with_held: bool) -> Self {
        Self { known: BTreeMap::new(), with_held }
    }

    /// Takes an update and gives what it has that was not told yet; `None` for one that is no news
    /// at all, such as what a watch repeats after it was lost, or what is held back.
    pub fn take(&mut self, update: &WatchUpdate, now: Timestamp) -> Option<Vec<Line>> {
        let incident = &update.incident;
        let before = self.known.get(&incident.id).copied();
        if before.is_some_and(|told| told.version >= incident.version) {
            return None;
        }
        let held = incident.held_since.is_some() && !self.with_held;
        if held && before.is_none_or(|told| told.held) {
            return None;
        }
        self.remember(incident, held);
        Some(match (before, update.change) {
            (None, WatchChange::Opened | WatchChange::Changed)
                if let Some(line) = back(incident) =>
            {
                vec![line]
            }
            (None, WatchChange::Snapshot) => vec![standing(incident, now)],
            (None, WatchChange::Opened | WatchChange::Changed) => {
                vec![Line { at: incident.opened_at, text: incident.title.clone() }]
            }
            (Some(told), WatchChange::Snapshot | WatchChange::Opened | WatchChange::Changed) => {
                news(incident, told)
            }
            (_, WatchChange::Resolved) => vec![resolved(incident)],
        })
    }

    fn remember(&mut self, incident: &Incident, held: bool) {
        let resolved = incident.state == IncidentState::Resolved;
        let told = Told { version: incident.version, lines: lines(incident), resolved, held };
        self.known.insert(incident.id, told);
        if self.known.len() > KNOWN_MAX {
            let over = self.known.iter().find(|(_, told)| told.resolved).map(|(id, _)| *id);
            let first = over.or_else(|| self.known.keys().next().copied());
            first.map(|id| self.known.remove(&id));
        }
    }
}

fn lines(incident: &Incident) -> u64 {
    incident.timeline.len() as u64 + incident.timeline_dropped
}

fn standing(incident: &Incident, now: Timestamp) -> Line {
    let text = format!("{} ({}, {})", incident.title, incident.state, age(now, incident.opened_at));
    Line { at: now, text }
}

/// That an incident is shown again which was held back before it was ever told.
fn back(incident: &Incident) -> Option<Line> {
    let last = incident.timeline.iter().rev().find(|entry| entry.kind == "released")?;
    let text = format!("{} (held back until now: {})", incident.title, last.text);
    Some(Line { at: last.at, text })
}

fn resolved(incident: &Incident) -> Line {
    let at = incident.resolved_at.unwrap_or(incident.updated_at);
    if let Some(into) = incident.merged_into {
        return Line { at, text: merged(incident, into) };
    }
    let after = spoken(at.since(incident.opened_at));
    Line { at, text: format!("resolved after {after}: {}", incident.title) }
}

/// Where an incident went on, with the reason that its history has for it.
fn merged(incident: &Incident, into: IncidentId) -> String {
    let onward = format!("goes on as {into}");
    let told = incident.timeline.iter().rev().find(|entry| entry.text.starts_with(&onward));
    told.map_or(onward, |entry| entry.text.clone())
}

/// The lines of its history that are new.
fn news(incident: &Incident, told: Told) -> Vec<Line> {
    let new = lines(incident).saturating_sub(told.lines) as usize;
    let from = incident.timeline.len().saturating_sub(new);
    let line = |entry: &std::sync::Arc<gpuwarden_proto::incident::TimelineEntry>| Line {
        at: entry.at,
        text: format!("{}: {}", entry.kind, entry.text),
    };
    incident.timeline.iter().skip(from).map(line).collect()
}

/// A line as it is printed, e.g. `00:31  P2  gpu-oom            #1  severity: rose from P3`.
pub fn render(time: &str, incident: &Incident, line: &Line, paint: Paint) -> String {
    let Incident { id, severity, kind, .. } = incident;
    let begun = format!("{kind:<17}  {id:<3}  ");
    let room = WIDTH - time.chars().count() - 6 - begun.chars().count();
    let severity = paint.severity(*severity, severity.as_str());
    format!("{time}  {severity}  {begun}{}", cut(&clean(&line.text), room))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::incidents::sample;

    fn update(change: WatchChange, version: u64, lines: usize) -> WatchUpdate {
        let mut incident = sample::noisy_neighbour();
        incident.timeline.truncate(lines);
        incident.version = version;
        WatchUpdate { change, incident }
    }

    fn told(feed: &mut Feed, update: &WatchUpdate) -> Vec<String> {
        let lines = feed.take(update, sample::NOW).unwrap_or_default();
        lines.iter().map(|line| render("00:07", &update.incident, line, Paint::Plain)).collect()
    }

    #[test]
    fn each_thing_that_happens_is_told_once() {
        let mut feed = Feed::default();
        let mut all = told(&mut feed, &update(WatchChange::Opened, 1, 2));
        all.extend(told(&mut feed, &update(WatchChange::Changed, 2, 3)));
        // A number moved and nothing happened.
        all.extend(told(&mut feed, &update(WatchChange::Changed, 3, 3)));
        // The watch was lost and tells the same again.
        all.extend(told(&mut feed, &update(WatchChange::Snapshot, 3, 3)));
        all.extend(told(&mut feed, &update(WatchChange::Changed, 4, 4)));
        insta::assert_snapshot!(all.join("\n"), @r#"
        00:07  P3  noisy-neighbour    #2   resnet50 on node-b is 1.9 times slower than its baseline
        00:07  P3  noisy-neighbour    #2   joined: latency-high on node-b model resnet50: same model
        00:07  P3  noisy-neighbour    #2   acknowledged: acknowledged
        "#);
    }

    #[test]
    fn a_repeated_version_is_no_news_at_all() {
        let mut feed = Feed::default();
        assert!(feed.take(&update(WatchChange::Opened, 1, 1), sample::NOW).is_some());
        assert_eq!(feed.take(&update(WatchChange::Snapshot, 1, 1), sample::NOW), None);
    }

    #[test]
    fn an_end_says_how_long_it_took() {
        let incident = sample::resolved();
        let update = WatchUpdate { change: WatchChange::Resolved, incident };
        insta::assert_snapshot!(told(&mut Feed::default(), &update).join("\n"), @"00:07  P1  gpu-oom            #1   resolved after 1 min: memory of node-b GPU 1 is gone");
    }

    #[test]
    fn what_went_on_as_another_is_no_resolution() {
        let update = WatchUpdate { change: WatchChange::Resolved, incident: sample::merged() };
        insta::assert_snapshot!(told(&mut Feed::default(), &update).join("\n"), @r#"
        00:07  P3  node-unreachable   #4   goes on as #5: 3 nodes of rack r7 failed together
        "#);
    }

    #[test]
    fn what_stood_when_the_watch_began_says_for_how_long() {
        let lines = told(&mut Feed::default(), &update(WatchChange::Snapshot, 1, 1));
        insta::assert_snapshot!(lines.join("\n"), @"00:07  P3  noisy-neighbour    #2   resnet50 on node-b is 1.9 times slower than its baseline (acknow…");
    }

    #[test]
    fn what_is_held_back_is_told_only_to_those_who_ask_for_it() {
        let held = |change, version| WatchUpdate {
            change,
            incident: Incident { version, ..sample::held() },
        };
        let mut feed = Feed::default();
        assert_eq!(feed.take(&held(WatchChange::Opened, 1), sample::NOW), None);
        assert_eq!(feed.take(&held(WatchChange::Changed, 2), sample::NOW), None);
        let all = told(&mut Feed::new(true), &held(WatchChange::Opened, 1));
        let mut shown = held(WatchChange::Changed, 3);
        shown.incident = sample::released(3);
        let lines = [all, told(&mut feed, &shown)].concat();
        insta::assert_snapshot!(lines.join("\n"), @r"
        00:07  P2  gpu-hardware       #3   GPU 1 of node-b is lost (XID 79)
        00:07  P2  gpu-hardware       #3   GPU 1 of node-b is lost (XID 79) (held back until now: bob ended…
        ");
    }

    #[test]
    fn that_something_is_held_back_from_now_on_is_told_and_then_no_more() {
        let mut feed = Feed::default();
        let mut opened = WatchUpdate { change: WatchChange::Opened, incident: sample::held() };
        opened.incident.held_since = None;
        opened.incident.timeline.truncate(1);
        opened.incident.version = 1;
        let change = WatchChange::Changed;
        let mut all = told(&mut feed, &opened);
        all.extend(told(&mut feed, &WatchUpdate { change, incident: sample::held() }));
        let incident = Incident { version: 9, ..sample::held() };
        assert_eq!(feed.take(&WatchUpdate { change, incident }, sample::NOW), None);
        all.extend(told(&mut feed, &WatchUpdate { change, incident: sample::released(10) }));
        insta::assert_snapshot!(all.join("\n"), @r"
        00:07  P2  gpu-hardware       #3   GPU 1 of node-b is lost (XID 79)
        00:07  P2  gpu-hardware       #3   held: by silence S7 (ann) until 2026-11-23 20:31 UTC: RMA of GPU…
        00:07  P2  gpu-hardware       #3   released: bob ended S7
        ");
    }
}
