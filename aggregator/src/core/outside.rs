//! What is told from elsewhere, as the core takes it up. Nothing here waits.

use gpuwarden_proto::event::{Finding, Subject};
use gpuwarden_proto::time::{Timestamp, spoken};
use gpuwarden_proto::vocab::{IncidentId, RuleId, Sender};
use tokio::sync::oneshot;

use super::Core;
use crate::correlate::{self, Touched};
use crate::outside::register::{Active, Outcome};
use crate::outside::{Outside, label};
use crate::replay::line::Word;
use crate::status::Heard;
use crate::store::StoreError;

/// What became of one signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// Whether it was news.
    pub outcome: Outcome,
    /// The incident that holds it; `None` for what is over or was given up.
    pub incident: Option<IncidentId>,
}

/// Where the receipts of a request go, once all of it is on disk.
pub type Receipts = oneshot::Sender<Result<Vec<Receipt>, StoreError>>;

impl Core {
    pub(super) fn outside(&mut self, now: Timestamp, signals: Vec<Outside>, answer: Receipts) {
        let mut touched = Touched::default();
        let receipts: Vec<Receipt> =
            signals.into_iter().map(|signal| self.hear(now, signal, &mut touched)).collect();
        self.note(touched);
        self.pending.receipts(receipts, answer);
    }

    fn hear(&mut self, now: Timestamp, signal: Outside, touched: &mut Touched) -> Receipt {
        let (rule, subject) = (signal.finding.rule, signal.finding.subject.clone());
        let observed_at = signal.observed_at;
        let (outcome, finding) = self.register.take(now, signal);
        self.metrics.heard(sender(&subject), Heard::from(outcome));
        if let Some(mut finding) = finding {
            let about = std::mem::take(&mut finding.about);
            finding.about = label::settled(about, |node| self.state.nodes.contains_key(node));
            if rule == RuleId::UserReport && self.state.holder(rule, &subject).is_none() {
                // Who says it again after somebody has closed it says that it is not over.
                finding.raised_at = now;
            }
            self.correlate_outside(now, observed_at, finding, outcome, touched);
        }
        Receipt { outcome, incident: self.state.holder(rule, &subject) }
    }

    /// What is told again and again is written down only where it changes anything.
    fn correlate_outside(
        &mut self,
        now: Timestamp,
        observed_at: Timestamp,
        finding: Finding,
        outcome: Outcome,
        touched: &mut Touched,
    ) {
        let mut own = Touched::default();
        correlate::outside(&mut self.state, now, observed_at, finding.clone(), &mut own);
        if outcome == Outcome::Taken || !own.is_nothing() {
            let (finding, why) = (Box::new(finding), String::new());
            self.journal(now, Word::Outside { observed_at, finding, why });
        }
        touched.add(own);
    }

    /// What nobody has told again in time is over.
    pub(super) fn lapse(&mut self, now: Timestamp, touched: &mut Touched) {
        for lapsed in self.register.lapse(now) {
            self.metrics.heard(sender(&lapsed.finding.subject), Heard::Lapsed);
            let why = format!(
                "not renewed by its sender since {}, {} ago",
                lapsed.told_at,
                spoken(now.since(lapsed.told_at))
            );
            self.state.lapse(now, &lapsed.finding, lapsed.at, &why, touched);
            let (observed_at, finding) = (lapsed.at, Box::new(lapsed.finding));
            self.journal(now, Word::Outside { observed_at, finding, why });
        }
        let active = self.register.active_count();
        self.metrics.outside_active.set(i64::try_from(active).unwrap_or(i64::MAX));
    }

    /// The incident that holds an alert, and whether somebody has taken it.
    pub(super) fn holder(&self, subject: &Subject) -> Option<(IncidentId, bool)> {
        let id = self.state.holder(RuleId::ExternalAlert, subject)?;
        let taken = self.state.incident(id)?.acknowledged_by.is_some();
        Some((id, taken))
    }

    /// Alerts that are active, by their fingerprints.
    pub(super) fn alerts(&self) -> Vec<(String, Active)> {
        let ours =
            self.register.active().filter(|((sender, _), _)| *sender == Sender::Alertmanager);
        ours.map(|((_, key), active)| (key.clone(), active.clone())).collect()
    }
}

fn sender(subject: &Subject) -> Sender {
    match subject {
        Subject::Alert { sender, .. } => *sender,
        _ => Sender::Person,
    }
}
