//! TOML files read with all their mistakes at once, each with file, line and path of the key.
//!
//! A [`Document`] is parsed once; its [`Section`]s hand out values of the asked-for kind and note
//! what is wrong with them. A key that nobody asked for is a mistake too: it is noted when its
//! section is dropped.

mod value;

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};
pub(crate) use value::written;
pub use value::{ByteSize, parse_duration};

/// One mistake in a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Name of the file as it was given.
    pub file: String,
    /// Counted from 1.
    pub line: usize,
    /// Path of the key, with its value where there is one, e.g. `triton.interval = "never"`.
    pub key: String,
    /// What is wrong and what would do.
    pub fault: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, key, fault } = self;
        let colon = if key.is_empty() { "" } else { ": " };
        write!(f, "{file}:{line}: {key}{colon}{fault}")
    }
}

/// Where mistakes are gathered while sections are read.
struct Notes<'t> {
    file: &'t str,
    text: &'t str,
    problems: RefCell<Vec<Problem>>,
}

impl Notes<'_> {
    fn add(&self, at: usize, key: String, fault: impl Into<String>) {
        let line = self.text.as_bytes()[..at.min(self.text.len())]
            .iter()
            .filter(|byte| **byte == b'\n')
            .count()
            + 1;
        let problem = Problem { file: self.file.to_owned(), line, key, fault: fault.into() };
        self.problems.borrow_mut().push(problem);
    }
}

/// A file being read.
pub struct Document<'t> {
    notes: Rc<Notes<'t>>,
    root: Option<DeTable<'t>>,
}

impl<'t> Document<'t> {
    /// Parses `text`, which came from `file`. Mistakes of syntax are noted like all others.
    pub fn parse(file: &'t str, text: &'t str) -> Self {
        let notes = Rc::new(Notes { file, text, problems: RefCell::default() });
        let (table, errors) = DeTable::parse_recoverable(text);
        for error in &errors {
            let at = error.span().map_or(0, |span| span.start);
            notes.add(at, String::new(), error.message().to_owned());
        }
        Self { notes, root: Some(table.into_inner()) }
    }

    /// The top level of the file. Asked for once.
    pub fn root(&mut self) -> Section<'t> {
        let table = self.root.take().unwrap_or_default();
        Section { notes: Rc::clone(&self.notes), path: String::new(), at: 0, table }
    }

    /// All mistakes, in the order of the file.
    ///
    /// # Errors
    ///
    /// When there is one at least.
    pub fn finish(self) -> Result<(), Vec<Problem>> {
        let mut problems = self.notes.problems.borrow_mut().split_off(0);
        problems.sort();
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }
}

/// A table of the file, from which values are taken.
pub struct Section<'t> {
    notes: Rc<Notes<'t>>,
    path: String,
    at: usize,
    table: DeTable<'t>,
}

