//! The work on an incident in words: who has it, who is paged next, what is still open.

use gpuwarden_proto::incident::TimelineEntry;
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::work::{Notice, Phase, Standing, Work};

use crate::page::Page;
use crate::quantity::{age, time_of_day};
use crate::text::{Paint, clean};

/// Lines of the history that are shown, the newest.
const HISTORY_SHOWN: usize = 12;

/// What became of a person's order, in one line.
pub fn answer(work: &Work, now: Timestamp, paint: Paint) -> String {
    let Work { incident, severity, stage, version, .. } = work;
    let severity = paint.severity(*severity, severity.as_str());
    format!("{incident}  {severity}  {stage}, version {version}: {}", paging(work, now))
}

/// The lines about the work under an incident's title.
pub fn facts(work: &Work, now: Timestamp) -> Vec<(&'static str, String)> {
    let mut facts = vec![("work", format!("{}, {}", work.stage, paging(work, now)))];
    if work.stage.is_open() {
        facts.push(("answer", respond(work, now)));
        facts.push(("over", expected(work, now)));
    }
    if let Some(at) = work.review_at {
        facts.push(("review", format!("held {}", gpuwarden_proto::silence::minute(at))));
    }
    facts.push(("checklist", checklist(work)));
    let open = work.actions.iter().filter(|action| action.done_at.is_none()).count();
    if !work.actions.is_empty() {
        facts.push(("actions", format!("{open} of {} still to be done", work.actions.len())));
    }
    facts
}

/// Who has it, or who is paged, and what comes next.
fn paging(work: &Work, now: Timestamp) -> String {
    let reached = work.reached.map_or_else(|| "nobody".to_owned(), |level| level.to_string());
    let next = work.next_page_at.filter(|at| *at > now);
    let next = next.map_or(String::new(), |at| format!(", the next page in {}", age(at, now)));
    match &work.paging {
        Phase::Waiting => format!("paged when working hours begin{next}"),
        Phase::Climbing => format!("{reached} paged and nobody has answered{next}"),
        Phase::Acknowledged { by, until } => {
            format!("{} has it until {}", clean(by), time_of_day(*until))
        }
        Phase::Exhausted => "nobody answered, and nobody is left to page".to_owned(),
        Phase::Mitigated => "nobody is paged, since it does no harm".to_owned(),
        Phase::Held { by } => format!("nobody is paged: held back by {}", clean(by)),
        Phase::Over => "nobody is paged any more".to_owned(),
    }
}

fn respond(work: &Work, now: Timestamp) -> String {
    let Work { respond_by, standing, .. } = work;
    let by = time_of_day(*respond_by);
    let left = |what: &str| format!("wanted by {by}, {what}: {} left", age(*respond_by, now));
    match standing {
        _ if work.owner.is_some() => format!("was wanted by {by}"),
        Standing::InTime => left("in time"),
        Standing::AtRiskHalf => left("half of the time is over"),
        Standing::AtRiskFourFifths => left("four fifths of the time are over"),
        Standing::Breached => format!("was wanted by {by}: {} too late", age(now, *respond_by)),
    }
}

fn expected(work: &Work, now: Timestamp) -> String {
    match &work.expected_over {
        None => "nobody has said when (gpuwarden incidents expect)".to_owned(),
        Some(said) => {
            let stale = if said.at < now { ", which is over: say it anew" } else { "" };
            let (at, ago) = (time_of_day(said.at), age(now, said.said_at));
            format!("expected at {at}, as {} said {ago} ago{stale}", clean(&said.by))
        }
    }
}

fn checklist(work: &Work) -> String {
    let needed: Vec<_> = work.checklist.iter().filter(|each| each.needed).collect();
    let open: Vec<&str> = needed
        .iter()
        .filter(|each| each.ticked_at.is_none())
        .map(|each| each.item.as_str())
        .collect();
    let done = needed.len() - open.len();
    match open.is_empty() {
        true => format!("all {done} boxes are ticked"),
        false => format!("{done} of {} ticked; open: {}", needed.len(), open.join(", ")),
    }
}

/// What people were asked and did, and what was told to whom.
pub fn history(page: &mut Page, work: &Work) {
    page.heading("Who was asked and told, and what they did (UTC)");
    let skip = work.history.len().saturating_sub(HISTORY_SHOWN);
    if skip > 0 {
        page.paragraph(&format!("{skip} earlier lines are in --output json."));
    }
    work.history.iter().skip(skip).for_each(|line| entry(page, line));
    let trouble = work.notices.iter().filter(|notice| !notice.fault.is_empty());
    for notice in trouble.filter(|notice| notice.state != "superseded") {
        let Notice { destination, kind, state, fault, at } = notice;
        let text = format!("{kind} to {destination} is {state}: {fault}");
        page.wrapped(14, &format!("    {}  ", time_of_day(*at)), &clean(&text));
    }
}

