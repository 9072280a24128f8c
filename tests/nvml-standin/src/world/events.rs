//! Events, as NVML's event sets deliver them.

use super::World;

/// NVML's value for "no instance".
const NO_INSTANCE: u32 = u32::MAX;

/// A single-bit ECC error.
pub(super) const SINGLE_BIT_ECC: u64 = 0x1;
/// A double-bit ECC error.
pub(super) const DOUBLE_BIT_ECC: u64 = 0x2;
/// An XID.
pub(super) const XID: u64 = 0x8;

/// Something that happened to a GPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) gpu: usize,
    pub(crate) event_type: u64,
    pub(crate) data: u64,
    pub(crate) gpu_instance: u32,
    pub(crate) compute_instance: u32,
}

impl Event {
    /// An event of the whole GPU.
    pub(super) fn of(gpu: usize, event_type: u64, data: u64) -> Self {
        Self { gpu, event_type, data, gpu_instance: NO_INSTANCE, compute_instance: NO_INSTANCE }
    }

    /// The same event of one MIG device.
    pub(super) fn on(self, gpu_instance: Option<u32>, compute_instance: Option<u32>) -> Self {
        Self {
            gpu_instance: gpu_instance.unwrap_or(NO_INSTANCE),
            compute_instance: compute_instance.unwrap_or(NO_INSTANCE),
            ..self
        }
    }
}

impl World {
    /// Records an event of a GPU that exists.
    pub(super) fn raise(&mut self, event: Event) -> Result<(), String> {
        self.gpu_mut(event.gpu)?;
        self.events.push(event);
        Ok(())
    }

    /// How many events there have been: the number of the next one.
    pub(crate) fn events_so_far(&self) -> usize {
        self.events.len()
    }

    /// The events from a number on, with their numbers.
    pub(crate) fn events_from(&self, number: usize) -> impl Iterator<Item = (usize, Event)> + '_ {
        self.events.iter().copied().enumerate().skip(number)
    }
}
