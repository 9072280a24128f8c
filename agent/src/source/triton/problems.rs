//! What could not be read in an answer whose rest was used.

/// How many things could not be read, and the first of them in words.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Problems {
    /// How many.
    pub count: u64,
    /// The first, in words.
    pub first: Option<String>,
}

impl Problems {
    /// Counts a problem; it is put into words only when it is the first.
    pub fn add(&mut self, words: impl FnOnce() -> String) {
        self.count += 1;
        self.first.get_or_insert_with(words);
    }
}
