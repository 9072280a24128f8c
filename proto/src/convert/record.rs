//! Records as stores keep them: the same encoding as on the wire, so that what this version does not
//! know survives and one decoder serves both.

use prost::Message;

use super::Refused;
use crate::fleet::ObservedChange;
use crate::incident::Incident;
use crate::inventory::Snapshot;
use crate::pb;
use crate::uplink::Entry;

fn decoded<T: Message + Default>(field: &'static str, bytes: &[u8]) -> Result<T, Refused> {
    T::decode(bytes).map_err(|error| Refused::because(field)(format!("cannot be decoded: {error}")))
}

/// Encodes a batch of outbox entries into one record.
pub fn encode_entries(entries: &[Entry]) -> Vec<u8> {
    let entries = entries.iter().cloned().map(Into::into).collect();
    pb::EventBatch { entries }.encode_to_vec()
}

/// Decodes a batch of outbox entries.
///
/// # Errors
///
/// Not such a record.
pub fn decode_entries(bytes: &[u8]) -> Result<Vec<Entry>, Refused> {
    let batch: pb::EventBatch = decoded("batch", bytes)?;
    Ok(batch.entries.into_iter().map(Into::into).collect())
}

/// Encodes an incident.
pub fn encode_incident(incident: &Incident) -> Vec<u8> {
    pb::Incident::from(incident.clone()).encode_to_vec()
}

/// Decodes an incident.
///
/// # Errors
///
/// Not such a record, or with a word that this version does not know.
pub fn decode_incident(bytes: &[u8]) -> Result<Incident, Refused> {
    decoded::<pb::Incident>("incident", bytes)?.try_into()
}

/// Encodes a snapshot.
pub fn encode_snapshot(snapshot: &Snapshot) -> Vec<u8> {
    pb::Snapshot::from(snapshot.clone()).encode_to_vec()
}

/// Decodes a snapshot.
///
/// # Errors
///
/// Not such a record, or with a word that this version does not know.
pub fn decode_snapshot(bytes: &[u8]) -> Result<Snapshot, Refused> {
    decoded::<pb::Snapshot>("snapshot", bytes)?.try_into()
}

/// Encodes an observed change.
pub fn encode_change(change: &ObservedChange) -> Vec<u8> {
    pb::ObservedChange::from(change.clone()).encode_to_vec()
}

/// Decodes an observed change.
///
/// # Errors
///
/// Not such a record, or with a word that this version does not know.
pub fn decode_change(bytes: &[u8]) -> Result<ObservedChange, Refused> {
    decoded::<pb::ObservedChange>("change", bytes)?.try_into()
}
