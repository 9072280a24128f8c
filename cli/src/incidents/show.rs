//! One incident: what is broken, why, how it is known, what happened, what to do next.

use gpuwarden_proto::event::Suspect;
use gpuwarden_proto::incident::{Incident, Member, TimelineEntry};
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::IncidentState;

use super::name::{doubt, entity, percent, place, suspect};
use crate::page::Page;
use crate::quantity::{age, ago, evidence, time_of_day};
use crate::text::{Paint, WIDTH, clean};

/// Likely causes that are shown; `explain` shows all.
const CAUSES_SHOWN: usize = 3;

/// The whole page.
pub fn render(incident: &Incident, now: Timestamp, paint: Paint) -> String {
    let mut page = Page::new(WIDTH);
    page.line(&head(incident, now, paint));
    page.line("");
    page.wrapped(2, "  ", &incident.title);
    for (label, text) in facts(incident) {
        page.labelled(label, &text);
    }
    members(&mut page, incident, now);
    timeline(&mut page, incident);
    page.line("");
    for (label, text) in next(incident) {
        page.labelled(label, &text);
    }
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
    let mut facts = causes(incident);
    facts.push(("touches", touches(incident)));
    facts.push(("type", format!("{}: {}", incident.kind, incident.type_reason)));
    facts.push(("severity", format!("{}: {}", incident.severity, incident.severity_reason)));
    facts
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

fn blame(blamed: &Suspect) -> String {
    format!("{} (confidence {:.2})", suspect(blamed), blamed.confidence)
}

/// Everything that is touched, each once, and how much of it still is.
fn touches(incident: &Incident) -> String {
    let members = &incident.members;
    let mut places: Vec<String> = members.iter().map(place).collect();
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
    for TimelineEntry { at, kind, actor, text } in &incident.timeline {
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
        insta::assert_snapshot!(page(&sample::noisy_neighbour()), @"");
    }

    #[test]
    fn a_resolved_incident_says_how_long_it_took() {
        insta::assert_snapshot!(page(&sample::resolved()), @"");
    }

    #[test]
    fn a_merged_incident_says_where_it_went_on() {
        insta::assert_snapshot!(page(&sample::merged()), @"");
    }

    #[test]
    fn a_rack_that_fails_is_named_as_the_cause_of_all() {
        insta::assert_snapshot!(page(&sample::rack()), @"");
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
