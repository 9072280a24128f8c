//! What nodes have told of what they served, and what is new in a snapshot.
//!
//! An agent's counters only grow as long as it lives. What they grew by since the last snapshot was
//! served since then, however long that is: while a node is not heard of nothing is counted, and when
//! it is back all of it is, over the time that it was away.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use gpuwarden_proto::inventory::{Served, Snapshot};
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::{ModelName, ModelVersion, NodeId, ServerName};

/// A node that has told nothing for so long does not tell now: snapshots come every 10 s.
const SILENT_AFTER: Duration = Duration::from_secs(60);
/// A node that has told nothing for so long is no longer waited for.
const GONE_AFTER: Duration = Duration::from_secs(24 * 3600);

/// What was served between two snapshots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delta {
    /// Requests that ended.
    pub requests: u64,
    /// Those of them that failed.
    pub failures: u64,
    /// Answered requests by bound, as in [`Served::latency`].
    pub latency: Vec<u64>,
}

/// A delta, and of what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct News {
    /// The model.
    pub model: ModelName,
    /// Since when it was served, at the earliest.
    pub from: Timestamp,
    /// How much.
    pub delta: Delta,
}

/// All nodes.
#[derive(Debug, Default)]
pub struct Heard {
    nodes: HashMap<NodeId, Told>,
}

type Key = (ServerName, ModelName, ModelVersion);

/// The last word of a node.
#[derive(Debug, Default)]
struct Told {
    /// By its own clock.
    observed_at: Timestamp,
    /// By ours.
    heard_at: Timestamp,
    models: BTreeMap<Key, Base>,
}

/// What the next word is held against.
#[derive(Debug, Clone)]
struct Base {
    heard_at: Timestamp,
    served: Served,
}

/// What a snapshot says of one model.
enum Word {
    /// It has served this since that instant.
    News(Timestamp, Delta),
    /// Nothing can be counted: it is what the next word is held against.
    Basis,
    /// It was said before, or should have been.
    Old,
}

impl Heard {
    /// Takes up a snapshot that came `now`, as far as models are `wanted`, and says what is new in it.
    pub fn take(
        &mut self,
        now: Timestamp,
        node: &NodeId,
        snapshot: &Snapshot,
        wanted: impl Fn(&ModelName) -> bool,
    ) -> Vec<News> {
        let mut served = served(snapshot).filter(|((_, model, _), _)| wanted(model)).peekable();
        if served.peek().is_none() {
            return Vec::new();
        }
        let first = !self.nodes.contains_key(node);
        let told = self.nodes.entry(node.clone()).or_default();
        let newer = first || snapshot.observed_at > told.observed_at;
        let before = (!first).then_some((told.observed_at, told.heard_at));
        let (mut models, mut news) = (BTreeMap::new(), Vec::new());
        for (key, served) in served {
            let base = told.models.remove(&key);
            let base = match (word(base.as_ref(), before, served, newer), base) {
                (Word::Old, base) => base,
                (Word::Basis, _) => Some(Base { heard_at: now, served: served.clone() }),
                (Word::News(from, delta), _) => {
                    news.push(News { model: key.1.clone(), from: from.min(now), delta });
                    Some(Base { heard_at: now, served: served.clone() })
                }
            };
            models.extend(base.map(|base| (key, base)));
        }
        if newer || !news.is_empty() {
            told.observed_at = snapshot.observed_at;
            told.heard_at = now;
            // What it does not list now it may list again; what it no longer has is let go.
            let listed = |key: &Key| snapshot.servers.iter().any(|server| server.name == key.0);
            told.models.retain(|key, _| !listed(key));
        }
        told.models.append(&mut models);
        news
    }

    /// Takes up what a node had told before a restart. It was counted then.
    pub fn recall(
        &mut self,
        now: Timestamp,
        node: &NodeId,
        snapshot: &Snapshot,
        wanted: impl Fn(&ModelName) -> bool,
    ) {
        let heard_at = snapshot.observed_at.min(now);
        self.take(heard_at, node, snapshot, wanted);
    }

    /// Nodes that have told of models lately: of which, and whether they do not tell `now`.
    pub fn nodes(
        &self,
        now: Timestamp,
    ) -> impl Iterator<Item = (impl Iterator<Item = &ModelName>, bool)> {
        let lately = move |told: &&Told| now.since(told.heard_at) < GONE_AFTER;
        self.nodes.values().filter(lately).map(move |told| {
            let is_silent = now.since(told.heard_at) >= SILENT_AFTER;
            (told.models.keys().map(|(_, model, _)| model), is_silent)
        })
    }
}

fn served(snapshot: &Snapshot) -> impl Iterator<Item = (Key, &Served)> {
    snapshot.servers.iter().flat_map(|server| {
        server.models.iter().filter_map(|model| {
            let key = (server.name.clone(), model.name.clone(), model.version.clone());
            Some((key, model.served.as_ref()?))
        })
    })
}

/// What is new in a word. `before` is when the node's last one was said and when it was heard; `newer`
/// says that this one was said later.
fn word(
    base: Option<&Base>,
    before: Option<(Timestamp, Timestamp)>,
    served: &Served,
    newer: bool,
) -> Word {
    let Some(base) = base else {
        // A model that was not there when the node last spoke has told everything.
        return match before {
            Some((said_at, heard_at)) if newer && served.since >= said_at => {
                Word::News(heard_at, delta(None, served))
            }
            Some(_) | None if newer => Word::Basis,
            Some(_) | None => Word::Old,
        };
    };
    if served.since != base.served.since {
        // The agent began anew: all that it has counted is new, unless it is an earlier one.
        let later = served.since > base.served.since || newer;
        return if later { Word::News(base.heard_at, delta(None, served)) } else { Word::Old };
    }
    match grown(&base.served, served) {
        true if base.served == *served && !newer => Word::Old,
        true => Word::News(base.heard_at, delta(Some(&base.served), served)),
        // Counters of one life do not fall; what they really were is not known.
        false if newer => Word::Basis,
        false => Word::Old,
    }
}

fn grown(before: &Served, after: &Served) -> bool {
    let times = before.latency.iter().zip(&after.latency).all(|(before, after)| after >= before);
    after.requests >= before.requests && after.failures >= before.failures && times
}

fn delta(before: Option<&Served>, after: &Served) -> Delta {
    let known = before.filter(|before| before.latency.len() == after.latency.len());
    let latency = match (before, known) {
        (None, _) => after.latency.clone(),
        (Some(_), Some(before)) => {
            after.latency.iter().zip(&before.latency).map(|(a, b)| a.saturating_sub(*b)).collect()
        }
        // Times were not told before, so how many of these are new is not known.
        (Some(_), None) => Vec::new(),
    };
    let (requests, failures) = before.map_or((0, 0), |before| (before.requests, before.failures));
    Delta {
        requests: after.requests.saturating_sub(requests),
        failures: after.failures.saturating_sub(failures),
        latency,
    }
}

#[cfg(test)]
mod tests;
