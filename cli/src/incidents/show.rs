//! One incident: what is broken, why, how it is known, what happened, what to do next.

use gpuwarden_proto::event::Suspect;
use gpuwarden_proto::incident::{Incident, Member, SuspectedChange, TimelineEntry};
use gpuwarden_proto::silence::Suppression;
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::IncidentState;
use gpuwarden_proto::work::Work;

use super::name::{doubt, entity, percent, place, suspect};
use super::{explain, work};
use crate::page::Page;
use crate::quantity::{age, ago, evidence, time_of_day};
use crate::text::{Paint, WIDTH, clean};

/// Likely causes that are shown; `explain` shows all.
const CAUSES_SHOWN: usize = 3;

/// The whole page of an incident of whose work nothing is known.
#[cfg(test)]
pub fn render(incident: &Incident, now: Timestamp, paint: Paint) -> String {
    render_with(incident, None, now, paint)
}

/// The whole page, with the work on the incident where there is some.
pub fn render_with(
    incident: &Incident,
    known: Option<&Work>,
    now: Timestamp,
    paint: Paint,
) -> String {
    let mut page = Page::new(WIDTH);
    page.line(&head(incident, now, paint));
    page.line("");
    page.wrapped(2, "  ", &incident.title);
    for (label, text) in facts(incident) {
        page.labelled(label, &text);
    }
    for (label, text) in known.map(|known| work::facts(known, now)).unwrap_or_default() {
        page.labelled(label, &text);
    }
    members(&mut page, incident, now);
    timeline(&mut page, incident);
    known.into_iter().for_each(|known| work::history(&mut page, known));
    page.line("");
    for (label, text) in next(incident) {
        page.labelled(label, &text);
    }
    rollback(&mut page, incident);
    page.text()
}

/// The first line of every page about an incident.
pub fn head(incident: &Incident, now: Timestamp, paint: Paint) -> String {
    let Incident { id, kind, state, severity, .. } = incident;
    let severity = paint.severity(*severity, severity.as_str());
    let since = match incident.resolved_at {
        Some(over) if incident.merged_into.is_some() => ago(now, over),
        Some(over) => format!("{}, after {}", ago(now, over), lasted(incident, over)),
        None => age(now, incident.opened_at),
    };
    let taken = incident.acknowledged_by.as_deref();
    let taken = taken.map_or(String::new(), |by| format!("   taken by {}", clean(by)));
    let state = onward(incident).unwrap_or_else(|| state.to_string());
    format!("{id}  {severity}  {kind}   {state}   {since}{taken}")
}

/// Where an incident that was merged went on.
pub fn onward(incident: &Incident) -> Option<String> {
    incident.merged_into.map(|into| format!("goes on as {into}"))
}

fn lasted(incident: &Incident, over: Timestamp) -> String {
    gpuwarden_proto::time::spoken(over.since(incident.opened_at))
}

/// The lines under the title, without those that have nothing to say.
fn facts(incident: &Incident) -> Vec<(&'static str, String)> {
    let mut facts = held(incident);
    facts.extend(causes(incident));
    facts.extend(incident.suspected_change.as_ref().map(|found| ("change", suspected(found))));
    facts.push(("touches", touches(incident)));
    facts.push(("type", format!("{}: {}", incident.kind, incident.type_reason)));
    facts.push(("severity", format!("{}: {}", incident.severity, incident.severity_reason)));
    facts
}

/// What holds it back, and for how much of it.
fn held(incident: &Incident) -> Vec<(&'static str, String)> {
    let label = if incident.held_since.is_some() { "held back" } else { "in part" };
    let line = |by: &Suppression| (label, format!("by {}", explain::holder(by)));
    incident.suppressed_by.iter().map(line).collect()
}

