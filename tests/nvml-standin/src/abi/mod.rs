//! The C interface of NVML: its symbols, its structures and its protocols.

mod accounting;
mod events;
mod fields;
mod health;
mod identity;
mod load;
mod mig;
mod out;
mod processes;
mod session;
mod sizes;
mod system;
mod thermal;

use nvml_wrapper_sys::bindings::nvmlReturn_t;

use crate::clock;
use crate::scenario::MigInstance;
use crate::status::{Reply, Status, code};
use crate::world::{Gpu, World};

/// A device as callers hold it: a GPU, or one of its MIG devices. NVML's is a pointer that callers
/// never follow; so is this.
#[derive(Clone, Copy)]
#[repr(transparent)]
struct Handle(usize);

impl Handle {
    /// Tells a handle from a pointer that never was one.
    const MARK: usize = 0x4e56_0000;

    fn of(gpu: usize, mig: Option<usize>) -> Self {
        Self(Self::MARK | gpu << 8 | mig.map_or(0, |slot| slot + 1))
    }

    fn gpu(self) -> Result<usize, Status> {
        let known = self.0 & !0xffff == Self::MARK;
        if known { Ok(self.0 >> 8 & 0xff) } else { Err(Status::INVALID_ARGUMENT) }
    }

    fn mig(self) -> Option<usize> {
        (self.0 & 0xff).checked_sub(1)
    }
}

/// What a call on a device sees.
struct Seen<'a> {
    world: &'a World,
    gpu: &'a Gpu,
    /// The MIG device the handle is of, and its place on the GPU.
    mig: Option<(usize, &'a MigInstance)>,
    now_us: u64,
}

/// A call that is about no device.
fn on_system(call: &str, body: impl FnOnce(&World) -> Reply) -> nvmlReturn_t {
    let reply = session::live().and_then(|live| body(&*live.admit(call, None)?));
    code(reply)
}

/// A call about a GPU or a MIG device.
fn on_any_device(call: &str, device: Handle, body: impl FnOnce(&Seen) -> Reply) -> nvmlReturn_t {
    let reply = || {
        let live = session::live()?;
        let index = device.gpu()?;
        let state = live.admit(call, Some(index))?;
        let gpu = state.gpus.get(index).ok_or(Status::INVALID_ARGUMENT)?;
        gpu.lost.map_or(Ok(()), |code| Err(Status(code)))?;
        let slot = device.mig();
        let found = slot.map(|slot| gpu.mig.get(slot).map(|mig| (slot, mig)));
        let mig = found.map(|mig| mig.ok_or(Status::INVALID_ARGUMENT)).transpose()?;
        body(&Seen { world: &state, gpu, mig, now_us: clock::now_us() })
    };
    code(reply())
}

/// A call about a whole GPU, which no MIG device supports.
fn on_gpu(call: &str, device: Handle, body: impl FnOnce(&Seen) -> Reply) -> nvmlReturn_t {
    on_any_device(call, device, |seen| match seen.mig {
        Some(_) => Err(Status::NOT_SUPPORTED),
        None => body(seen),
    })
}

/// Exports calls of NVML whose first argument is a device. `through` is [`on_gpu`] or
/// [`on_any_device`]; the body is a function of what the call sees.
macro_rules! device_calls {
    ($through:ident: $(
        $(#[$doc:meta])*
        fn $symbol:ident($($argument:ident: $kind:ty),*) |$seen:pat_param| $body:expr;
    )*) => {$(
        $(#[$doc])*
        #[unsafe(no_mangle)]
        extern "C" fn $symbol(device: super::Handle $(, $argument: $kind)*)
            -> nvml_wrapper_sys::bindings::nvmlReturn_t
        {
            super::$through(stringify!($symbol), device, |$seen| $body)
        }
    )*};
}
use device_calls;
