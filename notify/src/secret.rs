//! What must not be seen: tokens, passwords, keys, and addresses that are as good as one. A secret
//! comes from a file, is never written anywhere, and shows itself to nobody.

use std::fmt;
use std::sync::Arc;

/// The longest secret, in bytes.
const MAX_BYTES: usize = 4096;

/// A secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<str>);

impl Secret {
    /// The secret in the text of a file; blanks around it do not count.
    ///
    /// # Errors
    ///
    /// The file holds none, or more than a line.
    pub fn of_file(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.is_empty() {
            return Err("holds nothing; it should hold the secret, on one line".to_owned());
        }
        if text.len() > MAX_BYTES || text.chars().any(char::is_control) {
            return Err(format!("should hold one line of {MAX_BYTES} bytes at most, the secret"));
        }
        Ok(Self(text.into()))
    }

    /// The secret itself: for the request that needs it, and nothing else.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_the_line_of_its_file_and_is_never_shown() {
        let secret = Secret::of_file("xoxb-1\n").unwrap();
        assert_eq!(secret.reveal(), "xoxb-1");
        assert_eq!(format!("{secret:?}"), "Secret(…)");
    }

    #[test]
    fn what_is_no_single_line_is_no_secret() {
        assert!(Secret::of_file(" \n").is_err());
        assert!(Secret::of_file("a\nb").is_err());
        assert!(Secret::of_file(&"a".repeat(MAX_BYTES + 1)).is_err());
    }
}