/// The likeliest causes. Where none are kept, whom the first member blames, or itself.
fn causes(incident: &Incident) -> Vec<(&'static str, String)> {
    let ranked = |rank: usize, text: String| (if rank == 0 { "cause" } else { "also" }, text);
    if !incident.roots.is_empty() {
        let roots = incident.roots.iter().take(CAUSES_SHOWN).enumerate();
        let text = roots.map(|(rank, root)| {
            let name = entity(&root.entity, incident);
            ranked(rank, format!("{name} ({}): {}", percent(root.score), root.reason))
        });
        return text.collect();
    }
    let Some(first) = incident.members.first() else { return Vec::new() };
    if first.suspects.is_empty() {
        return vec![("cause", format!("{}: {}", place(first), first.summary))];
    }
    first.suspects.iter().enumerate().map(|(rank, each)| ranked(rank, blame(each))).collect()
}

/// The change that is suspected: how, by whom, when, and where more is written.
fn suspected(found: &SuspectedChange) -> String {
    let by = if found.by.is_empty() { "" } else { " by " };
    let link = if found.link.is_empty() { "" } else { ", see " };
    let (kind, at) = (found.kind, time_of_day(found.at));
    let sure = percent(found.score);
    let said = format!("{kind}{by}{} at {at} ({sure}): {}", found.by, found.summary);
    format!("{said}{link}{}", found.link)
}

/// How a suspected change is taken back: the step of the runbook, its commands below it.
fn rollback(page: &mut Page, incident: &Incident) {
    let found = incident.suspected_change.as_ref().filter(|_| incident.resolved_at.is_none());
    let Some(found) = found.filter(|found| !found.rollback.is_empty()) else { return };
    let mut lines = found.rollback.lines();
    page.labelled("undo", lines.next().unwrap_or_default());
    let mut mark = "$ ";
    for command in lines {
        // Not wrapped: it is to be copied.
        page.line(&format!("            {mark}{}", clean(command)));
        mark = if command.ends_with('\\') { "  " } else { "$ " };
    }
}

fn blame(blamed: &Suspect) -> String {
    format!("{} (confidence {:.2})", suspect(blamed), blamed.confidence)
}

/// Everything that is touched, each once, and how much of it still is.
fn touches(incident: &Incident) -> String {
    let members = &incident.members;
    let mut places: Vec<String> = members.iter().map(|member| place(member)).collect();
    places.sort();
    places.dedup();
    let active = members.iter().filter(|member| member.cleared_at.is_none()).count();
    let (places, all) = (places.join(", "), members.len());
    match incident.merged_into {
        Some(into) => {
            format!("{places} ({active} of {all} findings were active and are in {into})")
        }
        None => format!("{places} ({active} of {all} findings active)"),
    }
}

/// What to do now.
fn next(incident: &Incident) -> Vec<(&'static str, String)> {
    let runbook = ("next", format!("runbook {0} (runbooks/{0}.md)", incident.kind));
    let id = incident.id.0;
    if let Some(into) = incident.merged_into {
        return vec![("next", format!("gpuwarden incidents show {}", into.0))];
    }
    let mut next = match incident.state {
        IncidentState::Open => {
            vec![runbook, ("", format!("take it: gpuwarden incidents ack {id}"))]
        }
        IncidentState::Acknowledged => vec![runbook],
        IncidentState::Quiet => {
            vec![("next", "nothing is active any more; it resolves when it stays so".to_owned())]
        }
        IncidentState::Resolved => vec![("next", "nothing to do".to_owned())],
    };
    next.push(("why", format!("gpuwarden incidents explain {id}")));
    next
}

fn members(page: &mut Page, incident: &Incident, now: Timestamp) {
    page.line("");
    page.line("  findings");
    for member in &incident.members {
        let text =
            format!("{} on {} ({})", member.rule, place(member), standing(incident, member, now));
        page.wrapped(6, "    ", &text);
        let sure = doubt(member.score).map_or(String::new(), |sure| format!(", {sure},"));
        for text in [member.summary.clone(), format!("here{sure} because {}", member.reason)] {
            page.wrapped(8, "      ", &text);
        }
        for number in &member.evidence {
            page.wrapped(10, "      · ", &evidence(number));
        }
    }
    dropped(page, incident.members_dropped, "findings");
}

