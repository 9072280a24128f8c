//! A line as words; text in double quotes is one word.

/// What is left of a line.
#[derive(Debug)]
pub(super) struct Words {
    left: std::collections::VecDeque<String>,
}

impl Words {
    /// Splits a line. `#` between words begins a comment.
    pub(super) fn new(line: &str) -> Result<Self, String> {
        let mut left = std::collections::VecDeque::new();
        let mut rest = line.trim_start();
        while !rest.is_empty() && !rest.starts_with('#') {
            let (word, after) = match rest.strip_prefix('"') {
                Some(quoted) => quoted.split_once('"').ok_or("a `\"` is opened and not closed")?,
                None => rest.split_once(char::is_whitespace).unwrap_or((rest, "")),
            };
            left.push_back(word.to_owned());
            rest = after.trim_start();
        }
        Ok(Self { left })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.left.is_empty()
    }

    /// The next word, which must mean something; `expected` says what.
    pub(super) fn take<T>(
        &mut self,
        expected: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, String> {
        match self.left.pop_front() {
            None => Err(format!("ends too early (expected {expected})")),
            Some(word) => read(&word).ok_or_else(|| format!("`{word}` is not {expected}")),
        }
    }

    /// The next word, which must be this one.
    pub(super) fn literal(&mut self, expected: &str) -> Result<(), String> {
        self.take(&format!("`{expected}`"), |word| (word == expected).then_some(()))
    }

    /// Takes the next word if it is this one.
    pub(super) fn take_if(&mut self, word: &str) -> bool {
        self.left.pop_front_if(|next| next == word).is_some()
    }

    /// Nothing may be left.
    pub(super) fn end(&self) -> Result<(), String> {
        match self.left.front() {
            None => Ok(()),
            Some(word) => Err(format!("`{word}` is too much (expected the end of the line)")),
        }
    }
}
