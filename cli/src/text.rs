//! Text for people: what comes from outside made harmless, wrapped, and coloured by severity.

use gpuwarden_proto::vocab::Severity;

/// Columns that everything fits into.
pub const WIDTH: usize = 100;
/// Columns of pages that are read rather than looked at.
pub const PROSE_WIDTH: usize = 80;

/// Text from outside with what could move the cursor or turn the line around written as an escape.
pub fn clean(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            // What follows one another in the server's words stays readable on one line.
            '\n' => clean.push_str("\\n"),
            '\t' => clean.push(' '),
            c if c.is_control() || turns_around(c) => clean.extend(c.escape_unicode()),
            c => clean.push(c),
        }
    }
    clean
}

/// Characters without a width that reorder or hide what stands around them.
fn turns_around(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// The text cut to `width` characters, with a sign where something is missing.
pub fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let kept: String = text.chars().take(width.saturating_sub(1)).collect();
    format!("{}…", kept.trim_end())
}

/// The text in lines of at most `width` characters, broken between words where there are any.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ').flat_map(|word| pieces(word, width)) {
        let line = lines.last_mut().expect("it begins with one line and only grows");
        if line.is_empty() {
            *line = word;
        } else if line.chars().count() + 1 + word.chars().count() <= width {
            line.push(' ');
            line.push_str(&word);
        } else {
            lines.push(word);
        }
    }
    lines
}

/// A word that is too long for a line, in pieces.
fn pieces(word: &str, width: usize) -> Vec<String> {
    let letters: Vec<char> = word.chars().collect();
    letters.chunks(width.max(1)).map(|piece| piece.iter().collect()).collect()
}

/// Whether to use colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paint {
    /// No.
    Plain,
    /// For severity; the word says it too.
    Colour,
}

impl Paint {
    /// `text` in the colour of a severity.
    pub fn severity(self, severity: Severity, text: &str) -> String {
        let code = match severity {
            Severity::P1 => "1;31",
            Severity::P2 => "31",
            Severity::P3 => "33",
            Severity::P4 => "36",
        };
        match self {
            Self::Plain => text.to_owned(),
            Self::Colour => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_move_the_cursor_is_written_as_an_escape() {
        assert_eq!(clean("a\u{1b}[2Jb\nc\td\u{202e}e"), "a\\u{1b}[2Jb\\nc d\\u{202e}e");
        assert_eq!(clean("größer 模型"), "größer 模型");
    }

    #[test]
    fn what_is_cut_says_so() {
        assert_eq!(cut("memory is gone", 14), "memory is gone");
        assert_eq!(cut("memory is gone", 11), "memory is…");
    }

    #[test]
    fn no_line_is_longer_than_it_may_be() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("abcdefgh ij", 3), ["abc", "def", "gh", "ij"]);
        assert_eq!(wrap("", 5), [""]);
    }

    #[test]
    fn colour_is_only_used_where_it_is_wanted() {
        assert_eq!(Paint::Plain.severity(Severity::P1, "P1"), "P1");
        assert_eq!(Paint::Colour.severity(Severity::P1, "P1"), "\u{1b}[1;31mP1\u{1b}[0m");
    }
}