/// Whether a member is active. One that went on in another incident is so or not there.
fn standing(incident: &Incident, member: &Member, now: Timestamp) -> String {
    match (member.cleared_at, incident.merged_into) {
        (Some(at), _) => format!("cleared {}", ago(now, at)),
        (None, Some(into)) => format!("{}, now in {into}", member.grade),
        (None, None) => format!("{}, active {}", member.grade, age(now, member.raised_at)),
    }
}

fn timeline(page: &mut Page, incident: &Incident) {
    page.line("");
    page.line("  timeline (UTC)");
    for line in &incident.timeline {
        let TimelineEntry { at, kind, actor, text } = &**line;
        let by = if actor == "gpuwarden" { "" } else { actor };
        let by = if by.is_empty() { String::new() } else { format!("{by}: ") };
        let begun = format!("    {}  {:<12}  ", time_of_day(*at), clean(kind));
        page.wrapped(28, &begun, &format!("{by}{text}"));
    }
    dropped(page, incident.timeline_dropped, "lines");
}

fn dropped(page: &mut Page, count: u64, what: &str) {
    if count > 0 {
        page.line(&format!("    and {count} more {what} that did not fit"));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

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
          cause     node-b train-job/worker-0 (pid 8811), ml-team/train-7 (93 %): explains 2 of 2 members,
                    began first, blamed for noisy-neighbour
          also      node-b model resnet50 (61 %): explains 2 of 2 members
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
              here, 91 % sure, because model resnet50 has noisy-neighbour, which makes latency-high; same
                GPU
              · latency 48 ms (usually 9 ms)

          timeline (UTC)
            14:02:11  detected      noisy-neighbour on node-b model resnet50
            14:02:11  classified    noisy-neighbour: its first finding leads to it
            14:02:41  joined        latency-high on node-b model resnet50: same model
            14:03:41  acknowledged  on-call: acknowledged

          next      runbook noisy-neighbour (runbooks/noisy-neighbour.md)
          why       gpuwarden incidents explain 2
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
          why       gpuwarden incidents explain 1
        "#);
    }

    #[test]
    fn a_merged_incident_says_where_it_went_on() {
        insta::assert_snapshot!(page(&sample::merged()), @r#"
        #4  P3  node-unreachable   goes on as #5   11 min ago

          node-d has not been heard of for 10 s
          cause     node-d: node-d has not been heard of for 10 s
          touches   node-d (1 of 1 findings were active and are in #5)
          type      node-unreachable: its first finding leads to node-unreachable
          severity  P3: part of the replicas is degraded

          findings
            node-lost on node-d (degraded, now in #5)
              node-d has not been heard of for 10 s
              here because first seen

          timeline (UTC)
            14:02:16  detected      node-d: not heard of for 10 s
            14:02:20  merged        goes on as #5: 3 nodes of rack r7 failed together

          next      gpuwarden incidents show 5
        "#);
    }

    #[test]
    fn a_rack_that_fails_is_named_as_the_cause_of_all() {
        insta::assert_snapshot!(page(&sample::rack()), @r#"
        #5  P1  node-unreachable   open   12 min

          rack r7: 3 nodes, node-b has not been heard of for 10 s
          cause     rack r7 (100 %): explains 3 of 3 members
          also      node-b (51 %): explains 1 of 3 members
          also      node-c (51 %): explains 1 of 3 members
          touches   node-b, node-c, node-d (3 of 3 findings active)
          type      node-unreachable: its first finding leads to node-unreachable
          severity  P1: no replica of resnet50 serves

          findings
            node-lost on node-b (degraded, active 12 min)
              not heard of for 10 s
              here because first seen
            node-lost on node-c (degraded, active 12 min)
              not heard of for 10 s
              here, 72 % sure, because in rack r7, where node-b failed 4 s before; asks node-b
            node-lost on node-d (degraded, active 12 min)
              not heard of for 10 s
              here because first seen (from #4)

          timeline (UTC)
            14:02:11  detected      node-b: not heard of for 10 s
            14:02:11  severity      P3: node-lost: service is degraded
            14:02:12  related       may belong to #2 (45 %): same model resnet50 on node-b
            14:02:20  merged        takes in #4: 3 nodes of rack r7 failed together
            14:02:20  cause         likely cause is now rack r7: 3 nodes failed together
            14:02:21  severity      P1 (was P3): no replica of resnet50 serves
            14:02:51  parted        node-e GPU 1 goes to #6: xid 79 explains it; same GPU

          next      runbook node-unreachable (runbooks/node-unreachable.md)
                    take it: gpuwarden incidents ack 5
          why       gpuwarden incidents explain 5
        "#);
    }

    #[test]
    fn what_is_held_back_says_by_whom_until_when_and_why() {
        let first = |incident: &Incident| {
            let page = page(incident);
            page.split("\n\n").take(2).collect::<Vec<_>>().join("\n\n")
        };
        insta::assert_snapshot!(first(&sample::held()), @r"
        #3  P2  gpu-hardware   open   12 min

          GPU 1 of node-b is lost (XID 79)
          held back by silence S7 (ann) until 2026-11-23 20:31 UTC, because RMA of GPU 1 (3 of 3 findings)
          held back by #5 (inhibition rack-first), because #5 is active, same rack r7 (1 of 3 findings)
          cause     node-b GPU 1: GPU 1 of node-b is lost (XID 79)
          touches   node-b GPU 1 (1 of 1 findings active)
          type      gpu-hardware: its first finding leads to gpu-hardware
          severity  P2: part of the replicas is degraded
        ");
        insta::assert_snapshot!(first(&sample::released(5)), @r"
        #3  P2  gpu-hardware   open   12 min

          GPU 1 of node-b is lost (XID 79)
          in part   by #5 (inhibition rack-first), because #5 is active, same rack r7 (1 of 3 findings)
          cause     node-b GPU 1: GPU 1 of node-b is lost (XID 79)
          touches   node-b GPU 1 (1 of 1 findings active)
          type      gpu-hardware: its first finding leads to gpu-hardware
          severity  P2: part of the replicas is degraded
        ");
    }

    #[test]
    fn a_suspected_change_is_named_with_the_way_back() {
        insta::assert_snapshot!(page(&sample::deployed()), @r"
        #9  P2  high-error-rate   open   12 min

          model resnet50 fails 40 % of requests
          cause     change ci-7 (89 %): explains 1 of 1 members, began first, rollout of service search 4
                    min before
          change    rollout by ann at 14:02:11 (89 %): search 7 with new weights, see https://ci.example/7
          touches   node-b model resnet50 (1 of 1 findings active)
          type      high-error-rate: its first finding leads to high-error-rate
          severity  P2: part of the replicas is degraded

          findings
            error-rate-high on node-b model resnet50 (degraded, active 12 min)
              40 % of requests fail
              here because it was the first

          timeline (UTC)
            14:02:12  suspected     rollout is suspected: search 7

          next      runbook high-error-rate (runbooks/high-error-rate.md)
                    take it: gpuwarden incidents ack 9
          why       gpuwarden incidents explain 9
          undo      runbook high-error-rate, step 4: roll back the model version
                    $ kubectl rollout undo deployment/{deployment} -n {namespace}
        ");
    }

    #[test]
    fn names_from_outside_cannot_write_on_the_terminal() {
        let mut incident = sample::lost_gpu();
        incident.title = "\u{1b}[2Jgone".to_owned();
        Arc::make_mut(&mut incident.members[0]).summary = "a\u{1b}]0;title\u{7}\nb".repeat(20);
        Arc::make_mut(&mut incident.timeline[0]).text = "\u{9b}31m".to_owned();
        let page = page(&incident);
        assert!(page.chars().all(|c| c == '\n' || !c.is_control()), "{page}");
    }
}
