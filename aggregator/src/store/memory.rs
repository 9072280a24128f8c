//! A store that forgets everything when it ends: for tests, and for trying things out. Its faults can
//! be switched on.

mod response;
mod slo;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gpuwarden_proto::change::RecordedChange;
use gpuwarden_proto::incident::Incident;
use gpuwarden_proto::silence::{Silence, SilenceId};
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::{Epoch, IncidentId, NodeId, Seq};
use gpuwarden_respond::timer::audit::Logged;

use super::{
    Batch, CHANGES_LOADED, History, JournalRow, Loaded, NodeRow, Page, Place, Retention, Store,
    StoreError, StoreFault, Taken, Transaction, still_of_use,
};
use crate::response::Work;

/// Clones share what they hold, as connections to one file do.
#[derive(Debug, Clone, Default)]
pub struct MemoryStore {
    // A lock, since readers live on other threads than the writer.
    tables: Arc<Mutex<Tables>>,
    fault: Fault,
}

/// A fault that can be switched on and off while the store is in use.
#[derive(Debug, Clone, Default)]
pub struct Fault(Arc<Mutex<Option<StoreFault>>>);

#[derive(Debug, Default)]
struct Tables {
    batches: Vec<Batch>,
    journal: Vec<JournalRow>,
    marks: BTreeMap<(NodeId, Epoch), Seq>,
    incidents: BTreeMap<IncidentId, Arc<Incident>>,
    nodes: BTreeMap<NodeId, NodeRow>,
    changes: Vec<RecordedChange>,
    silences: BTreeMap<SilenceId, Silence>,
    next_silence: u64,
    slo: slo::Table,
    response: response::Table,
    next_incident: u64,
}

impl Tables {
    fn last_order(&self) -> u64 {
        let batches = self.batches.iter().map(|batch| batch.order);
        batches.chain(self.journal.iter().map(|row| row.order)).max().unwrap_or(0)
    }
}

impl Fault {
    /// From now on every commit fails so, or succeeds again.
    pub fn set(&self, fault: Option<StoreFault>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = fault;
    }

    fn check(&self) -> Result<(), StoreError> {
        match &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            None => Ok(()),
            Some(fault) => Err(StoreError {
                operation: "cannot commit to",
                path: PathBuf::from("memory"),
                fault: fault.clone(),
            }),
        }
    }
}

