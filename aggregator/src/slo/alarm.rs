//! Which pairs of one objective alarm, and what is told of it.

use std::fmt::Write as _;
use std::time::Duration;

use gpuwarden_proto::event::{Evidence, Finding, Subject, Unit};
use gpuwarden_proto::time::{Timestamp, spoken};
use gpuwarden_proto::vocab::{Grade, ObjectiveKind, Phase, RuleId, ServiceName};

use super::burn::{BUDGET_S, PAIRS, Pair, Verdict, called, rate};
use super::objective::Objective;
use super::series::Series;

/// The evidence that says how fast a budget is used up. Its threshold is that of the pair.
pub const BURN: &str = "burn rate";
/// A burn that goes on is told again with newer numbers after this long.
const TELL_AGAIN: Duration = Duration::from_secs(60);

/// The alarm of one objective.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Alarm {
    /// By the places of [`PAIRS`].
    on: [bool; PAIRS.len()],
    /// When the first of them began.
    pub(super) raised_at: Timestamp,
    /// When it was told last, and of which pair; `None` when it was not since the start.
    told: Option<(Timestamp, Pair)>,
    /// None alarms, and of too few requests to tell.
    pub(super) too_few: bool,
}

impl Alarm {
    /// As it was kept.
    pub(super) fn recall(pairs: u8, raised_at: Timestamp) -> Self {
        let on = std::array::from_fn(|place| pairs & (1 << place) != 0);
        Self { on, raised_at, ..Self::default() }
    }

    /// As it is kept: a bit a pair.
    pub(super) fn pairs(&self) -> u8 {
        let bits = self.on.iter().enumerate().map(|(place, on)| u8::from(*on) << place);
        bits.fold(0, |all, bit| all | bit)
    }

    /// The most urgent pair that alarms.
    pub(super) fn worst(&self) -> Option<Pair> {
        PAIRS.into_iter().zip(self.on).find(|(_, on)| *on).map(|(pair, _)| pair)
    }

    /// Looks at all pairs anew, and says whether there is anything to tell: how, and of which pair.
    pub(super) fn judge(
        &mut self,
        now: Timestamp,
        objective: Objective,
        series: &Series,
    ) -> Option<(Phase, Pair)> {
        let before = self.worst();
        let mut verdicts = [Verdict::Slow; PAIRS.len()];
        for (place, pair) in PAIRS.into_iter().enumerate() {
            let (long, short) = (series.window(now, pair.long_s), series.window(now, pair.short_s));
            verdicts[place] = pair.judge(long, short, objective.target, self.on[place]);
            self.on[place] = verdicts[place] == Verdict::Burning;
        }
        // The longest window has seen the most.
        self.too_few = verdicts[PAIRS.len() - 1] == Verdict::TooFew && self.worst().is_none();
        let told = match (before, self.worst()) {
            (None, None) => None,
            (None, Some(pair)) => {
                self.raised_at = now;
                Some((Phase::Raised, pair))
            }
            (Some(pair), None) => Some((Phase::Cleared, pair)),
            (Some(_), Some(pair)) => {
                let due = |(at, of): (Timestamp, Pair)| of != pair || now.since(at) >= TELL_AGAIN;
                self.told.is_none_or(due).then_some((Phase::Updated, pair))
            }
        };
        if let Some((_, pair)) = told {
            self.told = Some((now, pair));
        }
        told
    }
}

/// What is told of an objective.
pub(super) fn finding(
    now: Timestamp,
    service: &ServiceName,
    objective: Objective,
    series: &Series,
    (phase, pair, raised_at): (Phase, Pair, Timestamp),
) -> Finding {
    let target = objective.target;
    let burn = |window_s: u64| {
        let rate = rate(series.window(now, window_s), target).unwrap_or_default();
        let evidence = Evidence::new(BURN, rate, Unit::Ratio).over(window_s as f64);
        evidence.against(pair.threshold())
    };
    let left = left(now, objective, series);
    let left = left.map(|left| Evidence::new("error budget left", left, Unit::Ratio));
    let evidence = [burn(pair.long_s), burn(pair.short_s)].into_iter();
    Finding {
        rule: rule(objective.measure.kind()),
        subject: Subject::Service { service: service.clone() },
        phase,
        grade: if pair.threshold() > 1.0 { Grade::Degraded } else { Grade::Warning },
        summary: summary(now, objective, series, pair),
        evidence: evidence.chain(left.map(|left| left.over(BUDGET_S as f64))).collect(),
        suspects: Vec::new(),
        gpus: Vec::new(),
        raised_at,
        about: Vec::new(),
    }
}

/// The end of an alarm whose objective is no longer set.
pub(super) fn withdrawn(service: &ServiceName, rule: RuleId, raised_at: Timestamp) -> Finding {
    Finding {
        rule,
        subject: Subject::Service { service: service.clone() },
        phase: Phase::Cleared,
        grade: Grade::Warning,
        summary: format!("{service} no longer has this objective"),
        evidence: Vec::new(),
        suspects: Vec::new(),
        gpus: Vec::new(),
        raised_at,
        about: Vec::new(),
    }
}

/// The rule that tells of an objective.
pub(super) const fn rule(kind: ObjectiveKind) -> RuleId {
    match kind {
        ObjectiveKind::Availability => RuleId::AvailabilityBurn,
        ObjectiveKind::Latency => RuleId::LatencyBurn,
    }
}

/// Share of the budget that is left; `None` when nothing was counted.
pub(super) fn left(now: Timestamp, objective: Objective, series: &Series) -> Option<f64> {
    rate(series.window(now, BUDGET_S), objective.target).map(|used| 1.0 - used)
}

/// E.g. `98.21 % of requests were answered over 1 h (objective 99.9 %): so fast the budget of 30 d is
/// used up in 1 d 16 h, and 62 % of it is left`.
fn summary(now: Timestamp, objective: Objective, series: &Series, pair: Pair) -> String {
    let Objective { measure, target } = objective;
    let long = series.window(now, pair.long_s);
    let over = called(pair.long_s);
    let of = match measure.within_us() {
        None => "requests were answered".to_owned(),
        Some(us) => format!("answered requests took {} at most", spoken_ms(us / 1_000)),
    };
    let Some(rate) = rate(long, target) else { return format!("no {of} over {over}") };
    let good = long.good as f64 / long.total() as f64 * 100.0;
    let mut text = format!("{good:.2} % of {of} over {over} (objective {target})");
    if rate > 1.0 {
        let lasts = spoken(Duration::from_secs_f64(BUDGET_S as f64 / rate));
        let _ = write!(text, ": so fast the budget of {} is used up in {lasts}", called(BUDGET_S));
    }
    match left(now, objective, series) {
        Some(left) if left > 0.0 => {
            let _ = write!(text, ", and {:.0} % of it is left", left * 100.0);
        }
        Some(_) => text.push_str(", and none of it is left"),
        None => {}
    }
    text
}

fn spoken_ms(ms: u64) -> String {
    if ms.is_multiple_of(1_000) { format!("{} s", ms / 1_000) } else { format!("{ms} ms") }
}
