//! Why an incident is what it is: its members, type, severity, likely causes, and what went in and
//! out. Everything is what the aggregator wrote down when it decided; nothing is concluded here.

use gpuwarden_proto::incident::{Incident, Member, TimelineEntry};
use gpuwarden_proto::silence::{Suppression, minute};
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::work::Work;

use super::name::{doubt, entity, percent, place};
use super::{show, work};
use crate::page::Page;
use crate::quantity::time_of_day;
use crate::text::{PROSE_WIDTH, Paint, clean};

/// What the aggregator writes of the member that an incident was opened for.
const FIRST: &str = "first seen";

/// The whole page of an incident of whose work nothing is known.
#[cfg(test)]
pub fn render(incident: &Incident, now: Timestamp, paint: Paint) -> String {
    render_with(incident, None, now, paint)
}

/// The whole page, with why people were paged where that is known.
pub fn render_with(
    incident: &Incident,
    known: Option<&Work>,
    now: Timestamp,
    paint: Paint,
) -> String {
    let mut page = Page::new(PROSE_WIDTH);
    page.line(&show::head(incident, now, paint));
    page.heading(&incident.title);
    if let Some(onward) = show::onward(incident) {
        page.wrapped(2, "  ", &format!("It {onward}, which took its findings in."));
    }
    members(&mut page, incident);
    decided(&mut page, incident);
    held(&mut page, incident);
    known.into_iter().for_each(|known| work::explained(&mut page, known));
    causes(&mut page, incident);
    related(&mut page, incident);
    moved(&mut page, incident);
    page.text()
}

fn members(page: &mut Page, incident: &Incident) {
    page.heading("Why these findings are together");
    for (index, member) in incident.members.iter().enumerate() {
        let sure = doubt(member.score).map_or(String::new(), |sure| format!(" ({sure})"));
        let text = format!("{} on {}{sure}", member.rule, place(member));
        page.wrapped(7, &format!("    {:<3}", format!("{}.", index + 1)), &text);
        for ground in grounds(member) {
            page.wrapped(9, "       · ", &ground);
        }
    }
    if incident.members_dropped > 0 {
        let count = incident.members_dropped;
        page.paragraph(&format!("{count} more did not fit; they are counted, not kept."));
    }
}

/// Each piece of evidence for a member, the strongest first, and where it came from.
fn grounds(member: &Member) -> Vec<String> {
    let (mut reason, mut path) = (member.reason.as_str(), Vec::new());
    while let Some((before, from)) = reason.rsplit_once(" (from #")
        && let Some(id) = from.strip_suffix(')')
    {
        path.push(format!("#{id}"));
        reason = before;
    }
    path.reverse();
    let mut grounds: Vec<String> = match (reason, path.first()) {
        (FIRST, None) => vec!["the incident was opened for it".to_owned()],
        (FIRST, Some(from)) => vec![format!("{from} was opened for it")],
        (reason, _) => reason.split("; ").map(ToOwned::to_owned).collect(),
    };
    if !path.is_empty() {
        grounds.push(format!("it came from {}", path.join(", then ")));
    }
    grounds
}

fn decided(page: &mut Page, incident: &Incident) {
    page.heading(&format!("Why its type is {}", incident.kind));
    page.paragraph(&sentence(&incident.type_reason));
    course(page, incident, "classified");
    page.heading(&format!("Why its severity is {}", incident.severity));
    page.paragraph(&sentence(&incident.severity_reason));
    course(page, incident, "severity");
}

/// How something came to be what it is, where it was not so from the beginning.
fn course(page: &mut Page, incident: &Incident, kind: &str) {
    let lines = of_kinds(incident, &[kind]);
    if lines.len() > 1 {
        lines.into_iter().for_each(|line| entry(page, line, &line.text));
    }
}

fn held(page: &mut Page, incident: &Incident) {
    let whole = match (incident.held_since, incident.suppressed_by.is_empty()) {
        (Some(_), _) => "Why it is held back",
        (None, false) => "Why it is shown although some of it is held back",
        (None, true) => "Whether it is held back",
    };
    page.heading(whole);
    for by in &incident.suppressed_by {
        page.wrapped(7, "    ·  ", &format!("by {}", holder(by)));
    }
    let lines = of_kinds(incident, &["held", "released"]);
    if incident.suppressed_by.is_empty() && lines.is_empty() {
        page.paragraph("No silence, maintenance or inhibition is about any of its findings.");
    }
    lines.into_iter().for_each(|line| entry(page, line, &format!("{}: {}", line.kind, line.text)));
}

