//! `gpuwarden explain`: where one event of a node went, and why.

use gpuwarden_proto::event::{Body, Event};
use gpuwarden_proto::time::{Timestamp, spoken};
use gpuwarden_proto::trace::{Fate, Trace};
use serde::Serialize;

use crate::args::{Explain, Format};
use crate::client::{Aggregator, Client};
use crate::incidents::name::percent;
use crate::page::Page;
use crate::screen::Screen;
use crate::text::PROSE_WIDTH;

/// The JSON document.
#[derive(Debug, Serialize)]
struct Traces {
    traces: Vec<Trace>,
}

/// Does what was asked for.
pub async fn run(
    command: &Explain,
    aggregator: &Aggregator,
    mut screen: Screen,
) -> anyhow::Result<()> {
    let Explain::Event { node, seq } = command;
    let traces = Client::connect(aggregator).await?.event(node, *seq).await?;
    match screen.format {
        Format::Json => screen.json(&Traces { traces })?,
        Format::Table => screen.text(&render(&traces))?,
    }
    Ok(())
}

/// A page for each outbox that gave the number.
pub fn render(traces: &[Trace]) -> String {
    let mut page = Page::new(PROSE_WIDTH);
    if traces.len() > 1 {
        page.wrapped(
            0,
            "",
            "The node has had several outboxes that gave this number, the newest first:",
        );
        page.line("");
    }
    for (index, trace) in traces.iter().enumerate() {
        if index > 0 {
            page.line("");
        }
        one(&mut page, trace);
    }
    page.text()
}

fn one(page: &mut Page, trace: &Trace) {
    page.wrapped(0, "", &format!("event {} of {}: {}", trace.seq, trace.node, trace.fate));
    page.line("");
    if let Some(event) = &trace.event {
        page.labelled("says", &said(event));
        page.labelled("observed", &instant(event.observed_at));
    }
    page.labelled("came", &came(trace));
    page.labelled("went", &trace.reason);
    if let (Some(score), Fate::Known | Fate::Again | Fate::Cleared | Fate::PassedOver) =
        (trace.score, trace.fate)
    {
        page.labelled("", &format!("Its finding is {} sure to belong there.", percent(score)));
    }
    for unsure in &trace.unsure {
        page.labelled("not sure", unsure);
    }
    if let Some(id) = trace.incident {
        page.labelled("next", &format!("gpuwarden incidents explain {}", id.0));
    }
}

/// What an event says, in one line.
fn said(event: &Event) -> String {
    match &event.body {
        Body::Finding(finding) => {
            let colon = if finding.summary.is_empty() { "" } else { ": " };
            let (rule, subject, phase) = (finding.rule, &finding.subject, finding.phase);
            format!("{rule} on {subject} {phase}{colon}{}", finding.summary)
        }
        Body::Change(change) => {
            let colon = if change.summary.is_empty() { "" } else { ": " };
            format!("{} of {}{colon}{}", change.kind, change.subject, change.summary)
        }
        Body::Gap(gap) => format!("{} events are lost: {}", gap.count, gap.reason),
    }
}

/// When it came, and how long that took where it took long.
fn came(trace: &Trace) -> String {
    let at = instant(trace.received_at);
    let observed = trace.event.as_ref().map(|event| event.observed_at);
    match observed.map(|observed| trace.received_at.since(observed)) {
        Some(after) if after.as_secs() > 0 => format!("{at}, {} later", spoken(after)),
        Some(_) | None if trace.fate == Fate::Lost => format!("never; the gap came {at}"),
        Some(_) | None => at,
    }
}

fn instant(at: Timestamp) -> String {
    at.to_string()
}

#[cfg(test)]
mod tests {
    use gpuwarden_proto::event::{Change, Finding, Gap, Subject};
    use gpuwarden_proto::vocab::{
        ChangeKind, Epoch, Grade, IncidentId, NodeId, Phase, RuleId, Seq,
    };

    use super::*;

    const fn at(s: u64) -> Timestamp {
        Timestamp::from_unix_s(1_795_442_531 + s)
    }

