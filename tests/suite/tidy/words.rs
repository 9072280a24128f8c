//! Words and names that do not belong in the source.

use super::Offence;
use super::source::{Source, words};

/// Names that say nothing: what is in such a module belongs to the thing it serves.
const EMPTY_NAMES: [&str; 8] =
    ["utils", "util", "common", "helpers", "helper", "manager", "misc", "types"];

/// Written in two halves, so that this file passes its own check.
const LATER_WORDS: [&str; 3] = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("X", "XX")];
const LATER_MACROS: [&str; 2] = [concat!("to", "do!"), concat!("unimple", "mented!")];

pub(super) fn empty_names(source: &Source) -> Vec<Offence> {
    let advice = |name: &str| format!("`{name}` says nothing: name it after the thing it is about");
    let in_path = source.path.trim_end_matches(".rs").split('/');
    let mut offences: Vec<_> = in_path
        .filter(|name| EMPTY_NAMES.contains(name))
        .map(|name| Offence::new(&source.path, 1, advice(name)))
        .collect();
    for at in words(&source.all_code, "mod") {
        let rest = source.all_code[at + 3..].trim_start();
        if let Some(name) = EMPTY_NAMES.iter().find(|name| words(rest, name).next() == Some(0)) {
            offences.push(Offence::at(source, at, advice(name)));
        }
    }
    offences
}

pub(super) fn unwraps(source: &Source) -> Vec<Offence> {
    let advice = "`.unwrap()`: give the error on, or say with `expect` why it cannot happen";
    let found = source.code.match_indices(".unwrap()");
    found.map(|(at, _)| Offence::at(source, at, advice)).collect()
}

pub(super) fn undocumented(source: &Source) -> Vec<Offence> {
    let advice = "starts without `//!`: say in a sentence what it owns and what it never does";
    if source.text.starts_with("//! ") {
        return Vec::new();
    }
    vec![Offence::new(&source.path, 1, advice)]
}

pub(super) fn left_for_later(source: &Source) -> Vec<Offence> {
    let advice = |word: &str| format!("`{word}`: do it now, or open an issue and drop the note");
    let mut offences = Vec::new();
    for word in LATER_WORDS {
        offences.extend(words(&source.text, word).map(|at| Offence::at(source, at, advice(word))));
    }
    for word in LATER_MACROS {
        let found = source.all_code.match_indices(word);
        offences.extend(found.map(|(at, _)| Offence::at(source, at, advice(word))));
    }
    offences
}

pub(super) fn ignored_tests(source: &Source) -> Vec<Offence> {
    let advice = "an ignored test tests nothing: mend it, or delete it";
    let found = source.all_code.match_indices("#[ignore");
    found.map(|(at, _)| Offence::at(source, at, advice)).collect()
}

/// The lines on which a check finds fault with a made-up file.
fn faults(check: fn(&Source) -> Vec<Offence>, path: &str, text: &str) -> Vec<usize> {
    check(&Source::new(path, text)).into_iter().map(|offence| offence.line).collect()
}

#[test]
fn names_that_say_nothing_are_found() {
    assert_eq!(faults(empty_names, "agent/src/utils.rs", ""), [1]);
    assert_eq!(faults(empty_names, "agent/src/common/a.rs", ""), [1]);
    assert_eq!(faults(empty_names, "agent/src/a.rs", "\nmod helper {}\npub mod misc;"), [2, 3]);
    assert_eq!(
        faults(empty_names, "agent/src/a.rs", "mod types_of_fault; // mod utils"),
        [0_usize; 0]
    );
}

#[test]
fn unwraps_outside_tests_are_found() {
    let text = "fn a() { b.unwrap() }\n#[cfg(test)]\nmod tests { fn c() { d.unwrap() } }";
    assert_eq!(faults(unwraps, "a.rs", text), [1]);
    assert_eq!(
        faults(unwraps, "a.rs", "b.unwrap_or(1); // .unwrap()\n\".unwrap()\""),
        [0_usize; 0]
    );
}

#[test]
fn modules_without_a_sentence_are_found() {
    assert_eq!(faults(undocumented, "a.rs", "use b;\n//! Late."), [1]);
    assert_eq!(faults(undocumented, "a.rs", ""), [1]);
    assert_eq!(faults(undocumented, "a.rs", "//! What it owns.\n"), [0_usize; 0]);
}

#[test]
fn notes_and_macros_for_later_are_found() {
    let [note, mend, mark] = LATER_WORDS;
    let text = format!("// {note}: a\n/* {mend} */\nlet a = \"{mark}\";");
    assert_eq!(faults(left_for_later, "a.rs", &text), [1, 2, 3]);
    let [macro_a, macro_b] = LATER_MACROS;
    assert_eq!(faults(left_for_later, "a.rs", &format!("{macro_a}()\n{macro_b}()")), [1, 2]);
    assert_eq!(faults(left_for_later, "a.rs", &format!("{mark}{mark} {note}S")), [0_usize; 0]);
}

#[test]
fn ignored_tests_are_found() {
    let text = "#[test]\n#[ignore = \"slow\"]\nfn a() {}\n// #[ignore]";
    assert_eq!(faults(ignored_tests, "a.rs", text), [2]);
}
