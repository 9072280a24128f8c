//! The agent's own metrics in the OpenMetrics text format, made from a [`Status`] when asked for.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use gpuwarden_proto::vocab::SourceState;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};

use super::Status;

/// The content type of [`encode`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Writes all metrics of a status.
pub fn encode(status: Arc<Status>) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(OfStatus(status)));
    let mut out = String::new();
    text::encode(&mut out, &registry)?;
    Ok(out)
}

/// Every metric there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metric {
    /// Version of the agent, as a label; always 1.
    BuildInfo,
    /// 1 for each source that sees, 0 for each that does not.
    SourceSeeing,
    /// 1 while a source that saw no longer does.
    Blind,
    /// Samples taken in, by source.
    Samples,
    /// What could not be read, by source.
    Problems,
    /// Active findings, by rule.
    FindingsActive,
    /// Events put into the outbox, by kind.
    Events,
    /// Changes observed, by kind.
    Changes,
    /// Times the rules were run.
    RuleRounds,
    /// Time spent in rules.
    RuleSeconds,
    /// The longest round of rules.
    RuleSecondsMax,
    /// Events not acknowledged.
    OutboxRows,
    /// Their size.
    OutboxBytes,
    /// Age of the oldest of them; 0 when there is none.
    OutboxOldestAge,
    /// Events given up.
    OutboxDropped,
    /// 1 while there is a stream to the aggregator.
    UplinkConnected,
    /// Last event the aggregator acknowledged.
    UplinkAcked,
}

impl Metric {
    /// All of them, in the order in which they are written.
    pub const ALL: &'static [Self] = &[
        Self::BuildInfo,
        Self::SourceSeeing,
        Self::Blind,
        Self::Samples,
        Self::Problems,
        Self::FindingsActive,
        Self::Events,
        Self::Changes,
        Self::RuleRounds,
        Self::RuleSeconds,
        Self::RuleSecondsMax,
        Self::OutboxRows,
        Self::OutboxBytes,
        Self::OutboxOldestAge,
        Self::OutboxDropped,
        Self::UplinkConnected,
        Self::UplinkAcked,
    ];

    /// Its name without the unit and without `_total`, which the format appends.
    pub const fn name(self) -> &'static str {
        match self {
            Self::BuildInfo => "gpuwarden_agent_build_info",
            Self::SourceSeeing => "gpuwarden_agent_source_seeing",
            Self::Blind => "gpuwarden_agent_blind",
            Self::Samples => "gpuwarden_agent_samples",
            Self::Problems => "gpuwarden_agent_problems",
            Self::FindingsActive => "gpuwarden_agent_findings_active",
            Self::Events => "gpuwarden_agent_events",
            Self::Changes => "gpuwarden_agent_changes",
            Self::RuleRounds => "gpuwarden_agent_rule_rounds",
            Self::RuleSeconds => "gpuwarden_agent_rule",
            Self::RuleSecondsMax => "gpuwarden_agent_rule_round_max",
            Self::OutboxRows => "gpuwarden_agent_outbox_rows",
            Self::OutboxBytes => "gpuwarden_agent_outbox",
            Self::OutboxOldestAge => "gpuwarden_agent_outbox_oldest_age",
            Self::OutboxDropped => "gpuwarden_agent_outbox_dropped",
            Self::UplinkConnected => "gpuwarden_agent_uplink_connected",
            Self::UplinkAcked => "gpuwarden_agent_uplink_acked_seq",
        }
    }

    const fn help(self) -> &'static str {
        match self {
            Self::BuildInfo => "Version of the agent, as a label",
            Self::SourceSeeing => "Whether each source sees",
            Self::Blind => "Whether any source that saw no longer does",
            Self::Samples => "Samples taken in, by source",
            Self::Problems => "Lines, calls and answers that could not be read, by source",
            Self::FindingsActive => "Active findings, by rule",
            Self::Events => "Events put into the outbox, by kind",
            Self::Changes => "Changes observed on the node, by kind",
            Self::RuleRounds => "Times the rules were run",
            Self::RuleSeconds => "Time spent in rules",
            Self::RuleSecondsMax => "Time of the longest round of rules",
            Self::OutboxRows => "Events not acknowledged by the aggregator",
            Self::OutboxBytes => "Size of the events not acknowledged",
            Self::OutboxOldestAge => "Age of the oldest event not acknowledged",
            Self::OutboxDropped => "Events given up before they were acknowledged",
            Self::UplinkConnected => "Whether there is a stream to the aggregator",
            Self::UplinkAcked => "Sequence number of the last event acknowledged",
        }
    }

    const fn unit(self) -> Option<Unit> {
        match self {
            Self::RuleSeconds | Self::RuleSecondsMax | Self::OutboxOldestAge => Some(Unit::Seconds),
            Self::OutboxBytes => Some(Unit::Bytes),
            _ => None,
        }
    }

    const fn kind(self) -> MetricType {
        match self {
            Self::Samples
            | Self::Problems
            | Self::Events
            | Self::Changes
            | Self::RuleRounds
            | Self::RuleSeconds
            | Self::OutboxDropped => MetricType::Counter,
            _ => MetricType::Gauge,
        }
    }

    fn rows(self, status: &Status) -> Vec<Row> {
        let counters = &status.counters;
        match self {
            Self::BuildInfo => vec![Row::labelled("version", status.version, 1)],
            Self::SourceSeeing => rows_of_sources(status),
            Self::Blind => vec![Row::plain(u64::from(is_blind(status)))],
            Self::Samples => by_source(status, |source| source.samples),
            Self::Problems => by_source(status, |source| source.problems),
            Self::FindingsActive => rows_of_findings(status),
            Self::Events => by_kind(counters.events.iter().map(|(kind, n)| (kind.as_str(), n))),
            Self::Changes => by_kind(counters.changes.iter().map(|(kind, n)| (kind.as_str(), n))),
            Self::RuleRounds => vec![Row::plain(counters.rule_rounds)],
            Self::RuleSeconds => vec![Row { label: None, value: counters.rule_s_total }],
            Self::RuleSecondsMax => vec![Row { label: None, value: counters.rule_s_max }],
            Self::OutboxRows => vec![Row::plain(status.outbox.rows)],
            Self::OutboxBytes => vec![Row::plain(status.outbox.bytes)],
            Self::OutboxOldestAge => vec![Row { label: None, value: oldest_age_s(status) }],
            Self::OutboxDropped => vec![Row::plain(status.outbox.dropped)],
            Self::UplinkConnected => vec![Row::plain(u64::from(status.uplink.connected))],
            Self::UplinkAcked => vec![Row::plain(status.uplink.acked.0)],
        }
    }
}

