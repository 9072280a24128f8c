//! Initialisation, versions, and handles.

use std::ffi::{c_char, c_int};

use nvml_wrapper_sys::bindings::nvmlReturn_t;

use super::out::{Out, Text};
use super::{Handle, on_system, session};
use crate::status::{Reply, Status, code, text};
use crate::world::{Gpu, World};

/// Begins a session.
#[unsafe(no_mangle)]
extern "C" fn nvmlInit_v2() -> nvmlReturn_t {
    code(session::begin("nvmlInit_v2"))
}

/// Begins a session, under the symbol's first name.
#[unsafe(no_mangle)]
extern "C" fn nvmlInit() -> nvmlReturn_t {
    code(session::begin("nvmlInit"))
}

/// Begins a session. No flag makes a difference: no GPU is attached before it is asked for.
#[unsafe(no_mangle)]
extern "C" fn nvmlInitWithFlags(_flags: u32) -> nvmlReturn_t {
    code(session::begin("nvmlInitWithFlags"))
}

/// Ends a session.
#[unsafe(no_mangle)]
extern "C" fn nvmlShutdown() -> nvmlReturn_t {
    code(session::end("nvmlShutdown"))
}

/// The text of a return code.
#[unsafe(no_mangle)]
extern "C" fn nvmlErrorString(result: nvmlReturn_t) -> *const c_char {
    text(result).as_ptr()
}

/// The driver's version.
#[unsafe(no_mangle)]
extern "C" fn nvmlSystemGetDriverVersion(to: Out<c_char>, room: u32) -> nvmlReturn_t {
    on_system("nvmlSystemGetDriverVersion", |world| to.put_text(&world.driver_version, room))
}

/// The library's version: NVML's major version before the driver's.
#[unsafe(no_mangle)]
extern "C" fn nvmlSystemGetNVMLVersion(to: Out<c_char>, room: u32) -> nvmlReturn_t {
    on_system("nvmlSystemGetNVMLVersion", |world| {
        let major = world.cuda_version / 1000;
        to.put_text(&format!("{major}.{}", world.driver_version), room)
    })
}

/// CUDA's version.
#[unsafe(no_mangle)]
extern "C" fn nvmlSystemGetCudaDriverVersion_v2(to: Out<c_int>) -> nvmlReturn_t {
    on_system("nvmlSystemGetCudaDriverVersion_v2", |world| to.put(world.cuda_version))
}

/// CUDA's version, under the symbol's first name.
#[unsafe(no_mangle)]
extern "C" fn nvmlSystemGetCudaDriverVersion(to: Out<c_int>) -> nvmlReturn_t {
    on_system("nvmlSystemGetCudaDriverVersion", |world| to.put(world.cuda_version))
}

/// How many GPUs there are, lost ones included.
#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetCount_v2(to: Out<u32>) -> nvmlReturn_t {
    on_system("nvmlDeviceGetCount_v2", |world| {
        to.put(u32::try_from(world.gpus.len()).unwrap_or(u32::MAX))
    })
}

/// The handle of a GPU by its index.
#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetHandleByIndex_v2(index: u32, to: Out<Handle>) -> nvmlReturn_t {
    let index = index as usize;
    let reply = session::live().and_then(|live| {
        let state = live.admit("nvmlDeviceGetHandleByIndex_v2", Some(index))?;
        give_handle(state.gpus.get(index).ok_or(Status::INVALID_ARGUMENT)?, None, to)
    });
    code(reply)
}

/// The handle of a GPU or of a MIG device by its UUID.
#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetHandleByUUID(uuid: Text, to: Out<Handle>) -> nvmlReturn_t {
    on_system("nvmlDeviceGetHandleByUUID", |world| {
        let (gpu, mig) = by_uuid(world, &uuid.get()?).ok_or(Status::NOT_FOUND)?;
        give_handle(gpu, mig, to)
    })
}

/// The handle of a GPU by its PCI address, with a domain of four or of eight digits.
#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetHandleByPciBusId_v2(address: Text, to: Out<Handle>) -> nvmlReturn_t {
    on_system("nvmlDeviceGetHandleByPciBusId_v2", |world| {
        let address = address.get()?.to_uppercase();
        let has = |gpu: &&Gpu| [4, 8].iter().any(|digits| gpu.pci_address(*digits) == address);
        give_handle(world.gpus.iter().find(has).ok_or(Status::NOT_FOUND)?, None, to)
    })
}

fn by_uuid<'a>(world: &'a World, uuid: &str) -> Option<(&'a Gpu, Option<usize>)> {
    world.gpus.iter().find_map(|gpu| {
        let slot = || (0..gpu.mig.len()).find(|slot| gpu.mig_uuid(*slot).as_deref() == Some(uuid));
        if gpu.uuid == uuid { Some((gpu, None)) } else { slot().map(|slot| (gpu, Some(slot))) }
    })
}

fn give_handle(gpu: &Gpu, mig: Option<usize>, to: Out<Handle>) -> Reply {
    gpu.lost.map_or(Ok(()), |code| Err(Status(code)))?;
    to.put(Handle::of(gpu.index, mig))
}
