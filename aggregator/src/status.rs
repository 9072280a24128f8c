//! How the aggregator itself is doing: its own numbers, for Prometheus and for tests.

mod slo;

use std::time::Duration;

use gpuwarden_proto::vocab::{ChangeOrigin, Sender};
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::outside::register::Outcome;
use crate::suppress::Standing;
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

/// Why an HTTP request was refused before anybody looked at what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum Refused {
    /// There are as many connections as there may be.
    Crowded,
    /// Its head or its body is too large.
    TooLarge,
    /// It took too long.
    Late,
    /// The token is missing or wrong.
    Unauthorized,
    /// It comes from a page of another site.
    Foreign,
}

/// What a signal from elsewhere was to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum Heard {
    /// News.
    Taken,
    /// Known.
    Duplicate,
    /// No trouble, or the end of what had not been told.
    Ignored,
    /// Not to be read, or there was no room.
    Refused,
    /// It was over, since nobody told it again.
    Lapsed,
}

impl From<Outcome> for Heard {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Taken => Self::Taken,
            Outcome::Duplicate => Self::Duplicate,
            Outcome::Early => Self::Ignored,
            Outcome::Full => Self::Refused,
        }
    }
}

/// The labels of signals from elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Told {
    /// By whom.
    pub sender: &'static str,
    /// What became of it.
    pub outcome: Heard,
}

/// The labels of changes that were told.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ChangeTold {
    /// By whom: `agent`, `person`, `webhook` or `kubernetes`.
    pub origin: &'static str,
    /// What became of it: `recorded`, `ended`, `known` or `refused`.
    pub outcome: &'static str,
}

/// The label of refused HTTP requests.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct HttpReason {
    /// Why.
    pub reason: Refused,
}

/// The label of what a candidate config would have done otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Differing {
    /// What kind of difference.
    pub kind: &'static str,
}

/// What holds back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum Holder {
    /// A silence.
    Silence,
    /// Planned work.
    Maintenance,
    /// Another incident.
    Inhibition,
}

/// The label of what is held back.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct HeldBy {
    /// By what.
    pub by: Holder,
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
    /// HTTP requests refused, by reason.
    pub http_refused: Family<HttpReason, Counter>,
    /// Signals from elsewhere, by sender and by what became of them.
    pub signals: Family<Told, Counter>,
    /// Changes that were told, by who tells and by what became of them.
    pub changes: Family<ChangeTold, Counter>,
    /// Alerts that their sender left out of what it sent, by its own count.
    pub alerts_truncated: Counter,
    /// What is told from elsewhere and not over.
    pub outside_active: Gauge,
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
    /// Incidents that are held back, by what; one that is held back by several counts for each.
    pub incidents_held: Family<HeldBy, Gauge>,
    /// Silences and maintenance that hold back now.
    pub silences_active: Family<HeldBy, Gauge>,
    /// Findings that were held back, each time counted.
    pub findings_held: Counter,
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

    /// How much is held back now.
    pub fn hold(&self, standing: &Standing) {
        let kinds = [Holder::Silence, Holder::Maintenance, Holder::Inhibition];
        let set = |family: &Family<HeldBy, Gauge>, counts: &[u64]| {
            for (by, count) in kinds.iter().zip(counts) {
                let gauge = family.get_or_create(&HeldBy { by: *by });
                gauge.set(i64::try_from(*count).unwrap_or(i64::MAX));
            }
        };
        set(&self.incidents_held, &standing.incidents);
        set(&self.silences_active, &standing.active);
        let new = standing.findings_held.saturating_sub(self.findings_held.get());
        self.findings_held.inc_by(new);
    }

    /// One more HTTP request refused.
    pub fn refuse_http(&self, reason: Refused) {
        self.http_refused.get_or_create(&HttpReason { reason }).inc();
    }

    /// One more signal from elsewhere.
    pub fn heard(&self, sender: Sender, outcome: Heard) {
        self.heard_many(sender, outcome, 1);
    }

    /// So many more of them.
    pub fn heard_many(&self, sender: Sender, outcome: Heard, count: usize) {
        let told = Told { sender: sender.as_str(), outcome };
        if count > 0 {
            self.signals.get_or_create(&told).inc_by(count as u64);
        }
    }

    /// One more change told.
    pub fn change_told(&self, origin: ChangeOrigin, outcome: &'static str) {
        self.changes.get_or_create(&ChangeTold { origin: origin.as_str(), outcome }).inc();
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
        r.register("http_refused", "HTTP requests refused", self.http_refused.clone());
        r.register("signals", "Signals from elsewhere", self.signals.clone());
        r.register("changes", "Changes told", self.changes.clone());
        r.register("alerts_truncated", "Alerts left out by senders", self.alerts_truncated.clone());
        r.register(
            "outside_active",
            "Signals from elsewhere not over",
            self.outside_active.clone(),
        );
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
        r.register("incidents_held", "Incidents held back", self.incidents_held.clone());
        r.register("silences_active", "Silences that hold back", self.silences_active.clone());
        r.register("findings_held", "Findings held back", self.findings_held.clone());
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
