//! Which incidents of two configs are the same. Incidents go together when they share a finding at
//! a time when both were open; of what goes together, one to one is compared, and all else was cut in
//! another way. Pure.

use std::collections::{BTreeMap, BTreeSet};

use gpuwarden_proto::event::Subject;
use gpuwarden_proto::incident::Incident;
use gpuwarden_proto::shadow::{Difference, Side};
use gpuwarden_proto::time::{Timestamp, spoken};
use gpuwarden_proto::vocab::{DifferenceKind, NodeId, RuleId};

/// The identity of a finding in the fleet.
type Key<'a> = (Option<&'a NodeId>, RuleId, Subject);

/// What came of a comparison.
#[derive(Debug, Default)]
pub(super) struct Compared {
    /// Incidents of the live config.
    pub(super) live: u64,
    /// Incidents of the shadow.
    pub(super) shadow: u64,
    /// Pairs without a difference.
    pub(super) alike: u64,
    /// In the order of the incidents.
    pub(super) differences: Vec<Difference>,
}

/// Incidents that go together, by their places in the lists.
#[derive(Debug, Default)]
struct Knot {
    live: BTreeSet<usize>,
    shadow: BTreeSet<usize>,
}

pub(super) fn compare(live: &[&Incident], shadow: &[&Incident], since: Timestamp) -> Compared {
    // What went on as another incident is told there.
    let own = |all: &[&Incident]| -> Vec<Incident> {
        let own = all.iter().filter(|each| each.merged_into.is_none());
        let mut own: Vec<Incident> = own.map(|each| Incident::clone(each)).collect();
        // Those that are over may come first.
        own.sort_by_key(|incident| incident.id);
        own
    };
    let (live, shadow) = (own(live), own(shadow));
    let mut compared =
        Compared { live: live.len() as u64, shadow: shadow.len() as u64, ..Compared::default() };
    for knot in knots(&live, &shadow) {
        let pick = |all: &[Incident], of: &BTreeSet<usize>| -> Vec<Incident> {
            of.iter().filter_map(|nth| all.get(*nth).cloned()).collect()
        };
        compared.knot(&pick(&live, &knot.live), &pick(&shadow, &knot.shadow), since);
    }
    compared
}

fn knots(live: &[Incident], shadow: &[Incident]) -> Vec<Knot> {
    let mut by_key: BTreeMap<Key<'_>, Vec<usize>> = BTreeMap::new();
    for (nth, incident) in shadow.iter().enumerate() {
        keys(incident).for_each(|key| by_key.entry(key).or_default().push(nth));
    }
    // Nodes of the graph: the live ones first, then those of the shadow.
    let mut group: Vec<usize> = (0..live.len() + shadow.len()).collect();
    for (nth, incident) in live.iter().enumerate() {
        for key in keys(incident) {
            for other in by_key.get(&key).into_iter().flatten() {
                if overlap(incident, &shadow[*other]) {
                    join(&mut group, nth, live.len() + other);
                }
            }
        }
    }
    let mut knots: BTreeMap<usize, Knot> = BTreeMap::new();
    for nth in 0..group.len() {
        let knot = knots.entry(root(&mut group, nth)).or_default();
        match nth.checked_sub(live.len()) {
            None => knot.live.insert(nth),
            Some(nth) => knot.shadow.insert(nth),
        };
    }
    knots.into_values().collect()
}

fn keys(incident: &Incident) -> impl Iterator<Item = Key<'_>> {
    incident.members.iter().map(|m| (m.node.as_ref(), m.rule, m.subject.identity()))
}

/// Whether both were open at one time.
fn overlap(a: &Incident, b: &Incident) -> bool {
    let before = |a: &Incident, b: &Incident| a.resolved_at.is_some_and(|end| end < b.opened_at);
    !before(a, b) && !before(b, a)
}

/// The first of the group of `nth`, with shorter ways for the next time.
fn root(group: &mut [usize], mut nth: usize) -> usize {
    while group[nth] != nth {
        group[nth] = group[group[nth]];
        nth = group[nth];
    }
    nth
}

fn join(group: &mut [usize], a: usize, b: usize) {
    let (a, b) = (root(group, a), root(group, b));
    group[a.max(b)] = a.min(b);
}

