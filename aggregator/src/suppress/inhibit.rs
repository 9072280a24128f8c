//! Inhibition rules: what makes something else not worth showing.
//!
//! ```toml
//! [[inhibit]]
//! name = "rack-first"
//! source = ["rule=node-lost"]
//! target = ["rule!=node-lost"]
//! equal = ["rack"]
//! ```
//!
//! An active incident with a finding that all of `source` takes holds back the findings of other
//! incidents that all of `target` takes, where both have the same value for each of `equal`. What is
//! missing on both sides is not the same: two nodes of which nobody knows the rack do not stand in
//! one rack. An incident inhibits whether or not it is held back itself, and so each pair is judged
//! by itself; that nothing is held back in a circle is made sure of when the settings are read.

use std::cell::Cell;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use gpuwarden_proto::settings::Section;
use gpuwarden_proto::silence::{MatchKey, Matcher};

use super::facts::Facts;
use super::index::Key;
use super::test::{Test, may_overlap};

/// Rules of one file.
const RULES_MAX: usize = 100;
/// Combinations of values that are looked at where a key has several.
const KEYS_MAX: usize = 16;

/// What makes something else not worth showing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inhibition {
    /// What people call it.
    pub name: String,
    /// What a finding of the incident that inhibits must be like.
    pub source: Vec<Test>,
    /// What a finding must be like to be inhibited.
    pub target: Vec<Test>,
    /// What both must have, and the same of it.
    pub equal: Vec<MatchKey>,
}

impl Inhibition {
    /// The combinations of values that must be equal; none where one is missing.
    pub(super) fn keys(&self, facts: Facts<'_>) -> BTreeSet<Key> {
        let mut keys: Vec<Key> = vec![Vec::new()];
        for wanted in &self.equal {
            let mut values = BTreeSet::new();
            facts.each(wanted, &mut |value| {
                if !value.is_empty() {
                    values.insert(value.to_owned());
                }
            });
            let longer = keys.iter().flat_map(|key| {
                values
                    .iter()
                    .map(move |value| [key.as_slice(), std::slice::from_ref(value)].concat())
            });
            keys = longer.take(KEYS_MAX).collect();
        }
        keys.into_iter().collect()
    }

    /// What is equal, in words.
    pub(super) fn told(&self, key: &Key) -> String {
        let pairs =
            self.equal.iter().zip(key).map(|(name, value)| format!(", same {name} {value}"));
        pairs.collect()
    }
}

pub(super) fn all(tests: &[Test], facts: Facts<'_>) -> bool {
    tests.iter().all(|test| test.takes_finding(facts))
}

/// Reads the rules of a file; what is wrong with them is noted there.
#[must_use]
pub fn read(root: &mut Section<'_>) -> Vec<Inhibition> {
    let sections = root.sections("inhibit");
    if sections.len() > RULES_MAX {
        root.problem("inhibit", &format!("at most {RULES_MAX} rules can be given"));
    }
    let mut rules: Vec<Inhibition> = Vec::new();
    for mut section in sections {
        let Some(rule) = one(&mut section) else { continue };
        if rules.iter().any(|known| known.name == rule.name) {
            section.problem("name", &format!("\"{}\" is given to two rules", rule.name));
        }
        rules.push(rule);
        if let Some(circle) = circle(&rules) {
            section.problem(
                "source",
                &format!(
                    "incidents could hold back each other in a circle of {circle}, and nothing would \
                     be shown: narrow a source or a target"
                ),
            );
            rules.pop();
        }
    }
    rules
}

fn one(section: &mut Section<'_>) -> Option<Inhibition> {
    let name = section.required("name", |text| match text.len() {
        1..=64 => Ok(text.to_owned()),
        _ => Err("should be a name of 1 to 64 bytes".to_owned()),
    });
    let mut tests = |key: &str| {
        let count = Cell::new(0);
        let tests = section.list(key, |text| {
            count.set(count.get() + 1);
            Test::new(text.parse::<Matcher>().map_err(|error| error.to_string())?)
        });
        if count.get() == 0 {
            section.problem(key, "should have a matcher at least");
        }
        tests
    };
    let (source, target) = (tests("source"), tests("target"));
    let equal = section.list("equal", |text| text.parse().map_err(|e| format!("{e}")));
    let complete = !source.is_empty() && !target.is_empty();
    Some(Inhibition { name: name?, source, target, equal }).filter(|_| complete)
}

