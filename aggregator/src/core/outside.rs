//! What is told from elsewhere, as the core takes it up. Nothing here waits.

use gpuwarden_proto::event::{Finding, Subject};
use gpuwarden_proto::time::{Timestamp, spoken};
use gpuwarden_proto::vocab::{IncidentId, Phase, RuleId, Sender};
use tokio::sync::oneshot;

use super::Core;
use crate::correlate::{self, Touched};
use crate::outside::register::{Active, Lapsed, Outcome};
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
        let receipts = signals.into_iter().map(|signal| self.hear(now, signal)).collect();
        self.pending.receipts(receipts, answer);
    }

    fn hear(&mut self, now: Timestamp, signal: Outside) -> Receipt {
        let (rule, subject) = (signal.finding.rule, signal.finding.subject.clone());
        let (observed_at, since) = (signal.observed_at, signal.since);
        // Alertmanager tells what holds again and again, whether or not it says since when.
        let untimed = since.is_none() && sender(&subject) != Sender::Alertmanager;
        let (outcome, finding) = self.register.take(now, signal);
        self.metrics.heard(sender(&subject), Heard::from(outcome));
        if let Some(mut finding) = finding {
            let about = std::mem::take(&mut finding.about);
            finding.about = label::settled(about, |node| self.state.nodes.contains_key(node));
            let held = self.state.holder(rule, &subject).is_some();
            if untimed && finding.phase == Phase::Updated && !held {
                // Who says it again after somebody has closed it says that it is not over.
                finding.raised_at = now;
            }
            // What is told again and again is taken up only where that can change anything.
            if outcome == Outcome::Taken || self.state.is_news(&finding) {
                self.find(now, observed_at, finding);
            }
        }
        Receipt { outcome, incident: self.state.holder(rule, &subject) }
    }

    /// Something is found of no node.
    pub(super) fn find(&mut self, now: Timestamp, observed_at: Timestamp, finding: Finding) {
        let word = (Box::new(finding.clone()), String::new());
        self.journal(now, Word::Outside { observed_at, finding: word.0, why: word.1 });
        let mut touched = Touched::default();
        correlate::outside(&mut self.state, now, observed_at, finding, &mut touched);
        self.note(touched);
    }

    /// What nobody has told again in time is over.
    pub(super) fn lapse(&mut self, now: Timestamp) {
        for Lapsed { finding, at, told_at } in self.register.lapse(now) {
            self.metrics.heard(sender(&finding.subject), Heard::Lapsed);
            let ago = spoken(now.since(told_at));
            let why = format!("not renewed by its sender since {told_at}, {ago} ago");
            let word = (Box::new(finding.clone()), why.clone());
            self.journal(now, Word::Outside { observed_at: at, finding: word.0, why: word.1 });
            let mut touched = Touched::default();
            self.state.lapse(now, &finding, at, &why, &mut touched);
            self.note(touched);
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
