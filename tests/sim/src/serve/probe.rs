//! The probe's lines, written at the real probe's pace: memory and utilisation each time, use by
//! process every second, the list of processes every other.

use gpuwarden_agent::probe::ProbeMessage;
use gpuwarden_agent::sample::Moment;
use tokio::io::{AsyncWriteExt, DuplexStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::fault::Service;
use crate::node::SimNode;
use crate::reading::DRIVER_VERSION;

/// Lines that wait for a slow reader; what does not fit is dropped, as each line replaces the last.
const LINES_MAX: usize = 16;

/// Starts the task that writes lines into the pipe until either end is dropped.
pub(super) fn writer(mut pipe: DuplexStream, tasks: &mut JoinSet<()>) -> mpsc::Sender<String> {
    let (lines, mut written) = mpsc::channel::<String>(LINES_MAX);
    tasks.spawn(async move {
        while let Some(line) = written.recv().await {
            if pipe.write_all(line.as_bytes()).await.is_err() {
                break;
            }
        }
    });
    lines
}

/// The simulated probe.
pub(super) struct Probe<'a> {
    lines: &'a mut mpsc::Sender<String>,
    readings: u64,
}

impl<'a> Probe<'a> {
    pub(super) fn new(lines: &'a mut mpsc::Sender<String>) -> Self {
        Self { lines, readings: 0 }
    }

    /// Reads the node once and tells what it saw. Silent while the driver cannot be read.
    pub(super) fn read(&mut self, node: &mut SimNode, now: Moment) {
        let mut reading = node.gpu_reading(now);
        if node.probe_state() == Service::Gone {
            return;
        }
        if self.readings == 0 {
            self.tell(&ProbeMessage::Hello {
                driver_version: DRIVER_VERSION.to_owned(),
                nvml_version: format!("13.{DRIVER_VERSION}"),
                gpus: reading.gpus.len() as u32,
            });
        }
        for xid in node.take_xids() {
            self.tell(&ProbeMessage::Xid(xid));
        }
        for gpu in &mut reading.gpus {
            gpu.process_use = gpu.process_use.take().filter(|_| self.readings.is_multiple_of(2));
            gpu.processes = gpu.processes.take().filter(|_| self.readings.is_multiple_of(4));
        }
        self.tell(&ProbeMessage::Gpus(reading));
        self.readings += 1;
    }

    fn tell(&self, message: &ProbeMessage) {
        if let Ok(line) = serde_json::to_string(message) {
            let _ = self.lines.try_send(line + "\n");
        }
    }
}
