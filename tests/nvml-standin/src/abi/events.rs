//! Event sets.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use nvml_wrapper_sys::bindings::{nvmlEventData_t, nvmlReturn_t};

use super::out::Out;
use super::{Handle, device_calls, session};
use crate::status::{Reply, Status, code};
use crate::world::{Event, World};

/// The types of event a GPU tells of: ECC errors, performance states, XIDs, clocks.
const SUPPORTED: u64 = 0x1f;

/// And of changes of MIG, where there can be any.
const SUPPORTED_MIG: u64 = 0x100;

/// Who listens to what, and how far it has listened.
#[derive(Debug, Default)]
pub(super) struct EventSet {
    /// The types of each GPU, and the number of the first event since it was registered.
    registered: BTreeMap<usize, (u64, usize)>,
    next: usize,
}

impl EventSet {
    fn register(&mut self, gpu: usize, types: u64, so_far: usize) {
        let (all, _) = self.registered.entry(gpu).or_insert((0, so_far));
        *all |= types;
    }

    /// The next event for this set, and past it.
    fn take(&mut self, world: &World) -> Option<Event> {
        let registered = &self.registered;
        let wanted = |number: &usize, event: &Event| {
            let of_gpu = registered.get(&event.gpu);
            of_gpu.is_some_and(|(types, since)| event.event_type & types != 0 && number >= since)
        };
        let found = world.events_from(self.next).find(|(number, event)| wanted(number, event));
        self.next = found.map_or(world.events_so_far(), |(number, _)| number + 1);
        found.map(|(_, event)| event)
    }
}

/// Makes an event set.
#[unsafe(no_mangle)]
extern "C" fn nvmlEventSetCreate(to: Out<usize>) -> nvmlReturn_t {
    let reply = session::live().and_then(|live| {
        drop(live.admit("nvmlEventSetCreate", None)?);
        to.put(session::make_set())
    });
    code(reply)
}

/// Ends an event set.
#[unsafe(no_mangle)]
extern "C" fn nvmlEventSetFree(set: usize) -> nvmlReturn_t {
    let reply = session::live().and_then(|live| {
        drop(live.admit("nvmlEventSetFree", None)?);
        session::free_set(set)
    });
    code(reply)
}

/// Waits for an event, and for so many milliseconds at most.
#[unsafe(no_mangle)]
extern "C" fn nvmlEventSetWait_v2(
    set: usize,
    to: Out<nvmlEventData_t>,
    timeout_ms: u32,
) -> nvmlReturn_t {
    code(wait("nvmlEventSetWait_v2", set, to, timeout_ms))
}

/// Waits for an event, under the symbol's first name.
#[unsafe(no_mangle)]
extern "C" fn nvmlEventSetWait(
    set: usize,
    to: Out<nvmlEventData_t>,
    timeout_ms: u32,
) -> nvmlReturn_t {
    code(wait("nvmlEventSetWait", set, to, timeout_ms))
}

device_calls! { on_gpu:
    /// Lets an event set listen to a GPU, from now on.
    fn nvmlDeviceRegisterEvents(types: u64, set: usize) |seen| {
        let set = session::set(set)?;
        if types & !supported(seen.gpu.traits.max_mig_devices) != 0 {
            return Err(Status::NOT_SUPPORTED);
        }
        lock(&set).register(seen.gpu.index, types, seen.world.events_so_far());
        Ok(())
    };

    /// The types of event a GPU tells of.
    fn nvmlDeviceGetSupportedEventTypes(to: Out<u64>) |seen| {
        to.put(supported(seen.gpu.traits.max_mig_devices))
    };
}

/// A set that cannot be listened to any more, because its call fails, ends the wait at once.
fn wait(call: &str, set: usize, to: Out<nvmlEventData_t>, timeout_ms: u32) -> Reply {
    let deadline = Instant::now() + Duration::from_millis(timeout_ms.into());
    let live = session::live()?;
    let set = session::set(set)?;
    let mut state = live.admit(call, None)?;
    loop {
        if let Some(event) = lock(&set).take(&state) {
            return to.put(event_data(event));
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Status::TIMEOUT);
        }
        state = live.wait(state, left);
        state.verdict(call, None).error.map_or(Ok(()), |error| Err(Status(error)))?;
    }
}

fn lock(set: &Mutex<EventSet>) -> std::sync::MutexGuard<'_, EventSet> {
    set.lock().unwrap_or_else(PoisonError::into_inner)
}

fn supported(mig_devices: u32) -> u64 {
    if mig_devices > 0 { SUPPORTED | SUPPORTED_MIG } else { SUPPORTED }
}

fn event_data(event: Event) -> nvmlEventData_t {
    nvmlEventData_t {
        device: Handle::of(event.gpu, None).0 as *mut _,
        eventType: event.event_type,
        eventData: event.data,
        gpuInstanceId: event.gpu_instance,
        computeInstanceId: event.compute_instance,
    }
}