/// Rules of which each holds back what the next one goes by, round to the first. A rule by itself is
/// none: of those that inhibit each other by it, the most urgent is left.
fn circle(rules: &[Inhibition]) -> Option<String> {
    let next = |of: usize| {
        (0..rules.len())
            .filter(move |to| *to != of && may_overlap(&rules[of].target, &rules[*to].source))
    };
    for start in 0..rules.len() {
        let mut from: BTreeMap<usize, usize> = BTreeMap::new();
        let mut level: Vec<usize> = vec![start];
        while let Some(at) = level.pop() {
            for to in next(at) {
                if to == start {
                    let mut names = vec![rules[at].name.as_str()];
                    let mut back = at;
                    while let Some(before) = from.get(&back) {
                        names.push(&rules[*before].name);
                        back = *before;
                    }
                    names.reverse();
                    return Some(names.join(", "));
                }
                if let Entry::Vacant(unseen) = from.entry(to) {
                    unseen.insert(at);
                    level.push(to);
                }
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use gpuwarden_proto::settings::Document;

    use super::*;

    fn problems(text: &str) -> String {
        let mut document = Document::parse("a.toml", text);
        let rules = read(&mut document.root());
        match document.finish() {
            Ok(()) => format!("{} rules", rules.len()),
            Err(problems) => {
                problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
            }
        }
    }

    #[test]
    fn rules_are_read_and_what_is_wrong_is_told_at_once() {
        let text = "[[inhibit]]\nname = \"rack-first\"\nsource = [\"rule=node-lost\"]\n\
            target = [\"rule!=node-lost\"]\nequal = [\"rack\", \"label.pool\"]\n";
        assert_eq!(problems(text), "1 rules");
        let wrong = "[[inhibit]]\nname = \"a\"\nsource = [\"rule=spoon\", \"shelf=1\"]\n\
            equal = [\"spoon\"]\n";
        insta::assert_snapshot!(problems(wrong), @r#"
        a.toml:1: inhibit[0].target: should have a matcher at least
        a.toml:3: inhibit[0].source = "rule=spoon": `rule=spoon` can never match: rule is one of gpu-memory-exhausted, gpu-memory-exhausting, host-memory-oom, queue-backup, queue-stall, queue-rejecting, latency-high, kv-cache-saturated, noisy-neighbour, rogue-process, cpu-throttled, model-unavailable, server-unavailable, error-rate-high, xid, gpu-lost, gpu-recovery-required, ecc-uncorrected, row-remap, thermal-throttle, power-brake, pcie-degraded, nvlink-errors, telemetry-blind, node-lost, availability-burn, latency-burn, external-alert, user-report
        a.toml:3: inhibit[0].source = "shelf=1": nothing can be matched by `shelf` (one of: node, gpu, model, server, service, tenant, rack, zone, cluster, rule, type, severity, label.KEY)
        a.toml:4: inhibit[0].equal = "spoon": nothing can be matched by `spoon` (one of: node, gpu, model, server, service, tenant, rack, zone, cluster, rule, type, severity, label.KEY)
        "#);
    }

    #[test]
    fn rules_that_could_hold_back_in_a_circle_are_refused() {
        let rule = |name: &str, source: &str, target: &str| {
            format!(
                "[[inhibit]]\nname = \"{name}\"\nsource = [\"rule={source}\"]\n\
                 target = [\"rule={target}\"]\nequal = [\"node\"]\n"
            )
        };
        let chain = rule("a", "node-lost", "xid") + &rule("b", "xid", "gpu-lost");
        assert_eq!(problems(&chain), "2 rules");
        insta::assert_snapshot!(problems(&(chain + &rule("c", "gpu-lost", "node-lost"))), @"a.toml:11: inhibit[2].source: incidents could hold back each other in a circle of a, b, c, and nothing would be shown: narrow a source or a target");
        assert_eq!(problems(&rule("a", "xid", "xid")), "1 rules", "the most urgent is left");
    }
}
