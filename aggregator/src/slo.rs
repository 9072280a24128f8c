//! Service level objectives: what is promised of services, how much of it was kept, and when it is
//! being broken too fast. Pure.
//!
//! ```text
//! snapshot ─► heard ─► series ─► burn ─► finding
//!             what is   counts by  how fast, and
//!             new in it  minutes    how urgent
//! ```
//!
//! A request counts for each service of the topology file that has its model, where it was served: what
//! never reached a server is in no count, and a request that passes through two models of a service is
//! in it twice.

mod alarm;
pub mod burn;
pub mod heard;
pub mod kept;
pub mod objective;
mod ring;
mod series;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use gpuwarden_proto::event::Finding;
use gpuwarden_proto::inventory::Snapshot;
use gpuwarden_proto::slo::{Burn, Objective as Standing};
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::{ModelName, NodeId, ObjectiveKind, ObjectiveState, ServiceName};

pub use alarm::BURN;
pub use ring::Count;

use self::alarm::Alarm;
use self::burn::{BUDGET_S, WINDOWS_S, called, rate};
use self::heard::Heard;
use self::kept::{Bucket, Kept, Key};
use self::objective::Objective;
use self::series::Series;
use crate::graph::Topology;

/// All objectives.
#[derive(Debug, Default)]
pub struct Slo {
    tracks: Vec<Track>,
    /// The tracks that count a model.
    of_model: HashMap<ModelName, Vec<usize>>,
    heard: Heard,
    /// Alarms that were kept of objectives that are no longer set.
    withdrawn: Vec<kept::Alarm>,
}

/// One objective of one service.
#[derive(Debug)]
struct Track {
    key: Key,
    service: ServiceName,
    critical: bool,
    objective: Objective,
    series: Series,
    alarm: Alarm,
    /// All that was counted since the start.
    counted: Count,
    /// The alarm differs from what is kept of it.
    alarm_changed: bool,
}

impl Slo {
    /// What a topology promises. Nothing is counted yet.
    #[must_use]
    pub fn new(topology: &Topology) -> Self {
        let mut slo = Self::default();
        for (name, service) in &topology.services {
            let Ok(service_name) = ServiceName::new(name) else { continue };
            for objective in &service.objectives {
                let track = Track {
                    key: Key { service: Arc::clone(name), measure: objective.measure.key() },
                    service: service_name.clone(),
                    critical: service.critical,
                    objective: *objective,
                    series: Series::default(),
                    alarm: Alarm::default(),
                    counted: Count::default(),
                    alarm_changed: false,
                };
                for model in &service.models {
                    slo.of_model.entry(model.clone()).or_default().push(slo.tracks.len());
                }
                slo.tracks.push(track);
            }
        }
        slo
    }

    /// Takes up what was kept before a restart.
    #[must_use]
    pub fn recalling(mut self, kept: Kept) -> Self {
        let places: BTreeMap<Key, usize> = self
            .tracks
            .iter()
            .enumerate()
            .map(|(place, track)| (track.key.clone(), place))
            .collect();
        for bucket in &kept.buckets {
            if let Some(place) = places.get(&bucket.key) {
                self.tracks[*place].series.recall(bucket);
            }
        }
        for alarm in kept.alarms {
            match places.get(&alarm.key) {
                Some(place) => {
                    self.tracks[*place].alarm = Alarm::recall(alarm.pairs, alarm.raised_at);
                }
                None => self.withdrawn.push(alarm),
            }
        }
        self
    }

    /// Takes up what a node had told before a restart; it was counted then.
    pub fn recall(&mut self, now: Timestamp, node: &NodeId, snapshot: &Snapshot) {
        let Self { heard, of_model, .. } = self;
        heard.recall(now, node, snapshot, |model| of_model.contains_key(model));
    }

    /// Counts what is new in a node's snapshot. One that comes late or twice counts nothing.
    pub fn observe(&mut self, now: Timestamp, node: &NodeId, snapshot: &Snapshot) {
        let Self { heard, of_model, tracks, .. } = self;
        let news = heard.take(now, node, snapshot, |model| of_model.contains_key(model));
        for news in news {
            for place in of_model.get(&news.model).into_iter().flatten() {
                let track = &mut tracks[*place];
                let count = track.objective.measure.count(&news.delta);
                track.series.spread(news.from, now, count);
                track.counted = track.counted + count;
            }
        }
    }