impl Compared {
    fn knot(&mut self, live: &[Incident], shadow: &[Incident], since: Timestamp) {
        use DifferenceKind::{Merged, OnlyLive, OnlyShadow, Regrouped, Split};
        let old = |all: &[Incident]| all.iter().any(|incident| incident.opened_at < since);
        let (n, m) = (live.len(), shadow.len());
        let (kind, text) = match (n, m) {
            (1, 1) => return self.pair(&live[0], &shadow[0]),
            (_, 0) if !old(live) => (OnlyLive, "the shadow opens none".to_owned()),
            (0, _) if !old(shadow) => (OnlyShadow, "the live config opens none".to_owned()),
            (_, 0) | (0, _) => return,
            (1, m) => (Split, format!("one is {m} in the shadow")),
            (n, 1) => (Merged, format!("{n} are one in the shadow")),
            (n, m) => (Regrouped, format!("{n} are {m} others in the shadow")),
        };
        let title = live.first().or(shadow.first()).map_or("", |incident| &incident.title);
        self.tell(kind, live, shadow, format!("{text}: {title}"));
    }

    /// The same incident on both sides.
    fn pair(&mut self, live: &Incident, shadow: &Incident) {
        let told = self.differences.len();
        let sides = (std::slice::from_ref(live), std::slice::from_ref(shadow));
        for (kind, text) in differing(live, shadow) {
            self.tell(kind, sides.0, sides.1, format!("{text}: {}", live.title));
        }
        self.alike += u64::from(self.differences.len() == told);
    }

    fn tell(&mut self, kind: DifferenceKind, live: &[Incident], shadow: &[Incident], text: String) {
        let sides = |all: &[Incident]| all.iter().map(side).collect();
        self.differences.push(Difference { kind, live: sides(live), shadow: sides(shadow), text });
    }
}

fn differing(live: &Incident, shadow: &Incident) -> Vec<(DifferenceKind, String)> {
    let mut found = Vec::new();
    let (ours, theirs): (BTreeSet<_>, BTreeSet<_>) = (keys(live).collect(), keys(shadow).collect());
    if ours != theirs {
        let (lost, more) = (ours.difference(&theirs).count(), theirs.difference(&ours).count());
        let text = format!("{lost} members only live, {more} only in the shadow");
        found.push((DifferenceKind::Members, text));
    }
    if live.kind != shadow.kind {
        let text = format!("{} live, {} in the shadow", live.kind, shadow.kind);
        found.push((DifferenceKind::Type, text));
    }
    if live.severity != shadow.severity {
        let text = format!("{} live, {} in the shadow", live.severity, shadow.severity);
        found.push((DifferenceKind::Severity, text));
    }
    let (ours, theirs) = (detected_at(live), detected_at(shadow));
    if let Some(text) = moved(ours, theirs) {
        found.push((DifferenceKind::Detected, format!("opened {text} in the shadow")));
    }
    let resolved = match (live.resolved_at, shadow.resolved_at) {
        (Some(ours), Some(theirs)) => moved(ours, theirs),
        (Some(_), None) => Some("not yet".to_owned()),
        (None, Some(_)) => Some("already".to_owned()),
        (None, None) => None,
    };
    if let Some(text) = resolved {
        found.push((DifferenceKind::Resolved, format!("resolved {text} in the shadow")));
    }
    match (was_held(live), was_held(shadow)) {
        (true, false) => found.push((DifferenceKind::Held, "held back only live".to_owned())),
        (false, true) => {
            found.push((DifferenceKind::Held, "held back only in the shadow".to_owned()));
        }
        (true, true) | (false, false) => {}
    }
    found
}

/// Whether all of it was held back at some time that history still tells of.
fn was_held(incident: &Incident) -> bool {
    incident.held_since.is_some() || incident.timeline.iter().any(|entry| entry.kind == "held")
}

fn moved(live: Timestamp, shadow: Timestamp) -> Option<String> {
    match live.cmp(&shadow) {
        std::cmp::Ordering::Less => Some(format!("{} later", spoken(shadow.since(live)))),
        std::cmp::Ordering::Equal => None,
        std::cmp::Ordering::Greater => Some(format!("{} earlier", spoken(live.since(shadow)))),
    }
}

/// When it was opened: its first line of history, which is never forgotten.
fn detected_at(incident: &Incident) -> Timestamp {
    incident.timeline.first().map_or(incident.opened_at, |first| first.at)
}

fn side(incident: &Incident) -> Side {
    Side {
        id: incident.id,
        kind: incident.kind,
        severity: incident.severity,
        state: incident.state,
        title: incident.title.clone(),
        members: incident.members.len() as u64,
        detected_at: detected_at(incident),
        resolved_at: incident.resolved_at,
    }
}
