//! Which services are asked by which, over any number of steps. Pure.
//!
//! Correlation asks this for many pairs of models with each new finding, so services go by number
//! here: nothing is hashed or compared by name on the way.

use std::collections::HashMap;
use std::sync::Arc;

use gpuwarden_proto::vocab::ModelName;

use super::{Topology, UPSTREAM_MAX};

/// The services of a topology by number.
#[derive(Debug, Default)]
pub(super) struct Upstream {
    /// Services of each model.
    of: HashMap<ModelName, Vec<usize>>,
    /// Services that each service asks.
    asks: Vec<Vec<usize>>,
}

impl Upstream {
    pub(super) fn new(topology: &Topology) -> Self {
        let mut numbers: HashMap<Arc<str>, usize> = HashMap::new();
        let mut this = Self::default();
        for (name, service) in &topology.services {
            let number = number(&mut numbers, name);
            for model in &service.models {
                this.of.entry(model.clone()).or_default().push(number);
            }
            let asks: Vec<usize> =
                service.depends_on.iter().map(|asked| self::number(&mut numbers, asked)).collect();
            // What is asked may have no section of its own; it is numbered and asks nobody.
            this.asks.resize(numbers.len(), Vec::new());
            this.asks[number] = asks;
        }
        this
    }

    /// How many steps upstream of a service of `effect` a service of `cause` is.
    pub(super) fn hops(&self, cause: &ModelName, effect: &ModelName) -> Option<usize> {
        let goal = self.of.get(cause)?;
        let mut known: Vec<usize> = self.of.get(effect)?.clone();
        let mut level = 0..known.len();
        for hops in 0.. {
            if level.is_empty() || known.len() > UPSTREAM_MAX {
                return None;
            }
            if known[level.clone()].iter().any(|service| goal.contains(service)) {
                return Some(hops);
            }
            let next = known.len();
            for at in level {
                for asked in &self.asks[known[at]] {
                    // Few are known, so that looking at all of them is quicker than a set.
                    if !known.contains(asked) {
                        known.push(*asked);
                    }
                }
            }
            level = next..known.len();
        }
        None
    }
}

fn number(numbers: &mut HashMap<Arc<str>, usize>, name: &Arc<str>) -> usize {
    let next = numbers.len();
    *numbers.entry(Arc::clone(name)).or_insert(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hops(text: &str, cause: &str, effect: &str) -> Option<usize> {
        let topology = Topology::parse("t.toml", text).unwrap();
        let [cause, effect] = [cause, effect].map(|name| ModelName::new(name).unwrap());
        Upstream::new(&topology).hops(&cause, &effect)
    }

    #[test]
    fn the_shortest_way_counts_and_what_has_no_section_leads_nowhere() {
        let text = "[[service]]\nname = \"web\"\nmodels = [\"m1\"]\ndepends_on = [\"rank\", \"embed\"]\n\
             [[service]]\nname = \"rank\"\nmodels = [\"m2\"]\ndepends_on = [\"embed\", \"nowhere\"]\n\
             [[service]]\nname = \"embed\"\nmodels = [\"m3\", \"m2\"]\n";
        assert_eq!(hops(text, "m3", "m1"), Some(1));
        assert_eq!(hops(text, "m3", "m2"), Some(0), "one service has both");
        assert_eq!(hops(text, "m1", "m3"), None, "that is downstream");
    }

    #[test]
    fn no_more_services_are_followed_than_may_be() {
        let asks = |nth: usize| format!("depends_on = [\"s{}\"]", nth + 1);
        let chain = |links: usize| -> String {
            let section = |nth| {
                format!("[[service]]\nname = \"s{nth}\"\nmodels = [\"m{nth}\"]\n{}\n", asks(nth))
            };
            (0..links).map(section).collect()
        };
        let last = UPSTREAM_MAX - 1;
        let far = |nth: usize| hops(&chain(100), &format!("m{nth}"), "m0");
        assert_eq!((far(last), far(last + 1)), (Some(last), None));
    }
}
