//! How long files and functions may be, tests aside.

use super::Offence;
use super::source::{Source, closing, is_name, words};

const FILE_LINES_MAX: usize = 600;
const FILE_LINES_MEDIAN_MAX: usize = 150;
const FUNCTION_LINES_MAX: usize = 70;
/// For the files of these checks, tests and all.
const OWN_LINES_MAX: usize = 400;

pub(super) fn long_file(source: &Source) -> Vec<Offence> {
    let lines = source.lines;
    let advice = format!("{lines} lines, at most {FILE_LINES_MAX}: split it by subject");
    if lines > FILE_LINES_MAX { vec![Offence::new(&source.path, 1, advice)] } else { Vec::new() }
}

pub(super) fn own_length(source: &Source) -> Vec<Offence> {
    let lines = source.text.lines().count();
    let advice = format!("{lines} lines, at most {OWN_LINES_MAX}: split it by subject");
    if lines > OWN_LINES_MAX { vec![Offence::new(&source.path, 1, advice)] } else { Vec::new() }
}

/// One offence for the tree; it names the longest files, which are the ones to split.
pub(super) fn long_median<'a>(files: impl Iterator<Item = &'a Source>) -> Vec<Offence> {
    let mut files: Vec<_> = files.map(|file| (file.lines, file.path.as_str())).collect();
    files.sort_unstable();
    let Some(&(median, _)) = files.get(files.len() / 2) else { return Vec::new() };
    if median < FILE_LINES_MEDIAN_MAX {
        return Vec::new();
    }
    let longest: Vec<_> = files.iter().rev().take(5).map(|(_, path)| *path).collect();
    let advice = format!(
        "the median file has {median} lines, under {FILE_LINES_MEDIAN_MAX} wanted: split {}",
        longest.join(", ")
    );
    vec![Offence::new("the whole product", 0, advice)]
}

pub(super) fn long_functions(source: &Source) -> Vec<Offence> {
    functions(&source.code)
        .into_iter()
        .filter(|function| function.lines > FUNCTION_LINES_MAX)
        .map(|Function { name, at, lines }| {
            let limit = FUNCTION_LINES_MAX;
            let advice = format!("fn {name} has {lines} lines, at most {limit}: name its parts");
            Offence::at(source, at, advice)
        })
        .collect()
}

struct Function<'a> {
    name: &'a str,
    at: usize,
    lines: usize,
}

/// Every function with a body, nested ones too.
fn functions(code: &str) -> Vec<Function<'_>> {
    let function = |at: usize| {
        let rest = code[at + 2..].trim_start();
        let name = &rest[..rest.bytes().take_while(|byte| is_name(*byte)).count()];
        let end = body_end(code, at).filter(|_| !name.is_empty())?;
        Some(Function { name, at, lines: 1 + code[at..end].matches('\n').count() })
    };
    words(code, "fn").filter_map(function).collect()
}

/// The end of the body; nothing for a declaration.
fn body_end(code: &str, mut at: usize) -> Option<usize> {
    loop {
        match code.as_bytes().get(at)? {
            b'{' => return Some(closing(code, at)),
            b'(' | b'[' => at = closing(code, at),
            b';' => return None,
            _ => at += 1,
        }
    }
}

fn lines_of(count: usize) -> String {
    "let a = 1;\n".repeat(count)
}

#[test]
fn a_file_may_have_600_lines_without_its_tests() {
    let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", lines_of(300));
    let source = |count| Source::new("agent/src/a.rs", &(lines_of(count) + &tests));
    assert_eq!(long_file(&source(600)), []);
    assert_eq!(long_file(&source(601)).len(), 1);
}

#[test]
fn half_of_the_files_are_under_150_lines() {
    let files = |sizes: [usize; 3]| sizes.map(|size| Source::new("a.rs", &lines_of(size)));
    assert_eq!(long_median(files([10, 149, 500]).iter()), []);
    assert_eq!(long_median(files([10, 150, 500]).iter()).len(), 1);
    assert_eq!(long_median([].iter()), []);
}

#[test]
fn a_function_may_have_70_lines() {
    let source = |inner| {
        let body = lines_of(inner);
        Source::new("a.rs", &format!("//! Doc.\nimpl A {{\nfn b(c: [u8; 3]) {{\n{body}}}\n}}\n"))
    };
    assert_eq!(long_functions(&source(68)), []);
    let offence = Offence::new("a.rs", 3, "fn b has 71 lines, at most 70: name its parts");
    assert_eq!(long_functions(&source(69)), [offence]);
}

#[test]
fn braces_in_text_do_not_end_a_function() {
    let body = format!("let a = \"}}\"; // }}\nlet b = '}}';\n{}", lines_of(70));
    let source = Source::new("a.rs", &format!("fn a() {{\n{body}}}\n"));
    assert_eq!(long_functions(&source).len(), 1);
}

#[test]
fn declarations_and_pointers_are_not_functions() {
    let code = "trait A { fn b(&self); }\nconst C: fn(u8) -> u8 = d;\nfn d(x: u8) -> u8 { x }";
    let names: Vec<_> = functions(code).iter().map(|function| function.name).collect();
    assert_eq!(names, ["d"]);
}

#[test]
fn these_checks_may_have_400_lines_each() {
    assert_eq!(own_length(&Source::new("a.rs", &lines_of(400))), []);
    assert_eq!(own_length(&Source::new("a.rs", &lines_of(401))).len(), 1);
}
