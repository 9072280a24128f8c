//! XID errors as the driver tells them, in a thread of their own that waits for them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nvml_wrapper::bitmasks::event::EventTypes;
use nvml_wrapper::enums::event::XidError;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::struct_wrappers::event::EventData;
use nvml_wrapper::{Device, EventSet, Nvml};

use gpuwarden_proto::vocab::GpuUuid;

use super::Shared;
use super::handle::same_device;
use super::message::ProbeMessage;
use super::sampler::fault;
use crate::sample::XidReading;

/// How long one wait lasts. It costs nothing while it lasts.
const WAIT_MS: u32 = 5_000;
/// How long after a failure the events are asked for again.
const PAUSE: Duration = Duration::from_secs(10);
/// NVML's number for an XID that it cannot tell.
const XID_UNTOLD: u32 = 999;

/// A call and why it failed.
type Failure = (&'static str, NvmlError);

/// Counts how often GPUs were looked for; events are asked for anew each time.
#[derive(Debug, Default)]
pub(super) struct Generation(AtomicU64);

impl Generation {
    /// GPUs were looked for.
    pub(super) fn advance(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn current(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Starts the thread.
pub(super) fn spawn(nvml: &'static Nvml, shared: Arc<Shared>, generation: Arc<Generation>) {
    std::thread::spawn(move || {
        while !shared.stop.wait(Duration::ZERO) && !shared.output.closed() {
            if let Err((call, error)) = listen(nvml, &shared, &generation) {
                // What cannot be had is no fault, and asking again would not help soon.
                if !matches!(error, NvmlError::NotSupported | NvmlError::FailedToLoadSymbol(_)) {
                    shared.output.write(&fault(call, None, &error));
                }
                shared.stop.wait(PAUSE);
            }
        }
    });
}

/// Tells XIDs until GPUs were looked for anew, or a wait fails.
fn listen(nvml: &'static Nvml, shared: &Shared, generation: &Generation) -> Result<(), Failure> {
    let began = generation.current();
    let (set, known) = register(nvml)?;
    while generation.current() == began && !shared.stop.wait(Duration::ZERO) {
        match set.wait(WAIT_MS) {
            Ok(event) => shared.output.write(&ProbeMessage::Xid(reading(&event, &known))),
            Err(NvmlError::Timeout) => {}
            Err(error) => return Err(("nvmlEventSetWait_v2", error)),
        }
    }
    Ok(())
}

/// A GPU whose events are waited for. Who it is, is asked before: once it is lost, the driver no
/// longer tells, and just then its XID matters most.
struct Known {
    device: Device<'static>,
    uuid: Option<GpuUuid>,
    pci_bus_id: String,
}

impl Known {
    fn new(device: Device<'static>) -> Self {
        let uuid = device.uuid().ok().and_then(|uuid| GpuUuid::new(&uuid).ok());
        let pci_bus_id = device.pci_info().map(|pci| pci.bus_id).unwrap_or_default();
        Self { device, uuid, pci_bus_id }
    }
}

/// An event set with every GPU that can tell XIDs. Registering consumes the set when it fails, so
/// after a failure it is begun anew without that GPU.
fn register(nvml: &'static Nvml) -> Result<(EventSet<'static>, Vec<Known>), Failure> {
    let mut able = able(nvml)?;
    while !able.is_empty() {
        match register_all(nvml, &able)? {
            Ok(set) => return Ok((set, able)),
            Err(unable) => drop(able.remove(unable)),
        }
    }
    Err(("nvmlDeviceRegisterEvents", NvmlError::NotSupported))
}

/// One attempt: the set, or which GPU could not be registered.
fn register_all(
    nvml: &'static Nvml,
    able: &[Known],
) -> Result<Result<EventSet<'static>, usize>, Failure> {
    let mut set = nvml.create_event_set().map_err(|error| ("nvmlEventSetCreate", error))?;
    for (at, known) in able.iter().enumerate() {
        match known.device.register_events(EventTypes::CRITICAL_XID_ERROR, set) {
            Ok(same) => set = same,
            Err(_) => return Ok(Err(at)),
        }
    }
    Ok(Ok(set))
}

/// GPUs that can tell XIDs. Those that do not answer are the sampler's to tell.
fn able(nvml: &'static Nvml) -> Result<Vec<Known>, Failure> {
    let count = nvml.device_count().map_err(|error| ("nvmlDeviceGetCount_v2", error))?;
    let able = |device: &Device<'_>| {
        let types = device.supported_event_types();
        types.is_ok_and(|types| types.contains(EventTypes::CRITICAL_XID_ERROR))
    };
    let devices = (0..count).filter_map(|index| nvml.device_by_index(index).ok());
    Ok(devices.filter(able).map(Known::new).collect())
}

fn reading(event: &EventData<'_>, known: &[Known]) -> XidReading {
    let known = known.iter().find(|known| same_device(&known.device, &event.device));
    let xid = match event.event_data {
        Some(XidError::Value(xid)) => u32::try_from(xid).unwrap_or(XID_UNTOLD),
        Some(XidError::Unknown) | None => XID_UNTOLD,
    };
    XidReading {
        uuid: known.and_then(|known| known.uuid.clone()),
        pci_bus_id: known.map(|known| known.pci_bus_id.clone()).unwrap_or_default(),
        xid,
        text: String::new(),
    }
}