    /// What is to be told now: alarms that began, go on with newer numbers, or are over.
    pub fn judge(&mut self, now: Timestamp) -> Vec<Finding> {
        let mut findings: Vec<Finding> =
            self.withdrawn.iter().filter(|alarm| alarm.pairs != 0).filter_map(withdrawal).collect();
        for alarm in &mut self.withdrawn {
            alarm.pairs = 0;
        }
        for track in &mut self.tracks {
            let before = track.alarm.pairs();
            let told = track.alarm.judge(now, track.objective, &track.series);
            track.alarm_changed |= track.alarm.pairs() != before;
            findings.extend(told.map(|(phase, pair)| {
                let told = (phase, pair, track.alarm.raised_at);
                alarm::finding(now, &track.service, track.objective, &track.series, told)
            }));
        }
        findings
    }

    /// What changed since this was last asked, to be kept.
    pub fn take_changed(&mut self, now: Timestamp) -> Kept {
        let mut buckets: Vec<Bucket> = Vec::new();
        for track in &mut self.tracks {
            buckets.extend(track.series.take_changed(&track.key));
        }
        let mut kept = self.take_alarms();
        kept.buckets = buckets;
        kept.forget = Series::forgotten(now);
        kept
    }

    /// The alarms that changed since this was last asked, to be kept together with what was told.
    pub fn take_alarms(&mut self) -> Kept {
        let mut alarms = std::mem::take(&mut self.withdrawn);
        for track in self.tracks.iter_mut().filter(|track| track.alarm_changed) {
            track.alarm_changed = false;
            let (pairs, raised_at) = (track.alarm.pairs(), track.alarm.raised_at);
            alarms.push(kept::Alarm { key: track.key.clone(), pairs, raised_at });
        }
        Kept { alarms, ..Kept::default() }
    }

    /// How all objectives stand.
    #[must_use]
    pub fn standings(&self, now: Timestamp) -> Vec<Standing> {
        let mut nodes = vec![(0, 0); self.tracks.len()];
        for (models, is_silent) in self.heard.nodes(now) {
            let places: BTreeSet<usize> =
                models.filter_map(|model| self.of_model.get(model)).flatten().copied().collect();
            for place in places {
                nodes[place].0 += 1;
                nodes[place].1 += u32::from(is_silent);
            }
        }
        self.tracks.iter().zip(nodes).map(|(track, nodes)| track.standing(now, nodes)).collect()
    }

    /// All requests that were counted since the start, by objective.
    pub fn counted(&self) -> impl Iterator<Item = (&str, ObjectiveKind, Count)> {
        let of = |track: &Track| track.objective.measure.kind();
        self.tracks.iter().map(move |track| (&*track.key.service, of(track), track.counted))
    }
}

impl Track {
    fn standing(&self, now: Timestamp, (nodes, nodes_silent): (u32, u32)) -> Standing {
        let Objective { measure, target } = self.objective;
        let burn = |window_s: u64| {
            let count = self.series.window(now, window_s);
            Burn { window_s, rate: rate(count, target), good: count.good, total: count.total() }
        };
        let month = self.series.window(now, BUDGET_S);
        let budget_left = alarm::left(now, self.objective, &self.series);
        let (state, reason) = self.state(now, budget_left);
        Standing {
            service: self.key.service.to_string(),
            kind: measure.kind(),
            target: target.ratio(),
            within_s: measure.within_us().map(|us| us as f64 / 1e6),
            critical: self.critical,
            good: month.good,
            total: month.total(),
            budget_left,
            burns: WINDOWS_S.into_iter().map(burn).collect(),
            state,
            reason,
            nodes,
            nodes_silent,
        }
    }

    fn state(&self, now: Timestamp, budget_left: Option<f64>) -> (ObjectiveState, String) {
        let longest = WINDOWS_S[WINDOWS_S.len() - 1];
        if let Some(pair) = self.alarm.worst() {
            let reason = format!("over {} in {}", pair.threshold(), called(pair.long_s));
            return (ObjectiveState::Burning, reason);
        }
        if self.series.window(now, longest).total() == 0 {
            return (
                ObjectiveState::Unseen,
                format!("no requests counted for {}", called(longest)),
            );
        }
        if self.alarm.too_few {
            return (ObjectiveState::TooFew, "too few requests to tell".to_owned());
        }
        if budget_left.is_some_and(|left| left <= 0.0) {
            return (ObjectiveState::Spent, "nothing is left of the budget".to_owned());
        }
        (ObjectiveState::Kept, String::new())
    }
}

/// The end of an alarm whose objective is no longer set.
fn withdrawal(alarm: &kept::Alarm) -> Option<Finding> {
    let service = ServiceName::new(&alarm.key.service).ok()?;
    let kind = alarm.key.measure.split('/').next().unwrap_or_default();
    Some(alarm::withdrawn(&service, alarm::rule(kind.parse().ok()?), alarm.raised_at))
}

#[cfg(test)]
mod tests;
