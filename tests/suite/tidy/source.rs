//! Rust source as the checks see it: code without comments and literals, literals without code,
//! and either without what is compiled for tests only.
//!
//! A lexer, not a parser: it knows comments, strings, characters and brackets, no more.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;

/// Directories whose sources are the product. The rest of the workspace is tests and tools.
const PRODUCT: [&str; 8] = [
    "proto/src/",
    "agent/src/",
    "respond/src/",
    "aggregator/src/",
    "cli/src/",
    "notify/src/",
    "tests/sim/src/",
    "tests/nvml-standin/src/",
];

/// One Rust file. All texts have the same length and the same lines, with blanks for what is left
/// out, so that an offset in one is an offset in all.
#[derive(Debug)]
pub(super) struct Source {
    /// Relative to the root of the repository, with forward slashes.
    pub(super) path: String,
    pub(super) text: String,
    /// Without comments and literals.
    pub(super) all_code: String,
    /// `all_code` without items for tests.
    pub(super) code: String,
    /// String literals alone, without those in items for tests.
    pub(super) literals: String,
    /// Lines that do not belong to items for tests.
    pub(super) lines: usize,
}

impl Source {
    pub(super) fn new(path: &str, text: &str) -> Source {
        let (all_code, all_literals) = split(text);
        let (mut code, mut literals) = (all_code.clone(), all_literals);
        let mut lines = text.lines().count();
        for item in test_items(&all_code) {
            lines = lines.saturating_sub(text[item.clone()].lines().count());
            code = blank(&code, &item);
            literals = blank(&literals, &item);
        }
        let (path, text) = (path.to_owned(), text.to_owned());
        Source { path, text, all_code, code, literals, lines }
    }

    /// The line of an offset, from 1.
    pub(super) fn line(&self, offset: usize) -> usize {
        1 + self.text[..offset].matches('\n').count()
    }

    /// The names on the way to the file: `agent/src/rules/xid.rs` gives `rules`, `xid`.
    pub(super) fn modules(&self) -> impl Iterator<Item = &str> {
        let inside = self.path.split_once("src/").map_or(self.path.as_str(), |(_, rest)| rest);
        inside.trim_end_matches(".rs").split('/')
    }
}

/// Every Rust file of the workspace.
pub(super) struct Tree {
    pub(super) files: Vec<Source>,
    test_only: BTreeSet<String>,
}

impl Tree {
    pub(super) fn read() -> Tree {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut files = Vec::new();
        walk(&root, "", &mut files);
        Tree::new(files)
    }

    pub(super) fn new(files: Vec<Source>) -> Tree {
        let test_only = files.iter().flat_map(test_modules).collect();
        Tree { files, test_only }
    }

    /// The files that are shipped: in a product directory and not a module for tests.
    pub(super) fn product(&self) -> impl Iterator<Item = &Source> {
        self.files.iter().filter(|file| {
            PRODUCT.iter().any(|dir| file.path.starts_with(dir))
                && !self.test_only.iter().any(|module| is_module(&file.path, module))
        })
    }
}

/// Whether `path` is the file of `module` or lies below it.
pub(super) fn is_module(path: &str, module: &str) -> bool {
    path.strip_prefix(module).is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
}

fn walk(dir: &Path, prefix: &str, files: &mut Vec<Source>) {
    let entries = std::fs::read_dir(dir).unwrap_or_else(|error| panic!("{dir:?}: {error}"));
    for entry in entries.map(|entry| entry.expect("a directory entry")) {
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = entry.path();
        if path.is_dir() {
            if name != "target" && !name.starts_with('.') {
                walk(&path, &format!("{prefix}{name}/"), files);
            }
        } else if name.ends_with(".rs") {
            let text =
                std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
            files.push(Source::new(&format!("{prefix}{name}"), &text));
        }
    }
}

/// The modules that this file declares for tests only: `#[cfg(test)] mod tests;`.
fn test_modules(source: &Source) -> Vec<String> {
    let (dir, name) = source.path.rsplit_once('/').unwrap_or(("", &source.path));
    let stem = name.trim_end_matches(".rs");
    let home = match stem {
        "lib" | "main" | "mod" => dir.to_owned(),
        stem => format!("{dir}/{stem}"),
    };
    test_items(&source.all_code)
        .into_iter()
        .filter_map(|item| {
            let item = source.all_code[item].trim_end().strip_suffix(';')?;
            let (before, module) = item.rsplit_once(' ')?;
            before.trim_end().ends_with("mod").then(|| format!("{home}/{module}"))
        })
        .collect()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Piece {
    Code,
    Literal,
    /// Comments and characters.
    Other,
}

/// Gives the code and the string literals of a text, each blank where the other stands.
pub(super) fn split(text: &str) -> (String, String) {
    let bytes = text.as_bytes();
    let mut code = Vec::with_capacity(bytes.len());
    let mut literals = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let (piece, end) = next_piece(bytes, at);
        for &byte in &bytes[at..end] {
            let kept = |wanted| if piece == wanted || byte == b'\n' { byte } else { b' ' };
            code.push(kept(Piece::Code));
            literals.push(kept(Piece::Literal));
        }
        at = end;
    }
    let as_text = |bytes| String::from_utf8(bytes).expect("pieces end at characters");
    (as_text(code), as_text(literals))
}

