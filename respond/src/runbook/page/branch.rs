//! The branches of a step: list items `- word: text`, and where each leads.

use gpuwarden_proto::runbook::{Branch, Goto, When};
use gpuwarden_proto::vocab::StepKind;

use super::Notes;

const END: &str = "stop here.";

/// The step that a branch belongs to.
#[derive(Clone, Copy)]
pub(super) struct Of {
    pub number: u32,
    pub kind: StepKind,
    /// Whether it takes a change back: it is done once at most, so that it may lead back.
    pub rollback: bool,
    /// The number of the last step of the page.
    pub last: u32,
}

/// Reads a branch of a step.
pub(super) fn read(
    line: usize,
    item: &str,
    Of { number, kind, rollback, last }: Of,
    notes: &mut Notes<'_>,
) -> Option<Branch> {
    let Some((word, text)) = part(item) else {
        notes.add(line, format!("`{item}` is no branch: write `- word: what to do`"));
        return None;
    };
    let Ok(when) = word.parse::<When>();
    if !belongs(&when, kind) {
        notes.add(line, format!("`{word}` cannot come of a {kind}"));
    }
    let places = places(text);
    for place in &places {
        match place {
            Goto::Step(to) if *to == 0 || *to > last => {
                notes.add(line, format!("leads to step {to}, which does not exist"));
            }
            Goto::Step(to) if *to == number || (*to < number && !rollback) => {
                notes.add(
                    line,
                    format!("leads back to step {to}: who follows it must come to an end"),
                );
            }
            _ => {}
        }
    }
    if places.len() > 1 && !matches!(when, When::Saying(_)) {
        let places: Vec<String> = places.iter().map(ToString::to_string).collect();
        let fault = format!("`{word}` leads to {}: it must be one of them", places.join(" and "));
        notes.add(line, fault);
    }
    let to = places.first().copied().unwrap_or(Goto::Next);
    Some(Branch { when, text: text.to_owned(), to })
}

/// Splits at the first `: ` that does not stand between back quotes.
fn part(item: &str) -> Option<(&str, &str)> {
    let outside = |at: &usize| item[..*at].matches('`').count().is_multiple_of(2);
    let at = item.match_indices(": ").map(|(at, _)| at).find(outside)?;
    Some((&item[..at], item[at + 2..].trim()))
}

/// Whether a step of this kind may have this outcome.
const fn belongs(when: &When, kind: StepKind) -> bool {
    match when {
        When::Found | When::Clear | When::Unknown => matches!(kind, StepKind::Check),
        When::Worked | When::Failed | When::Refused => !matches!(kind, StepKind::Check),
        When::Done => matches!(kind, StepKind::Person),
        When::Saying(_) => true,
    }
}

/// The places that a text names, in order and each once.
fn places(text: &str) -> Vec<Goto> {
    let mut places: Vec<(usize, Goto)> = Vec::new();
    for (at, mark) in text.match_indices("step ") {
        let rest = &text[at + mark.len()..];
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        places.extend(rest[..digits].parse().map(|number| (at, Goto::Step(number))));
    }
    for (at, mark) in text.match_indices("use the runbook ") {
        let rest = &text[at + mark.len()..];
        let name = rest.split(|c: char| !c.is_ascii_lowercase() && c != '-').next();
        places.extend(name.and_then(|name| Some((at, Goto::Runbook(name.parse().ok()?)))));
    }
    if text.ends_with(END) {
        places.push((text.len() - END.len(), Goto::End));
    }
    places.sort_by_key(|(at, _)| *at);
    let mut places: Vec<Goto> = places.into_iter().map(|(_, place)| place).collect();
    places.dedup();
    places
}
