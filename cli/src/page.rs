//! A page of text as it grows: indented, wrapped, and harmless whatever it is given.

use std::fmt::Write as _;

use crate::text::{clean, wrap};

/// Where the text of a labelled line begins.
const INDENT: usize = 12;

/// A page. Writing to a `String` cannot fail.
#[derive(Debug)]
pub struct Page {
    text: String,
    width: usize,
}

impl Page {
    /// An empty page of so many columns.
    pub fn new(width: usize) -> Self {
        Self { text: String::new(), width }
    }

    /// All of it.
    pub fn text(self) -> String {
        self.text
    }

    /// A line as it is.
    pub fn line(&mut self, line: &str) {
        let _ = writeln!(self.text, "{}", line.trim_end());
    }

    /// Text that may be long, with its first line begun and the others below it.
    pub fn wrapped(&mut self, indent: usize, begun: &str, text: &str) {
        for (index, line) in wrap(&clean(text), self.width - indent).iter().enumerate() {
            match index {
                0 => self.line(&format!("{begun}{line}")),
                _ => self.line(&format!("{:indent$}{line}", "")),
            }
        }
    }

    /// A line with a word before it.
    pub fn labelled(&mut self, label: &str, text: &str) {
        self.wrapped(INDENT, &format!("  {label:<10}"), text);
    }

    /// An empty line and what the lines below it are about.
    pub fn heading(&mut self, text: &str) {
        self.line("");
        self.wrapped(2, "  ", text);
    }

    /// A paragraph under a heading.
    pub fn paragraph(&mut self, text: &str) {
        self.wrapped(4, "    ", text);
    }
}