/// A value with one label at most; no metric here needs more.
#[derive(Debug)]
struct Row {
    label: Option<(&'static str, String)>,
    value: f64,
}

impl Row {
    fn plain(value: u64) -> Self {
        Self { label: None, value: float(value) }
    }

    fn labelled(name: &'static str, label: &str, value: u64) -> Self {
        Self { label: Some((name, label.to_owned())), value: float(value) }
    }
}

/// The format's numbers are floating point; counts beyond 2^53 lose their last digits.
#[expect(clippy::cast_precision_loss, reason = "as the format wants it")]
fn float(value: u64) -> f64 {
    value as f64
}

fn rows_of_sources(status: &Status) -> Vec<Row> {
    let seeing = |state| u64::from(state == SourceState::Seeing);
    let sources = status.snapshot.sources.iter();
    sources.map(|s| Row::labelled("source", s.name.as_str(), seeing(s.state))).collect()
}

fn is_blind(status: &Status) -> bool {
    status.snapshot.sources.iter().any(|source| source.state == SourceState::Blind)
}

fn by_source(status: &Status, count: impl Fn(&crate::engine::SourceCounters) -> u64) -> Vec<Row> {
    let sources = status.counters.sources.iter();
    sources.map(|(name, of)| Row::labelled("source", name.as_str(), count(of))).collect()
}

fn rows_of_findings(status: &Status) -> Vec<Row> {
    let mut active = BTreeMap::new();
    for finding in &status.snapshot.active {
        *active.entry(finding.rule).or_insert(0) += 1;
    }
    active.into_iter().map(|(rule, n)| Row::labelled("rule", rule.as_str(), n)).collect()
}

fn by_kind<'a>(counts: impl Iterator<Item = (&'static str, &'a u64)>) -> Vec<Row> {
    counts.map(|(kind, n)| Row::labelled("kind", kind, *n)).collect()
}

fn oldest_age_s(status: &Status) -> f64 {
    status.outbox.oldest_at.map_or(0.0, |oldest| status.at.since(oldest).as_secs_f64())
}

#[derive(Debug)]
struct OfStatus(Arc<Status>);

impl Collector for OfStatus {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        for metric in Metric::ALL {
            encode_metric(&mut encoder, *metric, &metric.rows(&self.0))?;
        }
        Ok(())
    }
}

fn encode_metric(
    encoder: &mut DescriptorEncoder<'_>,
    metric: Metric,
    rows: &[Row],
) -> Result<(), fmt::Error> {
    let unit = metric.unit();
    let kind = metric.kind();
    let mut encoder =
        encoder.encode_descriptor(metric.name(), metric.help(), unit.as_ref(), kind)?;
    for row in rows {
        match &row.label {
            None => encode_value(&mut encoder, kind, row.value)?,
            Some(label) => {
                let labels = [(label.0, &label.1)];
                encode_value(&mut encoder.encode_family(&labels)?, kind, row.value)?;
            }
        }
    }
    Ok(())
}

fn encode_value(
    encoder: &mut MetricEncoder<'_>,
    kind: MetricType,
    value: f64,
) -> Result<(), fmt::Error> {
    match kind {
        MetricType::Counter => encoder.encode_counter::<NoLabelSet, _, f64>(&value, None),
        _ => encoder.encode_gauge(&value),
    }
}
