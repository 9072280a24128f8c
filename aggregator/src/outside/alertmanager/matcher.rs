//! Which alerts somebody asks for: `name="value"` and `name!="value"`. Pure.

use crate::outside::{Fault, Labels, cut};

/// One condition on the labels of an alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matcher {
    name: String,
    value: String,
    equal: bool,
}

impl Matcher {
    /// Reads a condition as amtool writes it; the quotes may be missing.
    ///
    /// # Errors
    ///
    /// It is none, or one by a regular expression, which is not understood here.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let fault = |what: &str| Fault::new("filter", format!("`{}` {what}", cut(text, 100)));
        let at = text.find(['=', '!']).ok_or_else(|| fault("should be like name=\"value\""))?;
        let (name, rest) = text.split_at(at);
        if rest.starts_with("=~") || rest.starts_with("!~") {
            return Err(fault("is a regular expression; only = and != are understood here"));
        }
        let (equal, value) = match (rest.strip_prefix("!="), rest.strip_prefix('=')) {
            (Some(value), _) => (false, value),
            (None, Some(value)) => (true, value),
            (None, None) => return Err(fault("should be like name=\"value\"")),
        };
        let value = value.trim();
        let inner = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
        let value = inner.unwrap_or(value).replace("\\\"", "\"").replace("\\\\", "\\");
        let name = name.trim().trim_matches('"').to_owned();
        if name.is_empty() { Err(fault("has no name")) } else { Ok(Self { name, value, equal }) }
    }

    /// Whether an alert is asked for. A label that is not there is empty.
    #[must_use]
    pub fn matches(&self, labels: &Labels) -> bool {
        let value = labels.get(&self.name).map_or("", String::as_str);
        (value == self.value) == self.equal
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_is_read_as_amtool_writes_it() {
        let labels = Labels::from([("alertname".to_owned(), "X".to_owned())]);
        let matches = |text: &str| Matcher::parse(text).map(|matcher| matcher.matches(&labels));
        assert_eq!(matches(r#"alertname="X""#), Ok(true));
        assert_eq!(matches("alertname!=X"), Ok(false));
        assert_eq!(matches(r#"severity="""#), Ok(true));
        let told = matches("alertname=~X.*").unwrap_err().to_string();
        assert!(told.contains("only = and != are understood"), "{told}");
        assert!(matches("alertname").is_err() && matches("=x").is_err());
    }
}
