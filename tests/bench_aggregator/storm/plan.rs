//! Who tells what when in a storm, and what of it comes from the rack.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use gpuwarden_proto::vocab::RuleId;

use crate::fleet::{Fleet, NODE_GPUS, NODE_MODELS, RACK, Trouble};
use crate::story::Told;

/// How long the storm lasts.
const LASTS: Duration = Duration::from_secs(10);
/// GPUs of the rack are braked from here on, node after node.
const BRAKED: Duration = Duration::from_millis(200);
/// Nodes of the rack fall silent from here on.
const SILENT: Duration = Duration::from_millis(1500);
/// The other replicas are overloaded from here on.
const OVERLOADED: Duration = Duration::from_millis(2000);
/// Those who ask suffer from here on.
const SUFFERING: Duration = Duration::from_millis(2500);
/// Over so long what has the same cause begins.
const SPREAD: Duration = Duration::from_millis(2000);

/// A storm.
#[derive(Debug)]
pub(super) struct Plan {
    /// All events in the order of time.
    pub(super) told: Vec<Told>,
    /// When which node falls silent.
    pub(super) silent: Vec<(Duration, usize)>,
    /// Nodes of the rack.
    pub(super) rack: BTreeSet<usize>,
    /// Nodes with troubles of their own; nothing from the rack is told on them.
    pub(super) noisy: BTreeSet<usize>,
    /// The findings from the rack's cause.
    pub(super) caused: usize,
}

impl Plan {
    /// So many events, and so many troubles that have nothing to do with the rack.
    pub(super) fn new(fleet: &Fleet, events: usize, noise: usize) -> Self {
        let mut random = fastrand::Rng::with_seed(7);
        let models = fleet.models_of_service(fleet.middle());
        let rack = fleet.replicas(models.start).next().unwrap_or(0) / RACK;
        let rack: BTreeSet<usize> = (rack * RACK..(rack + 1) * RACK).collect();
        let mut raised = caused(fleet, &rack, &mut random);
        let caused = raised.len();
        let silent = rack.iter().enumerate();
        let silent = silent.map(|(nth, node)| (SILENT + Duration::from_millis(nth as u64), *node));
        let silent = silent.collect();
        let noisy = noisy(fleet, &rack, noise, &mut random);
        for node in &noisy {
            raised.extend(own(fleet, *node, &mut random));
        }
        let told = with_updates(raised, &rack, events);
        Self { told, silent, rack, noisy, caused }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} events in 10 s; {} findings from a rack of {} nodes that are lost, {} troubles of \
             other racks",
            self.told.len(),
            self.caused,
            self.rack.len(),
            self.noisy.len()
        )
    }
}

/// Services of the rack's models, and all that ask them.
fn services(fleet: &Fleet, rack: &BTreeSet<usize>) -> (BTreeSet<usize>, BTreeSet<usize>) {
    let models = rack.iter().flat_map(|node| fleet.models_of(*node));
    let own: BTreeSet<usize> = models.map(|model| fleet.service_of(model)).collect();
    let askers = fleet.askers(&own).difference(&own).copied().collect();
    (own, askers)
}

fn caused(fleet: &Fleet, rack: &BTreeSet<usize>, random: &mut fastrand::Rng) -> Vec<Told> {
    let mut raised = Vec::new();
    let mut add = |after: Duration, trouble: Trouble, over: Duration| {
        raised.push(Told::raised(after + over.mul_f64(random.f64()), trouble));
    };
    for node in rack {
        let soon = Duration::from_millis(500);
        for index in 0..NODE_GPUS {
            add(BRAKED, fleet.with_gpu(*node, index, RuleId::PowerBrake), soon);
        }
        for slot in 0..NODE_MODELS {
            let slowed = BRAKED + Duration::from_millis(600);
            add(slowed, fleet.with_model(*node, slot, RuleId::LatencyHigh), soon);
        }
    }
    let (own, askers) = services(fleet, rack);
    for node in (0..fleet.nodes()).filter(|node| !rack.contains(node)) {
        for (slot, model) in fleet.models_of(node).enumerate() {
            let service = fleet.service_of(model);
            // Half of the other replicas bear it, and two thirds of those who ask.
            if own.contains(&service) && node % 4 < 2 {
                add(OVERLOADED, fleet.with_model(node, slot, RuleId::QueueBackup), SPREAD);
                add(OVERLOADED + SPREAD, fleet.with_model(node, slot, RuleId::LatencyHigh), SPREAD);
            } else if askers.contains(&service) && node % 3 == 0 {
                add(SUFFERING, fleet.with_model(node, slot, RuleId::LatencyHigh), SPREAD);
                let later = SUFFERING + SPREAD;
                add(later, fleet.with_model(node, slot, RuleId::ErrorRateHigh), SPREAD);
            }
        }
    }
    raised
}

/// Nodes of racks whose services have nothing to do with the rack's, one of a rack where there are
/// enough.
fn noisy(
    fleet: &Fleet,
    rack: &BTreeSet<usize>,
    count: usize,
    random: &mut fastrand::Rng,
) -> BTreeSet<usize> {
    let (own, mut related) = services(fleet, rack);
    related.extend(own.iter().filter_map(|service| fleet.asks(*service)));
    related.extend(own);
    let unrelated = |node: &usize| {
        !rack.contains(node)
            && !fleet.models_of(*node).any(|model| related.contains(&fleet.service_of(model)))
    };
    let mut nodes: Vec<usize> = (0..fleet.nodes()).filter(unrelated).collect();
    random.shuffle(&mut nodes);
    let mut racks = BTreeSet::new();
    let (apart, rest): (Vec<usize>, Vec<usize>) =
        nodes.into_iter().partition(|node| racks.insert(node / RACK));
    apart.into_iter().chain(rest).take(count).collect()
}

/// A trouble of one node, at any time of the storm. None is of a kind that a model could have on
/// several nodes for one cause.
fn own(fleet: &Fleet, node: usize, random: &mut fastrand::Rng) -> Vec<Told> {
    use RuleId as R;
    let at = Duration::from_millis(random.u64(..8000));
    let (slot, index) = (random.usize(..NODE_MODELS), random.usize(..NODE_GPUS));
    let later = |ms| at + Duration::from_millis(ms);
    let model = |ms, rule| Told::raised(later(ms), fleet.with_model(node, slot, rule));
    let gpu = |ms, rule| Told::raised(later(ms), fleet.with_gpu(node, index, rule));
    match random.u32(..4) {
        0 => vec![model(0, R::NoisyNeighbour), model(400, R::LatencyHigh)],
        1 => vec![gpu(0, R::Xid), gpu(100, R::GpuLost)],
        2 => vec![gpu(0, R::ThermalThrottle)],
        _ => vec![gpu(0, R::EccUncorrected), gpu(300, R::RowRemap)],
    }
}

/// Tells each finding again until there are as many events as are wanted. What falls silent does
/// not.
fn with_updates(mut told: Vec<Told>, rack: &BTreeSet<usize>, events: usize) -> Vec<Told> {
    let lasting: Vec<Told> =
        told.iter().filter(|told| !rack.contains(&told.trouble.node)).cloned().collect();
    let mut missing = events.saturating_sub(told.len());
    for (nth, raised) in lasting.iter().enumerate() {
        let count = missing / (lasting.len() - nth);
        missing -= count;
        let every = LASTS.saturating_sub(raised.after) / (count as u32 + 1);
        let updates = (1..=count as u32).map(|each| raised.updated(raised.after + every * each));
        told.extend(updates);
    }
    told.sort_by_key(|told| told.after);
    told
}
