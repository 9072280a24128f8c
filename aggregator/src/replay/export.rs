//! A store's history as an event log, in the order in which correlation took it up. Reads a page at
//! a time.

use std::io::Write;

use anyhow::Context as _;
use gpuwarden_proto::convert::decode_event;
use gpuwarden_proto::time::Timestamp;
use serde::Serialize;

use super::line::{FORMAT, Header, Line, VERSION};
use super::tell::EventRow;
use crate::store::{Batch, History, JournalRow, Place, Taken};

/// Batches and journal rows held in memory at one time.
const PAGE: usize = 32;

/// What was written, and what was not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Exported {
    /// Events written.
    pub events: u64,
    /// Other lines written: what nodes, people and the aggregator itself told beside events.
    pub told: u64,
    /// Batches or events that this version cannot read.
    pub unreadable: u64,
}

/// Writes all that correlation took up, as far as a store has kept it, as a log.
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
        let page = history.taken(place, PAGE)?;
        exported.unreadable += page.unreadable;
        for taken in &page.taken {
            // The order is the truth; their times are those of a clock that can be set back.
            match taken {
                Taken::Batch(batch) => {
                    last = last.max(batch.taken_at);
                    write_batch(&mut out, last, batch, &mut exported)?;
                }
                Taken::Row(row) => {
                    last = last.max(row.at);
                    write_line(&mut out, last, row, &mut exported)?;
                }
            }
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
                let (node, seq) = (&batch.node, Some(entry.seq));
                write_row(out, &EventRow { at, node, seq, event: &event })?;
                exported.events += 1;
            }
            Err(_) => exported.unreadable += 1,
        }
    }
    Ok(())
}

fn write_line(
    out: &mut impl Write,
    at: Timestamp,
    row: &JournalRow,
    exported: &mut Exported,
) -> anyhow::Result<()> {
    exported.told += 1;
    if at == row.at {
        return writeln!(out, "{}", row.line).context("cannot write the log");
    }
    // The clock had been set back.
    let Ok(line) = Line::parse(row.line.as_bytes()) else {
        (exported.told, exported.unreadable) = (exported.told - 1, exported.unreadable + 1);
        return Ok(());
    };
    let text = Line { at, ..line }.text().context("cannot write the log")?;
    writeln!(out, "{text}").context("cannot write the log")
}

fn write_row(out: &mut impl Write, row: &impl Serialize) -> anyhow::Result<()> {
    serde_json::to_writer(&mut *out, row).context("cannot write the log")?;
    out.write_all(b"\n").context("cannot write the log")
}
