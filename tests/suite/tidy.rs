//! Style as a test: sizes, names, what the pure modules may touch, and a runbook for each type.
//!
//! Each check is a function from sources to offences, so that it can be shown to fail on a made-up
//! snippet; the tests here run them all over the real tree and print every offender at once.

mod boundaries;
mod runbooks;
mod sizes;
mod source;
mod words;

use source::{Source, Tree};
use std::fmt::Write as _;

/// Where a rule is broken and what to do about it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Offence {
    path: String,
    line: usize,
    advice: String,
}

impl Offence {
    fn new(path: &str, line: usize, advice: impl Into<String>) -> Offence {
        Offence { path: path.to_owned(), line, advice: advice.into() }
    }

    fn at(source: &Source, offset: usize, advice: impl Into<String>) -> Offence {
        Offence::new(&source.path, source.line(offset), advice)
    }
}

/// Fails with the whole list, sorted and without repetition.
fn expect_none(mut offences: Vec<Offence>) {
    offences.sort();
    offences.dedup();
    let mut list = String::new();
    for Offence { path, line, advice } in &offences {
        let _ = write!(list, "\n  {path}:{line}: {advice}");
    }
    assert!(offences.is_empty(), "{} offences:{list}", offences.len());
}

/// Runs one check over each product file.
fn each_product_file(check: fn(&Source) -> Vec<Offence>) {
    expect_none(Tree::read().product().flat_map(check).collect());
}

/// Runs one check over each Rust file of the workspace, tests included.
fn each_file(check: fn(&Source) -> Vec<Offence>) {
    expect_none(Tree::read().files.iter().flat_map(check).collect());
}

#[test]
fn the_tree_is_found() {
    let tree = Tree::read();
    assert!(tree.product().count() >= 6, "product files: {}", tree.product().count());
    assert!(tree.files.iter().any(|file| file.path == "tests/suite/tidy.rs"));
}

#[test]
fn no_product_file_is_too_long() {
    each_product_file(sizes::long_file);
}

#[test]
fn the_median_product_file_is_short() {
    expect_none(sizes::long_median(Tree::read().product()));
}

#[test]
fn no_function_is_too_long() {
    each_product_file(sizes::long_functions);
}

#[test]
fn the_style_checks_keep_their_own_limits() {
    let tree = Tree::read();
    let own = || tree.files.iter().filter(|file| file.path.starts_with("tests/suite/tidy"));
    let mut offences: Vec<_> = own().flat_map(sizes::own_length).collect();
    offences.extend(own().flat_map(sizes::long_functions));
    expect_none(offences);
}

#[test]
fn modules_are_named_after_things_of_the_field() {
    each_file(words::empty_names);
}

#[test]
fn pure_modules_stay_pure() {
    each_product_file(boundaries::impure);
}

#[test]
fn sql_stands_only_in_stores() {
    each_product_file(boundaries::stray_sql);
}

#[test]
fn wire_types_stop_at_the_edge() {
    each_product_file(boundaries::stray_wire_types);
}

#[test]
fn unsafe_code_stands_only_at_nvml() {
    each_file(boundaries::stray_unsafe);
}

#[test]
fn the_product_never_unwraps() {
    each_product_file(words::unwraps);
}

#[test]
fn each_module_says_what_it_owns() {
    each_product_file(words::undocumented);
}

#[test]
fn nothing_is_left_for_later() {
    each_file(words::left_for_later);
}

#[test]
fn no_test_is_ignored() {
    each_file(words::ignored_tests);
}

#[test]
fn each_incident_type_has_a_sound_runbook() {
    expect_none(runbooks::check_all(&runbooks::read_all()));
}

#[test]
fn the_report_names_every_offender_once() {
    let twice = || Offence::new("a.rs", 3, "mend it");
    let offences = vec![Offence::new("b.rs", 1, "and this"), twice(), twice()];
    let panic = std::panic::catch_unwind(|| expect_none(offences)).expect_err("must fail");
    let text = panic.downcast_ref::<String>().expect("a formatted message");
    assert_eq!(text, "2 offences:\n  a.rs:3: mend it\n  b.rs:1: and this");
}