impl<'t> Section<'t> {
    /// A table below this one; empty where the file has none.
    pub fn section(&mut self, key: &str) -> Section<'t> {
        let (at, table) = match self.take(key) {
            Some((at, DeValue::Table(table))) => (at, table),
            Some((at, other)) => {
                self.reject(at, key, &other, "should be a table");
                (at, DeTable::new())
            }
            None => (self.at, DeTable::new()),
        };
        Section { notes: Rc::clone(&self.notes), path: self.path_of(key), at, table }
    }

    /// An array of tables below this one; empty where the file has none.
    pub fn sections(&mut self, key: &str) -> Vec<Section<'t>> {
        let items = match self.take(key) {
            Some((_, DeValue::Array(items))) => items,
            Some((at, other)) => {
                self.reject(at, key, &other, "should be an array of tables, written [[…]]");
                return Vec::new();
            }
            None => return Vec::new(),
        };
        let path = self.path_of(key);
        let table = |(nth, item): (usize, Spanned<DeValue<'t>>)| {
            let at = item.span().start;
            match item.into_inner() {
                DeValue::Table(table) => Some(Section {
                    notes: Rc::clone(&self.notes),
                    path: format!("{path}[{nth}]"),
                    at,
                    table,
                }),
                other => {
                    self.reject(at, key, &other, "should be a table");
                    None
                }
            }
        };
        items.into_iter().enumerate().filter_map(table).collect()
    }

    /// A switch.
    pub fn flag(&mut self, key: &str, default: bool) -> bool {
        match self.take(key) {
            Some((_, DeValue::Boolean(value))) => value,
            Some((at, other)) => {
                self.reject(at, key, &other, "should be true or false");
                default
            }
            None => default,
        }
    }

    /// A whole number within bounds.
    pub fn number(
        &mut self,
        key: &str,
        default: u64,
        allowed: std::ops::RangeInclusive<u64>,
    ) -> u64 {
        let Some((at, value)) = self.take(key) else { return default };
        let number = match &value {
            DeValue::Integer(digits) => u64::from_str_radix(digits.as_str(), digits.radix()).ok(),
            _ => None,
        };
        match number {
            Some(number) if allowed.contains(&number) => number,
            _ => {
                let (low, high) = (allowed.start(), allowed.end());
                self.reject(at, key, &value, &format!("should be a number from {low} to {high}"));
                default
            }
        }
    }

    /// A share within bounds, written like `0.999`; `None` where the file has none.
    pub fn share(&mut self, key: &str, allowed: std::ops::RangeInclusive<f64>) -> Option<f64> {
        let (at, value) = self.take(key)?;
        let share = match &value {
            DeValue::Float(digits) => digits.as_str().parse().ok(),
            _ => None,
        };
        let share = share.filter(|share| allowed.contains(share));
        if share.is_none() {
            let (low, high) = (allowed.start(), allowed.end());
            self.reject(at, key, &value, &format!("should be a share from {low} to {high}"));
        }
        share
    }

    /// A text, made into something by `parse`, whose error says what is wrong and what would do.
    pub fn parsed<T>(
        &mut self,
        key: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let (at, value) = self.take(key)?;
        let result = match &value {
            DeValue::String(text) => parse(text),
            _ => Err("should be a text in quotes".to_owned()),
        };
        result.map_err(|fault| self.reject(at, key, &value, &fault)).ok()
    }

    /// A text that must be there.
    pub fn required<T>(
        &mut self,
        key: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        if !self.table.iter().any(|(known, _)| known.get_ref() == key) {
            self.notes.add(self.at, self.path_of(key), "is missing");
            return None;
        }
        self.parsed(key, parse)
    }

    /// A list of texts, each made into something by `parse`.
    pub fn list<T>(&mut self, key: &str, parse: impl Fn(&str) -> Result<T, String>) -> Vec<T> {
        let items = match self.take(key) {
            Some((_, DeValue::Array(items))) => items,
            Some((at, other)) => {
                self.reject(at, key, &other, "should be a list of texts, written [\"…\"]");
                return Vec::new();
            }
            None => return Vec::new(),
        };
        let mut list = Vec::new();
        for item in items {
            let at = item.span().start;
            let value = item.into_inner();
            match &value {
                DeValue::String(text) => match parse(text) {
                    Ok(item) => list.push(item),
                    Err(fault) => self.reject(at, key, &value, &fault),
                },
                _ => self.reject(at, key, &value, "should be a text in quotes"),
            }
        }
        list
    }

    /// A duration within bounds, written like `500ms`, `5s`, `2m`, `24h` or `7d`.
    pub fn duration(
        &mut self,
        key: &str,
        default: std::time::Duration,
        allowed: std::ops::RangeInclusive<std::time::Duration>,
    ) -> std::time::Duration {
        let check = |text: &str| value::duration_within(text, default, &allowed);
        self.parsed(key, check).unwrap_or(default)
    }

    /// A mistake that only the caller can see, such as two keys that contradict each other.
    pub fn problem(&self, key: &str, fault: &str) {
        self.notes.add(self.at, self.path_of(key), fault);
    }

    /// The keys that were not asked for yet, in order: for a table whose keys are free.
    pub fn keys(&self) -> Vec<String> {
        self.table.keys().map(|key| key.get_ref().to_string()).collect()
    }

    fn take(&mut self, key: &str) -> Option<(usize, DeValue<'t>)> {
        let value = self.table.remove(key)?;
        Some((value.span().start, value.into_inner()))
    }

    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    fn reject(&self, at: usize, key: &str, value: &DeValue<'_>, fault: &str) {
        let shown = value::shown(value);
        self.notes.add(at, format!("{} = {shown}", self.path_of(key)), fault);
    }
}

impl Drop for Section<'_> {
    /// Notes the keys that nobody asked for.
    fn drop(&mut self) {
        for (key, _) in &self.table {
            let path = self.path_of(key.get_ref());
            self.notes.add(key.span().start, path, "is not a key of this section");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const TEXT: &str = r#"
[triton]
interval = "never"
pace = 5
[grpc]
enabled = "yes"
rows = 0
"#;

    fn problems() -> Vec<String> {
        let mut document = Document::parse("agent.toml", TEXT);
        {
            let mut root = document.root();
            let second = Duration::from_secs(1);
            let mut triton = root.section("triton");
            triton.duration("interval", second / 2, second / 10..=second * 5);
            triton.required("name", |text| Ok(text.to_owned()));
            let mut grpc = root.section("grpc");
            grpc.flag("enabled", true);
            grpc.number("rows", 5, 1..=9);
        }
        let problems = document.finish().expect_err("the text is full of mistakes");
        problems.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn all_mistakes_are_told_at_once_each_with_its_line_and_key() {
        insta::assert_snapshot!(problems().join("\n"), @r#"
        agent.toml:2: triton.name: is missing
        agent.toml:3: triton.interval = "never": not a duration (try "500ms", allowed 100ms to 5s)
        agent.toml:4: triton.pace: is not a key of this section
        agent.toml:6: grpc.enabled = "yes": should be true or false
        agent.toml:7: grpc.rows = 0: should be a number from 1 to 9
        "#);
    }

    #[test]
    fn a_mistake_of_syntax_has_its_line_too() {
        let mut document = Document::parse("agent.toml", "\nb = = 1\n");
        drop(document.root());
        let problems = document.finish().expect_err("two equal signs are no TOML");
        assert_eq!(problems[0].to_string(), "agent.toml:2: extra `=`, expected nothing");
    }

    #[test]
    fn a_file_that_says_nothing_is_a_file_without_mistakes() {
        let mut document = Document::parse("agent.toml", "");
        assert!(document.root().flag("on", true));
        assert_eq!(document.finish(), Ok(()));
    }
}
