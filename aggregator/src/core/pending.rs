//! What has been taken up and is not yet on disk, and what is owed to whom once it is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use gpuwarden_notify::delivery::Send;
use gpuwarden_proto::change::{NoChange, RecordedChange};
use gpuwarden_proto::incident::{Incident, WatchChange};
use gpuwarden_proto::silence::{Silence, SilenceId};
use gpuwarden_proto::uplink::Rejection;
use gpuwarden_proto::vocab::{Epoch, IncidentId, NodeId, Seq};
use tokio::sync::oneshot;

use super::{CommandError, Receipt, Receipts, Recorded, SilenceAnswer, WorkOwed};
use crate::correlate::{State, Touched};
use crate::ledger::Taken;
use crate::node::SessionId;
use crate::response;
use crate::slo::kept::Kept;
use crate::store::{Batch, JournalRow, NodeRow, StoreError, Transaction};
use crate::watch::Update;

/// What an answer to a person's word looks like.
pub type Answer = oneshot::Sender<Result<Arc<Incident>, CommandError>>;

/// An acknowledgement that is owed to a stream.
#[derive(Debug)]
pub(super) struct Owed {
    /// The stream.
    pub(super) session: SessionId,
    /// Up to here.
    pub(super) acked_seq: Seq,
    /// But for these.
    pub(super) rejected: Vec<Rejection>,
}

/// Gathered since the last transaction was handed over.
#[derive(Debug, Default)]
pub(super) struct Pending {
    /// Events in the batches.
    pub(super) events: usize,
    /// Bytes in the batches and in the journal.
    pub(super) bytes: usize,
    batches: Vec<Batch>,
    journal: Vec<JournalRow>,
    marks: BTreeMap<(NodeId, Epoch), Seq>,
    touched: BTreeMap<IncidentId, WatchChange>,
    /// Those of them that nobody has been shown yet.
    unseen: BTreeSet<IncidentId>,
    over: BTreeMap<IncidentId, Arc<Incident>>,
    /// Nodes to be written; `true` with their snapshot.
    nodes: BTreeMap<NodeId, bool>,
    changes: Vec<RecordedChange>,
    silences: BTreeMap<SilenceId, Silence>,
    slo: Kept,
    /// Those that changed and that the people's half has not looked at yet.
    unanswered: BTreeSet<IncidentId>,
    response: response::Kept,
    sends: Vec<Send>,
    work_owed: Vec<WorkOwed>,
    owed: Vec<Owed>,
    answers: Vec<(IncidentId, Answer)>,
    silence_answers: Vec<SilenceAnswer>,
    receipts: Vec<(Vec<Receipt>, Receipts)>,
    recordings: Vec<Recording>,
}

/// What became of some changes, and who is to be told.
pub(super) type Recording = (Vec<Result<Taken, NoChange>>, oneshot::Sender<Recorded>);

/// What is to be done once a transaction is on disk.
#[derive(Debug, Default)]
pub(super) struct Debts {
    /// To whom an acknowledgement is owed.
    pub(super) owed: Vec<Owed>,
    /// What people are shown.
    pub(super) updates: Vec<Update>,
    /// Who waits for an answer.
    pub(super) answers: Vec<(IncidentId, Answer)>,
    /// Who waits for an answer about a silence.
    pub(super) silence_answers: Vec<SilenceAnswer>,
    /// Who waits for an answer about the work on an incident.
    pub(super) work_owed: Vec<WorkOwed>,
    /// What is to be sent.
    pub(super) sends: Vec<Send>,
    /// Who has told something from elsewhere.
    pub(super) receipts: Vec<(Vec<Receipt>, Receipts)>,
    /// Who waits to hear that changes are recorded.
    pub(super) recordings: Vec<Recording>,
    /// Events of the transaction.
    pub(super) events: usize,
}

impl Debts {
    /// The same after those who wait were told that nothing reaches the disk.
    pub(super) fn without_answers(mut self, error: &StoreError) -> Self {
        for (_, answer) in self.answers.drain(..) {
            drop(answer.send(Err(CommandError::NotStored(error.clone()))));
        }
        self.silence_answers.drain(..).for_each(|answer| answer.excuse(error));
        self.work_owed.drain(..).for_each(|owed| owed.excuse(error));
        for (_, answer) in self.receipts.drain(..) {
            drop(answer.send(Err(error.clone())));
        }
        excuse(&mut self.recordings, error);
        self
    }
}

