//! Incidents as they come: a line for each thing that happens, or a JSON object for each update.

use std::collections::{BTreeMap, BTreeSet};

use gpuwarden_proto::incident::WatchUpdate;
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::{IncidentId, IncidentState, IncidentType};
use serde::Serialize;

use crate::args::Format;
use crate::incidents::feed::{self, Feed};
use crate::screen::{Screen, ScreenError};

/// Prints updates and counts them.
#[derive(Debug)]
pub struct Printer {
    started: Timestamp,
    feed: Feed,
    seen: BTreeMap<IncidentId, IncidentType>,
    resolved: BTreeSet<IncidentId>,
}

/// How many incidents of each type there were.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// By type; those that never happened are left out.
    pub summary: BTreeMap<&'static str, usize>,
    /// How many of them are over.
    pub resolved: usize,
}

impl Printer {
    /// Times are counted from `started`.
    pub fn new(started: Timestamp) -> Self {
        let (seen, resolved) = (BTreeMap::new(), BTreeSet::new());
        Self { started, feed: Feed::default(), seen, resolved }
    }

    /// Prints an update.
    pub fn update(
        &mut self,
        update: &WatchUpdate,
        now: Timestamp,
        screen: &mut Screen,
    ) -> Result<(), ScreenError> {
        let incident = &update.incident;
        self.seen.insert(incident.id, incident.kind);
        match incident.state {
            IncidentState::Resolved => self.resolved.insert(incident.id),
            IncidentState::Open | IncidentState::Acknowledged | IncidentState::Quiet => {
                self.resolved.remove(&incident.id)
            }
        };
        let Some(lines) = self.feed.take(update, now) else { return Ok(()) };
        match screen.format {
            Format::Json => screen.json(update),
            Format::Table => lines.iter().try_for_each(|line| {
                let time = self.elapsed(line.at);
                screen.line(&feed::render(&time, incident, line, screen.paint))
            }),
        }
    }

    /// What there was.
    pub fn counts(&self) -> Counts {
        let mut summary = BTreeMap::new();
        for kind in self.seen.values() {
            *summary.entry(kind.as_str()).or_insert(0) += 1;
        }
        Counts { summary, resolved: self.resolved.len() }
    }

    /// Minutes and seconds since the start, e.g. `01:30`.
    pub fn elapsed(&self, at: Timestamp) -> String {
        let s = at.since(self.started).as_secs();
        format!("{:02}:{:02}", s / 60, s % 60)
    }
}

impl Counts {
    /// One line for people.
    pub fn render(&self, after: &str) -> String {
        let all: usize = self.summary.values().sum();
        if all == 0 {
            return format!("after {after}: no incidents");
        }
        let by_type = self.summary.iter().map(|(kind, count)| format!("{count} {kind}"));
        let by_type = by_type.collect::<Vec<_>>().join(", ");
        format!("after {after}: {by_type}; {} of {all} resolved", self.resolved)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::mpsc;
    use std::time::Duration;

    use gpuwarden_proto::incident::{Incident, WatchChange};

    use super::*;
    use crate::incidents::sample;

    struct Lines(mpsc::Sender<Vec<u8>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.send(bytes.to_vec()).expect("somebody reads");
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn printed(format: Format, updates: &[(WatchChange, Incident)]) -> (String, Counts) {
        let (sender, receiver) = mpsc::channel();
        let mut screen = Screen::to(Box::new(Lines(sender)), format);
        let mut printer = Printer::new(sample::NOW.before(Duration::from_secs(727)));
        for (change, incident) in updates {
            let update = WatchUpdate { change: *change, incident: incident.clone() };
            printer.update(&update, sample::NOW, &mut screen).expect("it is read");
        }
        drop(screen);
        let bytes: Vec<u8> = receiver.iter().flatten().collect();
        (String::from_utf8(bytes).expect("it is text"), printer.counts())
    }

    fn updates() -> Vec<(WatchChange, Incident)> {
        vec![
            (WatchChange::Opened, sample::lost_gpu()),
            (WatchChange::Opened, sample::noisy_neighbour()),
            (WatchChange::Resolved, sample::resolved()),
        ]
    }

    #[test]
    fn people_see_a_line_for_each_thing_and_a_count() {
        let (lines, counts) = printed(Format::Table, &updates());
        let all = format!("{lines}{}", counts.render("01:30"));
        insta::assert_snapshot!(all, @r#"
        00:07  P2  gpu-hardware       #3   GPU 1 of node-b is lost (XID 79)
        00:07  P3  noisy-neighbour    #2   resnet50 on node-b is 1.9 times slower than its baseline
        01:42  P1  gpu-oom            #1   resolved after 1 min: memory of node-b GPU 1 is gone
        after 01:30: 1 gpu-hardware, 1 gpu-oom, 1 noisy-neighbour; 1 of 3 resolved
        "#);
    }

    #[test]
    fn scripts_see_an_object_a_line_with_everything() {
        let (lines, counts) = printed(Format::Json, &updates());
        let read = |line: &str| serde_json::from_str::<serde_json::Value>(line).expect("JSON");
        let lines: Vec<_> = lines.lines().map(read).collect();
        assert_eq!(lines.len(), 3);
        assert_eq!(lines[0]["change"], "opened");
        for line in &lines {
            for field in ["type", "severity", "members", "timeline"] {
                assert!(!line["incident"][field].is_null(), "{field} of {line}");
            }
        }
        assert_eq!(lines[1]["incident"]["members"][0]["subject"]["model"], "resnet50");
        assert!(lines[1]["incident"]["members"][0]["evidence"][0]["value"].is_f64());
        let counts = serde_json::to_string(&counts).expect("JSON");
        assert_eq!(
            counts,
            r#"{"summary":{"gpu-hardware":1,"gpu-oom":1,"noisy-neighbour":1},"resolved":1}"#
        );
    }
}
