//! A store's events as an event log, in the order of receipt. Reads a page at a time.

use std::io::Write;

use anyhow::Context as _;
use gpuwarden_proto::convert::decode_event;
use gpuwarden_proto::event::Event;
use gpuwarden_proto::time::Timestamp;
use gpuwarden_proto::vocab::{NodeId, Seq};
use serde::Serialize;

use super::line::{FORMAT, Header, VERSION};
use crate::store::{Batch, History, Place};

/// Batches held in memory at one time.
const PAGE: usize = 16;

/// What was written, and what was not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Exported {
    /// Events written.
    pub events: u64,
    /// Batches or events that this version cannot read.
    pub unreadable: u64,
}

#[derive(Serialize)]
struct Row<'a> {
    at: Timestamp,
    node: &'a NodeId,
    seq: Seq,
    #[serde(flatten)]
    event: &'a Event,
}

/// Writes all batches of a store as a log.
///
/// # Errors
///
/// The store cannot be read or the log cannot be written.
pub fn export(history: &dyn History, mut out: impl Write) -> anyhow::Result<Exported> {
    let mut exported = Exported::default();
    let mut last = Timestamp::default();
    let header = Header { format: FORMAT.to_owned(), version: VERSION };
    write_row(&mut out, &header)?;
    let mut from = Some(Place::default());
    while let Some(place) = from {
        let page = history.received(place, PAGE)?;
        exported.unreadable += page.unreadable;
        for batch in &page.batches {
            // Batches are numbered in the order in which the core took them up, which is the truth;
            // their times are taken a moment before, on several streams, by a clock that can be set.
            last = last.max(batch.received_at);
            write_batch(&mut out, last, batch, &mut exported)?;
        }
        from = page.next;
    }
    out.flush().context("cannot write the log")?;
    Ok(exported)
}

fn write_batch(
    out: &mut impl Write,
    at: Timestamp,
    batch: &Batch,
    exported: &mut Exported,
) -> anyhow::Result<()> {
    for entry in &batch.entries {
        match decode_event(&entry.event) {
            Ok(event) => {
                write_row(out, &Row { at, node: &batch.node, seq: entry.seq, event: &event })?;
                exported.events += 1;
            }
            Err(_) => exported.unreadable += 1,
        }
    }
    Ok(())
}

fn write_row(out: &mut impl Write, row: &impl Serialize) -> anyhow::Result<()> {
    serde_json::to_writer(&mut *out, row).context("cannot write the log")?;
    out.write_all(b"\n").context("cannot write the log")
}
