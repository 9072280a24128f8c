//! Which alerts and silences somebody asks for, as Alertmanager's API takes it: `name="value"`, with
//! `!=`, or with `=~` and `!~` an expression for all of the value. Pure.

use gpuwarden_proto::silence::MatchOp;
use regex::{Regex, RegexBuilder};

use crate::outside::{Fault, Labels, cut};

/// Conditions of one question.
const CONDITIONS_MAX: usize = 32;
/// The longest condition, in bytes.
const CONDITION_MAX_BYTES: usize = 1024;
/// The most that a compiled expression may take, in bytes.
const EXPRESSION_MAX_BYTES: usize = 256 * 1024;

/// One condition on labels.
#[derive(Debug, Clone)]
pub struct Matcher {
    name: String,
    op: MatchOp,
    value: String,
    expression: Option<Regex>,
}

impl Matcher {
    /// Reads all conditions of a question.
    ///
    /// # Errors
    ///
    /// There are too many, or one is none.
    pub fn all<'a>(texts: impl Iterator<Item = &'a str>) -> Result<Vec<Self>, Fault> {
        let texts: Vec<&str> = texts.collect();
        if texts.len() > CONDITIONS_MAX {
            let told = format!("{} conditions, at most {CONDITIONS_MAX} are read", texts.len());
            return Err(Fault::new("filter", told));
        }
        texts.into_iter().map(Self::parse).collect()
    }

    /// Reads a condition as amtool writes it; the quotes may be missing.
    ///
    /// # Errors
    ///
    /// It is none, is too long, or its expression is.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let fault = |what: &str| Fault::new("filter", format!("`{}` {what}", cut(text, 100)));
        if text.len() > CONDITION_MAX_BYTES {
            return Err(fault(&format!("is too long (at most {CONDITION_MAX_BYTES} bytes)")));
        }
        let none = || fault("should be like name=\"value\" or name=~\"expression\"");
        let (name, rest) = name(text.trim()).ok_or_else(none)?;
        let rest = rest.trim_start();
        let op = MatchOp::ALL.iter().copied().find(|op| rest.starts_with(op.as_str()));
        let op = op.ok_or_else(none)?;
        let value = rest[op.as_str().len()..].trim();
        let value = match value.strip_prefix('"') {
            Some(quoted) => unescaped(quoted.strip_suffix('"').ok_or_else(none)?),
            None => unescaped(value),
        };
        let expression = op.is_expression().then(|| expression(&value)).transpose();
        let expression = expression.map_err(|what| fault(&what))?;
        Ok(Self { name, op, value, expression })
    }

    /// Whether this is asked for. A label that is not there is empty.
    #[must_use]
    pub fn matches(&self, labels: &Labels) -> bool {
        let value = labels.get(&self.name).map_or("", String::as_str);
        let met = match &self.expression {
            Some(expression) => expression.is_match(value),
            None => value == self.value,
        };
        met != self.op.is_negative()
    }
}

/// The name, with or without quotes, and what follows it.
fn name(text: &str) -> Option<(String, &str)> {
    let (name, rest) = match text.strip_prefix('"') {
        Some(quoted) => quoted.split_once('"')?,
        None => text.split_at(text.find(['=', '!'])?),
    };
    let name = name.trim();
    (!name.is_empty()).then(|| (name.to_owned(), rest))
}

/// Text as it was before it was put into quotes. A backslash before anything else stands for itself,
/// as in an expression that nobody put into quotes.
fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match (c, rest.as_str().chars().next()) {
            ('\\', Some(escaped @ ('\\' | '"' | 'n'))) => {
                plain.push(if escaped == 'n' { '\n' } else { escaped });
                rest.next();
            }
            _ => plain.push(c),
        }
    }
    plain
}

fn expression(text: &str) -> Result<Regex, String> {
    let whole = format!("^(?:{text})$");
    let compiled = RegexBuilder::new(&whole)
        .size_limit(EXPRESSION_MAX_BYTES)
        .dfa_size_limit(EXPRESSION_MAX_BYTES)
        .build();
    compiled.map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => "has an expression that is too large".to_owned(),
        // The first lines draw where; the last says what.
        error => {
            let told = error.to_string();
            let what = told.lines().last().unwrap_or_default().trim_start_matches("error: ");
            format!("has no expression: {what}")
        }
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(text: &str) -> Result<bool, String> {
        let labels = [("alertname", "Down"), ("path", r#"C:\a "b""#), ("dc.name", "x")];
        let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let labels = Labels::from(labels);
        let matcher = Matcher::parse(text).map_err(|fault| fault.to_string());
        matcher.map(|matcher| matcher.matches(&labels))
    }

    #[test]
    fn a_condition_is_read_as_amtool_writes_it() {
        for met in [
            r#"alertname="Down""#,
            "alertname != Up",
            r#"severity="""#,
            r#"path="C:\\a \"b\"""#,
            r#""dc.name"="x""#,
            r#"alertname=~"Do.*""#,
            "alertname=~D[a-z]+",
            r#"alertname=~"Up|Down""#,
            r#"path=~"C:\\\\a.*""#,
            r"path=~C:\\\\a.*",
            r#"severity!~".+""#,
            r#"alertname!~"Up.*""#,
        ] {
            assert_eq!(matches(met), Ok(true), "{met}");
        }
        for unmet in ["alertname!=Down", "alertname=~x", "severity=~.+", "severity!~.*"] {
            assert_eq!(matches(unmet), Ok(false), "{unmet}");
        }
    }

    #[test]
    fn an_expression_is_for_all_of_the_value() {
        for (text, met) in [("=~Dow", false), ("=~own", false), ("=~Up|D", false), ("!~D", true)] {
            assert_eq!(matches(&format!("alertname{text}")), Ok(met), "{text}");
        }
    }

    #[test]
    fn what_is_no_condition_is_told_what_is_wrong() {
        let long = format!("a=~{}", "x".repeat(CONDITION_MAX_BYTES));
        let texts = ["alertname", "=x", "\"\"=x", "a=\"x", "a=~(", "a=~(a{99}){99}", long.as_str()];
        let told = texts.map(|text| matches(text).unwrap_err());
        insta::assert_snapshot!(told.join("\n"), @r#"
        filter: `alertname` should be like name="value" or name=~"expression"
        filter: `=x` should be like name="value" or name=~"expression"
        filter: `""=x` should be like name="value" or name=~"expression"
        filter: `a="x` should be like name="value" or name=~"expression"
        filter: `a=~(` has no expression: unclosed group
        filter: `a=~(a{99}){99}` has an expression that is too large
        filter: `a=~xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx` is too long (at most 1024 bytes)
        "#);
        let many = vec!["a=b"; CONDITIONS_MAX + 1];
        let refused = Matcher::all(many.into_iter()).unwrap_err().to_string();
        assert!(refused.contains("33 conditions, at most 32 are read"), "{refused}");
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,80}") {
            drop(Matcher::parse(&text));
        }

        #[test]
        fn a_value_in_quotes_is_itself(value in "[a-zA-Z\\\\\"\n =~!]{0,20}") {
            let quoted = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let matcher = Matcher::parse(&format!("a=\"{quoted}\"")).unwrap();
            prop_assert!(matcher.matches(&Labels::from([("a".to_owned(), value)])));
        }
    }
}
