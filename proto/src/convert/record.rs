//! Records as stores keep them: the same encoding as on the wire, so that what this version does not
//! know survives and one decoder serves both.

use prost::Message;

use super::Refused;
use crate::change::RecordedChange;
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

/// Encodes a change.
pub fn encode_change(change: &RecordedChange) -> Vec<u8> {
    pb::RecordedChange::from(change.clone()).encode_to_vec()
}

/// Decodes a change, also in the form that stores kept before version 3.
///
/// # Errors
///
/// Not such a record, or with a word that this version does not know.
pub fn decode_change(bytes: &[u8]) -> Result<RecordedChange, Refused> {
    decoded::<pb::RecordedChange>("change", bytes)?.try_into()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::convert::{decode_event, encode_event};
    use crate::event::{Body, Event, Gap};
    use crate::time::Timestamp;
    use crate::vocab::Seq;

    #[test]
    fn what_a_newer_agent_says_is_kept_as_it_came() {
        let gap = Gap { count: 1, first_seq: 2, last_seq: 2, reason: "full".to_owned() };
        let event = Event { observed_at: Timestamp::from_unix_s(1), body: Body::Gap(gap) };
        let mut newer = encode_event(&event).to_vec();
        // Field 99, length-delimited: "new".
        newer.extend([0x9a, 0x06, 0x03, b'n', b'e', b'w']);
        let entry = Entry { seq: Seq(3), event: Bytes::from(newer) };
        assert_eq!(decode_event(&entry.event), Ok(event));
        let kept = decode_entries(&encode_entries(std::slice::from_ref(&entry)));
        assert_eq!(kept, Ok(vec![entry]));
    }
}