impl MemoryStore {
    /// The switch of its fault.
    #[must_use]
    pub fn fault(&self) -> Fault {
        self.fault.clone()
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether members are active that no other incident has taken over.
fn active(incident: &Incident) -> bool {
    let mut members = incident.members.iter();
    incident.merged_into.is_none() && members.any(|member| member.cleared_at.is_none())
}

impl Store for MemoryStore {
    fn commit(&mut self, transaction: &Transaction) -> Result<(), StoreError> {
        self.fault.check()?;
        let mut tables = self.tables();
        tables.batches.extend(transaction.batches.iter().cloned());
        tables.journal.extend(transaction.journal.iter().cloned());
        for (node, epoch, seq) in &transaction.marks {
            let mark = tables.marks.entry((node.clone(), *epoch)).or_default();
            *mark = (*mark).max(*seq);
        }
        for incident in &transaction.incidents {
            tables.incidents.insert(incident.id, Arc::clone(incident));
            tables.next_incident = tables.next_incident.max(transaction.next_incident);
        }
        for node in &transaction.nodes {
            let mut node = node.clone();
            if let Some(before) = tables.nodes.get(&node.id).filter(|_| node.snapshot.is_none()) {
                node.snapshot.clone_from(&before.snapshot);
                node.busy.clone_from(&before.busy);
            }
            tables.nodes.insert(node.id.clone(), node);
        }
        for change in &transaction.changes {
            match tables.changes.iter_mut().find(|known| known.key == change.key) {
                Some(known) => *known = change.clone(),
                None => tables.changes.push(change.clone()),
            }
        }
        for silence in &transaction.silences {
            tables.next_silence = tables.next_silence.max(silence.id.0 + 1);
            tables.silences.insert(silence.id, silence.clone());
        }
        tables.slo.write(&transaction.slo);
        tables.response.write(&transaction.response);
        Ok(())
    }

    fn load(&mut self) -> Result<Loaded, StoreError> {
        let tables = self.tables();
        let all = || tables.incidents.values().map(|incident| &**incident);
        let open = all().filter(|incident| incident.resolved_at.is_none());
        let over = still_of_use(all().filter(|incident| incident.resolved_at.is_some()));
        let skip = tables.changes.len().saturating_sub(CHANGES_LOADED);
        Ok(Loaded {
            incidents: open.chain(over).cloned().collect(),
            nodes: tables.nodes.values().cloned().collect(),
            marks: tables.marks.iter().map(|((n, epoch), seq)| (n.clone(), *epoch, *seq)).collect(),
            changes: tables.changes[skip..].to_vec(),
            silences: tables.silences.values().cloned().collect(),
            next_silence: tables.next_silence.max(1),
            slo: tables.slo.load(),
            response: tables.response.load(),
            next_incident: tables.next_incident.max(1),
            next_order: tables.last_order() + 1,
            unreadable: 0,
        })
    }

    fn prune(&mut self, retention: &Retention) -> Result<usize, StoreError> {
        self.fault.check()?;
        let mut tables = self.tables();
        let rows = |tables: &Tables| {
            let Tables { batches, journal, incidents, changes, silences, .. } = tables;
            let taken = batches.len() + journal.len();
            taken + incidents.len() + changes.len() + silences.len()
        };
        let before = rows(&tables);
        let mut left = retention.rows_max;
        tables.batches.retain(|batch| {
            let old = batch.received_at < retention.batches_before && left > 0;
            left -= usize::from(old);
            !old
        });
        let mut left = retention.rows_max;
        tables.journal.retain(|row| {
            let old = row.at < retention.batches_before && left > 0;
            left -= usize::from(old);
            !old
        });
        let instant = retention.incidents_before;
        tables.incidents.retain(|_, each| each.resolved_at.is_none_or(|at| at >= instant));
        tables.changes.retain(|change| change.started_at >= instant);
        tables.silences.retain(|_, silence| silence.over_at() >= retention.silences_before);
        let words = tables.response.forget(retention.batches_before, retention.rows_max);
        Ok(before - rows(&tables) + words)
    }

    fn history(&self) -> Result<Box<dyn History>, StoreError> {
        Ok(Box::new(self.clone()))
    }
}

impl History for MemoryStore {
    fn incident(&self, id: IncidentId) -> Result<Option<Incident>, StoreError> {
        Ok(self.tables().incidents.get(&id).map(|incident| (**incident).clone()))
    }

    fn resolved(
        &self,
        before: Option<IncidentId>,
        limit: usize,
    ) -> Result<Vec<Incident>, StoreError> {
        let tables = self.tables();
        let newest_first = tables.incidents.values().rev();
        let wanted = newest_first.filter(|incident| {
            incident.resolved_at.is_some() && before.is_none_or(|before| incident.id < before)
        });
        Ok(wanted.take(limit).map(|incident| (**incident).clone()).collect())
    }

    fn batches(&self, node: &NodeId, limit: usize) -> Result<Vec<Batch>, StoreError> {
        let tables = self.tables();
        let of_node = tables.batches.iter().filter(|batch| batch.node == *node);
        Ok(of_node.take(limit).cloned().collect())
    }

    fn reaching(&self, node: &NodeId, seq: Seq) -> Result<Vec<Batch>, StoreError> {
        let tables = self.tables();
        let reaches = |batch: &&Batch| batch.entries.last().is_some_and(|last| last.seq >= seq);
        let mut found: Vec<Batch> = Vec::new();
        for batch in tables.batches.iter().filter(|b| b.node == *node).filter(reaches) {
            if found.iter().all(|known| known.epoch != batch.epoch) {
                found.push(batch.clone());
            }
        }
        found.reverse();
        Ok(found)
    }

    fn marks(&self, node: &NodeId) -> Result<Vec<(Epoch, Seq)>, StoreError> {
        let tables = self.tables();
        let own = tables.marks.iter().filter(|((of, _), _)| of == node);
        let mut marks: Vec<_> = own.map(|((_, epoch), seq)| (*epoch, *seq)).collect();
        marks.sort_by_key(|(_, seq)| *seq);
        Ok(marks)
    }

    fn around(
        &self,
        raised_at: Timestamp,
        told_at: Timestamp,
        limit: usize,
    ) -> Result<Vec<Incident>, StoreError> {
        let tables = self.tables();
        let wanted = tables.incidents.values().rev().filter(|each| {
            let over = each.resolved_at.is_some_and(|at| at >= told_at || active(each));
            over && each.opened_at <= raised_at
        });
        Ok(wanted.take(limit).map(|incident| (**incident).clone()).collect())
    }

    fn work(&self, id: IncidentId) -> Result<Option<Work>, StoreError> {
        Ok(self.tables().response.work(id))
    }

    fn timer_words(&self, from: Timestamp, limit: usize) -> Result<Vec<Logged>, StoreError> {
        Ok(self.tables().response.words(from, limit))
    }

    fn taken(&self, from: Place, limit: usize) -> Result<Page, StoreError> {
        let tables = self.tables();
        let batches = tables.batches.iter().filter(|batch| batch.order >= from.0);
        let rows = tables.journal.iter().filter(|row| row.order >= from.0);
        let mut taken: Vec<Taken> = batches.cloned().map(Taken::Batch).collect();
        taken.extend(rows.cloned().map(Taken::Row));
        taken.sort_by_key(Taken::order);
        let next = taken.get(limit).map(|first| Place(first.order()));
        taken.truncate(limit);
        Ok(Page { taken, next, unreadable: 0 })
    }
}
