//! Texts within a limit: what is cut says that it is, and how much. Pure.

/// Cuts `text` to `limit` characters with its mark. What fits is as it was.
#[must_use]
pub fn to_chars(text: &str, limit: usize) -> String {
    let length = text.chars().count();
    if length <= limit {
        return text.to_owned();
    }
    let mark = mark(length - limit.saturating_sub(MARK_CHARS));
    if limit < MARK_CHARS {
        return text.chars().take(limit.saturating_sub(1)).chain("…".chars()).take(limit).collect();
    }
    text.chars().take(limit - MARK_CHARS).chain(mark.chars()).collect()
}

/// Lines as parts of at most `limit` characters, `parts` of them at most; a line that is longer than
/// a part is cut, and what is left over is marked at the end of the last.
#[must_use]
pub fn into_parts(text: &str, limit: usize, parts: usize) -> Vec<String> {
    let mut made: Vec<String> = Vec::new();
    let mut left = 0;
    for line in text.lines() {
        let line = to_chars(line, limit.saturating_sub(MARK_CHARS + 1));
        let length = line.chars().count();
        let roomy = |part: &String| part.chars().count() + 1 + length + MARK_CHARS < limit;
        let room = made.len() < parts;
        match made.last_mut() {
            _ if left > 0 => left += length + 1,
            Some(part) if roomy(part) => {
                part.push('\n');
                part.push_str(&line);
            }
            _ if room => made.push(line),
            _ => left += length + 1,
        }
    }
    if let (Some(last), 1..) = (made.last_mut(), left) {
        last.push_str(&mark(left));
    }
    made
}

/// The room that a mark takes at most, in characters.
pub const MARK_CHARS: usize = 36;

fn mark(left: usize) -> String {
    format!(" … (cut: {} characters more)", left.min(999_999_999))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_fits_is_as_it_was_and_what_is_cut_says_so() {
        assert_eq!(to_chars("short", 5), "short");
        assert_eq!(to_chars(&"a".repeat(60), 50), "aaaaaaaaaaaaaa … (cut: 46 characters more)");
        assert_eq!(to_chars("no room for a mark", 6), "no ro…");
    }

    #[test]
    fn a_long_text_is_parted_at_its_lines() {
        let text = vec!["x".repeat(30); 8].join("\n");
        let parts = into_parts(&text, 100, 2);
        assert_eq!(parts.len(), 2);
        assert!(parts[1].ends_with("… (cut: 124 characters more)"), "{parts:?}");
    }

    proptest! {
        #[test]
        fn no_cut_is_longer_than_its_limit(text in "\\PC{0,200}", limit in 0_usize..120) {
            prop_assert!(to_chars(&text, limit).chars().count() <= limit);
        }

        #[test]
        fn no_part_is_longer_than_its_limit(text in "(\\PC{0,90}\n){0,30}", parts in 1_usize..5) {
            let made = into_parts(&text, 120, parts);
            prop_assert!(made.len() <= parts);
            prop_assert!(made.iter().all(|part| part.chars().count() <= 120));
        }
    }
}