/// Why somebody was, or nobody was, paged.
pub fn explained(page: &mut Page, work: &Work) {
    page.heading("Why people were paged or not (UTC)");
    let kinds = ["paged", "not-paged", "exhausted", "taken", "late", "not-delivered"];
    let lines: Vec<&TimelineEntry> =
        work.history.iter().filter(|line| kinds.contains(&line.kind.as_str())).collect();
    if lines.is_empty() {
        page.paragraph("Nothing was decided about paging.");
    }
    lines.into_iter().for_each(|line| entry(page, line));
}

fn entry(page: &mut Page, line: &TimelineEntry) {
    let by = if line.actor == "gpuwarden" { String::new() } else { format!("{}: ", line.actor) };
    let text = format!("{by}{}", line.text);
    page.wrapped(14, &format!("    {}  ", time_of_day(line.at)), &clean(&text));
}

#[cfg(test)]
mod tests {
    use gpuwarden_proto::vocab::{IncidentId, Severity};
    use gpuwarden_proto::work::checklist::Item;
    use gpuwarden_proto::work::{CheckBox, Level, Stage};

    use super::*;
    use crate::incidents::sample::NOW;

    fn work() -> Work {
        let before = |s| NOW.before(std::time::Duration::from_secs(s));
        let line = |s, kind: &str, text: &str| TimelineEntry {
            at: before(s),
            kind: kind.to_owned(),
            actor: "gpuwarden".to_owned(),
            text: text.to_owned(),
        };
        let ticked = |item, proof: &str| CheckBox {
            item,
            needed: true,
            ticked_at: (!proof.is_empty()).then_some(before(600)),
            proof: proof.to_owned(),
        };
        Work {
            incident: IncidentId(7),
            stage: Stage::Triaged,
            version: 3,
            severity: Severity::P1,
            worst: Severity::P1,
            owner: None,
            respond_by: NOW.after(std::time::Duration::from_secs(300)),
            standing: Standing::AtRiskHalf,
            paging: Phase::Climbing,
            reached: Some(Level::L2),
            next_page_at: Some(NOW.after(std::time::Duration::from_secs(30))),
            expected_over: None,
            detected_at: before(600),
            mitigated_at: None,
            resolved_at: None,
            review_at: None,
            root_cause: None,
            checklist: vec![
                ticked(Item::SeverityAssigned, "P1: all down"),
                ticked(Item::RunbookExecuted, ""),
            ],
            actions: Vec::new(),
            reopened: 0,
            history: vec![
                line(
                    600,
                    "paged",
                    "ann paged as L1 (platform, layer weeks): the incident was opened",
                ),
                line(598, "notified", "ann was told"),
                line(300, "paged", "ben paged as L2 (seniors, layer weeks): L1 did not answer"),
            ],
            notices: vec![Notice {
                at: before(300),
                destination: "ben-phone".to_owned(),
                kind: "page".to_owned(),
                state: "waiting".to_owned(),
                fault: "status 500".to_owned(),
            }],
        }
    }

    #[test]
    fn who_is_paged_and_what_is_open_is_said_in_few_lines() {
        let lines: Vec<String> =
            facts(&work(), NOW).iter().map(|(label, text)| format!("{label}: {text}")).collect();
        insta::assert_snapshot!(lines.join("\n"), @r"
        work: triaged, L2 paged and nobody has answered, the next page in 30 s
        answer: wanted by 14:19:11, half of the time is over: 5 min left
        over: nobody has said when (gpuwarden incidents expect)
        checklist: 1 of 2 ticked; open: runbook-executed
        ");
    }

    #[test]
    fn the_history_names_what_could_not_be_told() {
        let mut page = Page::new(100);
        history(&mut page, &work());
        explained(&mut page, &work());
        insta::assert_snapshot!(page.text(), @r"
        Who was asked and told, and what they did (UTC)
          14:04:11  ann paged as L1 (platform, layer weeks): the incident was opened
          14:04:13  ann was told
          14:09:11  ben paged as L2 (seniors, layer weeks): L1 did not answer
          14:09:11  page to ben-phone is waiting: status 500

        Why people were paged or not (UTC)
          14:04:11  ann paged as L1 (platform, layer weeks): the incident was opened
          14:09:11  ben paged as L2 (seniors, layer weeks): L1 did not answer
        ");
    }
}