/// Who or what holds back, until when, why, and how much of an incident.
pub fn holder(suppression: &Suppression) -> String {
    let Suppression { by, author, reason, until, members_held, members_total } = suppression;
    let author = if author.is_empty() { String::new() } else { format!(" ({author})") };
    let until = until.map_or(String::new(), |until| format!(" until {}", minute(until)));
    format!("{by}{author}{until}, because {reason} ({members_held} of {members_total} findings)")
}

fn causes(page: &mut Page, incident: &Incident) {
    page.heading("What the cause may be, the likeliest first");
    for (index, root) in incident.roots.iter().enumerate() {
        let text = format!("{} ({})", entity(&root.entity, incident), percent(root.score));
        page.wrapped(7, &format!("    {:<3}", format!("{}.", index + 1)), &text);
        page.wrapped(7, "       ", &root.reason);
    }
    if incident.roots.is_empty() {
        page.paragraph("No likely causes are kept of it.");
    }
}

fn related(page: &mut Page, incident: &Incident) {
    page.heading("What else it may belong to (UTC)");
    let lines = of_kinds(incident, &["related"]);
    if lines.is_empty() {
        page.paragraph("No other incident was named when it was opened.");
    }
    lines.into_iter().for_each(|line| entry(page, line, &line.text));
}

fn moved(page: &mut Page, incident: &Incident) {
    page.heading("What was merged, parted and seen in another light, in order (UTC)");
    let lines = of_kinds(incident, &["merged", "parted", "cause"]);
    if lines.is_empty() {
        page.paragraph("Nothing was.");
    }
    lines.into_iter().for_each(|line| entry(page, line, &format!("{}: {}", line.kind, line.text)));
    if incident.timeline_dropped > 0 {
        let count = incident.timeline_dropped;
        page.paragraph(&format!(
            "{count} lines of its history did not fit: more may have happened than is said here."
        ));
    }
}

fn of_kinds<'a>(incident: &'a Incident, kinds: &[&str]) -> Vec<&'a TimelineEntry> {
    let lines = incident.timeline.iter().map(AsRef::as_ref);
    lines.filter(|line: &&TimelineEntry| kinds.contains(&line.kind.as_str())).collect()
}

fn entry(page: &mut Page, line: &TimelineEntry, text: &str) {
    let by = if line.actor == "gpuwarden" { String::new() } else { format!("{}: ", line.actor) };
    page.wrapped(14, &format!("    {}  ", clean(&time_of_day(line.at))), &format!("{by}{text}"));
}

