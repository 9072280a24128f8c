//! How the aggregator itself is doing: its own numbers, for Prometheus and for tests.

mod slo;

use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

pub use slo::SloMetrics;

/// Why an event was refused for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum Reject {
    /// It cannot be decoded, or says what this version does not know.
    Undecodable,
    /// It tells of the far past.
    TooOld,
    /// It tells of the future.
    Future,
    /// Its number does not ascend.
    OutOfOrder,
    /// It tells of what no node can know.
    NotOfNode,
}

/// The label of refused events.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Reason {
    /// Why.
    pub reason: Reject,
}

/// The label of what a candidate config would have done otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Differing {
    /// What kind of difference.
    pub kind: &'static str,
}

/// All the numbers.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Events taken up.
    pub events: Counter,
    /// Batches taken up.
    pub batches: Counter,
    /// Events that had been taken up before.
    pub duplicates: Counter,
    /// Events refused, by reason.
    pub rejected: Family<Reason, Counter>,
    /// Events that agents gave up, by their own count.
    pub gaps: Counter,
    /// Parts of snapshots, or whole messages, that say what this version does not know.
    pub unreadable: Counter,
    /// Findings given up because a limit was reached.
    pub dropped: Gauge,
    /// Streams ended because they did not keep up.
    pub streams_behind: Counter,
    /// Calls of people turned away because there were too many at one time.
    pub calls_shed: Counter,
    /// Calls of people that were not answered in time.
    pub calls_late: Counter,
    /// Agents whose outbox was set back.
    pub outbox_set_back: Counter,
    /// Transactions committed.
    pub commits: Counter,
    /// How long they took.
    pub commit_seconds: CommitSeconds,
    /// Commits that failed.
    pub store_errors: Counter,
    /// 1 while the store takes what it is given.
    pub store_healthy: Gauge,
    /// Events taken up and not yet committed.
    pub pending_events: Gauge,
    /// Journal rows written.
    pub journal_rows: Counter,
    /// Journal rows given up while the disk took nothing.
    pub journal_missed: Counter,
    /// Snapshots that said nothing new and are not in the journal.
    pub snapshots_alike: Counter,
    /// 1 while a candidate config is told what the live one is told.
    pub shadow_running: Gauge,
    /// Signals that it was not told, since it cost too much.
    pub shadow_skipped: Gauge,
    /// How often it began anew after that.
    pub shadow_lapses: Gauge,
    /// What it would have done otherwise, by kind.
    pub shadow_differences: Family<Differing, Gauge>,
    /// Incidents that are not over.
    pub incidents_open: Gauge,
    /// Nodes with a stream.
    pub nodes_connected: Gauge,
    /// Nodes that do not answer.
    pub nodes_lost: Gauge,
    /// How services keep their objectives.
    pub slo: SloMetrics,
}

/// A histogram with bounds from half a millisecond to a second.
#[derive(Debug, Clone)]
pub struct CommitSeconds(Histogram);

impl Default for CommitSeconds {
    fn default() -> Self {
        let bounds = [0.000_5, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0];
        Self(Histogram::new(bounds))
    }
}

impl CommitSeconds {
    /// One more.
    pub fn observe(&self, took: Duration) {
        self.0.observe(took.as_secs_f64());
    }
}

impl Metrics {
    /// One more event refused.
    pub fn reject(&self, reason: Reject) {
        self.rejected.get_or_create(&Reason { reason }).inc();
    }

    /// The page that Prometheus reads.
    ///
    /// # Errors
    ///
    /// Never in practice: writing to a string does not fail.
    pub fn page(&self) -> Result<String, std::fmt::Error> {
        let mut registry = Registry::with_prefix("gpuwarden_aggregator");
        let r = &mut registry;
        r.register("events", "Events taken up", self.events.clone());
        r.register("batches", "Batches taken up", self.batches.clone());
        r.register("duplicates", "Events taken up before", self.duplicates.clone());
        r.register("rejected", "Events refused", self.rejected.clone());
        r.register("gaps", "Events given up by agents", self.gaps.clone());
        r.register("unreadable", "Messages or parts not understood", self.unreadable.clone());
        r.register("findings_dropped", "Findings over a limit", self.dropped.clone());
        r.register("streams_behind", "Streams ended as too slow", self.streams_behind.clone());
        r.register("calls_shed", "Calls turned away as too many", self.calls_shed.clone());
        r.register("calls_late", "Calls not answered in time", self.calls_late.clone());
        r.register("outbox_set_back", "Outboxes set back", self.outbox_set_back.clone());
        r.register("commits", "Transactions committed", self.commits.clone());
        let commit = self.commit_seconds.0.clone();
        r.register_with_unit("commit", "Duration of a commit", Unit::Seconds, commit);
        r.register("store_errors", "Commits that failed", self.store_errors.clone());
        r.register("store_healthy", "1 while the store works", self.store_healthy.clone());
        r.register("pending_events", "Events not yet committed", self.pending_events.clone());
        r.register("journal_rows", "Journal rows written", self.journal_rows.clone());
        r.register("journal_missed", "Journal rows given up", self.journal_missed.clone());
        let alike = self.snapshots_alike.clone();
        r.register("snapshots_alike", "Snapshots not journalled, as nothing was new", alike);
        self.register_shadow(r);
        r.register("incidents_open", "Incidents not over", self.incidents_open.clone());
        r.register("nodes_connected", "Nodes with a stream", self.nodes_connected.clone());
        r.register("nodes_lost", "Nodes that do not answer", self.nodes_lost.clone());
        self.slo.register(r);
        let mut page = String::new();
        text::encode(&mut page, &registry)?;
        Ok(page)
    }

    fn register_shadow(&self, r: &mut Registry) {
        let (running, skipped) = (self.shadow_running.clone(), self.shadow_skipped.clone());
        r.register("shadow_running", "1 while a candidate config runs beside", running);
        r.register("shadow_skipped", "Signals that the candidate was not told", skipped);
        let differences = self.shadow_differences.clone();
        r.register("shadow_lapses", "Times it began anew", self.shadow_lapses.clone());
        r.register("shadow_differences", "What it would have done otherwise", differences);
    }
}
