//! Reads a file of `runbooks/`. The format is that of `runbooks/README.md`.

mod branch;
mod front;
mod step;

use std::fmt;

use gpuwarden_proto::runbook::Page;
use gpuwarden_proto::settings::Problem;
use gpuwarden_proto::vocab::StepKind;
use thiserror::Error;

/// A file that is no runbook, with all that is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub struct NoPage(pub Vec<Problem>);

impl fmt::Display for NoPage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let problems: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&problems.join("\n"))
    }
}

/// A line of the file and its number, counted from 1.
type Line<'t> = (usize, &'t str);

/// Where mistakes are gathered.
struct Notes<'t> {
    file: &'t str,
    problems: Vec<Problem>,
}

impl Notes<'_> {
    fn add(&mut self, line: usize, fault: impl Into<String>) {
        let (file, key) = (self.file.to_owned(), String::new());
        self.problems.push(Problem { file, line, key, fault: fault.into() });
    }
}

/// What stands below a heading.
struct Section<'t> {
    title: &'t str,
    line: usize,
    lines: Vec<Line<'t>>,
}

/// Reads a page; `file` is its name in mistakes.
///
/// # Errors
///
/// Everything that breaks the format, with its line.
pub fn parse(file: &str, text: &str) -> Result<Page, NoPage> {
    let mut notes = Notes { file, problems: Vec::new() };
    let lines: Vec<Line<'_>> = (1..).zip(text.lines()).collect();
    let (front, body) = front::split(&lines, &mut notes);
    let page = front::read(front, &mut notes).map(|page| fill(page, body, &mut notes));
    notes.problems.sort();
    match page {
        Some(page) if notes.problems.is_empty() => Ok(page),
        _ => Err(NoPage(notes.problems)),
    }
}

/// The page with what stands below its front matter.
fn fill(mut page: Page, body: &[Line<'_>], notes: &mut Notes<'_>) -> Page {
    let sections = parts(body, "## ");
    let mut section = |title: &str| {
        let found = sections.iter().find(|section| section.title == title);
        if found.is_none() {
            notes.add(1, format!("there is no section `## {title}`"));
        }
        found.map_or(&[][..], |section| &section.lines)
    };
    page.means = paragraphs(section("What it means"));
    page.sees = paragraphs(section("What people see"));
    page.escalate_if = items(section("Escalate if"));
    page.done_when = paragraphs(section("Done when"));
    let steps = section("Steps");
    let begin = steps.iter().position(|(_, line)| line.starts_with("### "));
    page.before = paragraphs(&steps[..begin.unwrap_or(steps.len())]);
    page.steps = step::read_all(&parts(steps, "### "), &page, notes);
    if page.escalate_if.is_empty() {
        notes.add(1, "`## Escalate if` lists nothing: say when more people must be told");
    }
    check_rollback(&page, notes);
    page
}

/// The parts that begin with such a heading; headings within commands are none.
fn parts<'t>(lines: &[Line<'t>], mark: &str) -> Vec<Section<'t>> {
    let mut sections: Vec<Section<'t>> = Vec::new();
    let mut commands = false;
    for (line, text) in lines.iter().copied() {
        commands ^= text.starts_with("```");
        match (text.strip_prefix(mark), sections.last_mut()) {
            (Some(title), _) if !commands => {
                sections.push(Section { title, line, lines: Vec::new() });
            }
            (_, Some(section)) => section.lines.push((line, text)),
            (_, None) => {}
        }
    }
    sections
}

/// Text as paragraphs of one line each.
fn paragraphs(lines: &[Line<'_>]) -> String {
    let mut text = String::new();
    for (_, line) in lines {
        match line.trim() {
            "" if text.is_empty() || text.ends_with('\n') => {}
            "" => text.push('\n'),
            line => {
                if !text.is_empty() && !text.ends_with('\n') {
                    text.push(' ');
                }
                text += line;
            }
        }
    }
    text.trim_end().to_owned()
}

/// The items of a list, each as one line.
fn items(lines: &[Line<'_>]) -> Vec<String> {
    let mut items: Vec<String> = Vec::new();
    for (_, line) in lines {
        match (line.strip_prefix("- "), items.last_mut()) {
            (Some(item), _) => items.push(item.trim().to_owned()),
            (None, Some(item)) if line.starts_with("  ") => {
                item.push(' ');
                item.push_str(line.trim());
            }
            (None, _) => {}
        }
    }
    for item in &mut items {
        let end = item.trim_end_matches([';', '.']).len();
        item.truncate(end);
    }
    items
}

fn check_rollback(page: &Page, notes: &mut Notes<'_>) {
    let Some(number) = page.rollback else { return };
    let sound = |kind, commands: &[String]| kind == StepKind::Remedy && !commands.is_empty();
    if !page.step(number).is_some_and(|step| sound(step.kind, &step.commands)) {
        notes.add(1, format!("`rollback: {number}` must be the number of a remedy with commands"));
    }
}