fn next_piece(bytes: &[u8], at: usize) -> (Piece, usize) {
    let rest = &bytes[at..];
    if rest.starts_with(b"//") {
        let length = rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len());
        (Piece::Other, at + length)
    } else if rest.starts_with(b"/*") {
        (Piece::Other, at + block_comment(rest))
    } else if rest[0] == b'"' {
        (Piece::Literal, at + quoted(rest, b'"'))
    } else if let Some(length) = raw_string(bytes, at) {
        (Piece::Literal, at + length)
    } else if let Some(length) = character(rest) {
        (Piece::Other, at + length)
    } else {
        (Piece::Code, at + 1)
    }
}

fn block_comment(rest: &[u8]) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < rest.len() {
        if rest[at..].starts_with(b"/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if rest[at..].starts_with(b"*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    rest.len()
}

fn quoted(rest: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 2,
            byte if byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// The length of a raw string that starts at `at`, its prefix `b` or `c` already passed.
fn raw_string(bytes: &[u8], at: usize) -> Option<usize> {
    let before = bytes[..at].iter().rev().take_while(|byte| is_name(**byte)).count();
    let prefixed = before == 1 && matches!(bytes[at - 1], b'b' | b'c');
    if bytes[at] != b'r' || !(before == 0 || prefixed) {
        return None;
    }
    let hashes = bytes[at + 1..].iter().take_while(|byte| **byte == b'#').count();
    let body = at + 1 + hashes;
    if bytes.get(body) != Some(&b'"') {
        return None;
    }
    let end = [b"\"".as_slice(), &vec![b'#'; hashes]].concat();
    let length = bytes[body + 1..].windows(end.len()).position(|window| window == end);
    Some(length.map_or(bytes.len(), |length| body + 1 + length + end.len()) - at)
}

/// The length of a character literal, and nothing for a lifetime.
fn character(rest: &[u8]) -> Option<usize> {
    if rest[0] != b'\'' {
        return None;
    }
    let first = *rest.get(1)?;
    if first == b'\\' {
        return Some(quoted(rest, b'\''));
    }
    let width = match first {
        0..=0x7f => 1,
        0x80..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xff => 4,
    };
    (rest.get(1 + width) == Some(&b'\'')).then_some(width + 2)
}

pub(super) fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

/// The offsets at which `word` stands, not as a part of a longer name.
pub(super) fn words<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let bytes = code.as_bytes();
    let edge = |at: Option<usize>| !at.and_then(|at| bytes.get(at)).is_some_and(|b| is_name(*b));
    code.match_indices(word)
        .map(|(at, _)| at)
        .filter(move |&at| edge(at.checked_sub(1)) && edge(Some(at + word.len())))
}

/// The offset just after the bracket that closes the one at `open`.
pub(super) fn closing(code: &str, open: usize) -> usize {
    let mut depth = 0_usize;
    for (at, byte) in code.bytes().enumerate().skip(open) {
        match byte {
            b'{' | b'(' | b'[' => depth += 1,
            b'}' | b')' | b']' => depth = depth.saturating_sub(1),
            _ => continue,
        }
        if depth == 0 {
            return at + 1;
        }
    }
    code.len()
}

/// What `#[cfg(test)]` stands before, from the attribute to the end of the item.
fn test_items(code: &str) -> Vec<Range<usize>> {
    let mut items: Vec<Range<usize>> = Vec::new();
    for (start, attribute) in code.match_indices("#[cfg(test)]") {
        if items.last().is_none_or(|last| last.end <= start) {
            items.push(start..item_end(code, start + attribute.len()));
        }
    }
    items
}

fn item_end(code: &str, mut at: usize) -> usize {
    let bytes = code.as_bytes();
    let rest = code[at..].trim_start();
    // A field or a match arm ends at its comma, which means nothing in the head of an item.
    let is_item = ["mod", "fn", "use", "impl", "struct", "enum", "const", "static", "pub", "#["]
        .iter()
        .any(|keyword| rest.starts_with(keyword));
    while at < bytes.len() {
        match bytes[at] {
            b'{' => return closing(code, at),
            b'(' | b'[' => at = closing(code, at),
            b';' => return at + 1,
            b',' if !is_item => return at + 1,
            b'}' => return at,
            _ => at += 1,
        }
    }
    code.len()
}

fn blank(text: &str, range: &Range<usize>) -> String {
    let empty: String =
        text[range.clone()].bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }).collect();
    [&text[..range.start], &empty, &text[range.end..]].concat()
}

mod tests;