impl Pending {
    /// Events to be stored.
    pub(super) fn batch(&mut self, batch: Batch) {
        self.events += batch.entries.len();
        self.bytes += batch.entries.iter().map(|entry| entry.event.len()).sum::<usize>();
        self.batches.push(batch);
    }

    /// Something else that reached correlation, to be stored.
    pub(super) fn journal(&mut self, row: JournalRow) {
        self.bytes += row.line.len();
        self.journal.push(row);
    }

    /// Events of a node have been taken up so far.
    pub(super) fn mark(&mut self, node: &NodeId, epoch: Epoch, seq: Seq) {
        self.marks.insert((node.clone(), epoch), seq);
    }

    /// A change is to be stored.
    pub(super) fn change(&mut self, change: RecordedChange) {
        self.changes.push(change);
    }

    /// Somebody waits to hear that changes are recorded.
    pub(super) fn recording(&mut self, recording: Recording) {
        self.events += recording.0.len();
        self.recordings.push(recording);
    }

    /// Counts or alarms of objectives are to be written.
    pub(super) fn slo(&mut self, kept: Kept) {
        self.slo.append(kept);
    }

    /// A node is to be written.
    pub(super) fn node(&mut self, node: &NodeId, with_snapshot: bool) {
        let with = self.nodes.entry(node.clone()).or_default();
        *with |= with_snapshot;
    }

    /// An acknowledgement is owed.
    pub(super) fn owe(&mut self, owed: Owed) {
        self.events += 1;
        self.owed.push(owed);
    }

    /// Somebody waits for an answer about an incident.
    pub(super) fn answer(&mut self, id: IncidentId, answer: Answer) {
        self.answers.push((id, answer));
    }

    /// These are to be looked at by the people's half.
    pub(super) fn answer_to(&mut self, ids: impl Iterator<Item = IncidentId>) {
        self.unanswered.extend(ids);
    }

    /// Takes those that it has not looked at yet.
    pub(super) fn take_unanswered(&mut self) -> BTreeSet<IncidentId> {
        std::mem::take(&mut self.unanswered)
    }

    /// One that is over and not yet on disk.
    pub(super) fn over(&self, id: IncidentId) -> Option<Arc<Incident>> {
        self.over.get(&id).cloned()
    }

    /// What the people's half keeps is to be written.
    pub(super) fn response(&mut self, kept: response::Kept) {
        self.response.append(kept);
    }

    /// Requests go out once all of this is on disk.
    pub(super) fn send(&mut self, sends: Vec<Send>) {
        self.sends.extend(sends);
    }

    /// Takes what is to be sent without waiting for the disk.
    pub(super) fn take_sends(&mut self) -> Vec<Send> {
        std::mem::take(&mut self.sends)
    }

    /// Somebody waits for an answer about the work on an incident.
    pub(super) fn owe_work(&mut self, owed: WorkOwed) {
        self.work_owed.push(owed);
    }

    /// Silences are to be written.
    pub(super) fn silences(&mut self, silences: Vec<Silence>) {
        self.silences.extend(silences.into_iter().map(|silence| (silence.id, silence)));
    }

    /// Somebody waits for an answer about a silence.
    pub(super) fn answer_silence(&mut self, answer: SilenceAnswer) {
        self.silence_answers.push(answer);
    }

    /// Somebody who has told something from elsewhere waits for it to be on disk.
    pub(super) fn receipts(&mut self, receipts: Vec<Receipt>, answer: Receipts) {
        self.receipts.push((receipts, answer));
    }

