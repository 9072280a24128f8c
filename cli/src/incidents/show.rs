//! One incident: what is broken, why, how it is known, what happened, what to do next.

use std::fmt::Write as _;

use gpuwarden_proto::event::{Subject, Suspect};
use gpuwarden_proto::incident::{Incident, Member, TimelineEntry};
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::IncidentState;

use crate::quantity::{age, ago, evidence, time_of_day};
use crate::text::{Paint, WIDTH, clean, wrap};

/// Where the text of a labelled line begins.
const INDENT: usize = 12;

/// The whole page.
pub fn render(incident: &Incident, now: Timestamp, paint: Paint) -> String {
    let mut page = Page(String::new());
    page.line(&head(incident, now, paint));
    page.line("");
    page.wrapped(2, "  ", &incident.title);
    for (label, text) in facts(incident) {
        page.labelled(label, &text);
    }
    page.members(incident, now);
    page.timeline(incident);
    page.line("");
    for (label, text) in next(incident) {
        page.labelled(label, &text);
    }
    page.0
}

fn head(incident: &Incident, now: Timestamp, paint: Paint) -> String {
    let Incident { id, kind, state, severity, .. } = incident;
    let severity = paint.severity(*severity, severity.as_str());
    let since = match incident.resolved_at {
        Some(over) => format!("{}, after {}", ago(now, over), lasted(incident, over)),
        None => age(now, incident.opened_at),
    };
    let taken = incident.acknowledged_by.as_deref();
    let taken = taken.map_or(String::new(), |by| format!("   taken by {}", clean(by)));
    format!("{id}  {severity}  {kind}   {state}   {since}{taken}")
}

fn lasted(incident: &Incident, over: Timestamp) -> String {
    gpuwarden_proto::time::spoken(over.since(incident.opened_at))
}

/// The lines under the title, without those that have nothing to say.
fn facts(incident: &Incident) -> Vec<(&'static str, String)> {
    let mut facts = Vec::new();
    let first = incident.members.first();
    let suspects = first.map(|member| member.suspects.as_slice()).unwrap_or_default();
    for (rank, suspect) in suspects.iter().enumerate() {
        facts.push((if rank == 0 { "cause" } else { "also" }, blame(suspect)));
    }
    if suspects.is_empty()
        && let Some(first) = first
    {
        facts.push(("cause", format!("{}: {}", place(first), first.summary)));
    }
    facts.push(("touches", touches(&incident.members)));
    facts.push(("type", format!("{}: {}", incident.kind, incident.type_reason)));
    facts.push(("severity", format!("{}: {}", incident.severity, incident.severity_reason)));
    facts
}

fn blame(suspect: &Suspect) -> String {
    let owner = if suspect.owner.is_empty() { "" } else { ", " };
    let Suspect { subject, confidence, .. } = suspect;
    format!("{subject}{owner}{} (confidence {confidence:.2})", suspect.owner)
}

/// Where a member is, as people say it.
fn place(member: &Member) -> String {
    match &member.subject {
        Subject::Node => member.node.to_string(),
        Subject::Gpu { .. }
        | Subject::Process { .. }
        | Subject::Server { .. }
        | Subject::Model { .. }
        | Subject::Source { .. } => format!("{} {}", member.node, member.subject),
    }
}

/// Everything that is touched, each once, and how much of it still is.
fn touches(members: &[Member]) -> String {
    let mut places: Vec<String> = members.iter().map(place).collect();
    places.sort();
    places.dedup();
    let active = members.iter().filter(|member| member.cleared_at.is_none()).count();
    format!("{} ({active} of {} findings active)", places.join(", "), members.len())
}

/// What to do now.
fn next(incident: &Incident) -> Vec<(&'static str, String)> {
    let runbook = ("next", format!("runbook {0} (runbooks/{0}.md)", incident.kind));
    let id = incident.id.0;
    match incident.state {
        IncidentState::Open => {
            vec![runbook, ("", format!("take it: gpuwarden incidents ack {id}"))]
        }
        IncidentState::Acknowledged => vec![runbook],
        IncidentState::Quiet => {
            vec![("next", "nothing is active any more; it resolves when it stays so".to_owned())]
        }
        IncidentState::Resolved => vec![("next", "nothing to do".to_owned())],
    }
}

/// A page as it grows. Writing to a `String` cannot fail.
struct Page(String);

impl Page {
    fn line(&mut self, line: &str) {
        let _ = writeln!(self.0, "{}", line.trim_end());
    }

    /// Text that may be long, with its first line begun and the others below it.
    fn wrapped(&mut self, indent: usize, begun: &str, text: &str) {
        for (index, line) in wrap(&clean(text), WIDTH - indent).iter().enumerate() {
            match index {
                0 => self.line(&format!("{begun}{line}")),
                _ => self.line(&format!("{:indent$}{line}", "")),
            }
        }
    }

