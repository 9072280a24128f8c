//! The front matter: a block of `key: value` lines between two lines `---`.

use std::str::FromStr;

use gpuwarden_proto::runbook::{EscalateAfter, Page, Patience, SafeAction};
use gpuwarden_proto::vocab::Severity;

use super::{Line, Notes};

/// Parts the front matter from what stands below it.
pub(super) fn split<'l, 't>(
    lines: &'l [Line<'t>],
    notes: &mut Notes<'_>,
) -> (&'l [Line<'t>], &'l [Line<'t>]) {
    let marks = |line: &Line<'_>| line.1 == "---";
    let end = lines.iter().skip(1).position(marks).map(|at| at + 1);
    match (lines.first().is_some_and(marks), end) {
        (true, Some(end)) => (&lines[1..end], &lines[end + 1..]),
        (_, _) => {
            notes.add(1, "must begin with a block of `key: value` lines between two lines `---`");
            (&[], lines)
        }
    }
}

/// The values of the front matter that nobody has asked for yet.
struct Values<'n, 't, 'f> {
    left: Vec<(usize, &'t str, &'t str)>,
    notes: &'n mut Notes<'f>,
}

impl<'t> Values<'_, 't, '_> {
    fn optional(&mut self, key: &str) -> Option<(usize, &'t str)> {
        let at = self.left.iter().position(|(_, known, _)| *known == key)?;
        let (line, _, value) = self.left.remove(at);
        Some((line, value))
    }

    fn text(&mut self, key: &str) -> Option<(usize, &'t str)> {
        let found = self.optional(key).filter(|(_, value)| !value.is_empty());
        if found.is_none() {
            self.notes.add(1, format!("`{key}` is missing from the front matter"));
        }
        found
    }

    fn parsed<T: FromStr<Err: ToString>>(&mut self, line: usize, text: &str) -> Option<T> {
        let read = text.parse().map_err(|fault: T::Err| self.notes.add(line, fault.to_string()));
        read.ok()
    }

    /// The items between brackets.
    fn list(&mut self, key: &str) -> Option<(usize, Vec<&'t str>)> {
        let (line, value) = self.text(key)?;
        match value.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Some(inside) => {
                let items = inside.split(',').map(str::trim).filter(|item| !item.is_empty());
                Some((line, items.collect()))
            }
            None => {
                self.notes.add(line, format!("`{key}` must be a list in brackets on one line"));
                None
            }
        }
    }
}

/// The page so far; nothing where a value that it cannot be without is missing or wrong.
pub(super) fn read(lines: &[Line<'_>], notes: &mut Notes<'_>) -> Option<Page> {
    if lines.is_empty() {
        return None;
    }
    let mut left = Vec::new();
    for (line, text) in lines {
        match text.split_once(':') {
            Some((key, value)) => left.push((*line, key.trim(), value.trim())),
            None => notes.add(*line, format!("`{text}` is no `key: value`")),
        }
    }
    let mut values = Values { left, notes };
    let kind = values.text("type").and_then(|(line, text)| values.parsed(line, text));
    let title = values.text("title").map(|(_, text)| text.to_owned());
    let rules = values.list("rules").map(|(line, items)| {
        items.into_iter().filter_map(|item| values.parsed(line, item)).collect()
    });
    let first_responder = values.text("first_responder").map(|(_, text)| text.to_owned());
    let escalate_after = escalate_after(&mut values);
    let safe_actions = safe_actions(&mut values);
    let rollback =
        values.optional("rollback").and_then(|(line, text)| values.parsed::<u32>(line, text));
    for (line, key, _) in values.left {
        values.notes.add(line, format!("`{key}` is no key of the front matter, or stands twice"));
    }
    Some(Page {
        kind: kind?,
        title: title?,
        rules: rules?,
        first_responder: first_responder?,
        escalate_after: escalate_after?,
        safe_actions: safe_actions?,
        rollback,
        means: String::new(),
        sees: String::new(),
        before: String::new(),
        steps: Vec::new(),
        escalate_if: Vec::new(),
        done_when: String::new(),
    })
}

/// `[P1 5m, P2 20m, P3 2h, P4 next-business-day]`.
fn escalate_after(values: &mut Values<'_, '_, '_>) -> Option<EscalateAfter> {
    let (line, items) = values.list("escalate_after")?;
    let mut of = |severity: Severity| -> Option<Patience> {
        let found = items.iter().find_map(|item| {
            let (word, time) = item.split_once(' ')?;
            (word == severity.as_str()).then_some(time)
        });
        match found {
            Some(time) => values.parsed(line, time),
            None => {
                values.notes.add(line, format!("`escalate_after` has no time for {severity}"));
                None
            }
        }
    };
    let times = [Severity::P1, Severity::P2, Severity::P3, Severity::P4].map(&mut of);
    let [p1, p2, p3, p4] = times;
    Some(EscalateAfter { p1: p1?, p2: p2?, p3: p3?, p4: p4? })
}

/// `[R0 collect-evidence, R3 restart-server]`.
fn safe_actions(values: &mut Values<'_, '_, '_>) -> Option<Vec<SafeAction>> {
    let (line, items) = values.list("safe_actions")?;
    let mut actions = Vec::new();
    for item in items {
        let (risk, action) = item.split_once(' ').unwrap_or((item, ""));
        let Some(risk) = values.parsed(line, risk) else { continue };
        if action.is_empty() {
            values.notes.add(line, format!("`{item}` of `safe_actions` names no action"));
        }
        actions.push(SafeAction { risk, action: action.to_owned() });
    }
    Some(actions)
}
