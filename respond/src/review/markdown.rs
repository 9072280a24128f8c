//! The review as Markdown, in the order of the handbook.

use std::fmt::Write as _;
use std::time::Duration;

use gpuwarden_proto::silence::minute;
use gpuwarden_proto::time::spoken;

use super::{Facts, Line};
use crate::lifecycle::ActionItem;

/// What stands where people have to write.
const OPEN: &str = "_to be written_";

/// Writes it.
#[must_use]
pub fn markdown(facts: &Facts) -> String {
    let mut text = String::new();
    head(&mut text, facts);
    section(&mut text, "Timeline", &facts.timeline.iter().map(line).collect::<Vec<_>>());
    let cause = match facts.words.root_cause.as_str() {
        "" => OPEN.to_owned(),
        cause => escaped(cause),
    };
    section(&mut text, "Root cause", &[cause]);
    section(&mut text, "Contributing factors", &listed(&facts.factors));
    section(&mut text, "Impact", &impact(facts));
    let both = |known: Vec<String>, said: &[String]| listed(&[known, said.to_vec()].concat());
    section(&mut text, "What went well", &both(facts.went_well(), &facts.words.well));
    section(&mut text, "What went wrong", &both(facts.went_wrong(), &facts.words.wrong));
    section(&mut text, "Where we had luck", &listed(&facts.words.luck));
    let mut actions = vec!["| # | type | what | owner | due | done |".to_owned()];
    actions.push("| --- | --- | --- | --- | --- | --- |".to_owned());
    actions.extend(facts.actions.iter().map(action));
    if facts.actions.is_empty() {
        actions = vec![OPEN.to_owned()];
    }
    section(&mut text, "Action items", &actions);
    text
}

fn head(text: &mut String, facts: &Facts) {
    let Facts { incident, title, kind, worst, course, .. } = facts;
    let _ = write!(text, "# Review of {incident}: {}\n\n", escaped(title));
    let review = facts.review_at.map_or_else(|| "not scheduled".to_owned(), minute);
    let took = |time: Option<Duration>| time.map_or_else(|| "-".to_owned(), spoken);
    let responders = match facts.responders.is_empty() {
        true => "nobody".to_owned(),
        false => escaped(&facts.responders.join(", ")),
    };
    let rows = [
        ("Type", kind.to_string()),
        ("Severity at its worst", worst.to_string()),
        ("Began", minute(course.began_at)),
        ("Detected after", spoken(course.to_detect())),
        ("Acknowledged after", took(course.to_acknowledge())),
        ("Mitigated after", took(course.to_mitigate())),
        ("Resolved after", took(course.to_resolve())),
        ("Worked on by", responders),
        ("Review", review),
    ];
    text.push_str("| | |\n| --- | --- |\n");
    for (name, value) in rows {
        let _ = writeln!(text, "| {name} | {value} |");
    }
}

fn section(text: &mut String, title: &str, lines: &[String]) {
    let _ = write!(text, "\n## {title}\n\n{}\n", lines.join("\n"));
}

fn listed(lines: &[String]) -> Vec<String> {
    match lines.is_empty() {
        true => vec![OPEN.to_owned()],
        false => lines.iter().map(|line| format!("- {}", escaped(line))).collect(),
    }
}

fn line(line: &Line) -> String {
    format!("- {} {}: {}", minute(line.at), escaped(&line.actor), escaped(&line.text))
}

fn impact(facts: &Facts) -> Vec<String> {
    let impact = &facts.impact;
    let total = impact.requests_total;
    let mut lines = vec![
        format!("- {} of {total} requests failed", impact.requests_failed),
        format!("- {} of {total} requests were slower than promised", impact.requests_slow),
        match impact.users {
            Some(users) => format!("- {users} users met it"),
            None => format!("- users who met it: {OPEN}"),
        },
    ];
    if let Some(spent) = impact.budget_spent {
        lines.push(format!("- {:.1} % of the month's error budget", spent * 100.0));
    }
    let end = facts.course.mitigated_at.or(facts.course.resolved_at);
    let lasted = end.map(|end| end.since(facts.course.began_at)).unwrap_or_default();
    lines.push(match &facts.worth {
        Some(worth) => {
            let (cost, sum) = worth.of(impact, lasted);
            format!("- revenue: {cost:.2} {} ({sum})", escaped(&worth.currency))
        }
        None => format!("- revenue: {OPEN}"),
    });
    lines
}

fn action(action: &ActionItem) -> String {
    let owner = action.owner.as_deref().map_or_else(|| OPEN.to_owned(), escaped);
    let due = action.due.map_or_else(|| OPEN.to_owned(), minute);
    let done = action.done_at.map_or_else(String::new, minute);
    let ActionItem { number, kind, text, .. } = action;
    format!("| {number} | {kind} | {} | {owner} | {due} | {done} |", escaped(text))
}

/// Text of others on one line and without effect on the document it stands in.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        match c {
            '\n' | '\r' | '\t' => escaped.push(' '),
            c if c.is_control() => {}
            '\\' | '|' | '<' | '>' | '[' | ']' | '`' | '*' | '_' | '#' => {
                escaped.push('\\');
                escaped.push(c);
            }
            c => escaped.push(c),
        }
    }
    escaped
}
