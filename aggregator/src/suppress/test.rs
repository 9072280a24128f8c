//! A matcher that can be asked: checked, with its expression compiled.

use gpuwarden_proto::silence::{MatchKey, MatchOp, Matcher};
use gpuwarden_proto::vocab::{IncidentType, RuleId, Severity};
use regex::{Regex, RegexBuilder};

use super::facts::Facts;

/// The longest value of a matcher, in bytes.
const VALUE_MAX_BYTES: usize = 512;
/// The most that a compiled expression may take, in bytes.
const EXPRESSION_MAX_BYTES: usize = 256 * 1024;

/// A matcher that can be asked. Two are equal when they are written alike.
#[derive(Debug, Clone)]
pub struct Test {
    matcher: Matcher,
    expression: Option<Regex>,
}

impl PartialEq for Test {
    fn eq(&self, other: &Self) -> bool {
        self.matcher == other.matcher
    }
}

impl Eq for Test {}

impl Test {
    /// Checks a matcher.
    ///
    /// # Errors
    ///
    /// What is wrong with it: its expression, or a word that its key never has.
    pub fn new(matcher: Matcher) -> Result<Self, String> {
        if matcher.value.len() > VALUE_MAX_BYTES {
            let bytes = matcher.value.len();
            return Err(format!(
                "a value of {bytes} bytes is too long (at most {VALUE_MAX_BYTES})"
            ));
        }
        let expression = match matcher.op.is_expression() {
            true => Some(expression(&matcher)?),
            false => None,
        };
        let test = Self { matcher, expression };
        let known = words(&test.matcher.key);
        let empty = test.matcher.value.is_empty();
        match known.iter().any(|word| test.is_met(word)) || known.is_empty() || empty {
            true => Ok(test),
            false => Err(format!(
                "`{}` can never match: {} is one of {}",
                test.matcher,
                test.matcher.key,
                known.join(", ")
            )),
        }
    }

    /// What it was made of.
    #[must_use]
    pub fn matcher(&self) -> &Matcher {
        &self.matcher
    }

    /// Whether a value is what is written, whether or not that is wanted.
    fn is_met(&self, value: &str) -> bool {
        match &self.expression {
            Some(expression) => expression.is_match(value),
            None => self.matcher.value == value,
        }
    }

    /// Whether it takes this for the only value.
    #[must_use]
    pub fn takes(&self, value: &str) -> bool {
        self.is_met(value) != self.matcher.op.is_negative()
    }

    /// Whether it takes a finding. What has no value counts as one that is empty; of several one
    /// that is met is enough, and one is enough to refuse where the opposite is asked for.
    pub(super) fn takes_finding(&self, facts: Facts<'_>) -> bool {
        let (mut any, mut met) = (false, false);
        facts.each(&self.matcher.key, &mut |value| {
            any = true;
            met = met || self.is_met(value);
        });
        (if any { met } else { self.is_met("") }) != self.matcher.op.is_negative()
    }

    /// Whether it asks for severity P1 in so many letters.
    #[must_use]
    pub fn names_critical(&self) -> bool {
        let critical = Severity::P1.as_str();
        self.matcher.key == MatchKey::Severity
            && !self.matcher.op.is_negative()
            && self.matcher.value.contains(critical)
            && self.is_met(critical)
    }
}

/// Whether one finding may be taken by both lists. Errs on the side of yes.
#[must_use]
pub fn may_overlap(one: &[Test], other: &[Test]) -> bool {
    let all = || one.iter().chain(other);
    let of = |key: &MatchKey| all().filter(|test| test.matcher.key == *key).collect::<Vec<_>>();
    all().all(|test| {
        let (key, tests) = (&test.matcher.key, of(&test.matcher.key));
        let known = words(key);
        let fits = |value: &str| tests.iter().all(|test| test.takes(value));
        if !known.is_empty() {
            return known.iter().any(|word| fits(word));
        }
        let single =
            matches!(key, MatchKey::Node | MatchKey::Rack | MatchKey::Zone | MatchKey::Label(_));
        let exact = tests.iter().find(|test| test.matcher.op == MatchOp::Is);
        exact.is_none_or(|exact| !single || fits(&exact.matcher.value))
    })
}

