//! What is filled into the braces of a page.

/// The names that are known; what is not known stays in braces.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Names(Vec<(String, String)>);

impl Names {
    /// Gives a name its value, unless it has one. What a shell could take for more than a word is left
    /// out: commands are copied as they stand.
    pub fn set(&mut self, name: &str, value: &str) {
        let plain = |c: char| c.is_ascii_alphanumeric() || "._:/@-".contains(c);
        let known = self.0.iter().any(|(known, _)| known == name);
        if !known && !value.is_empty() && !value.starts_with('-') && value.chars().all(plain) {
            self.0.push((name.to_owned(), value.to_owned()));
        }
    }

    /// A text with the names that are known.
    #[must_use]
    pub fn fill(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (name, value)| {
            text.replace(&format!("{{{name}}}"), value)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_is_filled_in_and_the_rest_stays() {
        let mut names = Names::default();
        names.set("node", "node-a");
        names.set("node", "node-b");
        names.set("model", "bert/large:7");
        assert_eq!(
            names.fill("drain {node} {pod} {model} ${node}x"),
            "drain node-a {pod} bert/large:7 $node-ax"
        );
    }

    #[test]
    fn what_a_shell_could_take_for_more_than_a_word_is_left_out() {
        for value in
            ["a;reboot", "a b", "$(id)", "`id`", "a|b", "--all", "", "a'b", "a\nb", "{pod}"]
        {
            let mut names = Names::default();
            names.set("node", value);
            assert_eq!(names.fill("drain {node}"), "drain {node}", "{value:?}");
        }
    }
}
