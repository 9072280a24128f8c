//! How services keep their objectives, for Prometheus.

use std::sync::atomic::AtomicU64;

use gpuwarden_proto::slo::Objective;
use gpuwarden_proto::vocab::ObjectiveKind;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::slo::Count;

/// Which objective.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Which {
    service: String,
    objective: String,
}

/// Which objective, over which window.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Over {
    service: String,
    objective: String,
    /// E.g. `5m`, `1h`, `3d`.
    window: String,
}

type Share = Gauge<f64, AtomicU64>;

/// The numbers of all objectives.
#[derive(Debug, Default)]
pub struct SloMetrics {
    target: Family<Which, Share>,
    budget_left: Family<Which, Share>,
    burn_rate: Family<Over, Share>,
    good: Family<Which, Counter>,
    requests: Family<Which, Counter>,
}

impl SloMetrics {
    /// Shows how objectives stand, and all that was counted since the start. What is not known is not
    /// shown.
    pub fn show<'a>(
        &self,
        standings: &[Objective],
        counted: impl Iterator<Item = (&'a str, ObjectiveKind, Count)>,
    ) {
        for standing in standings {
            let which = which(&standing.service, standing.kind);
            self.target.get_or_create(&which).set(standing.target);
            match standing.budget_left {
                Some(left) => {
                    self.budget_left.get_or_create(&which).set(left);
                }
                None => drop(self.budget_left.remove(&which)),
            }
            for burn in &standing.burns {
                let Which { service, objective } = which.clone();
                let over = Over { service, objective, window: window(burn.window_s) };
                match burn.rate {
                    Some(rate) => {
                        self.burn_rate.get_or_create(&over).set(rate);
                    }
                    None => drop(self.burn_rate.remove(&over)),
                }
            }
        }
        for (service, kind, count) in counted {
            let which = which(service, kind);
            raise(&self.good.get_or_create(&which), count.good);
            raise(&self.requests.get_or_create(&which), count.total());
        }
    }

    pub(super) fn register(&self, r: &mut Registry) {
        r.register("slo_target_ratio", "Promised share of good requests", self.target.clone());
        let left = self.budget_left.clone();
        r.register("slo_budget_left_ratio", "Share of the budget of 30 days left", left);
        r.register("slo_burn_rate", "How fast the budget is used up", self.burn_rate.clone());
        r.register("slo_good_requests", "Good requests counted", self.good.clone());
        r.register("slo_requests", "Requests counted", self.requests.clone());
    }
}

fn which(service: &str, kind: ObjectiveKind) -> Which {
    Which { service: service.to_owned(), objective: kind.as_str().to_owned() }
}

/// E.g. `30m`.
fn window(s: u64) -> String {
    match s {
        s if s.is_multiple_of(86_400) => format!("{}d", s / 86_400),
        s if s.is_multiple_of(3_600) => format!("{}h", s / 3_600),
        s => format!("{}m", s / 60),
    }
}

fn raise(counter: &Counter, to: u64) {
    counter.inc_by(to.saturating_sub(counter.get()));
}

#[cfg(test)]
mod tests {
    use gpuwarden_proto::slo::Burn;
    use gpuwarden_proto::vocab::ObjectiveState;

    use super::*;
    use crate::status::Metrics;

    fn page(metrics: &Metrics) -> String {
        let page = metrics.page().unwrap();
        let lines = page.lines().filter(|line| line.contains("_slo_") && !line.starts_with('#'));
        // A family has no order.
        lines.collect::<std::collections::BTreeSet<_>>().into_iter().collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn what_is_known_of_objectives_is_shown_and_what_is_not_is_not() {
        let burn = |window_s, rate| Burn { window_s, rate, good: 0, total: 0 };
        let mut standing = Objective {
            service: "search".to_owned(),
            kind: ObjectiveKind::Latency,
            target: 0.99,
            within_s: Some(0.2),
            critical: false,
            good: 0,
            total: 0,
            budget_left: Some(0.25),
            burns: vec![burn(300, Some(1.5)), burn(3_600, None), burn(259_200, Some(0.5))],
            state: ObjectiveState::Kept,
            reason: String::new(),
            nodes: 1,
            nodes_silent: 0,
        };
        let counted =
            |good| [("search", ObjectiveKind::Latency, Count { good, bad: 1 })].into_iter();
        let metrics = Metrics::default();
        metrics.slo.show(&[standing.clone()], counted(9));
        metrics.slo.show(&[standing.clone()], counted(19));
        insta::assert_snapshot!(page(&metrics), @r#"
        gpuwarden_aggregator_slo_budget_left_ratio{service="search",objective="latency"} 0.25
        gpuwarden_aggregator_slo_burn_rate{service="search",objective="latency",window="3d"} 0.5
        gpuwarden_aggregator_slo_burn_rate{service="search",objective="latency",window="5m"} 1.5
        gpuwarden_aggregator_slo_good_requests_total{service="search",objective="latency"} 19
        gpuwarden_aggregator_slo_requests_total{service="search",objective="latency"} 20
        gpuwarden_aggregator_slo_target_ratio{service="search",objective="latency"} 0.99
        "#);
        standing.budget_left = None;
        standing.burns = vec![burn(300, None)];
        metrics.slo.show(&[standing], counted(19));
        assert!(!page(&metrics).contains("budget_left") && !page(&metrics).contains("5m"));
    }
}