/// A reason as a sentence of its own.
fn sentence(reason: &str) -> String {
    let mut letters = reason.chars();
    let first: String = letters.next().into_iter().flat_map(char::to_uppercase).collect();
    // A name of a rule keeps its letters.
    let name = reason.split([' ', ':']).next().is_some_and(|word| word.contains('-'));
    let begun = if name { reason.to_owned() } else { format!("{first}{}", letters.as_str()) };
    format!("{begun}.")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::incidents::sample;

    fn page(incident: &Incident) -> String {
        let page = render(incident, sample::NOW, Paint::Plain);
        assert_eq!(page.lines().find(|line| line.chars().count() > PROSE_WIDTH), None);
        page
    }

    #[test]
    fn each_decision_says_why_it_was_made() {
        insta::assert_snapshot!(page(&sample::noisy_neighbour()), @r"
        #2  P3  noisy-neighbour   acknowledged   12 min   taken by on-call

          resnet50 on node-b is 1.9 times slower than its baseline

          Why these findings are together
            1. noisy-neighbour on node-b model resnet50
               · it was the first
            2. latency-high on node-b model resnet50 (91 % sure)
               · model resnet50 has noisy-neighbour, which makes latency-high
               · same GPU

          Why its type is noisy-neighbour
            Its first finding leads to noisy-neighbour.

          Why its severity is P3
            Part of the replicas is degraded.

          Whether it is held back
            No silence, maintenance or inhibition is about any of its findings.

          What the cause may be, the likeliest first
            1. node-b train-job/worker-0 (pid 8811), ml-team/train-7 (93 %)
               explains 2 of 2 members, began first, blamed for noisy-neighbour
            2. node-b model resnet50 (61 %)
               explains 2 of 2 members

          What else it may belong to (UTC)
            No other incident was named when it was opened.

          What was merged, parted and seen in another light, in order (UTC)
            Nothing was.
        ");
    }

    #[test]
    fn what_was_taken_in_and_parted_is_told_in_order() {
        insta::assert_snapshot!(page(&sample::rack()), @r"
        #5  P1  node-unreachable   open   12 min

          rack r7: 3 nodes, node-b has not been heard of for 10 s

          Why these findings are together
            1. node-lost on node-b
               · the incident was opened for it
            2. node-lost on node-c (72 % sure)
               · in rack r7, where node-b failed 4 s before
               · asks node-b
            3. node-lost on node-d
               · #4 was opened for it
               · it came from #4

          Why its type is node-unreachable
            Its first finding leads to node-unreachable.

          Why its severity is P1
            No replica of resnet50 serves.
            14:02:11  P3: node-lost: service is degraded
            14:02:21  P1 (was P3): no replica of resnet50 serves

          Whether it is held back
            No silence, maintenance or inhibition is about any of its findings.

          What the cause may be, the likeliest first
            1. rack r7 (100 %)
               explains 3 of 3 members
            2. node-b (51 %)
               explains 1 of 3 members
            3. node-c (51 %)
               explains 1 of 3 members
            4. node-d (51 %)
               explains 1 of 3 members
            5. model resnet50 (20 %)
               several nodes have it

          What else it may belong to (UTC)
            14:02:12  may belong to #2 (45 %): same model resnet50 on node-b

          What was merged, parted and seen in another light, in order (UTC)
            14:02:20  merged: takes in #4: 3 nodes of rack r7 failed together
            14:02:20  cause: likely cause is now rack r7: 3 nodes failed together
            14:02:51  parted: node-e GPU 1 goes to #6: xid 79 explains it; same GPU
        ");
    }

    #[test]
    fn what_went_on_as_another_says_where() {
        insta::assert_snapshot!(page(&sample::merged()), @r"
        #4  P3  node-unreachable   goes on as #5   11 min ago

          node-d has not been heard of for 10 s
          It goes on as #5, which took its findings in.

          Why these findings are together
            1. node-lost on node-d
               · the incident was opened for it

          Why its type is node-unreachable
            Its first finding leads to node-unreachable.

          Why its severity is P3
            Part of the replicas is degraded.

          Whether it is held back
            No silence, maintenance or inhibition is about any of its findings.

          What the cause may be, the likeliest first
            No likely causes are kept of it.

          What else it may belong to (UTC)
            No other incident was named when it was opened.

          What was merged, parted and seen in another light, in order (UTC)
            14:02:20  merged: goes on as #5: 3 nodes of rack r7 failed together
        ");
    }

    #[test]
    fn what_is_held_back_says_by_what_and_since_when() {
        let section = |incident: &Incident| {
            let page = page(incident);
            page.split("\n\n").nth(5).unwrap_or_default().to_owned()
        };
        insta::assert_snapshot!(section(&sample::held()), @r"
        Why it is held back
          ·  by silence S7 (ann) until 2026-11-23 20:31 UTC, because RMA of GPU 1 (3
             of 3 findings)
          ·  by #5 (inhibition rack-first), because #5 is active, same rack r7 (1 of 3
             findings)
          14:02:16  held: by silence S7 (ann) until 2026-11-23 20:31 UTC: RMA of GPU 1
        ");
        insta::assert_snapshot!(section(&sample::released(5)), @r"
        Why it is shown although some of it is held back
          ·  by #5 (inhibition rack-first), because #5 is active, same rack r7 (1 of 3
             findings)
          14:02:16  held: by silence S7 (ann) until 2026-11-23 20:31 UTC: RMA of GPU 1
          14:12:11  released: bob ended S7
        ");
    }

    #[test]
    fn names_from_outside_cannot_write_on_the_terminal() {
        let mut incident = sample::rack();
        Arc::make_mut(&mut incident.members[0]).reason = "\u{1b}[2J; a\u{7}\nb".to_owned();
        incident.roots[0].reason = "\u{1b}]0;x".to_owned();
        Arc::make_mut(&mut incident.timeline[0]).text = "\u{9b}31m".to_owned();
        incident.type_reason = "\u{1b}c".to_owned();
        let page = page(&incident);
        assert!(page.chars().all(|c| c == '\n' || !c.is_control()), "{page}");
    }
}