    fn labelled(&mut self, label: &str, text: &str) {
        self.wrapped(INDENT, &format!("  {label:<10}"), text);
    }

    fn members(&mut self, incident: &Incident, now: Timestamp) {
        self.line("");
        self.line("  findings");
        for member in &incident.members {
            let state = match member.cleared_at {
                Some(at) => format!("cleared {}", ago(now, at)),
                None => format!("{}, active {}", member.grade, age(now, member.raised_at)),
            };
            let text = format!("{} on {} ({state})", member.rule, place(member));
            self.wrapped(6, "    ", &text);
            for text in [member.summary.clone(), format!("here because {}", member.reason)] {
                self.wrapped(8, "      ", &text);
            }
            for number in &member.evidence {
                self.wrapped(10, "      · ", &evidence(number));
            }
        }
        self.dropped(incident.members_dropped, "findings");
    }

    fn timeline(&mut self, incident: &Incident) {
        self.line("");
        self.line("  timeline (UTC)");
        for TimelineEntry { at, kind, actor, text } in &incident.timeline {
            let by = if actor == "gpuwarden" { "" } else { actor };
            let by = if by.is_empty() { String::new() } else { format!("{by}: ") };
            let begun = format!("    {}  {:<12}  ", time_of_day(*at), clean(kind));
            self.wrapped(28, &begun, &format!("{by}{text}"));
        }
        self.dropped(incident.timeline_dropped, "lines");
    }

    fn dropped(&mut self, count: u64, what: &str) {
        if count > 0 {
            self.line(&format!("    and {count} more {what} that did not fit"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::incidents::sample;

    fn page(incident: &Incident) -> String {
        let page = render(incident, sample::NOW, Paint::Plain);
        let long = page.lines().find(|line| line.chars().count() > WIDTH);
        assert_eq!(long, None);
        page
    }

    #[test]
    fn an_open_incident_says_why_and_what_to_do() {
        insta::assert_snapshot!(page(&sample::noisy_neighbour()), @r#"
        #2  P3  noisy-neighbour   acknowledged   12 min   taken by on-call

          resnet50 on node-b is 1.9 times slower than its baseline
          cause     train-job/worker-0 (pid 8811), ml-team/train-7 (confidence 0.93)
          touches   node-b model resnet50 (1 of 2 findings active)
          type      noisy-neighbour: its first finding leads to noisy-neighbour
          severity  P3: part of the replicas is degraded

          findings
            noisy-neighbour on node-b model resnet50 (degraded, active 12 min)
              resnet50 on node-b is 1.9 times slower than its baseline
              here because it was the first
              · service time per inference 11.4 ms over 15 s (threshold 7.5 ms, usually 6 ms)
              · contrast 1.93 over 64 s (threshold 1.25)
            latency-high on node-b model resnet50 (cleared 2 min ago)
              resnet50 answers in 48 ms on average, usually in 9 ms, and has done so for a minute
              here because same model on the same node within 30 s (score 0.91 over 0.60)
              · latency 48 ms (usually 9 ms)

          timeline (UTC)
            14:02:11  detected      noisy-neighbour on node-b model resnet50
            14:02:11  classified    noisy-neighbour: its first finding leads to it
            14:02:41  joined        latency-high on node-b model resnet50: same model
            14:03:41  acknowledged  on-call: acknowledged

          next      runbook noisy-neighbour (runbooks/noisy-neighbour.md)
        "#);
    }

    #[test]
    fn a_resolved_incident_says_how_long_it_took() {
        insta::assert_snapshot!(page(&sample::resolved()), @r#"
        #1  P1  gpu-oom   resolved   10 min ago, after 1 min

          memory of node-b GPU 1 is gone
          cause     node-b GPU 1: memory of node-b GPU 1 is gone
          touches   node-b GPU 1 (0 of 1 findings active)
          type      gpu-oom: its first finding leads to gpu-oom
          severity  P1: part of the replicas is degraded

          findings
            gpu-memory-exhausted on node-b GPU 1 (cleared 10 min ago)
              memory of node-b GPU 1 is gone
              here because it was the first

          timeline (UTC)
            14:02:11  detected      gpu-memory-exhausted on node-b GPU 1
            14:03:31  cleared       gpu-memory-exhausted on node-b GPU 1
            14:03:46  resolved      quiet for 15 s

          next      nothing to do
        "#);
    }

    #[test]
    fn names_from_outside_cannot_write_on_the_terminal() {
        let mut incident = sample::lost_gpu();
        incident.title = "\u{1b}[2Jgone".to_owned();
        incident.members[0].summary = "a\u{1b}]0;title\u{7}\nb".repeat(20);
        incident.timeline[0].text = "\u{9b}31m".to_owned();
        let page = page(&incident);
        assert!(page.chars().all(|c| c == '\n' || !c.is_control()), "{page}");
    }
}