    /// Incidents changed. What is opened stays opened for those who have not seen it yet.
    pub(super) fn touch(&mut self, touched: Touched) {
        for (id, change) in touched.changed {
            self.unseen.insert(id);
            self.unanswered.insert(id);
            let known = self.touched.entry(id).or_insert(change);
            if change == WatchChange::Resolved {
                *known = change;
            } else if *known == WatchChange::Resolved {
                // What was over goes on.
                *known = change;
                self.over.remove(&id);
            }
        }
        for id in touched.ranked {
            self.unseen.insert(id);
            self.touched.entry(id).or_insert(WatchChange::Changed);
        }
        for incident in touched.over {
            self.over.insert(incident.id, Arc::new(incident));
        }
    }

    /// The incidents that changed since the last such question, as they are now. They stay to be
    /// written.
    pub(super) fn unseen(&mut self, state: &State) -> Vec<Update> {
        std::mem::take(&mut self.unseen).iter().filter_map(|id| self.update(id, state)).collect()
    }

    fn update(&self, id: &IncidentId, state: &State) -> Option<Update> {
        let open = || state.incident(*id).map(|incident| Arc::new(incident.clone()));
        Some((*self.touched.get(id)?, self.over.get(id).cloned().or_else(open)?))
    }

    /// Tells those who wait for an answer that nothing reaches the disk.
    pub(super) fn excuse(&mut self, error: &StoreError) {
        for (_, answer) in self.answers.drain(..) {
            drop(answer.send(Err(CommandError::NotStored(error.clone()))));
        }
        self.silence_answers.drain(..).for_each(|answer| answer.excuse(error));
        self.work_owed.drain(..).for_each(|owed| owed.excuse(error));
        for (_, answer) in self.receipts.drain(..) {
            drop(answer.send(Err(error.clone())));
        }
        excuse(&mut self.recordings, error);
    }

    /// Whether there is nothing to be done.
    pub(super) fn is_empty(&self) -> bool {
        self.batches.is_empty()
            && self.journal.is_empty()
            && self.marks.is_empty()
            && self.touched.is_empty()
            && self.nodes.is_empty()
            && self.changes.is_empty()
            && self.slo.is_empty()
            && self.response.is_empty()
            && self.sends.is_empty()
            && self.work_owed.is_empty()
            && self.owed.is_empty()
            && self.answers.is_empty()
            && self.silences.is_empty()
            && self.silence_answers.is_empty()
            && self.receipts.is_empty()
            && self.recordings.is_empty()
    }

    /// Takes all of it as one transaction.
    pub(super) fn take(&mut self, state: &State) -> (Transaction, Debts) {
        let updates: Vec<Update> =
            self.touched.keys().filter_map(|id| self.update(id, state)).collect();
        let this = std::mem::take(self);
        let transaction = Transaction {
            batches: this.batches,
            journal: this.journal,
            marks: this.marks.into_iter().map(|((node, epoch), seq)| (node, epoch, seq)).collect(),
            incidents: updates.iter().map(|(_, incident)| Arc::clone(incident)).collect(),
            nodes: rows(&this.nodes, state),
            changes: this.changes,
            silences: this.silences.into_values().collect(),
            slo: this.slo,
            response: this.response,
            next_incident: state.next_id(),
        };
        let Self { owed, answers, silence_answers, work_owed, sends, .. } = this;
        let Self { receipts, recordings, events, .. } = this;
        let debts = Debts {
            owed,
            updates,
            answers,
            silence_answers,
            work_owed,
            sends,
            receipts,
            recordings,
            events,
        };
        (transaction, debts)
    }
}

fn excuse(recordings: &mut Vec<Recording>, error: &StoreError) {
    for (_, answer) in recordings.drain(..) {
        drop(answer.send(Err(CommandError::NotStored(error.clone()))));
    }
}

fn rows(nodes: &BTreeMap<NodeId, bool>, state: &State) -> Vec<NodeRow> {
    let row = |(id, with_snapshot): (&NodeId, &bool)| {
        let node = state.nodes.get(id)?;
        Some(NodeRow {
            id: id.clone(),
            state: node.link.state(),
            last_seen_at: node.last_seen_at,
            agent_version: node.agent_version.clone(),
            snapshot: node.snapshot.clone().filter(|_| *with_snapshot),
            busy: if *with_snapshot { state.busy_on(id) } else { Vec::new() },
        })
    };
    nodes.iter().filter_map(row).collect()
}