    fn trace(fate: Fate, body: Body, reason: &str) -> Trace {
        Trace {
            node: NodeId::new("node-a").expect("a good name"),
            epoch: Epoch(1),
            seq: Seq(41),
            received_at: at(0),
            event: Some(Event { observed_at: at(0), body }),
            fate,
            incident: None,
            through: Vec::new(),
            score: None,
            reason: reason.to_owned(),
            unsure: Vec::new(),
        }
    }

    fn finding(summary: &str) -> Body {
        Body::Finding(Finding {
            rule: RuleId::NodeLost,
            subject: Subject::Node,
            phase: Phase::Raised,
            grade: Grade::Down,
            summary: summary.to_owned(),
            evidence: Vec::new(),
            suspects: Vec::new(),
            raised_at: at(0),
            gpus: Vec::new(),
            about: Vec::new(),
        })
    }

    fn page(traces: &[Trace]) -> String {
        let page = render(traces);
        assert_eq!(page.lines().find(|line| line.chars().count() > PROSE_WIDTH), None);
        page
    }

    #[test]
    fn an_event_says_where_it_went_why_and_what_to_read_next() {
        let reason = "It joined #3, 74 % sure: same rack; same time. #3 goes on as #1, which holds \
            it since.";
        let joined = Trace {
            received_at: at(90),
            incident: Some(IncidentId(1)),
            through: vec![IncidentId(3)],
            score: Some(0.74),
            ..trace(Fate::Joined, finding("node-a is silent"), reason)
        };
        insta::assert_snapshot!(page(&[joined]), @r#"
        event 41 of node-a: joined

          says      node-lost on node raised: node-a is silent
          observed  2026-11-23T14:02:11.000Z
          came      2026-11-23T14:03:41.000Z, 1 min later
          went      It joined #3, 74 % sure: same rack; same time. #3 goes on as #1,
                    which holds it since.
          next      gpuwarden incidents explain 1
        "#);
    }

    #[test]
    fn what_cannot_be_told_is_said_beside_what_can() {
        let mut known = trace(Fate::Known, finding(""), "#1 held its finding already.");
        known.incident = Some(IncidentId(1));
        known.score = Some(0.9);
        known.unsure = vec!["Whether a snapshot came first is not kept.".to_owned()];
        insta::assert_snapshot!(page(&[known]), @r#"
        event 41 of node-a: known

          says      node-lost on node raised
          observed  2026-11-23T14:02:11.000Z
          came      2026-11-23T14:02:11.000Z
          went      #1 held its finding already.
                    Its finding is 90 % sure to belong there.
          not sure  Whether a snapshot came first is not kept.
          next      gpuwarden incidents explain 1
        "#);
    }

    #[test]
    fn each_outbox_that_gave_the_number_is_told_apart() {
        let (kind, summary) = (ChangeKind::DriverChanged, "driver 570".to_owned());
        let change =
            Body::Change(Change { subject: Subject::Node, kind, summary, version: String::new() });
        let gap = Gap { count: 3, first_seq: 40, last_seq: 42, reason: "full".to_owned() };
        let lost = Trace { event: None, ..trace(Fate::Lost, Body::Gap(gap), "It never came.") };
        let traces = [trace(Fate::Change, change, "It is recorded among the changes."), lost];
        insta::assert_snapshot!(page(&traces), @r#"
        The node has had several outboxes that gave this number, the newest first:

        event 41 of node-a: change

          says      driver-changed of node: driver 570
          observed  2026-11-23T14:02:11.000Z
          came      2026-11-23T14:02:11.000Z
          went      It is recorded among the changes.

        event 41 of node-a: lost

          came      never; the gap came 2026-11-23T14:02:11.000Z
          went      It never came.
        "#);
    }

    #[test]
    fn names_from_outside_cannot_write_on_the_terminal() {
        let page = page(&[trace(Fate::Opened, finding("\u{1b}[2J\n\u{9b}"), "\u{7}")]);
        assert!(page.chars().all(|c| c == '\n' || !c.is_control()), "{page}");
    }
}
