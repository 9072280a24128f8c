//! The steps: headings `### N. KIND: title`, and what stands below each.

use gpuwarden_proto::runbook::{Page, Question, Step, parse_reads};
use gpuwarden_proto::vocab::StepKind;

use super::{Line, Notes, Section, branch, paragraphs};

/// Columns of a command: it is shown as it stands, to be copied.
const COLUMNS: usize = 100;

/// The steps of a page, of which the front matter is read.
pub(super) fn read_all(sections: &[Section<'_>], page: &Page, notes: &mut Notes<'_>) -> Vec<Step> {
    if sections.is_empty() {
        notes.add(1, "has no steps: write `### 1. check: what to look at` below `## Steps`");
    }
    let last = u32::try_from(sections.len()).unwrap_or(u32::MAX);
    let mut steps = Vec::new();
    for (number, section) in (1..).zip(sections) {
        let Some((kind, title)) = heading(section, number, notes) else { continue };
        let step = body(section, Step { number, kind, title, ..empty() }, (page, last), notes);
        check(&step, section.line, page, notes);
        steps.push(step);
    }
    steps
}

const fn empty() -> Step {
    Step {
        number: 0,
        kind: StepKind::Person,
        title: String::new(),
        reads: Vec::new(),
        action: None,
        commands: Vec::new(),
        text: String::new(),
        branches: Vec::new(),
    }
}

fn heading(
    section: &Section<'_>,
    expected: u32,
    notes: &mut Notes<'_>,
) -> Option<(StepKind, String)> {
    let parts = section.title.split_once(". ");
    let parts = parts.and_then(|(number, rest)| Some((number, rest.split_once(": ")?)));
    let Some((number, (kind, title))) = parts else {
        notes.add(section.line, format!("`{}` is no `N. KIND: title`", section.title));
        return None;
    };
    if number.parse() != Ok(expected) {
        let fault = format!("must be step {expected}: number the steps from 1 without holes");
        notes.add(section.line, fault);
    }
    let kind = kind.parse().map_err(|fault| notes.add(section.line, format!("{fault}")));
    kind.ok().map(|kind| (kind, title.trim().to_owned()))
}

/// Reads what stands below a heading into the step.
fn body(
    section: &Section<'_>,
    mut step: Step,
    (page, last): (&Page, u32),
    notes: &mut Notes<'_>,
) -> Step {
    let mut text: Vec<Line<'_>> = Vec::new();
    let mut items: Vec<(usize, String)> = Vec::new();
    let mut listed = false;
    let mut lines = section.lines.iter().copied();
    while let Some((line, content)) = lines.next() {
        let continues = listed && content.starts_with("  ");
        listed = continues;
        if content.starts_with("```") {
            step.commands.extend(commands(line, &mut lines, notes));
        } else if let Some(list) = content.strip_prefix("reads: ") {
            match parse_reads(list) {
                Ok(reads) => step.reads = reads,
                Err(faults) => {
                    // One that cannot be read is told once, not missed as well.
                    step.reads.push(Question::NodeLink);
                    faults.iter().for_each(|fault| notes.add(line, fault.to_string()));
                }
            }
        } else if let Some(action) = content.strip_prefix("action: ") {
            step.action = Some(action.trim().to_owned());
        } else if let Some(item) = content.strip_prefix("- ") {
            items.push((line, item.trim().to_owned()));
            listed = true;
        } else if let Some((_, item)) = items.last_mut().filter(|_| continues) {
            item.push(' ');
            item.push_str(content.trim());
        } else {
            text.push((line, content));
        }
    }
    let rollback = page.rollback == Some(step.number);
    let of = branch::Of { number: step.number, kind: step.kind, rollback, last };
    let branches = items.iter().filter_map(|(line, item)| branch::read(*line, item, of, notes));
    step.branches = branches.collect();
    step.text = paragraphs(&text);
    step
}

/// The lines of a block up to its end.
fn commands<'t>(
    begin: usize,
    lines: &mut impl Iterator<Item = Line<'t>>,
    notes: &mut Notes<'_>,
) -> Option<String> {
    let mut block = String::new();
    for (line, content) in lines {
        if content.starts_with("```") {
            return Some(block);
        }
        if content.chars().count() > COLUMNS {
            let fault = format!("wider than {COLUMNS} columns: go on in the next line after ` \\`");
            notes.add(line, fault);
        }
        block.push_str(content);
        block.push('\n');
    }
    notes.add(begin, "a block of commands that does not end");
    None
}

/// What a step of its kind must have, and what it must not.
fn check(step: &Step, line: usize, page: &Page, notes: &mut Notes<'_>) {
    let (reads, acts, shows) =
        (!step.reads.is_empty(), step.action.is_some(), !step.commands.is_empty());
    let tells = !step.text.is_empty() || !step.branches.is_empty();
    let sound = match step.kind {
        StepKind::Check => (reads || shows) && !acts,
        StepKind::Remedy => (acts || shows) && !reads,
        StepKind::Person => tells && !reads && !acts,
    };
    if !sound {
        notes.add(
            line,
            match step.kind {
                StepKind::Check => "a check has `reads:` or commands, and no `action:`",
                StepKind::Remedy => "a remedy has an `action:` or commands, and no `reads:`",
                StepKind::Person => {
                    "a step for a person has text, and neither `reads:` nor `action:`"
                }
            },
        );
    }
    let safe = |action: &String| page.safe_actions.iter().any(|safe| safe.action == *action);
    if let Some(action) = step.action.as_ref().filter(|action| !safe(action)) {
        notes.add(line, format!("action `{action}` is not among `safe_actions`"));
    }
    for (at, branch) in step.branches.iter().enumerate() {
        if step.branches[..at].iter().any(|other| other.when == branch.when) {
            notes.add(line, format!("has two branches `{}`", branch.when));
        }
    }
}