/// The words that a key can have; none where there is no such list.
fn words(key: &MatchKey) -> Vec<&'static str> {
    match key {
        MatchKey::Rule => RuleId::ALL.iter().map(|word| word.as_str()).collect(),
        MatchKey::Type => IncidentType::ALL.iter().map(|word| word.as_str()).collect(),
        MatchKey::Severity => Severity::ALL.iter().map(|word| word.as_str()).collect(),
        _ => Vec::new(),
    }
}

/// The expression of a matcher, for all of a value.
fn expression(matcher: &Matcher) -> Result<Regex, String> {
    let compile = |text: &str| {
        RegexBuilder::new(text)
            .size_limit(EXPRESSION_MAX_BYTES)
            .dfa_size_limit(EXPRESSION_MAX_BYTES)
            .build()
            .map_err(|error| {
                let told = error.to_string();
                let last = told.lines().last().unwrap_or_default();
                let last = last.trim_start_matches("error: ");
                format!("`{matcher}` is no expression: {last}")
            })
    };
    // By itself first: `a)|(b` would be one only between the brackets around it.
    compile(&matcher.value)?;
    compile(&format!(r"\A(?:{})\z", matcher.value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn test(text: &str) -> Result<Test, String> {
        Test::new(text.parse().unwrap())
    }

    #[test]
    fn an_expression_must_match_all_of_a_value() {
        let ecc = test("model=~bert|gpt-.*").unwrap();
        assert!(ecc.takes("bert") && ecc.takes("gpt-2"));
        assert!(!ecc.takes("bert-large") && !ecc.takes("a bert"));
        assert!(test("model!~bert").unwrap().takes("bert-large"));
    }

    #[test]
    fn what_can_never_match_is_refused_with_what_would() {
        let refused = |text: &str| test(text).unwrap_err();
        insta::assert_snapshot!(
            [refused("severity=P5"), refused("severity=~p1"), refused("node=~("), refused("node=~a)|(b"),
             refused("node=~(a{100}){100}{10}")].join("\n"),
            @r"
        `severity=P5` can never match: severity is one of P1, P2, P3, P4
        `severity=~p1` can never match: severity is one of P1, P2, P3, P4
        `node=~(` is no expression: unclosed group
        `node=~a)|(b` is no expression: unopened group
        `node=~(a{100}){100}{10}` is no expression: Compiled regex exceeds size limit of 262144 bytes.
        "
        );
        assert!(test("severity!=P5").is_err(), "it would match all");
    }

    #[test]
    fn p1_is_named_only_in_so_many_letters() {
        let names = |text: &str| test(text).unwrap().names_critical();
        assert!(names("severity=P1") && names("severity=~P1|P2"));
        assert!(!names("severity=~P.") && !names("severity!=P2") && !names("severity=P2"));
    }

    #[test]
    fn lists_that_no_finding_can_meet_together_are_told_apart() {
        let list =
            |texts: &[&str]| texts.iter().map(|text| test(text).unwrap()).collect::<Vec<_>>();
        let apart = |one: &[&str], other: &[&str]| !may_overlap(&list(one), &list(other));
        assert!(apart(&["rule=node-lost"], &["rule!=node-lost"]));
        assert!(apart(&["rule=~gpu-.*"], &["rule=~model-.*", "node=a"]));
        assert!(apart(&["node=a"], &["node=~b.*"]));
        assert!(!apart(&["rule=xid"], &["node=a"]));
        assert!(!apart(&["node=~a.*"], &["node=~.*b"]));
        assert!(!apart(&["service=a"], &["service=b"]), "a model may be part of both");
    }
}
